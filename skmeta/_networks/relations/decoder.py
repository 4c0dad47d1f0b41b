"""Relations that a Transformer decodes from the rows of a task.

Each task in memory is represented by a few pseudo-tokens, computed from its embedding.
They attend to the encoded support of the new task, and what they read is added to the
logit of the relation. The pseudo-tokens of different tasks do not attend to each other.
"""

from torch import nn

from ..encoders.attention import AttentionBlock
from .relations import KEY_DIM, Relations

N_PSEUDO_TOKENS = 2


class DecodedRelations(Relations):
    """`Relations` whose similarity a Transformer decoder refines.

    Before training the refinement is zero.
    """

    def __init__(self, embed_dim, n_heads=4):
        super().__init__(embed_dim)
        self.pseudo_tokens = nn.Linear(embed_dim, N_PSEUDO_TOKENS * KEY_DIM)
        self.rows = nn.Linear(embed_dim, KEY_DIM)
        self.block = AttentionBlock(KEY_DIM, n_heads)
        self.read = nn.Linear(N_PSEUDO_TOKENS * KEY_DIM, 1, bias=False)
        nn.init.zeros_(self.read.weight)

    def decoder_parameters(self):
        """Parameters trained after the similarity."""
        parts = self.pseudo_tokens, self.rows, self.block, self.read
        return [p for part in parts for p in part.parameters()]

    def decode(self, similarity, encoding, keys):
        """Refine logits (B, L) of tasks with the given ``keys`` (B, L, embed_dim)."""
        tokens = self.pseudo_tokens(keys.to(encoding.tokens))
        tokens = tokens.unflatten(-1, (N_PSEUDO_TOKENS, KEY_DIM)).flatten(1, 2)
        known = self.block.keys_values(self.rows(encoding.tokens))
        decoded = self.block(tokens, known, encoding.log_weight)
        decoded = decoded.unflatten(1, (-1, N_PSEUDO_TOKENS)).flatten(2)
        return similarity + self.read(decoded)[..., 0].to(similarity)
