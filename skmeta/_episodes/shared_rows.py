"""Seeded draws of groups of rows, for episodes that share embedded rows.

Embedding a row, such as an image, costs far more than all that follows. So a few groups
of rows are drawn, each from one task, and embedded once. Each group gives many
episodes, which differ in which of its rows are support and which are query rows.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from ..tasks import TaskDistribution
from .batch import pad
from .sampler import log_uniform_sizes

EPISODES_PER_GROUP = 8
MAX_GROUP_ROWS = 256
UNEQUAL_SHARE = 0.25
"""Share of the episodes whose classes have unequal numbers of rows."""

MAX_DRAWS = 100
"""Maximum number of draws of lazy or sampled tasks until one has two classes of two
rows."""

N_VALIDATION, VALIDATION_GROUPS = 128, 4
"""Validation episodes in all, and groups in a batch of them."""


@dataclass(frozen=True, eq=False)
class GroupBatch:
    """G groups of at most R rows, and E episodes of each.

    Attributes
    ----------
    task : tensor of int, shape (G,)
        The task of each group.
    x : tensor of shape (G, R, ...)
        The rows of each group.
    row : tensor of int, shape (G, R)
        Their positions among the rows of all tasks.
    present : tensor of bool, shape (G, R)
        False for padding.
    y : tensor of shape (G, R)
        The class of each row, numbered within the group; or its target.
    support, query : tensor of shape (G, E, R)
        Weights of the rows in each episode; of query rows, those of their task.
    """

    task: torch.Tensor
    x: torch.Tensor
    row: torch.Tensor
    present: torch.Tensor
    y: torch.Tensor
    support: torch.Tensor
    query: torch.Tensor

    def to(self, device):
        """The batch on a device."""
        return GroupBatch(**{k: t.to(device) for k, t in vars(self).items()})

    def inputs(self):
        """Keyword arguments of a network's ``forward``."""
        return dict(vars(self))

    def target(self):
        """Targets and weights of the query rows of each episode, (G * E, Q)."""
        weight, y = select_role(self.query, self.y)
        return y.where(weight > 0, 0), weight


def select_role(weight, *values):
    """Select the support or the query rows of each episode.

    Parameters
    ----------
    weight : tensor of shape (G, E, R)
        `GroupBatch.support` or ``query``.
    *values : tensors of shape (G, R, ...)

    Returns
    -------
    weight : tensor of shape (G * E, S)
        S is the largest number of rows of an episode; smaller ones are padded with
        rows of weight 0.
    *values : tensors of shape (G * E, S, ...)
    """
    n_groups, n_episodes, n_rows = weight.shape
    longest = int((weight > 0).sum(-1).max())
    weight, row = weight.flatten(0, 1).sort(dim=1, descending=True, stable=True)
    group = torch.arange(n_groups, device=row.device).repeat_interleave(n_episodes)
    index = (n_rows * group[:, None] + row)[:, :longest]
    chosen = (
        v.flatten(0, 1).index_select(0, index.flatten()).unflatten(0, index.shape)
        for v in values
    )
    return weight[:, :longest], *chosen


class GroupSampler:
    """Draws a `GroupBatch` from tasks.

    Attributes
    ----------
    rows : tensor of shape (n_rows, ...)
        The rows of all tasks, inputs of the network.
    drawable : ndarray of int
        The tasks that groups are drawn from.
    probability : ndarray of shape (n_drawable,) or None
        Of each of them; None for equal probabilities.
    weights : ndarray of shape (n_tasks,) or None
        Task weights; None for equal weights.
    """

    probability = None

    def draw(self, n_episodes, rng):
        """Draw at least ``n_episodes`` episodes.

        Returns
        -------
        batch : GroupBatch
        """
        n = math.ceil(n_episodes / EPISODES_PER_GROUP)
        task = rng.choice(self.drawable, n, p=self.probability)
        rows, y, support, query = zip(
            *(self._draw_group(t, rng) for t in task), strict=True
        )
        row, present = pad(rows), pad([np.ones(len(r), bool) for r in rows])
        support, query = (
            pad([in_role.T for in_role in role]).transpose(1, 2).float()
            for role in (support, query)
        )
        if self.weights is not None:
            query = query * torch.from_numpy(self.weights[task]).float()[:, None, None]
        task = torch.from_numpy(task)
        return GroupBatch(task, self.rows[row], row, present, pad(y), support, query)


class SharedRowSampler(GroupSampler):
    """Draws groups from tasks whose targets have the same meaning.

    Parameters
    ----------
    tasks : TaskCollection
    rows : tensor of shape (n_rows, ...)
    y : ndarray of shape (n_rows,)
        Scaled targets, or encoded classes.
    n_support : (int, int)
        Range of the support size.
    n_query : int
        Query rows of an episode, at least, if the task has as many.
    """

    def __init__(self, tasks, rows, y, n_support, n_query):
        self.rows, self.y, self.offsets = rows, y, tasks.offsets
        self.weights = tasks.weights
        self.n_support, self.n_query = n_support, n_query
        self.drawable = np.arange(len(tasks))

    def _draw_group(self, t, rng):
        """Rows of task ``t``, their targets, and which are support and query."""
        start, stop = self.offsets[t : t + 2]
        n = min(stop - start, self.n_support[1] + self.n_query, MAX_GROUP_ROWS)
        rows = start + rng.permutation(stop - start)[:n]
        largest = min(self.n_support[1], n - 1)
        sizes = min(self.n_support[0], largest), largest
        shots = log_uniform_sizes(*sizes, rng.random(EPISODES_PER_GROUP))
        in_support = rng.random((EPISODES_PER_GROUP, n)).argsort(1) < shots[:, None]
        return rows, self.y[rows], in_support, ~in_support


