"""An auxiliary loss of the embedding: classification among all classes of a task.

An episode has a few classes of a task. Classification among all its classes uses more
information about each embedded row (Oreshkin et al. 2018, TADAM, sec. 3.4, auxiliary
task co-training). The classifier is of the training classes only, and is dropped after
training.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..._networks.learners.losses import MIN_WEIGHT
from ..loop import QueryLoss
from .labels import number_classes

WEIGHT_SCALE = 5.0
"""Multiplies the weights, and so their learning rate relative to the embedding's."""

MAX_WEIGHTS = 10_000_000
"""With more weights than this there is no auxiliary classifier."""


class AuxiliaryClassifier(nn.Module):
    """A linear classifier of embedded rows among the classes of their task.

    Parameters
    ----------
    tasks : TaskCollection
        The training tasks.
    n_columns : int
    """

    def __init__(self, tasks, n_columns):
        super().__init__()
        _, code = number_classes(tasks)
        first = np.minimum.reduceat(code, tasks.offsets[:-1])
        self.bounds = [*first.tolist(), int(code.max()) + 1]
        self.register_buffer("code", torch.from_numpy(code), persistent=False)
        self.weights = nn.Parameter(torch.zeros(self.bounds[-1], n_columns + 1))

    def forward(self, columns, task, row, present):
        """Loss of each row of every group, (G, R), 0 for padding.

        Parameters
        ----------
        columns : tensor of shape (n_present, n_columns)
            Of the rows that are present, group after group.
        task : tensor of int, shape (G,)
            The task of each group.
        row : tensor of int, shape (G, R)
            Positions of the rows among those of all tasks.
        present : tensor of bool, shape (G, R)
        """
        losses = columns.new_zeros(present.shape)
        groups = F.pad(columns, (0, 1), value=1.0).split(present.sum(1).tolist())
        for g, rows in enumerate(groups):
            first, end = self.bounds[task[g] : task[g] + 2]
            code = self.code[row[g, present[g]]] - first
            logits = WEIGHT_SCALE * rows @ self.weights[first:end].T
            losses[g, present[g]] = F.cross_entropy(logits, code, reduction="none")
        return losses


class AuxiliaryLoss(QueryLoss):
    """The loss of the query rows plus their loss under the auxiliary classifier."""

    def forward(self, prediction, target):
        predicted, auxiliary = prediction
        weight = target[1]
        losses = (auxiliary * weight).sum() / weight.sum().clamp(min=MIN_WEIGHT)
        return super().forward(predicted, target) + losses


def auxiliary_classifier(split, embedding):
    """The `AuxiliaryClassifier` of the training tasks, or None.

    None without a trainable embedding, for lazy tasks and task distributions, and for
    too many classes.
    """
    if embedding is None or not embedding.trainable:
        return None
    if not split.in_memory:
        return None
    classifier = AuxiliaryClassifier(split.fitting_tasks, embedding.n_columns)
    return classifier if classifier.weights.numel() <= MAX_WEIGHTS else None
