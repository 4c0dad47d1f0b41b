"""How the meta-learners of numbers check targets and predict."""

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import (
    assert_all_finite,
    check_consistent_length,
    check_random_state,
)
from sklearn.utils.validation import column_or_1d

from .._networks.learners.predictive import log_density, quantiles
from .._training.config import REGRESSION
from ..tasks._array_likes import labels
from ..tasks._row_checks import refuse_text
from .prediction import QueryLearner


class MetaRegressor(RegressorMixin, QueryLearner):
    """A meta-learner for regression."""

    _shared_problem = REGRESSION

    def _problem_of(self, tasks):
        return REGRESSION

    def _check_target(self, y):
        y = column_or_1d(y, warn=True)
        refuse_text(self, y)
        return y.astype(np.float64)

    def _classes_of(self, y, classes):
        return None

    def _warn_of(self, targets):
        """Regression has nothing to warn of."""

    def _publish_targets(self, targets):
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
        X = self._query(X)
        adapted = self._adapted_task()
        mean, variance = adapted.predict(X)
        if return_std:
            variance = widened(variance, adapted.row_variance(X))
        return self._unscaled(mean, variance, return_std)

    def predict_quantiles(self, X, q=(0.05, 0.5, 0.95)):
        """Predict quantiles of the targets of rows of the task adapted to.

        State change: none; see `predict`.

        Parameters
        ----------
        X : array-like of shape (n_query, n_features)
        q : float or array-like of shape (n_quantiles,), default=(0.05, 0.5, 0.95)
            Between 0 and 1, both excluded.

        Returns
        -------
        quantiles : ndarray of shape (n_query, n_quantiles)
            Of shape (n_query,) for a single ``q``.
        """
        wanted = np.asarray(q, dtype=np.float64)
        if wanted.ndim > 1 or not ((wanted > 0) & (wanted < 1)).all():
            raise ValueError(
                "q must be a number between 0 and 1, both excluded, or a list of such. "
                f"Got {q!r}."
            )
        X = self._query(X)
        mixture = self._adapted_task().marginals(X)
        targets = self._current_state().targets
        found = np.array([quantiles(*mixture, one) for one in wanted.ravel()]).T
        found = targets.inverse_transform(found)
        return found[:, 0] if wanted.ndim == 0 else found

    def log_prob(self, X, y):
        """Log density of targets, each given its row and the task adapted to.

        State change: none; see `predict`.

        Parameters
        ----------
        X : array-like of shape (n_query, n_features)
        y : array-like of shape (n_query,)

        Returns
        -------
        log_prob : ndarray of shape (n_query,)
            In nats; their mean is a proper score of the predicted distributions.
        """
        X = self._query(X)
        mixture = self._adapted_task().marginals(X)
        y = self._check_target(labels(y))
        assert_all_finite(y, input_name="y")
        check_consistent_length(mixture[0], y)
        targets = self._current_state().targets
        scaled = (y - targets.offset - targets.mean) / targets.scale
        return log_density(*mixture, scaled) - np.log(targets.scale)

    def sample_y(self, X, n_samples=1, random_state=0):
        """Draw the targets of all rows together from what is predicted.

        State change: none; see `predict`. A draw is a function, coherent over the
        rows, with noise, as that of scikit-learn's `GaussianProcessRegressor` is.

        Parameters
        ----------
        X : array-like of shape (n_query, n_features)
            Memory grows with the square of the number of rows.
        n_samples : int, default=1
        random_state : int, RandomState instance or None, default=0

        Returns
        -------
        samples : ndarray of shape (n_query, n_samples)
        """
        X, rng = self._query(X), check_random_state(random_state)
        samples = self._adapted_task().sample(X, n_samples, rng)
        return self._current_state().targets.inverse_transform(samples)

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
        predictions, more, _ = self._predict_episodes(episodes)
        return [
            self._unscaled(mean, widened(variance, of_row), return_std)
            for (mean, variance), of_row in zip(predictions, more, strict=True)
        ]

    def _unscaled(self, mean, variance, return_std):
        targets = self._current_state().targets
        y = targets.inverse_transform(mean.astype(np.float64))
        if not return_std:
            return y
        return y, targets.scale * np.sqrt(variance.astype(np.float64))


def widened(variance, of_row):
    """Variance (n_query,), with that which rows add, (n_query, 1) or 0."""
    return variance if np.isscalar(of_row) else variance + of_row[:, 0]
