"""Losses of query rows."""

import math

import torch
from torch.nn import functional as F

from .gp_posterior import joint_loss
from .predictive import Categorical, Gaussian, JointGaussian

MIN_WEIGHT = 1e-12
"""Smallest sum of weights of a batch: all tasks of it may have the weight 0."""


def mean_loss(prediction, y, weight, bound=None, joint_share=0.0):
    """Mean negative log likelihood of query rows, by their weights.

    Parameters
    ----------
    prediction : Gaussian, JointGaussian or Categorical
    y, weight : tensor of shape (n_tasks, n_rows)
    bound : float, optional
        See `row_losses`.
    joint_share : float
        Of a `JointGaussian`, the share of the likelihood of all rows of a task
        together; the rest is that of each row on its own.
    """
    total = 0.0
    if isinstance(prediction, JointGaussian):
        mean, covariance = prediction
        if joint_share > 0:
            limit = math.inf if bound is None else bound
            losses = joint_loss(mean, covariance, y, weight > 0, limit)
            total = joint_share * (losses * weight.amax(1)).sum()
        prediction = Gaussian(mean, covariance.diagonal(dim1=1, dim2=2))
    else:
        joint_share = 0.0
    if joint_share < 1:
        rows = (row_losses(prediction, y, bound) * weight).sum()
        total = total + (1 - joint_share) * rows
    return total / weight.sum().clamp(min=MIN_WEIGHT)


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
