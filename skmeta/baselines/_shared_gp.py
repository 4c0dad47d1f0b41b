"""A GP on what a pooled estimator leaves of each task, its hyperparameters shared.

The function of every task, or the latent function of each of its classes, is drawn from
GP(0, k) with

    k(x, x') = v0 + sum_j v_j x_j x'_j + v_r exp(-sum_j (x_j - x'_j)^2 / (2 l_j^2)).

This is the GP base learner of the meta-learners, which no encoding conditions, with a
diagonal covariance of the linear coefficients and without learned features. Its
hyperparameters are fitted in the same way, to the marginal likelihood of all tasks.
"""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.utils import check_random_state

from .._episodes.batch import Rows
from .._episodes.sampler import Episodes
from .._networks.learners import gp_classification, gp_regression
from .._networks.learners.factory import make_base_learner
from .._networks.learners.gp_prior import Expert, no_encoding
from .._networks.learners.laplace import Posterior
from .._training.empirical_bayes import fit_prior

N_TASKS, N_ROWS, MAX_ITER = 200, 32, 100
"""Maximum number of tasks, and of rows of each, and of iterations of the fit."""

LINEAR_SPREAD = 1.0
"""Standard deviation of the normal priors of linear coefficients' standard deviations;
wider than in meta-training, which starts at a mixed model."""

NO_FEATURES = -1e4
"""Log variance of learned features that are not used."""


@dataclass(frozen=True, eq=False)
class SharedKernel:
    """The covariance function of all tasks.

    Attributes
    ----------
    constant, smooth, noise : float64 tensor of shape ()
        v0, v_r and the variance of the noise.
    linear, length_scale : float64 tensor of shape (n_features,)
        v_j and l_j.
    """

    constant: torch.Tensor
    smooth: torch.Tensor
    noise: torch.Tensor
    linear: torch.Tensor
    length_scale: torch.Tensor

    @classmethod
    def of(cls, prior):
        """The covariance function of a `GaussianProcessPrior`."""
        constant, *linear = prior.factor[0].detach().diagonal().double() ** 2
        smooth, noise, length_scale = (
            p[0].detach().double().exp()
            for p in (prior.signal[:, 0], prior.noise[:, 0], prior.length_scale)
        )
        linear = torch.stack(linear) if linear else length_scale[:0]
        return cls(constant, smooth, noise, linear, length_scale)

    @torch.no_grad()
    def learner(self, n_classes=None):
        """The base learner with this covariance function, of regression by default."""
        learner = _make_learner(len(self.linear), n_classes).double()
        prior = learner.prior
        variances = torch.cat([self.constant[None], self.linear])
        prior.factor.copy_(variances.sqrt().diag()[None])
        prior.signal.fill_(self.smooth.log())
        prior.noise.fill_(self.noise.log())
        prior.length_scale.copy_(self.length_scale.log())
        return learner.eval().requires_grad_(False)


@dataclass(frozen=True, eq=False)
class SharedGaussianProcess:
    """A GP of regression tasks.

    Attributes
    ----------
    scale : float
        Standard deviation that the hyperparameters are relative to.
    kernel : SharedKernel
    log_likelihoods : ndarray or None
        In files of 0.1.0.
    """

    scale: float
    kernel: SharedKernel
    log_likelihoods: np.ndarray | None = None

    def posterior(self, X, y):
        """`GaussianProcessPosterior` given rows (n_rows, n_features), possibly none."""
        learner, rows = self.kernel.learner(), _rows(X)
        y = torch.as_tensor(y / self.scale, dtype=torch.float64)[None]
        adapted = learner.adapt(rows, y, no_encoding(learner, rows))
        parts = rows.x[0], adapted.factor[0], adapted.alpha[0]
        return GaussianProcessPosterior(self.scale, self.kernel, *parts)


@dataclass(frozen=True, eq=False)
class GaussianProcessPosterior:
    """A `SharedGaussianProcess` conditioned on the rows of one task.

    ``cholesky`` is the factor of the covariance of their targets, and ``weights`` the
    inverse of that covariance times the targets.
    """

    scale: float
    kernel: SharedKernel
    X: torch.Tensor
    cholesky: torch.Tensor
    weights: torch.Tensor

    def predict(self, X):
        """Mean and variance (n_rows,) of a new observation at each row."""
        learner, support = self.kernel.learner(), _rows(self.X)
        y = self.cholesky @ self.cholesky.T @ self.weights
        adapted = gp_regression.AdaptedGP(
            *_seen(learner, support), support.weight, noise=None,
            factor=self.cholesky[None], residual=y[None], alpha=self.weights[None],
            log_share=y.new_zeros(1, 1),
        )  # fmt: skip
        mean, variance = learner.predict(adapted, _rows(X))
        return self.scale * mean[0].numpy(), self.scale**2 * variance[0].numpy()


