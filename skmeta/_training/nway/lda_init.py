"""Where meta-training starts when classes are a task's own: linear features.

In them rows differ alike within a class, and the means of classes by a variance of each
feature: linear discriminants of the classes of all tasks (Fisher 1936; Ioffe 2006,
Probabilistic linear discriminant analysis, sec. 3). From few classes their covariances
are poorly known, and of new classes they say less than they seem to. So they are drawn
towards simple ones, as far as classes that were left out fare better with it.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from scipy.linalg import eigh

from ..._episodes.shared_rows import NWaySampler, select_role
from ..._networks.learners.losses import row_losses
from ..._networks.learners.predictive import Categorical
from ..._networks.nway.plda import class_logits, class_means, one_hot, only_present
from ...tasks import TaskCollection
from .labels import numbered_classes

MAX_FEATURES = 64
MAX_ROWS = 20_000
"""Rows that discriminants are fitted to, at most."""

MIN_VARIANCE, MAX_VARIANCE = 1e-2, 1e4
"""Of the means of classes, relative to that within them."""

SHRINKAGES = 0.02, 0.2, 0.5, 1.0
"""Of the covariance within classes, towards that of columns alike and independent."""

BETWEEN_CLASSES = 0.0, 50.0, np.inf
"""Classes that the covariance of all rows is worth, as one of their means."""

N_EPISODES, WAY, SHOTS = 64, (2, 10), (1, 10)


class Discriminants(NamedTuple):
    """Features of rows in which classes are Gaussians of unit variance."""

    projection: np.ndarray  # (D, n_columns)
    between: np.ndarray  # (D,) variance of the means of classes


class Moments(NamedTuple):
    """Second moments of rows and classes, in columns that are worth alike."""

    within: np.ndarray  # (n_columns, n_columns)
    between: np.ndarray
    total: np.ndarray
    n_free: int  # of the means of classes


def moments(X, groups, tasks):
    """`Moments` of rows.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
    groups : ndarray of int, shape (n_rows,)
        The class of each row, no two tasks having one in common.
    tasks : ndarray of int, shape (n_rows,)
    """
    _, first, code, count = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    means, departures = _departures(X, code)
    within = departures.T @ departures / max(1, len(X) - len(means))
    _, of_task = np.unique(tasks[first], return_inverse=True)
    centres, apart = _departures(means, of_task)
    n_free = max(1, len(means) - len(centres))
    between = apart.T @ apart / n_free - within * np.mean(1 / count)
    total = np.cov(X.T, bias=True).reshape(within.shape)
    return Moments(within, between, total, n_free)


def _departures(X, code):
    """Means (n_groups, n_columns) of groups of rows, and departures from them."""
    means = np.zeros((code.max() + 1, X.shape[1]))
    np.add.at(means, code, X)
    means /= np.bincount(code)[:, None]
    return means, X - means[code]


def discriminants(of, worth, shrinkage, between_classes):
    """`Discriminants` of `Moments`, drawn towards simple ones.

    Parameters
    ----------
    of : Moments
        Of standardised columns.
    worth : ndarray of shape (n_columns,)
        Deviation that each column has in place of 1.
    shrinkage, between_classes : float
        As `SHRINKAGES` and `BETWEEN_CLASSES`.
    """
    both = np.outer(worth, worth)
    within, between, total = (m * both for m in of[:3])
    level = np.trace(within) / len(within) or 1.0
    within = (1 - shrinkage) * within + (shrinkage + 1e-6) * level * np.eye(len(within))
    known = of.n_free / (of.n_free + between_classes)
    scale = max(np.trace(between), 0.01 * np.trace(total)) / (np.trace(total) or 1.0)
    between = known * between + (1 - known) * scale * total
    values, vectors = eigh(between, within)
    largest = np.argsort(values)[::-1][:MAX_FEATURES]
    return Discriminants(
        (vectors[:, largest] * worth[:, None]).T,
        values[largest].clip(MIN_VARIANCE, MAX_VARIANCE),
    )


def choose_discriminants(tasks, columns, scale, seed):
    """The `Discriminants` that do best on classes which they were not fitted to.

    Parameters
    ----------
    tasks : TaskCollection
    columns : callable
        From rows (n_rows, ...) to standardised columns.
    scale : ndarray of shape (n_columns,)
        Deviation of each column before.
    seed : int

    Returns
    -------
    found : Discriminants
        Of no more than `MAX_FEATURES` features, those of the largest variance first.
    """
    rng = np.random.default_rng(seed)
    X, task, group = _some_classes(tasks, columns, rng)
    worths = [np.ones(len(scale)), scale / np.sqrt(np.mean(scale**2))]
    adaptation_grid = list(product(worths, SHRINKAGES, BETWEEN_CLASSES))
    losses = np.zeros(len(adaptation_grid))
    fold = _folds(task, group, rng)
    for left_out in np.unique(fold):
        known, new = fold != left_out, fold == left_out
        pools = _pools(X[new], group[new], task[new])
        if not known.any() or not len(pools.drawable):
            continue
        batch = pools.draw(N_EPISODES, rng)
        of = moments(X[known], group[known], task[known])
        losses += [
            _loss(discriminants(of, *choice), batch) for choice in adaptation_grid
        ]
    best = adaptation_grid[int(np.argmin(losses))]
    return discriminants(moments(X, group, task), *best)


def _some_classes(tasks, columns, rng):
    """Columns, tasks and classes of the rows of some classes."""
    task, group = numbered_classes(tasks)
    rank = rng.permutation(group.max() + 1)
    rows = np.argsort(rank[group], kind="stable")[:MAX_ROWS]  # of whole classes
    return columns(tasks.X[rows]).astype(np.float64), task[rows], group[rows]


def _folds(task, group, rng):
    """A fold (n_rows,) of two: half of a task's classes, or all where they are few."""
    fold = np.zeros(len(task), int)
    for t in np.unique(task):
        classes = rng.permutation(np.unique(group[task == t]))
        half = classes[: len(classes) // 2] if len(classes) > 3 else classes
        fold[np.isin(group, half) & (task == t)] = 1
        if len(classes) <= 3 and rng.random() < 0.5:
            fold[task == t] = 0
    return fold


def _pools(X, group, task):
    order = np.argsort(task, kind="stable")
    ends = np.flatnonzero(np.diff(task[order], append=-1)) + 1
    tasks = TaskCollection._of(
        X[order], group[order], np.append(0, ends), np.arange(len(ends)), None
    )
    return NWaySampler(tasks, torch.from_numpy(X[order]), WAY, SHOTS, 32)


def _loss(found, batch):
    """Query loss of the closed form, at the temperature that is best of a few."""
    z = batch.x @ torch.from_numpy(found.projection).T
    weight, z_support, y_support = select_role(batch.support.double(), z, batch.y)
    between = torch.from_numpy(found.between).expand(len(weight), -1)
    within = torch.ones_like(between)
    share = one_hot(y_support, weight)
    means = class_means(z_support, share, within, between)
    logits = class_logits(means, select_role(batch.query, z)[1], within)
    y, query = batch.target()
    losses = [
        (row_losses(Categorical(only_present(t * logits, means)), y) * query).sum()
        for t in np.geomspace(0.03, 1, 6)
    ]
    return float(min(losses) / query.sum())
