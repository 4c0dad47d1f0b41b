"""Seeded draws of pools of rows, for what embeds rows while it is trained.

An embedding of images is worth many times all that follows it. So a few pools of rows
are drawn, each of one task, and embedded once; of each pool come many episodes, its
rows now in the support and now in the query.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from ..tasks import TaskDistribution
from .sampler import log_uniform_sizes

EPISODES_PER_GROUP = 8
MAX_GROUP_ROWS = 256
UNEQUAL_SHARE = 0.25
"""Share of the episodes whose classes have unequal numbers of rows."""

MAX_DRAWS = 100
"""Draws of lazy or endless tasks until one has classes enough, at most."""

N_VALIDATION = 128
"""Episodes that meta-training is judged on."""


@dataclass(frozen=True, eq=False)
class EpisodeGroup:
    """G pools of R rows at most, and E episodes of each.

    Attributes
    ----------
    task : tensor of int, shape (G,)
        What each pool is drawn of.
    x : tensor of shape (G, R, ...)
        The rows of each pool.
    row : tensor of int, shape (G, R)
        Their places among the rows of all tasks.
    present : tensor of bool, shape (G, R)
        False for padding.
    y : tensor of shape (G, R)
        The class of each row, numbered within the pool; or its target.
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
        return EpisodeGroup(**{k: t.to(device) for k, t in vars(self).items()})

    def inputs(self):
        """What a network's ``forward`` takes, as keyword arguments."""
        names = ("task", "x", "row", "present", "y", "support", "query")
        return {name: getattr(self, name) for name in names}

    def target(self):
        """Targets and weights of the query rows of each episode, (G * E, Q)."""
        weight, y = select_role(self.query, self.y)
        return y.where(weight > 0, 0), weight


def select_role(weight, *values):
    """What rows of one role have in each episode.

    Parameters
    ----------
    weight : tensor of shape (G, E, R)
        Of the rows of each group in each episode: `EpisodeGroup.support` or ``query``.
    *values : tensors of shape (G, R, ...)

    Returns
    -------
    weight : tensor of shape (G * E, S)
        S is as many rows as the most of an episode; fewer are filled with others of no
        weight.
    *values : tensors of shape (G * E, S, ...)
    """
    n_pools, n_episodes, n_rows = weight.shape
    longest = int((weight > 0).sum(-1).max())
    weight, row = weight.flatten(0, 1).sort(dim=1, descending=True, stable=True)
    pool = torch.arange(n_pools, device=row.device).repeat_interleave(n_episodes)
    place = (n_rows * pool[:, None] + row)[:, :longest]
    chosen = (
        v.flatten(0, 1).index_select(0, place.flatten()).unflatten(0, place.shape)
        for v in values
    )
    return weight[:, :longest], *chosen


class GroupSampler:
    """Draws `EpisodeGroup` from tasks.

    Attributes
    ----------
    rows : tensor of shape (n_rows, ...)
        The rows of all tasks as the network takes them.
    drawable : ndarray of int
        The tasks that pools are drawn of.
    probability : ndarray of shape (n_drawable,) or None
        How often each is; None draws all alike.
    weights : ndarray of shape (n_tasks,) or None
        How much each task counts; None counts all alike.
    """

    probability = None

    def draw(self, n_episodes, rng):
        """Draw a batch of at least ``n_episodes`` episodes.

        Returns
        -------
        batch : PoolBatch
        """
        n = math.ceil(n_episodes / EPISODES_PER_GROUP)
        task = rng.choice(self.drawable, n, p=self.probability)
        pools = [self._pool(t, rng) for t in task]
        longest = max(len(y) for _, y, _ in pools)
        present = np.zeros((len(pools), longest), bool)
        place = np.zeros(present.shape, np.int64)
        y = np.zeros(present.shape, pools[0][1].dtype)
        roles = np.zeros((2, len(pools), EPISODES_PER_GROUP, longest), np.float32)
        for g, (rows, target, role) in enumerate(pools):
            n = len(rows)
            present[g, :n], place[g, :n], y[g, :n] = True, rows, target
            roles[:, g, :, :n] = role
        if self.weights is not None:
            roles[1] *= self.weights[task, None, None]
        task, place, present, y, roles = map(
            torch.from_numpy, (task, place, present, y, roles)
        )
        return EpisodeGroup(task, self.rows[place], place, present, y, *roles)


class SharedRowSampler(GroupSampler):
    """Draws pools of tasks that share what targets mean.

    Parameters
    ----------
    tasks : TaskCollection
    rows : tensor of shape (n_rows, ...)
    y : ndarray of shape (n_rows,)
        Scaled targets, or encoded classes.
    n_support : (int, int)
        Range of the support size.
    n_query : int
        Query rows of an episode, at least where there are as many.
    """

    def __init__(self, tasks, rows, y, n_support, n_query):
        self.rows, self.y, self.offsets = rows, y, tasks.offsets
        self.weights = tasks.weights
        self.n_support, self.n_query = n_support, n_query
        self.drawable = np.arange(len(tasks))

    def _pool(self, t, rng):
        """Rows of task ``t``, their targets, and which are support and query."""
        start, stop = self.offsets[t : t + 2]
        n = min(stop - start, self.n_support[1] + self.n_query, MAX_GROUP_ROWS)
        rows = start + rng.permutation(stop - start)[:n]
        largest = min(self.n_support[1], n - 1)
        sizes = min(self.n_support[0], largest), largest
        shots = log_uniform_sizes(*sizes, rng.random(EPISODES_PER_GROUP))
        in_support = rng.random((EPISODES_PER_GROUP, n)).argsort(1) < shots[:, None]
        return rows, self.y[rows], np.stack([in_support, ~in_support])


