"""What an embedding is also trained by: which of all classes of its task a row is of.

An episode has a few classes of a task, and tells its rows apart by a few others. All
classes of the task say more of each row that is embedded anyway (Oreshkin et al. 2018,
TADAM, sec. 3.4, auxiliary task co-training). Known are the classes learned from; what
tells them apart says nothing of others, and is dropped once the embedding is trained.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..loop import QueryLoss
from .labels import numbered_classes

SPEED = 5.0
"""How many times faster than an embedding its known classes are learned."""

MAX_WEIGHTS = 10_000_000
"""Where known classes would take more weights than this, they are left alone."""


class AuxiliaryClassifier(nn.Module):
    """A linear classifier of embedded rows among the classes of their task.

    Parameters
    ----------
    tasks : TaskCollection
        What is learned from.
    n_columns : int
    """

    def __init__(self, tasks, n_columns):
        super().__init__()
        _, known = numbered_classes(tasks)
        first = np.minimum.reduceat(known, tasks.offsets[:-1])
        self.bounds = [*first.tolist(), int(known.max()) + 1]
        self.register_buffer("known", torch.from_numpy(known), persistent=False)
        self.weights = nn.Parameter(torch.zeros(self.bounds[-1], n_columns + 1))

    def forward(self, columns, task, row, present):
        """Loss of each row of every pool, (G, R), 0 for padding.

        Parameters
        ----------
        columns : tensor of shape (n_present, n_columns)
            Of the rows that are there, those of one pool after those of another.
        task : tensor of int, shape (G,)
            What each pool is drawn of.
        row : tensor of int, shape (G, R)
            Places of the rows among those of all tasks.
        present : tensor of bool, shape (G, R)
        """
        losses = columns.new_zeros(present.shape)
        of_pools = F.pad(columns, (0, 1), value=1.0).split(present.sum(1).tolist())
        for g, rows in enumerate(of_pools):
            first, end = self.bounds[task[g] : task[g] + 2]
            known = self.known[row[g, present[g]]] - first
            logits = SPEED * rows @ self.weights[first:end].T
            losses[g, present[g]] = F.cross_entropy(logits, known, reduction="none")
        return losses


class AuxiliaryLoss(QueryLoss):
    """The loss of the query rows, and, at the same rows, that of known classes."""

    def forward(self, prediction, target):
        predicted, of_known = prediction
        return super().forward(predicted, target) + self.mean(of_known, target[1])


def auxiliary_classifier(sources, embedding):
    """`AuxiliaryClassifier` of tasks to learn from, or None.

    None where there is no embedding to train, where tasks are lazy or endless, and
    where there are too many classes.
    """
    if embedding is None or not embedding.trainable:
        return None
    if not sources.in_memory:
        return None
    classes = AuxiliaryClassifier(sources.fitting_tasks, embedding.n_columns)
    return classes if classes.weights.numel() <= MAX_WEIGHTS else None
