"""The estimators that `compare` takes by default."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from .._estimators.attention import AttentionMetaClassifier, AttentionMetaRegressor
from ..baselines import (
    MixedEffectsClassifier,
    MixedEffectsRegressor,
    PooledClassifier,
    PooledRegressor,
)
from ..tasks._given_tasks import framed


class TaskLogisticRegression(ClassifierMixin, BaseEstimator):
    """Logistic regression for the few rows of one task, of known classes.

    One pseudo-row at the mean of the rows, divided among all classes, lets it learn
    from rows of a single class, and regularises its probabilities.

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


def default_estimators(tasks, classification, nway, seed):
    """Estimators by name, the candidate first.

    Parameters
    ----------
    tasks : TaskCollection
    classification, nway : bool
        Whether targets are classes, and whether these are task-specific.
    seed : int

    Returns
    -------
    estimators : dict of str -> estimator
    """
    if tasks.n_features is None:
        raise ValueError(
            f"The rows of these tasks are of shape {tasks.X.shape[1:]}, which the "
            "default estimators do not take. Give estimators that do, such as a "
            "meta-learner with an embedding."
        )
    ours = AttentionMetaClassifier if classification else AttentionMetaRegressor
    X, imputer = tasks.X, fit_imputer(tasks)
    if imputer is not None:
        X = imputer.transform(framed(X, tasks.feature_names))
    scaler = make_pipeline(
        FunctionTransformer(np.asarray),  # rows with names of columns or without
        FrozenEstimator(StandardScaler().fit(X)),
    )
    if nway:
        rivals = {"logistic regression per task": LogisticRegression(max_iter=1000)}
    elif classification:
        rivals = _classifiers(np.unique(tasks.y), seed)
    else:
        rivals = _regressors(seed)
    for name, rival in rivals.items():
        if name.endswith("per task"):
            rival = make_pipeline(scaler, rival)
        rivals[name] = with_imputer(rival, imputer)
    return {ours.__name__: ours(random_state=seed)} | rivals


def _regressors(seed):
    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * RBF(3.0, (0.1, 100.0))
    kernel = kernel + WhiteKernel(0.3, (1e-3, 10.0))
    return {
        "boosting + shared GP": PooledRegressor(adapt="gp", random_state=seed),
        "boosting + intercept": PooledRegressor(adapt="intercept", random_state=seed),
        "pooled boosting": PooledRegressor(random_state=seed),
        "mixed-effects model": MixedEffectsRegressor(),
        "GP per task": GaussianProcessRegressor(
            kernel, normalize_y=True, random_state=seed
        ),
        "ridge per task": RidgeCV(np.logspace(-1, 3, 9)),
    }


def _classifiers(classes, seed):
    rivals = {
        "boosting + shared GP": PooledClassifier(adapt="gp", random_state=seed),
        "pooled boosting": PooledClassifier(random_state=seed),
    }
    if len(classes) == 2:
        for adapt in ("slopes", "intercept"):
            rivals[f"boosting + {adapt}"] = PooledClassifier(
                adapt=adapt, random_state=seed
            )
        rivals["mixed-effects model"] = MixedEffectsClassifier()
    return rivals | {"logistic regression per task": TaskLogisticRegression(classes)}


def fit_imputer(tasks):
    """An imputer for estimators that refuse missing values; None if there are none."""
    if not np.isnan(tasks.X).any():
        return None
    imputer = SimpleImputer(keep_empty_features=True, add_indicator=True)
    return imputer.fit(framed(tasks.X, tasks.feature_names))


def with_imputer(estimator, imputer):
    """An estimator behind an imputer, where there is one."""
    if imputer is None:
        return estimator
    return make_pipeline(FrozenEstimator(imputer), estimator)


def reference(classification, nway):
    """What scores are relative to: the mean, or the frequencies of the classes.

    They are those of all meta-training rows; of the support, if labels are
    task-specific.
    """
    if nway:
        return DummyClassifier()
    if classification:
        return PooledClassifier(DummyClassifier())
    return PooledRegressor(DummyRegressor())
