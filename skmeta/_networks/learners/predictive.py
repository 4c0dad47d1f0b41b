"""Predictions, and predictive distributions that are mixtures of normal ones.

`predict` of every learner and network returns a `Gaussian` (regression) or a
`Categorical` (classification). The predictive distribution of a regression learner is a
list of `Components`: one for a GP; a learner with relations returns one with a mean for
each related task, which share a covariance, and one for the base learner.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.special import logsumexp, ndtr, ndtri

N_BISECTIONS = 60
MAX_LOGIT = 30.0
JITTER = 1e-9
"""Added to the diagonal of a covariance before it is factorised, relative to it."""


class Gaussian(NamedTuple):
    """Mean and variance of the target of each row, noise included, each (B, Q)."""

    mean: torch.Tensor
    variance: torch.Tensor

    def location(self):
        """Means (n_rows, 1), of arrays of one task."""
        return self.mean[:, None].astype(np.float64)


class JointGaussian(NamedTuple):
    """Distribution of the targets of all rows of a task together, in meta-training."""

    mean: torch.Tensor  # (B, Q)
    covariance: torch.Tensor  # (B, Q, Q), noise included


class Categorical(NamedTuple):
    """Logits of the classes of each row, (B, Q, n_classes)."""

    logits: torch.Tensor

    def location(self):
        """Logits (n_rows, n_classes) minus their mean, of an array of one task."""
        highest = self.logits.max(1, keepdims=True)
        logits = np.maximum(self.logits, highest - MAX_LOGIT)
        return logits - logits.mean(1, keepdims=True)


class Components(NamedTuple):
    """Normal components of a mixture that differ only in their mean.

    ``log_share`` (B, M); ``mean`` (B, M, Q); ``spread`` the variance (B, Q), or the
    covariance (B, Q, Q), of the query rows' targets, noise included.
    """

    log_share: torch.Tensor
    mean: torch.Tensor
    spread: torch.Tensor


def mixture_moments(log_share, means, variances):
    """`Gaussian` of the mean and variance of mixtures.

    Parameters
    ----------
    log_share : tensor of shape (B, M)
    means, variances : tensor of shape (B, M, Q)
    """
    share = log_share.exp()[..., None]
    mean = (share * means).sum(1)
    return Gaussian(mean, (share * (variances + (means - mean[:, None]) ** 2)).sum(1))


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
    """Draw from the joint distribution of the targets of one task.

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
