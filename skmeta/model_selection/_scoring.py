"""Scorers for episodes, whose few query rows may not contain every class."""

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    RegressorMixin,
    is_classifier,
    is_regressor,
)
from sklearn.metrics import get_scorer, get_scorer_names

from .._estimators.classifier import learned_task_specific_labels


def check_scoring(scoring, estimator):
    """Turn `scoring` into a scorer.

    Parameters
    ----------
    scoring : str, callable or None
    estimator : estimator
        Whose own `score` None stands for.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y)`` gives a float.
    name : str
        What a score is.

    Raises
    ------
    TypeError
        If `scoring` is something else.
    ValueError
        If scikit-learn has no scorer of that name, or `scoring` is None and the
        estimator has no `score`.
    """
    if scoring is None:
        if not hasattr(estimator, "score"):
            raise ValueError(
                f"{type(estimator).__name__} has no score method: pass a metric, such "
                "as scoring='r2'."
            )
        return _own_score, _own_name(estimator)
    if scoring == "neg_log_loss":
        return neg_log_loss, scoring
    if isinstance(scoring, str):
        if scoring not in get_scorer_names():
            raise ValueError(
                f"scoring={scoring!r} is no scorer of scikit-learn. Its names are "
                "those of sklearn.metrics.get_scorer_names(), 'r2', "
                "'neg_mean_squared_error', 'accuracy' and 'neg_log_loss' among them; a "
                "callable scorer(estimator, X, y) is accepted too."
            )
        return get_scorer(scoring), scoring
    if not callable(scoring):
        raise TypeError(
            f"scoring={scoring!r} is neither a scorer name of scikit-learn, nor a "
            "callable scorer(estimator, X, y), nor None."
        )
    return scoring, getattr(scoring, "__name__", repr(scoring))


def _own_score(estimator, X, y):
    return estimator.score(X, y)


def _own_name(estimator):
    if is_regressor(estimator):
        return "r2"
    return "accuracy" if is_classifier(estimator) else "score"


def neg_log_loss(estimator, X, y):
    """Mean log probability of the labels `y` (n_rows,), which need not be all classes.

    Scikit-learn's scorer of this name refuses labels of a single class, which few rows
    often show, and labels that the estimator does not know. Here the latter have
    probability 0, which counts as the smallest that floats tell from 0.
    """
    p = np.asarray(estimator.predict_proba(X), dtype=np.float64)
    is_label = np.asarray(y)[:, None] == np.asarray(estimator.classes_)
    likelihood = (p * is_label).sum(axis=1)
    return float(np.log(np.clip(likelihood, np.finfo(p.dtype).eps, None)).mean())


def already_predicted(estimator, episodes):
    """Predict for all episodes in batches, for scorers, which take one at a time.

    Parameters
    ----------
    estimator : estimator
        With `predict_episodes`.
    episodes : list of (X_support, y_support, X_query)

    Returns
    -------
    models : list of estimators
        One for each episode; whatever it is given, it predicts for `X_query`.
    """
    if is_classifier(estimator):
        predictions = estimator.predict_episodes(episodes, return_proba=True)
        own = learned_task_specific_labels(estimator)
        return [
            _PredictedClasses(p, np.unique(y) if own else estimator.classes_)
            for p, (_, y, _) in zip(predictions, episodes, strict=True)
        ]
    return [_PredictedNumbers(y) for y in estimator.predict_episodes(episodes)]


class _PredictedNumbers(RegressorMixin, BaseEstimator):
    def __init__(self, y):
        self.y = y

    def predict(self, X):
        return self.y


class _PredictedClasses(ClassifierMixin, BaseEstimator):
    def __init__(self, probabilities, classes):
        self.probabilities = probabilities
        self.classes_ = classes

    def predict_proba(self, X):
        return self.probabilities

    def predict(self, X):
        return self.classes_[self.probabilities.argmax(axis=1)]
