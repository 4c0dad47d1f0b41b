"""Stage 1: encoders of support sets into task embeddings.

Every module here treats the support as a weighted set. A row of weight ``w`` counts
as ``w`` equal rows and a row of weight 0 as none, exactly: attention adds ``log w`` to
its logits and averages are weighted. Padding is a row of weight 0.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from ..._preprocessing.scaling import CLIP
from ..._utils.random import Dropout
from .attention import AttentionBlock, half_precision

COLUMN_DIM = 16


def bounded(x):
    """Standardised features, clipped to the range that networks are trained on."""
    return x.clamp(-CLIP, CLIP)


class TaskEncoding(NamedTuple):
    """Output of a task encoder for each task.

    ``task`` (n_tasks, embed_dim) the task embedding; ``columns`` (n_tasks, n_features,
    column_dim) one embedding for each feature. Encoders with inputs for a decoder also
    return ``tokens`` (n_tasks, n_tokens, embed_dim), the encoded null token, support
    rows and columns, and ``log_weight`` (n_tasks, n_tokens).
    """

    task: torch.Tensor
    columns: torch.Tensor
    tokens: torch.Tensor | None = None
    log_weight: torch.Tensor | None = None


class RowEncoder(nn.Module):
    """One token for each (features, offset, target) row, and a null token before them.

    With the null token a task without rows has an embedding; its weight is that of one
    row.
    """

    def __init__(self, n_features, n_offset, n_targets, dim):
        super().__init__()
        self.embed = nn.Sequential(
            nn.Linear(n_features + n_offset + n_targets, dim),
            nn.GELU(),
            nn.Linear(dim, dim),
        )
        self.null = nn.Parameter(torch.zeros(1, 1, dim))

    def forward(self, rows, target):
        """Encode ``rows`` with ``target`` (n_tasks, n_rows, n_targets).

        Returns
        -------
        tokens : tensor of shape (n_tasks, 1 + n_rows, dim)
        log_weight : tensor of shape (n_tasks, 1 + n_rows)
        """
        tokens = self.embed(torch.cat([bounded(rows.x), rows.offset, target], -1))
        tokens = torch.cat([self.null.expand(len(tokens), -1, -1), tokens], 1)
        return tokens, F.pad(rows.weight, (1, 0), value=1.0).log()


class ColumnEncoder(nn.Module):
    """An embedding for each feature, from its cells together with the targets.

    Each cell is encoded together with the target of its row, the cells of a column are
    averaged over the support, and the columns then attend to one another. All columns
    share the weights, so that each is trained on all of them; a learned identity
    distinguishes them.
    """

    def __init__(self, n_features, n_targets, dim, n_heads=2):
        super().__init__()
        self.cell = nn.Sequential(
            nn.Linear(1 + 2 * n_targets, dim), nn.GELU(), nn.Linear(dim, dim)
        )
        self.identity = nn.Parameter(torch.zeros(n_features, dim))
        self.count = nn.Linear(1, dim)
        self.block = AttentionBlock(dim, n_heads)
        self.norm = nn.LayerNorm(dim)

    def forward(self, rows, target):
        """Encode to a tensor of shape (n_tasks, n_features, dim)."""
        x = bounded(rows.x)[..., None]
        t = target[:, :, None, :].expand(-1, -1, x.shape[2], -1)
        cells = self.cell(torch.cat([x, t, x * t], -1))
        n = rows.weight.sum(1)
        mean = torch.einsum("bs,bsde->bde", rows.weight, cells) / (n + 1)[:, None, None]
        count = self.count(n.log1p()[:, None])[:, None, :]
        columns = mean + count + self.identity
        return self.norm(self.block.among(columns))


class TaskTokens(nn.Module):
    """Tokens of the rows and columns, which a task encoder attends to."""

    def __init__(self, n_features, n_offset, n_targets, dim, column_dim):
        super().__init__()
        self.rows = RowEncoder(n_features, n_offset, n_targets, dim)
        self.columns = ColumnEncoder(n_features, n_targets, column_dim)
        self.from_columns = nn.Linear(column_dim, dim)

    def forward(self, rows, target):
        """Tokens (B, 1 + n_rows + n_features, dim), log weights, and columns."""
        tokens, log_weight = self.rows(rows, target)
        columns = self.columns(rows, target)
        tokens = torch.cat([tokens, self.from_columns(columns)], 1)
        return tokens, F.pad(log_weight, (0, columns.shape[1])), columns


class AttentionPooling(nn.Module):
    """Task embedding by attention pooling, refined over ``n_layers`` rounds.

    A learned query attends to the row tokens; its output is the query of the next round
    (Lee et al. 2019, Set Transformer, eq. 11; Jaegle et al. 2021, Perceiver).
    """

    def __init__(self, n_features, n_offset, n_targets, embed_dim, n_heads, n_layers,
                 column_dim=COLUMN_DIM, n_queries=4, dropout=0.1, seed=0):  # fmt: skip
        super().__init__()
        self.embed_dim = embed_dim
        self.tokens = TaskTokens(n_features, n_offset, n_targets, embed_dim, column_dim)
        self.queries = nn.Parameter(torch.randn(1, n_queries, embed_dim) * 0.5)
        self.blocks = nn.ModuleList(
            AttentionBlock(embed_dim, n_heads) for _ in range(n_layers)
        )
        self.out = nn.Linear(n_queries * embed_dim, embed_dim)
        self.norm = nn.LayerNorm(embed_dim)
        self.dropout = Dropout(dropout, seed)

    def forward(self, rows, target):
        tokens, log_weight, columns = self.tokens(rows, target)
        return TaskEncoding(self._pool(tokens, log_weight), columns)

    def _pool(self, tokens, log_weight):
        latent = self.queries.expand(len(tokens), -1, -1)
        for block in self.blocks:
            latent = block(latent, block.keys_values(tokens), log_weight)
        return self.dropout(self.norm(self.out(latent.flatten(1))))


class SelfAttentionPooling(AttentionPooling):
    """Task embedding by self-attention among the rows, then attention pooling.

    Row and column tokens attend to one another, and a learned query pools them over
    ``n_layers`` rounds (Lee et al. 2019, Set Transformer, eqs. 8 and 11).
    """

    def __init__(self, n_features, n_offset, n_targets, embed_dim, n_heads, n_layers,
                 **settings):  # fmt: skip
        super().__init__(
            n_features, n_offset, n_targets, embed_dim, n_heads, n_layers, **settings
        )
        self.among_rows = AttentionBlock(embed_dim, n_heads)

    def forward(self, rows, target):
        tokens, log_weight, columns = self.tokens(rows, target)
        tokens = self.among_rows.among(tokens, log_weight)
        return TaskEncoding(self._pool(tokens, log_weight), columns)


class TransformerEncoder(AttentionPooling):
    """A Transformer over the rows and columns of a task, and its embedding.

    Row and column tokens attend to one another in ``n_layers`` layers (Vaswani et al.
    2017, Attention is all you need, sec. 3.1; without positions, since rows have no
    order), and a learned query pools them over as many rounds. Decoders attend to the
    tokens.
    """

    def __init__(self, n_features, n_offset, n_targets, embed_dim, n_heads, n_layers,
                 **settings):  # fmt: skip
        super().__init__(
            n_features, n_offset, n_targets, embed_dim, n_heads, n_layers, **settings
        )
        self.layers = nn.ModuleList(
            AttentionBlock(embed_dim, n_heads) for _ in range(n_layers)
        )

    def forward(self, rows, target):
        tokens, log_weight, columns = self.tokens(rows, target)
        with half_precision(self, tokens):
            for layer in self.layers:
                tokens = layer.among(tokens, log_weight)
        tokens = tokens.to(columns.dtype)
        task = self._pool(tokens, log_weight)
        return TaskEncoding(task, columns, tokens, log_weight)
