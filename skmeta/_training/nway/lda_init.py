"""Initialisation for N-way classification: regularised linear discriminant analysis.

The features in which rows have unit variance within classes, and class means a diagonal
covariance: the linear discriminants of the meta-training classes (Fisher 1936; Ioffe
2006, Probabilistic linear discriminant analysis, sec. 3). With few classes their
covariances are poorly determined, so they are shrunk towards simple ones, by the
shrinkage with the lowest loss on classes that were not fitted to.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from scipy.linalg import eigh

from ..._episodes.shared_rows import NWaySampler, select_role
from ..._networks.learners.losses import row_losses
from ..._networks.learners.predictive import Categorical
from ..._networks.nway.plda import class_logits, class_means, mask_absent, one_hot
from ...tasks import TaskCollection
from .labels import number_classes

MAX_FEATURES = 64
MAX_ROWS = 20_000
"""Maximum number of rows that discriminants are fitted to."""

MIN_VARIANCE, MAX_VARIANCE = 1e-2, 1e4
"""Bounds on the variance between classes, relative to that within."""

SHRINKAGES = 0.02, 0.2, 0.5, 1.0
"""Of the covariance within classes towards a multiple of the identity."""

PSEUDO_CLASSES = 0.0, 50.0, np.inf
"""Number of classes that the covariance of all rows counts as, in that between."""

TEMPERATURES = np.geomspace(0.03, 1, 6)
N_EPISODES, WAY, SHOTS, N_QUERY = 64, (2, 10), (1, 10), 32


class Discriminants(NamedTuple):
    """Features in which rows have unit variance within classes."""

    projection: np.ndarray  # (D, n_columns)
    between: np.ndarray  # (D,) variance between classes


class Moments(NamedTuple):
    """Second moments of rows and classes, in standardised columns."""

    within: np.ndarray  # (n_columns, n_columns)
    between: np.ndarray
    total: np.ndarray
    n_free: int  # degrees of freedom of ``between``


def moments(X, code, task):
    """`Moments` of rows.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
    code : ndarray of int, shape (n_rows,)
        The class of each row; no two tasks have one in common.
    task : ndarray of int, shape (n_rows,)
    """
    _, first, code, count = np.unique(
        code, return_index=True, return_inverse=True, return_counts=True
    )
    means, centred = _centre(X, code)
    within = centred.T @ centred / max(1, len(X) - len(means))
    _, of_task = np.unique(task[first], return_inverse=True)
    centres, centred_means = _centre(means, of_task)
    n_free = max(1, len(means) - len(centres))
    between = centred_means.T @ centred_means / n_free - within * np.mean(1 / count)
    total = np.cov(X.T, bias=True).reshape(within.shape)
    return Moments(within, between, total, n_free)


def _centre(X, code):
    """Means (n_groups, n_columns) of groups of rows, and rows minus their mean."""
    means = np.zeros((code.max() + 1, X.shape[1]))
    np.add.at(means, code, X)
    means /= np.bincount(code)[:, None]
    return means, X - means[code]


def discriminants(moments, scale, shrinkage, pseudo_classes):
    """Regularised `Discriminants`.

    Parameters
    ----------
    moments : Moments
    scale : ndarray of shape (n_columns,)
        Standard deviation to give each column.
    shrinkage, pseudo_classes : float
        As `SHRINKAGES` and `PSEUDO_CLASSES`.
    """
    both = np.outer(scale, scale)
    within, between, total = (m * both for m in moments[:3])
    level = np.trace(within) / len(within) or 1.0
    within = (1 - shrinkage) * within + (shrinkage + 1e-6) * level * np.eye(len(within))
    known = moments.n_free / (moments.n_free + pseudo_classes)
    ratio = max(np.trace(between), 0.01 * np.trace(total)) / (np.trace(total) or 1.0)
    between = known * between + (1 - known) * ratio * total
    # Fisher's criterion: between v = lambda within v
    values, vectors = eigh(between, within)
    largest = np.argsort(values)[::-1][:MAX_FEATURES]
    return Discriminants(
        (vectors[:, largest] * scale[:, None]).T,
        values[largest].clip(MIN_VARIANCE, MAX_VARIANCE),
    )


def select_discriminants(tasks, columns, scale, seed):
    """The `Discriminants` with the lowest loss on classes not fitted to.

    Parameters
    ----------
    tasks : TaskCollection
    columns : callable
        From rows (n_rows, ...) to standardised columns.
    scale : ndarray of shape (n_columns,)
        Standard deviation of each column before standardisation, an alternative to
        equal ones.
    seed : int

    Returns
    -------
    found : Discriminants
        At most `MAX_FEATURES`, in descending order of variance.
    """
    rng = np.random.default_rng(seed)
    X, task, code = _sample_classes(tasks, columns, rng)
    scales = [np.ones(len(scale)), scale / np.sqrt(np.mean(scale**2))]
    grid = list(product(scales, SHRINKAGES, PSEUDO_CLASSES))
    losses = np.zeros(len(grid))
    fold = _folds(task, code, rng)
    for validation in np.unique(fold):
        train, test = fold != validation, fold == validation
        sampler = _sampler(X[test], code[test], task[test])
        if not train.any() or not len(sampler.drawable):
            continue
        batch = sampler.draw(N_EPISODES, rng)
        of = moments(X[train], code[train], task[train])
        losses += [_loss(discriminants(of, *setting), batch) for setting in grid]
    best = grid[int(np.argmin(losses))]
    return discriminants(moments(X, code, task), *best)


def _sample_classes(tasks, columns, rng):
    """Columns, tasks and class codes of the rows of some classes."""
    task, code = number_classes(tasks)
    rank = rng.permutation(code.max() + 1)
    rows = np.argsort(rank[code], kind="stable")[:MAX_ROWS]  # whole classes
    return columns(tasks.X[rows]).astype(np.float64), task[rows], code[rows]


def _folds(task, code, rng):
    """Two folds (n_rows,), each with half of the classes of a task, or all of few."""
    fold = np.zeros(len(task), int)
    for t in np.unique(task):
        classes = rng.permutation(np.unique(code[task == t]))
        half = classes[: len(classes) // 2] if len(classes) > 3 else classes
        fold[np.isin(code, half) & (task == t)] = 1
        if len(classes) <= 3 and rng.random() < 0.5:
            fold[task == t] = 0
    return fold


def _sampler(X, code, task):
    """Draws N-way episodes from rows."""
    order = np.argsort(task, kind="stable")
    names, starts = np.unique(task[order], return_index=True)
    offsets = np.append(starts, len(order))
    rows = torch.from_numpy(X[order])
    tasks = TaskCollection._of(X[order], code[order], offsets, names, None)
    return NWaySampler(tasks, rows, WAY, SHOTS, N_QUERY)


def _loss(found, batch):
    """Query loss of PLDA in these features, at the best of `TEMPERATURES`."""
    z = batch.x @ torch.from_numpy(found.projection).T
    weight, z_support, y_support = select_role(batch.support.double(), z, batch.y)
    between = torch.from_numpy(found.between).expand(len(weight), -1)
    within = torch.ones_like(between)
    means = class_means(z_support, one_hot(y_support, weight), within, between)
    logits = class_logits(means, select_role(batch.query, z)[1], within)
    y, query = batch.target()
    losses = [
        (row_losses(Categorical(mask_absent(t * logits, means)), y) * query).sum()
        for t in TEMPERATURES
    ]
    return float(min(losses) / query.sum())
