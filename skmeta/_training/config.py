"""Settings of a meta-training."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from .._networks.learners.network import Architecture

REGRESSION, SHARED_CLASSES, NWAY = "regression", "shared_classes", "nway"
"""The problems: numbers; classes that mean the same in every task; labels that each
task has for itself."""

AUTO = "auto"
N_QUERY, MANY_QUERY = 20, 32
"""Query rows of an episode with ``n_query="auto"``, and those with an embedding or
task-specific labels."""


class LoopSettings(NamedTuple):
    """Length and rate of a training loop."""

    max_epochs: int
    steps_per_epoch: int
    batch_size: int
    lr: float
    patience: int
    decays: bool
    """Whether the learning rate falls to zero until the last epoch; otherwise it is cut
    at plateaus of the validation loss."""


FROM_INITIALIZATION = LoopSettings(16, 25, 64, 3e-3, 12, decays=True)
FROM_SCRATCH = LoopSettings(200, 50, 32, 1e-3, 10, decays=False)
"""What "auto" stands for: for networks that start at fitted Gaussian processes, and for
others."""

BATCH_OF_CLASSES = 32
TASKS_PER_EPOCH, MAX_EPOCHS = 12, 200
"""From an initialisation there is an epoch for each of so many tasks, if these are more
than the epochs above; and the maximum."""


@dataclass(frozen=True, eq=False)
class MetaConfig:
    """The settings of one meta-training, made once by the estimator.

    Attributes
    ----------
    problem : {"regression", "shared_classes", "nway"}
    architecture : Architecture
    structure : dict
        Parameters of the estimator that the learned state depends on; see
        `MetaState.parameters`.
    seed : int
    device : torch.device
        Device of the training.
    embedding_parameters : dict
        Arguments of the constructor of the embedding.
    n_support, n_way : (int, int)
        Ranges. ``n_way`` is used only by the problem "nway".
    n_query : int
    max_epochs, steps_per_epoch, batch_size, lr, patience : number or "auto"
        See `loop_settings`.
    monitor : FitTasks or None
        Reports the training to scikit-learn's callbacks.

    The others are the parameters of the estimator with these names.
    """

    problem: str
    architecture: Architecture
    structure: dict[str, Any]
    seed: int
    device: torch.device
    base_learner: Any
    pooled_estimator: Any
    task_attention: bool | str
    embedding: Any
    embedding_parameters: dict[str, Any]
    embedding_trainable: bool
    augmentation: Any
    embed_dim: int
    n_heads: int
    n_layers: int
    n_support: tuple[int, int]
    n_query: int
    max_epochs: int | str
    steps_per_epoch: int | str
    batch_size: int | str
    lr: float | str
    validation_fraction: float
    patience: int | str
    callbacks: Any
    verbose: int
    n_way: tuple[int, int] = (2, 20)
    kernel_averaging: bool = False
    monitor: Any = None

    @property
    def keeps_tasks(self):
        """Whether the tasks are kept: `fit` trains an estimator on their rows."""
        return self.problem != NWAY and not isinstance(self.base_learner, str)

    def loop_settings(self, n_tasks=None):
        """Settings of a training loop, those given by the user in place of "auto".

        Parameters
        ----------
        n_tasks : float, optional
            Number of training tasks of a network that starts at fitted Gaussian
            processes. By default training starts from scratch.
        """
        automatic = FROM_SCRATCH
        if n_tasks is not None:
            n_epochs = math.ceil(min(n_tasks / TASKS_PER_EPOCH, MAX_EPOCHS))
            least = FROM_INITIALIZATION.max_epochs
            automatic = FROM_INITIALIZATION._replace(max_epochs=max(n_epochs, least))
            if self.problem != REGRESSION:
                automatic = automatic._replace(batch_size=BATCH_OF_CLASSES)
        given = {
            name: getattr(self, name)
            for name in LoopSettings._fields
            if getattr(self, name, AUTO) != AUTO
        }
        return automatic._replace(**given)
