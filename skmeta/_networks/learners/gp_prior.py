"""Stage 3: a Gaussian process whose mean and kernel the task embedding conditions.

A task's function is drawn from

    f(x) ~ GP(offset(x) + mean(x), k),
    k(x, x') = z(x)' S z(x') + phi(x)' phi(x') + v RBF(x, x'), z(x) = [1, x, offset(x)],

with one length scale per column. ``S`` is a full covariance, so that the linear part
alone is the linear mixed-effects model with random intercept and slopes. Every
hyperparameter has a value shared by all tasks; a linear function of the encoding of a
task, zero before meta-training, shifts its logarithm. The encoding also modulates
``phi`` and ``mean``, a small network. Feature attention is over the columns of ``x``.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from ..._utils.random import Dropout
from ..encoders.task_encoder import TaskEncoding, bounded

MIN_LOG_NOISE, MAX_LOG_NOISE = -14.0, 4.0
LOG_2PI = math.log(2 * math.pi)

LEFT_OUT = -20.0
"""Log variance of a part of the kernel that is left out."""


class Hyperparameters(NamedTuple):
    """Log hyperparameters of each task; the last dimension of each is in brackets."""

    linear: torch.Tensor  # [1 + n_columns] variances of the coefficients of z
    signal: torch.Tensor  # [1] variance of the RBF part
    length_scale: torch.Tensor  # [n_columns]
    basis: torch.Tensor  # [1] variance of the coefficients of phi
    noise: torch.Tensor  # [1]
    gate: torch.Tensor  # [n_columns] what each column is multiplied by before phi


class Design(NamedTuple):
    """Features of rows in the GP; each tensor is (n_tasks, n_rows, ...)."""

    columns: torch.Tensor  # [n_columns] inputs of the RBF part
    linear: torch.Tensor  # [1 + n_columns] z, scaled by its coefficients' sds
    features: torch.Tensor  # [n_basis] their inner products are the rest of the kernel
    mean: torch.Tensor  # [n_outputs]


class RBFDropout(Dropout):
    """Drops the RBF part from the GPs of some tasks during training.

    The RBF part can fit any function given many rows, before ``phi`` is trained. In
    tasks without it, the fit depends on ``phi``.
    """

    def forward(self, log_variance):
        """Log variances of the RBF part (n_tasks, 1), `LEFT_OUT` if dropped."""
        kept = super().forward(torch.ones_like(log_variance))
        return log_variance.masked_fill(kept == 0, LEFT_OUT)


class GaussianProcessPrior(nn.Module):
    """Mean and kernel of each task, from its encoding."""

    def __init__(self, n_features, n_offset, n_outputs, embed_dim, column_dim,
                 n_hidden=32, n_basis=16, linear_only=False):  # fmt: skip
        super().__init__()
        n = n_features + n_offset
        self.linear_only, self.uses_offset = linear_only, n_offset > 0
        self.factor = nn.Parameter(torch.diag(torch.full((1 + n,), 0.02).sqrt()))
        with torch.no_grad():
            self.factor[0, 0] = 0.2**0.5
        self.signal = nn.Parameter(torch.tensor([math.log(0.2)]))
        self.length_scale = nn.Parameter(
            torch.full((n,), math.log(1.5 * max(1, n) ** 0.5))
        )
        self.noise = nn.Parameter(torch.tensor([math.log(0.5)]))
        self.basis = nn.Parameter(torch.tensor([-4.0]))
        self.rbf_dropout = nn.Identity()
        self.coefficients = nn.Linear(n, n_outputs)
        self.shift = nn.Linear(embed_dim, 4 + 2 * n)
        self.column_shift = nn.Linear(column_dim, 2, bias=False)
        self.hidden1 = nn.Linear(n, n_hidden)
        self.hidden2 = nn.Linear(n_hidden, n_hidden)
        self.modulation = nn.Linear(embed_dim, 4 * n_hidden)
        self.to_basis = nn.Linear(n_hidden, n_basis)
        self.to_mean = nn.Linear(n_hidden, n_outputs)
        for layer in (
            self.coefficients,
            self.shift,
            self.column_shift,
            self.modulation,
            self.to_mean,
        ):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    @property
    def encoding_sizes(self):
        """Sizes of the task and column embeddings that condition it."""
        return self.shift.in_features, self.column_shift.in_features

    @property
    def n_linear(self):
        """Number of features of the linear part of a `Design`; they come first."""
        return self.factor.shape[0]

    @property
    def n_base_features(self):
        """Number of features of a `Design`."""
        n_basis = 0 if self.linear_only else self.to_basis.out_features
        return self.n_linear + n_basis

    def linear_parameters(self):
        """Shared parameters of the linear part: mean and covariance."""
        return [self.factor, *self.coefficients.parameters()]

    def log_parameters(self):
        """Logarithms of the other shared hyperparameters."""
        return [self.signal, self.length_scale, self.noise]

    def shared_parameters(self):
        """Parameters that all tasks share: hyperparameters and the linear mean."""
        return self.linear_parameters() + self.log_parameters()

    def hyperparameters(self, encoding):
        """`Hyperparameters` of each task, from its encoding."""
        shift = self.shift(encoding.task)
        scalars, columns = shift[:, :4], shift[:, 4:].unflatten(1, (2, -1))
        own = self.column_shift(encoding.columns).transpose(1, 2)
        columns = columns + F.pad(own, (0, columns.shape[2] - own.shape[2]))
        linear = torch.cat([scalars[:, :1], columns[:, 0]], 1)
        return Hyperparameters(
            linear,
            self.rbf_dropout(self.signal + scalars[:, 1:2]),
            self.length_scale + columns[:, 1],
            self.basis + scalars[:, 2:3],
            (self.noise + scalars[:, 3:4]).clamp(MIN_LOG_NOISE, MAX_LOG_NOISE),
            -columns[:, 1],
        )

    def network(self, rows, encoding, theta):
        """Parts that are fixed while hyperparameters are trained on the support.

        Returns
        -------
        basis : tensor of shape (n_tasks, n_rows, n_basis)
            ``phi``, before scaling by its variance; no columns in a linear model.
        mean : tensor of shape (n_tasks, n_rows, n_outputs)
        """
        u = self.columns(rows)
        mean = rows.offset + self.coefficients(u)
        if self.linear_only:
            return u[..., :0], mean
        u = self.columns(rows._replace(x=bounded(rows.x)))
        a1, b1, a2, b2 = self.modulation(encoding.task)[:, None].chunk(4, -1)
        h = F.gelu(self.hidden1(u * theta.gate.exp()[:, None]) * (1 + a1) + b1)
        h = F.gelu(self.hidden2(h) * (1 + a2) + b2)
        return self.to_basis(h), mean + self.to_mean(h)

    def design(self, rows, encoding, theta, network=None):
        """`Design` of rows; ``network`` is the output of `network`, if known."""
        if network is None:
            network = self.network(rows, encoding, theta)
        basis, mean = network
        u = self.columns(rows)
        z = F.pad(u, (1, 0), value=1.0) * (0.5 * theta.linear).exp()[:, None]
        basis = basis * (0.5 * theta.basis).exp()[:, None]
        features = torch.cat([z @ self.factor, basis], -1)
        columns = u * (-theta.length_scale).exp()[:, None]
        return Design(*(t.double() for t in (columns, z, features, mean)))

    def columns(self, rows):
        """Input columns, (n_tasks, n_rows, n_columns)."""
        return torch.cat([rows.x, rows.offset], -1) if self.uses_offset else rows.x

    def kernel(self, a, b, theta):
        """Covariance of two designs, (n_tasks, n_a, n_b)."""
        k = a.features @ b.features.transpose(1, 2)
        if self.linear_only:
            return k
        d2 = (
            (a.columns**2).sum(-1)[:, :, None]
            + (b.columns**2).sum(-1)[:, None, :]
            - 2 * a.columns @ b.columns.transpose(1, 2)
        )
        signal = theta.signal.double().exp()[:, :, None]
        return k + signal * torch.exp(-0.5 * d2.clamp(min=0))

    def variance(self, a, theta):
        """Diagonal of ``kernel(a, a)``, (n_tasks, n_a)."""
        v = (a.features**2).sum(-1)
        return v if self.linear_only else v + theta.signal.double().exp()

    def kernel_gradients(self, design, theta):
        """Derivatives of ``kernel(design, design)`` by log hyperparameters.

        In the order of `Hyperparameters`, but for noise and gate: (n_tasks, p, n_rows,
        n_rows).
        """
        z = design.linear
        covariance = (self.factor @ self.factor.T).double()
        outer = torch.einsum("bsj,btj->bjst", z, z @ covariance)
        linear = 0.5 * (outer + outer.transpose(2, 3))
        if self.linear_only:
            idle = linear.new_zeros(1).expand(
                len(z), design.columns.shape[-1] + 2, 1, 1
            )
            return torch.cat([linear, idle.expand(-1, -1, *linear.shape[2:])], 1)
        squares = (design.columns[:, :, None] - design.columns[:, None]) ** 2
        signal = theta.signal.double().exp()[..., None]
        rbf = (signal * torch.exp(-0.5 * squares.sum(-1)))[:, None]
        phi = design.features[..., z.shape[-1] :]
        basis = (phi @ phi.transpose(1, 2))[:, None]
        scales = rbf * squares.permute(0, 3, 1, 2)
        return torch.cat([linear, rbf, scales, basis], 1)

    def relevance(self, theta):
        """Dependence of each task's function on each column, (n_tasks, n_columns).

        The expected squared slope along a (standardised) column of the linear and RBF
        parts.
        """
        slopes = (self.factor**2).sum(1)[1:] * theta.linear[:, 1:].exp()
        if self.linear_only:
            return slopes
        return slopes + (theta.signal - 2 * theta.length_scale).exp()


def no_encoding(learner, rows):
    """An encoding that does not change the prior of an unconditioned learner."""
    embed_dim, column_dim = learner.prior.encoding_sizes
    n_tasks, _, n_features = rows.x.shape
    return TaskEncoding(
        rows.x.new_zeros(n_tasks, embed_dim),
        rows.x.new_zeros(n_tasks, n_features, column_dim),
    )
