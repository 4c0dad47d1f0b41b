"""A pooled estimator, adapted to a task by a model of the residuals of all tasks."""

from dataclasses import replace

import numpy as np
from scipy.special import softmax
from sklearn.utils import check_random_state

from .._classical.linear_mixed_model import fit_linear_mixed_model, random_columns
from .._classical.logistic_mixed_model import (
    averaged_probabilities,
    fit_logistic_mixed_model,
)
from .._classical.pooled import fit_pooled, fit_single_task
from .._preprocessing.design_matrix import fit_design
from .._preprocessing.scaling import ClassCodec, FeatureScaler, TargetScaler, offset_of
from ._base import ClassifierBaseline, RegressorBaseline
from ._priors import PooledPrior
from ._shared_gp import SharedGaussianProcess, SharedLatentProcess, fit_shared_gp


class _Pooled:
    """What regression and classification share."""

    def __init__(self, estimator=None, adapt=None, random_state=None):
        self.estimator = estimator
        self.adapt = adapt
        self.random_state = random_state

    def _check_params(self):
        if self.adapt not in (None, "intercept", "slopes", "gp"):
            raise ValueError(
                f"adapt={self.adapt!r} is none of None, 'intercept', 'slopes' and 'gp'."
            )

    def _adapted_columns(self, design, offsets):
        """Columns of the design matrix that the model of residuals sees."""
        if self.adapt is None:
            return np.empty(0, dtype=int)
        if self.adapt == "gp":  # it has its own constant
            return np.arange(1, design.shape[1])
        return random_columns(design, offsets, slopes=self.adapt == "slopes")

    def _publish_prior(self, prior):
        self.pooled_estimator_ = prior.pooled.estimator


class PooledRegressor(_Pooled, RegressorBaseline):
    """Any regressor on the rows of all tasks, adapted to each task by its residuals.

    `meta_fit` fits the estimator to the rows of all meta-training tasks, and a model
    of each task's residuals to its out-of-fold predictions. `fit` conditions that
    model on the residuals of a new task, in closed form.

    Parameters
    ----------
    estimator : regressor or None, default=None
        Fitted to all rows. None takes a histogram gradient boosting that is tuned on
        validation tasks, behind standardised targets.
    adapt : {"intercept", "slopes", "gp"} or None, default=None
        The residuals of a task are a random intercept; a random intercept and
        independent random slopes; a Gaussian process with linear and RBF covariance,
        whose hyperparameters maximise the marginal likelihood over all tasks; or
        noise. Columns that vary within a fifth of the tasks or fewer get no slope.
    random_state : int, RandomState instance or None, default=None
        Draws the folds and seeds the estimator.

    Attributes
    ----------
    pooled_estimator_ : estimator
        The fitted estimator. It predicts targets less `target_offset_`.
    target_offset_ : float
        Taken off the targets first. It is 0 unless they lie so far from zero, relative
        to their spread, that rounding would blur them (Unix time, coordinates).
    meta_state_ : object
        What `meta_fit` learned; clones share it.
    n_features_in_ : int
        Number of columns.

    See Also
    --------
    PooledClassifier : The same for classification.
    MixedEffectsRegressor : Linear, with fixed and random effects fitted together.

    Notes
    -----
    When new, `fit` fits the estimator to the rows given and adapts nothing; the
    standard deviation is then that of the residuals of these very rows. The adaptation
    sees standardised columns; of more than 64, the 32 that are most associated with the
    targets one by one, and 32 principal components of all.

    References
    ----------
    Hajjem, A., Bellavance, F., and Larocque, D. (2014). Mixed-effects random forest
    for clustered data. Journal of Statistical Computation and Simulation 84(6).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from skmeta.baselines import PooledRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(50, 20, 1))
    >>> y = X[:, :, 0] + rng.normal(size=(50, 1)) + 0.1 * rng.normal(size=(50, 20))
    >>> model = PooledRegressor(Ridge(), adapt="intercept", random_state=0)
    >>> model.meta_fit(list(zip(X, y))).predict([[1.0]]).round(1)  # zero-shot
    array([1.])
    >>> model.fit([[0.0]], [2.0]).predict([[1.0]]).round(1)
    array([2.9])
    """

    def _learn(self, tasks, validation_tasks):
        rng = check_random_state(self.random_state)
        pooled = fit_pooled(
            self.estimator, tasks, validation_tasks=validation_tasks,
            task_type="regression", random_state=rng, offset=offset_of(tasks.y),
        )  # fmt: skip
        offset, pooled = pooled.out_of_fold, replace(pooled, out_of_fold=None)
        scaler, design = fit_design(tasks, None)
        columns = self._adapted_columns(design, tasks.offsets)
        targets = TargetScaler.fit(tasks.y, offset)
        if self.adapt == "gp":
            kernel = fit_shared_gp(tasks, scaler, targets, offset, random_state=rng)
            model = SharedGaussianProcess(1.0, kernel)
        else:
            residual = (tasks.y - targets.offset - offset[:, 0]) / targets.scale
            model = fit_linear_mixed_model(
                np.empty((len(residual), 0)), design[:, columns], residual,
                tasks.offsets, tol=1e-6,
            )  # fmt: skip
        return PooledPrior(pooled, scaler, columns, model, targets)

    def _learn_alone(self, X, y):
        offset = offset_of(y)
        pooled = fit_single_task(
            self.estimator, X, y - offset, task_type="regression",
            random_state=self.random_state,
        )  # fmt: skip
        predicted = pooled.predict(X)
        targets = TargetScaler.fit(y, predicted)
        residual = (y - offset - predicted[:, 0]) / targets.scale
        none = np.empty((len(y), 0))
        model = fit_linear_mixed_model(none, none, residual, np.array([0, len(y)]))
        columns = np.empty(0, dtype=int)
        return PooledPrior(pooled, FeatureScaler.fit(X), columns, model, targets)

    def _publish_prior(self, prior):
        super()._publish_prior(prior)
        self.target_offset_ = prior.targets.offset

    def _condition(self, prior, X, y):
        residual = prior.targets.transform(y, np.float64) - prior.offset(X)
        return prior.model.posterior(prior.design(X), residual)

    def _mean_and_variance(self, X, prior, task):
        residual, variance = task.predict(prior.design(X))
        mean = prior.targets.inverse_transform(prior.offset(X) + residual)
        return mean, prior.targets.scale**2 * variance


