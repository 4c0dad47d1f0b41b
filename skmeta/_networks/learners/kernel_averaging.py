"""Bayesian model averaging of the learned kernel and a grid of other kernels.

The function of a task may have another length scale, smoothness or variance than the
functions of the meta-training tasks, or be periodic in a feature. The prior
probabilities of the aperiodic kernels are fitted to the meta-training tasks, with a
small minimum for each. All kernels and the learned one are weighted by the marginal
likelihood of the support, with the variance integrated out. Periodic kernels, whose
search is expensive, are used only if the support is unlikely under the learned GP.
"""

import math
from typing import Any, NamedTuple

import torch
from scipy.stats import chi2

from ..encoders.task_encoder import TaskEncoding
from .kernel_grid import (
    LENGTHS,
    NOISE_RATIOS,
    RATES,
    SHAPE,
    InputRange,
    KernelSpec,
    aperiodic_kernels,
    correlation,
    evidence_of_aperiodic,
    periodic_kernels,
    whitened,
)
from .predictive import Components, mixture_moments
from .wrapper import LearnerWrapper, unwrap

UNIFORM_SHARE = 0.1
"""Prior probability, among the aperiodic kernels, that is spread evenly over them."""

PERIODIC_SHARE = 0.05
"""Prior probability that a task is periodic."""

MIN_PERIODIC_ROWS = 6
MAX_ROWS = 128
"""Number of support rows above which no other kernels are averaged."""

SIGNIFICANCE = 0.01
"""Significance level of the test of the learned GP; below it periods are searched."""

N_KERNELS = 24
"""Number of kernels, those with the most evidence, that are averaged."""

N_TASKS, N_TASK_ROWS, N_EM_STEPS = 256, 64, 50
"""Maximum number of tasks, and of rows of each, for fitting prior probabilities."""

TASKS_AT_ONCE = 16


class Alternatives(NamedTuple):
    """GPs of M other kernels for each of B tasks, conditioned on their supports."""

    log_share: torch.Tensor  # (B, M + 1) posterior; the last of the base learner
    kernels: KernelSpec  # (B, M) each
    input_range: InputRange
    weight: torch.Tensor  # (B, S)
    factor: torch.Tensor  # (B, M, S, S) of the targets' correlation
    alpha: torch.Tensor  # (B, M, S)
    scale: torch.Tensor  # (B, M) variance of the function


class AdaptedKernels(NamedTuple):
    """A base learner adapted to B tasks, and GPs of other kernels."""

    encoding: TaskEncoding
    base: Any
    alternatives: Alternatives | None  # None if the supports are too large


