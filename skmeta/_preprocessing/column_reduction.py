"""Very many columns become few: those that matter most, and what all have in common.

A network that weighs columns, and a covariance of their slopes, cost the square of
their number. Where there are more than `MAX_COLUMNS`, half as many of them are kept as
they are, those that tell most of the targets one by one (sure independence screening,
Fan and Lv 2008), and as many principal components stand for them all.
"""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.utils.extmath import randomized_svd, svd_flip

from .scaling import FeatureScaler

MAX_COLUMNS = 64
N_KEPT, N_COMPONENTS = 32, 32

MAX_ROWS = 5_000
"""Rows that are looked at, at most."""

ROWS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class ReducedScaler:
    """Standardised columns that stand for very many; used as a `FeatureScaler` is.

    Attributes
    ----------
    many : FeatureScaler
        Standardises the many.
    kept : ndarray of int, shape (n_kept,)
        Those that are kept.
    components : ndarray of shape (n_components, n_many)
        Orthonormal directions in the standardised columns.
    few : FeatureScaler
        Standardises those that are kept, and the components behind them.
    """

    many: FeatureScaler
    kept: np.ndarray
    components: np.ndarray
    few: FeatureScaler
    is_costly = True

    @property
    def mean(self):
        """Of the columns that there are in the end, as `FeatureScaler` has it."""
        return self.few.mean

    @property
    def scale(self):
        """Of the columns that there are in the end, as `FeatureScaler` has it."""
        return self.few.scale

    def transform(self, X, dtype=np.float32):
        """Standardised columns (..., n_kept + n_components) of rows (..., n_many)."""
        rows = X.reshape(-1, X.shape[-1])
        chunks = [
            self.few.transform(_few(self, rows[i : i + ROWS_AT_ONCE]), dtype)
            for i in range(0, max(1, len(rows)), ROWS_AT_ONCE)
        ]
        return np.concatenate(chunks).reshape(*X.shape[:-1], len(self.mean))

    def affine(self):
        """As `FeatureScaler` has it: A (n_columns, n_many) and b (n_columns,)."""
        to_few, offset = self.few.affine()
        kept = np.zeros((len(self.kept), len(self.many.mean)))
        kept[np.arange(len(kept)), self.kept] = 1.0
        matrix = to_few @ np.vstack([kept, self.components]) / self.many.scale
        return matrix, offset - matrix @ self.many.mean

    def by_feature(self, relevance):
        """Relevance of each of the many columns, from that of each that there is."""
        n = len(self.kept)
        total = relevance[n : n + len(self.components)] @ self.components**2
        total[self.kept] += relevance[:n]
        return total


def fit_features_of(tasks, classes, weight=None):
    """`fit_features` of the rows of a `TaskCollection`."""
    task = np.repeat(np.arange(len(tasks)), np.diff(tasks.offsets))
    return fit_features(tasks.X, tasks.y, task, classes, weight)


def fit_features(X, y, task, classes, weight=None):
    """What standardises columns, and makes few of very many.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
        Without missing values.
    y, task : ndarray of shape (n_rows,)
        The target of each row, and its task, numbered in order.
    classes : {"shared", "own"} or None
        Whether targets are classes, and whether tasks share them.
    weight : ndarray of shape (n_rows,), default=None
        How often each row counts in means and deviations.

    Returns
    -------
    features : FeatureScaler or ReducedScaler
    """
    many = FeatureScaler.fit(X, weight)
    if X.shape[1] <= MAX_COLUMNS:
        return many
    x = many.transform(X[:MAX_ROWS], np.float64)
    told = association(x, y[:MAX_ROWS], task[:MAX_ROWS], classes)
    kept = np.sort(np.argsort(-told, kind="stable")[:N_KEPT])
    reduced = ReducedScaler(many, kept, _components(x), None)
    chunks = range(0, len(X), ROWS_AT_ONCE)
    few = np.concatenate([_few(reduced, X[i : i + ROWS_AT_ONCE]) for i in chunks])
    return replace(reduced, few=FeatureScaler.fit(few, weight))


def _components(x):
    """Principal directions (n_components, n_many) of rows, of one row alone too."""
    n = min(N_COMPONENTS, *x.shape)
    left, _, right = randomized_svd(x - x.mean(0), n, random_state=0, flip_sign=False)
    return svd_flip(left, right, u_based_decision=False)[1]


def _few(reduced, rows):
    """Columns (n, n_kept + n_components), not yet standardised, of rows (n, n_many)."""
    x = reduced.many.transform(rows, np.float64)
    return np.hstack([x[:, reduced.kept], x @ reduced.components.T])


def association(x, y, task, classes):
    """How much each column tells of the targets, (n_columns,).

    The share of the variance of targets (of columns, where targets are classes) that
    they explain: in all tasks alike, or in each task in a way of its own, whichever is
    more, less what chance would explain.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_columns)
        Standardised.
    y, task : ndarray of shape (n_rows,)
    classes : {"shared", "own"} or None
    """
    n_tasks, n = task.max() + 1, len(task)
    within = x - _means(x, task)[task]
    if classes is None:
        y = (y - y.mean()) / (y.std() or 1.0)
        alike = (x.T @ y / n) ** 2
        y = y - _means(y[:, None], task)[task, 0]
        slopes = _sums(within * y[:, None], task)
        squares = np.maximum(_sums(within**2, task), 1e-12)
        own = (slopes**2 / squares).sum(0) / max(float(y @ y), 1e-12)
        return np.maximum(alike - 1 / n, own - n_tasks / max(n - n_tasks, 1))
    _, label = np.unique(y, return_inverse=True)
    _, of_task = np.unique(task * (label.max() + 1) + label, return_inverse=True)
    own = _explained(within, of_task, n_tasks)
    return own if classes == "own" else np.maximum(_explained(x, label, 1), own)


def _explained(x, group, n_means):
    """Share of the variance of columns between groups, less that of chance."""
    means = _means(x, group)
    total = np.maximum((x**2).sum(0), 1e-12)
    between = (np.bincount(group)[:, None] * means**2).sum(0) / total
    return between - (len(means) - n_means) / len(x)


def _sums(x, group):
    """Sums (n_groups, n_columns) of the rows of groups."""
    sums = np.zeros((group.max() + 1, x.shape[1]))
    np.add.at(sums, group, x)
    return sums


def _means(x, group):
    return _sums(x, group) / np.bincount(group)[:, None]