class PooledClassifier(_Pooled, ClassifierBaseline):
    """Any classifier on the rows of all tasks, adapted to each task by its log-odds.

    `meta_fit` fits the estimator to the rows of all meta-training tasks, and a model
    of the residual of each task from its out-of-fold log-odds. `fit` conditions that
    model on the rows of a new task, by Laplace's approximation.

    Parameters
    ----------
    estimator : classifier with `predict_proba` or None, default=None
        Fitted to all rows. None takes a histogram gradient boosting that is tuned on
        validation tasks.
    adapt : {"intercept", "slopes", "gp"} or None, default=None
        A task adds to the log-odds a random intercept; a random intercept and
        independent random slopes; a Gaussian process with linear and RBF covariance,
        whose hyperparameters maximise the marginal likelihood over all tasks; or
        nothing. The first two are for binary targets only. Columns that vary within a
        fifth of the tasks or fewer get no slope.
    random_state : int, RandomState instance or None, default=None
        Draws the folds and seeds the estimator.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes of all tasks, sorted.
    pooled_estimator_ : estimator
        The fitted estimator.
    meta_state_ : object
        What `meta_fit` learned; clones share it.
    n_features_in_ : int
        Number of columns.

    See Also
    --------
    PooledRegressor : The same for regression.
    MixedEffectsClassifier : Linear, with fixed and random effects fitted together.

    Notes
    -----
    When new, `fit` fits the estimator to the rows given and adapts nothing. The
    adaptation sees standardised columns; of more than 64, the 32 that are most
    associated with the targets one by one, and 32 principal components of all.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skmeta.baselines import PooledClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 20, 1))
    >>> level = 2 * rng.normal(size=100)
    >>> y = level[:, None] + X[:, :, 0] + rng.logistic(size=(100, 20)) > 0
    >>> model = PooledClassifier(
    ...     LogisticRegression(), adapt="intercept", random_state=0
    ... )
    >>> model = model.meta_fit(list(zip(X, y.astype(int))))
    >>> model.fit([[0.0], [0.0], [0.0]], [1, 1, 1]).predict_proba([[0.0]]).round(1)
    array([[0.2, 0.8]])
    """

    def _learn(self, tasks, validation_tasks):
        known = [tasks] if validation_tasks is None else [tasks, validation_tasks]
        classes = np.unique(np.concatenate([some.y for some in known]))
        if self.adapt in ("intercept", "slopes") and len(classes) != 2:
            raise ValueError(
                f"adapt={self.adapt!r} needs two classes, got {len(classes)}: "
                f"{classes.tolist()}. Set adapt=None or 'gp'."
            )
        rng = check_random_state(self.random_state)
        pooled = fit_pooled(
            self.estimator, tasks, validation_tasks=validation_tasks,
            task_type="classification", classes=classes, random_state=rng,
        )  # fmt: skip
        offset, pooled = pooled.out_of_fold, replace(pooled, out_of_fold=None)
        scaler, design = fit_design(tasks, "shared")
        columns, model = self._adapted_columns(design, tasks.offsets), None
        if self.adapt == "gp":
            kernel = fit_shared_gp(
                tasks, scaler, ClassCodec(classes), offset, len(classes),
                random_state=rng,
            )  # fmt: skip
            model = SharedLatentProcess(kernel)
        elif self.adapt is not None:
            model = fit_logistic_mixed_model(
                np.empty((len(design), 0)), design[:, columns],
                (tasks.y == classes[1]).astype(float), _log_odds(offset),
                tasks.offsets,
            )  # fmt: skip
        return PooledPrior(pooled, scaler, columns, model)

    def _learn_alone(self, X, y):
        pooled = fit_single_task(
            self.estimator, X, y, task_type="classification",
            random_state=self.random_state,
        )  # fmt: skip
        return PooledPrior(pooled, FeatureScaler.fit(X), np.empty(0, dtype=int), None)

    def _publish_prior(self, prior):
        super()._publish_prior(prior)
        self.classes_ = prior.pooled.classes

    def _condition(self, prior, X, y):
        if prior.model is None:
            return None
        offset = prior.pooled.predict(X).astype(np.float64)
        if isinstance(prior.model, SharedLatentProcess):
            y = np.searchsorted(prior.pooled.classes, y) if len(y) else y
            return prior.model.posterior(prior.design(X), y, offset)
        y = (y == prior.pooled.classes[1]).astype(float)
        return prior.model.posterior(prior.design(X), y, _log_odds(offset))

    def _probabilities(self, X, prior, task):
        offset = prior.pooled.predict(X).astype(np.float64)
        if task is None:
            return softmax(offset, axis=1)
        if isinstance(prior.model, SharedLatentProcess):
            return softmax(task.predict(prior.design(X), offset), axis=1)
        residual, variance = task.predict(prior.design(X))
        return averaged_probabilities(_log_odds(offset) + residual, variance)


def _log_odds(outputs):
    """Of the second of two classes, from centred log-probabilities (n_rows, 2)."""
    return outputs[:, 1].astype(np.float64) - outputs[:, 0]
