"""A task's small departure from one that it resembles.

Where the function of a task is that of a remembered task j and a departure,

    f = f_j + d,    d ~ N(0, local local'),

the support says how likely j is, and what d is. For numbers both have a closed form;
for classes the first is taken row by row and the second by a Laplace approximation.
Shapes: B tasks, T remembered tasks, S support rows, Q query rows, C outputs.
"""

import math
from typing import NamedTuple

import torch

from ..learners.gp_algebra import log_density, masked_covariance
from ..learners.laplace import Posterior, laplace, predict_logits
from ..learners.predictive import Categorical, Components, mixture_moments

DEGREES_OF_FREEDOM = 4.0


class ResidualPosterior(NamedTuple):
    """Posterior of the departures of B tasks from T each, for numbers.

    ``factor`` (B, S, S) the Cholesky factor of the targets' covariance, ``alpha``
    (B, T, S) its inverse times their departures, ``noise`` (B, 1), ``local`` (B, S, D).
    """

    factor: torch.Tensor
    alpha: torch.Tensor
    noise: torch.Tensor
    local: torch.Tensor


class ClassDepartures(NamedTuple):
    """Posterior of the departures of B tasks from T each, for classes.

    ``posterior`` of B x T tasks, ``local`` (B, S, D).
    """

    posterior: Posterior
    local: torch.Tensor


class GaussianLikelihood:
    """Targets that are numbers with normal noise."""

    max_related = 64
    """Remembered tasks that a task borrows from, at most."""

    max_log_weight = math.inf
    """Of the evidence next to the prior of relations."""

    def evidence(self, y, at_rows, local, weight, noise):
        """Log marginal likelihood of the support under each task, (B, T).

        Parameters
        ----------
        y : tensor of shape (B, S)
        at_rows : tensor of shape (B, T, S, C)
            The functions of the remembered tasks at the support.
        local : tensor of shape (B, S, D)
            Features of the support; their inner products are the departure's kernel.
        weight : tensor of shape (B, S)
        noise : tensor of shape (B, 1)
            Variance.
        """
        factor, noise = self._factor(local, weight, noise)
        residual = self._residual(y, at_rows, weight)
        white = torch.linalg.solve_triangular(factor, residual, upper=False)
        return log_density((white**2).sum(1), factor, weight, noise)

    def evidence_of_none(self, learner, adapted, weight):
        """Log marginal likelihood of the support if related to no task, (B,).

        That of a Student's t in place of the normal distribution of ``learner``, with
        the same covariance: what is far from likely under each task, and under the
        process of all, is of another kind, and related to none.
        """
        n, dof = weight.sum(1), DEGREES_OF_FREEDOM
        squares = learner.squared_distance(adapted)
        ratio = torch.lgamma((dof + n) / 2) - math.lgamma(dof / 2)
        ratio = ratio - n / 2 * math.log(dof / 2 - 1)
        ratio = ratio + squares / 2 - (dof + n) / 2 * (squares / (dof - 2)).log1p()
        return learner.log_evidence(adapted) + ratio

    def depart(self, y, at_rows, local, weight, noise):
        """What the support says of the departures; parameters as of `evidence`."""
        factor, noise = self._factor(local, weight, noise)
        alpha = torch.cholesky_solve(self._residual(y, at_rows, weight), factor)
        return ResidualPosterior(factor, alpha.transpose(1, 2), noise, local)

    def mixture(self, departures, log_share, values, local, base):
        """Mean and variance (B, Q) of the mixture over tasks and the base learner.

        Parameters
        ----------
        departures : GaussianDepartures
        log_share : tensor of shape (B, T + 1)
            Log weights, the last that of the base learner.
        values : tensor of shape (B, T, Q, C)
            The functions of the remembered tasks at the query rows.
        local : tensor of shape (B, Q, D)
            Features of the query rows.
        base : Gaussian
            Prediction of the base learner.
        """
        means, _, own = self._posterior(departures, values, local)
        variances = own[:, None].expand(means.shape)
        means = torch.cat([means, base.mean[:, None]], 1)
        variances = torch.cat([variances, base.variance[:, None]], 1)
        return mixture_moments(log_share, means, variances)

    def components(self, departures, log_share, values, local, base, joint):
        """The distribution of the query rows' targets.

        Parameters
        ----------
        departures, log_share, values, local : as of `mixture`
        base : list of Components
            Of the base learner.
        joint : bool
            Whether with covariances.
        """
        means, v, spread = self._posterior(departures, values, local)
        if joint:
            spread = local @ local.transpose(1, 2) - v.transpose(1, 2) @ v
            noise = departures.noise.expand(spread.shape[:2])
            spread = spread + torch.diag_embed(noise)
        unrelated = log_share[:, -1:]
        base = [c._replace(log_share=c.log_share + unrelated) for c in base]
        return [Components(log_share[:, :-1], means, spread), *base]

    def shares(self, values):
        """What each function says of the prediction, (B, T, Q, C)."""
        return values

    def _posterior(self, departures, values, local):
        """Means (B, T, Q), whitened covariances (B, S, Q), and the variance (B, Q)."""
        k = departures.local @ local.transpose(1, 2)
        means = values[..., 0] + departures.alpha @ k
        v = torch.linalg.solve_triangular(departures.factor, k, upper=False)
        own = ((local**2).sum(-1) - (v**2).sum(1)).clamp(min=0) + departures.noise
        return means, v, own

    def _factor(self, local, weight, noise):
        K, noise = masked_covariance(local @ local.transpose(1, 2), weight, noise)
        return torch.linalg.cholesky(K), noise

    def _residual(self, y, at_rows, weight):
        residual = (y[:, None] - at_rows[..., 0]) * (weight > 0)[:, None]
        return residual.transpose(1, 2)


