"""Settings of a meta-training."""

from dataclasses import dataclass
from typing import Any

import torch

from .._networks.learners.network import Architecture

REGRESSION, SHARED_CLASSES, NWAY = "regression", "shared_classes", "nway"
"""The problems: numbers; classes that mean the same in every task; labels that each
task has for itself."""


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
    max_epochs: int
    steps_per_epoch: int
    batch_size: int
    lr: float
    validation_fraction: float
    patience: int
    callbacks: Any
    verbose: int
    n_way: tuple[int, int] = (2, 20)
    kernel_averaging: bool = False
    monitor: Any = None

    @property
    def keeps_tasks(self):
        """Whether the tasks are kept: `fit` trains an estimator on their rows."""
        return self.problem != NWAY and not isinstance(self.base_learner, str)
