"""Plots of what a meta-learner learned, in the manner of scikit-learn's displays."""

from ..model_selection._plot import ShotCurveDisplay
from ._attention import (
    BaseLearnerDisplay,
    FeatureAttentionDisplay,
    TaskAttentionDisplay,
)
from ._relations import TaskRelationDisplay
from ._training_curve import MetaTrainingDisplay

__all__ = [
    "BaseLearnerDisplay",
    "FeatureAttentionDisplay",
    "MetaTrainingDisplay",
    "ShotCurveDisplay",
    "TaskAttentionDisplay",
    "TaskRelationDisplay",
]
