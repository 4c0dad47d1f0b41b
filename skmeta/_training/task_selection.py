"""Selection of informative meta-training tasks.

A task is uninformative if its targets do not depend on its features. This is tested by
permutation: the query loss of the initialisation, whose experts are fitted to all
tasks, on episodes of the task is compared with the loss on the same episodes with
targets permuted among rows. For an uninformative task the two are exchangeable, so that
its score is symmetric about zero; the share and the scale of uninformative tasks are
therefore estimated from the scores below zero (the two-groups model of Efron 2008,
Statistical Science 23, eq. 2.7). A difficult task keeps its weight if it is predicted
better than chance. The initialisation is then fitted again, without the uninformative
tasks, and with it the test is repeated.

Whether the weights are used is decided by the query loss on validation tasks. The loss
on the weighted tasks themselves would always favour the easiest ones.
"""

from dataclasses import replace

import numpy as np
import torch
from scipy.stats import gaussian_kde, norm

from .._episodes.sampler import log_uniform_sizes
from .._networks.learners.gp_prior import no_encoding
from .._networks.learners.losses import row_losses
from .initialization import initialize, prepared

MIN_UNINFORMATIVE = 0.05
"""Estimated share of uninformative tasks below which all weights are equal."""

MAX_UNDECIDED = 0.25
"""Maximum share of tasks that are neither clearly informative nor clearly
uninformative; above it all weights are equal."""

N_ROUNDS = 3
"""Maximum number of times that the initialisation is fitted and tasks are tested."""

N_REPEATS = 8
MAX_EPISODES = 40_000


def select_tasks(init, split, config):
    """Initialize again without uninformative tasks, if there are any.

    Tasks are weighted by the probability that their targets depend on their features.
    With ``task_attention="auto"`` this is done only if most validation tasks are
    informative, since otherwise new tasks will be uninformative as well, and if the
    query loss on these validation tasks is lower by two standard errors; the last
    initialization of which this is true is kept.

    Parameters
    ----------
    init : Initialization
    split : MetaSplit
    config : MetaConfig

    Returns
    -------
    init : Initialization
        The one that is kept.
    split : MetaSplit
        The tasks that it was fitted to.
    attention : ndarray of shape (n_tasks,)
        Weight of each of ``memory_tasks``, with mean 1; all ones if the first
        initialization is kept.
    """
    kept = unselected = init, split, np.ones(len(split.memory_tasks))
    if not split.in_memory:
        return unselected
    automatic = config.task_attention == "auto"
    n_train, n_val = len(split.fitting_tasks), len(split.val_tasks)
    selected, again = np.arange(n_train), init
    chosen_val = np.arange(n_val)
    for _ in range(N_ROUNDS):
        rng = np.random.default_rng(config.seed)
        scores = [
            _scores(again, tasks, chosen, episodes, config, rng)
            for tasks, chosen, episodes in (
                (split.fitting_tasks, selected, again.fitting_episodes),
                (split.val_tasks, chosen_val, again.val_episodes),
            )
        ]
        weights = attention_weights(np.concatenate(scores))
        train_weights, val_weights = np.split(weights, [n_train])
        if weights.min() >= 0.5 or (train_weights >= 0.5).sum() < 2:
            return unselected
        if val_weights.max() < 0.5 or (automatic and val_weights.mean() < 0.5):
            return unselected
        same = selected, chosen_val
        selected, chosen_val = (
            np.flatnonzero(w >= 0.5) for w in (train_weights, val_weights)
        )
        if all(map(np.array_equal, same, (selected, chosen_val))):
            break
        of_selected = split.weighted(train_weights, val_weights)
        again = initialize(of_selected, config)
        if automatic:
            first = _losses(init, init.val_episodes.take(chosen_val), config)
            gain = first - _losses(again, again.val_episodes, config)
            if gain.mean() <= 2 * gain.std() / len(gain) ** 0.5:
                break
        attention = np.empty(len(split.memory_tasks))
        attention[split.fitting_index] = train_weights
        inside = split.val_index >= 0
        attention[split.val_index[inside]] = val_weights[inside]
        kept = again, of_selected, attention / attention.mean()
    return kept


def _scores(init, tasks, chosen, episodes, config, rng):
    """`informativeness_scores` of tasks; ``episodes`` are of those ``chosen``."""
    scores, rest = np.empty(len(tasks)), np.setdiff1d(np.arange(len(tasks)), chosen)
    parts = [(chosen, episodes)]
    if len(rest):
        parts.append((rest, prepared(tasks[rest], init)))
    for index, some in parts:
        scores[index] = informativeness_scores(
            init.learner, some, config.n_support[1], config.n_query, rng
        )
    return scores


def _losses(init, episodes, config):
    """Query loss of each task, over the same episodes for every initialization."""
    rng, index = np.random.default_rng(0), np.arange(len(episodes))
    quantiles = np.linspace(0, 1, N_REPEATS, endpoint=False)
    losses = [
        task_losses(init.learner, episodes.draw(index, size, config.n_query, rng))
        for size in log_uniform_sizes(0, config.n_support[1], quantiles)
    ]
    return np.mean(losses, axis=0) + np.log(init.targets.unit)


def informativeness_scores(learner, episodes, n_support, n_query, rng, batch_size=64):
    """Score how strongly the targets of each task depend on its features.

    Parameters
    ----------
    learner : BaseLearner
        Unconditioned.
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
    n_repeats = int(np.clip(MAX_EPISODES // len(episodes), 2, N_REPEATS))
    actual, permuted = np.empty((2, n_repeats, len(episodes)))
    for i in range(0, len(episodes), batch_size):
        tasks = np.arange(i, min(i + batch_size, len(episodes)))
        sizes = np.minimum(episodes.sizes[tasks] // 2, n_support)
        for r in range(n_repeats):
            batch = episodes.draw(tasks, sizes, n_query, rng)
            actual[r, tasks] = task_losses(learner, batch)
            shuffled = permute_targets(batch, rng)
            permuted[r, tasks] = task_losses(learner, shuffled)
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
def task_losses(learner, batch):
    """Mean query loss of each task of a batch, (n_tasks,)."""
    y, weight = batch.target()
    rows = batch.support()
    adapted = learner.adapt(rows, batch.y_support, no_encoding(learner, rows))
    losses = row_losses(learner.predict(adapted, batch.query()), y) * weight
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
