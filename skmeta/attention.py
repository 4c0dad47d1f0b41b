"""System 1: attention pooling of a task's rows starts the base learner."""

from .predictors import MetaClassifier, MetaRegressor
from .task_encoder import AttentionPooling


class _AttentionSystem:
    _make_encoder = staticmethod(AttentionPooling)


class AttentionMetaRegressor(_AttentionSystem, MetaRegressor):
    """Attention-based meta-learner."""


class AttentionMetaClassifier(_AttentionSystem, MetaClassifier):
    """Attention-based meta-learner."""
