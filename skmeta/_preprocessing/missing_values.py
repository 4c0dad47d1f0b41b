"""Imputation of missing values and outliers."""

from dataclasses import dataclass, replace

import numpy as np

from .outliers import inlier_ranges


@dataclass(frozen=True, eq=False)
class MissingValues:
    """Imputes missing values by the mean, and adds indicator columns.

    As scikit-learn's `SimpleImputer` with ``add_indicator=True``, but with weights of
    rows, rows of any shape, and outliers that count as missing.

    Attributes
    ----------
    fill : ndarray of shape (n_features,), or that of a row
        What a missing value becomes: the mean of those present.
    indicated : ndarray of int, shape (n_indicators,)
        Features with missing values in `fit`. Each has an indicator column after those
        of the features, 1 where its value is missing.
    low, high : ndarray of shape (n_features,) or None
        Values beyond them are outliers, and count as missing. None if there are none.
    """

    fill: np.ndarray
    indicated: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None

    @classmethod
    def fit(cls, X, weight=None, *, indicates=True, bounds=True):
        """Learn from rows.

        Parameters
        ----------
        X : ndarray of shape (n_rows, ...)
        weight : ndarray of shape (n_rows,), default=None
            How often each row counts.
        indicates : bool, default=True
            Whether to add indicator columns; rows must then be vectors.
        bounds : bool, default=True
            Whether to look for outliers, where rows are vectors.
        """
        if bounds and X.ndim == 2:
            low, high = inlier_ranges(X)
            if low is not None:
                X = _mask(X, low, high)
                fitted = cls.fit(X, weight, indicates=indicates, bounds=False)
                return replace(fitted, low=low, high=high)
        weight = np.ones(len(X)) if weight is None else weight
        if not _has_missing(X):
            mean = np.tensordot(weight, X, 1) / weight.sum()
            return cls(mean, np.empty(0, int))
        absent = np.isnan(X)
        total = np.tensordot(weight, ~absent, 1)
        fill = np.tensordot(weight, np.where(absent, 0, X), 1)
        fill = fill / np.where(total == 0, 1, total)
        indicated = np.flatnonzero(absent.any(0)) if indicates else np.empty(0, int)
        return cls(fill, indicated)

    def mask_outliers(self, X):
        """Rows ``X`` (n_rows, ...) with NaN in place of outliers."""
        return X if self.low is None else _mask(X, self.low, self.high)

    def transform(self, X):
        """Impute rows ``X`` (n_rows, ...): (n_rows, n_features + n_indicators)."""
        X = self.mask_outliers(X)
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


def _mask(X, low, high):
    outlying = (low > X) | (high < X)
    return np.where(outlying, np.nan, X).astype(X.dtype) if outlying.any() else X


def _has_missing(X):
    """Whether there is NaN among finite numbers, without a temporary array."""
    with np.errstate(over="ignore"):
        return bool(np.isnan(np.sum(X)))
