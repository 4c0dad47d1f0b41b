"""Empirical Bayes: hyperparameters of a prior by type-II maximum likelihood.

They maximise the joint marginal likelihood of many tasks, or that of one.
"""

from dataclasses import replace

import numpy as np
import torch
from scipy.optimize import minimize

from .._episodes.batch import Rows
from .._networks.learners.gp_prior import no_encoding

N_STEPS = 100
LINEAR_RATE, LOG_RATE = 0.03, 0.1
LINEAR_SPREAD, LOG_SPREAD = 0.3, 1.0
"""Learning rates, and standard deviations of the normal priors, for the parameters of
the linear part and for the logarithms of the other hyperparameters."""

EPS = 1e-6
"""Adam's epsilon: gradients far below it are rounding errors."""

MAX_SPREADS = 5.0
"""Maximum change of a hyperparameter on one task, in prior standard deviations."""


def fit_prior(
    learner, draw, n_tasks, n_steps=N_STEPS, linear_spread=LINEAR_SPREAD,
    log_spread=LOG_SPREAD,
):  # fmt: skip
    """Fit the hyperparameters that all tasks share by their joint marginal likelihood.

    Each has a normal prior around its initial value. Those of each expert are fitted
    on their own.

    Parameters
    ----------
    learner : GaussianProcessLearner
        Changed in place. Its other parameters no longer require gradients.
    draw : callable
        ``draw()`` returns rows (`Rows`) and targets of a batch of tasks.
    n_tasks : int
        Number of tasks that batches are drawn from.
    n_steps : int
    linear_spread, log_spread : float
        Standard deviations of the normal priors, of the parameters of the linear part
        and of the logarithms of the other hyperparameters.
    """
    groups = _hyperparameters(learner, linear_spread, log_spread)
    parameters = [p for group, _, _ in groups for p in group]
    first = [p.detach().clone() for p in parameters]
    spreads = [spread for group, _, spread in groups for _ in group]
    rates = [{"params": p, "lr": lr} for p, lr, _ in groups]
    optimizer = torch.optim.Adam(rates, fused=True, eps=EPS)
    for step in range(1, n_steps + 1):
        for group, (_, lr, _) in zip(optimizer.param_groups, groups, strict=True):
            group["lr"] = lr * (1 - 0.9 * step / n_steps)
        rows, y = draw()
        adapted = learner.adapt(rows, y, no_encoding(learner, rows))
        moved = zip(parameters, first, spreads, strict=True)
        penalty = sum(((p - q) ** 2).sum() / 2 / sd**2 for p, q, sd in moved)
        evidence = learner.expert_evidence(adapted).sum()
        loss = penalty * len(y) / n_tasks - evidence
        optimizer.zero_grad()
        (loss / rows.weight.sum()).backward()
        optimizer.step()


def fit_prior_to_task(learner, rows, y):
    """Fit the hyperparameters to the marginal likelihood of one task.

    Since every step uses all rows, by L-BFGS, on hyperparameters in units of the
    standard deviations of their normal priors.

    Parameters
    ----------
    learner : module
        A Gaussian-process base learner in float64, changed in place.
    rows : Rows of one task
    y : tensor of shape (1, n_rows)
    """
    groups = _hyperparameters(learner)
    parameters = [p for group, _, _ in groups for p in group]
    sizes = [p.numel() for p in parameters]
    first = torch.cat([p.detach().flatten() for p in parameters])
    spread = first.new_tensor([sd for group, _, sd in groups for _ in group])
    spread = spread.repeat_interleave(torch.tensor(sizes))

    @torch.no_grad()
    def move(step):
        moved = first + spread * torch.from_numpy(step)
        for p, part in zip(parameters, moved.split(sizes), strict=True):
            p.copy_(part.view_as(p))

    def loss_and_gradient(step):
        move(step)
        adapted = learner.adapt(rows, y, no_encoding(learner, rows))
        loss = -learner.expert_evidence(adapted).sum()
        gradients = torch.autograd.grad(
            loss, parameters, allow_unused=True, materialize_grads=True
        )
        gradient = torch.cat([g.flatten() for g in gradients]) * spread
        penalty = 0.5 * step @ step
        return loss.item() + penalty, gradient.numpy() + step

    found = minimize(
        loss_and_gradient, np.zeros(len(first)), jac=True, method="L-BFGS-B",
        bounds=[(-MAX_SPREADS, MAX_SPREADS)] * len(first),
        options={"maxiter": N_STEPS, "ftol": 1e-6, "gtol": 1e-2},
    )  # fmt: skip
    move(found.x)


def _hyperparameters(learner, linear_spread=LINEAR_SPREAD, log_spread=LOG_SPREAD):
    """Hyperparameters to fit, [(group, rate, sd), ...]; only they require gradients."""
    groups = [
        (learner.prior.linear_parameters(), LINEAR_RATE, linear_spread),
        (learner.prior.log_parameters(), LOG_RATE, log_spread),
    ]
    learner.requires_grad_(False)  # no gradients of unused parameters
    for group, _, _ in groups:
        for p in group:
            p.requires_grad_(True)
    return groups


def draw_from_prior(learner, batch, n_tasks, generator):
    """``batch`` with the targets of its first ``n_tasks`` drawn from the prior."""
    n_support = batch.x_support.shape[1]
    rows = zip(batch.support(), batch.query(), strict=True)
    rows = Rows(*(torch.cat([s[:n_tasks], q[:n_tasks]], 1) for s, q in rows))
    with torch.no_grad():
        y = learner.sample(rows, no_encoding(learner, rows), generator)
    return replace(
        batch,
        y_support=torch.cat([y[:, :n_support], batch.y_support[n_tasks:]]),
        y_query=torch.cat([y[:, n_support:], batch.y_query[n_tasks:]]),
    )
