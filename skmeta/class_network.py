"""What is trained on pools of rows, and what adapts to a task of its own classes."""

import torch
from torch import nn

from .pools import in_role
from .task_encoder import Rows


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


def augmented(augmentation, rows, generator):
    """Rows (n, ...) as the user's callable gives them, of the same shape."""
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


class ClassNetwork(nn.Module):
    """What is meta-trained where every task has classes of its own."""

    has_own_classes = True

    def __init__(self, learner):
        super().__init__()
        self.learner = learner

    def remembering(self, memory):
        """The same network with other tasks remembered; all else is shared."""
        return ClassNetwork(self.learner.remembering(memory))

    def adapt(self, support, y):
        """Adapt to the support rows (`Rows`) of each task, and their classes."""
        return self.learner.adapt(support.x, y, support.weight)

    def forward(self, x_support, prior_support, weight_support, y_support,
                x_query, prior_query):  # fmt: skip
        """Adapt to the support of each task and give the logits of its query rows."""
        support = Rows(x_support, prior_support, weight_support)
        query = Rows(x_query, prior_query, x_query.new_ones(x_query.shape[:2]))
        return self.learner.predict(self.adapt(support, y_support), query)
