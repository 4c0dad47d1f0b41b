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

import copy
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from ..._episodes.batch import Rows
from ..._utils.random import Dropout
from ..encoders.task_encoder import TaskEncoding, bounded
from .expert_linear import ExpertLinear
from .gp_hyperparameters import MAX_LOG_NOISE, MIN_LOG_NOISE, Hyperparameters

LOG_2PI = math.log(2 * math.pi)

LEFT_OUT = -20.0
"""Log variance of a part of the kernel that is left out."""


class Design(NamedTuple):
    """Features of rows in the GP; each tensor is (n_tasks, n_rows, ...)."""

    columns: torch.Tensor  # [n_columns] inputs of the RBF part
    linear: torch.Tensor  # [1 + n_columns] z, scaled by its coefficients' sds
    features: torch.Tensor  # [n_basis] their inner products are the rest of the kernel
    mean: torch.Tensor  # [n_outputs]

    def split(self, n):
        """The first ``n`` rows of each task, and the others."""
        return Design(*(t[:, :n] for t in self)), Design(*(t[:, n:] for t in self))


class RBFDropout(Dropout):
    """Drops the RBF part from the GPs of some tasks during training.

    The RBF part can fit any function given many rows, before ``phi`` is trained. In
    tasks without it, the fit depends on ``phi``.
    """

    def forward(self, log_variance):
        """Log variances of the RBF part (n_tasks, 1), `LEFT_OUT` if dropped."""
        kept = super().forward(torch.ones_like(log_variance))
        return log_variance.masked_fill(kept == 0, LEFT_OUT)


class Expert(NamedTuple):
    """What one expert of a stack of Gaussian processes is.

    ``name`` as users see it; ``pooled`` the index of the pooled estimator whose
    prediction is its offset, or None; ``linear`` whether only the linear part of the
    kernel is used, so that it is a mixed model.
    """

    name: str = "gp"
    pooled: int | None = None
    linear: bool = False


GP = Expert()


