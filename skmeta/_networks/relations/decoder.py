"""Relations that a Transformer decodes from the rows of a task.

A task remembered is a few pseudo-tokens, made of its embedding. Those of each attend to
the encoded support of the new task, by themselves, and what they find there is added to
the logit of the relation: a remembered task may ask the rows what an embedding of the
new task does not say.
"""

from torch import nn

from ..encoders.attention import AttentionBlock
from .relations import KEY_DIM, Relations

N_PSEUDO_TOKENS = 2


class DecodedRelations(Relations):
    """`Relations` whose similarity a Transformer decoder refines.

    Untrained it refines nothing.
    """

    def __init__(self, embed_dim, n_heads=4):
        super().__init__(embed_dim)
        self.pseudo_tokens = nn.Linear(embed_dim, N_PSEUDO_TOKENS * KEY_DIM)
        self.rows = nn.Linear(embed_dim, KEY_DIM)
        self.block = AttentionBlock(KEY_DIM, n_heads)
        self.read = nn.Linear(N_PSEUDO_TOKENS * KEY_DIM, 1, bias=False)
        nn.init.zeros_(self.read.weight)

    def decoder_parameters(self):
        """What is trained once the similarity is."""
        parts = self.pseudo_tokens, self.rows, self.block, self.read
        return [p for part in parts for p in part.parameters()]

    def decode(self, similarity, encoding, keys):
        """Refine logits (B, L) of tasks of the given ``keys`` (B, L, embed_dim)."""
        tokens = self.pseudo_tokens(keys.to(encoding.tokens))
        tokens = tokens.unflatten(-1, (N_PSEUDO_TOKENS, KEY_DIM)).flatten(1, 2)
        known = self.block.known(self.rows(encoding.tokens))
        found = self.block(tokens, known, encoding.log_weight)
        found = found.unflatten(1, (-1, N_PSEUDO_TOKENS)).flatten(2)
        return similarity + self.read(found)[..., 0].to(similarity)
