"""What held-out tasks say of a network, and how far they let it be trained."""

import copy
import math

import numpy as np
import torch

from .._episodes.sampler import log_uniform_sizes
from .._networks.learners.losses import row_losses

RETURN_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How far from the start, where 1 is as far as training went."""

MAX_EPISODES = 40
"""Of one held-out task."""


def validation_batches(
    episodes, n_support, n_query, rng, batch_size=32, n_episodes=512
):
    """Fixed episodes of the held-out tasks, support sizes spread as in training.

    Where a few tasks would have to give more than `MAX_EPISODES` each, the batches are
    fewer, down to half, and smaller.
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
    """Query loss of each held-out episode, in evaluation mode; see `row_losses`.

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
    """Mean query loss of a network over the rows of held-out episodes."""
    total, n_rows = validation_losses(network, batches, device, bound)
    return total.sum() / n_rows.sum()


def interpolate_to_init(network, start, batches, n_tasks, device="cpu"):
    """Take a network back towards its start, as far as held-out tasks let it.

    What was learned is kept where it shows. The weights move on the line to those of
    the start in quarters, and the nearest to the start stays whose loss is within half
    a standard error of the least: a rule of one standard error (Breiman et al. 1984,
    sec. 3.4.3), less cautious, on the line of Wortsman et al. 2022 (Robust fine-tuning
    of zero-shot models, eq. 2).

    Parameters
    ----------
    network : module
        Trained; changed in place.
    start : dict
        Its state before.
    batches : list of TaskBatch
    n_tasks : int
        Tasks that the episodes are of; those of one task are no evidence of their own.
    """
    trained = copy.deepcopy(network.state_dict())
    losses = []
    for share in RETURN_SHARES:
        network.load_state_dict(_between(start, trained, share))
        total, n_rows = validation_losses(network, batches, device)
        losses.append(total / n_rows)
    least = min(losses, key=lambda loss: np.nan_to_num(loss.mean(), nan=np.inf))
    excess = [loss - least for loss in losses]
    n = min(n_tasks, len(least))
    good = (
        share
        for share, e in zip(RETURN_SHARES, excess, strict=True)
        if e.mean() <= 0.5 * e.std() / n**0.5
    )
    nearest = next(good, 1.0)  # no comparison where every loss is NaN
    network.load_state_dict(_between(start, trained, nearest))


def _between(start, end, share):
    """The state at ``share`` of the way from ``start`` to ``end``."""
    state = dict(end)
    for name, value in end.items():
        first = start[name].to(value)
        if not torch.equal(first, value):  # infinite settings stay as they are
            state[name] = torch.lerp(first, value, share)
    return state
