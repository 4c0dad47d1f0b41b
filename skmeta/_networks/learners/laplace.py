"""Laplace approximation of Gaussian-process classification, batched over tasks.

``n_classes`` latent functions share a kernel; a softmax turns them into probabilities.
The algebra is that of Rasmussen and Williams (2006), Gaussian Processes for Machine
Learning, algorithms 3.1, 3.3 and 3.4, with a prior mean and weighted rows. Shapes: B
tasks, C classes, S support rows, Q query rows; everything in float64.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F

N_NEWTON_STEPS = 50
N_HALVINGS = 30
TOLERANCE = 1e-8
MIN_PROBABILITY = 1e-12
"""Lower bound of probabilities under a square root, whose gradient is infinite at 0."""


class Posterior(NamedTuple):
    """Gaussian approximation of the latent functions at the support rows.

    ``alpha`` (B, C, S) the prior precision times the deviation of the latents from
    their mean; ``precision`` (B, C, S, S) E of algorithm 3.3; ``factor`` (B, S, S) the
    Cholesky factor of its sum over classes; ``log_evidence`` (B,).

    For two classes only the difference of the latents matters, a GP with twice the
    covariance: ``precision`` (B, 1, S, S) is then (K + W^-1)^-1 of equation 3.24 for
    it, and there is no ``factor``.
    """

    alpha: torch.Tensor
    precision: torch.Tensor
    factor: torch.Tensor | None
    log_evidence: torch.Tensor


def laplace(K, mean, y, weight):
    """Find the mode, then take one differentiable Newton step at it.

    The Newton map does not depend on its argument to first order at the mode, so the
    gradient through that one step is the exact (implicit) one.

    Parameters
    ----------
    K : tensor of shape (B, S, S)
    mean : tensor of shape (B, S, C)
    y : tensor of int, shape (B, S)
    weight : tensor of shape (B, S)
        0 masks a row; a row of weight w counts as w rows.

    Returns
    -------
    posterior : Posterior
    """
    one_hot = F.one_hot(y, mean.shape[-1]).transpose(1, 2).to(K)
    mean = mean.transpose(1, 2)
    if mean.shape[1] == 2:
        difference = mean[:, 1:] - mean[:, :1]
        return _laplace_of_two(2 * K, difference, one_hot[:, 1:], weight)
    alpha = _to_mode(K, mean, one_hot, weight, _newton, _objective)
    f = mean + alpha @ K
    precision, factor, inner = _curvature(K, f, weight)
    log_det = 2 * (
        inner.diagonal(dim1=-2, dim2=-1).log().sum((1, 2))
        + factor.diagonal(dim1=-2, dim2=-1).log().sum(1)
    ) - weight.where(weight > 0, 1.0).log().sum(1)  # of I + K W
    evidence = _objective(alpha, f, mean, one_hot, weight) - 0.5 * log_det
    return Posterior(alpha, precision, factor, evidence)


def predict_logits(posterior, k, variance, mean):
    """Logits of the averaged class probabilities at query rows.

    The average of the softmax over the latents' Gaussian is approximated by MacKay's
    factor, on the latents minus their mean over classes, since only these matter: with
    s2 the variance of such a centred latent, it is divided by
    sqrt(1 + pi / 8 * 2 C / (C - 1) * s2). For two classes this is the well-known
    sigma(mu / sqrt(1 + pi / 8 * var)) of their difference, and permuting the classes
    permutes the logits.

    Parameters
    ----------
    posterior : Posterior
    k : tensor of shape (B, Q, S)
        Covariance of query and support rows.
    variance : tensor of shape (B, Q)
        Prior variance at the query rows.
    mean : tensor of shape (B, Q, C)

    Returns
    -------
    logits : tensor of shape (B, Q, C)
    """
    C = mean.shape[-1]
    latent = mean + (posterior.alpha @ k.transpose(1, 2)).transpose(1, 2)
    centred = latent - latent.mean(-1, keepdim=True)
    s2 = _centred_variance(posterior, k, variance).clamp(min=0).transpose(1, 2)
    return centred / (1 + math.pi / 8 * 2 * C / max(C - 1, 1) * s2).sqrt()


def _centred_variance(posterior, k, variance):
    """Variance of latents minus their mean over classes, (B, C, Q) or (B, 1, Q)."""
    kt = k.transpose(1, 2)[:, None]  # (B, 1, S, Q)
    ek = posterior.precision @ kt  # (B, C, S, Q)
    explained = (kt * ek).sum(2)
    if posterior.factor is None:  # a quarter of that of the difference
        return variance[:, None] / 2 - explained
    C = ek.shape[1]
    own = variance[:, None] - explained
    v = torch.linalg.solve_triangular(posterior.factor[:, None], ek, upper=False)
    shared = ((v - v.sum(1, keepdim=True) / C) ** 2).sum(2)
    return own * (1 - 2 / C) + own.sum(1, keepdim=True) / C**2 + shared


def _objective(alpha, f, mean, one_hot, weight):
    """Log joint density of targets and latents, without the latents' normaliser."""
    log_likelihood = ((one_hot * f).sum(1) - f.logsumexp(1)) * weight
    return log_likelihood.sum(1) - 0.5 * (alpha * (f - mean)).sum((1, 2))


