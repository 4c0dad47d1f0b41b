"""What a task may be next to a draw from its process: a function of another kind.

One that varies faster or slower, or less smoothly, or in another range than the process
has it; or one that repeats itself along a column. How often each is met, the tasks of
meta-training say; what was never met keeps a small chance. The support weighs all kinds
against the process by their marginal likelihood, with the variance integrated out.
Whether a task repeats itself, which takes time to find out, is asked only where its
support is further from what the process expects than chance would have it.
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
    input_range,
    periodic_kernels,
    whitened,
)
from .predictive import Components, mixture_moments
from .wrapper import LearnerWrapper, unwrap

NEVER_MET = 0.1
"""Prior share of kinds that meta-training has, or has not, met: of all alike."""

PERIODIC_SHARE = 0.05
"""Prior probability that a task repeats itself."""

MIN_PERIODIC_ROWS = 6
MAX_ROWS = 128
"""Rows of a support above which its process is all there is."""

UNEXPECTED = 0.01
"""Chance of as far a support, below which it is asked whether it repeats itself."""

N_KEPT = 24
N_TASKS, N_TASK_ROWS, N_EM_STEPS = 256, 64, 50
"""Tasks, and rows of each, that say how often kinds are met, at most."""

TASKS_AT_ONCE = 16


class Others(NamedTuple):
    """T functions of other kinds for each of B tasks, given their supports."""

    log_share: torch.Tensor  # (B, T + 1), the last that of the base learner
    kinds: KernelSpec  # (B, T) each
    places: InputRange
    weight: torch.Tensor  # (B, S)
    factor: torch.Tensor  # (B, T, S, S) of the targets' correlation
    alpha: torch.Tensor  # (B, T, S)
    scale: torch.Tensor  # (B, T) variance of the function


class Open(NamedTuple):
    """A base learner adapted to B tasks, and functions of other kinds."""

    encoding: TaskEncoding
    base: Any
    others: Others | None  # where the supports are small enough


class KernelAveragingLearner(LearnerWrapper):
    """A learner of numbers that reckons with functions of other kinds.

    Parameters
    ----------
    base : module
        A Gaussian process, or what is around it.

    Attributes
    ----------
    share : tensor of shape ()
        Prior probability that a task is of another kind.
    log_shares : tensor of shape (n_kinds,)
        Of each kind, but the periodic, among these.
    """

    def __init__(self, base):
        super().__init__(base)
        n = len(LENGTHS) * 2 * len(NOISE_RATIOS) * len(RATES)
        self.register_buffer("share", torch.tensor(0.05))
        self.register_buffer("log_shares", torch.full((n,), -math.log(n)))

    def reweighed(self, adapted, share):
        """``adapted``, had the prior probability of other kinds been ``share``."""
        others = adapted.others
        if others is None:
            return adapted
        odds = math.log(share / (1 - share)) - torch.logit(self.share).item()
        log_share = others.log_share.clone()
        log_share[:, :-1] += odds
        return adapted._replace(
            others=others._replace(log_share=log_share.log_softmax(1))
        )

    def learn_shares(self, evidence):
        """Learn how often kinds are met, by EM (Laird 1978, sec. 2).

        Parameters
        ----------
        evidence : tensor of shape (n_tasks, n_kinds)
            Log marginal likelihood of tasks.
        """
        share = torch.full_like(evidence[0], 1 / evidence.shape[1])
        for _ in range(N_EM_STEPS):
            share = (evidence + share.log()).softmax(1).mean(0)
        share = (1 - NEVER_MET) * share + NEVER_MET / len(share)
        self.log_shares.copy_(share.log())

    def evidence_of_kinds(self, adapted, support):
        """Log marginal likelihood (B, n_kinds) of kinds that are not periodic."""
        _, process = unwrap(self.base, adapted)
        places = input_range(self._columns(support), process.weight)
        return evidence_of_aperiodic(places, process.residual, process.weight)

    @torch.no_grad()
    def adapt(self, support, y, encoding):
        """Adapt the base learner, and weigh other kinds against it."""
        base = self.base.adapt(support, y, encoding)
        core, process = unwrap(self.base, base)
        parts = _compact(process.weight, process.residual, self._columns(support))
        if parts is None:
            return Open(encoding, base, None)
        weight, residual, columns = parts
        places = input_range(columns, weight)
        kinds = aperiodic_kernels(residual).expand(len(residual))
        evidence = evidence_of_aperiodic(places, residual, weight) + self.log_shares
        evidence = evidence + self.share.log()
        own = core.laplace_evidence(process) + (1 - self.share).log()
        far = core.expected(support, y, encoding, process.weight)
        none = weight.sum(1, keepdim=True) == 0
        asked = _unexpected(*far, own - evidence.amax(1)) & ~none[:, 0]
        if asked.any():
            relevance = core.relevance(process)[:, : support.x.shape[2]]
            more, found = periodic_kernels(asked, relevance, places, residual, weight)
            pairs = zip(kinds, more, strict=True)
            kinds = KernelSpec(*(torch.cat(pair, 1) for pair in pairs))
            found = found + math.log(PERIODIC_SHARE)
            evidence = torch.cat([evidence, found], 1)
        evidence, kept = evidence.masked_fill(none, -math.inf).topk(N_KEPT, 1)
        log_share = torch.cat([evidence, own[:, None]], 1).log_softmax(1)
        kinds = KernelSpec(*(part.gather(1, kept) for part in kinds))
        return Open(encoding, base, _others(kinds, log_share, places, residual, weight))

    def predict(self, adapted, query):
        """Mean and variance (B, Q) of the mixture over all kinds."""
        base = self.base.predict(adapted.base, query)
        if adapted.others is None:
            return base
        _, means, variances = self._posterior(adapted, query)
        means = torch.cat([means, base.mean[:, None]], 1)
        variances = torch.cat([variances, base.variance[:, None]], 1)
        return mixture_moments(adapted.others.log_share, means, variances)

    def components(self, adapted, query, joint=False):
        """The distribution of the query rows' targets, ``joint`` with covariance."""
        base, others = self.base.components(adapted.base, query, joint), adapted.others
        if others is None:
            return base
        own = others.log_share[:, -1:]
        parts = [c._replace(log_share=c.log_share + own) for c in base]
        (columns, v), means, spread = self._posterior(adapted, query)
        if joint:
            K = correlation(others.kinds, others.places, columns, columns)
            noise = others.kinds.noise[..., None].expand(means.shape)
            K = K - v.transpose(2, 3) @ v + torch.diag_embed(noise)
            spread = others.scale[..., None, None] * K
        for i in range(means.shape[1]):
            share = others.log_share[:, i : i + 1]
            parts.append(Components(share, means[:, i : i + 1], spread[:, i]))
        return parts

    def _columns(self, rows):
        """Rows (B, N, n_columns) on the scale of the process that all tasks share."""
        prior = unwrap(self.base)[0].prior
        return (prior.columns(rows) * (-prior.length_scale).exp()).double()

    def _posterior(self, adapted, query):
        """Means and variances (B, T, Q) of the other kinds, and what they come from."""
        core, process = unwrap(self.base, adapted.base)
        others, columns = adapted.others, self._columns(query)
        _, mean = core.prior.network(query, process.encoding, process.theta)
        k = correlation(others.kinds, others.places, columns)
        k = k * (others.weight > 0)[:, None, None, :]
        means = mean[:, None, :, 0].double() + (k @ others.alpha[..., None])[..., 0]
        v = torch.linalg.solve_triangular(others.factor, k.transpose(2, 3), upper=False)
        own = (1 - (v**2).sum(2)).clamp(min=1e-9) + others.kinds.noise[..., None]
        return (columns, v), means, others.scale[..., None] * own


