"""Stage 1: a set of support rows becomes a task embedding.

Every module here treats the support as a weighted set. A row of weight ``w`` counts
as ``w`` equal rows and a row of weight 0 as none, exactly: attention adds ``log w`` to
its logits and averages are weighted. Padding is a row of weight 0.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from .scaling import CLIP

COLUMN_DIM = 16


class Rows(NamedTuple):
    """Rows of a batch of tasks, as the networks see them.

    ``x`` (n_tasks, n_rows, n_features) standardised features; ``prior`` (n_tasks,
    n_rows, n_outputs) the pooled estimator's prediction on the scale of the base
    learner (zero without one); ``weight`` (n_tasks, n_rows), 0 for padding.
    """

    x: torch.Tensor
    prior: torch.Tensor
    weight: torch.Tensor


def bounded(x):
    """Standardised features as networks see them, which know nothing of far ones."""
    return x.clamp(-CLIP, CLIP)


class TaskEncoding(NamedTuple):
    """What a task encoder says of each task.

    ``task`` (n_tasks, embed_dim) the task embedding; ``columns`` (n_tasks, n_features,
    column_dim) one embedding for each feature. What a decoder reads, of encoders that
    have it: ``tokens`` (n_tasks, n_tokens, embed_dim) the null token, the support rows
    and the columns, encoded, and ``log_weight`` (n_tasks, n_tokens).
    """

    task: torch.Tensor
    columns: torch.Tensor
    tokens: torch.Tensor | None = None
    log_weight: torch.Tensor | None = None


class Dropout(nn.Module):
    """Dropout that draws from its own generator, so that no global state is touched."""

    def __init__(self, p, seed):
        super().__init__()
        self.p = p
        self.generator = torch.Generator().manual_seed(seed)

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        keep = torch.rand(x.shape, generator=self.generator).to(x.device) >= self.p
        return x * keep / (1 - self.p)


class Attention(nn.Module):
    """Multi-head attention of ``n_queries`` over ``n_keys`` weighted keys."""

    def __init__(self, dim, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def _heads(self, t):
        return t.unflatten(-1, (self.n_heads, -1)).transpose(-3, -2)

    def known(self, keys):
        """What is attended to of ``keys`` (n_tasks, n_keys, dim), whoever asks."""
        key, value = self.key_value(keys).chunk(2, -1)
        return self._heads(key), self._heads(value)

    def forward(self, queries, known, log_weight=None):
        """Attend.

        Parameters
        ----------
        queries : tensor of shape (n_tasks, n_queries, dim)
        known : tuple
            As the method of this name has it.
        log_weight : tensor of shape (n_tasks, n_keys), optional
            Added to the logits; minus infinity hides a key.

        Returns
        -------
        tensor of shape (n_tasks, n_queries, dim)
        """
        mask = None if log_weight is None else log_weight[:, None, None, :]
        q = self._heads(self.query(queries))
        mixed = F.scaled_dot_product_attention(q, *known, attn_mask=mask)
        return self.out(mixed.transpose(-3, -2).flatten(-2))

    def weights(self, queries, known, log_weight=None):
        """Attention weights of shape (n_tasks, n_heads, n_queries, n_keys)."""
        q, (k, _) = self._heads(self.query(queries)), known
        logits = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        if log_weight is not None:
            logits = logits + log_weight[:, None, None, :]
        return logits.softmax(-1)


class AttentionBlock(nn.Module):
    """Pre-norm attention and feed-forward network, both residual."""

    def __init__(self, dim, n_heads, expansion=2):
        super().__init__()
        self.norm_queries = nn.LayerNorm(dim)
        self.norm_keys = nn.LayerNorm(dim)
        self.attention = Attention(dim, n_heads)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, expansion * dim),
            nn.GELU(),
            nn.Linear(expansion * dim, dim),
        )

    def known(self, keys):
        """What is attended to of ``keys`` (n_tasks, n_keys, dim), whoever asks."""
        return self.attention.known(self.norm_keys(keys))

    def forward(self, queries, known, log_weight=None):
        """Attend to what is ``known``; shapes as `Attention.forward`."""
        x = queries + self.attention(self.norm_queries(queries), known, log_weight)
        return x + self.feed_forward(x)

    def among(self, tokens, log_weight=None):
        """Self-attention: let ``tokens`` (n_tasks, n_tokens, dim) attend to all."""
        return self(tokens, self.known(tokens), log_weight)


class RowEncoder(nn.Module):
    """One token for each (features, prior, target) row, and a null token before them.

    The null token lets a task of no rows have an embedding, and weighs as one row.
    """

    def __init__(self, n_features, n_prior, n_targets, dim):
        super().__init__()
        self.embed = nn.Sequential(
            nn.Linear(n_features + n_prior + n_targets, dim),
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
        tokens = self.embed(torch.cat([bounded(rows.x), rows.prior, target], -1))
        tokens = torch.cat([self.null.expand(len(tokens), -1, -1), tokens], 1)
        return tokens, F.pad(rows.weight, (1, 0), value=1.0).log()


class ColumnEncoder(nn.Module):
    """An embedding for each feature: what its cells and the targets say together.

    Each cell meets its row's target, the cells of a column are averaged over the
    support, and the columns then attend to one another. The same weights serve every
    column, so that evidence on one teaches about all; a learned identity tells them
    apart.
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
    """What a task encoder attends to: tokens of the rows, and of the columns."""

    def __init__(self, n_features, n_prior, n_targets, dim, column_dim):
        super().__init__()
        self.rows = RowEncoder(n_features, n_prior, n_targets, dim)
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

    A learned query attends to the row tokens; what it found becomes the next round's
    query (Lee et al. 2019, Set Transformer, eq. 11; Jaegle et al. 2021, Perceiver).
    """

    def __init__(self, n_features, n_prior, n_targets, embed_dim, n_heads, n_layers,
                 column_dim=COLUMN_DIM, n_queries=4, dropout=0.1, seed=0):  # fmt: skip
        super().__init__()
        self.embed_dim = embed_dim
        self.tokens = TaskTokens(n_features, n_prior, n_targets, embed_dim, column_dim)
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
            latent = block(latent, block.known(tokens), log_weight)
        return self.dropout(self.norm(self.out(latent.flatten(1))))


class SelfAttentionPooling(AttentionPooling):
    """Task embedding by self-attention among the rows, then attention pooling.

    Row and column tokens attend to one another, and a learned query pools them over
    ``n_layers`` rounds (Lee et al. 2019, Set Transformer, eqs. 8 and 11).
    """

    def __init__(self, n_features, n_prior, n_targets, embed_dim, n_heads, n_layers,
                 **settings):  # fmt: skip
        super().__init__(
            n_features, n_prior, n_targets, embed_dim, n_heads, n_layers, **settings
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
    order), and a learned query pools them over as many rounds. The tokens are there
    for a decoder to read.
    """

    def __init__(self, n_features, n_prior, n_targets, embed_dim, n_heads, n_layers,
                 **settings):  # fmt: skip
        super().__init__(
            n_features, n_prior, n_targets, embed_dim, n_heads, n_layers, **settings
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


def half_precision(module, tensor):
    """Compute in bfloat16 inside, where ``module`` is trained on a GPU."""
    on = module.training and tensor.is_cuda
    return torch.autocast(tensor.device.type, torch.bfloat16, enabled=on)
