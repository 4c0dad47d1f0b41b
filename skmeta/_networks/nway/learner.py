"""Stage 3 for N-way classification: PLDA and kernels, conditioned on the task.

In meta-learned features z, the logit of class c is

    t ((1 - w) log N(z; mu_c, W + V_c) + w h log k_c(z)),                          (1)

with the posterior mu_c, V_c of the mean of the class (`plda`), the kernel density k_c
of its support rows with bandwidth h, and a temperature t and kernel weight w that
depend on the numbers of rows and classes. Attention conditions every part on the task.
Before training it has no effect, and the learner is the closed form.
"""

from typing import NamedTuple

import torch
from torch import nn

from ..encoders.task_encoder import bounded
from ..learners.base import BaseLearner
from ..learners.predictive import Categorical
from .encoder import NWayEncoder, NWayEncoding
from .plda import (
    ClassMeans,
    class_logits,
    class_means,
    kernel_logits,
    mask_absent,
    one_hot,
    row_log_densities,
)

N_HIDDEN = 64
MAX_SHIFT = 3.0
"""Bound on the shift of a log variance, and of the log weight of a row."""


class AdaptedNWay(NamedTuple):
    """The N-way learner conditioned on the support of each of B tasks."""

    encoding: NWayEncoding
    z: torch.Tensor  # (B, S, D)
    y: torch.Tensor  # (B, S)
    responsibility: torch.Tensor  # (B, S, C) weight of each row in each class
    within: torch.Tensor  # (B, D)
    between: torch.Tensor  # (B, D)
    means: ClassMeans
    kernel_weight: torch.Tensor  # (B, 1, 1)
    bandwidth: torch.Tensor  # (), of the kernel, relative to 2 W
    temperature: torch.Tensor  # (B, 1, 1)

    def row_log_densities(self, z):
        """Log of the weighted kernel of each support row at rows, (B, Q, S)."""
        within = self.within * self.bandwidth
        return row_log_densities(z, self.z, self.y, self.responsibility, within)

    def mix(self, prototype_logits, kernel_logits):
        """Logits (B, Q, C) of eq. 1."""
        w = self.kernel_weight
        return self.temperature * ((1 - w) * prototype_logits + w * kernel_logits)

    def share_among_rows(self, probability, z):
        """Divide class probabilities (B, Q, C) at rows z among the support rows.

        The prototype part goes to the rows of a class by their weight, the kernel part
        by their kernel at z. The result has the shape (B, Q, S).
        """
        total = self.responsibility.sum(1, keepdim=True).clamp(min=1e-12)
        prototype_share = (self.responsibility / total).transpose(1, 2)
        log_density = self.row_log_densities(z)
        index = self.y[:, None].expand(-1, z.shape[1], -1)
        of_class = kernel_logits(log_density, self.y, probability.shape[2])
        share = (log_density - of_class.gather(2, index)).exp()
        kernel_part = probability.gather(2, index) * share
        w = self.kernel_weight
        return (1 - w) * (probability @ prototype_share) + w * kernel_part


class RowFeatures(nn.Module):
    """Meta-learned features of rows: a linear map plus a perceptron.

    Parameters
    ----------
    n_columns : int
    n_features : int
    linear_only : bool
        Without the perceptron, whose output is 0 before training.
    """

    def __init__(self, n_columns, n_features, linear_only):
        super().__init__()
        self.projection = nn.Parameter(torch.eye(n_features, n_columns))
        self.hidden = None
        if not linear_only:
            self.hidden = nn.Sequential(
                nn.Linear(n_columns, N_HIDDEN),
                nn.GELU(),
                nn.Linear(N_HIDDEN, N_HIDDEN),
                nn.GELU(),
                nn.Linear(N_HIDDEN, n_features),
            )
            _set_to_zero(self.hidden[-1])

    def forward(self, x):
        """Features (..., n_features) of rows (..., n_columns)."""
        x = bounded(x)
        z = x @ self.projection.T
        return z if self.hidden is None else z + self.hidden(x)


