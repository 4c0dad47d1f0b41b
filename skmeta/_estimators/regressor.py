"""How meta-learners for regression check targets and predict."""

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
        """Nothing to warn of in regression."""

    def _publish_targets(self, targets):
        """No attribute depends on the targets in regression."""

    def predict(self, X, return_std=False):
        """Predict the targets of rows of the task adapted to.

        State change: none. In the state *meta-fitted*, predictions are those of the
        prior (zero-shot).

        Parameters
        ----------
        X : array-like of shape (n_query, n_features)
        return_std : bool, default=False
            Whether to also return the standard deviation of each target, including
            noise.

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
            Probabilities, between 0 and 1, both excluded.

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
        """Log predictive density of each target under the task adapted to.

        State change: none; see `predict`.

        Parameters
        ----------
        X : array-like of shape (n_query, n_features)
        y : array-like of shape (n_query,)

        Returns
        -------
        log_prob : ndarray of shape (n_query,)
            In nats. The mean is a proper scoring rule.
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
        """Draw samples from the joint predictive distribution of all rows.

        State change: none; see `predict`. As with scikit-learn's
        `GaussianProcessRegressor`, a sample is a function, coherent over the rows;
        here with noise.

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

        State change: none. Predictions do not depend on the task that the estimator
        is adapted to.

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
    """Variance (n_query,) plus `Adapted.row_variance`, (n_query, 1) or 0."""
    return variance if np.isscalar(of_row) else variance + of_row[:, 0]
