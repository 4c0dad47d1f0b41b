"""The result of meta-training, and its adaptation to a task."""

import copy
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from .._classical.pooled import PooledPredictor, pooled_outputs
from .._episodes.batch import Rows
from .._networks.learners.factory import base_learner_name
from .._networks.learners.sklearn_estimator import train_estimator
from .._preprocessing.column_reduction import ReducedScaler
from .._preprocessing.missing_values import MissingValues
from .._preprocessing.row_uncertainty import FeatureRange
from .._preprocessing.scaling import ClassCodec, FeatureScaler, TargetScaler
from .._utils.torch_state import own_torch
from .adapted import Adapted
from .config import NWAY
from .support_certainty import certainty


@dataclass(frozen=True, eq=False)
class MetaState:
    """Everything an estimator needs to adapt to a task; immutable.

    Estimators that are clones of one another share it by reference.

    Attributes
    ----------
    problem : {"regression", "shared_classes", "nway"}
    network : MetaNetwork or NWayNetwork
        On the CPU, in float64 and evaluation mode, its parameters frozen.
    parameters : dict
        Structural parameters of the estimator at meta-training.
    features : FeatureScaler or ReducedScaler
    targets : TargetScaler, ClassCodec or None
        None if labels are task-specific.
    pooled : tuple of PooledPredictor
    missing : MissingValues
        Replaces missing values.
    embedding : Embedding or None
        Maps rows to columns.
    row_shape : tuple of int
        Shape of an input row.
    feature_names : tuple of str or None
    task_names : ndarray of shape (n_meta_tasks,)
    task_embeddings : ndarray of shape (n_meta_tasks, embed_dim)
    task_attention : ndarray of shape (n_meta_tasks,)
        Weights of the tasks, with mean 1.
    history : list of dict
        One entry per epoch of meta-training.
    tasks : tuple of TaskCollection or lazy sequence
        The tasks in the order of their names, if `fit` needs their rows.
    seen : FeatureRange or None
        Range of the features in meta-training. None with an embedding, and if trained
        on a single task.
    """

    problem: str
    network: torch.nn.Module = field(repr=False)
    parameters: dict[str, Any]
    features: FeatureScaler | ReducedScaler
    targets: TargetScaler | ClassCodec | None
    pooled: tuple[PooledPredictor, ...]
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

    def __getstate__(self):
        """All attributes but the copies on devices, which are recreated on use."""
        return {k: v for k, v in vars(self).items() if k != "_on_devices"}

    def __setstate__(self, state):
        vars(self).update(state)
        self._freeze()

    def _freeze(self):
        self.network.eval().requires_grad_(False)
        if self.embedding is not None:
            self.embedding.eval().requires_grad_(False)
        for array in (self.task_names, self.task_embeddings, self.task_attention):
            if array is not None:
                array.flags.writeable = False
        vars(self)["_on_devices"] = {}

    @property
    def base_learners(self):
        """Names of the experts of the base learner, or of the base learner itself."""
        experts = () if self.problem == NWAY else self.network.core().experts
        if experts:
            return [one.name for one in experts]
        return [base_learner_name(self.parameters["base_learner"])]

    def having(self, **changes):
        """A copy with other values of some fields, without freezing it again."""
        other = object.__new__(type(self))
        vars(other).update(vars(self), **changes)
        if "network" in changes:
            vars(other)["_on_devices"] = {}
        return other

    def on(self, device):
        """The state on a device; the copy of the networks is cached."""
        if device.type == "cpu":
            return self
        if device not in self._on_devices:
            parts = (copy.deepcopy(part) for part in (self.network, self.embedding))
            moved = tuple(None if part is None else part.to(device) for part in parts)
            self._on_devices[device] = moved
        network, embedding = self._on_devices[device]
        return self.having(network=network, embedding=embedding)

    def running(self) -> AbstractContextManager:
        """Context with torch's defaults, on one thread without an embedding."""
        return own_torch(one_thread=self.embedding is None)

    def adapt(self, X, y, weight, device, base_learner=None, seed=0):
        """Adapt to one task.

        Parameters
        ----------
        X : ndarray of shape (n_support, ...)
        y : ndarray of shape (n_support,)
        weight : ndarray of shape (n_support,)
        device : torch.device
        base_learner : estimator, optional
            Trained for the task; its predictions are averaged with the network's.
        seed : int
            Seed of its training.

        Returns
        -------
        adapted : Adapted
        """
        located = self.on(device)
        with self.running():
            adaptation = located.network.adapt(
                located.support(X, weight), located.encoded(y)
            )
            model = None
            if base_learner is not None and len(X):
                model = train_estimator(
                    base_learner, located, adaptation, X, y, weight, seed
                )
        return Adapted(located, adaptation, X, model)

    def for_task(self, y):
        """The state for a task with targets ``y`` (n_support,), which set its classes.

        Raises
        ------
        ValueError
            If labels are task-specific, and there are none.
        """
        if self.problem != NWAY:
            return self
        if len(y) == 0:
            raise ValueError(
                "Labels are task-specific, and the classes of a task are those of its "
                "rows. Pass at least one row of positive weight."
            )
        return self.having(targets=ClassCodec(np.unique(y)))

    def rows(self, X, weight=None):
        """`Rows` of the rows ``X`` (n_rows, ...) of one task."""
        return self.embedded_rows(self.transform(X), weight)

    def support(self, X, weight):
        """`Rows` of support rows ``X`` (n_rows, ...).

        ``weight`` (n_rows,) is multiplied by the `certainty` of the rows.
        """
        return self.rows(X, weight * self.certainty(X))

    def certainty(self, X):
        """Weight factors (n_rows,) in (0, 1] of support rows ``X`` (n_rows, ...).

        1 except for rows that miss a value of a feature that was never missing in
        meta-training. For other features the network was trained with missing values.
        """
        certain = np.ones(len(X))
        if self.seen is None or self.problem == NWAY:
            return certain
        X = self.missing.mask_outliers(X)
        unknown = np.isnan(X)
        unknown[:, self.missing.indicated] = False
        holey = np.flatnonzero(unknown.any(1))
        if len(holey):
            companions = self.seen.filled(X[holey], unknown[holey]).swapaxes(0, 1)
            certain[holey] = certainty(self, companions)
        return certain

    def transform(self, X):
        """Columns (n_rows, n_columns) of rows ``X`` (n_rows, ...)."""
        X = self.missing.transform(X)
        return X if self.embedding is None else self.embedding.transform(X)

    def companions(self, X, support):
        """Companions of rows ``X``, for their uncertainty; see `FeatureRange`.

        ``support`` holds the rows of the task adapted to, both (n_rows, ...).
        """
        if self.seen is None:
            return None
        seen = self.seen.including(self.missing.mask_outliers(support))
        return seen.companions(self.missing.mask_outliers(X))

    def by_feature(self, relevance):
        """Relevance of each feature, from that of each column (at least n_columns,).

        With an embedding its columns are the features.
        """
        if self.embedding is not None:
            return relevance[: self.embedding.n_columns]
        return self.missing.by_feature(self.features.by_feature(relevance))

    def embedded_rows(self, X, weight=None):
        """`Rows` of the columns ``X`` (n_rows, n_columns) of one task."""
        x = self.features.transform(X, np.float64)
        if self.pooled:
            offset = self.targets.transform_offset(pooled_outputs(self.pooled, X))
        else:
            n_outputs = 0 if self.targets is None else self.targets.n_outputs
            offset = np.zeros((len(X), n_outputs))
        weight = np.ones(len(X)) if weight is None else np.asarray(weight)
        return Rows(*(self._tensor(a[None]) for a in (x, offset, weight)))

    def encoded(self, y):
        """Encoded targets (n_rows,) of one task, as a tensor."""
        return self._tensor(np.asarray(self.targets.transform(y, np.float64))[None])

    def _tensor(self, array):
        """``array`` on the device of the network; floats have its dtype."""
        like = next(self.network.parameters())
        dtype = like.dtype if array.dtype.kind == "f" else None
        return torch.from_numpy(array).to(like.device, dtype)
