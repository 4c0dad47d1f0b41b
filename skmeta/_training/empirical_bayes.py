"""Empirical Bayes: hyperparameters of a prior by type-II maximum likelihood.

They maximise the joint marginal likelihood of many tasks, or that of one.
"""

from dataclasses import replace

import numpy as np
import torch
from scipy.optimize import minimize

from .._episodes.batch import Rows
from .._networks.learners.gp_prior import no_encoding

LINEAR_SPREAD, LOG_SPREAD = 0.3, 1.0
"""Standard deviations of the normal priors, for the parameters of the linear part and
for the logarithms of the other hyperparameters."""

MAX_SPREADS = 5.0
"""Maximum change of a hyperparameter, in prior standard deviations."""

MAX_ITER = 30


def fit_prior(
    learner, rows, y, n_tasks=1, *, linear_spread=LINEAR_SPREAD, log_spread=LOG_SPREAD,
    max_iter=None,
):  # fmt: skip
    """Fit the hyperparameters that all tasks share by their joint marginal likelihood.

    Each has a normal prior around its initial value. Those of each expert are fitted on
    their own, by L-BFGS, in units of the standard deviations of their priors.

    Parameters
    ----------
    learner : GaussianProcessLearner
        Changed in place. Its parameters no longer require gradients.
    rows : Rows of B tasks
    y : tensor of shape (B, n_rows)
    n_tasks : int
        Number of tasks that these B stand for: their likelihood counts n_tasks / B
        times, compared with the priors.
    linear_spread, log_spread : float
        Standard deviations of the normal priors, of the parameters of the linear part
        and of the logarithms of the other hyperparameters.
    max_iter : int, optional
        Maximum number of iterations, by default `MAX_ITER`.
    """
    rows = Rows(*(part.double() for part in rows))
    dtype = learner.prior.noise.dtype
    learner.requires_grad_(False).double()
    for e in range(learner.prior.n_experts):
        one = learner if learner.prior.n_experts == 1 else learner.select([e])
        spreads = linear_spread, log_spread
        _fit_expert(one, rows, y, n_tasks / len(y), spreads, max_iter or MAX_ITER)
        if one is not learner:
            learner.copy_experts(one, [e])
    learner.to(dtype)


def _fit_expert(learner, rows, y, repeats, spreads, max_iter):
    prior = learner.prior
    parts = prior.linear_parameters(), prior.log_parameters()
    groups = [*zip(parts, spreads, strict=True)]
    parameters = [p.requires_grad_(True) for group, _ in groups for p in group]
    sizes = [p.numel() for p in parameters]
    first = torch.cat([p.detach().flatten() for p in parameters])
    spread = first.new_tensor([sd for group, sd in groups for _ in group])
    spread = spread.repeat_interleave(torch.tensor(sizes))

    @torch.no_grad()
    def move(step):
        moved = first + spread * torch.from_numpy(step)
        for p, part in zip(parameters, moved.split(sizes), strict=True):
            p.copy_(part.view_as(p))

    def loss_and_gradient(step):
        move(step)
        encoding = no_encoding(learner, rows)
        loss = -repeats * learner.marginal_likelihood(rows, y, encoding).sum()
        gradients = torch.autograd.grad(
            loss, parameters, allow_unused=True, materialize_grads=True
        )
        gradient = torch.cat([g.flatten() for g in gradients]) * spread
        penalty = 0.5 * step @ step
        return loss.item() + penalty, gradient.numpy() + step

    found = minimize(
        loss_and_gradient, np.zeros(len(first)), jac=True, method="L-BFGS-B",
        bounds=[(-MAX_SPREADS, MAX_SPREADS)] * len(first),
        options={"maxiter": max_iter, "ftol": 1e-6, "gtol": 1e-2},
    )  # fmt: skip
    move(found.x)
    learner.requires_grad_(False)


def draw_from_prior(learner, batch, chosen, generator):
    """``batch`` with the targets of the tasks ``chosen`` drawn from the prior.

    ``chosen`` is a tensor of bool, shape (n_tasks,).
    """
    n_support = batch.y_support.shape[1]
    rows, y = batch.rows()
    rows = Rows(*(t[chosen] for t in rows))
    with torch.no_grad():
        y[chosen] = learner.sample(rows, no_encoding(learner, rows), generator)
    y_support, y_query = y.split([n_support, y.shape[1] - n_support], 1)
    return replace(batch, y_support=y_support, y_query=y_query)
