"""The Gaussian process as base learner of classification tasks, by Laplace."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from ..encoders.task_encoder import TaskEncoding
from .gp_algebra import masked_covariance
from .gp_prior import Design, Hyperparameters
from .laplace import Posterior, laplace, predict_logits


class Adapted(NamedTuple):
    """Latent processes conditioned on the support of each task."""

    encoding: TaskEncoding
    theta: Hyperparameters
    design: Design
    weight: torch.Tensor  # (B, S)
    posterior: Posterior


class GaussianProcessClassification(nn.Module):
    """Laplace posterior of the latent process of every class given the support.

    The classes share the kernel; each has a mean of its own. Newton's method trains
    the latents on the support.

    Parameters
    ----------
    prior : GaussianProcessPrior
        With one output a class; its noise has no part.
    """

    adaptation_grid, alone = ((),), ()

    def __init__(self, prior):
        super().__init__()
        self.prior = prior

    def set_adaptation(self):
        """Newton's method needs no setting."""

    def targets(self, rows, y):
        """What the task encoder reads: the label less the pooled probabilities."""
        one_hot = F.one_hot(y, rows.offset.shape[-1]).to(rows.offset)
        return (one_hot - rows.offset.softmax(-1)) * (rows.weight > 0)[..., None]

    def adapt(self, support, y, encoding):
        """Condition on the support.

        Parameters
        ----------
        support : Rows of B tasks with S rows
        y : tensor of int, shape (B, S)
        encoding : TaskEncoding

        Returns
        -------
        adapted : Adapted
        """
        theta = self.prior.hyperparameters(encoding)
        design = self.prior.design(support, encoding, theta)
        weight = support.weight.double()
        present = (weight > 0).to(weight)
        K = self.prior.kernel(design, design, theta)
        K = K * present[:, :, None] * present[:, None, :]
        posterior = laplace(K, design.mean, y, weight)
        return Adapted(encoding, theta, design, weight, posterior)

    def predict(self, adapted, query):
        """Logits of the classes at the query rows, (B, Q, n_classes)."""
        theta = adapted.theta
        design = self.prior.design(query, adapted.encoding, theta)
        k = self._covariance(design, adapted)
        variance = self.prior.variance(design, theta)
        return predict_logits(adapted.posterior, k, variance, design.mean)

    def _covariance(self, design, adapted):
        k = self.prior.kernel(design, adapted.design, adapted.theta)
        return k * (adapted.weight > 0)[:, None, :]

    @property
    def n_base_features(self):
        """How many features a row has."""
        return self.prior.n_base_features

    def features(self, adapted, rows):
        """Features whose inner products are the kernel, but for its RBF part."""
        design = self.prior.design(rows, adapted.encoding, adapted.theta)
        return design.features

    def support_weights(self, adapted, query):
        """Size of the linearised posterior's weights on the rows, (B, Q, S)."""
        design = self.prior.design(query, adapted.encoding, adapted.theta)
        k = self._covariance(design, adapted).transpose(1, 2)[:, None]
        return (adapted.posterior.precision @ k).abs().sum(1).transpose(1, 2)

    def relevance(self, adapted):
        """How much hangs on each column, (B, n_columns)."""
        return self.prior.relevance(adapted.theta)

    def prior_covariance(self, adapted, rows):
        """Covariance of each class's latents before the support is seen, (B, N, N)."""
        design = self.prior.design(rows, adapted.encoding, adapted.theta)
        return self.prior.kernel(design, design, adapted.theta)

    def log_evidence(self, adapted):
        """Approximate log marginal likelihood of each task's support, (B,)."""
        return adapted.posterior.log_evidence

    def sample(self, rows, encoding, generator):
        """Draw labels (B, S) of ``rows`` from the prior."""
        theta = self.prior.hyperparameters(encoding)
        design = self.prior.design(rows, encoding, theta)
        K = self.prior.kernel(design, design, theta)
        K, _ = masked_covariance(K, rows.weight.double(), K.new_zeros(len(K), 1))
        white = torch.randn(design.mean.shape, generator=generator, dtype=K.dtype)
        latent = design.mean + torch.linalg.cholesky(K) @ white.to(K.device)
        labels = torch.multinomial(
            latent.softmax(-1).flatten(0, 1).cpu(), 1, generator=generator
        )
        return labels.view(latent.shape[:2]).to(latent.device)
