"""The linear mixed model: fixed effects, and random effects of each task.

For task g, with fixed effects b and random effects u_g ~ N(0, S)::

    y_g ~ N(X_g b + Z_g u_g, s2 I).

It is fitted by EM; the posterior of the random effects of a new task has a closed form.
Task g has the rows ``offsets[g]:offsets[g + 1]``. Either matrix may have no columns.
"""

import warnings
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from sklearn.exceptions import ConvergenceWarning

MAX_FULL_EXPANSION = 30
"""Random effects up to which PX-EM is expanded by a full matrix (of the square of their
number of unknowns); above, by a diagonal matrix."""


@dataclass(frozen=True, eq=False)
class RandomEffects:
    """Gaussian posterior of one task's random effects.

    Attributes
    ----------
    mean : ndarray of shape (n_random,)
    covariance : ndarray of shape (n_random, n_random)
    noise_variance : float
        Variance of a new observation about its expectation; 0 for a logistic model.
    """

    mean: np.ndarray
    covariance: np.ndarray
    noise_variance: float = 0.0

    def predict(self, Z):
        """Mean and variance of the task-specific deviation at each row of `Z`.

        Parameters
        ----------
        Z : ndarray of shape (n_rows, n_random)

        Returns
        -------
        mean, variance : ndarray of shape (n_rows,)
        """
        variance = np.einsum("np,pq,nq->n", Z, self.covariance, Z)
        return Z @ self.mean, variance + self.noise_variance


@dataclass(frozen=True, eq=False)
class LinearMixedModel:
    """A fitted linear mixed model, made by :func:`fit_linear_mixed_model`.

    Attributes
    ----------
    coef : ndarray of shape (n_fixed,)
    random_cov : ndarray of shape (n_random, n_random)
    noise_variance : float
    log_likelihoods : ndarray of shape (n_iter + 1,)
        The objective before the first and after each EM iteration; never decreasing.
    """

    coef: np.ndarray
    random_cov: np.ndarray
    noise_variance: float
    log_likelihoods: np.ndarray

    def posterior(self, Z, residual):
        """Posterior of the random effects of a new task, given some of its rows.

        With no rows it is the prior N(0, `random_cov`). Bishop (2006), Pattern
        Recognition and Machine Learning, equations 3.50 and 3.51.

        Parameters
        ----------
        Z : ndarray of shape (n_rows, n_random)
        residual : ndarray of shape (n_rows,)
            Target less offset and fixed effects.

        Returns
        -------
        effects : RandomEffects
        """
        # Bishop 3.51 and 3.50, with the prior covariance `random_cov`
        cov = posterior_cov(self.random_cov, Z.T @ Z / self.noise_variance)
        mean = cov @ (Z.T @ residual) / self.noise_variance
        return RandomEffects(mean, cov, self.noise_variance)


