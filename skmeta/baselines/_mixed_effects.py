"""Mixed-effects models as estimators: the classical model of many tasks."""

import numpy as np
from sklearn.base import is_classifier

from .._classical.linear_mixed_model import (
    LinearMixedModel,
    fit_linear_mixed_model,
    random_columns,
)
from .._classical.logistic_mixed_model import (
    averaged_probabilities,
    fit_logistic_mixed_model,
)
from .._preprocessing.column_reduction import fit_features
from .._preprocessing.design_matrix import design_matrix, fit_design
from .._preprocessing.scaling import TargetScaler
from ._base import ClassifierBaseline, RegressorBaseline
from ._priors import MixedPrior


class _MixedEffects:
    """What the linear and the logistic model share."""

    def _check_params(self):
        if self.random_slopes not in ("full", "diagonal", None):
            raise ValueError(
                f"random_slopes={self.random_slopes!r} is none of 'full', 'diagonal' "
                "and None."
            )

    def _learn(self, tasks, validation_tasks):
        scaler, design = fit_design(tasks, "shared" if is_classifier(self) else None)
        slopes = self.random_slopes is not None
        columns = random_columns(design, tasks.offsets, slopes)
        return self._fit_model(scaler, design, columns, tasks.y, tasks.offsets)

    def _penalty(self, design):
        return np.r_[0.0, np.full(design.shape[1] - 1, float(self.ridge))]

    def _settings(self, design):
        return {
            "diagonal": self.random_slopes != "full",
            "penalty": self._penalty(design),
            "max_iter": self.max_iter,
            "tol": self.tol,
        }

    def _publish_prior(self, prior):
        fixed = prior.in_units() @ prior.model.coef
        fixed[0] += prior.targets.inverse_transform(0.0)
        self.intercept_, self.coef_ = float(fixed[0]), fixed[1:]
        self.n_iter_ = max(1, len(prior.model.log_likelihoods) - 1)

    @property
    def random_effects_cov_(self):
        """Covariance of a task's random effects, computed on access.

        Shape (1 + n_features, 1 + n_features), the intercept first. Needs meta-fitted
        or adapted.
        """
        if not hasattr(self, "_prior"):
            raise AttributeError(
                f"This {type(self).__name__} is new: call meta_fit, or fit, first."
            )
        to_units = self._prior.random_in_units()
        return to_units @ self._prior.model.random_cov @ to_units.T

    @property
    def random_effects_(self):
        """Posterior mean of the task's random effects.

        Shape (1 + n_features,), the intercept first. Needs adapted.
        """
        if not hasattr(self, "_task"):
            raise AttributeError(
                f"This {type(self).__name__} is not adapted to a task: call fit first."
            )
        return self._prior.random_in_units() @ self._task.mean


