"""How the meta-learners check targets and predict: regressors, and classifiers."""

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from .prediction import QueryLearner


class MetaRegressor(RegressorMixin, QueryLearner):
    """A meta-learner of numbers."""

    def _check_target(self, y):
        return column_or_1d(y, warn=True).astype(np.float64)

    def _classes_of(self, y, classes):
        return None

    def _show_targets(self, targets):
        """Regression has no attribute that tells of the targets."""

    def predict(self, X, return_std=False):
        """Predict the targets of rows of the task adapted to.

        State change: none. Adapted, from the task; meta-fitted and not adapted, from
        the prior alone (zero-shot).

        Parameters
        ----------
        X : array-like of shape (n_query, n_features)
        return_std : bool, default=False
            Also give the standard deviation of each target, noise included.

        Returns
        -------
        y : ndarray of shape (n_query,)
        std : ndarray of shape (n_query,)
            Only with ``return_std=True``.
        """
        mean, variance = self._per_query(X, lambda m, a, rows: m.predict(a, rows))
        return self._unscaled(mean, variance, return_std)

    def predict_episodes(self, episodes, return_std=False):
        """Adapt to many tasks and predict for each, in batches.

        State change: none; what the estimator is adapted to plays no part.

        Parameters
        ----------
        episodes : iterable of (X_support, y_support, X_query)
        return_std : bool, default=False

        Returns
        -------
        predictions : list of ndarray of shape (n_query,)
            With ``return_std=True`` a list of pairs ``(y, std)``.
        """
        results = self._predict_episodes(episodes, lambda prediction: prediction)
        return [self._unscaled(*pair, return_std) for pair in results]

    def _unscaled(self, mean, variance, return_std):
        targets = self._current_state().targets
        y = targets.mean + targets.scale * mean.astype(np.float64)
        if not return_std:
            return y
        return y, targets.scale * np.sqrt(variance.astype(np.float64))


class MetaClassifier(ClassifierMixin, QueryLearner):
    """A meta-learner of classes, whose labels mean the same in every task."""

    def _check_target(self, y):
        check_classification_targets(y)
        return column_or_1d(y, warn=True)

    def _classes_of(self, y, classes):
        return np.unique(y) if classes is None else np.union1d(classes, y)

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Add rows to the task that the estimator is adapted to.

        State change: *meta-fitted* or *adapted* -> *adapted*, as if by one ``fit`` on
        all rows since the first; in the state *new*, as ``fit``.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
        y : array-like of shape (n_rows,)
        classes : array-like of shape (n_classes,), default=None
            In the state *new*, all classes there are; else those of the meta-training
            tasks hold.
        sample_weight : array-like of shape (n_rows,), default=None

        Returns
        -------
        self : estimator
        """
        support = getattr(self, "_support", None)
        if classes is None and support is not None:
            classes = self.classes_
        return self._fit(X, y, sample_weight, support, classes)

    def _show_targets(self, targets):
        self.classes_ = targets.classes

    def predict_proba(self, X):
        """Probabilities of the classes for rows of the task adapted to.

        State change: none. Adapted, from the task; meta-fitted and not adapted, from
        the prior alone (zero-shot).

        Parameters
        ----------
        X : array-like of shape (n_query, n_features)

        Returns
        -------
        probabilities : ndarray of shape (n_query, n_classes)
            In the order of ``classes_``.
        """
        (p,) = self._per_query(X, lambda m, a, rows: _softmax(m.predict(a, rows)))
        return p

    def predict(self, X):
        """Predict the most probable class of each row.

        State change: none; see `predict_proba`.

        Parameters
        ----------
        X : array-like of shape (n_query, n_features)

        Returns
        -------
        y : ndarray of shape (n_query,)
        """
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]

    def predict_episodes(self, episodes, return_proba=False):
        """Adapt to many tasks and predict for each, in batches.

        State change: none; what the estimator is adapted to plays no part.

        Parameters
        ----------
        episodes : iterable of (X_support, y_support, X_query)
        return_proba : bool, default=False
            Give probabilities in place of labels.

        Returns
        -------
        predictions : list of ndarray of shape (n_query,)
            With ``return_proba=True`` of shape (n_query, n_classes).
        """
        results = [p for (p,) in self._predict_episodes(episodes, _softmax)]
        if return_proba:
            return results
        return [self.classes_[p.argmax(1)] for p in results]


def _softmax(logits):
    return (logits.double().softmax(-1),)
