"""Losses of query rows."""

import math

import torch
from torch.nn import functional as F

from .predictive import Categorical


def row_losses(prediction, y, bound=None):
    """Negative log likelihood of each query row, (n_tasks, n_rows).

    ``prediction`` is a `Gaussian` or `Categorical`. Errors of more than ``bound``
    standard deviations count in proportion, not squared (Huber 1964, Robust estimation
    of a location parameter).
    """
    if isinstance(prediction, Categorical):
        logits = prediction.logits.transpose(1, 2)
        return F.cross_entropy(logits, y, reduction="none")
    mean, variance = prediction
    error = (y - mean) / variance.sqrt()
    if bound is None:
        size = 0.5 * error**2
    else:
        zero = torch.zeros_like(error)
        size = F.huber_loss(error, zero, reduction="none", delta=bound)
    return size + 0.5 * (variance.log() + math.log(2 * math.pi))
