"""How much a row says of a task whose value of some feature is not known.

A row that misses a value is adapted to with another in its place, and so its target is
off by what the value would have changed. That is noise, whose variance ``v`` is added
to the noise ``s`` of any row: the row says as much as one of weight ``s / (s + v)``.

``v`` is the variance of the task's function over the levels of the feature, expected
before any row of the task is seen: that of its mean, and that of what tasks differ in.
"""

import numpy as np
import torch

from .._networks.learners.predictive import Categorical
from .._networks.learners.wrapper import unwrap
from .._preprocessing.row_uncertainty import N_LEVELS, sharpness
from .._preprocessing.scaling import ClassCodec

ROWS_AT_ONCE = 8
"""Rows whose companions have one covariance."""


@torch.no_grad()
def certainty(state, companions):
    """What rows count that miss values, in (0, 1].

    Parameters
    ----------
    state : MetaState
        Of tasks that share their classes, if they have classes.
    companions : ndarray of shape (n_rows, n_levels, n_features)
        The rows with each level in place of what is missing.

    Returns
    -------
    certainty : ndarray of shape (n_rows,)
    """
    none = np.empty((0, companions.shape[2])), np.empty(0, state.targets.dtype)
    adapted = state.network.adapt(state.rows(none[0]), state.encoded(none[1]))
    classes = isinstance(state.targets, ClassCodec)
    of_rows = _of_classes if classes else _of_numbers
    return np.concatenate(
        [
            of_rows(state, adapted, companions[i : i + ROWS_AT_ONCE])
            for i in range(0, len(companions), ROWS_AT_ONCE)
        ]
    )


def _of_numbers(state, adapted, companions):
    """Share of the noise in the variance, (n_rows,).

    Each companion is there twice: what the two do not share is noise.
    """
    n_rows = len(companions)
    twice = np.stack([companions, companions], 1).reshape(-1, companions.shape[2])
    variance = noise = 0.0
    for log_share, mean, covariance in state.network.learner.components(
        adapted, state.rows(twice), joint=True
    ):
        share = log_share[0].exp()
        of_mean = mean[0].unflatten(1, (n_rows, 2, N_LEVELS))[:, :, 0]
        of_mean = share @ of_mean.var(2, correction=0)
        blocks = _own_blocks(covariance[0], n_rows)
        shared = blocks[:, :N_LEVELS, N_LEVELS:]
        own = blocks[:, :N_LEVELS, :N_LEVELS] - shared
        variance = variance + of_mean + share.sum() * _spread(shared)
        noise = noise + share.sum() * own.diagonal(dim1=1, dim2=2).mean(1)
    return (noise / (noise + variance)).cpu().numpy()


def _of_classes(state, adapted, companions):
    """Squared factor by which logits shrink, (n_rows,)."""
    n_rows, n_classes = len(companions), state.targets.n_outputs
    if n_classes == 1:
        return np.ones(n_rows)
    learner = state.network.learner
    rows = state.rows(companions.reshape(-1, companions.shape[2]))
    logits = learner.predict(adapted, rows).logits[0].cpu().numpy()
    logits = Categorical(logits).location()
    variance = logits.reshape(n_rows, N_LEVELS, n_classes).var(1)
    core, own = unwrap(learner, adapted)
    if core.has_prior:
        blocks = _own_blocks(core.prior_covariance(own, rows)[0], n_rows)
        of_latent = _spread(blocks).cpu().numpy()[:, None]
        variance = variance + (1 - 1 / n_classes) * of_latent
    return sharpness(variance)[:, 0]


def _own_blocks(covariance, n_rows):
    """Covariances (n_rows, n, n) of the companions of each row with one another."""
    blocks = covariance.reshape(n_rows, len(covariance) // n_rows, n_rows, -1)
    return blocks.diagonal(dim1=0, dim2=2).permute(2, 0, 1)


def _spread(covariance):
    """Expected variance (n_rows,) over levels of what has a covariance."""
    each = covariance.diagonal(dim1=1, dim2=2).mean(1)
    return (each - covariance.mean((1, 2))).clamp(min=0)
