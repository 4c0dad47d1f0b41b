"""A Gaussian process for each task, with hyperparameters shared by all tasks.

The function of every task is drawn from GP(0, k) with

    k(x, x') = v0 + sum_j v_j x_j x'_j + v_r exp(-sum_j (x_j - x'_j)^2 / (2 l_j^2)),

and observed with noise. The hyperparameters maximise the marginal likelihood over the
meta-training tasks; a new task is then conditioned on its rows in closed form.
"""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.utils import check_random_state

JITTER = 1e-8
"""Added to the diagonal of a covariance, in units of its mean."""

LOG_BOUNDS = (-9.0, 5.0)


@dataclass(frozen=True, eq=False)
class SharedGaussianProcess:
    """A process for every task, made by :func:`fit_shared_gaussian_process`.

    Attributes
    ----------
    scale : float
        Standard deviation of the meta-training targets; of zeros, that of rounding a
        number of order one.
    kernel : SharedKernel
        Covariance of the targets in units of `scale`.
    log_likelihoods : ndarray of shape (n_steps,)
        Log marginal likelihood per row of the tasks drawn at each step.
    """

    scale: float
    kernel: "SharedKernel"
    log_likelihoods: np.ndarray

    def posterior(self, X, y):
        """Condition the process on the rows of a new task; on no rows it is the prior.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
        y : ndarray of shape (n_rows,)

        Returns
        -------
        posterior : GaussianProcessPosterior
        """
        X = torch.as_tensor(X, dtype=torch.float64)
        y = torch.as_tensor(y / self.scale, dtype=torch.float64)
        cholesky = torch.linalg.cholesky(self.kernel.noisy(X, torch.ones(len(X))))
        weights = torch.cholesky_solve(y[:, None], cholesky)[:, 0]
        return GaussianProcessPosterior(self.scale, self.kernel, X, cholesky, weights)


@dataclass(frozen=True, eq=False)
class GaussianProcessPosterior:
    """A shared process conditioned on one task's rows."""

    scale: float
    kernel: "SharedKernel"
    X: torch.Tensor
    cholesky: torch.Tensor
    weights: torch.Tensor

    def predict(self, X):
        """Return mean and variance of a new observation at each row.

        Rasmussen and Williams (2006), Gaussian Processes for Machine Learning,
        algorithm 2.1.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)

        Returns
        -------
        mean, variance : ndarray of shape (n_rows,)
        """
        X = torch.as_tensor(X, dtype=torch.float64)
        cross = self.kernel(X, self.X)
        explained = torch.linalg.solve_triangular(self.cholesky, cross.T, upper=False)
        variance = self.kernel.diagonal(X) - explained.square().sum(dim=0)
        variance = variance.clamp(min=0) + self.kernel.noise
        mean = cross @ self.weights
        return self.scale * mean.numpy(), self.scale**2 * variance.numpy()


def fit_shared_gaussian_process(
    X,
    y,
    offsets,
    *,
    n_steps=120,
    lr=0.1,
    max_tasks=48,
    max_rows=32,
    random_state=None,
):
    """Maximise the marginal likelihood of many tasks over shared hyperparameters.

    Adam on the logarithms of the hyperparameters; each step draws tasks, and rows of
    those with many.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Standardised rows, one task after the other.
    y : ndarray of shape (n_rows,)
        Targets with mean near zero.
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
    process : SharedGaussianProcess

    References
    ----------
    Rasmussen, C. E., and Williams, C. K. I. (2006). Gaussian Processes for Machine
    Learning, equation 2.30, summed over tasks.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.baselines._shared_gp import fit_shared_gaussian_process
    >>> rng = np.random.default_rng(0)
    >>> slope = np.repeat(rng.normal(size=30), 10)
    >>> X = rng.normal(size=(300, 1))
    >>> y = slope * X[:, 0] + 0.1 * rng.normal(size=300)
    >>> process = fit_shared_gaussian_process(
    ...     X, y, np.arange(0, 301, 10), random_state=0
    ... )
    >>> mean, variance = process.posterior(X[:3], 2 * X[:3, 0]).predict(np.eye(1))
    >>> mean.round(1)
    array([2.])
    """
    scale = float(np.sqrt(np.mean(np.square(y)))) or np.finfo(float).eps

    def log_likelihood(kernel, rows, present):
        x, r = padded(X, rows, present), padded(y / scale, rows, present)
        return _log_marginal_likelihood(kernel, x, r, present)

    kernel, log_likelihoods = maximise_over_tasks(
        log_likelihood,
        {"constant": 0.2, "smooth": 0.2, "noise": 0.5, "linear": 0.02},
        X.shape[1],
        offsets,
        n_steps=n_steps,
        lr=lr,
        max_tasks=max_tasks,
        max_rows=max_rows,
        random_state=random_state,
    )
    return SharedGaussianProcess(scale, kernel, log_likelihoods)