@dataclass(frozen=True, eq=False)
class SharedLatentProcess:
    """Latent GPs of classification tasks, around log-probabilities that are given.

    ``log_likelihoods`` is in files of 0.1.0.
    """

    kernel: SharedKernel
    log_likelihoods: np.ndarray | None = None

    def posterior(self, X, y, mean):
        """Condition on the rows of a new task, possibly none.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
        y : ndarray of int, shape (n_rows,)
            Positions of the classes.
        mean : ndarray of shape (n_rows, n_classes)
            Log-probabilities.

        Returns
        -------
        posterior : LatentPosterior
        """
        n_hidden = int(len(X) == 0)  # one row of weight 0 stands for none
        X, mean = (np.pad(rows, [(0, n_hidden), (0, 0)]) for rows in (X, mean))
        y = torch.as_tensor(np.pad(y, (0, n_hidden)).astype(int))[None]
        learner, rows = self.kernel.learner(mean.shape[1]), _rows(X, mean)
        rows = rows._replace(weight=rows.weight - n_hidden)
        adapted = learner.adapt(rows, y, no_encoding(learner, rows))
        return LatentPosterior(self.kernel, rows.x, rows.weight, adapted.posterior)


@dataclass(frozen=True, eq=False)
class LatentPosterior:
    """A `SharedLatentProcess` conditioned on the rows of one task."""

    kernel: SharedKernel
    X: torch.Tensor
    weight: torch.Tensor
    posterior: Posterior

    def predict(self, X, mean):
        """Logits (n_rows, n_classes) of the averaged class probabilities at rows."""
        learner, query = self.kernel.learner(mean.shape[1]), _rows(X, mean)
        offset = query.offset.new_zeros(*self.weight.shape, mean.shape[1])
        support, none = Rows(self.X, offset, self.weight), query.offset.new_zeros(1, 1)
        adapted = gp_classification.AdaptedLatentGP(
            *_seen(learner, support), self.weight, self.posterior, none, none
        )
        return learner.predict(adapted, query).logits[0].numpy()


def fit_shared_gp(tasks, scaler, targets, offset, n_classes=None, random_state=None):
    """Fit the hyperparameters of all tasks to their marginal likelihood.

    Parameters
    ----------
    tasks : TaskCollection
    scaler : FeatureScaler or ReducedScaler
    targets : TargetScaler or ClassCodec
    offset : ndarray of shape (n_rows, n_outputs)
        Pooled predictions, out of fold.
    n_classes : int or None
        None for regression.
    random_state : int, RandomState instance or None, default=None
        Draws tasks and rows. No global random state is touched.

    Returns
    -------
    kernel : SharedKernel
    """
    rng = np.random.default_rng(check_random_state(random_state).randint(2**31 - 1))
    episodes = Episodes(tasks, scaler, targets, offset)
    learner = _make_learner(len(scaler.mean), n_classes)
    prior = learner.prior
    prior.factor.register_hook(lambda gradient: gradient[0].diagonal().diag()[None])
    for p in prior.coefficients.parameters():
        p.register_hook(torch.zeros_like)

    some = rng.permutation(len(tasks))[:N_TASKS]
    rows = episodes.draw(some, N_ROWS - 1, 1, rng).rows()
    spread = {"linear_spread": LINEAR_SPREAD, "max_iter": MAX_ITER}
    fit_prior(learner, *rows, len(tasks), **spread)
    return SharedKernel.of(prior)


def _make_learner(n_features, n_classes=None):
    learner = make_base_learner(
        [Expert()], classification=n_classes is not None, seed=0,
        n_features=n_features, n_pooled=0, n_outputs=n_classes or 1, embed_dim=1,
        column_dim=1,
    )  # fmt: skip
    with torch.no_grad():
        learner.prior.basis.fill_(NO_FEATURES)
    return learner


def _rows(X, offset=None):
    """`Rows` of one task."""
    x = torch.as_tensor(X, dtype=torch.float64)[None]
    if offset is None:
        offset = np.zeros((x.shape[1], 1))
    offset = torch.as_tensor(offset, dtype=torch.float64)[None]
    return Rows(x, offset, x.new_ones(x.shape[:2]))


def _seen(learner, rows):
    """Encoding, hyperparameters and design of rows, as an adaptation has them."""
    encoding = no_encoding(learner, rows)
    theta = learner.prior.hyperparameters(encoding)
    rows = learner.prior.expand(rows)
    return encoding, theta, learner.prior.design(rows, encoding, theta)