class MixedEffectsRegressor(_MixedEffects, RegressorBaseline):
    """Linear mixed-effects model: fixed effects, and random effects of each task.

    For task g,

        y = X (b + u_g) + e,  u_g ~ N(0, S),  e ~ N(0, s2),

    with an intercept in X. `meta_fit` finds b, S and s2 by maximum likelihood; `fit`
    computes the posterior of a new task's u_g, in closed form. The random effects are
    shrunk towards zero the more, the fewer rows a task has.

    Parameters
    ----------
    random_slopes : {"full", "diagonal"} or None, default="diagonal"
        Covariance S of the random effects: of any form, independent for standardised
        columns, or of the intercept alone. Columns that vary within a fifth of the
        tasks or fewer get no random slope.
    ridge : float, default=1.0
        Penalty of the shared coefficients, for standardised columns and targets: the
        precision of a normal prior. 0 for maximum likelihood.
    max_iter : int, default=500
        Most EM iterations.
    tol : float, default=1e-8
        EM stops when an iteration raises the log likelihood by less than this per row.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients shared by all tasks.
    intercept_ : float
        Intercept shared by all tasks.
    random_effects_cov_ : ndarray of shape (1 + n_features, 1 + n_features)
        Covariance S of the random effects in units of `X`, the intercept first; zero
        for columns without a random slope.
    noise_variance_ : float
        Variance s2 of the noise.
    random_effects_ : ndarray of shape (1 + n_features,)
        Posterior mean of u_g for the task adapted to, the intercept first.
    n_iter_ : int
        EM iterations; 1 when new.
    meta_state_ : object
        What `meta_fit` learned; clones share it.
    n_features_in_ : int
        Number of columns.

    See Also
    --------
    MixedEffectsClassifier : The same for binary targets.

    Notes
    -----
    With ``ridge=0`` and ``random_slopes="full"`` or None, the estimates are those of
    ``MixedLM.fit(reml=False)`` of statsmodels and ``lmer(..., REML = FALSE)`` of the R
    package lme4. When new, `fit` is a ridge regression.

    Of more than 64 columns, the model sees the 32 that are most associated with the
    targets one by one, and 32 principal components of all; its coefficients are given
    for all columns.

    References
    ----------
    Laird, N. M., and Ware, J. H. (1982). Random-effects models for longitudinal data.
    Biometrics 38(4), 963-974.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.baselines import MixedEffectsRegressor
    >>> rng = np.random.default_rng(0)
    >>> slopes = 2 + 0.5 * rng.normal(size=50)
    >>> X = rng.normal(size=(50, 20, 1))
    >>> y = slopes[:, None] * X[:, :, 0] + 0.1 * rng.normal(size=(50, 20))
    >>> model = MixedEffectsRegressor().meta_fit(list(zip(X, y)))
    >>> model.coef_.round(1)
    array([2.1])
    >>> model.predict([[1.0]]).round(1)  # zero-shot
    array([2.1])
    >>> model.fit([[1.0], [2.0]], [3.0, 6.0]).predict([[1.0]]).round(1)
    array([3.])
    """

    def __init__(self, random_slopes="diagonal", *, ridge=1.0, max_iter=500, tol=1e-8):
        self.random_slopes = random_slopes
        self.ridge = ridge
        self.max_iter = max_iter
        self.tol = tol

    def _fit_model(self, scaler, design, columns, y, offsets):
        targets = TargetScaler.fit(y)
        model = fit_linear_mixed_model(
            design,
            design[:, columns],
            targets.transform(y, np.float64),
            offsets,
            **self._settings(design),
        )
        return self._prior_of(scaler, targets, columns, model)

    @staticmethod
    def _prior_of(scaler, targets, columns, model):
        return MixedPrior(
            scaler, targets.mean, targets.scale, columns, model, y_offset=targets.offset
        )

    def _learn_alone(self, X, y):
        scaler = fit_features(X, y, np.zeros(len(y), dtype=int), None)
        design = design_matrix(X, scaler)
        targets = TargetScaler.fit(y)
        y = targets.transform(y, np.float64)
        # ridge regression as least squares, with one more row for each penalty
        penalties = np.diag(np.sqrt(self._penalty(design)))
        rows = np.vstack([design, penalties])
        coef = np.linalg.lstsq(rows, np.r_[y, np.zeros(len(penalties))])[0]
        noise = np.mean((y - design @ coef) ** 2)
        model = LinearMixedModel(coef, np.empty((0, 0)), noise, np.empty(0))
        return self._prior_of(scaler, targets, np.empty(0, dtype=int), model)

    def _publish_prior(self, prior):
        super()._publish_prior(prior)
        self.noise_variance_ = prior.y_scale**2 * float(prior.model.noise_variance)

    def _condition(self, prior, X, y):
        mean, Z = prior.fixed(X)
        return prior.model.posterior(Z, prior.targets.transform(y, np.float64) - mean)

    def _mean_and_variance(self, X, prior, task):
        mean, Z = prior.fixed(X)
        effect, variance = task.predict(Z)
        mean = prior.targets.inverse_transform(mean + effect)
        return mean, prior.y_scale**2 * variance


