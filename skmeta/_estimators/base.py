"""The estimator contract: three states, clones that keep what was learned, devices.

*new* -> ``meta_fit`` -> *meta-fitted* -> ``fit`` -> *adapted*.
"""

import warnings
from functools import partial

import numpy as np
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    clone,
    is_classifier,
)
from sklearn.base import _clone_parametrized as clone_parametrized
from sklearn.exceptions import NotFittedError

from .._networks.learners.sklearn_estimator import (
    EstimatorLearner,
    extra_inputs_of,
    train_estimator,
)
from .._preprocessing.wild_values import warn_of_far_rows
from .._training.meta_training import meta_train
from .._training.single_task import train_alone
from .._training.split import drop_zero_weight
from .._utils.threads import single_pool_thread
from .._utils.torch_state import own_torch
from ..exceptions import NotMetaFittedWarning
from ..tasks import check_tasks
from ..tasks._not_tasks import takes_tasks
from ..tasks._row_checks import (
    NO_TARGETS,
    check_label_type,
    validate_rows,
    validate_weights,
)
from .callbacks import CallbackSupportMixin, FitTasks, with_callbacks
from .html_repr import HTMLReprMixin
from .parameters import Parameters, resolve_device

FLOATS = (np.float64, np.float32)
PRIVATE = ("_state", "_support", "_adapted", "_moved")
"""Attributes of an adapted estimator, next to those that end with an underscore."""