class KernelAveragingLearner(LearnerWrapper):
    """A regression learner averaged with GPs of other kernels.

    Parameters
    ----------
    base : BaseLearner
        A GP, or a learner that wraps one.

    Attributes
    ----------
    share : tensor of shape ()
        Prior probability that the kernel is not the learned one.
    log_shares : tensor of shape (n_kernels,)
        Log prior probability of each kernel among the aperiodic kernels.
    """

    def __init__(self, base):
        super().__init__(base)
        n = len(LENGTHS) * 2 * len(NOISE_RATIOS) * len(RATES)
        self.register_buffer("share", torch.tensor(0.05))
        self.register_buffer("log_shares", torch.full((n,), -math.log(n)))

    def with_share(self, adapted, share):
        """``adapted`` with another prior probability ``share`` of other kernels."""
        averaged = adapted.alternatives
        if averaged is None:
            return adapted
        odds = math.log(share / (1 - share)) - torch.logit(self.share).item()
        log_share = averaged.log_share.clone()
        log_share[:, :-1] += odds
        averaged = averaged._replace(log_share=log_share.log_softmax(1))
        return adapted._replace(alternatives=averaged)

    def fit_shares(self, evidence):
        """Fit the prior probabilities of kernels by EM (Laird 1978, sec. 2).

        Parameters
        ----------
        evidence : tensor of shape (n_tasks, n_kernels)
            Log marginal likelihood of tasks.
        """
        share = torch.full_like(evidence[0], 1 / evidence.shape[1])
        for _ in range(N_EM_STEPS):
            share = (evidence + share.log()).softmax(1).mean(0)
        share = (1 - UNIFORM_SHARE) * share + UNIFORM_SHARE / len(share)
        self.log_shares.copy_(share.log())

    def evidence_of_kernels(self, adapted, support):
        """Log marginal likelihood (B, n_kernels) of the aperiodic kernels."""
        _, gp = unwrap(self.base, adapted)
        weight, residual = _of_first(gp)
        input_range = InputRange.of(self._columns(support), weight)
        return evidence_of_aperiodic(input_range, residual, weight)

    @torch.no_grad()
    def adapt(self, support, y, encoding):
        """Adapt the base learner, and compute the weights of other kernels."""
        base = self.base.adapt(support, y, encoding)
        core, gp = unwrap(self.base, base)
        rows = _small_supports(*_of_first(gp), self._columns(support))
        if rows is None:
            return AdaptedKernels(encoding, base, None)
        weight, residual, columns = rows
        input_range = InputRange.of(columns, weight)
        kernels = aperiodic_kernels(residual).expand(len(residual))
        evidence = evidence_of_aperiodic(input_range, residual, weight)
        evidence = evidence + self.log_shares + self.share.log()
        own = core.laplace_evidence(gp) + (1 - self.share).log()
        empty = weight.sum(1, keepdim=True) == 0
        distance = core.prior_distance(support, y, encoding, gp.weight)
        unlikely = _is_unlikely(*distance, own - evidence.amax(1)) & ~empty[:, 0]
        if unlikely.any():
            relevance = core.relevance(gp)[:, : support.x.shape[2]]
            periodic, found = periodic_kernels(
                unlikely, relevance, input_range, residual, weight
            )
            pairs = zip(kernels, periodic, strict=True)
            kernels = KernelSpec(*(torch.cat(pair, 1) for pair in pairs))
            evidence = torch.cat([evidence, found + math.log(PERIODIC_SHARE)], 1)
        evidence, kept = evidence.masked_fill(empty, -math.inf).topk(N_KERNELS, 1)
        log_share = torch.cat([evidence, own[:, None]], 1).log_softmax(1)
        kernels = KernelSpec(*(part.gather(1, kept) for part in kernels))
        averaged = _condition(kernels, log_share, input_range, residual, weight)
        return AdaptedKernels(encoding, base, averaged)

    def predict(self, adapted, query):
        """Mean and variance of the mixture over all kernels."""
        base = self.base.predict(adapted.base, query)
        if adapted.alternatives is None:
            return base
        _, means, variances = self._posterior(adapted, query)
        means = torch.cat([means, base.mean[:, None]], 1)
        variances = torch.cat([variances, base.variance[:, None]], 1)
        return mixture_moments(adapted.alternatives.log_share, means, variances)

    def components(self, adapted, query, joint=False):
        """Predictive distribution of the query rows; see `BaseLearner.components`."""
        base = self.base.components(adapted.base, query, joint)
        averaged = adapted.alternatives
        if averaged is None:
            return base
        own = averaged.log_share[:, -1:]
        parts = [c._replace(log_share=c.log_share + own) for c in base]
        (columns, v), means, spread = self._posterior(adapted, query)
        if joint:
            kernels = averaged.kernels
            K = correlation(kernels, averaged.input_range, columns, columns)
            noise = kernels.noise[..., None].expand(means.shape)
            K = K - v.transpose(2, 3) @ v + torch.diag_embed(noise)
            spread = averaged.scale[..., None, None] * K
        for i in range(means.shape[1]):
            share = averaged.log_share[:, i : i + 1]
            parts.append(Components(share, means[:, i : i + 1], spread[:, i]))
        return parts

    def _columns(self, rows):
        """Rows (B, N, n_columns) in units of the shared length scales."""
        prior = unwrap(self.base)[0].prior
        columns = prior.columns(prior.expand(rows))[: len(rows.x)]
        return (columns * (-prior.length_scale[0]).exp()).double()

    def _posterior(self, adapted, query):
        """(Columns, whitened covariances), means and variances (B, M, Q)."""
        core, gp = unwrap(self.base, adapted.base)
        averaged, columns = adapted.alternatives, self._columns(query)
        _, mean = core.prior.network(core.prior.expand(query), gp.encoding, gp.theta)
        mean = mean[: len(query.x)]
        k = correlation(averaged.kernels, averaged.input_range, columns)
        k = k * (averaged.weight > 0)[:, None, None, :]
        residual = (k @ averaged.alpha[..., None])[..., 0]
        means = mean[:, None, :, 0].double() + residual
        v = torch.linalg.solve_triangular(
            averaged.factor, k.transpose(2, 3), upper=False
        )
        own = (1 - (v**2).sum(2)).clamp(min=1e-9) + averaged.kernels.noise[..., None]
        return (columns, v), means, averaged.scale[..., None] * own


