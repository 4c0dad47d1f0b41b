"""Classical models of many tasks, as estimators with the states of a meta-learner.

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