class MetaLearner(
    HTMLReprMixin,
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    Parameters,
):
    """What the meta-learners of all three systems have in common.

    ``_system`` says what a system is made of; a regressor or classifier how targets are
    checked and predictions read.
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # -- meta-training --------------------------------------------------------------

    @takes_tasks
    @with_callbacks
    def meta_fit(self, tasks, *, validation_tasks=None):
        """Learn across tasks how to learn one.

        State change: any state -> *meta-fitted*. What was learned before is
        forgotten, unless ``warm_start=True``.

        Parameters
        ----------
        tasks : TaskCollection, list of (X, y), dict, lazy sequence or distribution
            The meta-training tasks, all with the same columns. One with a ``weight``
            counts so much more, or less, in the losses that are minimised.
        validation_tasks : as ``tasks``, default=None
            Tasks to stop on, and to choose the pooled estimator on. None sets
            ``validation_fraction`` of ``tasks`` aside.

        Returns
        -------
        self : estimator
            Adapted to no task yet.

        Raises
        ------
        TypeError
            If X and y are given in place of tasks.
        ValueError
            If a task or a parameter is not valid, or the columns are not those of
            ``validation_tasks``, or of what ``warm_start=True`` continues from;
            nothing is changed.
        NonFiniteLossError
            If training breaks down; the estimator keeps the best state so far.
        """
        self._check_parameters()
        tasks = drop_zero_weight(check_tasks(tasks))
        if validation_tasks is not None:
            validation_tasks = drop_zero_weight(check_tasks(validation_tasks))
        previous = getattr(self, "meta_state_", None) if self.warm_start else None
        if previous is not None:
            self._check_structure(self.meta_state_.parameters)
        fit_tasks = FitTasks.begin(self)
        with self._torch(grad=True), single_pool_thread():
            state, failure = self._trainer(tasks, previous)(
                self._settings() | {"fit_tasks": fit_tasks},
                self._structure(), self._system,
                tasks, validation_tasks,
                seed=self._seed(),
                device=resolve_device(self.device),
                previous=previous,
            )  # fmt: skip
        if previous is not None and state.feature_names is None:
            state = state.having(feature_names=previous.feature_names)
        self._forget()
        self._take_over(state)
        self._warn_of(state.targets)
        if fit_tasks is not None:
            fit_tasks.context.call_on_fit_task_end(estimator=self)
        if failure is not None:
            raise failure
        return self

    def _trainer(self, tasks, previous):
        """What learns across tasks."""
        return partial(
            meta_train,
            classification=is_classifier(self),
            keeps_tasks=not isinstance(self.base_learner, str),
        )

    def _take_over(self, state):
        """Take the attributes that show what was meta-learned from ``state``."""
        self.meta_state_ = state
        self._show_targets(state.targets)
        self.history_ = state.history
        self.task_names_ = state.task_names
        self.task_embeddings_ = state.task_embeddings
        self.task_attention_ = state.task_attention
        self.n_features_in_ = state.row_shape[0]
        if state.feature_names is not None:
            self.feature_names_in_ = np.array(state.feature_names, dtype=object)

    def _shown(self, state):
        """Attributes of an estimator that has learned ``state``, and not adapted."""
        other = clone_parametrized(self)
        other._take_over(state)
        return {name: vars(other)[name] for name in other._learned()} | {
            "_support": None
        }

    def _learned(self):
        """Names of the attributes that `meta_fit` and `fit` set."""
        own = {name for name in vars(self) if name.endswith("_")} - {"_"}
        own -= set(self.get_params(deep=False))
        return [*own, *(n for n in PRIVATE if n in vars(self))]

    def _forget(self):
        for name in self._learned():
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
            A row of weight w counts as w equal rows. To an estimator as base learner
            it weighs what it does to that estimator. After `meta_fit`, weights that
            are all 0 adapt to no row: predictions are zero-shot.

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
            self._check_structure(self.meta_state_.parameters)
            self._check_base_learner()
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
        weight = validate_weights(sample_weight, X)
        y = self._check_target(y)
        X, y, weight = (a[weight > 0] for a in (X, y, weight))
        if add_to is not None:
            check_label_type(y, add_to[1])
            support = zip(add_to, (X, y, weight), strict=True)
            X, y, weight = (np.concatenate(pair) for pair in support)
        if meta_fitted:
            state = self._state_for(self.meta_state_, y)
            rows = state.missing.marked(X)
            warn_of_far_rows(rows, state.seen, y, state.targets)
        else:
            state = self._alone(X, y, weight, classes)
        with self._torch():
            adapted, model = self._adapt(state, X, y, weight), None
            if len(X) and not isinstance(self.base_learner, str):
                model = train_estimator(
                    self.base_learner, self._located(state), adapted, X, y, weight,
                    self._seed(),
                )  # fmt: skip
            relevance = self._located(state).network.learner.relevance(adapted)[0]
            relevance = state.by_feature(relevance.double().cpu().numpy())
        self._state, self._support, self._adapted = state, (X, y, weight), adapted
        vars(self).pop("base_learner_", None)
        if model is not None:
            self.base_learner_ = model
        self._show_targets(state.targets)
        self.device_ = resolve_device(self.device)
        self.task_embedding_ = adapted.encoding.task[0].cpu().numpy()
        total, n = relevance.sum(), len(relevance)
        self.feature_attention_ = relevance / total if total > 0 else np.full(n, 1 / n)
        return self

    def _alone(self, X, y, weight, classes=None):
        if len(X) == 0:
            raise ValueError(
                "All sample weights are zero, and without meta_fit there is nothing "
                "else to learn from (after meta_fit, predictions are zero-shot). Give "
                "at least one row a positive weight."
            )
        classes = self._classes_of(y, classes)
        with self._torch(grad=True):
            return train_alone(
                self._settings(), self._structure(), self._system,
                X, y, weight, classes, self._seed(),
            )  # fmt: skip

    def _check_meta_fitted(self):
        if not hasattr(self, "meta_state_"):
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call "
                "meta_fit(tasks) to learn from other tasks, then fit(X, y) to adapt "
                "to one; after meta_fit alone it predicts from the prior."
            )
        self._check_structure(self.meta_state_.parameters)
        return self.meta_state_

    def _current_state(self):
        return getattr(self, "_state", None) or self.meta_state_

    def _check_rows(self, X, y=NO_TARGETS, reset=False):
        state = None if reset else self._current_state()
        return validate_rows(
            self, X, y, reset=reset, dtype=FLOATS, numeric=not is_classifier(self),
            row_shape=None if state is None else state.row_shape,
            allow_nd=self.embedding is not None, allow_nan=True,
        )  # fmt: skip

    def _state_for(self, state, y):
        """What was meta-learned, for a task with the targets ``y`` (n_support,)."""
        return state

    def _located(self, state):
        """``state`` on the resolved device."""
        device = self._usable_device()
        if device.type == "cpu":
            return state
        cached = self.__dict__.get("_moved")
        if cached is None or cached[0] is not state.network or cached[1] != device:
            self._moved = (state.network, device, state.to(device))
        moved = self._moved[2]
        return state.having(network=moved.network, embedding=moved.embedding)

    def _torch(self, grad=False):
        """Torch as it is run here, on one thread where there is no embedding."""
        return own_torch(grad=grad, one_thread=self.embedding is None)

    def _learner(self, state):
        """What predicts for the task adapted to."""
        learner = self._located(state).network.learner
        if not hasattr(self, "base_learner_"):
            return learner
        return EstimatorLearner(learner, self.base_learner_, extra_inputs_of(state))

    def _adapt(self, state, X, y, weight):
        state = self._located(state)
        return state.network.adapt(state.support(X, weight), state.encoded(y))

    def _adaptation(self):
        """The state predicted with, and its adaptation: to no row, before ``fit``."""
        if not self.__sklearn_is_fitted__():
            state = self.meta_state_
            X, y = self._no_rows(state)
            with self._torch():
                return state, self._adapt(state, X, y, np.empty(0))
        device = resolve_device(self.device)
        if not hasattr(self, "_adapted") or self.device_ != device:  # pickled or moved
            with self._torch():
                self._adapted = self._adapt(self._state, *self._support)
            self.device_ = device
        return self._state, self._adapted

    def _no_rows(self, state):
        """A support ``(X, y)`` of no rows."""
        return np.empty((0, *state.row_shape)), np.empty(0, dtype=state.targets.dtype)

    def __sklearn_is_fitted__(self):
        return getattr(self, "_support", None) is not None

    def __getstate__(self):
        """All but what lives on a device, which is made again on first use.

        Callbacks are as they were given: after training some hold its optimizer.
        """
        state = super().__getstate__()
        for name in ("_adapted", "_moved", "device_"):
            state.pop(name, None)
        state["callbacks"] = clone(self.callbacks, safe=False)
        return state

    def __setstate__(self, state):
        super().__setstate__(state)
        if self.__sklearn_is_fitted__():
            self.device_ = resolve_device(self.device)