class NWaySampler(GroupSampler):
    """Draws groups from tasks with task-specific labels.

    The probability of a task is proportional to its number of classes.

    Parameters
    ----------
    tasks : TaskCollection
        Those without two classes of two rows are never drawn.
    rows : tensor of shape (n_rows, ...)
    n_way, n_support : (int, int)
        Ranges of the number of classes of an episode, and of support rows per class.
    n_query : int
        Query rows of an episode, at most, except that each class has one.
    """

    def __init__(self, tasks, rows, n_way, n_support, n_query):
        self.rows, self.n_query, self.weights = rows, n_query, tasks.weights
        self.n_way, self.n_support = n_way, (max(1, n_support[0]), max(1, n_support[1]))
        self.classes = [_rows_by_class(tasks, t) for t in range(len(tasks))]
        counts = np.array([*map(len, self.classes)])
        self.drawable = np.flatnonzero(counts > 1)
        if len(self.drawable):
            counts = counts[self.drawable]
            self.probability = counts / counts.sum()

    def _draw_group(self, t, rng):
        """Rows of some classes, their classes, and which are support and query."""
        classes = self.classes[t]
        low, high = (max(2, min(n, len(classes))) for n in self.n_way)
        chosen = [classes[c] for c in rng.choice(len(classes), high, replace=False)]
        largest = min(self.n_support[1], max(map(len, chosen)) - 1)
        largest = min(largest, max(1, MAX_GROUP_ROWS // high - 1))
        smallest = min(self.n_support[0], largest)
        shots = log_uniform_sizes(smallest, largest, rng.random(EPISODES_PER_GROUP))
        n_rows = shots.max() + max(1, self.n_query // high)
        drawn = [rng.permutation(rows)[:n_rows] for rows in chosen]
        sizes = np.array([len(rows) for rows in drawn])
        code = np.repeat(np.arange(high), sizes)
        support, query = np.zeros((2, EPISODES_PER_GROUP, len(code)), bool)
        starts = np.cumsum(sizes) - sizes
        for e, k in enumerate(shots):
            unequal = k > 1 and rng.random() < UNEQUAL_SHARE
            counts = rng.integers(1, k + 1, high) if unequal else np.full(high, k)
            counts = np.minimum(counts, sizes - 1)
            order = np.lexsort((rng.random(len(code)), code))
            rank = np.empty(len(code), int)  # random, within each class
            rank[order] = np.arange(len(code)) - np.repeat(starts, sizes)
            in_episode = rng.permutation(high) < rng.integers(low, high + 1)
            support[e] = in_episode[code] & (rank < counts[code])
            query[e] = in_episode[code] & (rank >= counts[code])
        return np.concatenate(drawn), code, support, query


def _rows_by_class(tasks, t):
    """The rows of each class of task ``t`` that has at least two."""
    start, stop = tasks.offsets[t : t + 2]
    _, code = np.unique(tasks.y[start:stop], return_inverse=True)
    order = np.argsort(code, kind="stable")
    by_class = np.split(order + start, np.cumsum(np.bincount(code))[:-1])
    return [rows for rows in by_class if len(rows) > 1]


class GroupBatches(torch.utils.data.Dataset):
    """The batches of an epoch, each drawn on access, and those of validation.

    Parameters
    ----------
    split : MetaSplit
    make_sampler : callable
        From a `TaskCollection` to its `GroupSampler`.
    batch_size : int
        Episodes of a batch.
    n_batches : int
        Number of batches per epoch.
    rng : numpy.random.Generator

    Attributes
    ----------
    validation : list of GroupBatch
        Fixed episodes of the validation tasks.
    """

    def __init__(self, split, make_sampler, batch_size, n_batches, rng):
        self.split, self.make_sampler = split, make_sampler
        self.batch_size, self.n_batches, self.rng = batch_size, n_batches, rng
        self.examples, validation = map(
            make_sampler, (split.fitting_tasks, split.val_tasks)
        )
        for name, sampler, tasks in (
            ("tasks", self.examples, split.fitting_tasks),
            ("validation tasks", validation, split.val_tasks),
        ):
            if not len(sampler.drawable):
                raise _none_drawable(f"the {len(tasks)} {name}")
        n = EPISODES_PER_GROUP * VALIDATION_GROUPS
        self.validation = [validation.draw(n, rng) for _ in range(N_VALIDATION // n)]

    def __len__(self):
        return self.n_batches

    def __getitem__(self, index):
        batch = self._sampler().draw(self.batch_size, self.rng)
        return batch.inputs(), batch.target()

    def _sampler(self):
        """The sampler of the tasks in memory, or of some newly drawn ones."""
        tasks = self.split.train_tasks
        if self.split.in_memory:
            return self.examples
        n = math.ceil(self.batch_size / EPISODES_PER_GROUP)
        for _ in range(MAX_DRAWS):
            if isinstance(tasks, TaskDistribution):
                drawn = tasks.draw(n, int(self.rng.integers(2**31 - 1)))
            else:
                drawn = tasks.take(self.rng.choice(len(tasks), n))
            sampler = self.make_sampler(drawn)
            if len(sampler.drawable):
                return sampler
        raise _none_drawable(f"{MAX_DRAWS * n} tasks that were drawn")


def _none_drawable(tasks):
    return ValueError(
        f"None of {tasks} has two classes of two rows or more, one support row and one "
        "query row of each. Give tasks with more rows per class, and validation_tasks "
        "if few have them; or, if a label means the same in all tasks, set "
        "shared_classes=True."
    )
