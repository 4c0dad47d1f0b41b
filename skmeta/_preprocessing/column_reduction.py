"""Reduction of very many columns to few: the most relevant, and principal components.

Column attention and the covariance of slopes cost the square of the number of columns.
Of more than `MAX_COLUMNS`, those with the strongest marginal association with the
targets are kept (sure independence screening, Fan and Lv 2008), along with principal
components of all.
"""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.utils.extmath import randomized_svd, svd_flip

from .scaling import FeatureScaler

MAX_COLUMNS = 64
N_KEPT, N_COMPONENTS = 32, 32

MAX_ROWS = 5_000
"""Rows that associations and components are computed from, at most."""

ROWS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class ReducedScaler:
    """Standardises and reduces very many columns; used as `FeatureScaler`.

    Attributes
    ----------
    many : FeatureScaler
        Standardises all columns.
    kept : ndarray of int, shape (n_kept,)
        Columns that are kept.
    components : ndarray of shape (n_components, n_many)
        Orthonormal directions in the standardised columns.
    few : FeatureScaler
        Standardises the kept columns and the components.
    """

    many: FeatureScaler
    kept: np.ndarray
    components: np.ndarray
    few: FeatureScaler
    is_costly = True

    @property
    def mean(self):
        """Of the reduced columns, as in `FeatureScaler`."""
        return self.few.mean

    @property
    def scale(self):
        """Of the reduced columns, as in `FeatureScaler`."""
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
        """As `FeatureScaler.affine`: A (n_columns, n_many) and b (n_columns,)."""
        to_few, offset = self.few.affine()
        kept = np.zeros((len(self.kept), len(self.many.mean)))
        kept[np.arange(len(kept)), self.kept] = 1.0
        matrix = to_few @ np.vstack([kept, self.components]) / self.many.scale
        return matrix, offset - matrix @ self.many.mean

    def by_feature(self, relevance):
        """Relevance of each of the many columns, from that of each reduced column."""
        n = len(self.kept)
        total = relevance[n : n + len(self.components)] @ self.components**2
        total[self.kept] += relevance[:n]
        return total


def fit_features_of(tasks, classes, weight=None):
    """`fit_features` of the rows of a `TaskCollection`."""
    task = np.repeat(np.arange(len(tasks)), np.diff(tasks.offsets))
    return fit_features(tasks.X, tasks.y, task, classes, weight)


def fit_features(X, y, task, classes, weight=None):
    """Fit a scaler of columns, which also reduces very many.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
        Without missing values.
    y, task : ndarray of shape (n_rows,)
        The target of each row, and the number of its task.
    classes : {"shared", "own"} or None
        Whether targets are classes, shared by tasks or task-specific.
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
    """Principal directions (n_components, n_many) of one or more rows."""
    n = min(N_COMPONENTS, *x.shape)
    left, _, right = randomized_svd(x - x.mean(0), n, random_state=0, flip_sign=False)
    return svd_flip(left, right, u_based_decision=False)[1]


def _few(reduced, rows):
    """Columns (n, n_kept + n_components), not yet standardised, of rows (n, n_many)."""
    x = reduced.many.transform(rows, np.float64)
    return np.hstack([x[:, reduced.kept], x @ reduced.components.T])


def association(x, y, task, classes):
    """Association of each column with the targets, (n_columns,).

    The share of explained variance of the targets (of the column, if targets are
    classes), by an effect common to all tasks, or by task-specific effects, whichever
    is more, minus what is expected by chance.

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
        common = (x.T @ y / n) ** 2
        y = y - _means(y[:, None], task)[task, 0]
        slopes = _sums(within * y[:, None], task)
        squares = np.maximum(_sums(within**2, task), 1e-12)
        specific = (slopes**2 / squares).sum(0) / max(float(y @ y), 1e-12)
        return np.maximum(common - 1 / n, specific - n_tasks / max(n - n_tasks, 1))
    _, label = np.unique(y, return_inverse=True)
    _, of_task = np.unique(task * (label.max() + 1) + label, return_inverse=True)
    specific = _explained(within, of_task, n_tasks)
    if classes == "own":
        return specific
    return np.maximum(_explained(x, label, 1), specific)


def _explained(x, group, n_means):
    """Share of the variance of columns between groups, minus that due to chance."""
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
