"""The residual of a task relative to a related one, given the support.

Where the function of a task is that of task j in memory plus a residual,

    f = f_j + r,    r ~ GP(0, k),  k(x, x') = local(x)' local(x'),

the support gives the evidence of task j and the posterior of the residual. For
regression both have a closed form; for classification the evidence is approximated row
by row, and the posterior by Laplace's method. Shapes: B tasks, T tasks in memory, S
support rows, Q query rows, C outputs, D features.
"""

import math
from typing import NamedTuple

import torch

from ..learners.gp_algebra import log_density, masked_covariance
from ..learners.laplace import Posterior, laplace, predict_logits
from ..learners.predictive import Categorical, Components, mixture_moments

DEGREES_OF_FREEDOM = 4.0


class SupportResidual(NamedTuple):
    """Inputs of a likelihood: B supports and T tasks in memory."""

    y: torch.Tensor  # (B, S)
    values: torch.Tensor  # (B, T, S, C) functions of the tasks at the support
    local: torch.Tensor  # (B, S, D)
    weight: torch.Tensor  # (B, S)
    noise: torch.Tensor  # (B, 1) variance


class ResidualPosterior(NamedTuple):
    """Posterior of the residuals of B tasks from T each, for regression."""

    factor: torch.Tensor  # (B, S, S) Cholesky factor of the targets' covariance
    alpha: torch.Tensor  # (B, T, S) inverse covariance times the targets' residuals
    noise: torch.Tensor  # (B, 1) variance
    local: torch.Tensor  # (B, S, D)


class LatentResidualPosterior(NamedTuple):
    """Posterior of the residuals of B tasks from T each, for classification."""

    posterior: Posterior  # of B x T tasks
    local: torch.Tensor  # (B, S, D)


class GaussianLikelihood:
    """Regression targets with normal noise."""

    max_related = 64
    """Maximum number of tasks in memory in the prediction of a task."""

    max_log_weight = math.inf
    """Maximum log weight of the evidence relative to the prior of relations."""

    def evidence(self, support):
        """Log marginal likelihood of a `SupportResidual` under each task, (B, T)."""
        factor, noise = self._factor(support)
        residual = self._residual(support)
        white = torch.linalg.solve_triangular(factor, residual, upper=False)
        return log_density((white**2).sum(1), factor, support.weight, noise)

    def null_evidence(self, learner, adapted, weight):
        """Log marginal likelihood of the support if related to no task, (B,).

        That of a Student's t process with the covariance of ``learner``: a support
        that is unlikely under each task in memory, and under the prior of all tasks,
        is then related to none.
        """
        n, dof = weight.sum(1), DEGREES_OF_FREEDOM
        squares = learner.squared_distances(adapted)  # (B, E) for E experts
        n = n[:, None]
        # log of the Student's t density minus that of the normal one
        ratio = torch.lgamma((dof + n) / 2) - math.lgamma(dof / 2)
        ratio = ratio - n / 2 * math.log(dof / 2 - 1)
        ratio = ratio + squares / 2 - (dof + n) / 2 * (squares / (dof - 2)).log1p()
        return learner.log_evidence(adapted, ratio)

    def condition(self, support):
        """`ResidualPosterior` given a `SupportResidual`."""
        factor, noise = self._factor(support)
        alpha = torch.cholesky_solve(self._residual(support), factor)
        return ResidualPosterior(factor, alpha.transpose(1, 2), noise, support.local)

    def mixture(self, residual, log_share, values, local, base):
        """`Gaussian` prediction of the mixture over tasks and the base learner.

        Parameters
        ----------
        residual : ResidualPosterior
        log_share : tensor of shape (B, T + 1)
            Log weights, the last that of the base learner.
        values : tensor of shape (B, T, Q, C)
            Functions of the tasks in memory at the query rows.
        local : tensor of shape (B, Q, D)
        base : Gaussian
            Prediction of the base learner.
        """
        means, _, variance = self._posterior(residual, values, local)
        variances = variance[:, None].expand(means.shape)
        means = torch.cat([means, base.mean[:, None]], 1)
        variances = torch.cat([variances, base.variance[:, None]], 1)
        return mixture_moments(log_share, means, variances)

    def components(self, residual, log_share, values, local, base, joint):
        """Predictive distribution of query rows, a list of `Components`.

        Parameters
        ----------
        residual, log_share, values, local : as of `mixture`
        base : list of Components
            Of the base learner.
        joint : bool
            Whether with covariances.
        """
        means, white, spread = self._posterior(residual, values, local)
        if joint:
            spread = local @ local.transpose(1, 2) - white.transpose(1, 2) @ white
            noise = residual.noise.expand(spread.shape[:2])
            spread = spread + torch.diag_embed(noise)
        unrelated = log_share[:, -1:]
        base = [c._replace(log_share=c.log_share + unrelated) for c in base]
        return [Components(log_share[:, :-1], means, spread), *base]

    def response(self, values):
        """Functions (B, T, Q, C) on the scale of the prediction."""
        return values

    def _posterior(self, residual, values, local):
        """Means (B, T, Q), whitened covariances (B, S, Q) and variances (B, Q).

        Rasmussen and Williams (2006), algorithm 2.1, about each function.
        """
        k = residual.local @ local.transpose(1, 2)
        means = values[..., 0] + residual.alpha @ k
        white = torch.linalg.solve_triangular(residual.factor, k, upper=False)
        variance = ((local**2).sum(-1) - (white**2).sum(1)).clamp(min=0)
        return means, white, variance + residual.noise

    def _factor(self, support):
        K = support.local @ support.local.transpose(1, 2)
        K, noise = masked_covariance(K, support.weight, support.noise)
        return torch.linalg.cholesky(K), noise

    def _residual(self, support):
        residual = support.y[:, None] - support.values[..., 0]
        return (residual * (support.weight > 0)[:, None]).transpose(1, 2)


