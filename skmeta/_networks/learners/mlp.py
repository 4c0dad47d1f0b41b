"""A multilayer perceptron as base learner, trained on the support by gradient steps.

All its parameters are initialised by a linear function of the task's encoding, followed
by a few steps of gradient descent on the support, with learned rates (Finn et al.
2017, MAML, eq. 1; Li et al. 2017, Meta-SGD; Rusu et al. 2019, LEO).
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from ..encoders.task_encoder import TaskEncoding, bounded
from .base import BaseLearner, residual_labels, residual_targets
from .gp_hyperparameters import MAX_LOG_NOISE, MIN_LOG_NOISE
from .predictive import Categorical, Components, Gaussian

MAX_GRADIENT = 10.0
"""Norm above which the gradient of a task is clipped."""


class AdaptedMLP(NamedTuple):
    """A network for each task, and its support rows at its last layer."""

    encoding: TaskEncoding
    gate: torch.Tensor  # (B, n_features) what each feature is multiplied by
    parameters: torch.Tensor  # (B, P)
    support_features: torch.Tensor  # (B, S, n_hidden)
    support_error: torch.Tensor  # (B, S) absolute gradient of the loss times weight


class MultilayerPerceptron(BaseLearner):
    """Perceptron with two hidden layers and one parameter vector per task.

    Parameters
    ----------
    n_features, n_pooled, n_outputs : int
    embed_dim, column_dim : int
        Sizes of the task's encoding.
    classification : bool
        If True, a softmax over the outputs; otherwise a mean, and a noise variance for
        each task.
    n_hidden : int
    n_steps : int
        Gradient steps on the support.
    """

    adaptation_grid = (3,), (10,), (30,)
    single_task_setting = (300,)

    def __init__(self, n_features, n_pooled, n_outputs, embed_dim, column_dim,
                 classification, n_hidden=40, n_steps=3):  # fmt: skip
        super().__init__()
        self.classification, self.uses_offset = classification, n_pooled > 0
        n = n_features + n_outputs * self.uses_offset
        self.shapes = [
            (n, n_hidden), (n_hidden,),
            (n_hidden, n_hidden), (n_hidden,),
            (n_hidden, n_outputs), (n_outputs,),
            (1,),
        ]  # fmt: skip
        self.sizes = [math.prod(shape) for shape in self.shapes]
        first = [torch.randn(s) / s[0] ** 0.5 if len(s) == 2 else torch.zeros(s)
                 for s in self.shapes]  # fmt: skip
        first[-3] *= 0.1
        self.initial = nn.Parameter(torch.cat([t.flatten() for t in first]))
        self.log_rate = nn.Parameter(torch.full((len(self.shapes),), math.log(0.05)))
        self.shift = nn.Linear(embed_dim, sum(self.sizes))
        self.column_shift = nn.Linear(column_dim, 1, bias=False)
        for layer in (self.shift, self.column_shift):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
        self.register_buffer("n_steps", torch.tensor(n_steps))

    def set_adaptation(self, n_steps):
        """Set the number of gradient steps on the support."""
        self.n_steps.fill_(n_steps)

    def targets(self, rows, y):
        """Inputs of the task encoder: residuals of the targets."""
        if self.classification:
            return residual_labels(rows, y, self.shapes[-2][0])
        return residual_targets(rows, y)

    def adapt(self, support, y, encoding):
        """Take the gradient steps; see `BaseLearner.adapt`."""
        gate = self.column_shift(encoding.columns)[..., 0].exp()
        parameters = self.initial + self.shift(encoding.task)
        rates = torch.cat(
            [r.exp().expand(n) for r, n in zip(self.log_rate, self.sizes, strict=True)]
        )
        total = support.weight.sum(1, keepdim=True).clamp(min=1e-12)
        share = (support.weight / total).sum(1)  # 0 without rows, else 1
        higher_order = torch.is_grad_enabled()
        with torch.enable_grad():
            if not higher_order:
                parameters = parameters.detach().requires_grad_()
            for _ in range(int(self.n_steps)):
                loss = self._loss(parameters, gate, support, y)
                loss = (support.weight / total * loss).sum(1)
                (slope,) = torch.autograd.grad(
                    loss.sum(), parameters, create_graph=higher_order
                )
                if not self.classification:
                    slope = slope + self._noise_slope(parameters, loss, share)
                norm = slope.norm(dim=1, keepdim=True)
                slope = slope * (MAX_GRADIENT / norm.clamp(min=MAX_GRADIENT))
                parameters = parameters - rates * slope
                if not higher_order:
                    parameters = parameters.detach().requires_grad_()
        output, hidden = self._forward(parameters, gate, support)
        if self.classification:
            one_hot = F.one_hot(y, output.shape[-1])
            error = (output.softmax(-1) - one_hot).abs().sum(-1)
        else:
            error = (output[..., 0] - y).abs()
        if not higher_order:
            parameters, hidden = parameters.detach(), hidden.detach()
        return AdaptedMLP(encoding, gate, parameters, hidden, support.weight * error)

    def predict(self, adapted, query):
        """`Gaussian` or `Categorical` prediction of the query rows."""
        output, _ = self._forward(adapted.parameters, adapted.gate, query)
        if self.classification:
            return Categorical(output)
        noise = self._noise(adapted.parameters).expand(output.shape[:2])
        return Gaussian(output[..., 0], noise)

    def components(self, adapted, query, joint=False):
        """The distribution of the query rows' targets, ``joint`` with covariance."""
        mean, variance = self.predict(adapted, query)
        spread = torch.diag_embed(variance) if joint else variance
        return [Components(mean.new_zeros(len(mean), 1), mean[:, None], spread)]

    @property
    def n_base_features(self):
        """Number of units of the last hidden layer."""
        return self.shapes[3][0]

    def features(self, adapted, rows):
        """Last hidden layer, (B, N, n_hidden)."""
        return self._forward(adapted.parameters, adapted.gate, rows)[1]

    def support_weights(self, adapted, query):
        """Change of each query output by a step on each support row, (B, Q, S).

        Through the last layer: the product of the hidden layers' similarity and the
        row's error (the neural tangent kernel's last block).
        """
        hidden = self.features(adapted, query)
        similarity = hidden @ adapted.support_features.transpose(1, 2) + 1
        return similarity.abs() * adapted.support_error[:, None]

    def relevance(self, adapted):
        """Squared weight of each column in the first layer, (B, n_columns)."""
        first = self._layers(adapted.parameters)[0]
        gate = F.pad(adapted.gate, (0, first.shape[1] - adapted.gate.shape[1]), value=1)
        return (first**2).sum(-1) * gate**2

    def _layers(self, parameters):
        parts = parameters.split(self.sizes, 1)
        return [p.unflatten(1, s) for p, s in zip(parts, self.shapes, strict=True)]

    def _noise(self, parameters):
        return parameters[:, -1:].clamp(MIN_LOG_NOISE, MAX_LOG_NOISE).exp()

    def _noise_slope(self, parameters, loss, share):
        """Gradient (B, P) of the negative log likelihood with respect to the noise.

        The noise is fitted to the errors but does not scale their gradients, which
        would otherwise grow without bound as the errors decrease.
        """
        noise = self._noise(parameters)
        slope = 0.5 * share[:, None] - loss[:, None] / noise
        log_noise = parameters[:, -1:].detach()
        inside = (log_noise >= MIN_LOG_NOISE) & (log_noise <= MAX_LOG_NOISE)
        return F.pad(slope * inside, (sum(self.sizes) - 1, 0))

    def _forward(self, parameters, gate, rows):
        w1, b1, w2, b2, w3, b3, _ = self._layers(parameters)
        x = bounded(rows.x) * gate[:, None]
        u = torch.cat([x, rows.offset], -1) if self.uses_offset else x
        h = torch.tanh(u @ w1 + b1[:, None])
        h = torch.tanh(h @ w2 + b2[:, None])
        return rows.offset + h @ w3 + b3[:, None], h

    def _loss(self, parameters, gate, rows, y):
        output, _ = self._forward(parameters, gate, rows)
        if self.classification:
            return F.cross_entropy(output.transpose(1, 2), y, reduction="none")
        return 0.5 * (output[..., 0] - y) ** 2
