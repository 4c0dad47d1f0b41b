"""Stage 3 where every task has classes of its own: what predicts them.

Gaussian classes in meta-learned features, every part of which attention conditions on
the task; next to them the rows of each class one by one, since few classes are
Gaussians. Before training attention is idle, and the learner is the closed form.
"""

import math
from typing import NamedTuple

import torch
from torch import nn

from ..encoders.task_encoder import bounded
from ..learners.base import BaseLearner
from ..learners.predictive import Categorical
from ..learners.row_decoder import MAX_CORRECTION, RowDecoder
from .encoder import ClassEncoder, ClassEncoding
from .plda import (
    ClassMeans,
    class_logits,
    class_means,
    one_hot,
    only_present,
    row_log_densities,
    row_logits,
)

N_HIDDEN = 64
MAX_SHIFT = 3.0
"""Of the logarithm of a variance or of a row's weight."""


class AdaptedClasses(NamedTuple):
    """Gaussian classes conditioned on the support of each of B tasks."""

    encoding: ClassEncoding
    z: torch.Tensor  # (B, S, D)
    y: torch.Tensor  # (B, S)
    share: torch.Tensor  # (B, S, C) how much each row counts for each class
    within: torch.Tensor  # (B, D)
    between: torch.Tensor  # (B, D)
    means: ClassMeans
    by_rows: torch.Tensor  # (B, 1, 1) what the rows say, next to the means of classes
    bandwidth: torch.Tensor  # (), of the kernel about a row, next to 2 W
    temperature: torch.Tensor  # (B, 1, 1)
    known: list | None  # of each block of the decoder, keys and values

    def near(self, z):
        """Log density that each support row gives rows (B, Q, D), (B, Q, S)."""
        within = self.within * self.bandwidth
        return row_log_densities(z, self.z, self.y, self.share, within)

    def by_row(self, z):
        """Logits (B, Q, C) of the classes as mixtures of their rows.

        They are tempered by the bandwidth: of classes of one row it changes nothing.
        """
        return self.bandwidth * row_logits(self.near(z), self.y, self.share.shape[2])

    def mixed(self, by_class, by_row):
        """Tempered logits (..., C) of what the means say and of what the rows say."""
        share = self.by_rows
        return self.temperature * ((1 - share) * by_class + share * by_row)

    def among_rows(self, probability, z):
        """Probabilities (B, Q, C) at rows (B, Q, D), shared among support rows.

        Of what the means say each row of a class has its share; of what the rows say,
        as much as it is near.
        """
        total = self.share.sum(1, keepdim=True).clamp(min=1e-12)
        alike = (self.share / total).transpose(1, 2)
        near, index = self.near(z), self.y[:, None].expand(-1, z.shape[1], -1)
        by_row = row_logits(near, self.y, self.share.shape[2]).gather(2, index)
        responsible = probability.gather(2, index) * (near - by_row).exp()
        return (1 - self.by_rows) * (probability @ alike) + self.by_rows * responsible


