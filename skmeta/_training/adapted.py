"""A `MetaState` adapted to one task: predictions and features of query rows."""

import numpy as np

from .._networks.learners.predictive import Categorical, Gaussian, draw, marginals
from .._networks.learners.sklearn_estimator import EstimatorLearner, extra_inputs_of
from .config import REGRESSION

QUERIES_AT_ONCE = 4096
"""Maximum number of query rows in one pass."""


class Adapted:
    """A `MetaState` adapted to a task.

    Parameters
    ----------
    state : MetaState
        On the device of the adaptation.
    adaptation : object
        The base learner conditioned on the support rows.
    X : ndarray of shape (n_support, ...)
        The support rows.
    model : estimator or None
        A scikit-learn estimator trained for the task.
    """

    def __init__(self, state, adaptation, X, model=None):
        self.state, self.adaptation, self.X, self.model = state, adaptation, X, model
        self.learner = self.predictor = state.network.learner
        if model is not None:
            extra_inputs = extra_inputs_of(state)
            self.predictor = EstimatorLearner(self.learner, model, extra_inputs)

    def having_model(self, model):
        """A copy with another estimator trained for the task."""
        return Adapted(self.state, self.adaptation, self.X, model)

    @property
    def task_embedding(self):
        """The task embedding, (embed_dim,)."""
        return self.adaptation.encoding.task[0].cpu().numpy()

    def expert_share(self):
        """Weight of each expert, (n_experts,)."""
        return self.learner.expert_share(self.adaptation)[0].double().cpu().numpy()

    def relevance(self):
        """How much the prediction depends on each feature, (n_features,)."""
        with self.state.running():
            relevance = self.learner.relevance(self.adaptation)[0]
        return self.state.by_feature(relevance.double().cpu().numpy())

    def predict(self, X):
        """`Gaussian` or `Categorical` of arrays, for rows ``X`` (n_query, ...)."""
        parts = self._of_rows(X, self.predictor.predict)
        kind = Gaussian if self.state.problem == REGRESSION else Categorical
        return kind(*parts)

    def features(self, X):
        """Features of the base learner for rows, (n_query, n_base_features)."""
        return self._of_rows(
            X, lambda adaptation, rows: [self.learner.features(adaptation, rows)]
        )[0]

    def support_weights(self, X):
        """Weight of each support row in each prediction, (n_query, n_support)."""
        return self._of_rows(
            X, lambda adaptation, rows: [self.learner.support_weights(adaptation, rows)]
        )[0]

    def contributions(self, X):
        """Contribution of each related task, (n_query, n_related, n_outputs)."""
        return self._of_rows(
            X,
            lambda adaptation, rows: [
                self.learner.contributions(adaptation, rows).transpose(1, 2)
            ],
        )[0]

    def marginals(self, X):
        """The predicted distribution of each row, on the scale of the network.

        Returns
        -------
        log_share, mean, sd : ndarray of shape (n_query, n_components)
        """
        log_share, mean, sd = self._of_rows(
            X,
            lambda adaptation, rows: marginals(
                self.predictor.components(adaptation, rows)
            ),
        )
        return log_share, mean, np.sqrt(sd**2 + self.row_variance(X))

    def sample(self, X, n_samples, rng):
        """Draw the targets of all rows together, (n_query, n_samples)."""
        with self.state.running():
            rows = self.state.rows(X)
            components = self.predictor.components(self.adaptation, rows, joint=True)
            samples = draw(components, n_samples, rng)
        companions = self._companions(X)
        if companions is None:
            return samples
        at = self._location(companions)
        deviation = np.sqrt(companions.independent(at))
        drawn = deviation * rng.standard_normal((len(X), n_samples))
        for deviation in companions.shared(at):
            drawn += deviation * rng.standard_normal(n_samples)
        return samples + drawn

    def row_variance(self, X):
        """Additional variance of rows outside the meta-training range, or 0.

        Of shape (n_query, n_outputs); see `FeatureRange`.
        """
        companions = self._companions(X)
        if companions is None:
            return 0.0
        return companions.variance(self._location(companions))

    def _companions(self, X):
        """Companions of rows ``X``, for their uncertainty, or None."""
        return self.state.companions(X, self.X)

    def _location(self, companions):
        """Locations of the predictions of companions."""
        return self.predict(companions.X).location()

    def _of_rows(self, X, compute):
        """Apply ``compute(adaptation, rows)`` to chunks of rows: an array each."""
        with self.state.running():
            chunks = []
            for i in range(0, len(X), QUERIES_AT_ONCE):
                rows = self.state.rows(X[i : i + QUERIES_AT_ONCE])
                outputs = compute(self.adaptation, rows)
                outputs = outputs if isinstance(outputs, tuple | list) else (outputs,)
                chunks.append([t[0].cpu().numpy() for t in outputs])
        return [np.concatenate(parts) for parts in zip(*chunks, strict=True)]