def _compact(weight, residual, columns):
    """Supports of at most MAX_ROWS rows, with little padding; larger ones hidden.

    Parameters
    ----------
    weight, residual : tensor of shape (B, S)
    columns : tensor of shape (B, S, n_columns)

    Returns
    -------
    weight, residual, columns : as before, of fewer rows, one at least
        None where all supports are too large.
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


def _unexpected(squares, n_rows, odds):
    """Which supports (B,) are not what their process makes.

    Parameters
    ----------
    squares : tensor of shape (B,)
        Squared distance from what is expected; of as many degrees of freedom as rows.
    n_rows : tensor of shape (B,)
    odds : tensor of shape (B,)
        Logarithm of those of the process against the best kind that is not periodic.
    """
    limit = chi2.isf(UNEXPECTED, n_rows.clamp(min=1).cpu().numpy())
    far = squares > torch.from_numpy(limit).to(squares)
    return (n_rows >= MIN_PERIODIC_ROWS) & (far | (odds < math.log(UNEXPECTED)))


def _others(kinds, log_share, places, residual, weight):
    """`Others` of these kinds, given the supports."""
    K = correlation(kinds, places, places.columns)
    factor, white, _ = whitened(K, kinds.noise, residual, weight)
    alpha = torch.linalg.solve_triangular(
        factor.transpose(2, 3), white[..., None], upper=True
    )[..., 0]
    n = weight.sum(1, keepdim=True)
    scale = (kinds.rate + (white**2).sum(2) / 2) / (SHAPE + n / 2 - 1)
    return Others(log_share, kinds, places, weight, factor, alpha, scale)
