"""Scaling of rows and targets for the networks, and its inverse."""

from dataclasses import dataclass

import numpy as np

CLIP = 8.0
"""Standard deviations from the mean at which features are clipped for networks."""

FURTHEST, FURTHEST_OFFSET = 1e6, 1e9
"""Standard deviations at which features, and pooled predictions, are clipped: in a
covariance the squares of larger ones would leave no digits for all else."""

MAX_TARGET = 1e15
"""Largest scaled target whose squares can be summed in float32."""

FAR_FROM_ZERO = 2.0**16
"""Standard deviations from zero from which targets have an offset."""

NEGLIGIBLE = 1e-12
"""Residuals of a pooled estimator, relative to targets, that are rounding errors."""

CHUNK = 100_000

NUMBERED = (
    " scikit-learn's voting, stacking and bagging number the classes of a task before "
    "they pass them on: for these, meta-train on numbered classes."
)


@dataclass(frozen=True, eq=False)
class FeatureScaler:
    """Standardises features by the mean and standard deviation of meta-training rows.

    As scikit-learn's `StandardScaler`, but exact for columns of any size and at any
    distance from zero.

    Attributes
    ----------
    mean, scale : ndarray of shape (n_features,)
        ``scale`` is 1 for a constant column.
    """

    mean: np.ndarray
    scale: np.ndarray
    is_costly = False

    @classmethod
    def fit(cls, X, weight=None):
        """Learn from ``X`` (n_rows, n_features), in chunks of rows.

        ``weight`` (n_rows,) says how often each row counts.
        """
        n = len(X)
        weight = np.ones(n) if weight is None else np.asarray(weight, np.float64)
        chunks = [slice(i, i + CHUNK) for i in range(0, n, CHUNK)]
        total, unit = weight.sum(), power_of_two(np.abs(X).max(0))
        mean = sum(weight[c] @ (X[c] / unit) for c in chunks) / total * unit
        deviation = power_of_two(np.maximum(X.max(0) - mean, mean - X.min(0)))
        square = sum(weight[c] @ np.square((X[c] - mean) / deviation) for c in chunks)
        constant = X.min(0) == X.max(0)
        mean = np.where(constant, X[0], mean)
        scale = np.sqrt(square / total) * deviation
        return cls(mean, np.where(constant | (scale == 0), 1.0, scale))

    def transform(self, X, dtype=np.float32):
        """Scale rows of shape (..., n_features)."""
        with np.errstate(over="ignore"):
            scaled = (X - self.mean) / self.scale
        return np.clip(scaled, -FURTHEST, FURTHEST, out=scaled).astype(dtype)

    def affine(self):
        """Matrix A and offset b of the map from rows x to ``A @ x + b``, unclipped.

        Returns
        -------
        matrix : ndarray of shape (n_columns, n_features)
        offset : ndarray of shape (n_columns,)
        """
        slopes = 1 / self.scale
        return np.diag(slopes), -self.mean * slopes

    def by_feature(self, relevance):
        """Relevance of each feature, from that of each column (n_features or more,)."""
        return relevance[: len(self.mean)]


def power_of_two(size):
    """Powers of two near sizes, 1 for 0: dividing by them is exact."""
    _, exponent = np.frexp(np.asarray(size, np.float64))
    return np.ldexp(1.0, np.clip(exponent, -1000, 1000))