class NWayLearner(BaseLearner):
    """PLDA and a kernel classifier with a meta-learned prior, conditioned on the task.

    The task embedding shifts the variances within and between classes and the
    temperature; attention weights the rows of each class and shifts its mean (Ye et al.
    2020, Few-shot learning via embedding adaptation with set-to-set functions, eq. 5).
    The class means start there and are trained by gradient steps on the support
    (Triantafillou et al. 2020, Meta-Dataset, sec. 3.2: Proto-MAML).

    Parameters
    ----------
    n_columns, n_features : int
    embed_dim, n_heads, n_layers : int
    linear_only : bool
    by_gradient : bool
        Choose among more gradient steps.
    self_attention : bool
        False as in attention classifiers of version 0.1.0: without attention among
        rows and classes, and without shifts of the means.
    seed : int
    """

    def __init__(self, n_columns, n_features, embed_dim, n_heads, n_layers, *,
                 linear_only=False, by_gradient=False, self_attention=True,
                 seed=0):  # fmt: skip
        super().__init__()
        self.adaptation_grid = ((3,), (10,), (30,)) if by_gradient else ((0,), (3,))
        self.n_base_features = n_features
        self.row_features = RowFeatures(n_columns, n_features, linear_only)
        self.log_within = nn.Parameter(torch.zeros(n_features))
        self.log_between = nn.Parameter(torch.zeros(n_features))
        self.calibration_coef = nn.Parameter(torch.zeros(2, 3))
        self.log_bandwidth = nn.Parameter(torch.tensor(-2.0))
        self.log_rate = nn.Parameter(torch.tensor(-2.0))
        self.encoder = NWayEncoder(
            n_features, embed_dim, n_heads, n_layers, self_attention, seed
        )
        self.shift = nn.Linear(embed_dim, 2 * n_features + 1)
        self.row_score = nn.Sequential(nn.GELU(), nn.Linear(embed_dim, 1))
        self.to_score = nn.Linear(embed_dim, embed_dim)
        self.class_shift = nn.Linear(embed_dim, n_features) if self_attention else None
        for layer in (self.shift, self.row_score[1], self.class_shift):
            if layer is not None:
                _set_to_zero(layer)
        self.register_buffer("n_steps", torch.tensor(self.adaptation_grid[-1][0]))

    def start_from(self, discriminants):
        """Start from the `Discriminants` of the meta-training classes."""
        with torch.no_grad():
            self.row_features.projection.copy_(torch.tensor(discriminants.projection))
            self.log_between.copy_(torch.tensor(discriminants.between).log())

    def set_adaptation(self, n_steps):
        """Set the number of gradient steps on the support."""
        self.n_steps.fill_(n_steps)

    def adapt(self, x, y, weight):
        """Condition on the support.

        Parameters
        ----------
        x : tensor of shape (B, S, n_columns)
        y : tensor of int, shape (B, S)
        weight : tensor of shape (B, S)

        Returns
        -------
        adapted : AdaptedNWay
        """
        return self.adapt_features(self.row_features(x), y, weight)

    def adapt_features(self, z, y, weight):
        """Condition on a support of features (B, S, D)."""
        responsibility = one_hot(y, weight)
        within, between = (
            log_variance.exp().expand(len(z), -1)
            for log_variance in (self.log_within, self.log_between)
        )
        means = class_means(z, responsibility, within, between)
        encoding = self.encoder(self._scaled(z), y, weight, self._scaled_means(means))
        shift = MAX_SHIFT * (self.shift(encoding.task) / MAX_SHIFT).tanh()
        d = z.shape[-1]
        within = within * shift[:, :d].exp()
        between = between * shift[:, d : 2 * d].exp()
        responsibility = self._attend_to_rows(responsibility, encoding)
        means = class_means(z, responsibility, within, between)
        if self.class_shift is not None:
            shifted = self.class_shift(encoding.classes) * within[:, None].sqrt()
            means = means._replace(mean=means.mean + shifted)
        covariates = size_covariates(responsibility)
        weight_logit, log_temperature = (covariates @ self.calibration_coef.T).unbind(1)
        kernel_weight = weight_logit.sigmoid()[:, None, None]
        temperature = (log_temperature + shift[:, -1]).exp()[:, None, None]
        means = self._train_means(means, z, responsibility, within, temperature)
        return AdaptedNWay(
            encoding, z, y, responsibility, within, between, means, kernel_weight,
            self.log_bandwidth.exp(), temperature,
        )  # fmt: skip

    def predict(self, adapted, query):
        """Logits of the classes at query rows, (B, Q, C)."""
        return self.predict_features(adapted, self.row_features(query.x))

    def predict_features(self, adapted, z):
        """`Categorical` of rows of features (B, Q, D)."""
        logits = adapted.mix(*self.component_logits(adapted, z))
        return Categorical(mask_absent(logits, adapted.means))

    @staticmethod
    def component_logits(adapted, z):
        """Prototype and kernel logits (B, Q, C), the two parts of eq. 1.

        The latter are multiplied by the bandwidth, so that for classes of one row it
        has no effect.
        """
        log_density = adapted.row_log_densities(z)
        n_classes = adapted.responsibility.shape[2]
        kernel = adapted.bandwidth * kernel_logits(log_density, adapted.y, n_classes)
        return class_logits(adapted.means, z, adapted.within), kernel

    def features(self, adapted, rows):
        """Features of rows, in units of their standard deviation within classes."""
        return self.row_features(rows.x) / adapted.within[:, None].sqrt()

    def support_weights(self, adapted, query):
        """Weight of each support row in each prediction, (B, Q, S).

        The weights of the rows of a class sum to its probability.
        """
        z = self.row_features(query.x)
        probability = self.predict_features(adapted, z).logits.softmax(-1)
        return adapted.share_among_rows(probability, z)

    def relevance(self, adapted):
        """Variance between classes relative to that within, by column, (B, n)."""
        ratio = adapted.between / adapted.within
        return ratio @ self.row_features.projection**2

    def _scaled(self, z):
        return z * (-0.5 * self.log_within).exp()

    def _scaled_means(self, means):
        there = (means.count > 0)[..., None]
        return means._replace(mean=self._scaled(means.mean) * there)

    def _attend_to_rows(self, responsibility, encoding):
        """Responsibilities by attention of each class to its rows; totals are kept."""
        inputs = encoding.rows + self.to_score(encoding.task)[:, None]
        score = self.row_score(inputs) / MAX_SHIFT
        weighted = responsibility * (MAX_SHIFT * score.tanh()).exp()
        total = weighted.sum(1, keepdim=True).clamp(min=1e-12)
        return weighted * (responsibility.sum(1, keepdim=True) / total)

    def _train_means(self, means, z, responsibility, within, temperature):
        """Class means after gradient steps on the log likelihood of the support.

        The step size of a mean is proportional to its posterior variance relative to
        the predictive variance.
        """
        predictive = within[:, None] + means.variance
        rate = self.log_rate.exp() * means.variance / predictive
        weight = responsibility.sum(-1, keepdim=True)
        for _ in range(int(self.n_steps)):
            logits = temperature * class_logits(means, z, within)
            error = responsibility - weight * mask_absent(logits, means).softmax(-1)
            slope = error.transpose(1, 2) @ z - error.sum(1)[..., None] * means.mean
            means = means._replace(mean=means.mean + rate * slope)
        return means


def size_covariates(responsibility):
    """1, log(1 + rows per class) and log(number of classes), (B, 3), of (B, S, C).

    The linear predictors of temperature and kernel weight are linear in these.
    """
    count = responsibility.sum(1)
    n_classes = (count > 0).sum(1).clamp(min=1).to(count)
    shots = (count.sum(1) / n_classes).log1p()
    return torch.stack([torch.ones_like(shots), shots, n_classes.log()], -1)


def _set_to_zero(layer):
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
