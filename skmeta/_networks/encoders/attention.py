"""Attention with weighted keys, and attention blocks."""

import torch
import torch.nn.functional as F
from torch import nn


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

    def keys_values(self, keys):
        """Keys and values of ``keys`` (n_tasks, n_keys, dim), for all queries."""
        key, value = self.key_value(keys).chunk(2, -1)
        return self._heads(key), self._heads(value)

    def forward(self, queries, keys_values, log_weight=None):
        """Attend.

        Parameters
        ----------
        queries : tensor of shape (n_tasks, n_queries, dim)
        keys_values : tuple
            From the method of this name.
        log_weight : tensor of shape (n_tasks, n_keys), optional
            Added to the logits; minus infinity hides a key.

        Returns
        -------
        tensor of shape (n_tasks, n_queries, dim)
        """
        mask = None if log_weight is None else log_weight[:, None, None, :]
        q = self._heads(self.query(queries))
        mixed = F.scaled_dot_product_attention(q, *keys_values, attn_mask=mask)
        return self.out(mixed.transpose(-3, -2).flatten(-2))


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

    def keys_values(self, keys):
        """Keys and values of ``keys`` (n_tasks, n_keys, dim), for all queries."""
        return self.attention.keys_values(self.norm_keys(keys))

    def forward(self, queries, keys_values, log_weight=None):
        """Attend to ``keys_values``; shapes as `Attention.forward`."""
        normed = self.norm_queries(queries)
        x = queries + self.attention(normed, keys_values, log_weight)
        return x + self.feed_forward(x)

    def among(self, tokens, log_weight=None):
        """Self-attention: let ``tokens`` (n_tasks, n_tokens, dim) attend to all."""
        return self(tokens, self.keys_values(tokens), log_weight)


def half_precision(module, tensor):
    """Context that computes in bfloat16 while ``module`` is trained on a GPU."""
    on = module.training and tensor.is_cuda
    return torch.autocast(tensor.device.type, torch.bfloat16, enabled=on)
