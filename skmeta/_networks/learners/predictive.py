"""What is predicted of numbers, as a distribution: a mixture of normal ones.

A base learner of numbers gives its prediction as a list of `Components`. One process
gives one; a learner that borrows from related tasks one for each of these, which share
a covariance, and one more.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.special import logsumexp, ndtr, ndtri

N_BISECTIONS = 60
JITTER = 1e-9
"""Added to the diagonal of a covariance before it is factorised, relative to it."""


class Components(NamedTuple):
    """Normal components of a mixture that differ in their mean alone.

    ``log_share`` (B, M); ``mean`` (B, M, Q); ``spread`` the variance (B, Q), or the
    covariance (B, Q, Q), of the query rows' targets, noise included.
    """

    log_share: torch.Tensor
    mean: torch.Tensor
    spread: torch.Tensor


def marginals(components):
    """All components of each row, (B, Q, M): log shares, means and deviations."""
    parts = []
    for log_share, mean, variance in components:
        sd = variance.sqrt()[:, None].expand(mean.shape)
        parts.append((log_share[..., None].expand(mean.shape), mean, sd))
    return tuple(torch.cat(p, 1).transpose(1, 2) for p in zip(*parts, strict=True))


def quantiles(log_share, mean, sd, q):
    """Quantiles of mixtures, by bisection between those of their components.

    Parameters
    ----------
    log_share, mean, sd : ndarray of shape (n_rows, n_components)
    q : float
        In (0, 1).

    Returns
    -------
    quantiles : ndarray of shape (n_rows,)
    """
    of_each, share = mean + sd * ndtri(q), np.exp(log_share)
    low, high = of_each.min(1), of_each.max(1)
    for _ in range(N_BISECTIONS if mean.shape[1] > 1 else 0):
        middle = (low + high) / 2
        below = (share * ndtr((middle[:, None] - mean) / sd)).sum(1) < q
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def log_density(log_share, mean, sd, y):
    """Log density of targets (n_rows,) under mixtures; shapes as of `quantiles`."""
    z = (y[:, None] - mean) / sd
    each = -0.5 * z**2 - np.log(sd) - 0.5 * np.log(2 * np.pi)
    return logsumexp(log_share + each, axis=1)


def draw(components, n_samples, rng):
    """Draw the targets of all rows of one task together.

    Parameters
    ----------
    components : list of Components
        With covariances, of B = 1 task.
    n_samples : int
    rng : numpy.random.RandomState

    Returns
    -------
    samples : ndarray of shape (n_rows, n_samples)
    """
    share = torch.cat([c.log_share[0] for c in components]).exp().cpu().numpy()
    chosen = rng.choice(len(share), n_samples, p=share / share.sum())
    samples = np.empty((components[0].mean.shape[2], n_samples))
    first = 0
    for log_share, mean, covariance in components:
        at = np.flatnonzero((chosen >= first) & (chosen < first + log_share.shape[1]))
        if len(at):
            level = covariance[0].diagonal()
            factor = torch.linalg.cholesky(
                covariance[0] + torch.diag(JITTER * level)
            ).cpu()
            white = rng.standard_normal((len(samples), len(at)))
            centre = mean[0].cpu().numpy()[chosen[at] - first].T
            samples[:, at] = centre + factor.numpy() @ white
        first += log_share.shape[1]
    return samples
