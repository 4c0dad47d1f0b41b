"""Stage 3 of the Transformer: a decoder corrects the prediction of each query row.

A query row, together with the prediction of the base learner, attends to the encoded
support. The output shifts the mean by a number of standard deviations and multiplies
the standard deviation by a factor; in classification it shifts the logits. Corrections
are zero before training, which thus starts at the base learner. A corrected GP is a GP:
samples from it are coherent over rows.
"""

from typing import Any, NamedTuple

import torch
from torch import nn

from ..encoders.attention import AttentionBlock, half_precision
from ..encoders.task_encoder import TaskEncoding, bounded
from .predictive import Categorical, Gaussian
from .wrapper import LearnerWrapper

MAX_CORRECTION = 3.0
"""Bound on corrections of a mean (in standard deviations), of a log standard deviation
and of a logit."""


class Decoded(NamedTuple):
    """A base learner adapted to B tasks, and keys and values for query rows."""

    encoding: TaskEncoding
    base: Any
    keys_values: list  # of each block, keys and values of the tokens


class RowDecoder(nn.Module):
    """Transformer decoder of query rows, which attend only to the support.

    Rows do not attend to one another (Nguyen and Grover 2022, Transformer neural
    processes, sec. 3, the diagonal variant): a prediction depends only on its own row.
    """

    def __init__(self, n_inputs, n_outputs, embed_dim, n_heads, n_layers):
        super().__init__()
        self.embed = nn.Sequential(
            nn.Linear(n_inputs, embed_dim), nn.GELU(), nn.Linear(embed_dim, embed_dim)
        )
        self.blocks = nn.ModuleList(
            AttentionBlock(embed_dim, n_heads) for _ in range(n_layers)
        )
        self.out = nn.Sequential(
            nn.LayerNorm(embed_dim), nn.Linear(embed_dim, n_outputs)
        )
        for parameter in self.out[1].parameters():
            nn.init.zeros_(parameter)

    def keys_values(self, tokens):
        """Keys and values of tokens (B, n_tokens, embed_dim), in each block."""
        with half_precision(self, tokens):
            return [block.keys_values(tokens) for block in self.blocks]

    def forward(self, inputs, keys_values, log_weight):
        """Decode ``inputs`` (B, Q, n_inputs) to outputs (B, Q, n_outputs)."""
        with half_precision(self, inputs):
            rows = self.embed(inputs)
            for block, of_block in zip(self.blocks, keys_values, strict=True):
                rows = block(rows, of_block, log_weight)
        return self.out(rows.to(inputs.dtype))


class RowDecodingLearner(LearnerWrapper):
    """A base learner with predictions that are corrected by a decoder.

    Parameters
    ----------
    base : module
        A base learner.
    n_inputs : int
        Number of columns of a row and of its offset.
    n_base_outputs : int
        Number of outputs of the base learner for a row: mean and log standard
        deviation, or logits.
    embed_dim, n_heads, n_layers : int
    """

    is_meta_trained = True

    def __init__(self, base, n_inputs, n_base_outputs, embed_dim, n_heads, n_layers):
        super().__init__(base)
        self.decoder = RowDecoder(
            n_inputs + n_base_outputs, n_base_outputs, embed_dim, n_heads, n_layers
        )

    def adapt(self, support, y, encoding):
        """Adapt the base learner, and compute keys and values for query rows."""
        base = self.base.adapt(support, y, encoding)
        return Decoded(encoding, base, self.decoder.keys_values(encoding.tokens))

    def predict(self, adapted, query):
        """Corrected prediction of the query rows."""
        return self._corrected(adapted, query, self.base.predict(adapted.base, query))

    def _corrected(self, adapted, query, prediction):
        correction = self._correction(adapted, query, prediction)
        if isinstance(prediction, Categorical):
            return Categorical(prediction.logits + correction)
        mean, variance = prediction
        shift, widening = correction.unbind(-1)
        return Gaussian(mean + shift * variance.sqrt(), variance * (2 * widening).exp())

    def training_predictions(self, support, y, encoding, query):
        """Those of the base learner, and its prediction, detached, as corrected."""
        base, prediction = self.base.training_predictions(support, y, encoding, query)
        prediction = type(prediction)(*(part.detach() for part in prediction))
        adapted = Decoded(encoding, None, self.decoder.keys_values(encoding.tokens))
        corrected = self._corrected(adapted, query, prediction)
        return [*base, corrected], corrected

    def components(self, adapted, query, joint=False):
        """The distribution of the query rows' targets, ``joint`` with covariance."""
        prediction = self.base.predict(adapted.base, query)
        correction = self._correction(adapted, query, prediction)
        shift, widening = correction.unbind(-1)
        centre = prediction.mean[:, None]
        moved = centre + (shift * prediction.variance.sqrt())[:, None]
        widening = widening.exp()
        factor = widening[..., None] * widening[:, None] if joint else widening**2
        return [
            c._replace(
                mean=moved + widening[:, None] * (c.mean - centre),
                spread=c.spread * factor,
            )
            for c in self.base.components(adapted.base, query, joint)
        ]

    def _correction(self, adapted, query, prediction):
        """Corrections (B, Q, 2) of mean and log deviation, or (B, Q, n_classes)."""
        if isinstance(prediction, Gaussian):
            mean, variance = prediction
            outputs = torch.stack([mean, 0.5 * variance.log()], -1)
        else:
            outputs = prediction.logits.log_softmax(-1)
        inputs = torch.cat([bounded(query.x), query.offset, outputs.to(query.x)], -1)
        log_weight = adapted.encoding.log_weight
        decoded = self.decoder(inputs, adapted.keys_values, log_weight)
        return MAX_CORRECTION * (decoded / MAX_CORRECTION).tanh()