def _laplace_of_two(K, mean, label, weight):
    """`laplace` by the difference of two latents, of covariance ``K``."""
    alpha = _to_mode(K, mean, label, weight, _newton_of_two, _objective_of_two)
    f = mean + alpha @ K
    root, factor = _curvature_of_two(K, f, weight)
    precision = root.transpose(1, 2) * torch.cholesky_inverse(factor) * root
    log_det = 2 * factor.diagonal(dim1=1, dim2=2).log().sum(1)  # of I + K W
    evidence = _objective_of_two(alpha, f, mean, label, weight) - 0.5 * log_det
    alpha = torch.cat([-alpha, alpha], 1)
    return Posterior(alpha, precision[:, None], None, evidence)


def _to_mode(K, mean, target, weight, newton, objective):
    """Alpha at the mode, with its gradient through one Newton step there."""
    K0, mean0 = K.detach(), mean.detach()
    with torch.no_grad():
        alpha = _climb(K0, mean0, target, weight, newton, objective)
    return newton(K, mean, mean0 + alpha @ K0, target, weight)


def _climb(K, mean, target, weight, newton, objective):
    """Newton's method with step halving in each task until its objective increases."""
    alpha, f = torch.zeros_like(mean), mean
    best = objective(alpha, f, mean, target, weight)
    for _ in range(N_NEWTON_STEPS):
        step = newton(K, mean, f, target, weight) - alpha
        for _ in range(N_HALVINGS):
            trial = alpha + step
            trial_f = mean + trial @ K
            value = objective(trial, trial_f, mean, target, weight)
            worse = value < best - TOLERANCE / 10
            if not worse.any():
                break
            step = torch.where(worse[:, None, None], step / 2, step)
        gain = torch.where(worse, 0.0, value - best)
        alpha = torch.where(worse[:, None, None], alpha, trial)
        f = torch.where(worse[:, None, None], f, trial_f)
        best = best + gain
        if gain.max() < TOLERANCE:
            break
    return alpha


def _objective_of_two(alpha, f, mean, label, weight):
    """`_objective` by the difference ``f`` (B, 1, S) of two latents."""
    log_likelihood = (label * f - F.softplus(f))[:, 0] * weight
    return log_likelihood.sum(1) - 0.5 * (alpha * (f - mean)).sum((1, 2))


def _newton_of_two(K, mean, f, label, weight):
    """`_newton` by the difference of two latents: algorithm 3.1."""
    root, L = _curvature_of_two(K, f, weight)
    b = root**2 * (f - mean) + weight[:, None] * (label - f.sigmoid())
    inside = (root * (b @ K)).transpose(1, 2)
    return b - root * torch.cholesky_solve(inside, L).transpose(1, 2)


def _curvature_of_two(K, f, weight):
    """Root (B, 1, S) of W, and the factor of I + W^1/2 K W^1/2."""
    p = (f.sigmoid() * (-f).sigmoid()).clamp(min=MIN_PROBABILITY)
    root = p.sqrt() * weight.sqrt()[:, None]
    eye = torch.eye(K.shape[-1], dtype=K.dtype, device=K.device)
    return root, torch.linalg.cholesky(eye + root.transpose(1, 2) * K * root)


def _newton(K, mean, f, one_hot, weight):
    """The next alpha (B, C, S) from latents ``f`` (B, C, S)."""
    precision, factor, _ = _curvature(K, f, weight)
    w, p, departure = weight[:, None], f.softmax(1), f - mean
    b = w * (p * (departure - (p * departure).sum(1, keepdim=True)) + one_hot - p)
    c = (precision @ (b @ K)[..., None])[..., 0]
    shared = torch.cholesky_solve(c.sum(1)[..., None], factor)[:, None]
    return b - c + (precision @ shared)[..., 0]


def _curvature(K, f, weight):
    """E, the factor of its sum, and those of each class's I + W^1/2 K W^1/2.

    At latents ``f`` (B, C, S), with W the diagonal of weighted probabilities.
    """
    p = f.softmax(1).clamp(min=MIN_PROBABILITY)
    root = p.sqrt() * weight.sqrt()[:, None]
    eye = torch.eye(K.shape[-1], dtype=K.dtype, device=K.device)
    inner = eye + root[..., None] * K[:, None] * root[..., None, :]
    L = torch.linalg.cholesky(inner)
    t = torch.linalg.solve_triangular(L, torch.diag_embed(root), upper=False)
    precision = t.transpose(-2, -1) @ t
    hidden = torch.diag_embed((weight == 0).to(K))
    factor = torch.linalg.cholesky(precision.sum(1) + hidden)
    return precision, factor, L
