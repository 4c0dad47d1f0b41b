"""Episodes that share the rows of a task, which are embedded once."""

import torch
from torch import nn

from .._episodes.shared_rows import select_role
from .._networks.nway.network import augmented


class SharedRowsNetwork(nn.Module):
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

    def __init__(
        self,
        learner,
        embedding=None,
        augmentation=None,
        auxiliary_classifier=None,
        seed=0,
    ):
        super().__init__()
        self.learner, self.embedding = learner, embedding
        self.auxiliary_classifier = auxiliary_classifier
        self.augmentation = augmentation
        self.seed, self.generator = seed, None

    def forward(self, task, x, row, present, y, support, query):
        """Prediction of the query rows of each of G * E episodes, see `select_role`.

        Arguments are those of `EpisodeGroup`. C is as many classes as the support has.
        While it is trained by known classes, the losses of these follow, (G * E, Q).
        """
        inputs = x[present]
        if self.training and self.augmentation is not None:
            inputs = augmented(self.augmentation, inputs, self._drawn_by(x.device))
        columns = inputs if self.embedding is None else self.embedding(inputs)
        features = self.learner.row_features(columns)
        z = features.new_zeros(*present.shape, features.shape[-1])
        z[present] = features
        weight, z_support, y_support = select_role(support.to(z), z, y)
        adapted = self.learner.adapt_features(z_support, y_support, weight)
        _, z_query = select_role(query, z)
        predicted = self.learner.predict_features(adapted, z_query)
        if self.auxiliary_classifier is None or not self.training:
            return predicted
        losses = self.auxiliary_classifier(columns, task, row, present)
        return predicted, select_role(query, losses)[1]

    def _drawn_by(self, device):
        """The generator of augmentation, where the rows are."""
        if self.generator is None or self.generator.device != device:
            self.generator = torch.Generator(device).manual_seed(self.seed)
        return self.generator
