"""Where meta-training starts: the classical answer.

A pooled estimator, and a Gaussian process on what it leaves open, its hyperparameters
shared by all tasks and fitted to their joint marginal likelihood (empirical Bayes).
"""

import copy
import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier, VotingRegressor

from .base_learner import make_base_learner
from .episodes import Episodes
from .held_out import held_out_batches, row_losses
from .mixed_start import candidate_starts
from .pooled import PooledPredictor, fit_pooled, polynomial_ridge, tuned_boosting
from .scaling import FeatureScaler, LabelEncoder, TargetScaler
from .task_encoder import Rows, TaskEncoding

N_STEPS = 100
LINEAR_RATE, LOG_RATE = 0.03, 0.1
LINEAR_SPREAD, LOG_SPREAD = 0.3, 1.0
"""Learning rates, and sds of the normal priors, of the linear part's parameters and of
the logarithms of the other hyperparameters."""

MAX_SPREADS = 5.0
"""A hyperparameter moves by no more sds than these for one task."""

N_TASKS = 48
N_ROWS = 32
JUDGED_EVERY = 25


@dataclass(frozen=True, eq=False)
class Start:
    """Scaled tasks, the pooled estimator, and the base learner's fitted prior.

    Attributes
    ----------
    examples, held_out : Episodes
    features : FeatureScaler
    targets : TargetScaler or LabelEncoder
    pooled : PooledPredictor or None
    learner : module
        A base learner with its prior fitted, its conditioning on the task still idle.
    loss : float
        Its query loss on tasks that the pooled estimator has not seen, in the units of
        the targets.
    """

    examples: Episodes
    held_out: Episodes
    features: FeatureScaler
    targets: TargetScaler | LabelEncoder
    pooled: PooledPredictor | None
    learner: torch.nn.Module
    loss: float


def choose_start(pooled_estimator, base_learner, sources, classes, n_support, seed):
    """Fit the start.

    With ``"auto"`` it is that of the pooled estimator which does best, once the process
    has adapted it, on held-out tasks and, out of fold, on the others.

    Parameters
    ----------
    pooled_estimator : None, "auto" or estimator
    base_learner : str
    sources : Sources
    classes : ndarray of shape (n_classes,) or None
        None for regression.
    n_support : (int, int)
    seed : int

    Returns
    -------
    start : Start
    """
    task_type = "regression" if classes is None else "classification"
    candidates = [pooled_estimator]
    if isinstance(pooled_estimator, str):
        candidates = _candidates(task_type, sources, classes, seed)
    starts = [
        _start(candidate, base_learner, sources, classes, n_support, seed)
        for candidate in candidates
    ]
    return min(starts, key=lambda start: start.loss)


def resume_start(previous, sources, seed):
    """Go on from what was learned before, with its scales and its pooled estimator.

    Parameters
    ----------
    previous : MetaState
    sources : Sources
    seed : int

    Returns
    -------
    start : Start
    """
    features, targets, pooled = previous.features, previous.targets, previous.pooled
    prior = held_out_prior = None
    if pooled is not None:
        pooled = fit_pooled(
            clone(pooled.estimator), sources.examples, task_type=pooled.task_type,
            classes=pooled.classes, random_state=seed,
        )  # fmt: skip
        prior, held_out_prior = pooled.out_of_fold, pooled.predict(sources.held_out.X)
        pooled = replace(pooled, out_of_fold=None)
    return Start(
        Episodes(sources.examples, features, targets, prior),
        Episodes(sources.held_out, features, targets, held_out_prior),
        features, targets, pooled,
        copy.deepcopy(previous.network.core()).float(), np.nan,
    )  # fmt: skip


def _candidates(task_type, sources, classes, seed):
    boosting = tuned_boosting(
        task_type, sources.examples, sources.held_out, classes=classes,
        random_state=seed,
    )  # fmt: skip
    ridge = polynomial_ridge(task_type, sources.examples.X)
    both = [("boosting", boosting), ("ridge", ridge)]
    if task_type == "regression":
        return [None, ridge, boosting, VotingRegressor(both)]
    return [None, ridge, boosting, VotingClassifier(both, voting="soft")]


def _start(estimator, base_learner, sources, classes, n_support, seed):
    pooled = prior = held_out_prior = None
    if estimator is not None:
        task_type = "regression" if classes is None else "classification"
        pooled = fit_pooled(
            estimator, sources.examples, task_type=task_type, classes=classes,
            random_state=seed,
        )  # fmt: skip
        prior = pooled.out_of_fold
        held_out_prior = pooled.predict(sources.held_out.X)
        pooled = replace(pooled, out_of_fold=None)
    weight = sources.examples.row_weights()
    features = FeatureScaler.fit(sources.examples.X, weight)
    if classes is None:
        targets = TargetScaler.fit(sources.examples.y, prior, weight)
    else:
        targets = LabelEncoder(classes)
    examples = Episodes(sources.examples, features, targets, prior)
    held_out = Episodes(sources.held_out, features, targets, held_out_prior)
    learner = make_base_learner(
        "linear" if base_learner == "linear" else "gp",
        classification=classes is not None,
        n_features=sources.examples.n_features,
        n_prior=0 if pooled is None else targets.n_outputs,
        n_outputs=targets.n_outputs,
        embed_dim=1,
        column_dim=1,
        seed=seed,
    )
    rng = np.random.default_rng(seed)

    n, weights = len(examples), examples.tasks.weights

    def draw():
        if weights is None:
            tasks = rng.permutation(n)[:N_TASKS]
        else:
            tasks = rng.choice(n, min(n, N_TASKS), p=weights / weights.sum())
        batch = examples.draw(tasks, N_ROWS, 1, rng)
        return batch.support(), batch.y_support

    batches = held_out_batches(held_out, n_support, 32, rng)
    learners = candidate_starts(learner, examples, rng)
    losses = [
        fit_prior(one, draw, len(examples), lambda one=one: judge(one, batches))
        for one in learners
    ]
    learner = learners[np.argmin(losses)]
    # few held-out tasks tell little of the pooled estimator; these are out of fold
    batches = held_out_batches(examples, n_support, 32, rng)
    sizes = len(held_out), len(examples)
    loss = np.average([min(losses), judge(learner, batches)], weights=sizes)
    loss += math.log(targets.unit)
    return Start(examples, held_out, features, targets, pooled, learner, loss)


