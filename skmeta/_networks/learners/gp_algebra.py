"""Covariances of padded, weighted rows, and functions of them."""

import torch

from ..._episodes.batch import Rows
from .gp_prior import LOG_2PI

JITTER = 1e-6
"""Added to the diagonal of a covariance, relative to the mean of that diagonal."""


def masked_covariance(K, weight, noise):
    """``K`` plus noise, which is divided by the weight of a row.

    Rows of weight 0 become independent of all others, with variance 1.

    Parameters
    ----------
    K : tensor of shape (B, S, S)
    weight : tensor of shape (B, S)
    noise : tensor of shape (B, 1)
        Variance.

    Returns
    -------
    covariance : tensor of shape (B, S, S)
    noise : tensor of shape (B, 1)
        With the jitter that keeps the covariance positive definite.
    """
    present = (weight > 0).to(K)
    K = K * present[:, :, None] * present[:, None, :]
    total = weight.sum(1, keepdim=True).clamp(min=1e-12)
    level = (K.diagonal(dim1=1, dim2=2) * weight).sum(1, keepdim=True) / total
    noise = noise + JITTER * level
    diagonal = noise / weight.where(weight > 0, 1.0)
    return K + torch.diag_embed(torch.where(weight > 0, diagonal, 1.0)), noise


def log_density(squares, factor, weight, noise):
    """Log normal density of each task's targets.

    Parameters
    ----------
    squares : tensor of shape (B,) or (B, n)
        Squared Mahalanobis distance of the targets from their mean.
    factor : tensor of shape (B, S, S)
        Cholesky factor of their covariance, as `masked_covariance` has it.
    weight : tensor of shape (B, S)
    noise : tensor of shape (B, 1)

    Returns
    -------
    log_density : tensor shaped like ``squares``
    """
    log_det = 2 * factor.diagonal(dim1=1, dim2=2).log().sum(1)
    present = weight > 0
    # A row of weight w is w equal rows: the w - 1 others add only noise terms.
    w = weight.where(present, 1.0)
    repeats = ((w - 1) * (LOG_2PI + noise.log()) + w.log()).sum(1)
    constant = log_det + LOG_2PI * present.sum(1) + repeats
    return -0.5 * (squares + constant.view(-1, *[1] * (squares.ndim - 1)))


def representatives(support, y, n):
    """At most ``n`` rows of each task, spread evenly over its sorted targets.

    The result does not depend on the order of the rows, and a row of weight w counts as
    w rows. A task of at most ``n`` rows keeps all of them.
    """
    n_rows = support.weight.shape[1]
    if n_rows <= n:
        if (support.weight.sum(1) <= n).all():
            return support, y
        support = Rows(*(_padded(t, n - n_rows) for t in support))
        y = _padded(y, n - n_rows)
    direction = torch.arange(1, support.x.shape[2] + 1, device=y.device).sin()
    tie_breaker = (support.x * direction.to(support.x)).sum(-1)
    order = tie_breaker.argsort(1)
    order = order.gather(1, y.gather(1, order).argsort(dim=1, stable=True))
    hidden = support.weight.gather(1, order) == 0
    order = order.gather(1, hidden.long().argsort(dim=1, stable=True))
    weight = support.weight.gather(1, order)
    total = weight.sum(1, keepdim=True)
    few = (total <= n) & ((weight > 0).sum(1, keepdim=True) <= n)
    grid = torch.linspace(0, 1, n, device=y.device, dtype=torch.float64)
    unit = (grid * (total.double() - 1).clamp(min=0)).round() + 0.5
    spread = torch.searchsorted(weight.double().cumsum(1), unit)
    spread = spread.clamp(max=weight.shape[1] - 1)
    first = torch.arange(n, device=y.device).expand_as(spread)
    rows = order.gather(1, torch.where(few, first, spread))

    def take(t):
        return t.gather(1, rows[..., None].expand(-1, -1, t.shape[2]))

    weight = torch.where(few, weight[:, :n], 1.0)
    return Rows(take(support.x), take(support.offset), weight), y.gather(1, rows)


def _padded(rows, n):
    """``rows`` (B, n_rows, ...) padded by ``n`` rows of zeros."""
    return torch.cat([rows, rows.new_zeros(len(rows), n, *rows.shape[2:])], 1)