class GaussianProcessPrior(nn.Module):
    """Mean and kernel of each task under each of E experts, from its encoding.

    The experts are a dimension of the batch: of B tasks, all methods but
    `hyperparameters` and `expand` take and return tensors of E * B, the tasks of the
    first expert first.

    Parameters
    ----------
    n_features : int
    n_pooled : int
        Number of pooled estimators.
    n_outputs : int
    embed_dim, column_dim : int
        Sizes of the encoding of a task.
    experts : sequence of Expert
    """

    def __init__(self, n_features, n_pooled, n_outputs, embed_dim, column_dim,
                 experts=(GP,), n_hidden=32, n_basis=16):  # fmt: skip
        super().__init__()
        self.experts, self.n_outputs = tuple(experts), n_outputs
        self.linear_only = all(one.linear for one in experts)
        self.uses_offset = n_pooled > 0
        E, n = len(experts), n_features + n_outputs * self.uses_offset
        factor = torch.diag(torch.tensor([0.2] + [0.02] * n).sqrt())
        self.factor = nn.Parameter(factor.repeat(E, 1, 1))
        self.signal = nn.Parameter(torch.full((E, 1), math.log(0.2)))
        length_scale = math.log(1.5 * max(1, n) ** 0.5)
        self.length_scale = nn.Parameter(torch.full((E, n), length_scale))
        self.noise = nn.Parameter(torch.full((E, 1), math.log(0.5)))
        self.basis = nn.Parameter(torch.full((E, 1), -4.0))
        self.rbf_dropout = nn.Identity()
        self.coefficients = ExpertLinear(E, n, n_outputs, zero=True)
        self.shift = ExpertLinear(E, embed_dim, 4 + 2 * n, zero=True)
        self.column_shift = ExpertLinear(E, column_dim, 2, bias=False, zero=True)
        self.hidden1 = ExpertLinear(E, n, n_hidden)
        self.hidden2 = ExpertLinear(E, n_hidden, n_hidden)
        self.modulation = ExpertLinear(E, embed_dim, 4 * n_hidden, zero=True)
        self.to_basis = ExpertLinear(E, n_hidden, n_basis)
        self.to_mean = ExpertLinear(E, n_hidden, n_outputs, zero=True)

    @property
    def n_experts(self):
        """Number of experts."""
        return len(self.experts)

    @property
    def encoding_sizes(self):
        """Sizes of the task and column embeddings that condition it."""
        return self.shift.weight.shape[2], self.column_shift.weight.shape[2]

    @property
    def n_linear(self):
        """Number of features of the linear part of a `Design`; they come first."""
        return self.factor.shape[1]

    @property
    def n_base_features(self):
        """Number of features of a `Design`."""
        n_basis = 0 if self.linear_only else self.to_basis.weight.shape[1]
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

    def select(self, chosen):
        """A copy with some of the experts, given by their indices."""
        copied = copy.deepcopy(self)
        copied.experts = tuple(self.experts[e] for e in chosen)
        copied.linear_only = all(one.linear for one in copied.experts)
        for parameter in copied.parameters():
            parameter.data = parameter.data[list(chosen)]
        return copied

    def expand(self, rows):
        """`Rows` of E * B tasks, each with the offset of its expert.

        Parameters
        ----------
        rows : Rows of B tasks
            With the offsets of all pooled estimators, (B, N, n_pooled * n_outputs).
            Without pooled estimators it is (B, N, n_outputs), and that of all experts:
            it is added to their means, and is no column.
        """
        E, parts = self.n_experts, rows.offset.unflatten(2, (-1, self.n_outputs))
        none = torch.zeros_like(parts[:, :, 0]) if self.uses_offset else rows.offset
        offset = torch.cat(
            [
                none if one.pooled is None else parts[:, :, one.pooled]
                for one in self.experts
            ]
        )
        return Rows(rows.x.repeat(E, 1, 1), offset, rows.weight.repeat(E, 1))

    def hyperparameters(self, encoding):
        """`Hyperparameters` of E * B tasks, from the encodings of B tasks."""
        E, B = self.n_experts, len(encoding.task)
        shift = self.shift(encoding.task.repeat(E, 1))
        scalars, columns = shift[:, :4], shift[:, 4:].unflatten(1, (2, -1))
        own = self.column_shift(encoding.columns.repeat(E, 1, 1)).transpose(1, 2)
        columns = columns + F.pad(own, (0, columns.shape[2] - own.shape[2]))
        signal, length_scale, basis, noise = (
            p.repeat_interleave(B, 0)
            for p in (self.signal, self.length_scale, self.basis, self.noise)
        )
        signal = self.rbf_dropout(signal + scalars[:, 1:2])
        basis = basis + scalars[:, 2:3]
        return Hyperparameters(
            torch.cat([scalars[:, :1], columns[:, 0]], 1),
            self._unless_linear(signal, LEFT_OUT),
            length_scale + columns[:, 1],
            self._unless_linear(basis, LEFT_OUT),
            (noise + scalars[:, 3:4]).clamp(MIN_LOG_NOISE, MAX_LOG_NOISE),
            -columns[:, 1],
        )

    def network(self, rows, encoding, theta):
        """Parts that are fixed while hyperparameters are trained on the support.

        Returns
        -------
        basis : tensor of shape (E * B, n_rows, n_basis)
            ``phi``, before scaling by its variance; no columns in a linear model.
        mean : tensor of shape (E * B, n_rows, n_outputs)
        """
        u = self.columns(rows)
        mean = rows.offset + self.coefficients(u)
        if self.linear_only:
            return u[..., :0], mean
        u = self.columns(rows._replace(x=bounded(rows.x)))
        modulation = self.modulation(encoding.task.repeat(self.n_experts, 1))
        a1, b1, a2, b2 = modulation[:, None].chunk(4, -1)
        h = F.gelu(self.hidden1(u * theta.gate.exp()[:, None]) * (1 + a1) + b1)
        h = F.gelu(self.hidden2(h) * (1 + a2) + b2)
        return self.to_basis(h), mean + self._unless_linear(self.to_mean(h), 0.0)

    def design(self, rows, encoding, theta, network=None):
        """`Design` of rows; ``network`` is the output of `network`, if known."""
        if network is None:
            network = self.network(rows, encoding, theta)
        basis, mean = network
        u = self.columns(rows)
        z = F.pad(u, (1, 0), value=1.0) * (0.5 * theta.linear).exp()[:, None]
        basis = basis * (0.5 * theta.basis).exp()[:, None]
        features = torch.cat([self._times(z, self.factor), basis], -1)
        columns = u * (-theta.length_scale).exp()[:, None]
        return Design(*(t.double() for t in (columns, z, features, mean)))

    def columns(self, rows):
        """Input columns, (E * B, n_rows, n_columns)."""
        return torch.cat([rows.x, rows.offset], -1) if self.uses_offset else rows.x

    def _times(self, rows, matrices):
        """Product of rows (E * B, N, n) and the matrix (E, n, m) of each expert."""
        n_experts, (n_tasks, n_rows, n) = len(matrices), rows.shape
        flat = rows.reshape(n_experts, n_tasks * n_rows // n_experts, n) @ matrices
        return flat.view(n_tasks, n_rows, matrices.shape[2])

    def _unless_linear(self, values, otherwise):
        """``values`` (E * B, ...) of nonlinear experts, another value for linear."""
        if not any(one.linear for one in self.experts):
            return values
        linear = torch.tensor([one.linear for one in self.experts])
        linear = linear.to(values.device).repeat_interleave(len(values) // len(linear))
        return values.masked_fill(linear.view(-1, *[1] * (values.ndim - 1)), otherwise)

    def kernel(self, a, b, theta):
        """Covariance of two designs, (n_tasks, n_a, n_b)."""
        k = a.features @ b.features.transpose(1, 2)
        if self.linear_only:
            return k
        signal = theta.signal.double().exp()[:, :, None]
        return k + signal * torch.exp(-0.5 * _squared_distances(a.columns, b.columns))

    def variance(self, a, theta):
        """Diagonal of ``kernel(a, a)``, (n_tasks, n_a)."""
        v = (a.features**2).sum(-1)
        return v if self.linear_only else v + theta.signal.double().exp()

    def kernel_gradients(self, design, theta, groups):
        """Derivatives of ``kernel(design, design)`` by a shift of hyperparameters.

        (n_tasks, groups.n_numbers - 1, n_rows, n_rows), without that of the noise.
        """
        z, parts = design.linear, []
        other = self._times(z, (self.factor @ self.factor.mT).double())
        for some in groups.linear:
            product = z[..., some] @ other[..., some].mT
            parts.append(0.5 * (product + product.mT))
        if self.linear_only:
            idle = [torch.zeros_like(parts[0])] * (2 + len(groups.columns))
            return torch.stack([*parts, *idle], 1)
        columns = design.columns
        signal = theta.signal.double().exp()[..., None]
        rbf = signal * torch.exp(-0.5 * _squared_distances(columns, columns))
        parts.append(rbf)
        for some in groups.columns:
            along = columns[..., some]
            parts.append(rbf * _squared_distances(along, along))
        phi = design.features[..., z.shape[-1] :]
        return torch.stack([*parts, phi @ phi.mT], 1)

    def relevance(self, theta):
        """Dependence of each task's function on each column, (E * B, n_columns).

        The expected squared slope along a (standardised) column of the linear and RBF
        parts.
        """
        n_tasks = len(theta.linear) // self.n_experts
        slopes = (self.factor**2).sum(2)[:, 1:].repeat_interleave(n_tasks, 0)
        slopes = slopes * theta.linear[:, 1:].exp()
        if self.linear_only:
            return slopes
        return slopes + (theta.signal - 2 * theta.length_scale).exp()


def _squared_distances(a, b):
    """Squared distances of rows (n_tasks, n_a, n) and (n_tasks, n_b, n)."""
    squares = (a**2).sum(-1)[:, :, None] + (b**2).sum(-1)[:, None, :]
    return (squares - 2 * a @ b.mT).clamp(min=0)


def no_encoding(learner, rows):
    """An encoding that does not change the prior of an unconditioned learner."""
    embed_dim, column_dim = learner.prior.encoding_sizes
    n_tasks, _, n_features = rows.x.shape
    return TaskEncoding(
        rows.x.new_zeros(n_tasks, embed_dim),
        rows.x.new_zeros(n_tasks, n_features, column_dim),
    )
