"""Weights of similarity, evidence and base learner, by the loss of validation tasks.

Relations cannot be evaluated on the tasks that the base learner was trained on, where
its predictions are better than on new tasks.
"""

import math
from typing import Any, NamedTuple

import torch

from .._episodes.batch import TaskBatch
from .._networks.encoders.task_encoder import TaskEncoding
from .._networks.learners.losses import row_losses
from .best_parameters import BestParameters

N_STEPS, RATE = 30, 0.2
PRIOR_SD = 2.0
"""Standard deviation of the normal prior of each weight, around its initial value."""

N_EPISODES, MAX_BATCHES = 20, 12
"""Maximum number of episodes of each validation task, and of batches in total."""

UNRELATED = 1e9
"""Logit at which a task is related to none."""


class AdaptedEpisodes(NamedTuple):
    """A batch of episodes with adaptation and predictions of the base learner."""

    batch: TaskBatch
    position: torch.Tensor  # (B,) of the tasks in the memory, or -1
    encoding: TaskEncoding
    base: Any
    predicted: Any


@torch.no_grad()
def adapt_episodes(network, draw):
    """Draw batches of episodes, and adapt a `MetaNetwork` to each."""
    n = math.ceil(N_EPISODES * len(draw.episodes) / draw.batch_size)
    found = []
    for batch, tasks in draw(min(n, MAX_BATCHES)):
        support, y = batch.support(), batch.y_support
        encoding = network.encoder(support, network.learner.targets(support, y))
        base = network.learner.adapt(support, y, encoding)
        predicted = network.learner.predict(base, batch.query())
        position = draw.positions[tasks]
        found.append(AdaptedEpisodes(batch, position, encoding, base, predicted))
    return found


def fit_weights_of(learner, adapted, n_rows, n_steps=None):
    """Fit the mixture weights of a `RelatedLearner` to episodes of validation tasks.

    Parameters
    ----------
    learner : RelatedLearner
    adapted : list of AdaptedEpisodes
    n_rows, n_steps : as of `fit_mixture_weights`

    Returns
    -------
    loss : float
        The lowest.
    """
    with torch.no_grad():
        lookups = [
            learner.lookup(
                one.batch.support(), one.batch.y_support, one.encoding,
                exclude=one.position, base=one.base,
            )
            for one in adapted
        ]  # fmt: skip

    def query_loss(one, found):
        batch, related = one.batch, learner.relate(found)
        prediction = learner.predict(related, batch.query(), one.predicted)
        losses = row_losses(prediction, batch.y_query) * batch.weight_query
        return losses.sum() / batch.weight_query.sum() / len(lookups)

    episodes = list(zip(adapted, lookups, strict=True))
    weights = learner.relations.weights
    return fit_mixture_weights(weights, episodes, query_loss, n_rows, n_steps)


def fit_mixture_weights(weights, episodes, query_loss, n_rows, n_steps=None):
    """Fit `MixtureWeights`; relate no task to others where that has the lowest loss.

    Each weight has a normal prior around its initial value, since few validation tasks
    determine it badly.

    Parameters
    ----------
    weights : MixtureWeights
    episodes : list
        Arguments of ``query_loss``.
    query_loss : callable
        ``query_loss(*one)`` gives the part of the mean loss that is of ``one``.
    n_rows : int
        Number of different query rows in the episodes.
    n_steps : int, optional
        By default `N_STEPS`.

    Returns
    -------
    loss : float
        The lowest.
    """
    best = BestParameters(weights.parameters())
    optimizer = torch.optim.Adam(best.parameters, lr=RATE)
    for _ in range(n_steps or N_STEPS):
        optimizer.zero_grad()
        moved = zip(best.parameters, best.first, strict=True)
        penalty = sum(((p - q) ** 2).sum() for p, q in moved) / 2 / PRIOR_SD**2
        (penalty / n_rows).backward()
        total = float(penalty.detach()) / n_rows
        for one in episodes:
            loss = query_loss(*one)
            loss.backward()
            total += float(loss.detach())
        best.update(total)
        optimizer.step()
    best.restore()
    null_logit = weights.null_logit.clone()
    with torch.no_grad():
        weights.null_logit.fill_(UNRELATED)
        unrelated = sum(float(query_loss(*one)) for one in episodes)
        if best.loss < unrelated:
            weights.null_logit.copy_(null_logit)
    return min(best.loss, unrelated)
