"""Weights of support rows with missing values.

A missing value is imputed, so that the target of the row deviates by the effect of the
unknown value. This is additional noise: with its variance ``v`` and the noise variance
``s`` of other rows, the row is as informative as one of weight ``s / (s + v)``.

``v`` is the prior expectation of the variance of the task's function over the levels of
the feature: the variance of the mean function, and that of the differences between
tasks.
"""

import numpy as np
import torch

from .._networks.learners.predictive import Categorical
from .._networks.learners.wrapper import unwrap
from .._preprocessing.row_uncertainty import N_LEVELS, sharpness
from .._preprocessing.scaling import ClassCodec

ROWS_AT_ONCE = 8
"""Number of rows whose companions share one covariance matrix."""


@torch.no_grad()
def certainty(state, companions):
    """Weights of rows with missing values, in (0, 1].

    Parameters
    ----------
    state : MetaState
        For regression, or classification with shared classes.
    companions : ndarray of shape (n_rows, n_levels, n_features)
        The rows with each level in place of missing values.

    Returns
    -------
    certainty : ndarray of shape (n_rows,)
    """
    none = np.empty((0, companions.shape[2])), np.empty(0, state.targets.dtype)
    adapted = state.network.adapt(state.rows(none[0]), state.encoded(none[1]))
    classes = isinstance(state.targets, ClassCodec)
    of_rows = _classification_certainty if classes else _regression_certainty
    return np.concatenate(
        [
            of_rows(state, adapted, companions[i : i + ROWS_AT_ONCE])
            for i in range(0, len(companions), ROWS_AT_ONCE)
        ]
    )


def _regression_certainty(state, adapted, companions):
    """Share of the noise in the variance, (n_rows,).

    Each companion is repeated: the variance that the two do not share is noise.
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
        blocks = _diagonal_blocks(covariance[0], n_rows)
        shared = blocks[:, :N_LEVELS, N_LEVELS:]
        own = blocks[:, :N_LEVELS, :N_LEVELS] - shared
        variance = variance + of_mean + share.sum() * _spread(shared)
        noise = noise + share.sum() * own.diagonal(dim1=1, dim2=2).mean(1)
    return (noise / (noise + variance)).cpu().numpy()


def _classification_certainty(state, adapted, companions):
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
        blocks = _diagonal_blocks(core.prior_covariance(own, rows)[0], n_rows)
        of_latent = _spread(blocks).cpu().numpy()[:, None]
        variance = variance + (1 - 1 / n_classes) * of_latent
    return sharpness(variance)[:, 0]


def _diagonal_blocks(covariance, n_rows):
    """Covariances (n_rows, n, n) among the companions of each row."""
    blocks = covariance.reshape(n_rows, len(covariance) // n_rows, n_rows, -1)
    return blocks.diagonal(dim1=0, dim2=2).permute(2, 0, 1)


def _spread(covariance):
    """Expected variance (n_rows,) over levels, from the covariance of the levels."""
    each = covariance.diagonal(dim1=1, dim2=2).mean(1)
    return (each - covariance.mean((1, 2))).clamp(min=0)
