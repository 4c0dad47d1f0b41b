"""Seeded draws of support and query rows, straight into one padded batch.

The one place where ragged tasks become padded tensors.
"""

import copy
from dataclasses import replace

import numpy as np
import torch

from .batch import TaskBatch


def as_range(size):
    """``(low, high)`` of a size given as an int or a range."""
    return (size, size) if isinstance(size, int | np.integer) else tuple(size)


def log_uniform_sizes(low, high, quantiles):
    """Support sizes from ``low`` to ``high``, uniform on the scale of log(1 + size).

    Parameters
    ----------
    low, high : int
    quantiles : ndarray of shape (n,)
        In [0, 1).

    Returns
    -------
    sizes : ndarray of int, shape (n,)
    """
    a, b = np.log(low + 1), np.log(high + 2)
    return np.exp(a + quantiles * (b - a)).astype(int) - 1


def draw_rows(sizes, n_support, n_query, rng):
    """Draw disjoint support and query rows of each task without replacement.

    Every task keeps at least one query row.

    Parameters
    ----------
    sizes : ndarray of int, shape (n_tasks,)
        Rows in each task.
    n_support : ndarray of int, shape (n_tasks,)
        Requested number of support rows of each task.
    n_query : int
        Requested number of query rows.
    rng : numpy.random.Generator

    Returns
    -------
    support, query : ndarray of int, shape (n_tasks, at most n_rows)
        Positions within the task; -1 for padding.
    """
    k = np.minimum(n_support, sizes - 1)
    q = np.minimum(n_query, sizes - k)
    n_drawn, n_rows = int((k + q).max()), int(sizes.max())
    keys = rng.random((len(sizes), n_rows))
    keys[np.arange(n_rows) >= sizes[:, None]] = 2.0
    if 2 * n_drawn < n_rows:
        first = np.argpartition(keys, n_drawn, axis=1)[:, :n_drawn]
        by_key = np.argsort(np.take_along_axis(keys, first, axis=1), axis=1)
        order = np.take_along_axis(first, by_key, axis=1)
    else:
        order = np.argsort(keys, axis=1)[:, :n_drawn]

    def take(start, count):
        position = np.arange(max(1, int(count.max())))
        rows = np.take_along_axis(
            order, np.minimum(start[:, None] + position, n_drawn - 1), axis=1
        )
        return np.where(position < count[:, None], rows, -1)

    return take(np.zeros_like(k), k), take(k, q)


class Episodes:
    """Draws `TaskBatch` from a collection of tasks, prepared for the networks.

    Parameters
    ----------
    tasks : TaskCollection
    features : FeatureScaler
    targets : TargetScaler or ClassCodec
    offset : ndarray of shape (n_rows, n_pooled * n_outputs) or None
        Predictions of the pooled estimators for each row of ``tasks``.
    """

    def __init__(self, tasks, features, targets, offset=None):
        self.tasks, self.features, self.targets = tasks, features, targets
        self.sizes = np.diff(tasks.offsets)
        self.x = features.transform(tasks.X) if features.is_costly else None
        self.offset = None if offset is None else targets.transform_offset(offset)

    def __len__(self):
        return len(self.tasks)

    def __add__(self, other):
        """Episodes of these tasks and of others, prepared in the same way."""
        joined = Episodes(
            self.tasks.followed_by(other.tasks), self.features, self.targets
        )
        if self.offset is not None:
            joined.offset = np.concatenate([self.offset, other.offset])
        return joined

    def take(self, indices):
        """Episodes of some of the tasks, ``indices`` (n_tasks,) in order."""
        some = Episodes(self.tasks[indices], self.features, self.targets)
        if self.offset is not None:
            starts, ends = self.tasks.offsets[indices], self.tasks.offsets[indices + 1]
            some.offset = self.offset[np.concatenate([*map(np.arange, starts, ends)])]
        return some

    def with_pooled(self, used):
        """Episodes with some of the pooled estimators, given by their indices."""
        some = copy.copy(self)
        n_outputs = self.targets.n_outputs
        parts = self.offset.reshape(len(self.offset), -1, n_outputs)[:, used]
        some.offset = parts.reshape(len(self.offset), -1) if used else None
        return some

    def draw(self, indices, n_support, n_query, rng):
        """Draw one episode from each task ``indices`` (n_tasks,).

        ``n_support`` is an int or one for each task, shape (n_tasks,).

        Returns
        -------
        batch : TaskBatch
        """
        n_support = np.broadcast_to(n_support, len(indices))
        rows = draw_rows(self.sizes[indices], n_support, n_query, rng)
        start = self.tasks.offsets[indices][:, None]
        support, query = (self._gather(start + r, r >= 0) for r in rows)
        batch = TaskBatch(*support, *query)
        if self.tasks.weights is None:
            return batch
        of_task = torch.from_numpy(self.tasks.weights[indices]).to(batch.weight_query)
        return replace(batch, weight_query=batch.weight_query * of_task[:, None])

    def _gather(self, rows, present):
        rows = np.where(present, rows, 0)
        if self.x is None:
            x = self.features.transform(self.tasks.X[rows])
        else:
            x = self.x[rows]
        x[~present] = 0
        y = self.targets.transform(self.tasks.y[rows])
        y[~present] = 0
        if self.offset is None:
            offset = np.zeros((*rows.shape, self.targets.n_outputs), np.float32)
        else:
            offset = self.offset[rows]
            offset[~present] = 0
        weight = present.astype(np.float32)
        return tuple(map(torch.from_numpy, (x, offset, weight, y)))
