"""Latent Gaussian processes for the classes of each task, with shared hyperparameters.

Every class of every task has a latent function, drawn from the process of `shared_gp`
without its noise around a log-probability that is given; a softmax turns them into
probabilities, and Laplace's approximation gives their posterior.
"""

from dataclasses import dataclass

import numpy as np
import torch

from .._networks.learners.laplace import Posterior, laplace, predict_logits
from ._shared_gp import JITTER, SharedKernel, maximise_over_tasks, padded


@dataclass(frozen=True, eq=False)
class SharedLatentProcess:
    """Latent processes for every task, made by :func:`fit_shared_latent_process`.

    Attributes
    ----------
    kernel : SharedKernel
        Covariance of each latent function; its noise has no part.
    log_likelihoods : ndarray of shape (n_steps,)
        Approximate log marginal likelihood per row of the tasks drawn at each step.
    """

    kernel: SharedKernel
    log_likelihoods: np.ndarray

    def posterior(self, X, y, mean):
        """Condition the processes on the rows of a new task, possibly none.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
        y : ndarray of int, shape (n_rows,)
            Positions of the classes.
        mean : ndarray of shape (n_rows, n_classes)
            Log-probabilities that the processes depart from.

        Returns
        -------
        posterior : LatentPosterior
        """
        n_hidden = int(len(X) == 0)  # one row of no weight stands for none
        X = torch.as_tensor(np.pad(X, [(0, n_hidden), (0, 0)]))[None]
        mean = torch.as_tensor(np.pad(mean, [(0, n_hidden), (0, 0)]))[None]
        y = torch.as_tensor(np.pad(y, (0, n_hidden)).astype(int))[None]
        weight = torch.full(y.shape, 1.0 - n_hidden, dtype=torch.float64)
        K = _covariance(self.kernel, X, weight)
        return LatentPosterior(self.kernel, X, weight, laplace(K, mean, y, weight))


@dataclass(frozen=True, eq=False)
class LatentPosterior:
    """Shared latent processes conditioned on one task's rows."""

    kernel: SharedKernel
    X: torch.Tensor
    weight: torch.Tensor
    posterior: Posterior

    def predict(self, X, mean):
        """Logits of the averaged class probabilities at each row.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
        mean : ndarray of shape (n_rows, n_classes)

        Returns
        -------
        logits : ndarray of shape (n_rows, n_classes)
        """
        X, mean = torch.as_tensor(X)[None], torch.as_tensor(mean)[None]
        cross = self.kernel(X, self.X) * self.weight[:, None]
        variance = self.kernel.diagonal(X)
        return predict_logits(self.posterior, cross, variance, mean)[0].numpy()


def fit_shared_latent_process(
    X,
    y,
    mean,
    offsets,
    *,
    n_steps=80,
    lr=0.1,
    max_tasks=32,
    max_rows=32,
    random_state=None,
):
    """Maximise the approximate marginal likelihood of many tasks.

    Adam on the logarithms of the hyperparameters; each step draws tasks, and rows of
    those with many.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Standardised rows, one task after the other.
    y : ndarray of int, shape (n_rows,)
        Positions of the classes.
    mean : ndarray of shape (n_rows, n_classes)
        Log-probabilities that the processes depart from.
    offsets : ndarray of shape (n_tasks + 1,)
        Task g has the rows ``offsets[g]:offsets[g + 1]``.
    n_steps, lr : int, float
        Steps of Adam and their learning rate.
    max_tasks, max_rows : int
        Most tasks a step, and most rows of each.
    random_state : int, RandomState instance or None, default=None
        Draws tasks and rows. No global random state is touched.

    Returns
    -------
    process : SharedLatentProcess

    References
    ----------
    Rasmussen, C. E., and Williams, C. K. I. (2006). Gaussian Processes for Machine
    Learning, algorithms 3.3 and 3.4, summed over tasks.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.baselines._shared_latent_gp import fit_shared_latent_process
    >>> rng = np.random.default_rng(0)
    >>> level = np.repeat(3 * rng.normal(size=30), 10)
    >>> y = (level + rng.logistic(size=300) > 0).astype(int)
    >>> process = fit_shared_latent_process(
    ...     rng.normal(size=(300, 1)), y, np.zeros((300, 2)), np.arange(0, 301, 10),
    ...     random_state=0,
    ... )
    >>> task = process.posterior(np.zeros((3, 1)), np.ones(3), np.zeros((3, 2)))
    >>> logits = task.predict(np.zeros((1, 1)), np.zeros((1, 2)))
    >>> bool(logits[0, 1] > logits[0, 0])
    True
    """

    def log_likelihood(kernel, rows, present):
        K = _covariance(kernel, padded(X, rows, present), present)
        labels = torch.as_tensor(y[rows] * present.numpy().astype(int))
        means = padded(mean, rows, present)
        return laplace(K, means, labels, present).log_evidence.sum() / present.sum()

    kernel, log_likelihoods = maximise_over_tasks(
        log_likelihood,
        {"constant": 0.3, "smooth": 0.3, "noise": 1e-3, "linear": 0.05},
        X.shape[1],
        offsets,
        n_steps=n_steps,
        lr=lr,
        max_tasks=max_tasks,
        max_rows=max_rows,
        random_state=random_state,
    )
    return SharedLatentProcess(kernel, log_likelihoods)


def _covariance(kernel, X, present):
    """Covariance (B, S, S) of latents, absent rows apart from all others."""
    K = kernel(X, X) * present[:, :, None] * present[:, None, :]
    jitter = JITTER * kernel.diagonal(X).mean(dim=-1, keepdim=True)
    return K + torch.diag_embed(jitter.expand(present.shape))
