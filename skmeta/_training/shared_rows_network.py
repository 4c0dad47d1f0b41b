"""Episodes that share the rows of a task, which are embedded once."""

import torch
from torch import nn

from .._episodes.shared_rows import select_role


class SharedRowsNetwork(nn.Module):
    """An embedding, if any, and a learner, trained on `GroupBatch`.

    Rows are augmented, during training, and embedded once for all episodes.

    Parameters
    ----------
    learner : module
    embedding : Embedding, optional
    augmentation : callable, optional
    auxiliary_classifier : AuxiliaryClassifier, optional
        Its losses train the embedding as well.
    seed : int
        Of the augmentation.
    """

    def __init__(self, learner, embedding=None, augmentation=None,
                 auxiliary_classifier=None, seed=0):  # fmt: skip
        super().__init__()
        self.learner, self.embedding = learner, embedding
        self.auxiliary_classifier = auxiliary_classifier
        self.augmentation = augmentation
        self.seed, self.generator = seed, None

    def forward(self, task, x, row, present, y, support, query):
        """Prediction of the query rows of each of G * E episodes, see `select_role`.

        Arguments are those of `GroupBatch`. During training with an auxiliary
        classifier, its losses (G * E, Q) are the second output.
        """
        columns = self.embed(x[present])
        adapted, z_query = self.adapt(columns, present, y, support, query)
        predicted = self.learner.predict_features(adapted, z_query)
        if self.auxiliary_classifier is None or not self.training:
            return predicted
        losses = self.auxiliary_classifier(columns, task, row, present)
        return predicted, select_role(query, losses)[1]

    def adapt(self, columns, present, y, support, query):
        """The learner adapted to each episode, and features of the query rows."""
        features = self.learner.row_features(columns)
        z = features.new_zeros(*present.shape, features.shape[-1])
        z[present] = features
        weight, z_support, y_support = select_role(support.to(z), z, y)
        adapted = self.learner.adapt_features(z_support, y_support, weight)
        return adapted, select_role(query, z)[1]

    def embed(self, rows):
        """Columns (n, n_columns) of rows (n, ...), augmented during training."""
        if self.training and self.augmentation is not None:
            rows = augment(self.augmentation, rows, self._generator_on(rows.device))
        return rows if self.embedding is None else self.embedding(rows)

    def _generator_on(self, device):
        """The random generator of the augmentation on a device."""
        if self.generator is None or self.generator.device != device:
            self.generator = torch.Generator(device).manual_seed(self.seed)
        return self.generator


def augment(augmentation, rows, generator):
    """Apply the user's augmentation to rows (n, ...) and check the shape."""
    try:
        changed = augmentation(rows, generator)
    except TypeError as error:
        error.add_note("augmentation is called as augmentation(rows, generator).")
        raise
    except RuntimeError as error:
        if rows.device.type != "cpu":
            error.add_note(
                f"augmentation was given rows and a generator on {rows.device}: what "
                "it draws must be made there, as by torch.rand(..., "
                "generator=generator, device=rows.device)."
            )
        raise
    if not isinstance(changed, torch.Tensor) or changed.shape != rows.shape:
        found = getattr(changed, "shape", type(changed).__name__)
        raise ValueError(
            f"augmentation turned rows of shape {tuple(rows.shape)} into {found}; it "
            "must give a tensor of the same shape."
        )
    return changed
