"""Batches of tasks: rows of many tasks, padded to one shape."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch


@dataclass(frozen=True, eq=False)
class TaskBatch:
    """Support and query rows of a batch of tasks, padded by rows of weight 0.

    Attributes
    ----------
    x_support, x_query : tensor of shape (n_tasks, n_rows, n_features)
        Standardised features.
    offset_support, offset_query : tensor of shape (n_tasks, n_rows, n_outputs)
        Prediction of the pooled estimator, on the scale of the base learner.
    weight_support : tensor of shape (n_tasks, n_rows)
        0 for padding, 1 for a row.
    weight_query : tensor of shape (n_tasks, n_rows)
        0 for padding, the weight of the task for a row.
    y_support, y_query : tensor of shape (n_tasks, n_rows)
        Scaled targets, or encoded classes.
    """

    x_support: torch.Tensor
    offset_support: torch.Tensor
    weight_support: torch.Tensor
    y_support: torch.Tensor
    x_query: torch.Tensor
    offset_query: torch.Tensor
    weight_query: torch.Tensor
    y_query: torch.Tensor

    def __len__(self):
        return len(self.x_support)

    def support(self):
        """`Rows` of the support."""
        return Rows(self.x_support, self.offset_support, self.weight_support)

    def query(self):
        """`Rows` of the query rows."""
        return Rows(self.x_query, self.offset_query, self.weight_query.sign())

    def rows(self):
        """`Rows` of support and query rows together, and their targets."""
        y = torch.cat([self.y_support, self.y_query], 1)
        return self.support().followed_by(self.query()), y

    def to(self, device):
        """The batch on a device."""
        return TaskBatch(**{k: t.to(device) for k, t in vars(self).items()})

    def split(self, n):
        """Batches of ``n`` tasks each, a list."""
        parts = (tensor.split(n) for tensor in vars(self).values())
        return [TaskBatch(*tensors) for tensors in zip(*parts, strict=True)]

    def inputs(self):
        """Keyword arguments of a network's ``forward``."""
        return {
            name: value
            for name, value in vars(self).items()
            if name not in ("weight_query", "y_query")
        }

    def target(self):
        """Query targets and their weights, for the loss."""
        return self.y_query, self.weight_query


def pad(arrays):
    """Stack arrays of shape (n_i, ...) into one tensor (n_arrays, max n_i, ...)."""
    longest = max(1, max(map(len, arrays)))
    padded = np.zeros((len(arrays), longest, *arrays[0].shape[1:]), arrays[0].dtype)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return torch.from_numpy(padded)


class Rows(NamedTuple):
    """Rows of a batch of tasks, as inputs of the networks.

    ``x`` (n_tasks, n_rows, n_features) standardised features; ``offset`` (n_tasks,
    n_rows, n_outputs) the pooled estimator's prediction on the scale of the base
    learner (zero without one); ``weight`` (n_tasks, n_rows), 0 for padding.
    """

    x: torch.Tensor
    offset: torch.Tensor
    weight: torch.Tensor

    def followed_by(self, others):
        """These rows of each task, then others of the same tasks."""
        pairs = zip(self, others, strict=True)
        return Rows(*(torch.cat(pair, 1) for pair in pairs))
