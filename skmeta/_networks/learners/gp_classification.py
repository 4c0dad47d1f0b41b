"""The Gaussian process as classification learner, by a Laplace approximation."""

from typing import NamedTuple

import torch

from ..encoders.task_encoder import TaskEncoding
from .base import residual_labels
from .gp_learner import GaussianProcessLearner
from .gp_prior import Design, Hyperparameters
from .laplace import Posterior, laplace, predict_logits
from .predictive import Categorical


class AdaptedLatentGP(NamedTuple):
    """Latent GPs conditioned on the support of each task."""

    encoding: TaskEncoding
    theta: Hyperparameters
    design: Design
    weight: torch.Tensor  # (B, S)
    posterior: Posterior


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
        return residual_labels(rows, y)

    def adapt(self, support, y, encoding):
        """Condition on the support, with labels ``y`` (B, S) of int."""
        theta = self.prior.hyperparameters(encoding)
        design = self.prior.design(support, encoding, theta)
        weight = support.weight.double()
        present = (weight > 0).to(weight)
        K = self.prior.kernel(design, design, theta)
        K = K * present[:, :, None] * present[:, None, :]
        posterior = laplace(K, design.mean, y, weight)
        return AdaptedLatentGP(encoding, theta, design, weight, posterior)

    def predict(self, adapted, query):
        """Logits of the classes at the query rows, (B, Q, n_classes)."""
        design = self._design(adapted, query)
        k = self._cross_covariance(adapted, design)
        variance = self.prior.variance(design, adapted.theta)
        logits = predict_logits(adapted.posterior, k, variance, design.mean)
        return Categorical(logits)

    def support_weights(self, adapted, query):
        """Absolute weights of the support in the linearised posterior, (B, Q, S)."""
        k = self._cross_covariance(adapted, self._design(adapted, query))
        k = k.transpose(1, 2)[:, None]
        return (adapted.posterior.precision @ k).abs().sum(1).transpose(1, 2)

    def log_evidence(self, adapted):
        """Approximate log marginal likelihood of each task's support, (B,)."""
        return adapted.posterior.log_evidence

    def sample(self, rows, encoding, generator):
        """Draw labels (B, N) of ``rows`` from the prior."""
        latent = self._draw(
            rows, encoding, generator, lambda theta: torch.zeros_like(theta.noise)
        )
        labels = torch.multinomial(
            latent.softmax(-1).flatten(0, 1).cpu(), 1, generator=generator
        )
        return labels.view(latent.shape[:2]).to(latent.device)
