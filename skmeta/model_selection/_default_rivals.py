"""What one would do without a meta-learner, from the simplest to the strongest."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from ..baselines import (
    MixedEffectsClassifier,
    MixedEffectsRegressor,
    PooledClassifier,
    PooledRegressor,
)


def gp_per_task(random_state=None):
    """A Gaussian process for the few rows of one task."""
    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * RBF(3.0, (0.1, 100.0))
    kernel = kernel + WhiteKernel(0.3, (1e-3, 10.0))
    return GaussianProcessRegressor(kernel, normalize_y=True, random_state=random_state)


def ridge_per_task():
    """A ridge regression for the few rows of one task."""
    return RidgeCV(np.logspace(-1, 3, 9))


class TaskLogisticRegression(ClassifierMixin, BaseEstimator):
    """Logistic regression for the few rows of one task, of classes that are known.

    One more row for all classes together, at the mean of the rows, lets it learn from
    rows of a single class, and keeps it from being certain.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
    """

    def __init__(self, classes):
        self.classes = classes

    def fit(self, X, y):
        n = len(self.classes)
        X = np.vstack([X, np.tile(np.mean(X, axis=0), (n, 1))])
        weight = np.concatenate([np.ones(len(y)), np.full(n, 1 / n)])
        y = np.concatenate([y, self.classes])
        self.model_ = LogisticRegression(max_iter=1000).fit(X, y, weight)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(X)

    def predict(self, X):
        return self.model_.predict(X)


def default_rivals(X, y, classification, nway, seed):
    """Estimators by name: pooled, adapted, mixed-effects, and of a task alone.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
    y : ndarray of shape (n_rows,)
        Of all tasks.
    classification, own_classes : bool
        Whether the targets are classes, and whether every task has classes of its own.
    seed : int

    Returns
    -------
    estimators : dict of str -> estimator
    """
    scaled = make_pipeline(
        FunctionTransformer(np.asarray),  # rows with names of columns or without
        FrozenEstimator(StandardScaler().fit(X)),
    )
    if nway:
        return {
            "logistic regression per task": make_pipeline(
                scaled, LogisticRegression(max_iter=1000)
            )
        }
    if not classification:
        return {
            "boosting + shared GP": PooledRegressor(adapt="gp", random_state=seed),
            "boosting + intercept": PooledRegressor(
                adapt="intercept", random_state=seed
            ),
            "pooled boosting": PooledRegressor(random_state=seed),
            "mixed-effects model": MixedEffectsRegressor(),
            "GP per task": make_pipeline(scaled, gp_per_task(seed)),
            "ridge per task": make_pipeline(scaled, ridge_per_task()),
        }
    classes = np.unique(y)
    rivals = {
        "boosting + shared GP": PooledClassifier(adapt="gp", random_state=seed),
        "pooled boosting": PooledClassifier(random_state=seed),
    }
    if len(classes) == 2:
        rivals |= {
            "boosting + slopes": PooledClassifier(adapt="slopes", random_state=seed),
            "boosting + intercept": PooledClassifier(
                adapt="intercept", random_state=seed
            ),
            "mixed-effects model": MixedEffectsClassifier(),
        }
    alone = make_pipeline(scaled, TaskLogisticRegression(classes))
    return rivals | {"logistic regression per task": alone}


def reference(classification, nway):
    """What a score is relative to: the mean, or the frequencies of the classes.

    They are those of all meta-training rows, or of the support where every task has
    classes of its own.
    """
    if nway:
        return DummyClassifier()
    if classification:
        return PooledClassifier(DummyClassifier())
    return PooledRegressor(DummyRegressor())
