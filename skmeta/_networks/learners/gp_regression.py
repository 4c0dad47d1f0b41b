"""The Gaussian process as regression learner, in closed form."""

import math
from typing import NamedTuple

import torch

from ..encoders.task_encoder import TaskEncoding
from .base import residual_targets
from .gp_algebra import log_density, masked_covariance, representatives
from .gp_hyperparameters import Hyperparameters, ShiftGroups
from .gp_learner import GaussianProcessLearner
from .gp_posterior import gp_posterior
from .gp_prior import Design
from .predictive import Components, Gaussian, JointGaussian, mixture_moments
from .robust_noise import student_t_weight

N_TRAINING_STEPS = 4
MAX_STEP = 1.0
HYPERPRIOR_SDS = 0.3, 1.0
MAX_TRAINING_ROWS = 256
"""Maximum number of support rows that hyperparameters are trained on; the GP is
conditioned on all rows."""


class AdaptedGP(NamedTuple):
    """E GPs conditioned on the support of each of B tasks."""

    encoding: TaskEncoding  # of B tasks
    theta: Hyperparameters
    design: Design
    weight: torch.Tensor  # (E * B, S)
    noise: torch.Tensor  # (E * B, 1) variance, jitter included
    factor: torch.Tensor  # (E * B, S, S) Cholesky factor of the targets' covariance
    residual: torch.Tensor  # (E * B, S) targets minus their prior mean
    alpha: torch.Tensor  # (E * B, S) inverse covariance times residual
    evidence: torch.Tensor | None = None  # (B, E) before training on the support
    log_share: torch.Tensor | None = None  # (B, E) log weights of the experts
    shift: torch.Tensor | None = None  # (E * B, n_numbers) by training on the support


