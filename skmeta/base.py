"""The estimator contract: three states, clones that keep what was learned, devices.

*new* -> ``meta_fit`` -> *meta-fitted* -> ``fit`` -> *adapted*.
"""

import warnings
from contextlib import contextmanager
from copy import deepcopy
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    clone,
    is_classifier,
)
from sklearn.base import _clone_parametrized as clone_parametrized
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight
from skorch.callbacks import Callback
from threadpoolctl import threadpool_limits

from ._validation import NO_TARGETS, validate_rows
from .base_learner import BASE_LEARNERS
from .exceptions import NotMetaFittedWarning
from .meta_training import meta_train, train_alone
from .task_encoder import Rows
from .tasks import check_tasks

FLOATS = (np.float64, np.float32)


def resolve_device(device):
    """The torch device that ``device`` names; "auto" is a GPU where there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


def _comparable(value):
    """What of a parameter matters: of an estimator, all but its random states."""
    if hasattr(value, "get_params"):
        value = clone(value)
        names = [n for n in value.get_params() if n.split("__")[-1] == "random_state"]
        value.set_params(**dict.fromkeys(names))
    return repr(value)


@contextmanager
def single_thread():
    """Run torch on one thread, fastest for small tensors, and as before after."""
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n)


class MetaLearner(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """What the meta-learners of all three systems have in common.

    A system says which task encoder it has (``_make_encoder``); a regressor or
    classifier how targets are checked and predictions read.
    """

    _structural = (
        "base_learner",
        "pooled_estimator",
        "embed_dim",
        "n_heads",
        "n_layers",
    )
    _parameter_constraints: dict = {
        "base_learner": [StrOptions(set(BASE_LEARNERS))],
        "pooled_estimator": [
            None,
            StrOptions({"auto"}),
            HasMethods(["fit", "predict"]),
        ],
        "task_attention": ["boolean", StrOptions({"auto"})],
        "embed_dim": [Interval(Integral, 1, None, closed="left")],
        "n_heads": [Interval(Integral, 1, None, closed="left")],
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "n_support": [Interval(Integral, 0, None, closed="left"), tuple, list],
        "n_query": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 0, None, closed="left")],
        "steps_per_epoch": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "callbacks": [None, list],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
    }

    def __init__(
        self,
        base_learner="gp",
        pooled_estimator="auto",
        *,
        task_attention="auto",
        embed_dim=48,
        n_heads=4,
        n_layers=2,
        n_support=(0, 25),
        n_query=32,
        max_epochs=200,
        steps_per_epoch=50,
        batch_size=32,
        lr=1e-3,
        validation_fraction=0.2,
        patience=15,
        callbacks=None,
        device="auto",
        random_state=None,
        verbose=0,
        warm_start=False,
    ):
        self.base_learner = base_learner
        self.pooled_estimator = pooled_estimator
        self.task_attention = task_attention
        self.embed_dim = embed_dim
        self.n_heads = n_heads
        self.n_layers = n_layers
        self.n_support = n_support
        self.n_query = n_query
        self.max_epochs = max_epochs
        self.steps_per_epoch = steps_per_epoch
        self.batch_size = batch_size
        self.lr = lr
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.callbacks = callbacks
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start

    # -- meta-training --------------------------------------------------------------

    def meta_fit(self, tasks, *, validation_tasks=None):
        """Learn across tasks how to learn one.

        State change: any state -> *meta-fitted*. What was learned before is
        forgotten, unless ``warm_start=True``.

        Parameters
        ----------
        tasks : TaskCollection, list of (X, y), dict, lazy sequence or distribution
            The meta-training tasks, all with the same columns.
        validation_tasks : as ``tasks``, default=None
            Tasks to stop on, and to choose the pooled estimator on. None sets
            ``validation_fraction`` of ``tasks`` aside.

        Returns
        -------
        self : estimator
            Adapted to no task yet.

        Raises
        ------
        ValueError
            If a task or a parameter is not valid; nothing is changed.
        NonFiniteLossError
            If training breaks down; the estimator keeps the best state so far.
        """
        self._check_parameters()
        tasks = check_tasks(tasks)
        if validation_tasks is not None:
            validation_tasks = check_tasks(validation_tasks)
        previous = getattr(self, "meta_state_", None) if self.warm_start else None
        if previous is not None:
            self._check_structure()
        with single_thread(), threadpool_limits(1):
            state, failure = meta_train(
                self._settings(),
                self._structure(),
                self._make_encoder,
                tasks,
                validation_tasks,
                classification=is_classifier(self),
                seed=self._seed(),
                device=resolve_device(self.device),
                previous=previous,
            )
        self._forget()
        self._take_over(state)
        if failure is not None:
            raise failure
        return self

    def _check_parameters(self):
        self._validate_params()

        def refuse(name, wanted):
            raise ValueError(
                f"The {name!r} parameter of {type(self).__name__} must be {wanted}. "
                f"Got {getattr(self, name)!r} instead."
            )

        if not isinstance(self.n_support, Integral):
            integers = all(isinstance(n, Integral) for n in self.n_support)
            if not integers or len(self.n_support) != 2 or not (
                0 <= self.n_support[0] <= self.n_support[1]
            ):  # fmt: skip
                refuse("n_support", "an int from 0, or a range (low, high) of them")
        if self.embed_dim % self.n_heads:
            refuse("embed_dim", f"a multiple of n_heads={self.n_heads}")
        try:
            resolve_device(self.device)
        except RuntimeError:
            refuse("device", '"auto" or what torch.device takes')
        for callback in self.callbacks or []:
            one = callback[-1] if isinstance(callback, tuple) else callback
            if not isinstance(one, Callback):
                refuse("callbacks", "a list of skorch callbacks or (name, callback)")

    def _settings(self):
        return self.get_params(deep=False)

    def _structure(self):
        return {n: clone(getattr(self, n), safe=False) for n in self._structural}

    def _seed(self):
        rng = check_random_state(self.random_state)
        return int(rng.randint(np.iinfo(np.int32).max))

    def _take_over(self, state):
        """Take the attributes that show what was meta-learned from ``state``."""
        self.meta_state_ = state
        self._show_targets(state.targets)
        self.history_ = state.history
        self.task_names_ = state.task_names
        self.task_embeddings_ = state.task_embeddings
        self.task_attention_ = state.task_attention
        self.n_features_in_ = len(state.features.mean)
        if state.feature_names is not None:
            self.feature_names_in_ = np.array(state.feature_names, dtype=object)

    def _forget(self):
        for name in set(vars(self)) - set(self._get_param_names()):
            delattr(self, name)

    def __sklearn_clone__(self):
        copy = clone_parametrized(self)
        if hasattr(self, "meta_state_"):
            copy._take_over(self.meta_state_)
        return copy

    # -- adaptation -----------------------------------------------------------------

    def fit(self, X, y, sample_weight=None):
        """Adapt to one task.

        State change: *meta-fitted* or *adapted* -> *adapted*, each time from what was
        meta-learned, which stays as it is. In the state *new*, the base learner is
        trained on these rows alone, with a `NotMetaFittedWarning`.

        Parameters
        ----------
        X : array-like of shape (n_support, n_features)
        y : array-like of shape (n_support,)
        sample_weight : array-like of shape (n_support,), default=None
            A row of weight w counts as w equal rows.

        Returns
        -------
        self : estimator
        """
        return self._fit(X, y, sample_weight)

    def partial_fit(self, X, y, sample_weight=None):
        """Add rows to the task that the estimator is adapted to.

        State change: *meta-fitted* or *adapted* -> *adapted*, as if by one ``fit`` on
        all rows since the first; in the state *new*, as ``fit``.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
        y : array-like of shape (n_rows,)
        sample_weight : array-like of shape (n_rows,), default=None

        Returns
        -------
        self : estimator
        """
        return self._fit(X, y, sample_weight, add_to=getattr(self, "_support", None))

    def _fit(self, X, y, sample_weight, add_to=None, classes=None):
        meta_fitted = hasattr(self, "meta_state_")
        if meta_fitted:
            self._check_structure()
        else:
            self._check_parameters()
            warnings.warn(
                f"This {type(self).__name__} was not meta-fitted: its base learner is "
                "trained on these rows alone. Call meta_fit(tasks) first to learn "
                "from other tasks.",
                NotMetaFittedWarning,
                stacklevel=3,
            )
        reset = not meta_fitted and add_to is None
        X, y = self._check_rows(X, y, reset)
        weight = _check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        y = self._check_target(y)
        X, y, weight = (a[weight > 0] for a in (X, y, weight))
        if add_to is not None:
            support = zip(add_to, (X, y, weight), strict=True)
            X, y, weight = (np.concatenate(pair) for pair in support)
        state = self.meta_state_ if meta_fitted else self._alone(X, y, weight, classes)
        with single_thread():
            adapted = self._adapt(state, X, y, weight)
        self._state, self._support, self._adapted = state, (X, y, weight), adapted
        self._show_targets(state.targets)
        self.device_ = resolve_device(self.device)
        self.task_embedding_ = adapted.encoding.task[0].cpu().numpy()
        relevance = self._network(state).learner.relevance(adapted)[0]
        relevance = relevance[: X.shape[1]].double().cpu().numpy()
        total = relevance.sum()
        n = len(relevance)
        self.feature_attention_ = relevance / total if total > 0 else np.full(n, 1 / n)
        return self

    def _alone(self, X, y, weight, classes=None):
        if len(X) == 0:
            raise ValueError(
                "All sample weights are zero, and without meta_fit there is nothing "
                "else to learn from. Give at least one row a positive weight."
            )
        classes = self._classes_of(y, classes)
        with single_thread():
            return train_alone(
                self._settings(), self._structure(), self._make_encoder,
                X, y, weight, classes, self._seed(),
            )  # fmt: skip

    def _check_meta_fitted(self):
        if not hasattr(self, "meta_state_"):
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call "
                "meta_fit(tasks) to learn from other tasks, then fit(X, y) to adapt "
                "to one; after meta_fit alone it predicts from the prior."
            )
        self._check_structure()
        return self.meta_state_

    def _current_state(self):
        return getattr(self, "_state", None) or self.meta_state_

    def _check_rows(self, X, y=NO_TARGETS, reset=False):
        numeric = not is_classifier(self)
        return validate_rows(self, X, y, reset=reset, dtype=FLOATS, numeric=numeric)

    def _check_structure(self):
        """Refuse structural parameters other than those that were meta-trained."""
        trained = self.meta_state_.parameters
        changed = [
            f"{name}={getattr(self, name)!r} (meta_fit had {value!r})"
            for name, value in trained.items()
            if _comparable(getattr(self, name)) != _comparable(value)
        ]
        if changed:
            raise ValueError(
                f"Parameters of {type(self).__name__} were changed after meta_fit: "
                f"{'; '.join(changed)}. Set them back, or call meta_fit again."
            )

    def _network(self, state):
        """The network of ``state`` on the resolved device."""
        device = resolve_device(self.device)
        if device.type == "cpu":
            return state.network
        cached = self.__dict__.get("_moved")
        if cached is None or cached[0] is not state or cached[1] != device:
            self._moved = (state, device, deepcopy(state.network).to(device))
        return self._moved[2]

    @torch.no_grad()
    def _adapt(self, state, X, y, weight):
        network = self._network(state)
        device = next(network.parameters()).device
        rows = Rows(*(t.to(device) for t in state.rows(X, weight)))
        return network.adapt(rows, state.encoded(y).to(device))

    def _adaptation(self):
        """The state predicted with, and its adaptation: to no row, before ``fit``."""
        if not hasattr(self, "_support"):
            state = self.meta_state_
            X = np.empty((0, self.n_features_in_))
            y = np.empty(0, dtype=state.targets.dtype)
            return state, self._adapt(state, X, y, np.empty(0))
        if not hasattr(self, "_adapted"):  # dropped by pickling
            self._adapted = self._adapt(self._state, *self._support)
        return self._state, self._adapted

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_support")

    def __getstate__(self):
        """All but what lives on a device, which is made again on first use."""
        state = super().__getstate__().copy()
        for name in ("_adapted", "_moved", "device_"):
            state.pop(name, None)
        return state

    def __setstate__(self, state):
        super().__setstate__(state)
        if hasattr(self, "_support"):
            self.device_ = resolve_device(self.device)
