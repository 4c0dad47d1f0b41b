"""What `meta_fit` of a baseline learns: the prior of a task, before its first row."""

from dataclasses import dataclass, field

import numpy as np

from .._classical.linear_mixed_model import LinearMixedModel
from .._classical.logistic_mixed_model import LogisticMixedModel
from .._classical.pooled import PooledPredictor
from .._preprocessing.column_reduction import ReducedScaler
from .._preprocessing.design_matrix import design_matrix
from .._preprocessing.scaling import FeatureScaler, TargetScaler
from ._shared_gp import SharedGaussianProcess, SharedLatentProcess


@dataclass(frozen=True, eq=False)
class MixedPrior:
    """A mixed model of standardised rows and targets.

    ``columns`` (n_random,) are those of the design matrix that have random effects.
    """

    scaler: FeatureScaler | ReducedScaler
    y_mean: float
    y_scale: float
    columns: np.ndarray
    model: LinearMixedModel | LogisticMixedModel
    classes: np.ndarray | None = None
    y_offset: float = 0.0

    @property
    def targets(self):
        """What standardises the targets."""
        return TargetScaler(self.y_mean, self.y_scale, self.y_offset)

    def fixed(self, X):
        """Fixed part of the linear predictor of rows, and the design of the random."""
        design = design_matrix(X, self.scaler)
        return design @ self.model.coef, design[:, self.columns]

    def in_units(self):
        """Matrix that takes effects of standardised rows to those of raw ones.

        Shape (1 + n_features, 1 + n_columns), the intercept first.
        """
        matrix, offset = self.scaler.affine()
        intercept = np.r_[1.0, np.zeros(matrix.shape[1])]
        slopes = np.vstack([offset, matrix.T])
        return self.y_scale * np.column_stack([intercept, slopes])

    def random_in_units(self):
        """The columns of :meth:`in_units` that belong to random effects."""
        return self.in_units()[:, self.columns]


@dataclass(frozen=True, eq=False)
class PooledPrior:
    """A pooled estimator, and a model of the residual of each task.

    ``columns`` (n_columns,) are those of the design matrix that the model sees.
    """

    pooled: PooledPredictor
    scaler: FeatureScaler | ReducedScaler
    columns: np.ndarray
    model: (
        LinearMixedModel
        | LogisticMixedModel
        | SharedGaussianProcess
        | SharedLatentProcess
        | None
    )
    targets: TargetScaler = field(default=TargetScaler(0.0, 1.0))

    def design(self, X):
        """Columns that the model sees, (n_rows, n_columns)."""
        return design_matrix(X, self.scaler)[:, self.columns]

    def offset(self, X):
        """Pooled predictions (n_rows,) of regression, on the scale of the model."""
        predicted = self.pooled.predict(X)[:, 0]
        return (predicted - self.targets.mean) / self.targets.scale