@dataclass(frozen=True, eq=False)
class TargetScaler:
    """Regression targets in units of the residuals of the pooled estimator.

    Attributes
    ----------
    mean : float
        Mean of the meta-training targets, less ``offset``.
    scale : float
        Standard deviation of the residuals of the pooled estimator (of the targets,
        without one). For constant targets their absolute value; for zeros, 1.
    offset : float
        Subtracted first from all targets, which is exact. It is 0 unless the targets
        are so far from zero (Unix time, coordinates) that rounding matters; then it is
        one of them.
    """

    mean: float
    scale: float
    offset: float = 0.0
    n_outputs = 1
    dtype = np.dtype(np.float64)

    @property
    def unit(self):
        """The size of one unit of a scaled target."""
        return self.scale

    @classmethod
    def fit(cls, y, pooled=None, weight=None):
        """Learn from targets (n_rows,) and pooled predictions (n_rows, 1) or None.

        ``weight`` (n_rows,) says how often each row counts; pooled predictions are
        those of targets less `offset_of` them.
        """
        y, offset = y.astype(np.float64, copy=False), offset_of(y)
        y = y - offset
        unit = float(power_of_two(np.abs(y).max()))
        mean = float(np.average(y / unit, weights=weight)) * unit
        scale = spread = _root_mean_square(y - mean, weight)
        if pooled is not None:
            scale = _root_mean_square(y - pooled[:, 0], weight)
        size = spread or abs(offset) or 1.0
        if not scale > NEGLIGIBLE * size:
            scale = size
        return cls(mean, scale, offset)

    def transform(self, y, dtype=np.float32):
        """Scale targets (...).

        Raises
        ------
        ValueError
            If a target is more than `MAX_TARGET` from those of meta-training.
        """
        with np.errstate(over="ignore"):
            scaled = (y - self.offset - self.mean) / self.scale
        if np.max(np.abs(scaled), initial=0) > MAX_TARGET:
            furthest = np.ravel(y)[np.argmax(np.abs(scaled))]
            raise ValueError(
                f"The target {furthest:.3g} is more than {MAX_TARGET:.0e} standard "
                f"deviations ({self.scale:.3g}) from the mean "
                f"({self.offset + self.mean:.3g}) of the targets learned from. Look "
                "for an error in the data, or in its units."
            )
        return scaled.astype(dtype)

    def transform_offset(self, pooled):
        """Scale pooled predictions (..., 1) of targets less the offset, to float32."""
        scaled = (pooled - self.mean) / self.scale
        return np.clip(scaled, -FURTHEST_OFFSET, FURTHEST_OFFSET).astype(np.float32)

    def inverse_transform(self, scaled):
        """Targets (...) from scaled ones."""
        return self.offset + (self.mean + self.scale * scaled)


def offset_of(y):
    """The offset of targets (n_rows,) that are far from zero; else 0."""
    y = y.astype(np.float64, copy=False)
    one = float(np.partition(y, (len(y) - 1) // 2)[(len(y) - 1) // 2])  # as they are
    with np.errstate(over="ignore"):
        spread = _root_mean_square(y - one)
    return one if abs(one) > FAR_FROM_ZERO * spread else 0.0


def _root_mean_square(values, weight=None):
    """Root mean square without overflow or underflow."""
    unit = float(power_of_two(np.abs(values).max()))
    return float(np.sqrt(np.average(np.square(values / unit), weights=weight))) * unit


@dataclass(frozen=True, eq=False)
class ClassCodec:
    """Class labels as the integers 0, ..., n_classes - 1.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        Sorted.
    """

    classes: np.ndarray
    unit = 1.0

    @property
    def dtype(self):
        return self.classes.dtype

    @property
    def n_outputs(self):
        return len(self.classes)

    def transform(self, y, dtype=None):
        """Encode labels (...) as integers; ``dtype`` is ignored.

        Raises
        ------
        ValueError
            If a label is not one of ``classes``.
        """
        code = np.searchsorted(self.classes, y).clip(max=len(self.classes) - 1)
        known = self.classes[code] == y
        if not np.all(known):
            unknown = np.unique(np.asarray(y)[~known]).tolist()
            numbered = set(unknown) <= set(range(len(self.classes)))
            raise ValueError(
                f"Labels {unknown} were not in the meta-training tasks, whose classes "
                f"are {self.classes.tolist()}. Leave such rows out, or meta_fit with "
                "tasks that have these labels; if classes are task-specific, "
                "with shared_classes=False." + NUMBERED * numbered
            )
        return code

    def transform_offset(self, pooled):
        """Pooled centred log-probabilities (..., n_classes), unchanged."""
        return np.asarray(pooled, dtype=np.float32)
