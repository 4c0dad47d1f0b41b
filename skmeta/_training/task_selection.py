"""How much each meta-training task is worth learning from.

A task is worth nothing where its targets might as well belong to other rows of it. The
meta-trained network judges that: its query loss on episodes of the task is compared
with that on the same episodes, the task's targets permuted among its rows. If targets
and rows are unrelated the two are exchangeable, so scores below zero mirror those of
worthless tasks above zero, and the share and spread of the worthless follow from them
(the two-groups model of Efron 2008, Statistical Science 23, eq. 2.7). A task that is
only hard keeps its attention: whatever the network can make of its rows counts.

Whether such attention helps is for the query loss of held-out tasks to say; that of
the tasks themselves would always prefer the easiest.
"""

from dataclasses import replace

import numpy as np
import torch
from scipy.stats import gaussian_kde, norm

from .._networks.learners.losses import row_losses

MIN_WORTHLESS = 0.05
"""Estimated share of worthless tasks below which all tasks are attended to alike."""

MAX_UNDECIDED = 0.25
"""Share of tasks that may be neither clearly worth it nor clearly worthless; above it
the scores cannot tell, and all tasks are attended to alike."""

N_REPEATS = 8
MAX_EPISODES = 40_000


def relation_scores(network, episodes, n_support, n_query, rng, batch_size=64):
    """Score how much each task's targets have to do with its rows.

    Parameters
    ----------
    network : MetaNetwork
    episodes : Episodes of n_tasks tasks
    n_support : int
        Support rows, at most; at most half of a task.
    n_query : int
    rng : numpy.random.Generator

    Returns
    -------
    scores : ndarray of shape (n_tasks,)
        Permuted less actual query loss, in standard deviations of the permuted one.
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
    actual, permuted = np.arcsinh(actual), np.arcsinh(permuted)  # tames the tails
    variance = permuted.var(0, ddof=1)
    spread = np.sqrt((variance + variance.mean()) / 2)
    return (permuted.mean(0) - actual.mean(0)) / np.maximum(spread, 1e-12)


def attention_weights(scores):
    """Attention to each task: the probability that it is worth learning from.

    Parameters
    ----------
    scores : ndarray of shape (n_tasks,)
        As `relation_scores` gives them; symmetric about zero for worthless tasks.

    Returns
    -------
    attention : ndarray of shape (n_tasks,)
        From 0 to 1. All 1 where hardly any task looks worthless, or too many might be.
    """
    negative = scores[scores < 0]
    worthless = min(1.0, 2 * len(negative) / len(scores))
    if worthless < MIN_WORTHLESS or len(negative) < 2 or np.ptp(scores) == 0:
        return np.ones(len(scores))
    null = worthless * norm.pdf(scores, scale=np.sqrt(np.mean(negative**2)))
    worth = 1 - null / gaussian_kde(scores)(scores)
    worth = np.where(scores > 0, worth, 0).clip(0, 1)
    order = np.argsort(scores)
    worth[order] = np.maximum.accumulate(worth[order])  # never falls with the score
    if np.mean((worth > 0.1) & (worth < 0.9)) > MAX_UNDECIDED:
        return np.ones(len(scores))
    return worth


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
