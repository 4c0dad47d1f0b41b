"""Stage 1 where every task has classes of its own: a support becomes an encoding.

Rows and classes are tokens. A row's token holds its features and the mean of its class,
so that no class has a number, and permuting the labels permutes the classes alone. As
in `task_encoder`, a row of weight w counts as w equal rows.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from ..._utils.random import Dropout
from ..encoders.attention import AttentionBlock, half_precision

LEFT_OUT = 0.5
"""Share of the episodes of a step that are learned from without their encoding."""


class ClassEncoding(NamedTuple):
    """What an encoder says of B tasks, their rows and their classes."""

    task: torch.Tensor  # (B, embed_dim)
    rows: torch.Tensor  # (B, S, embed_dim)
    classes: torch.Tensor  # (B, C, embed_dim)
    tokens: torch.Tensor  # (B, 1 + S + C, embed_dim) of a null token and of both
    log_weight: torch.Tensor  # (B, 1 + S + C)


class EncodingDropout(Dropout):
    """Leaves out what is said of some tasks while training.

    What an encoding can explain of a task, features need not learn to; so half of the
    tasks have to do with the features alone (a branch that is skipped at random, as in
    Huang et al. 2016, Deep networks with stochastic depth, sec. 3).
    """

    def forward(self, task, tokens):
        """Encodings (B, d) and (B, n, d) of tasks, zeros where left out."""
        kept = super().forward(torch.ones_like(task[:, :1])) > 0
        return task * kept, tokens * kept[..., None]


class ClassEncoder(nn.Module):
    """Tokens of rows and classes, self-attention among them, and attention pooling.

    Parameters
    ----------
    n_features : int
    embed_dim, n_heads, n_layers : int
    n_among : int
        Layers of self-attention among rows and classes (Vaswani et al. 2017, sec. 3.1);
        0 leaves them as they are.
    seed : int
        Of the dropouts.
    """

    def __init__(self, n_features, embed_dim, n_heads, n_layers, n_among, seed,
                 n_queries=4, dropout=0.1):  # fmt: skip
        super().__init__()
        self.embed_dim = embed_dim
        self.row = _perceptron(2 * n_features, embed_dim)
        self.class_ = _perceptron(n_features + 1, embed_dim)
        self.null = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.among = nn.ModuleList(
            AttentionBlock(embed_dim, n_heads) for _ in range(n_among)
        )
        self.queries = nn.Parameter(torch.randn(1, n_queries, embed_dim) * 0.5)
        self.blocks = nn.ModuleList(
            AttentionBlock(embed_dim, n_heads) for _ in range(n_layers)
        )
        self.out = nn.Linear(n_queries * embed_dim, embed_dim)
        self.norm = nn.LayerNorm(embed_dim)
        self.dropout = Dropout(dropout, seed)
        self.left_out = EncodingDropout(LEFT_OUT, seed)

    def forward(self, z, y, weight, means):
        """Encode the support.

        Parameters
        ----------
        z : tensor of shape (B, S, n_features)
        y : tensor of int, shape (B, S)
        weight : tensor of shape (B, S)
        means : ClassMeans

        Returns
        -------
        encoding : ClassEncoding
        """
        centre = means.mean.gather(1, y[..., None].expand(-1, -1, z.shape[-1]))
        rows = self.row(torch.cat([z - centre, centre], -1))
        classes = self.class_(
            torch.cat([means.mean, means.count[..., None].log1p()], -1)
        )
        tokens = torch.cat([self.null.expand(len(z), -1, -1), rows, classes], 1)
        log_weight = torch.cat(
            [F.pad(weight, (1, 0), value=1.0), (means.count > 0).to(weight)], 1
        ).log()
        with half_precision(self, tokens):
            for layer in self.among:
                tokens = layer.among(tokens, log_weight)
            latent = self.queries.expand(len(z), -1, -1)
            for block in self.blocks:
                latent = block(latent, block.known(tokens), log_weight)
        task = self.dropout(self.norm(self.out(latent.to(z.dtype).flatten(1))))
        task, tokens = self.left_out(task, tokens.to(z.dtype))
        n = z.shape[1]
        _, rows, classes = tokens.split([1, n, tokens.shape[1] - 1 - n], 1)
        return ClassEncoding(task, rows, classes, tokens, log_weight)


def _perceptron(n_inputs, dim):
    return nn.Sequential(nn.Linear(n_inputs, dim), nn.GELU(), nn.Linear(dim, dim))
