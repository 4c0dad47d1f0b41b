"""What meta-training learned: one immutable holder."""

import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from .._classical.pooled import PooledPredictor
from .._episodes.batch import Rows
from .._preprocessing.column_reduction import ReducedScaler
from .._preprocessing.missing_values import MissingValues
from .._preprocessing.row_uncertainty import FeatureRange
from .._preprocessing.scaling import ClassCodec, FeatureScaler, TargetScaler
from .support_certainty import certainty


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
    features : FeatureScaler or ReducedScaler
    targets : TargetScaler, LabelEncoder or None
        None where every task has classes of its own.
    pooled : PooledPredictor or None
    missing : MissingValues
        What takes the place of missing values in the rows that it is given.
    embedding : Embedding or None
        What turns these rows into columns.
    row_shape : tuple of int
        Of the rows that it is given.
    feature_names : tuple of str or None
    task_names : ndarray of shape (n_meta_tasks,)
    task_embeddings : ndarray of shape (n_meta_tasks, embed_dim)
    task_attention : ndarray of shape (n_meta_tasks,)
        Mean 1.
    history : list of dict
        One entry an epoch of meta-training.
    tasks : tuple of TaskCollection or lazy sequence
        The tasks in the order of their names, where rows are borrowed from them.
    seen : FeatureRange or None
        Where the rows of meta-training lie. None with an embedding, and where one task
        is learned alone.
    """

    network: torch.nn.Module = field(repr=False)
    parameters: dict[str, Any]
    features: FeatureScaler | ReducedScaler
    targets: TargetScaler | ClassCodec | None
    pooled: PooledPredictor | None
    missing: MissingValues = field(repr=False)
    embedding: torch.nn.Module | None = field(default=None, repr=False)
    row_shape: tuple = ()
    feature_names: tuple | None = None
    task_names: np.ndarray = field(default_factory=lambda: np.empty(0, object))
    task_embeddings: np.ndarray | None = field(default=None, repr=False)
    task_attention: np.ndarray | None = field(default=None, repr=False)
    history: list = field(default_factory=list, repr=False)
    tasks: tuple = field(default=(), repr=False)
    seen: FeatureRange | None = field(default=None, repr=False)

    def __post_init__(self):
        self._freeze()

    def __setstate__(self, state):
        vars(self).update(state)
        self._freeze()

    def _freeze(self):
        self.network.eval().requires_grad_(False)
        if self.embedding is not None:
            self.embedding.freeze(self.row_shape)
        for array in (self.task_names, self.task_embeddings, self.task_attention):
            if array is not None:
                array.flags.writeable = False

    def having(self, **changes):
        """The same with other values of some fields, without freezing it all again."""
        other = object.__new__(type(self))
        vars(other).update(vars(self), **changes)
        return other

    def to(self, device):
        """The same on a device."""
        moved = (copy.deepcopy(part) for part in (self.network, self.embedding))
        network, embedding = (
            part if part is None else part.to(device) for part in moved
        )
        return replace(self, network=network, embedding=embedding)

    def rows(self, X, weight=None):
        """Rows ``X`` (n_rows, ...) of one task, as the network takes them."""
        return self.embedded_rows(self.columns(X), weight)

    def support(self, X, weight):
        """Rows ``X`` (n_rows, ...) to adapt to, which count as far as they are known.

        ``weight`` (n_rows,) is what they would count.
        """
        return self.rows(X, weight * self.certainty(X))

    def certainty(self, X):
        """What rows ``X`` (n_rows, ...) to adapt to count, (n_rows,) in (0, 1].

        1 but for those that miss a value of a feature that was never missing in
        meta-training: what was, the network knows of.
        """
        certain = np.ones(len(X))
        if self.seen is None or self.network.has_task_specific_labels:
            return certain
        X = self.missing.marked(X)
        unknown = np.isnan(X)
        unknown[:, self.missing.indicated] = False
        holey = np.flatnonzero(unknown.any(1))
        if len(holey):
            companions = self.seen.filled(X[holey], unknown[holey]).swapaxes(0, 1)
            certain[holey] = certainty(self, companions)
        return certain

    def columns(self, X):
        """Columns (n_rows, n_columns) of rows ``X`` (n_rows, ...)."""
        X = self.missing.columns(X)
        return X if self.embedding is None else self.embedding.columns(X)

    def companions(self, X, support):
        """What shows how unsure rows ``X`` make predictions, see `FeatureRange`.

        ``support`` holds the rows of the task adapted to, both (n_rows, ...).
        """
        if self.seen is None:
            return None
        seen = self.seen.including(self.missing.marked(support))
        return seen.companions(self.missing.marked(X))

    def by_feature(self, relevance):
        """Relevance of each feature, from that of each column (at least n_columns,).

        With an embedding its columns are the features.
        """
        if self.embedding is not None:
            return relevance[: self.embedding.n_columns]
        return self.missing.by_feature(self.features.by_feature(relevance))

    def embedded_rows(self, X, weight=None):
        """Columns ``X`` (n_rows, n_columns) of one task, as the network takes them."""
        x = self.features.transform(X, np.float64)
        if self.pooled is None or len(X) == 0:
            n_outputs = 0 if self.targets is None else self.targets.n_outputs
            prior = np.zeros((len(X), n_outputs))
        else:
            prior = self.targets.transform_offset(self.pooled.predict(X))
        weight = np.ones(len(X)) if weight is None else np.asarray(weight)
        return Rows(*(self._tensor(a[None]) for a in (x, prior, weight)))

    def encoded(self, y):
        """Targets (n_rows,) of one task, as the network takes them."""
        return self._tensor(np.asarray(self.targets.transform(y, np.float64))[None])

    def _tensor(self, array):
        """``array`` where the network is; numbers of its type."""
        like = next(self.network.parameters())
        dtype = like.dtype if array.dtype.kind == "f" else None
        return torch.from_numpy(array).to(like.device, dtype)
