"""Pictures of what a meta-learner learned, as scikit-learn has its displays."""

from ._attention_displays import FeatureAttentionDisplay, TaskAttentionDisplay
from ._relation_display import TaskRelationDisplay
from ._shot_curve_display import ShotCurveDisplay
from ._training_display import MetaTrainingDisplay

__all__ = [
    "FeatureAttentionDisplay",
    "MetaTrainingDisplay",
    "ShotCurveDisplay",
    "TaskAttentionDisplay",
    "TaskRelationDisplay",
]