class GaussianProcessRegression(GaussianProcessLearner):
    """Posterior of a task's GPs given its support.

    Parameters
    ----------
    prior : GaussianProcessPrior

    Attributes
    ----------
    hyperprior_sd : tensor of shape ()
        Standard deviation of the normal prior of a log hyperparameter about the value
        predicted from the encoding. 0: no training on the support.
    dof : tensor of shape ()
        Degrees of freedom of Student's t noise; infinite for normal noise.
    shift_by_column : tensor of bool, shape ()
        Whether the training on the support shifts the hyperparameters of each column
        by a number of its own, as in files of 0.1.0.
    """

    adaptation_grid = tuple((sd, math.inf) for sd in HYPERPRIOR_SDS)
    robust_grid = tuple((sd, 4.0) for sd in HYPERPRIOR_SDS)
    single_task_setting = (2.0, math.inf)

    def __init__(self, prior):
        super().__init__(prior)
        self.register_buffer("hyperprior_sd", torch.tensor(0.0))
        self.register_buffer("dof", torch.tensor(math.inf))
        self.register_buffer("shift_by_column", torch.tensor(False))

    def set_adaptation(self, hyperprior_sd, dof=math.inf):
        """Set the prior of the training on the support, and the noise."""
        self.hyperprior_sd.fill_(hyperprior_sd)
        self.dof.fill_(dof)

    def targets(self, rows, y):
        """Inputs of the task encoder: residuals of the targets."""
        return residual_targets(rows, y)

    @property
    def supports_kernel_averaging(self):
        """Whether its kernel has an RBF part, which can be replaced by others."""
        return not self.prior.linear_only

    def adapt(self, support, y, encoding):
        """Train the hyperparameters on the support, and condition on it.

        During meta-training the hyperparameters are those of the encoding.

        Parameters
        ----------
        support : Rows of B tasks with S rows
        y : tensor of shape (B, S)
        encoding : TaskEncoding

        Returns
        -------
        adapted : AdaptedGP
        """
        support, y = self.prior.expand(support), y.repeat(self.prior.n_experts, 1)
        given = support.weight  # the robust weights differ between experts
        theta = self.prior.hyperparameters(encoding)
        network = self.prior.network(support, encoding, theta)
        if not self.training and self.dof.isfinite():

            def condition(rows):
                return self._condition(rows, y, encoding, theta, network)

            weight = student_t_weight(condition, support, self.dof)
            support = support._replace(weight=weight)
        adapted = self._condition(support, y, encoding, theta, network)
        evidence = self.expert_evidence(adapted)
        if not self.training and self.hyperprior_sd > 0:
            shift = self._train(support, y, adapted)
            theta = theta.shifted(shift, self._shift_groups(theta))
            adapted = self._condition(support, y, encoding, theta, network)
            adapted = adapted._replace(shift=shift)
        share = self._log_share(given, evidence)
        return adapted._replace(evidence=evidence, log_share=share)

    def _condition(self, support, y, encoding, theta, network=None):
        """Condition E * B tasks, whose rows are `expand`ed, on their supports."""
        design = self.prior.design(support, encoding, theta, network)
        weight = support.weight.double()
        K = self.prior.kernel(design, design, theta)
        K, noise = masked_covariance(K, weight, theta.noise.double().exp())
        # Rasmussen and Williams (2006), alg. 2.1: L, then alpha = L' \ (L \ y)
        factor = torch.linalg.cholesky(K)
        residual = (y.double() - design.mean[..., 0]) * (weight > 0)
        alpha = torch.cholesky_solve(residual[..., None], factor)[..., 0]
        return AdaptedGP(
            encoding, theta, design, weight, noise, factor, residual, alpha
        )

    def predict(self, adapted, query):
        """Posterior of the query rows' targets: mean and variance of the mixture."""
        means, variances = self.expert_predictions(adapted, query)
        if self.prior.n_experts == 1:
            return Gaussian(means[:, 0], variances[:, 0])
        return mixture_moments(adapted.log_share, means, variances)

    def training_predictions(self, support, y, encoding, query):
        """`JointGaussian` of each expert, a list, and `Gaussian` of their mixture."""
        posterior = self._joint_posterior(support.followed_by(query), y, encoding)
        means, covariances, evidence = map(self._by_expert, posterior)
        pairs = zip(means.unbind(1), covariances.unbind(1), strict=True)
        share = self._log_share(support.weight, evidence)
        variances = covariances.diagonal(dim1=2, dim2=3)
        mixture = mixture_moments(share, means, variances)
        return [JointGaussian(*pair) for pair in pairs], mixture

    def marginal_likelihood(self, rows, y, encoding):
        """Log marginal likelihood of each task's rows under each expert, (B, E)."""
        return self._by_expert(self._joint_posterior(rows, y, encoding).log_evidence)

    def _joint_posterior(self, rows, y, encoding):
        """`GPPosterior` of E * B tasks, whose support rows ``y`` (B, S) come first."""
        rows, y = self.prior.expand(rows), y.repeat(self.prior.n_experts, 1)
        theta = self.prior.hyperparameters(encoding)
        design = self.prior.design(rows, encoding, theta)
        return gp_posterior(design, theta, y, rows.weight[:, : y.shape[1]] > 0)

    def components(self, adapted, query, joint=False):
        """The distribution of the query rows' targets, ``joint`` with covariance."""
        parts, mean, spread = self._posterior(adapted, query)
        if joint:
            design, v = parts
            spread = self.prior.kernel(design, design, adapted.theta)
            spread = spread - v.transpose(1, 2) @ v
            noise = adapted.theta.noise.double().exp()
            spread = spread + torch.diag_embed(noise.expand(mean.shape))
        means, spreads = self._by_expert(mean), self._by_expert(spread)
        return [
            Components(adapted.log_share[:, [e]], means[:, [e]], spreads[:, e])
            for e in range(self.prior.n_experts)
        ]

    def expert_predictions(self, adapted, query):
        """Means and variances (B, E, Q) of each expert, noise included."""
        return tuple(map(self._by_expert, self._posterior(adapted, query)[1:]))

    def _posterior(self, adapted, query):
        theta, design = adapted.theta, self._design(adapted, query)
        k = self._cross_covariance(adapted, design)
        # alg. 2.1: mean k' alpha, and v = L \ k with variance k(x, x) - v'v
        mean = design.mean[..., 0] + (k @ adapted.alpha[..., None])[..., 0]
        v = torch.linalg.solve_triangular(
            adapted.factor, k.transpose(1, 2), upper=False
        )
        prior_variance = self.prior.variance(design, theta)
        variance = torch.maximum(prior_variance - (v**2).sum(1), 1e-9 * prior_variance)
        return (design, v), mean, variance + theta.noise.double().exp()

    def support_weights(self, adapted, query):
        """Absolute weights of the support in the posterior mean, (B, Q, S)."""
        k = self._cross_covariance(adapted, self._design(adapted, query))
        k = k.transpose(1, 2)
        weights = torch.cholesky_solve(k, adapted.factor).transpose(1, 2).abs()
        return self._averaged(weights, adapted)

    def expert_evidence(self, adapted):
        """Log marginal likelihood of each task's support under each expert, (B, E)."""
        return self._by_expert(self._evidence(adapted))

    def _evidence(self, adapted):
        squares = self._squares(adapted)
        return log_density(squares, adapted.factor, adapted.weight, adapted.noise)

    def laplace_evidence(self, adapted):
        """`log_evidence` with the trained hyperparameters integrated out.

        By a Laplace approximation with the Fisher information; their prior is the
        penalty of the training.
        """
        variance = self.hyperprior_sd.double() ** 2
        if variance == 0:
            return self.log_evidence(adapted)
        moved = (adapted.shift**2).sum(1)
        _, information = self._score(adapted)
        identity = torch.eye(information.shape[1]).to(information)
        _, occam = torch.linalg.slogdet(identity + variance * information)
        evidence = self._evidence(adapted) - 0.5 * (moved / variance + occam)
        return (self._by_expert(evidence) + self._prior_share(adapted)).logsumexp(1)

    def prior_distance(self, support, y, encoding, weight):
        """Distance of each support from the nearest prior mean, before training on it.

        Parameters
        ----------
        support, y, encoding : as of `adapt`
        weight : tensor of shape (E * B, S)
            Of the support rows.

        Returns
        -------
        squared_distance : tensor of shape (B,)
        n_rows : tensor of shape (B,)
        """
        theta = self.prior.hyperparameters(encoding)
        rows = self.prior.expand(support)._replace(weight=weight.to(support.weight))
        y = y.repeat(self.prior.n_experts, 1)
        adapted = self._condition(rows, y, encoding, theta)
        return self.squared_distances(adapted).amin(1), weight[: len(support.x)].sum(1)

    def squared_distances(self, adapted):
        """Squared Mahalanobis distance of each support from each prior mean, (B, E)."""
        return self._by_expert(self._squares(adapted))

    def _squares(self, adapted):
        return (adapted.residual * adapted.alpha).sum(1)

    def sample(self, rows, encoding, generator):
        """Draw targets (B, S) of ``rows`` from the prior."""
        draw = self._draw(
            rows, encoding, generator, lambda theta: theta.noise.double().exp()
        )
        return draw[..., 0].float() * (rows.weight > 0)

    @torch.no_grad()
    def _train(self, support, y, adapted):
        """Train hyperparameters on the support, initialised by the encoding.

        Maximises the log marginal likelihood
        minus ``|shift|^2 / (2 hyperprior_sd^2)`` by Levenberg-Marquardt steps with the
        expected (Fisher) information; steps that would lower the objective of a task
        are not taken.

        Parameters
        ----------
        support : Rows of E * B tasks
        y : tensor of shape (E * B, S)
        adapted : AdaptedGP
            Conditioned on the support with the hyperparameters of the encoding.

        Returns
        -------
        shift : tensor of shape (E * B, n_numbers)
            See `Hyperparameters.shifted`.
        """
        theta, encoding = adapted.theta, adapted.encoding
        support, y = representatives(support, y, MAX_TRAINING_ROWS)
        network = self.prior.network(support, encoding, theta)
        if support.x.shape[1] != adapted.weight.shape[1]:
            adapted = self._condition(support, y, encoding, theta, network)
        precision = 1.0 / self.hyperprior_sd.double() ** 2
        groups = self._shift_groups(theta)
        at = adapted.weight.new_zeros(len(adapted.weight), groups.n_numbers)
        damping = torch.full_like(at[:, :1], 1e-3)
        best = self._evidence(adapted)
        for _ in range(N_TRAINING_STEPS):
            score, information = self._score(adapted)
            score = score - precision * at
            scale = information.diagonal(dim1=1, dim2=2) + precision
            system = information + torch.diag_embed(precision + damping * scale)
            step = torch.linalg.solve(system, score[..., None])[..., 0]
            trial = at + step.clamp(-MAX_STEP, MAX_STEP)
            moved = theta.shifted(trial, groups)
            candidate = self._condition(support, y, encoding, moved, network)
            penalty = 0.5 * precision * (trial**2).sum(1)
            value = self._evidence(candidate) - penalty
            better = value > best
            best = torch.where(better, value, best)
            at = torch.where(better[:, None], trial, at)
            damping = torch.where(better[:, None], damping / 4, damping * 8)
            adapted = _select(better, candidate, adapted)
        return at

    def _shift_groups(self, theta):
        return ShiftGroups.of(theta.length_scale.shape[1], bool(self.shift_by_column))

    def _score(self, adapted):
        """Gradient (B, p) and Fisher information (B, p, p) of the log evidence.

        Rasmussen and Williams (2006), eq. 5.9, and its expected second derivative
        ``tr(K^-1 dK_i K^-1 dK_j) / 2``.
        """
        weight = adapted.weight
        present = (weight > 0).double()
        groups = self._shift_groups(adapted.theta)
        parts = self.prior.kernel_gradients(adapted.design, adapted.theta, groups)
        parts = parts * (present[:, :, None] * present[:, None, :])[:, None]
        noise = adapted.theta.noise.double().exp()
        diagonal = noise / weight.where(weight > 0, 1.0) * present
        gradients = torch.cat([parts, torch.diag_embed(diagonal)[:, None]], 1)
        a = torch.cholesky_inverse(adapted.factor)[:, None] @ gradients
        fit = torch.einsum("bs,bpst,bt->bp", adapted.alpha, gradients, adapted.alpha)
        score = 0.5 * (fit - a.diagonal(dim1=2, dim2=3).sum(-1))
        information = 0.5 * a.flatten(2) @ a.transpose(2, 3).flatten(2).transpose(1, 2)
        repeats = 0.5 * (weight - present).sum(1)
        share = (noise / adapted.noise)[:, 0]  # the rest is jitter
        score[:, -1] -= repeats * share
        information[:, -1, -1] += repeats * share**2
        return score, information


def _select(chosen, a, b):
    """The tensors of ``a`` for the tasks that are ``chosen`` (B,), else of ``b``."""
    if a is b:
        return a
    if isinstance(a, torch.Tensor):
        return torch.where(chosen.view(-1, *[1] * (a.ndim - 1)), a, b)
    parts = (_select(chosen, *pair) for pair in zip(a, b, strict=True))
    return type(a)(*parts)
