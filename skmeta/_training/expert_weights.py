"""Fit the weights of experts to tasks that the experts were not fitted to."""

from typing import NamedTuple

import torch

from .._networks.learners.losses import row_losses
from .._networks.learners.predictive import Categorical, mixture_moments
from .loop import BOUND

PENALTY = 0.1
"""Penalty of squared logits. It is divided by the square of the number of tasks, so
that with few tasks the weights stay near equal ones."""

SLOPE_SD = 0.5
"""Standard deviation of the prior of a slope, relative to that of a logit."""

MAX_ITER = 100
MIN_SHARE = 0.02
"""Experts with smaller weights in all episodes are dropped."""


class ExpertScores(NamedTuple):
    """What each of E experts predicts in a batch of B episodes."""

    n_rows: torch.Tensor  # (B,)
    evidence: torch.Tensor  # (B, E)
    predictions: tuple  # means and variances (B, E, Q), or logits (B, E, Q, C)
    y: torch.Tensor  # (B, Q)
    weight: torch.Tensor  # (B, Q)


@torch.no_grad()
def score_experts(learner, encode, batches):
    """Scores of the experts in episodes, a list of `ExpertScores`.

    Parameters
    ----------
    learner : GaussianProcessLearner
    encode : callable
        ``encode(rows, y)`` returns the `TaskEncoding` of supports.
    batches : list of TaskBatch
    """
    scores = []
    for batch in batches:
        rows, y = batch.support(), batch.y_support
        adapted = learner.adapt(rows, y, encode(rows, y))
        predictions = learner.expert_predictions(adapted, batch.query())
        parts = rows.weight.sum(1), adapted.evidence, predictions
        scores.append(ExpertScores(*parts, *batch.target()))
    return scores


def fit_expert_weights(learner, scores, n_tasks):
    """Fit the weights of the experts to their scores in episodes.

    Minimises the query loss of the mixture, with a normal prior around equal weights.

    Parameters
    ----------
    learner : GaussianProcessLearner
        Changed in place.
    scores : list of ExpertScores
    n_tasks : int
        Number of tasks that the episodes are of.
    """
    weights, penalty = learner.expert_weights, PENALTY / n_tasks**2
    before = weights.logit, weights.slope
    logit, slope = (torch.zeros_like(t).double().requires_grad_(True) for t in before)
    optimizer = torch.optim.LBFGS(
        [logit, slope], max_iter=MAX_ITER, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        total = n_rows = 0.0
        for one in scores:
            prediction = mixture(weights, one)
            losses = row_losses(prediction, one.y, BOUND) * one.weight
            total, n_rows = total + losses.sum(), n_rows + one.weight.sum()
        squares = (logit**2).sum() + (slope**2).sum() / SLOPE_SD**2
        loss = total / n_rows + penalty * squares
        loss.backward()
        return loss

    weights.logit, weights.slope = logit, slope
    with torch.enable_grad():
        optimizer.step(closure)
    weights.logit, weights.slope = before
    weights.set(logit.detach(), slope.detach())


def mixture(weights, scores):
    """`Gaussian` or `Categorical` prediction of the mixture, in scored episodes."""
    share = weights(scores.n_rows, scores.evidence)
    if isinstance(scores.predictions, tuple):
        return mixture_moments(share, *scores.predictions)
    log_p = scores.predictions.log_softmax(-1) + share[..., None, None]
    return Categorical(log_p.logsumexp(1))


@torch.no_grad()
def used_experts(learner, scores):
    """Indices of the experts that have weights of `MIN_SHARE` in some episode."""
    weights = learner.expert_weights
    shares = [weights(one.n_rows, one.evidence).exp() for one in scores]
    largest = torch.cat(shares).amax(0)
    used = torch.nonzero(largest >= MIN_SHARE)[:, 0].tolist()
    return used or [int(largest.argmax())]
