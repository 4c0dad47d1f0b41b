"""What is trained on pools of rows, and what adapts to a task of its own classes."""

import torch
from torch import nn

from ..._episodes.batch import Rows


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

    def __init__(self, learner):
        super().__init__()
        self.learner = learner

    def with_memory(self, memory):
        """The same network with other tasks remembered; all else is shared."""
        return ClassNetwork(self.learner.with_memory(memory))

    def adapt(self, support, y):
        """Adapt to the support rows (`Rows`) of each task, and their classes."""
        return self.learner.adapt(support.x, y, support.weight)

    def forward(self, x_support, offset_support, weight_support, y_support,
                x_query, offset_query):  # fmt: skip
        """Adapt to the support of each task and give the logits of its query rows."""
        support = Rows(x_support, offset_support, weight_support)
        query = Rows(x_query, offset_query, x_query.new_ones(x_query.shape[:2]))
        return self.learner.predict(self.adapt(support, y_support), query)