class RowFeatures(nn.Module):
    """Features of rows in which classes are Gaussians: linear ones, and a perceptron's.

    Parameters
    ----------
    n_columns : int
    n_features : int
    linear_only : bool
        Without the perceptron, which adds nothing before it is trained.
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
            for parameter in self.hidden[-1].parameters():
                nn.init.zeros_(parameter)

    def forward(self, x):
        """Features (..., n_features) of rows (..., n_columns)."""
        x = bounded(x)
        z = x @ self.projection.T
        return z if self.hidden is None else z + self.hidden(x)


class ClassLearner(BaseLearner):
    """Gaussian classes whose prior is meta-learned and conditioned on the task.

    A task embedding shifts the variances within and between classes and the
    temperature; attention weighs the rows of each class; the means of classes, which
    start from these rows, are trained on by gradient steps on the support
    (Triantafillou et al. 2020, Meta-Dataset, sec. 3.2: Proto-MAML). How much the rows
    say by themselves hangs on how many there are.

    Parameters
    ----------
    n_columns, n_features : int
    embed_dim, n_heads, n_layers : int
    linear_only : bool
    by_gradient : bool
        Choose among more gradient steps.
    seed : int
    """

    decodes = False

    def __init__(self, n_columns, n_features, embed_dim, n_heads, n_layers, *,
                 linear_only=False, by_gradient=False, seed=0):  # fmt: skip
        super().__init__()
        n_among = self.layers_among(n_layers)
        self.adaptation_grid = ((3,), (10,), (30,)) if by_gradient else ((0,), (3,))
        self.n_base_features = n_features
        self.row_features = RowFeatures(n_columns, n_features, linear_only)
        self.log_within = nn.Parameter(torch.zeros(n_features))
        self.log_between = nn.Parameter(torch.zeros(n_features))
        self.by_size = nn.Parameter(torch.zeros(2, 3))
        self.log_bandwidth = nn.Parameter(torch.tensor(-2.0))
        self.log_rate = nn.Parameter(torch.tensor(-2.0))
        self.encoder = ClassEncoder(
            n_features, embed_dim, n_heads, n_layers, n_among, seed
        )
        self.shift = nn.Linear(embed_dim, 2 * n_features + 1)
        self.row_score = nn.Sequential(nn.GELU(), nn.Linear(embed_dim, 1))
        self.to_score = nn.Linear(embed_dim, embed_dim)
        idle = [self.shift, self.row_score[1]]
        self.class_shift = self.decoder = None
        if n_among:
            self.class_shift = nn.Linear(embed_dim, n_features)
            idle.append(self.class_shift)
        if self.decodes:
            self.decoder = RowDecoder(
                n_features, embed_dim, embed_dim, n_heads, n_layers
            )
        for layer in idle:
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
        self.register_buffer("n_steps", torch.tensor(self.adaptation_grid[-1][0]))

    @staticmethod
    def layers_among(n_layers):
        """Layers of self-attention among rows and classes, of ``n_layers``."""
        return 0

    def start_from(self, discriminants):
        """Start at the closed form of rows that are vectors."""
        with torch.no_grad():
            self.row_features.projection.copy_(torch.tensor(discriminants.projection))
            self.log_between.copy_(torch.tensor(discriminants.between).log())

    def set_adaptation(self, n_steps):
        """Set how the support trains the means: the number of gradient steps."""
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
        adapted : AdaptedClasses
        """
        return self.adapt_features(self.row_features(x), y, weight)

    def adapt_features(self, z, y, weight):
        """Condition on a support of features (B, S, D)."""
        share = one_hot(y, weight)
        within, between = (
            log_variance.exp().expand(len(z), -1)
            for log_variance in (self.log_within, self.log_between)
        )
        means = class_means(z, share, within, between)
        encoding = self.encoder(self._scaled(z), y, weight, self._scaled_means(means))
        shift = MAX_SHIFT * (self.shift(encoding.task) / MAX_SHIFT).tanh()
        d = z.shape[-1]
        within = within * shift[:, :d].exp()
        between = between * shift[:, d : 2 * d].exp()
        share = self._weighed(share, encoding)
        means = class_means(z, share, within, between)
        if self.class_shift is not None:
            moved = self.class_shift(encoding.classes) * within[:, None].sqrt()
            means = means._replace(mean=means.mean + moved)
        by_rows, temperature = (self.sizes(share) @ self.by_size.T).unbind(1)
        by_rows = by_rows.sigmoid()[:, None, None]
        temperature = (temperature + shift[:, -1]).exp()[:, None, None]
        means = self._trained(means, z, share, within, temperature)
        known = None if self.decoder is None else self.decoder.known(encoding.tokens)
        return AdaptedClasses(
            encoding, z, y, share, within, between, means, by_rows,
            self.log_bandwidth.exp(), temperature, known,
        )  # fmt: skip

    @staticmethod
    def sizes(share):
        """What temperature and the say of rows hang on, (B, 3), of shares (B, S, C).

        1, log(1 + rows a class) and log(classes).
        """
        count = share.sum(1)
        n_classes = (count > 0).sum(1).clamp(min=1).to(count)
        shots = (count.sum(1) / n_classes).log1p()
        return torch.stack([torch.ones_like(shots), shots, n_classes.log()], -1)

    def predict(self, adapted, query):
        """Logits of the classes at query rows, (B, Q, C)."""
        return self.predict_features(adapted, self.row_features(query.x))

    def predict_features(self, adapted, z, by_row=None):
        """Logits of the classes of rows of features (B, Q, D).

        ``by_row`` is what `AdaptedClasses.by_row` says of them, where that is known.
        """
        by_row = adapted.by_row(z) if by_row is None else by_row
        by_class = class_logits(adapted.means, z, adapted.within)
        logits = adapted.mixed(by_class, by_row)
        logits = logits + adapted.temperature * self._correction(adapted, z)
        return Categorical(only_present(logits, adapted.means))

    def features(self, adapted, rows):
        """Features of rows, in units of their deviation within classes."""
        return self.row_features(rows.x) / adapted.within[:, None].sqrt()

    def support_weights(self, adapted, query):
        """Probability of each support row's class, shared among its rows, (B, Q, S)."""
        z = self.row_features(query.x)
        probability = self.predict_features(adapted, z).logits.softmax(-1)
        return adapted.among_rows(probability, z)

    def relevance(self, adapted):
        """Variance between classes relative to that within, by column, (B, n)."""
        ratio = adapted.between / adapted.within
        return ratio @ self.row_features.projection**2

    def _scaled(self, z):
        return z * (-0.5 * self.log_within).exp()

    def _scaled_means(self, means):
        there = (means.count > 0)[..., None]
        return means._replace(mean=self._scaled(means.mean) * there)

    def _weighed(self, share, encoding):
        """Shares (B, S, C) by attention of each class to its rows, with its total."""
        inputs = encoding.rows + self.to_score(encoding.task)[:, None]
        score = self.row_score(inputs) / MAX_SHIFT
        weighed = share * (MAX_SHIFT * score.tanh()).exp()
        total = weighed.sum(1, keepdim=True).clamp(min=1e-12)
        return weighed * (share.sum(1, keepdim=True) / total)

    def _trained(self, means, z, share, within, temperature):
        """Means after gradient steps on the log likelihood of the support's classes.

        A step is scaled by what is left open of the mean.
        """
        spread = within[:, None] + means.variance
        rate = self.log_rate.exp() * means.variance / spread
        weight = share.sum(-1, keepdim=True)
        for _ in range(int(self.n_steps)):
            logits = temperature * class_logits(means, z, within)
            wrong = share - weight * only_present(logits, means).softmax(-1)
            slope = wrong.transpose(1, 2) @ z - wrong.sum(1)[..., None] * means.mean
            means = means._replace(mean=means.mean + rate * slope)
        return means

    def _correction(self, adapted, z):
        """What each query row reads off the support about each class, (B, Q, C)."""
        if self.decoder is None:
            return 0.0
        encoding = adapted.encoding
        read = self.decoder(self._scaled(z), adapted.known, encoding.log_weight)
        agreement = read @ encoding.classes.transpose(1, 2) / math.sqrt(read.shape[-1])
        return MAX_CORRECTION * (agreement / MAX_CORRECTION).tanh()


class SelfAttendingClasses(ClassLearner):
    """`ClassLearner` whose rows and classes attend to one another.

    What classes find there moves their means (Ye et al. 2020, Few-shot learning via
    embedding adaptation with set-to-set functions, eq. 5).
    """

    @staticmethod
    def layers_among(n_layers):
        """One, whatever ``n_layers`` there are to pool."""
        return 1


class DecodedClasses(SelfAttendingClasses):
    """`ClassLearner` whose query rows attend to the support, which a Transformer reads.

    What a row finds there corrects its logit of each class.
    """

    decodes = True

    @staticmethod
    def layers_among(n_layers):
        """All ``n_layers`` of them."""
        return n_layers
