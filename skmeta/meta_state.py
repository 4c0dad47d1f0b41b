"""What meta-training learned: one immutable holder."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from .pooled import PooledPredictor
from .scaling import FeatureScaler, LabelEncoder, TargetScaler
from .task_encoder import Rows


@dataclass(frozen=True, eq=False)
class MetaState:
    """Everything an estimator needs to adapt to a task; never changed once made.

    Estimators that are clones of one another share it by reference.

    Attributes
    ----------
    network : MetaNetwork
        On the CPU, in float64 and evaluation mode, its parameters frozen.
    parameters : dict
        Structural parameters of the estimator that it was trained with.
    features : FeatureScaler
    targets : TargetScaler or LabelEncoder
    pooled : PooledPredictor or None
    feature_names : tuple of str or None
    task_names : ndarray of shape (n_meta_tasks,)
    task_embeddings : ndarray of shape (n_meta_tasks, embed_dim)
    task_attention : ndarray of shape (n_meta_tasks,)
        Mean 1.
    history : list of dict
        One entry an epoch of meta-training.
    tasks : tuple of TaskCollection or lazy sequence
        The tasks in the order of their names, where rows are borrowed from them.
    """

    network: torch.nn.Module = field(repr=False)
    parameters: dict[str, Any]
    features: FeatureScaler
    targets: TargetScaler | LabelEncoder
    pooled: PooledPredictor | None
    feature_names: tuple | None = None
    task_names: np.ndarray = field(default_factory=lambda: np.empty(0, object))
    task_embeddings: np.ndarray = field(default=None, repr=False)
    task_attention: np.ndarray = field(default=None, repr=False)
    history: list = field(default_factory=list, repr=False)
    tasks: tuple = field(default=(), repr=False)

    def __post_init__(self):
        self._freeze()

    def __setstate__(self, state):
        vars(self).update(state)
        self._freeze()

    def _freeze(self):
        self.network.eval().requires_grad_(False)
        for array in (self.task_names, self.task_embeddings, self.task_attention):
            if array is not None:
                array.flags.writeable = False

    def rows(self, X, weight=None):
        """Rows ``X`` (n_rows, n_features) of one task, as the network takes them."""
        x = self.features.transform(X, np.float64)
        if self.pooled is None or len(X) == 0:
            prior = np.zeros((len(X), self.targets.n_outputs))
        else:
            prior = self.targets.transform_prior(self.pooled.predict(X))
        weight = np.ones(len(X)) if weight is None else np.asarray(weight)
        return Rows(
            *(torch.from_numpy(a)[None].to(self.dtype) for a in (x, prior, weight))
        )

    def encoded(self, y):
        """Targets (n_rows,) of one task, as the network takes them."""
        y = torch.from_numpy(np.asarray(self.targets.transform(y, np.float64)))[None]
        return y.to(self.dtype) if y.is_floating_point() else y

    @property
    def dtype(self):
        """Floating-point type of the network."""
        return next(self.network.parameters()).dtype
