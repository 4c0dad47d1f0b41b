"""Boosting with a random intercept by GPBoost, adapted to a new task.

Sigrist (2022), Gaussian process boosting, JMLR 23(232). Trees and variances are fitted
to all tasks; `fit` computes the posterior of the intercept of a new task.
"""

import gpboost
import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator

SETTINGS = {
    "learning_rate": 0.05, "max_depth": 4, "min_data_in_leaf": 20, "verbose": -1,
    "num_threads": 1,
}  # fmt: skip
MAX_ROUNDS, PATIENCE, N_NEWTON_STEPS = 500, 10, 50


class GPBoost(BaseEstimator):
    """The number of trees is that with the lowest loss on validation tasks."""

    likelihood = "gaussian"

    def meta_fit(self, tasks, validation_tasks):
        """Fit the trees and the variances."""
        y, y_validation = self._encoded(tasks.y), self._encoded(validation_tasks.y)
        process = gpboost.GPModel(
            group_data=_task_of_row(tasks), likelihood=self.likelihood,
            num_parallel_threads=1,
        )  # fmt: skip
        process.set_prediction_data(
            group_data_pred=len(tasks) + _task_of_row(validation_tasks)
        )
        data = gpboost.Dataset(tasks.X, y)
        self.booster_ = gpboost.train(
            SETTINGS, data, num_boost_round=MAX_ROUNDS, gp_model=process,
            valid_sets=gpboost.Dataset(
                validation_tasks.X, y_validation, reference=data
            ),
            use_gp_model_for_validation=True, early_stopping_rounds=PATIENCE,
            verbose_eval=False,
        )  # fmt: skip
        *noise, variance = process.get_cov_pars().to_numpy()[0]
        self.noise_ = noise[0] if noise else None
        self.variance_ = max(variance, 1e-12)
        return self

    def _encoded(self, y):
        return y

    def _trees(self, X):
        """Predictions of the trees; a new task has an intercept of mean zero."""
        found = self.booster_.predict(
            X, group_data_pred=np.full(len(X), -1), pred_latent=True
        )
        return found["fixed_effect"]


class GPBoostRegressor(GPBoost):
    """With normal noise: the posterior is that of Robinson (1991), eq. 2.3."""

    def fit(self, X, y):
        """Compute the posterior mean of the intercept."""
        residual = y - self._trees(X)
        self.intercept_ = residual.sum() / (len(y) + self.noise_ / self.variance_)
        return self

    def predict(self, X):
        """Predict by the trees and the intercept."""
        return self._trees(X) + self.intercept_


class GPBoostClassifier(GPBoost):
    """With two classes: the posterior mode, by Newton's method, and its variance."""

    likelihood = "bernoulli_logit"

    def _encoded(self, y):
        self.classes_ = np.unique(y) if not hasattr(self, "classes_") else self.classes_
        return (y == self.classes_[1]).astype(float)

    def fit(self, X, y):
        """Compute Laplace's approximation of the posterior of the intercept."""
        trees, label, at = self._trees(X), y == self.classes_[1], 0.0
        for _ in range(N_NEWTON_STEPS):
            p = expit(trees + at)
            precision = (p * (1 - p)).sum() + 1 / self.variance_
            step = ((label - p).sum() - at / self.variance_) / precision
            at += np.clip(step, -1, 1)
        self.intercept_, self.posterior_variance_ = at, 1 / precision
        return self

    def predict_proba(self, X):
        """Probabilities, averaged over the posterior (MacKay 1992)."""
        logit = self._trees(X) + self.intercept_
        p = expit(logit / np.sqrt(1 + np.pi * self.posterior_variance_ / 8))
        return np.column_stack([1 - p, p])


def _task_of_row(tasks):
    return np.repeat(np.arange(len(tasks)), np.diff(tasks.offsets))