def fit_linear_mixed_model(
    X, Z, y, offsets, *, diagonal=True, penalty=0.0, max_iter=500, tol=1e-8, warns=True
):
    """Fit a linear mixed model by maximum likelihood.

    An ECME algorithm on sufficient statistics [1]_: given the variances, the fixed
    effects are generalised least squares, which maximise the likelihood itself; the
    variances are then an EM step, with the parameters expanded by a linear map A of
    the random effects [2]_, without which small variances take thousands of
    iterations. No step lowers the objective, which is the log likelihood less
    ``sum(penalty * coef**2) / 2``.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_fixed)
        Design of the fixed effects.
    Z : ndarray of shape (n_rows, n_random)
        Design of the random effects.
    y : ndarray of shape (n_rows,)
        Target, best centred and of order one.
    offsets : ndarray of shape (n_tasks + 1,)
        Where each task's rows begin and end.
    diagonal : bool, default=True
        Whether random effects are independent of each other.
    penalty : float or ndarray of shape (n_fixed,), default=0.0
        Ridge penalty of each fixed effect: the precision of a normal prior.
    max_iter : int, default=500
        Most EM iterations.
    tol : float, default=1e-8
        EM stops when an iteration raises the objective by less than this per row.
    warns : bool, default=True
        Whether to warn if EM has not stopped. (Filters of warnings are shared by all
        threads, and must not be changed here.)

    Returns
    -------
    model : LinearMixedModel

    Warns
    -----
    ConvergenceWarning
        If EM has not stopped after `max_iter` iterations.

    References
    ----------
    .. [1] Liu, C., and Rubin, D. B. (1994). The ECME algorithm: a simple extension of
       EM and ECM with faster monotone convergence. Biometrika 81(4), 633-648.
    .. [2] Liu, C., Rubin, D. B., and Wu, Y. N. (1998). Parameter expansion to
       accelerate EM: the PX-EM algorithm. Biometrika 85(4), 755-770.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta._classical.linear_mixed_model import fit_linear_mixed_model
    >>> rng = np.random.default_rng(0)
    >>> level = np.repeat(rng.normal(scale=2.0, size=200), 5)
    >>> y = level + rng.normal(size=1000)
    >>> ones, offsets = np.ones((1000, 1)), np.arange(0, 1001, 5)
    >>> model = fit_linear_mixed_model(ones, ones, y, offsets)
    >>> model.random_cov.round(1), round(float(model.noise_variance), 1)
    (array([[3.7]]), 1.0)
    """
    n_rows, n_random = Z.shape
    ZZ, ZX = per_task(Z, Z, offsets), per_task(Z, X, offsets)
    Zy = per_task(Z, y, offsets)
    XX, Xy, yy, ridge = X.T @ X, X.T @ y, y @ y, ridge_matrix(penalty, X)
    if yy == 0:
        return _model_of_zeros(X.shape[1], n_random)
    smallest_noise = 1e-8 * yy / n_rows

    def expectation(random_cov, noise):
        cov = posterior_cov(random_cov, ZZ / noise)
        covZX = cov @ ZX
        # generalised least squares: the CM-step of ECME for the fixed effects
        coef = solve_normal(
            XX + noise * ridge - np.tensordot(ZX, covZX, ([0, 1], [0, 1])) / noise,
            Xy - np.einsum("gpq,gp->q", covZX, Zy) / noise,
        )
        Zr = Zy - ZX @ coef
        effects = np.einsum("gpq,gq->gp", cov, Zr) / noise  # E-step
        squares = yy - 2 * coef @ Xy + coef @ XX @ coef
        logdet = np.linalg.slogdet(np.eye(n_random) + random_cov @ ZZ / noise)[1].sum()
        objective = -0.5 * (
            n_rows * np.log(2 * np.pi * noise)
            + logdet
            + (squares - (effects * Zr).sum()) / noise
            + coef @ ridge @ coef
        )
        return coef, effects, cov, Zr, squares, objective

    def maximisation(effects, cov, Zr, squares):
        # PX-EM: the M-step of the expanded model, then reduction to A = I
        A, explained = expansion(effects, cov, ZZ, Zr, diagonal)
        random_cov = A @ second_moment(effects, cov, diagonal) @ A.T
        return random_cov, max((squares - explained) / n_rows, smallest_noise)

    noise = max(0.5 * yy / n_rows, smallest_noise)
    random_cov = noise * first_variances(n_random)
    coef, *expected, objective = expectation(random_cov, noise)
    objectives = [objective]
    while len(objectives) <= max_iter:
        random_cov, noise = maximisation(*expected)
        coef, *expected, objective = expectation(random_cov, noise)
        objectives.append(objective)
        if objectives[-1] - objectives[-2] < tol * n_rows:
            break
    else:
        if warns:
            warn_not_converged(max_iter, tol)
    return LinearMixedModel(coef, random_cov, noise, np.array(objectives))


