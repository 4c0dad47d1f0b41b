"""What takes the place of values that are missing, or wild."""

from dataclasses import dataclass, replace

import numpy as np

from .wild_values import plausible_ranges


@dataclass(frozen=True, eq=False)
class MissingValues:
    """Fills in missing values, and says in columns of their own where they were.

    Attributes
    ----------
    fill : ndarray of shape (n_features,), or that of a row
        What a missing value becomes: the mean of those there are.
    indicated : ndarray of int, shape (n_indicators,)
        Features of which values were missing when this was fitted. Each has a column
        after those of the features, 1 where its value is missing.
    low, high : ndarray of shape (n_features,) or None
        Values beyond them are wild, and as if missing. None where there are none.
    """

    fill: np.ndarray
    indicated: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None

    @classmethod
    def fit(cls, X, weight=None, *, indicates=True, bounds=True):
        """Learn from ``X`` (n_rows, ...).

        ``weight`` (n_rows,) says how often each row counts; ``indicates``, whether
        there are columns that say where values were missing, for which rows must be
        vectors; ``bounds``, whether wild values of such are looked for.
        """
        if bounds and X.ndim == 2:
            low, high = plausible_ranges(X)
            if low is not None:
                some = cls(np.empty(0), np.empty(0, int), low, high)
                of_rest = cls.fit(
                    some.marked(X), weight, indicates=indicates, bounds=False
                )
                return replace(of_rest, low=low, high=high)
        weight = np.ones(len(X)) if weight is None else weight
        nothing = np.empty(0, int)
        if not _has_missing(X):
            return cls(np.tensordot(weight, X, 1) / weight.sum(), nothing)
        absent = np.isnan(X)
        total = np.tensordot(weight, ~absent, 1)
        fill = np.tensordot(weight, np.where(absent, 0, X), 1)
        fill = fill / np.where(total == 0, 1, total)
        return cls(fill, np.flatnonzero(absent.any(0)) if indicates else nothing)

    def marked(self, X):
        """Rows ``X`` (n_rows, ...) with NaN in place of wild values."""
        if self.low is None:
            return X
        wild = (self.low > X) | (self.high < X)
        return np.where(wild, np.nan, X).astype(X.dtype) if wild.any() else X

    def columns(self, X):
        """Columns (n_rows, n_features + n_indicators) of rows ``X`` (n_rows, ...)."""
        X = self.marked(X)
        if len(self.indicated) == 0 and not _has_missing(X):
            return X
        absent = np.isnan(X)
        filled = np.where(absent, self.fill.astype(X.dtype), X)
        if len(self.indicated) == 0:
            return filled
        return np.hstack([filled, absent[:, self.indicated].astype(X.dtype)])

    def by_feature(self, relevance):
        """Relevance of each feature (n_features,), from that of each column."""
        n = len(self.fill)
        total = relevance[:n].copy()
        total[self.indicated] += relevance[n : n + len(self.indicated)]
        return total


def _has_missing(X):
    """Whether there is NaN among finite numbers, without an array as large."""
    with np.errstate(over="ignore"):
        return bool(np.isnan(np.sum(X)))
