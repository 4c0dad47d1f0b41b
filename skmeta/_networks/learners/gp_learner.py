"""What the Gaussian-process base learners share."""

import copy

import torch

from ..._episodes.batch import Rows
from ..encoders.task_encoder import TaskEncoding
from .base import BaseLearner
from .expert_weights import ExpertWeights
from .gp_algebra import masked_covariance

MIN_NOISE = 1e-12
"""Smallest variance that is added to functions drawn from a prior, whose covariance may
be zero."""


class GaussianProcessLearner(BaseLearner):
    """Base learner whose adaptation is GPs conditioned on the support.

    There is one GP for each of E experts, and the prediction is their mixture. Of B
    tasks, the parts of an adaptation are those of E * B tasks, the tasks of the first
    expert first; only the ``encoding`` and ``log_share`` (B, E), the log weights of the
    experts, are those of B.

    Parameters
    ----------
    prior : GaussianProcessPrior

    Attributes
    ----------
    expert_weights : ExpertWeights or None
        None for one expert.
    """

    has_prior = True

    def __init__(self, prior):
        super().__init__()
        self.prior, self.expert_weights = prior, None
        if prior.n_experts > 1:
            self.expert_weights = ExpertWeights(prior.n_experts)

    @property
    def experts(self):
        """What the experts are, a tuple of `Expert`."""
        return self.prior.experts

    @property
    def main_expert(self):
        """Index of the expert with the largest weight, nonlinear if any is."""
        if self.expert_weights is None:
            return 0
        logit = self.expert_weights.logit.tolist()
        return max(
            range(len(logit)), key=lambda e: (not self.experts[e].linear, logit[e])
        )

    @torch.no_grad()
    def copy_shared(self, other):
        """Take what does not depend on the encoding from a learner of as many experts.

        It may have columns for an offset that this one lacks.
        """
        priors = self.prior.shared_parameters(), other.prior.shared_parameters()
        for mine, theirs in zip(*priors, strict=True):
            mine.copy_(theirs[tuple(map(slice, mine.shape))])
        if self.expert_weights is not None:
            weights = other.expert_weights
            self.expert_weights.set(weights.logit, weights.slope)

    @torch.no_grad()
    def copy_experts(self, other, indices):
        """Take all of the experts of a learner, which become those at ``indices``."""
        pairs = zip(self.prior.parameters(), other.prior.parameters(), strict=True)
        for mine, theirs in pairs:
            mine[indices] = theirs

    @property
    def n_base_features(self):
        """Number of `features` of a row."""
        return self.prior.n_experts * self.prior.n_base_features

    def select(self, chosen):
        """A copy with some of the experts, given by their indices."""
        weights, prior = self.expert_weights, self.prior.select(chosen)
        selected = copy.copy(self)
        selected._modules = self._modules | {"prior": prior, "expert_weights": None}
        selected._buffers = {k: v.clone() for k, v in self._buffers.items()}
        if len(chosen) > 1:
            selected.expert_weights = weights.select(chosen)
        return selected

    def features(self, adapted, rows):
        """Features of all experts, (B, N, E * n_features).

        Their inner products are the kernels without their RBF parts, averaged with the
        weights of the experts.
        """
        features = self._by_expert(self._design(adapted, rows).features)
        share = adapted.log_share.exp().sqrt()[:, :, None, None]
        return (features * share).transpose(1, 2).flatten(2)

    def learned_features(self, adapted, rows):
        """The nonlinear ones of `features`, (B, N, E * n_basis)."""
        features = self.features(adapted, rows).unflatten(2, (self.prior.n_experts, -1))
        return features[..., self.prior.n_linear :].flatten(2)

    def relevance(self, adapted):
        """Dependence of the function on each column, (B, n_columns)."""
        return self._averaged(self.prior.relevance(adapted.theta), adapted)

    def expert_share(self, adapted):
        """Weights (B, E) of the experts in the prediction."""
        return adapted.log_share.exp()

    def row_weight(self, adapted, support):
        """Weights (B, S) that the support rows had in the adaptation."""
        return self._averaged(adapted.weight, adapted).to(support.weight)

    def prior_covariance(self, adapted, rows):
        """Prior covariance (B, N, N) of the latent function, averaged over experts."""
        design = self._design(adapted, rows)
        K = self.prior.kernel(design, design, adapted.theta)
        return self._averaged(K, adapted)

    def marginal_likelihood(self, rows, y, encoding):
        """Log marginal likelihood (B, E) of rows, without adapting to them.

        Its gradients are those of meta-training and of empirical Bayes.
        """
        raise NotImplementedError

    def expert_evidence(self, adapted):
        """Log marginal likelihood of each task's support under each expert, (B, E)."""
        raise NotImplementedError

    def log_evidence(self, adapted, log_ratio=0.0):
        """Log marginal likelihood of each task's support under the mixture, (B,).

        ``log_ratio`` (B, E) is added to that of each expert.
        """
        evidence = self.expert_evidence(adapted) + log_ratio
        return (evidence + self._prior_share(adapted)).logsumexp(1)

    def _prior_share(self, adapted):
        """Log weights (B, E) of the experts without a support."""
        nothing = adapted.weight[:, :0]
        return self._log_share(nothing, self._by_expert(nothing.sum(1)))

    def _log_share(self, weight, evidence):
        """Log weights (B, E) of the experts; ``weight`` (E * B, S) of the support."""
        if self.expert_weights is None:
            return torch.zeros_like(evidence)
        return self.expert_weights(weight[: len(evidence)].sum(1), evidence)

    def _by_expert(self, values):
        """Values (E * B, ...) as (B, E, ...)."""
        return values.unflatten(0, (self.prior.n_experts, -1)).transpose(0, 1)

    def _averaged(self, values, adapted):
        """Mean over the experts by their weights, (B, ...), of (E * B, ...)."""
        values = self._by_expert(values)
        share = adapted.log_share.exp().to(values)
        return (values * share.view(*share.shape, *[1] * (values.ndim - 2))).sum(1)

    def _design(self, adapted, rows):
        rows = self.prior.expand(rows)
        return self.prior.design(rows, adapted.encoding, adapted.theta)

    def _cross_covariance(self, adapted, design):
        """Covariance (E * B, Q, S) of query rows and support rows."""
        k = self.prior.kernel(design, adapted.design, adapted.theta)
        return k * (adapted.weight > 0)[:, None, :]

    def _draw(self, rows, encoding, generator, noise):
        """Draw functions (B, N, n_outputs) from the prior, each of a random expert.

        ``noise`` is added to them: a function of the hyperparameters that gives its
        variance, (E * B, 1).
        """
        none = rows.weight.new_zeros(len(rows.x), self.prior.n_experts).double()
        share = self._log_share(rows.weight[:, :0], none).exp().cpu()
        expert = torch.multinomial(share, 1, generator=generator)[:, 0]
        drawn = none.new_empty(*rows.x.shape[:2], self.prior.n_outputs)
        for e in expert.unique().tolist():
            prior = self.prior if len(share[0]) == 1 else self.prior.select([e])
            chosen = (expert == e).to(rows.x.device)
            some = prior.expand(Rows(*(t[chosen] for t in rows)))
            of_some = TaskEncoding(encoding.task[chosen], encoding.columns[chosen])
            theta = prior.hyperparameters(of_some)
            design = prior.design(some, of_some, theta)
            K = prior.kernel(design, design, theta)
            of_some = noise(theta).clamp(min=MIN_NOISE)
            K, _ = masked_covariance(K, some.weight.double(), of_some)
            white = torch.randn(
                design.mean.shape, generator=generator, dtype=torch.float64
            )
            drawn[chosen] = design.mean + torch.linalg.cholesky(K) @ white.to(K.device)
        return drawn
