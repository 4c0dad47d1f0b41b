"""Posterior and likelihood of GPs in meta-training, with gradients in closed form.

Autograd needs several times as many operations for these gradients as the formulas
have, and the time of a step of meta-training depends on their number.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from .gp_algebra import log_density, masked_covariance

FAR = 100.0
"""Half of the negative logarithm of the RBF kernel of padding; if it were larger, the
kernel would be a denormal number, with which arithmetic is slow."""


class GPPosterior(NamedTuple):
    """Posterior of B tasks at Q query rows, and the evidence of their supports."""

    mean: torch.Tensor  # (B, Q)
    covariance: torch.Tensor  # (B, Q, Q) of the targets, noise included
    log_evidence: torch.Tensor  # (B,)


def gp_posterior(design, theta, y, present):
    """Joint posterior of the targets of query rows given a support.

    The gradient takes the jitter of the covariance for a constant.

    Parameters
    ----------
    design : Design
        Of S support rows, then Q query rows.
    theta : Hyperparameters
    y : tensor of shape (B, S)
    present : tensor of bool, shape (B, S)
        False for padding.

    Returns
    -------
    posterior : GPPosterior
    """
    return GPPosterior(
        *_Posterior.apply(
            design.features, design.columns, design.mean[..., 0],
            theta.signal.double(), theta.noise.double(), y.double(), present.double(),
        )
    )  # fmt: skip


def joint_loss(mean, covariance, y, present, bound):
    """Negative log likelihood of the targets of each task together, (B,).

    The squared Mahalanobis distance of n targets counts linearly above n + ``bound``
    squared, as errors do in `row_losses`.

    Parameters
    ----------
    mean : tensor of shape (B, Q)
    covariance : tensor of shape (B, Q, Q)
    y : tensor of shape (B, Q)
    present : tensor of bool, shape (B, Q)
        False for padding.
    bound : float
    """
    return _JointLoss.apply(mean, covariance, y.double(), present.double(), bound)


class _Posterior(torch.autograd.Function):
    """Rasmussen and Williams (2006), alg. 2.1, and its derivatives.

    With K the covariance of the targets, k that of query and support rows, r the
    residuals and a = K^-1 r, the mean is m + k a, the covariance C - k K^-1 k', and the
    log evidence (-r'a - log |K|) / 2 plus a constant.
    """

    @staticmethod
    def forward(ctx, features, columns, mean, signal, noise, y, present):
        S, noise = y.shape[1], noise.exp()
        seen = F.pad(present, (0, features.shape[1] - S), value=1.0)
        level = 0.5 * (signal - (columns**2).sum(2)) - FAR * (1 - seen)
        rbf = level[:, :, None] + level[:, None]
        rbf = rbf.baddbmm_(columns, columns.mT).exp_()
        features = features * seen[..., None]
        both = torch.baddbmm(rbf, features, features.mT)
        k, rest = both[:, S:, :S], both[:, S:, S:]
        K, with_jitter = masked_covariance(both[:, :S, :S], present, noise)
        factor = torch.linalg.cholesky(K)
        inverse = torch.cholesky_inverse(factor)
        residual = (y - mean[:, :S]) * present
        a = torch.bmm(inverse, residual[..., None])
        v = torch.bmm(k, inverse)
        covariance = torch.baddbmm(rest, v, k.mT, alpha=-1)
        covariance.diagonal(dim1=1, dim2=2).add_(noise)
        squares = (residual * a[..., 0]).sum(1)
        evidence = log_density(squares, factor, present, with_jitter)
        ctx.save_for_backward(features, columns, rbf, inverse, a, v, noise, present)
        return mean[:, S:] + torch.bmm(k, a)[..., 0], covariance, evidence

    @staticmethod
    def backward(ctx, of_mean, of_covariance, of_evidence):
        features, columns, rbf, inverse, a, v, noise, present = ctx.saved_tensors
        S = present.shape[1]
        b = torch.bmm(v.mT, of_mean[..., None])
        cv = torch.bmm(of_covariance, v)
        of_K = torch.bmm(v.mT, cv)
        half = 0.5 * of_evidence[:, None, None]
        right = half * a - b
        of_K += 0.5 * (torch.bmm(right, a.mT) + torch.bmm(a, right.mT))
        of_K -= half * inverse
        of_k = 0.5 * of_mean[..., None] * a.mT - cv
        of_noise = (of_K.diagonal(dim1=1, dim2=2) * present).sum(1, keepdim=True)
        of_noise += of_covariance.diagonal(dim1=1, dim2=2).sum(1, keepdim=True)
        of_both = torch.empty_like(rbf)
        of_both[:, :S, :S], of_both[:, S:, S:] = of_K, of_covariance
        of_both[:, S:, :S], of_both[:, :S, S:] = of_k, of_k.mT
        of_features = 2 * torch.bmm(of_both, features)
        of_rbf = of_both.mul_(rbf)
        total = of_rbf.sum(2, keepdim=True)
        of_columns = 2 * (torch.bmm(of_rbf, columns) - total * columns)
        of_residual = a[..., 0] * of_evidence[:, None] - b[..., 0]
        return (
            of_features,
            of_columns,
            torch.cat([of_residual * present, of_mean], 1),
            total.sum(1),
            of_noise * noise,
            None,
            None,
        )


class _JointLoss(torch.autograd.Function):
    """Rasmussen and Williams (2006), eq. 5.8 and its derivatives."""

    @staticmethod
    def forward(ctx, mean, covariance, y, present, bound):
        one = torch.ones_like(mean[:, :1])
        covariance, _ = masked_covariance(covariance, present, 0 * one)
        factor = torch.linalg.cholesky(covariance)
        inverse = torch.cholesky_inverse(factor)
        residual = (y - mean) * present
        a = torch.bmm(inverse, residual[..., None])[..., 0]
        squares = (residual * a).sum(1)
        limit = present.sum(1) + bound**2
        slope = (limit / squares.clamp(min=1e-12)).sqrt().clamp(max=1.0)
        squares = torch.where(slope < 1, 2 * squares * slope - limit, squares)
        ctx.save_for_backward(inverse, a, slope, present)
        return -log_density(squares, factor, present, one)

    @staticmethod
    def backward(ctx, of_loss):
        inverse, a, slope, present = ctx.saved_tensors
        of_mean = -(of_loss * slope)[:, None] * a
        outer = (slope[:, None] * a)[..., None] * a[:, None]
        of_covariance = 0.5 * of_loss[:, None, None] * (inverse - outer)
        seen = present[:, None] * present[..., None]
        return of_mean, of_covariance * seen, None, None, None
