"""Selection of informative meta-training tasks.

A task is uninformative if its targets do not depend on its features. This is tested by
permutation: the query loss of the meta-trained network on episodes of the task is
compared with the loss on the same episodes with targets permuted among rows. For an
uninformative task the two are exchangeable, so that its score is symmetric about zero;
the share and the scale of uninformative tasks are therefore estimated from the scores
below zero (the two-groups model of Efron 2008, Statistical Science 23, eq. 2.7). A
difficult task keeps its weight if the network predicts it better than chance.

Whether the weights are used is decided by the query loss on validation tasks. The loss
on the weighted tasks themselves would always favour the easiest ones.
"""

from dataclasses import replace

import numpy as np
import torch
from scipy.stats import gaussian_kde, norm

from .._networks.learners.losses import row_losses

MIN_UNINFORMATIVE = 0.05
"""Estimated share of uninformative tasks below which all weights are equal."""

MAX_UNDECIDED = 0.25
"""Maximum share of tasks that are neither clearly informative nor clearly
uninformative; above it all weights are equal."""

N_REPEATS = 8
MAX_EPISODES = 40_000


def informativeness_scores(network, episodes, n_support, n_query, rng, batch_size=64):
    """Score how strongly the targets of each task depend on its features.

    Parameters
    ----------
    network : MetaNetwork
    episodes : Episodes of n_tasks tasks
    n_support : int
        Maximum number of support rows; at most half of those of a task are used.
    n_query : int
    rng : numpy.random.Generator

    Returns
    -------
    scores : ndarray of shape (n_tasks,)
        Permuted minus actual query loss, in standard deviations of the permuted one.
    """
    network.eval()
    n_repeats = int(np.clip(MAX_EPISODES // len(episodes), 2, N_REPEATS))
    actual, permuted = np.empty((2, n_repeats, len(episodes)))
    for i in range(0, len(episodes), batch_size):
        tasks = np.arange(i, min(i + batch_size, len(episodes)))
        sizes = np.minimum(episodes.sizes[tasks] // 2, n_support)
        for r in range(n_repeats):
            batch = episodes.draw(tasks, sizes, n_query, rng)
            actual[r, tasks] = task_losses(network, batch)
            shuffled = permute_targets(batch, rng)
            permuted[r, tasks] = task_losses(network, shuffled)
    actual, permuted = np.arcsinh(actual), np.arcsinh(permuted)  # shortens the tails
    variance = permuted.var(0, ddof=1)
    spread = np.sqrt((variance + variance.mean()) / 2)
    return (permuted.mean(0) - actual.mean(0)) / np.maximum(spread, 1e-12)


def attention_weights(scores):
    """Weight of each task: the probability that it is informative.

    Parameters
    ----------
    scores : ndarray of shape (n_tasks,)
        From `informativeness_scores`; symmetric about zero for uninformative tasks.

    Returns
    -------
    attention : ndarray of shape (n_tasks,)
        From 0 to 1. All 1 if hardly any task seems uninformative, or too many tasks
        are undecided.
    """
    negative = scores[scores < 0]
    null_share = min(1.0, 2 * len(negative) / len(scores))
    if null_share < MIN_UNINFORMATIVE or len(negative) < 2 or np.ptp(scores) == 0:
        return np.ones(len(scores))
    # Efron (2008), eq. 2.7: 1 minus the local false discovery rate
    null = null_share * norm.pdf(scores, scale=np.sqrt(np.mean(negative**2)))
    attention = 1 - null / gaussian_kde(scores)(scores)
    attention = np.where(scores > 0, attention, 0).clip(0, 1)
    order = np.argsort(scores)  # attention does not decrease with the score
    attention[order] = np.maximum.accumulate(attention[order])
    if np.mean((attention > 0.1) & (attention < 0.9)) > MAX_UNDECIDED:
        return np.ones(len(scores))
    return attention


@torch.no_grad()
def task_losses(network, batch):
    """Mean query loss of each task of a batch, (n_tasks,)."""
    y, weight = batch.target()
    losses = row_losses(network(**batch.inputs()), y) * weight
    return (losses.sum(1) / weight.sum(1)).double().numpy()


def permute_targets(batch, rng):
    """The batch with each task's targets permuted among all its drawn rows."""
    n_support = batch.y_support.shape[1]
    y = torch.cat([batch.y_support, batch.y_query], 1).numpy()
    hidden = torch.cat([batch.weight_support, batch.weight_query], 1).numpy() == 0
    place = np.argsort(hidden, axis=1, kind="stable")
    source = np.argsort(rng.random(y.shape) + hidden, axis=1)
    permuted = y.copy()
    np.put_along_axis(permuted, place, np.take_along_axis(y, source, 1), 1)
    y_support, y_query = torch.from_numpy(permuted).split(
        [n_support, y.shape[1] - n_support], 1
    )
    return replace(batch, y_support=y_support, y_query=y_query)
