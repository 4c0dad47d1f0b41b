"""What is trained on pools of rows, and what adapts to a task of its own classes."""

import torch
from torch import nn

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

    def forward(self, task, x, row, present, y, support):
        """Logits (G * E, R, C) of all rows of every pool, in each of its episodes.

        Arguments are those of `PoolBatch`. C is as many classes as the support has.
        While it is trained by known classes, the losses of these follow, (G * E, R).
        """
        inputs = x[present]
        if self.training and self.augmentation is not None:
            inputs = augmented(self.augmentation, inputs, self._drawn_by(x.device))
        columns = inputs if self.embedding is None else self.embedding(inputs)
        z = self.learner.row_features(columns)
        padded = z.new_zeros(*present.shape, z.shape[-1])
        padded[present] = z
        n_episodes = support.shape[1]
        z, y = (t.repeat_interleave(n_episodes, 0) for t in (padded, y))
        weight, first = support_first(support.flatten(0, 1).to(z))
        of_support = z.gather(1, first[..., None].expand(-1, -1, z.shape[-1]))
        adapted = self.learner.adapt_features(of_support, y.gather(1, first), weight)
        predicted = self.learner.predict_features(adapted, z)
        if self.known_classes is None or not self.training:
            return predicted
        losses = self.known_classes(columns, task, row, present)
        return predicted, losses.repeat_interleave(n_episodes, 0)

    def _drawn_by(self, device):
        """The generator of augmentation, where the rows are."""
        if self.generator is None or self.generator.device != device:
            self.generator = torch.Generator(device).manual_seed(self.seed)
        return self.generator


def support_first(weight):
    """Weights (B, S) and places (B, S) of the support rows among ``weight`` (B, R).

    S is what the longest support has; those of fewer are filled with rows of no weight.
    """
    longest = int((weight > 0).sum(1).max())
    weight, rows = weight.sort(dim=1, descending=True, stable=True)
    return weight[:, :longest], rows[:, :longest]


def augmented(augmentation, rows, generator):
    """Rows (n, ...) as the user's callable gives them, of the same shape."""
    changed = augmentation(rows, generator)
    if not isinstance(changed, torch.Tensor) or changed.shape != rows.shape:
        found = getattr(changed, "shape", type(changed).__name__)
        raise ValueError(
            f"augmentation turned rows of shape {tuple(rows.shape)} into {found}; it "
            "must give a tensor of the same shape."
        )
    return changed


class ClassNetwork(nn.Module):
    """What is meta-trained where every task has classes of its own."""

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