class NWaySampler(GroupSampler):
    """Draws pools of tasks that have classes of their own.

    A task of many classes has many episodes, and is drawn as often.

    Parameters
    ----------
    tasks : TaskCollection
        At least one with two classes of two rows or more; others are never drawn.
    rows : tensor of shape (n_rows, ...)
    n_way, n_support : (int, int)
        Ranges of the classes of an episode, and of the rows of each in its support.
    n_query : int
        Query rows of an episode, at most, but for one of each class.
    """

    def __init__(self, tasks, rows, n_way, n_support, n_query):
        self.rows, self.n_query, self.weights = rows, n_query, tasks.weights
        self.n_way, self.n_support = n_way, (max(1, n_support[0]), max(1, n_support[1]))
        self.classes = [self._classes_of(tasks, t) for t in range(len(tasks))]
        counts = np.array([*map(len, self.classes)])
        self.drawable = np.flatnonzero(counts > 1)
        if len(self.drawable):
            counts = counts[self.drawable]
            self.probability = counts / counts.sum()

    @staticmethod
    def _classes_of(tasks, t):
        """The rows of each class of task ``t`` that has two or more."""
        start, stop = tasks.offsets[t : t + 2]
        _, code = np.unique(tasks.y[start:stop], return_inverse=True)
        order = np.argsort(code, kind="stable")
        at = np.split(order + start, np.cumsum(np.bincount(code))[:-1])
        return [rows for rows in at if len(rows) > 1]

    def _pool(self, t, rng):
        """Rows of some classes, their classes, and which are support and query."""
        classes = self.classes[t]
        low, high = (max(2, min(n, len(classes))) for n in self.n_way)
        chosen = [classes[c] for c in rng.choice(len(classes), high, replace=False)]
        largest = min(self.n_support[1], max(map(len, chosen)) - 1)
        largest = min(largest, max(1, MAX_GROUP_ROWS // high - 1))
        smallest = min(self.n_support[0], largest)
        shots = log_uniform_sizes(smallest, largest, rng.random(EPISODES_PER_GROUP))
        wanted = shots.max() + max(1, self.n_query // high)
        drawn = [rng.permutation(rows)[:wanted] for rows in chosen]
        sizes = np.array([len(rows) for rows in drawn])
        code = np.repeat(np.arange(high), sizes)
        roles = np.zeros((2, EPISODES_PER_GROUP, len(code)), bool)
        starts = np.cumsum(sizes) - sizes
        for e, k in enumerate(shots):
            unequal = k > 1 and rng.random() < UNEQUAL_SHARE
            counts = rng.integers(1, k + 1, high) if unequal else np.full(high, k)
            counts = np.minimum(counts, sizes - 1)
            order = np.lexsort((rng.random(len(code)), code))
            rank = np.empty(len(code), int)
            rank[order] = np.arange(len(code)) - np.repeat(starts, sizes)
            some = rng.permutation(high) < rng.integers(low, high + 1)
            roles[0, e] = some[code] & (rank < counts[code])
            roles[1, e] = some[code] & (rank >= counts[code])
        return np.concatenate(drawn), code, roles


class EpisodeGroupStream:
    """Draws the batches of meta-training from wherever the tasks come from.

    Parameters
    ----------
    sources : Sources
    make_pools : callable
        From a `TaskCollection` to its `GroupSampler`.
    batch_size : int
        Episodes of a batch.
    rng : numpy.random.Generator

    Attributes
    ----------
    held_out : list of PoolBatch
    """

    def __init__(self, sources, make_pools, batch_size, rng):
        self.sources, self.make_pools = sources, make_pools
        self.batch_size, self.rng = batch_size, rng
        self.examples, validation = map(
            make_pools, (sources.fitting_tasks, sources.val_tasks)
        )
        for name, pools, tasks in (
            ("tasks", self.examples, sources.fitting_tasks),
            ("validation tasks", validation, sources.val_tasks),
        ):
            if not len(pools.drawable):
                raise _none_drawable(f"the {len(tasks)} {name}")
        n = EPISODES_PER_GROUP * 4
        self.validation = [validation.draw(n, rng) for _ in range(N_VALIDATION // n)]

    def __call__(self):
        """Draw one batch."""
        return self._pools().draw(self.batch_size, self.rng)

    def _pools(self):
        tasks = self.sources.train_tasks
        if self.sources.in_memory:
            return self.examples
        n = math.ceil(self.batch_size / EPISODES_PER_GROUP)
        for _ in range(MAX_DRAWS):
            if isinstance(tasks, TaskDistribution):
                drawn = tasks.draw(n, int(self.rng.integers(2**31 - 1)))
            else:
                drawn = tasks.take(self.rng.choice(len(tasks), n))
            pools = self.make_pools(drawn)
            if len(pools.drawable):
                return pools
        raise _none_drawable(f"{MAX_DRAWS * n} tasks that were drawn")


def _none_drawable(tasks):
    return ValueError(
        f"None of {tasks} has two classes of two rows or more, one to adapt on and one "
        "to be judged on. Give tasks with more rows a class, and validation_tasks if "
        "few have them; or, where a label means the same in all tasks, set "
        "shared_classes=True."
    )


class EpisodeGroupBatches(torch.utils.data.Dataset):
    """As many batches an epoch as asked for, each drawn when it is asked for.

    Parameters
    ----------
    draw : callable
        ``draw()`` gives a `PoolBatch`.
    n_batches : int
    """

    def __init__(self, draw, n_batches):
        self.draw, self.n_batches = draw, n_batches

    def __len__(self):
        return self.n_batches

    def __getitem__(self, index):
        batch = self.draw()
        return batch.inputs(), batch.target()
