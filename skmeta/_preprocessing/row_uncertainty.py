"""Uncertainty of predictions for rows with missing values, or outside of the range.

The prediction then depends on an imputed value, or on extrapolation, which the variance
of the learner does not include. Both are computed from its predictions at companions of
the row: rows with other values in place of the missing one, and rows from the end of
the range of a feature to its middle.

A support row with a missing value carries less information about the task, as a row of
lower weight. How much less follows from the prior predictions at its companions.
"""

from dataclasses import dataclass, replace

import numpy as np

N_LEVELS = 8
"""Values that take the place of a missing one."""

N_STEPS = 4
"""Steps from the end of a feature's range to its middle."""

MAX_ALONE = 16
"""Features outside of their range that are treated one by one; others together."""

MAX_ROWS = 20_000
"""Rows that levels are computed from, at most."""


@dataclass(frozen=True, eq=False)
class FeatureRange:
    """The ranges and quantiles of the features of meta-training rows.

    Attributes
    ----------
    low, high : ndarray of shape (n_features,)
        The least and the largest value of each feature.
    levels : ndarray of shape (n_levels, n_features)
        Quantiles of each feature, each in another random order, so that a row is a draw
        of independent features (a Latin hypercube, McKay, Beckman and Conover 1979).
    """

    low: np.ndarray
    high: np.ndarray
    levels: np.ndarray

    @classmethod
    def fit(cls, X):
        """Learn from rows ``X`` (n_rows, n_features) without missing values."""
        rng = np.random.default_rng(0)
        some = X[rng.permutation(len(X))[:MAX_ROWS]]
        q = (np.arange(N_LEVELS) + 0.5) / N_LEVELS
        levels = np.quantile(some, q, axis=0, method="nearest").astype(np.float64)
        levels = rng.permuted(levels, axis=0)
        ends = (end.astype(np.float64) for end in (X.min(0), X.max(0)))
        return cls(*ends, levels)

    def including(self, X):
        """Extend the ranges to the rows ``X`` (n_rows, n_features) of a task."""
        if len(X) == 0:
            return self
        low, high = np.fmin(self.low, np.fmin.reduce(X)), np.fmax.reduce(X)
        return replace(self, low=low, high=np.fmax(self.high, high))

    def filled(self, X, missing):
        """Rows ``X`` (n_rows, n_features) with each level in place of missing values.

        ``missing`` is a mask of their shape; (n_levels, n_rows, n_features).
        """
        return np.where(missing, self.levels[:, None], X)

    def companions(self, X):
        """`Companions` of rows ``X`` (n_rows, n_features), or None if all are known.

        Values may be missing (NaN). A row with another value of a constant feature
        counts as one without any value.
        """
        missing, inside = np.isnan(X), np.clip(X, self.low, self.high)
        half = (self.high - self.low) / 2
        beyond = np.where(missing, 0.0, X - inside)
        missing = missing | ((half == 0) & (beyond != 0)).any(1, keepdims=True)
        beyond[missing | np.broadcast_to(half == 0, X.shape)] = 0.0
        holey = np.flatnonzero(missing.any(1))
        outside = np.flatnonzero(beyond.any(0))
        if len(holey) == len(outside) == 0:
            return None
        rows = [*self.filled(X[holey], missing[holey])]
        leaves = []
        for features in _one_by_one(outside, beyond):
            at = np.flatnonzero(beyond[:, features].any(1))
            middle = self.low[features] + half[features]
            for step in np.linspace(0, 1, N_STEPS + 1):
                moved = inside[at]
                end = moved[:, features]
                moved[:, features] = end + step * (middle - end)
                rows.append(moved)
            far = beyond[np.ix_(at, features)] / half[features]
            direction = np.sign(far[np.arange(len(at)), np.abs(far).argmax(1)])
            leaves.append((at, direction * _drift(np.sqrt((far**2).sum(1)))))
        return Companions(len(X), holey, leaves, np.concatenate(rows))


def _drift(distance):
    """Standard deviation of an integrated Wiener process at a distance.

    Its slope is a random walk (Rasmussen and Williams 2006, eq. 6.28).
    """
    return distance**1.5 / np.sqrt(3)


def _one_by_one(outside, beyond):
    """Groups of the features ``outside``: one by one, but for the least frequent."""
    often = outside[np.argsort(-(beyond[:, outside] != 0).sum(0), kind="stable")]
    groups = [[j] for j in often[:MAX_ALONE]]
    rest = often[MAX_ALONE:]
    return [*groups, rest] if len(rest) else groups


@dataclass(frozen=True, eq=False)
class Companions:
    """Rows to be predicted, and the variance computed from their predictions.

    Attributes
    ----------
    n_rows : int
        Number of rows whose companions they are.
    holey : ndarray of int
        Those with missing values, of which there are `N_LEVELS` companions each.
    leaves : list of (ndarray of int, ndarray)
        For each feature, or group of them, the rows outside of its range, and the
        deviation of the function there, signed and in units of its slope per half of
        the range; with ``N_STEPS + 1`` companions each.
    X : ndarray of shape (n_companions, n_features)
    """

    n_rows: int
    holey: np.ndarray
    leaves: list
    X: np.ndarray

    def independent(self, location):
        """Variance (n_rows, n_outputs) due to missing values.

        ``location`` (n_companions, n_outputs) is predicted for the companions.
        """
        variance = np.zeros((self.n_rows, location.shape[1]))
        n = N_LEVELS * len(self.holey)
        of_level = location[:n].reshape(N_LEVELS, len(self.holey), location.shape[1])
        variance[self.holey] = of_level.var(0)
        return variance

    def shared(self, location):
        """Deviations (n_rows, n_outputs) of extrapolation, one for each feature.

        Rows share the deviation of a feature. Outside of the range its slope is a
        random walk, scaled by the root mean square of the slope from the end of the
        range to its middle.
        """
        start = N_LEVELS * len(self.holey)
        for at, far in self.leaves:
            stop = start + (N_STEPS + 1) * len(at)
            deviation = np.zeros((self.n_rows, location.shape[1]))
            path = location[start:stop].reshape(N_STEPS + 1, *deviation[at].shape)
            slope = N_STEPS * np.sqrt((np.diff(path, axis=0) ** 2).mean(0))
            deviation[at] = slope * far[:, None]
            yield deviation
            start = stop

    def variance(self, location):
        """All variance (n_rows, n_outputs) that is not that of the learner."""
        shared = (deviation**2 for deviation in self.shared(location))
        return sum(shared, self.independent(location))


def sharpness(variance):
    """Squared factor (n_rows, 1) by which uncertain logits shrink.

    The approximation of the mean over latents in `predict_logits`.

    Parameters
    ----------
    variance : ndarray of shape (n_rows, n_classes)
        Of the logits less their mean; n_classes is 2 or more.
    """
    n_classes = variance.shape[1]
    of_difference = 2 * n_classes / (n_classes - 1) * variance.mean(1, keepdims=True)
    return 1 / (1 + np.pi / 8 * of_difference)
