"""How the meta-learners of numbers check targets and predict."""

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import (
    assert_all_finite,
    check_consistent_length,
    check_random_state,
)
from sklearn.utils.validation import column_or_1d

from .._networks.learners.predictive import draw, log_density, marginals, quantiles
from ..tasks._array_likes import labels
from ..tasks._row_checks import refuse_text
from .prediction import QueryLearner


class MetaRegressor(RegressorMixin, QueryLearner):
    """A meta-learner of numbers."""

    def _check_target(self, y):
        y = column_or_1d(y, warn=True)
        refuse_text(self, y)
        return y.astype(np.float64)

    def _classes_of(self, y, classes):
        return None

    def _warn_of(self, targets):
        """Regression has nothing to warn of."""

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
        X = self._query(X)
        mean, variance = self._predictions(X)
        if return_std:
            variance = widened(variance, self._row_variance(X))
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
        mixture, targets = self._marginals(X), self._current_state().targets
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
        mixture = self._marginals(X)
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
        with self._torch():
            state, adapted = self._adaptation()
            rows = self._located(state).rows(X)
            components = self._learner(state).components(adapted, rows, joint=True)
            samples = draw(components, n_samples, rng)
        samples += self._drawn_of_rows(X, n_samples, rng)
        return state.targets.inverse_transform(samples)

    def _drawn_of_rows(self, X, n_samples, rng):
        """Draws (n_query, n_samples) of what rows make unsure, or 0."""
        companions = self._companions(X)
        if companions is None:
            return 0.0
        at = self._predictions(companions.X).location()
        drawn = np.sqrt(companions.independent(at)) * rng.standard_normal(
            (len(X), n_samples)
        )
        for deviation in companions.shared(at):
            drawn += deviation * rng.standard_normal(n_samples)
        return drawn

    def _marginals(self, X):
        """Log shares, means and deviations (n_query, n_components), on the scale."""
        X = self._query(X)
        log_share, mean, sd = self._per_query(
            X, lambda m, a, rows: marginals(m.components(a, rows))
        )
        return log_share, mean, np.sqrt(sd**2 + self._row_variance(X))

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
