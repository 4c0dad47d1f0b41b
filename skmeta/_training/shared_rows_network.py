"""Episodes that share the rows of a task, which are embedded once."""

import torch
from torch import nn

from .._episodes.shared_rows import in_role
from .._networks.nway.network import augmented


class PoolNetwork(nn.Module):
    """What is trained: an embedding, where there is one, and the learner.

    Rows are augmented, while it is trained, and embedded once for all episodes.

    Parameters
    ----------
    learner : module
    embedding : Embedding, optional
    augmentation : callable, optional
    known_classes : KnownClasses, optional
        What the embedding is trained by as well.
    seed : int
        Of the augmentation.
    """

    def __init__(self, learner, embedding=None, augmentation=None, known_classes=None,
                 seed=0):  # fmt: skip
        super().__init__()
        self.learner, self.embedding = learner, embedding
        self.known_classes = known_classes
        self.augmentation = augmentation
        self.seed, self.generator = seed, None

    def forward(self, task, x, row, present, y, support, query):
        """Logits (G * E, Q, C) of the query rows of every episode, as `in_role` orders.

        Arguments are those of `PoolBatch`. C is as many classes as the support has.
        While it is trained by known classes, the losses of these follow, (G * E, Q).
        """
        inputs = x[present]
        if self.training and self.augmentation is not None:
            inputs = augmented(self.augmentation, inputs, self._drawn_by(x.device))
        columns = inputs if self.embedding is None else self.embedding(inputs)
        features = self.learner.row_features(columns)
        z = features.new_zeros(*present.shape, features.shape[-1])
        z[present] = features
        weight, z_support, y_support = in_role(support.to(z), z, y)
        adapted = self.learner.adapt_features(z_support, y_support, weight)
        _, z_query = in_role(query, z)
        predicted = self.learner.predict_features(adapted, z_query)
        if self.known_classes is None or not self.training:
            return predicted
        losses = self.known_classes(columns, task, row, present)
        return predicted, in_role(query, losses)[1]

    def _drawn_by(self, device):
        """The generator of augmentation, where the rows are."""
        if self.generator is None or self.generator.device != device:
            self.generator = torch.Generator(device).manual_seed(self.seed)
        return self.generator
