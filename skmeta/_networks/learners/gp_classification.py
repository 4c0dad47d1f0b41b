"""The Gaussian process as classification learner, by a Laplace approximation."""

from typing import NamedTuple

import torch

from ..encoders.task_encoder import TaskEncoding
from .base import residual_labels
from .gp_hyperparameters import Hyperparameters
from .gp_learner import GaussianProcessLearner
from .gp_prior import Design
from .laplace import Posterior, laplace, predict_logits
from .predictive import Categorical


class AdaptedLatentGP(NamedTuple):
    """E times the latent GPs of B tasks, conditioned on their supports."""

    encoding: TaskEncoding  # of B tasks
    theta: Hyperparameters
    design: Design
    weight: torch.Tensor  # (E * B, S)
    posterior: Posterior
    evidence: torch.Tensor  # (B, E) of the experts
    log_share: torch.Tensor  # (B, E) log weights of the experts


class GaussianProcessClassification(GaussianProcessLearner):
    """Laplace posterior of one latent GP per class given the support.

    The classes share the kernel, and each has its own mean. The posterior mode is found
    by Newton's method, without adaptation settings.

    Parameters
    ----------
    prior : GaussianProcessPrior
        With one output per class; its noise is not used.
    """

    def targets(self, rows, y):
        """Inputs of the task encoder: labels minus pooled probabilities."""
        return residual_labels(rows, y, self.prior.n_outputs)

    def adapt(self, support, y, encoding):
        """Condition on the support, with labels ``y`` (B, S) of int."""
        support = self.prior.expand(support)
        theta = self.prior.hyperparameters(encoding)
        design = self.prior.design(support, encoding, theta)
        return self._condition(design, support.weight, y, encoding, theta)

    def _condition(self, design, weight, y, encoding, theta):
        """Condition E * B tasks on supports of this `Design`, with ``y`` (B, S)."""
        y, weight = y.repeat(self.prior.n_experts, 1), weight.double()
        present = (weight > 0).to(weight)
        K = self.prior.kernel(design, design, theta)
        K = K * present[:, :, None] * present[:, None, :]
        posterior = laplace(K, design.mean, y, weight)
        evidence = self._by_expert(posterior.log_evidence)
        share = self._log_share(weight, evidence)
        return AdaptedLatentGP(
            encoding, theta, design, weight, posterior, evidence, share
        )

    def predict(self, adapted, query):
        """Logits of the classes at the query rows, (B, Q, n_classes)."""
        return self._mixture(adapted, self.expert_predictions(adapted, query))

    def _mixture(self, adapted, logits):
        if self.prior.n_experts == 1:
            return Categorical(logits[:, 0])
        log_p = logits.log_softmax(-1) + adapted.log_share[..., None, None]
        return Categorical(log_p.logsumexp(1))

    def training_predictions(self, support, y, encoding, query):
        """`Categorical` prediction of each expert, a list, and of their mixture."""
        rows = self.prior.expand(support.followed_by(query))
        theta, n_support = self.prior.hyperparameters(encoding), y.shape[1]
        design, at_query = self.prior.design(rows, encoding, theta).split(n_support)
        weight = rows.weight[:, :n_support]
        adapted = self._condition(design, weight, y, encoding, theta)
        logits = self._logits(adapted, at_query)
        return [*map(Categorical, logits.unbind(1))], self._mixture(adapted, logits)

    def marginal_likelihood(self, rows, y, encoding):
        """Approximate log marginal likelihood under each expert, (B, E)."""
        return self.expert_evidence(self.adapt(rows, y, encoding))

    def expert_predictions(self, adapted, query):
        """Logits (B, E, Q, n_classes) of each expert."""
        return self._logits(adapted, self._design(adapted, query))

    def _logits(self, adapted, design):
        """`expert_predictions` for the `Design` of query rows."""
        k = self._cross_covariance(adapted, design)
        variance = self.prior.variance(design, adapted.theta)
        logits = predict_logits(adapted.posterior, k, variance, design.mean)
        return self._by_expert(logits)

    def support_weights(self, adapted, query):
        """Absolute weights of the support in the linearised posterior, (B, Q, S)."""
        k = self._cross_covariance(adapted, self._design(adapted, query))
        k = k.transpose(1, 2)[:, None]
        weights = (adapted.posterior.precision @ k).abs().sum(1).transpose(1, 2)
        return self._averaged(weights, adapted)

    def expert_evidence(self, adapted):
        """Approximate log marginal likelihood under each expert, (B, E)."""
        return adapted.evidence

    def sample(self, rows, encoding, generator):
        """Draw labels (B, N) of ``rows`` from the prior."""
        latent = self._draw(
            rows, encoding, generator, lambda theta: torch.zeros_like(theta.noise)
        )
        labels = torch.multinomial(
            latent.softmax(-1).flatten(0, 1).cpu(), 1, generator=generator
        )
        return labels.view(latent.shape[:2]).to(latent.device)