def _model_of_zeros(n_fixed, n_random):
    """The model of targets that are all zero: no effects, noise of rounding errors."""
    random_cov, noise = np.zeros((n_random, n_random)), np.finfo(float).eps ** 2
    return LinearMixedModel(np.zeros(n_fixed), random_cov, noise, np.empty(0))


def per_task(A, B, offsets):
    """A_g' B_g of each task, (n_tasks, n_columns_of_A[, n_columns_of_B])."""
    return np.stack([A[i:j].T @ B[i:j] for i, j in pairwise(offsets)])


def posterior_cov(random_cov, information):
    """(random_cov^-1 + information)^-1, also where random_cov is singular."""
    eye = np.eye(len(random_cov))
    cov = np.linalg.solve(
        eye + random_cov @ information,
        np.broadcast_to(random_cov, information.shape),
    )
    return (cov + np.swapaxes(cov, -1, -2)) / 2


def expansion(effects, cov, ZZ, Zr, diagonal):
    """Least squares over A in y = X b + Z A u + e, close to the identity.

    Parameters
    ----------
    effects, cov : ndarray of shape (n_tasks, p) and (n_tasks, p, p)
        Posterior of u in each task.
    ZZ, Zr : ndarray of shape (n_tasks, p, p) and (n_tasks, p)
        Products of Z with itself and with y - X b, weighted if the rows are.
    diagonal : bool
        Whether A is diagonal, which it also is with very many effects.

    Returns
    -------
    A : ndarray of shape (p, p)
    explained : float
        By how much Z A u lowers the expected sum of squares.
    """
    p = effects.shape[1]
    stretch_only = diagonal or p > MAX_FULL_EXPANSION
    moments = effects[:, :, np.newaxis] * effects[:, np.newaxis] + cov
    if stretch_only:
        gram, target = (moments * ZZ).sum(axis=0), (effects * Zr).sum(axis=0)
        identity = np.ones(p)
    else:
        gram = np.einsum("gij,gkl->kilj", moments, ZZ, optimize=True)
        gram = gram.reshape(p**2, p**2)
        target, identity = (Zr.T @ effects).ravel(), np.eye(p).ravel()
    jitter = 1e-8 * np.trace(gram) / max(1, len(gram)) * np.eye(len(gram))
    a = identity + np.linalg.solve(gram + jitter, target - gram @ identity)
    A = np.diag(a) if stretch_only else a.reshape(p, p)
    return A, 2 * a @ target - a @ gram @ a


def second_moment(effects, cov, diagonal):
    """Mean over tasks of E[u u'], the M-step of the random effects."""
    moment = (effects.T @ effects + cov.sum(axis=0)) / len(effects)
    return np.diag(np.diag(moment)) if diagonal else moment


def first_variances(n_random):
    """Initial variances of EM, with more for the first effect, the intercept."""
    return np.diag(np.r_[0.5, np.full(n_random, 0.1)][:n_random])


def varying_columns(design, offsets):
    """Columns that vary within more than a fifth of the tasks, so may have slopes."""
    std = [design[start:end].std(axis=0) for start, end in pairwise(offsets)]
    return np.flatnonzero((np.array(std) > 1e-6).mean(axis=0) > 0.2)


def random_columns(design, offsets, slopes):
    """Columns with random effects: the first, which is the intercept, and slopes."""
    varying = varying_columns(design, offsets) if slopes else []
    return np.r_[0, varying].astype(int)


def ridge_matrix(penalty, X):
    """Penalty of each column of `X`, as a diagonal matrix."""
    return np.diag(np.broadcast_to(penalty, X.shape[1]).astype(float))


def solve_normal(gram, moment):
    """Least squares from normal equations; redundant columns share their effect."""
    return np.linalg.pinv(gram, hermitian=True) @ moment


def warn_not_converged(max_iter, tol):
    """Warn that EM has not converged."""
    warnings.warn(
        f"EM has not converged to tol={tol} after max_iter={max_iter} iterations. "
        "Increase max_iter or tol.",
        ConvergenceWarning,
        stacklevel=3,
    )