def fit_prior(learner, draw, n_tasks, judge=None, n_steps=N_STEPS):
    """Maximise a marginal likelihood by the hyperparameters that all tasks share.

    Each has a normal prior around where it starts.

    Parameters
    ----------
    learner : module
        A Gaussian-process base learner, changed in place; nothing else of it is left
        to require gradients.
    draw : callable
        ``draw()`` gives rows (`Rows`) and targets of a batch of tasks.
    n_tasks : int
        Tasks that batches are drawn from.
    judge : callable, optional
        ``judge()`` gives the learner's loss on held-out tasks; the state of the
        lowest, which may be the first, is left in it.
    n_steps : int

    Returns
    -------
    loss : float
        The lowest that ``judge`` gave; infinite without one.
    """
    groups = _hyperparameters(learner)
    parameters = [p for group, _, _ in groups for p in group]
    spreads = [spread for group, _, spread in groups for _ in group]
    first = best = [p.detach().clone() for p in parameters]
    lowest = np.inf if judge is None else min(np.inf, judge())  # NaN is worst
    rates = [{"params": p, "lr": lr} for p, lr, _ in groups]
    optimizer = torch.optim.Adam(rates, fused=True)
    for step in range(1, n_steps + 1):
        for group, (_, lr, _) in zip(optimizer.param_groups, groups, strict=True):
            group["lr"] = lr * (1 - 0.9 * step / n_steps)
        rows, y = draw()
        adapted = learner.adapt(rows, y, no_encoding(learner, rows))
        moved = zip(parameters, first, spreads, strict=True)
        penalty = sum(((p - q) ** 2).sum() / 2 / sd**2 for p, q, sd in moved)
        loss = penalty * len(y) / n_tasks - learner.log_evidence(adapted).sum()
        optimizer.zero_grad()
        (loss / rows.weight.sum()).backward()
        optimizer.step()
        if judge is not None and step % JUDGED_EVERY == 0:
            judged = judge()
            if judged < lowest:
                lowest, best = judged, [p.detach().clone() for p in parameters]
    if judge is not None:
        with torch.no_grad():
            for p, q in zip(parameters, best, strict=True):
                p.copy_(q)
    return lowest


def fit_prior_to_task(learner, rows, y):
    """Maximise the marginal likelihood of one task by the hyperparameters.

    With all rows at hand at each step there is no need to feel one's way: L-BFGS, on
    hyperparameters in units of the sds of their normal priors.

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
    def move(departure):
        moved = first + spread * torch.from_numpy(departure)
        for p, part in zip(parameters, moved.split(sizes), strict=True):
            p.copy_(part.view_as(p))

    def loss_and_gradient(departure):
        move(departure)
        adapted = learner.adapt(rows, y, no_encoding(learner, rows))
        loss = -learner.log_evidence(adapted).sum()
        gradients = torch.autograd.grad(
            loss, parameters, allow_unused=True, materialize_grads=True
        )
        gradient = torch.cat([g.flatten() for g in gradients]) * spread
        penalty = 0.5 * departure @ departure
        return loss.item() + penalty, gradient.numpy() + departure

    found = minimize(
        loss_and_gradient, np.zeros(len(first)), jac=True, method="L-BFGS-B",
        bounds=[(-MAX_SPREADS, MAX_SPREADS)] * len(first),
        options={"maxiter": N_STEPS, "ftol": 1e-6, "gtol": 1e-2},
    )  # fmt: skip
    move(found.x)


def _hyperparameters(learner):
    """Those that are fitted, alone with gradients: [(group, rate, spread), ...]."""
    groups = [
        (learner.prior.linear_parameters(), LINEAR_RATE, LINEAR_SPREAD),
        (learner.prior.log_parameters(), LOG_RATE, LOG_SPREAD),
    ]
    learner.requires_grad_(False)  # what is idle costs no gradients
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


def no_encoding(learner, rows):
    """An encoding that leaves an unconditioned learner's prior as it is."""
    embed_dim, column_dim = learner.prior.encoding_sizes
    n_tasks, _, n_features = rows.x.shape
    return TaskEncoding(
        rows.x.new_zeros(n_tasks, embed_dim),
        rows.x.new_zeros(n_tasks, n_features, column_dim),
    )


@torch.no_grad()
def judge(learner, batches):
    """Loss of an unconditioned learner on batches of held-out episodes."""
    total = n = 0.0
    for batch in batches:
        rows = batch.support()
        adapted = learner.adapt(rows, batch.y_support, no_encoding(learner, rows))
        prediction = learner.predict(adapted, batch.query())
        losses = row_losses(prediction, batch.y_query) * batch.weight_query
        total, n = total + float(losses.sum()), n + float(batch.weight_query.sum())
    return total / n
