"""Stage 1 for N-way classification: attention encodes the support.

Rows and classes are tokens, which attend to each other. The token of a row holds its
features and the mean of its class, so classes have no index, and permuting the labels
only permutes the classes. As in `task_encoder`, a row of weight w counts as w equal
rows.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from ..._utils.random import Dropout
from ..encoders.attention import AttentionBlock, half_precision

ENCODING_DROPOUT = 0.5
"""Share of the episodes of a training step whose encoding is dropped."""


class NWayEncoding(NamedTuple):
    """Encoding of the supports of B tasks."""

    task: torch.Tensor  # (B, embed_dim)
    rows: torch.Tensor  # (B, S, embed_dim)
    classes: torch.Tensor  # (B, C, embed_dim)


class EncodingDropout(Dropout):
    """Drops the whole encoding of some tasks during training.

    Otherwise the features would not be trained for what the encoding explains. Half of
    the tasks therefore depend only on the features (a branch dropped at random, as
    in Huang et al. 2016, Deep networks with stochastic depth, sec. 3).
    """

    def forward(self, task, tokens):
        """Encodings (B, d) and (B, n, d) of tasks, zeros where dropped."""
        kept = super().forward(torch.ones_like(task[:, :1])) > 0
        return task * kept, tokens * kept[..., None]


class NWayEncoder(nn.Module):
    """Self-attention among the tokens of rows and classes, and attention pooling.

    Learned queries attend to the tokens (Lee et al. 2019, Set Transformer, eq. 8 and
    11).

    Parameters
    ----------
    n_features : int
    embed_dim, n_heads, n_layers : int
    self_attention : bool
    seed : int
        Of the dropouts.
    """

    def __init__(self, n_features, embed_dim, n_heads, n_layers, self_attention, seed,
                 n_queries=4, dropout=0.1):  # fmt: skip
        super().__init__()
        self.embed_dim = embed_dim
        self.row = _perceptron(2 * n_features, embed_dim)
        self.class_ = _perceptron(n_features + 1, embed_dim)
        self.null = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.among = nn.ModuleList(
            AttentionBlock(embed_dim, n_heads) for _ in range(int(self_attention))
        )
        self.queries = nn.Parameter(torch.randn(1, n_queries, embed_dim) * 0.5)
        self.blocks = nn.ModuleList(
            AttentionBlock(embed_dim, n_heads) for _ in range(n_layers)
        )
        self.out = nn.Linear(n_queries * embed_dim, embed_dim)
        self.norm = nn.LayerNorm(embed_dim)
        self.dropout = Dropout(dropout, seed)
        self.encoding_dropout = EncodingDropout(ENCODING_DROPOUT, seed)

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
        encoding : NWayEncoding
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
                latent = block(latent, block.keys_values(tokens), log_weight)
        task = self.dropout(self.norm(self.out(latent.to(z.dtype).flatten(1))))
        task, tokens = self.encoding_dropout(task, tokens.to(z.dtype))
        _, rows, classes = tokens.split([1, z.shape[1], means.count.shape[1]], 1)
        return NWayEncoding(task, rows, classes)


def _perceptron(n_inputs, dim):
    return nn.Sequential(nn.Linear(n_inputs, dim), nn.GELU(), nn.Linear(dim, dim))
