"""Raw rows and targets to the scale that the networks see, and back."""

from dataclasses import dataclass

import numpy as np

CLIP = 8.0
"""Standard deviations from the mean beyond which a feature is cut off."""

MAX_TARGET = 1e15
"""Scaled targets beyond which squares and their sums lose all meaning in float32."""

CHUNK = 100_000

NUMBERED = (
    " scikit-learn's voting, stacking and bagging number the classes of a task before "
    "they pass them on: for these, meta-train on numbered classes."
)


@dataclass(frozen=True, eq=False)
class FeatureScaler:
    """Standardises features by the mean and sd of the meta-training rows.

    Attributes
    ----------
    mean, scale : ndarray of shape (n_features,)
        ``scale`` is 1 for a column that never varies.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, X, weight=None):
        """Learn from ``X`` (n_rows, n_features), a chunk of rows at a time.

        ``weight`` (n_rows,) says how often each row counts.
        """
        n = len(X)
        weight = np.ones(n) if weight is None else np.asarray(weight, np.float64)
        chunks = [slice(i, i + CHUNK) for i in range(0, n, CHUNK)]
        total = weight.sum()
        mean = sum(weight[c] @ X[c] for c in chunks) / total
        square = sum(weight[c] @ np.square(X[c] - mean) for c in chunks)
        constant = X.min(0) == X.max(0)
        mean = np.where(constant, X[0], mean)
        scale = np.sqrt(square / total)
        return cls(mean, np.where(constant | (scale == 0), 1.0, scale))

    def transform(self, X, dtype=np.float32):
        """Scale rows of shape (..., n_features)."""
        scaled = (X - self.mean) / self.scale
        return np.clip(scaled, -CLIP, CLIP, out=scaled).astype(dtype)


@dataclass(frozen=True, eq=False)
class TargetScaler:
    """Targets of regression tasks in units of what the pooled estimator leaves open.

    Attributes
    ----------
    mean : float
        Mean of the meta-training targets.
    scale : float
        Standard deviation of the residuals of the pooled estimator (of the targets,
        without one).
    """

    mean: float
    scale: float
    n_outputs = 1
    dtype = np.dtype(np.float64)

    @property
    def unit(self):
        """What one unit of a scaled target is worth."""
        return self.scale

    @classmethod
    def fit(cls, y, prior=None, weight=None):
        """Learn from targets (n_rows,) and pooled predictions (n_rows, 1) or None.

        ``weight`` (n_rows,) says how often each row counts.
        """
        y = y.astype(np.float64, copy=False)
        mean = float(np.average(y, weights=weight))
        residual = y - (mean if prior is None else prior[:, 0])
        with np.errstate(over="ignore"):
            scale = float(np.sqrt(np.average(np.square(residual), weights=weight)))
        if not np.isfinite(scale):
            raise ValueError(
                f"The targets, from {y.min():.3g} to {y.max():.3g}, are too large to "
                "compute their standard deviation. Look for an error in the data, or "
                "in its units."
            )
        return cls(mean, scale if scale > 1e-12 * (1 + abs(mean)) else 1.0)

    def transform(self, y, dtype=np.float32):
        """Scale targets (...).

        Raises
        ------
        ValueError
            If a target is out of all proportion to those of meta-training.
        """
        scaled = (y - self.mean) / self.scale
        if np.max(np.abs(scaled), initial=0) > MAX_TARGET:
            furthest = np.ravel(y)[np.argmax(np.abs(scaled))]
            raise ValueError(
                f"The target {furthest:.3g} is more than {MAX_TARGET:.0e} standard "
                f"deviations ({self.scale:.3g}) from the mean ({self.mean:.3g}) of the "
                "targets learned from. Look for an error in the data, or in its units."
            )
        return scaled.astype(dtype)

    def transform_prior(self, prior):
        """Scale pooled predictions (..., 1), to float32."""
        return ((prior - self.mean) / self.scale).astype(np.float32)


@dataclass(frozen=True, eq=False)
class LabelEncoder:
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
        """Encode labels (...) as integers, whatever ``dtype``.

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
                "tasks that have these labels; if every task has classes of its own, "
                "with shared_classes=False." + NUMBERED * numbered
            )
        return code

    def transform_prior(self, prior):
        """Pooled centred log-probabilities (..., n_classes), as they are."""
        return np.asarray(prior, dtype=np.float32)