class CategoricalLikelihood:
    """Class labels, by a softmax of the latent functions."""

    max_related = 4  # each costs a Laplace approximation
    max_log_weight = 0.0  # the row-by-row evidence is overconfident already

    def evidence(self, support):
        """Log likelihood of a `SupportResidual` under each task, row by row, (B, T).

        With a residual of variance v, MacKay's factor for the difference of two
        latents is 1 / sqrt(1 + pi / 8 * 2 v).
        """
        y, values, local, weight, _ = support
        spread = (1 + math.pi / 4 * (local**2).sum(-1)).sqrt()
        log_p = (values / spread[:, None, :, None]).log_softmax(-1)
        of_label = y[:, None, :, None].expand(-1, values.shape[1], -1, 1)
        return (log_p.gather(3, of_label)[..., 0] * weight[:, None]).sum(2)

    def null_evidence(self, learner, adapted, weight):
        """Log marginal likelihood of the support if related to no task, (B,)."""
        return learner.log_evidence(adapted)

    def condition(self, support):
        """`LatentResidualPosterior` given a `SupportResidual`."""
        y, values, local, weight, _ = support
        K, n = local @ local.transpose(1, 2), values.shape[1]
        K, y, weight = (t.repeat_interleave(n, 0) for t in (K, y, weight))
        posterior = laplace(K, values.flatten(0, 1), y, weight)
        return LatentResidualPosterior(posterior, local)

    def mixture(self, residual, log_share, values, local, base):
        """`Categorical` prediction; ``base`` is that of the base learner."""
        n = values.shape[1]
        k = local @ residual.local.transpose(1, 2)
        k, variance = (t.repeat_interleave(n, 0) for t in (k, (local**2).sum(-1)))
        values = values.flatten(0, 1)
        logits = predict_logits(residual.posterior, k, variance, values)
        logits = torch.cat([logits.unflatten(0, (-1, n)), base.logits[:, None]], 1)
        log_p = logits.log_softmax(-1) + log_share[..., None, None]
        return Categorical(log_p.logsumexp(1))

    def response(self, values):
        """Functions (B, T, Q, C) on the scale of the prediction: probabilities."""
        return values.softmax(-1)