class MixedEffectsClassifier(_MixedEffects, ClassifierBaseline):
    """Logistic mixed-effects model of two classes.

    For task g,

        logit P(y = classes_[1]) = X (b + u_g),  u_g ~ N(0, S),

    with an intercept in X. `meta_fit` finds b and S by EM with Laplace's approximation;
    `fit` approximates the posterior of a new task's u_g in the same way. With mean mu
    and variance s2 of the log-odds, the predictive probability is
    sigmoid(mu / sqrt(1 + pi s2 / 8)) [1]_.

    Parameters
    ----------
    random_slopes : {"full", "diagonal"} or None, default="diagonal"
        Covariance S of the random effects: of any form, independent for standardised
        columns, or of the intercept alone. Columns that vary within a fifth of the
        tasks or fewer get no random slope.
    ridge : float, default=1.0
        Penalty of the shared coefficients, for standardised columns: the precision of
        a normal prior. 0 for maximum likelihood.
    max_iter : int, default=500
        Most EM iterations.
    tol : float, default=1e-6
        EM stops when an iteration changes the log likelihood by less than this per row.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The classes, sorted.
    coef_ : ndarray of shape (n_features,)
        Coefficients shared by all tasks.
    intercept_ : float
        Intercept shared by all tasks.
    random_effects_cov_ : ndarray of shape (1 + n_features, 1 + n_features)
        Covariance S of the random effects in units of `X`, the intercept first; zero
        for columns without a random slope.
    random_effects_ : ndarray of shape (1 + n_features,)
        Posterior mode of u_g for the task adapted to, the intercept first.
    n_iter_ : int
        EM iterations.
    meta_state_ : object
        What `meta_fit` learned; clones share it.
    n_features_in_ : int
        Number of columns.

    See Also
    --------
    MixedEffectsRegressor : The same for real targets.

    Notes
    -----
    When new, `fit` is a ridge-penalised logistic regression.

    Of more than 64 columns, the model sees the 32 that are most associated with the
    targets one by one, and 32 principal components of all; its coefficients are given
    for all columns.

    References
    ----------
    .. [1] MacKay, D. J. C. (1992). The evidence framework applied to classification
       networks. Neural Computation 4(5), 720-736; Bishop, C. M. (2006). Pattern
       Recognition and Machine Learning, equations 4.153 and 4.154.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.baselines import MixedEffectsClassifier
    >>> rng = np.random.default_rng(0)
    >>> level = 2 * rng.normal(size=100)
    >>> X = rng.normal(size=(100, 20, 1))
    >>> y = level[:, None] + X[:, :, 0] + rng.logistic(size=(100, 20)) > 0
    >>> model = MixedEffectsClassifier().meta_fit(list(zip(X, y.astype(int))))
    >>> model.predict_proba([[0.0]]).round(1)  # zero-shot
    array([[0.5, 0.5]])
    >>> model.fit([[0.0], [0.0], [0.0]], [1, 1, 1]).predict_proba([[0.0]]).round(1)
    array([[0.2, 0.8]])
    """

    def __init__(self, random_slopes="diagonal", *, ridge=1.0, max_iter=500, tol=1e-6):
        self.random_slopes = random_slopes
        self.ridge = ridge
        self.max_iter = max_iter
        self.tol = tol

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def _fit_model(self, scaler, design, columns, y, offsets):
        classes = np.unique(y)
        if len(classes) > 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is "
                f"multiclass, with classes {classes.tolist()}; use PooledClassifier."
            )
        if len(classes) < 2:
            raise ValueError(
                f"MixedEffectsClassifier needs rows of two classes, got the one class "
                f"{classes.tolist()}. After meta_fit one class is enough for fit."
            )
        model = fit_logistic_mixed_model(
            design,
            design[:, columns],
            (y == classes[1]).astype(float),
            np.zeros(len(y)),
            offsets,
            **self._settings(design),
        )
        return MixedPrior(scaler, 0.0, 1.0, columns, model, classes)

    def _learn_alone(self, X, y):
        scaler = fit_features(X, y, np.zeros(len(y), dtype=int), "shared")
        columns, offsets = np.empty(0, dtype=int), np.array([0, len(y)])
        return self._fit_model(scaler, design_matrix(X, scaler), columns, y, offsets)

    def _publish_prior(self, prior):
        super()._publish_prior(prior)
        self.classes_ = prior.classes

    def _condition(self, prior, X, y):
        logit, Z = prior.fixed(X)
        return prior.model.posterior(Z, (y == prior.classes[1]).astype(float), logit)

    def _probabilities(self, X, prior, task):
        logit, Z = prior.fixed(X)
        effect, variance = task.predict(Z)
        return averaged_probabilities(logit + effect, variance)