class CategoricalLikelihood:
    """Targets that are classes, by a softmax of the latent functions."""

    max_related = 4  # each costs a Laplace approximation
    max_log_weight = 0.0  # row by row, the evidence is overstated as it is

    def evidence(self, y, at_rows, local, weight, noise):
        """Log likelihood of the support under each task, row by row, (B, T).

        With a departure of variance v, MacKay's factor for the difference of two
        latents is 1 / sqrt(1 + pi / 8 * 2 v).
        """
        spread = (1 + math.pi / 4 * (local**2).sum(-1)).sqrt()
        log_p = (at_rows / spread[:, None, :, None]).log_softmax(-1)
        chosen = y[:, None, :, None].expand(-1, at_rows.shape[1], -1, 1)
        return (log_p.gather(3, chosen)[..., 0] * weight[:, None]).sum(2)

    def evidence_of_none(self, learner, adapted, weight):
        """Log marginal likelihood of the support if related to no task, (B,)."""
        return learner.log_evidence(adapted)

    def depart(self, y, at_rows, local, weight, noise):
        """What the support says of the departures; parameters as of `evidence`."""
        K, n = local @ local.transpose(1, 2), at_rows.shape[1]
        K, y, weight = (t.repeat_interleave(n, 0) for t in (K, y, weight))
        return ClassDepartures(laplace(K, at_rows.flatten(0, 1), y, weight), local)

    def mixture(self, departures, log_share, values, local, base):
        """Log probabilities; ``base`` is the prediction of the base learner."""
        n = values.shape[1]
        k = local @ departures.local.transpose(1, 2)
        k, variance = (
            t.repeat_interleave(n, 0) for t in (k, (local**2).sum(-1))
        )  # fmt: skip
        logits = predict_logits(
            departures.posterior, k, variance, values.flatten(0, 1)
        ).unflatten(0, (-1, n))
        log_p = torch.cat([logits, base.logits[:, None]], 1).log_softmax(-1)
        return Categorical((log_p + log_share[..., None, None]).logsumexp(1))

    def shares(self, values):
        """What each function says of the prediction, (B, T, Q, C)."""
        return values.softmax(-1)
