"""What the Gaussian-process base learners share."""

import torch

from .base import BaseLearner
from .gp_algebra import masked_covariance


class GaussianProcessLearner(BaseLearner):
    """Base learner whose adaptation is a GP conditioned on the support.

    An adaptation has the hyperparameters ``theta``, the ``design`` and the ``weight``
    of the support rows.

    Parameters
    ----------
    prior : GaussianProcessPrior
    """

    has_prior = True

    def __init__(self, prior):
        super().__init__()
        self.prior = prior

    @property
    def n_base_features(self):
        """Number of `features` of a row."""
        return self.prior.n_base_features

    def features(self, adapted, rows):
        """Features whose inner products are the kernel without its RBF part."""
        return self._design(adapted, rows).features

    def relevance(self, adapted):
        """Dependence of the function on each column, (B, n_columns)."""
        return self.prior.relevance(adapted.theta)

    def row_weight(self, adapted, support):
        """Weights (B, S) that the support rows had in the adaptation."""
        return adapted.weight.to(support.weight)

    def prior_covariance(self, adapted, rows):
        """Prior covariance (B, N, N) of the latent function."""
        design = self._design(adapted, rows)
        return self.prior.kernel(design, design, adapted.theta)

    def _design(self, adapted, rows):
        return self.prior.design(rows, adapted.encoding, adapted.theta)

    def _cross_covariance(self, adapted, design):
        """Covariance (B, Q, S) of query rows and support rows."""
        k = self.prior.kernel(design, adapted.design, adapted.theta)
        return k * (adapted.weight > 0)[:, None, :]

    def _draw(self, rows, encoding, generator, noise):
        """Draw functions (B, N, n_outputs) from the prior.

        ``noise`` is added to them: a function of the hyperparameters that gives its
        variance, (B, 1).
        """
        theta = self.prior.hyperparameters(encoding)
        design = self.prior.design(rows, encoding, theta)
        K = self.prior.kernel(design, design, theta)
        K, _ = masked_covariance(K, rows.weight.double(), noise(theta))
        white = torch.randn(design.mean.shape, generator=generator, dtype=K.dtype)
        return design.mean + torch.linalg.cholesky(K) @ white.to(K.device)