def _of_first(gp):
    """Weights and residuals (B, S) of the supports under the first expert."""
    n_tasks = len(gp.encoding.task)
    return gp.weight[:n_tasks], gp.residual[:n_tasks]


def _small_supports(weight, residual, columns):
    """Supports of at most MAX_ROWS rows, with little padding; larger ones are masked.

    Parameters
    ----------
    weight, residual : tensor of shape (B, S)
    columns : tensor of shape (B, S, n_columns)

    Returns
    -------
    weight, residual, columns : with fewer rows, at least one
        None if all supports are too large.
    """
    n_rows = (weight > 0).sum(1)
    small = n_rows <= MAX_ROWS
    if not small.any():
        return None
    if weight.shape[1] == 0:
        return weight.new_zeros(len(weight), 1), *(
            t.new_zeros(len(t), 1, *t.shape[2:]) for t in (residual, columns)
        )
    n = max(1, int(n_rows[small].max()))
    order = (weight == 0).long().argsort(dim=1, stable=True)[:, :n]
    weight = weight.gather(1, order) * small[:, None]
    index = order[..., None].expand(-1, -1, columns.shape[2])
    return weight, residual.gather(1, order), columns.gather(1, index)


def _is_unlikely(squares, n_rows, log_odds):
    """Which supports (B,) are unlikely under the learned GP.

    Parameters
    ----------
    squares : tensor of shape (B,)
        Squared distance from the prior mean, with ``n_rows`` degrees of freedom.
    n_rows : tensor of shape (B,)
    log_odds : tensor of shape (B,)
        Log odds of the learned kernel against the best aperiodic kernel.
    """
    limit = chi2.isf(SIGNIFICANCE, n_rows.clamp(min=1).cpu().numpy())
    far = squares > torch.from_numpy(limit).to(squares)
    improbable = log_odds < math.log(SIGNIFICANCE)
    return (n_rows >= MIN_PERIODIC_ROWS) & (far | improbable)


def _condition(kernels, log_share, input_range, residual, weight):
    """`Alternatives` of these kernels, given the supports."""
    K = correlation(kernels, input_range, input_range.columns)
    factor, white, _ = whitened(K, kernels.noise, residual, weight)
    alpha = torch.linalg.solve_triangular(
        factor.transpose(2, 3), white[..., None], upper=True
    )[..., 0]
    n = weight.sum(1, keepdim=True)
    # posterior mean of the inverse gamma variance
    scale = (kernels.rate + (white**2).sum(2) / 2) / (SHAPE + n / 2 - 1)
    return Alternatives(log_share, kernels, input_range, weight, factor, alpha, scale)