def maximise_over_tasks(
    log_likelihood,
    start,
    n_features,
    offsets,
    *,
    n_steps,
    lr,
    max_tasks,
    max_rows,
    random_state,
):
    """Maximise what tasks drawn at random say of a kernel, by Adam.

    Parameters
    ----------
    log_likelihood : callable
        ``log_likelihood(kernel, rows, present)``, a tensor of shape (), of what
        `drawn_rows` gives.
    start : dict
        Where the variances of the kernel start.
    n_features : int
    offsets, n_steps, lr, max_tasks, max_rows, random_state
        Of `fit_shared_gaussian_process`.

    Returns
    -------
    kernel : SharedKernel
    log_likelihoods : ndarray of shape (n_steps,)
    """
    rng = check_random_state(random_state)
    values = [start["constant"], start["smooth"], start["noise"]]
    values += [start["linear"]] * n_features
    values += [1.5 * max(1, n_features) ** 0.5] * n_features  # length_scale
    log_values = torch.tensor(values, dtype=torch.float64).log().requires_grad_()
    adam = torch.optim.Adam([log_values], lr=lr)
    log_likelihoods = []
    for _ in range(n_steps):
        rows, present = drawn_rows(offsets, max_tasks, max_rows, rng)
        kernel = SharedKernel.of_log(log_values, n_features)
        loss = -log_likelihood(kernel, rows, present)
        adam.zero_grad()
        loss.backward()
        adam.step()
        with torch.no_grad():
            log_values.clamp_(*LOG_BOUNDS)
        log_likelihoods.append(-loss.item())
    kernel = SharedKernel.of_log(log_values.detach(), n_features)
    return kernel, np.array(log_likelihoods)


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
    def of_log(cls, log_values, n_features):
        """Read the hyperparameters, in this order, off one vector of logarithms."""
        values = log_values.exp()
        return cls(*values[:3], *values[3:].split(n_features))

    def __call__(self, A, B):
        """Covariance (..., n_A, n_B) of rows A and B of shape (..., n, n_features)."""
        B = B.transpose(-1, -2)
        a, b = A / self.length_scale, B / self.length_scale[:, None]
        distance = (
            a.square().sum(dim=-1, keepdim=True)
            + b.square().sum(dim=-2, keepdim=True)
            - 2 * a @ b
        )
        smooth = self.smooth * torch.exp(-0.5 * distance.clamp(min=0))
        return self.constant + (A * self.linear) @ B + smooth

    def diagonal(self, A):
        """Variance (..., n_A) at each row."""
        return self.constant + A.square() @ self.linear + self.smooth

    def noisy(self, A, present):
        """Covariance of the observations; absent rows are independent, of variance 1.

        `present` is (..., n_rows), 1 for a row that is there and 0 for padding.
        """
        covariance = self(A, A) * present[..., :, None] * present[..., None, :]
        size = (self.diagonal(A) * present).sum(dim=-1, keepdim=True)
        noise = self.noise + JITTER * size / present.sum(dim=-1, keepdim=True)
        diagonal = torch.where(present > 0, noise, torch.ones_like(noise))
        return covariance + torch.diag_embed(diagonal)


def _log_marginal_likelihood(kernel, X, y, present):
    """Per row, summed over padded tasks X (n_tasks, n_rows, n_features)."""
    cholesky = torch.linalg.cholesky(kernel.noisy(X, present))
    white = torch.linalg.solve_triangular(cholesky, y[..., None], upper=False)
    logdet = 2 * torch.diagonal(cholesky, dim1=-2, dim2=-1).log().sum()
    log_2pi = np.log(2 * np.pi)
    return -0.5 * (white.square().sum() + logdet) / present.sum() - 0.5 * log_2pi


def drawn_rows(offsets, max_tasks, max_rows, rng):
    """Draw tasks, and rows of those with many.

    Returns
    -------
    rows : ndarray of int, shape (n_drawn, n_rows)
        Of the flat arrays; 0 is padding.
    present : float64 tensor of shape (n_drawn, n_rows)
        1 for a row that is there and 0 for padding.
    """
    drawn = rng.permutation(len(offsets) - 1)[:max_tasks]
    n_rows = min(max_rows, np.diff(offsets)[drawn].max())
    rows = np.zeros((len(drawn), n_rows), dtype=int)
    present = np.zeros((len(drawn), n_rows))
    for i, task in enumerate(drawn):
        of_task = rng.permutation(np.arange(offsets[task], offsets[task + 1]))[:n_rows]
        rows[i, : len(of_task)] = of_task
        present[i, : len(of_task)] = 1
    return rows, torch.from_numpy(present)


def padded(values, rows, present):
    """Values (n, ...) of drawn rows, zero where there is none: a float64 tensor."""
    values = torch.as_tensor(np.asarray(values)[rows], dtype=torch.float64)
    return values * present.reshape(present.shape + (1,) * (values.ndim - 2))
