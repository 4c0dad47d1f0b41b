"""The rivals: what a meta-learner has to beat, as estimators of the same three states.

`meta_fit` learns from many tasks, `fit` adapts to one, `predict` predicts for it;
after `meta_fit` and before `fit`, `predict` is the zero-shot prediction.
"""

from ._mixed_effects import MixedEffectsClassifier, MixedEffectsRegressor
from ._pooled import PooledClassifier, PooledRegressor

__all__ = [
    "MixedEffectsClassifier",
    "MixedEffectsRegressor",
    "PooledClassifier",
    "PooledRegressor",
]
