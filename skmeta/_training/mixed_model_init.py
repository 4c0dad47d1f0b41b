"""Initialise a Gaussian-process (GP) prior by the mixed model of the tasks.

The linear part of the GP is a mixed model: the means of its coefficients are the fixed
effects, and their covariance is that of the random effects. EM with few iterations
estimates both with less over-fitting than gradient steps on the same marginal
likelihood.
"""

import copy
import math

import numpy as np
import torch
from scipy.special import logsumexp

from .._classical.linear_mixed_model import fit_linear_mixed_model, varying_columns
from .._classical.logistic_mixed_model import fit_logistic_mixed_model
from .._classical.pooled import resampled
from .._preprocessing.scaling import ClassCodec

MAX_ITER = 50
MAX_COLUMNS = 64
"""Maximum number of columns for EM, whose cost is cubic in it."""

MAX_TASKS, MAX_COST = 500, 500_000
"""Maximum number of tasks for EM, and maximum product of the numbers of tasks, squared
columns and models."""

RBF_SHARE, MIN_RBF = 0.2, 1e-4
"""Initial variance of the RBF part relative to the noise (in classification, to the
variance of the intercept), and its minimum."""


def mixed_model_inits(learner, episodes, rng, max_iter=MAX_ITER):
    """Candidate initialisations of a base learner: the default, and mixed models.

    Parameters
    ----------
    learner : module
        A Gaussian-process base learner.
    episodes : Episodes of n_tasks tasks
    rng : numpy.random.Generator
        Draws the tasks for EM if there are many.
    max_iter : int
        Maximum number of iterations of EM.

    Returns
    -------
    learners : list of module
        ``learner``, and copies of it initialised by a mixed model with a full and with
        a diagonal covariance, unless there are too many columns or EM fails.
    """
    learners = [learner]
    rows = _Rows(episodes, rng)
    if rows.design.shape[1] > MAX_COLUMNS or rows.is_certain():
        return learners
    for diagonal in (False, True):
        try:
            with np.errstate(all="ignore"):
                effects = rows.fit(diagonal, max_iter)
        except np.linalg.LinAlgError:
            continue
        if all(np.isfinite(part).all() for part in effects):
            learners.append(_at_mixed_model(learner, *effects))
    return learners


class _Rows:
    """Concatenated rows of all tasks, as inputs of the mixed models.

    Attributes
    ----------
    design : ndarray of shape (n_rows, 1 + n_columns)
        Ones, features and pooled predictions, as in the linear part of the GP.
    random : ndarray of int
        Columns of ``design`` with random effects.
    offset : ndarray of shape (n_rows, n_outputs)
    y : ndarray of shape (n_rows,)
    offsets : ndarray of shape (n_tasks + 1,)
    """

    def __init__(self, episodes, rng):
        tasks, targets = episodes.tasks, episodes.targets
        n_columns = 1 + len(episodes.features.mean) + targets.n_outputs
        n_tasks = max(2, MAX_COST // (n_columns**2 * targets.n_outputs))
        chosen = np.sort(rng.permutation(len(tasks))[: min(n_tasks, MAX_TASKS)])
        if tasks.weights is not None:
            weight = tasks.weights[chosen]
            chosen = chosen[resampled(weight / weight.mean(), rng)]
        starts, ends = tasks.offsets[chosen], tasks.offsets[chosen + 1]
        rows = np.concatenate([*map(np.arange, starts, ends)])
        x = episodes.features.transform(tasks.X[rows], np.float64)
        columns = [np.ones((len(x), 1)), x]
        self.offset = np.zeros((len(x), targets.n_outputs))
        if episodes.offset is not None:
            self.offset = episodes.offset[rows].astype(np.float64)
            columns.append(self.offset)
        self.design = np.hstack(columns)
        self.y = targets.transform(tasks.y[rows], np.float64)
        self.offsets = np.r_[0, np.cumsum(ends - starts)]
        self.random = np.r_[0, 1 + varying_columns(self.design[:, 1:], self.offsets)]
        self.has_classes = isinstance(targets, ClassCodec)

    def is_certain(self):
        """Whether there is only one class, and nothing to fit."""
        return self.has_classes and self.offset.shape[1] == 1

    def fit(self, diagonal, max_iter):
        """Fit the mixed model.

        Returns
        -------
        coef : ndarray of shape (n_outputs, 1 + n_columns)
        cov : ndarray of shape (1 + n_columns, 1 + n_columns)
        noise : float
            Variance that is left to the other parts of the GP.
        """
        settings = {
            "diagonal": diagonal,
            "penalty": np.r_[0.0, np.ones(self.design.shape[1] - 1)],
            "max_iter": max_iter,
            "warns": False,
        }
        if not self.has_classes:
            model = fit_linear_mixed_model(
                self.design, self.design[:, self.random], self.y - self.offset[:, 0],
                self.offsets, **settings,
            )  # fmt: skip
            return model.coef[None], self._full(model.random_cov), model.noise_variance
        return self._fit_classes(settings)

    def _fit_classes(self, settings):
        """One-vs-rest mixed models, averaged over the classes.

        The log-odds of a class are its latent function minus one common to the others.
        If C latent functions are independent with variance v, the variance of the
        log-odds is about C / (C - 1) v, exactly so for two classes.
        """
        C = self.offset.shape[1]
        share = (C - 1) / C
        models = [
            fit_logistic_mixed_model(
                self.design, self.design[:, self.random],
                (self.y == c).astype(np.float64),
                self.offset[:, c] - logsumexp(np.delete(self.offset, c, 1), axis=1),
                self.offsets, **settings,
            )
            for c in range(1 if C == 2 else C)
        ]  # fmt: skip
        coef = share * np.array([model.coef for model in models])
        if C == 2:
            coef = np.vstack([coef, -coef])
        cov = share * self._full(np.mean([model.random_cov for model in models], 0))
        return coef, cov, cov[0, 0]

    def _full(self, random_cov):
        n = self.design.shape[1]
        cov = np.zeros((n, n))
        cov[np.ix_(self.random, self.random)] = random_cov
        return cov


@torch.no_grad()
def _at_mixed_model(learner, coef, cov, noise):
    """A copy of ``learner`` with the mixed model as linear part."""
    learner = copy.deepcopy(learner)
    prior = learner.prior
    variance, direction = np.linalg.eigh(cov)
    factor = direction * np.sqrt(variance.clip(min=0))
    prior.factor.copy_(torch.from_numpy(factor))
    prior.coefficients.bias.copy_(torch.from_numpy(coef[:, 0]))
    prior.coefficients.weight.copy_(torch.from_numpy(coef[:, 1:]))
    share = 0.0 if prior.linear_only else RBF_SHARE
    prior.signal.fill_(math.log(max(share * noise, MIN_RBF)))
    prior.noise.fill_(math.log(max((1 - share) * noise, MIN_RBF**2)))
    return learner
