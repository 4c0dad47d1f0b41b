"""Loss on validation tasks, and interpolation towards the initialisation by it."""

import copy
import math

import numpy as np
import torch

from .._episodes.sampler import log_uniform_sizes
from .._networks.learners.losses import row_losses

INTERPOLATION_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Interpolation weights: 0 is the initialisation, 1 the trained network."""

MIN_TASKS = 3
"""Number of validation tasks from which the initial weights are ever left; with fewer,
there is no standard error over tasks."""

MAX_EPISODES = 40
"""Maximum number of episodes of one validation task."""


def validation_batches(
    episodes, n_support, n_query, rng, batch_size=32, n_episodes=512
):
    """Fixed episodes of the validation tasks, with support sizes as in training.

    If there are so few tasks that each would have more than `MAX_EPISODES` episodes,
    there are fewer batches, at least half as many, and they are smaller.
    """
    most = math.ceil(n_episodes / batch_size)
    n_episodes = min(most * batch_size, MAX_EPISODES * len(episodes))
    n_batches = max(math.ceil(n_episodes / batch_size), math.ceil(most / 2))
    n_rounds = 1 + n_episodes // len(episodes)
    order = [rng.permutation(len(episodes)) for _ in range(n_rounds)]
    order = np.concatenate(order)[:n_episodes]
    batches = []
    for i, tasks in enumerate(np.array_split(order, n_batches)):
        quantile = np.full(len(tasks), (i + 0.5) / n_batches)
        sizes = log_uniform_sizes(*n_support, quantile)
        batches.append(episodes.draw(tasks, sizes, n_query, rng))
    return batches


@torch.no_grad()
def validation_losses(network, batches, device="cpu", bound=None):
    """Query loss of each validation episode, in evaluation mode; see `row_losses`.

    Returns
    -------
    total : ndarray of shape (n_episodes,)
        Sum over the query rows of the episode.
    n_rows : ndarray of shape (n_episodes,)
    """
    training = network.training
    network.eval()
    total, n_rows = [], []
    for batch in batches:
        inputs = {k: v.to(device) for k, v in batch.inputs().items()}
        y, weight = (t.to(device) for t in batch.target())
        losses = row_losses(network(**inputs), y, bound) * weight
        total.append(losses.double().sum(1).cpu().numpy())
        n_rows.append(weight.double().sum(1).cpu().numpy())
    network.train(training)
    return np.concatenate(total), np.concatenate(n_rows)


def validation_loss(network, batches, device="cpu", bound=None):
    """Mean query loss of a network over the rows of validation episodes."""
    total, n_rows = validation_losses(network, batches, device, bound)
    return total.sum() / n_rows.sum()


def interpolate_to_init(network, start, batches, n_tasks, device="cpu"):
    """Interpolate a network towards its initialisation, by the validation loss.

    The weights are interpolated linearly between initial and trained ones, in steps of
    a quarter (Wortsman et al. 2022, Robust fine-tuning of zero-shot models, eq. 2).
    Of those with a loss within half a standard error of the lowest, the nearest to the
    initial weights are kept, as by the one-standard-error rule (Breiman et al. 1984,
    sec. 3.4.3), but with half of a standard error.

    Parameters
    ----------
    network : module
        Trained; changed in place.
    start : dict
        Its state before training.
    batches : list of TaskBatch
    n_tasks : int
        Number of tasks of the episodes; those of one task are not independent.
    """
    trained = copy.deepcopy(network.state_dict())
    losses = []
    for share in INTERPOLATION_WEIGHTS:
        network.load_state_dict(_between(start, trained, share))
        total, n_rows = validation_losses(network, batches, device)
        losses.append(total / n_rows)
    least = min(losses, key=lambda loss: np.nan_to_num(loss.mean(), nan=np.inf))
    excess = [loss - least for loss in losses]
    n = min(n_tasks, len(least))
    good = (
        share
        for share, e in zip(INTERPOLATION_WEIGHTS, excess, strict=True)
        if e.mean() <= 0.5 * e.std() / n**0.5
    )
    nearest = next(good, 1.0)  # no comparison where every loss is NaN
    if n_tasks < MIN_TASKS:
        nearest = 0.0
    network.load_state_dict(_between(start, trained, nearest))


def _between(start, end, share):
    """The state at ``share`` of the way from ``start`` to ``end``."""
    state = dict(end)
    for name, value in end.items():
        first = start[name].to(value)
        if not torch.equal(first, value):  # also skips infinite settings
            state[name] = torch.lerp(first, value, share)
    return state
