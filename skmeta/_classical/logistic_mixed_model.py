"""The logistic mixed model: fixed effects, and random effects of each task.

For task g, with fixed effects b and random effects u_g ~ N(0, S)::

    y_g ~ Bernoulli(sigmoid(logit_g + X_g b + Z_g u_g)).

Fitted by EM, with Laplace's approximation of the posterior of the random effects. Rows
are arranged as in `linear_mixed_model`.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit

from .linear_mixed_model import (
    RandomEffects,
    expansion,
    first_variances,
    per_task,
    ridge_matrix,
    second_moment,
    solve_normal,
    warn_not_converged,
)

MAX_NEWTON_STEPS = 25
MAX_NEWTON_STEP = 3.0
"""Longest Newton step, in log-odds."""

SMALLEST_WEIGHT = 1e-4
SMALLEST_VARIANCE = 1e-5


@dataclass(frozen=True, eq=False)
class LogisticMixedModel:
    """A fitted logistic mixed model, made by :func:`fit_logistic_mixed_model`.

    Attributes
    ----------
    coef : ndarray of shape (n_fixed,)
    random_cov : ndarray of shape (n_random, n_random)
    log_likelihoods : ndarray of shape (n_iter + 1,)
        Laplace's approximation before the first and after each EM iteration.
    """

    coef: np.ndarray
    random_cov: np.ndarray
    log_likelihoods: np.ndarray

    def posterior(self, Z, y, logit):
        """Laplace approximation of the posterior of the random effects of a new task.

        With no rows it is the prior N(0, `random_cov`). Bishop (2006), Pattern
        Recognition and Machine Learning, equation 4.143.

        Parameters
        ----------
        Z : ndarray of shape (n_rows, n_random)
        y : ndarray of shape (n_rows,)
            0 or 1.
        logit : ndarray of shape (n_rows,)
            Offset and fixed effects.

        Returns
        -------
        effects : RandomEffects
        """
        n_rows, n_random = Z.shape
        _, mean, cov, *_ = _laplace(
            np.empty((n_rows, 0)), Z, y, logit, np.array([0, n_rows]),
            self.random_cov, 0.0, np.empty(0), np.zeros((1, n_random)),
        )  # fmt: skip
        return RandomEffects(mean[0], cov[0])


def averaged_probabilities(logit, variance):
    """Probabilities (n_rows, 2) of 0 and 1, averaged over normal log-odds.

    MacKay (1992), The evidence framework applied to classification networks; Bishop
    (2006), Pattern Recognition and Machine Learning, equations 4.153 and 4.154.
    """
    second = expit(logit / np.sqrt(1 + np.pi * variance / 8))
    return np.column_stack([1 - second, second])


def fit_logistic_mixed_model(
    X,
    Z,
    y,
    logit,
    offsets,
    *,
    diagonal=True,
    penalty=0.0,
    max_iter=500,
    tol=1e-6,
    warns=True,
):
    """Fit a logistic mixed model by EM with Laplace's approximation.

    The E-step is the joint mode of fixed and random effects with the curvature there,
    by Newton's method [1]_; the M-step is the variance of the random effects, expanded
    as in the linear model of the working response.

    Parameters
    ----------
    X, Z, offsets, diagonal, penalty, max_iter, tol, warns
        As in :func:`fit_linear_mixed_model`.
    y : ndarray of shape (n_rows,)
        0 or 1.
    logit : ndarray of shape (n_rows,)
        Known offset of the log-odds.

    Returns
    -------
    model : LogisticMixedModel

    Warns
    -----
    ConvergenceWarning
        If EM has not stopped after `max_iter` iterations.

    References
    ----------
    .. [1] Breslow, N. E., and Clayton, D. G. (1993). Approximate inference in
       generalized linear mixed models. JASA 88(421), 9-25, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta._classical.logistic_mixed_model import fit_logistic_mixed_model
    >>> rng = np.random.default_rng(0)
    >>> level = np.repeat(rng.normal(scale=2.0, size=300), 30)
    >>> y = (level + rng.logistic(size=9000) > 0).astype(float)
    >>> ones, offsets = np.ones((9000, 1)), np.arange(0, 9001, 30)
    >>> model = fit_logistic_mixed_model(ones, ones, y, 0 * y, offsets)
    >>> model.random_cov.round(1)
    array([[3.5]])
    """
    n_rows, n_random = Z.shape
    random_cov = first_variances(n_random)
    coef, effects = np.zeros(X.shape[1]), np.zeros((len(offsets) - 1, n_random))
    coef, *mode, objective = _laplace(
        X, Z, y, logit, offsets, random_cov, penalty, coef, effects
    )
    objectives = [objective]
    while len(objectives) <= max_iter:
        A, _ = expansion(*mode, diagonal)
        random_cov = A @ second_moment(*mode[:2], diagonal) @ A.T
        random_cov += SMALLEST_VARIANCE * np.eye(n_random)
        coef, *mode, objective = _laplace(
            X, Z, y, logit, offsets, random_cov, penalty, coef, mode[0]
        )
        objectives.append(objective)
        if abs(objectives[-1] - objectives[-2]) < tol * n_rows:
            break
    else:
        if warns:
            warn_not_converged(max_iter, tol)
    return LogisticMixedModel(coef, random_cov, np.array(objectives))


def _laplace(X, Z, y, logit, offsets, random_cov, penalty, coef, effects):
    """Find the joint mode by Newton's method, eliminating the random effects.

    Returns the mode (n_fixed,) and (n_tasks, n_random); the covariance of the random
    effects (n_tasks, n_random, n_random); what `expansion` takes, the weighted products
    of Z with itself, of the same shape, and with the working response less the other
    effects (n_tasks, n_random); and the approximate log likelihood.
    """
    n_tasks, n_random = effects.shape
    task_of_row = np.repeat(np.arange(n_tasks), np.diff(offsets))
    precision = np.linalg.inv(random_cov)
    ridge = ridge_matrix(penalty, X)
    for _ in range(MAX_NEWTON_STEPS):
        eta = logit + X @ coef + (Z * effects[task_of_row]).sum(axis=1)
        probability = expit(eta)
        weight = np.maximum(probability * (1 - probability), SMALLEST_WEIGHT)
        wX, wZ = weight[:, np.newaxis] * X, weight[:, np.newaxis] * Z
        ZwZ, ZwX = per_task(Z, wZ, offsets), per_task(Z, wX, offsets)
        cov = np.linalg.inv(ZwZ + precision)
        covZwX = cov @ ZwX
        slope_b = X.T @ (y - probability) - ridge @ coef
        score_u = per_task(Z, y - probability, offsets)
        slope_u = score_u - effects @ precision
        # Newton step, by the Schur complement of the blocks of random effects
        step_b = solve_normal(
            X.T @ wX + ridge - np.tensordot(ZwX, covZwX, ([0, 1], [0, 1])),
            slope_b - np.einsum("gpq,gp->q", covZwX, slope_u),
        )
        step_u = np.einsum("gpq,gq->gp", cov, slope_u - ZwX @ step_b)
        longest = max(np.abs(step_b).max(initial=0), np.abs(step_u).max(initial=0))
        if longest < 1e-6:
            break
        coef = coef + _shortened(step_b)
        effects = effects + _shortened(step_u)
    # Laplace approximation of the marginal likelihood (Bishop 2006, eq. 4.137)
    logdet = np.linalg.slogdet(np.eye(n_random) + random_cov @ ZwZ)[1].sum()
    log_likelihood = (
        log_expit(np.where(y > 0.5, eta, -eta)).sum()
        - 0.5 * logdet
        - 0.5 * np.einsum("gp,pq,gq->", effects, precision, effects)
        - 0.5 * coef @ ridge @ coef
    )
    working = score_u + np.einsum("gpq,gq->gp", ZwZ, effects)
    return coef, effects, cov, ZwZ, working, log_likelihood


def _shortened(step):
    length = np.linalg.norm(step, axis=-1, keepdims=True)
    return step * np.minimum(1, MAX_NEWTON_STEP / np.maximum(length, 1e-12))
