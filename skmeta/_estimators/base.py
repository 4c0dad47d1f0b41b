"""The estimator contract that the meta-learners of all three systems share."""

import numpy as np
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    clone,
    is_classifier,
)
from sklearn.exceptions import NotFittedError

from .._preprocessing.outliers import warn_unusual_rows
from .._training.meta_training import meta_train
from .._training.single_task import train_on_single_task
from .._training.split import drop_zero_weight
from .._utils.threads import single_pool_thread
from .._utils.torch_state import own_torch
from ..tasks import check_tasks
from ..tasks._argument_checks import takes_tasks
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


class MetaLearner(
    HTMLReprMixin,
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    Parameters,
):
    """Base class of the meta-learners of all three systems.

    ``_architecture`` defines the network; subclasses for regression and classification
    check targets and decode predictions. `fit` checks its arguments and calls
    `MetaState.adapt`; `Adapted` computes predictions.
    """

    _adaptation = ("_state", "_support", "_adapted")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # -- meta-training --------------------------------------------------------------

    @takes_tasks
    @with_callbacks
    def meta_fit(self, tasks, *, validation_tasks=None):
        """Meta-train on tasks.

        State change: any state -> *meta-fitted*. Earlier results are discarded, unless
        ``warm_start=True``.

        Parameters
        ----------
        tasks : TaskCollection, list of (X, y), dict, lazy sequence or distribution
            The meta-training tasks, all with the same columns. The loss of a task is
            multiplied by its ``weight``, if it has one.
        validation_tasks : as ``tasks``, default=None
            Tasks used for early stopping and for selecting the pooled estimator. If
            None, ``validation_fraction`` of ``tasks`` is used.

        Returns
        -------
        self : estimator
            Not adapted to a task.

        Raises
        ------
        TypeError
            If X and y are passed in place of tasks.
        ValueError
            If a task or a parameter is not valid, or the columns differ from those of
            ``validation_tasks``, or from those of the state that ``warm_start=True``
            continues from; nothing is changed.
        NonFiniteLossError
            If training diverges; the estimator keeps the best state so far.
        """
        self._check_parameters()
        tasks = drop_zero_weight(check_tasks(tasks))
        if validation_tasks is not None:
            validation_tasks = drop_zero_weight(check_tasks(validation_tasks))
        previous = None
        if self.warm_start and self._is_meta_fitted():
            self._check_unchanged()
            previous = self.meta_state_
        monitor = FitTasks.begin(self)
        config = self._config(self._problem_of(tasks), monitor)
        alone = own_torch(grad=True, one_thread=self.embedding is None)
        with alone, single_pool_thread():
            state, failure = meta_train(tasks, validation_tasks, config, previous)
        if previous is not None and state.feature_names is None:
            state = state.having(feature_names=previous.feature_names)
        self._forget()
        self._take_over(state)
        self._warn_of(state.targets)
        if monitor is not None:
            monitor.context.call_on_fit_task_end(estimator=self)
        if failure is not None:
            raise failure
        return self

    def _publish(self, state):
        self._publish_targets(state.targets)
        self.history_ = state.history
        self.task_names_ = state.task_names
        self.task_embeddings_ = state.task_embeddings
        self.task_attention_ = state.task_attention
        self.base_learners_ = state.base_learners

    def _attributes_of(self, state):
        """Attributes of an estimator meta-fitted to ``state`` and not adapted."""
        other = self._parametrized_clone()
        other._take_over(state)
        return {name: vars(other)[name] for name in other._learned()} | {
            "_support": None
        }

    # -- adaptation -----------------------------------------------------------------

    def fit(self, X, y, sample_weight=None):
        """Adapt to one task.

        State change: *meta-fitted* or *adapted* -> *adapted*. Each call starts from
        ``meta_state_``, which is not changed. In the state *new*, the base learner is
        trained on these rows only, with a `NotMetaFittedWarning`.

        Parameters
        ----------
        X : array-like of shape (n_support, n_features)
        y : array-like of shape (n_support,)
        sample_weight : array-like of shape (n_support,), default=None
            A row of weight w counts as w equal rows. If the base learner is an
            estimator, weights have the effect that this estimator gives them. After
            `meta_fit`, weights that are all 0 adapt to no row: predictions are
            zero-shot.

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
        meta_fitted = self._is_meta_fitted()
        if meta_fitted:
            self._check_unchanged()
            self._check_base_learner()
        else:
            self._check_parameters()
            self._warn_not_meta_fitted()
        X, y = self._check_rows(X, y, reset=not meta_fitted and add_to is None)
        weight = validate_weights(sample_weight, X)
        y = self._check_target(y)
        X, y, weight = (a[weight > 0] for a in (X, y, weight))
        if add_to is not None:
            check_label_type(y, add_to[1])
            support = zip(add_to, (X, y, weight), strict=True)
            X, y, weight = (np.concatenate(pair) for pair in support)
        if meta_fitted:
            state = self.meta_state_.for_task(y)
            warn_unusual_rows(
                state.missing.mask_outliers(X), state.seen, y, state.targets
            )
        else:
            state = self._single_task_state(X, y, weight, classes)
        adapted = self._adapt(state, X, y, weight, self._trainable())
        relevance = adapted.relevance()
        self._state, self._support, self._adapted = state, (X, y, weight), adapted
        vars(self).pop("base_learner_", None)
        if adapted.model is not None:
            self.base_learner_ = adapted.model
        self._publish_targets(state.targets)
        self.device_ = resolve_device(self.device)
        self.base_learners_ = state.base_learners
        self.base_learner_weights_ = adapted.expert_share()
        self.task_embedding_ = adapted.task_embedding
        total, n = relevance.sum(), len(relevance)
        self.feature_attention_ = relevance / total if total > 0 else np.full(n, 1 / n)
        return self

    def _single_task_state(self, X, y, weight, classes):
        """State learned from one task, if the estimator was not meta-fitted."""
        if len(X) == 0:
            raise ValueError(
                "All sample weights are zero, and without meta_fit there is nothing "
                "else to learn from (after meta_fit, predictions are zero-shot). Give "
                "at least one row a positive weight."
            )
        config = self._config(self._shared_problem)
        with own_torch(grad=True, one_thread=self.embedding is None):
            return train_on_single_task(
                X, y, weight, self._classes_of(y, classes), config
            )

    def _adapt(self, state, X, y, weight, base_learner=None):
        device = self._usable_device()
        seed = 0 if base_learner is None else self._seed()  # draws from random_state
        return state.adapt(X, y, weight, device, base_learner, seed)

    def _trainable(self):
        """The estimator that `fit` trains for the task, if there is one."""
        return None if isinstance(self.base_learner, str) else self.base_learner

    def _adapted_task(self):
        """The `Adapted` that predicts; before `fit`, adapted to no row."""
        if not self.__sklearn_is_fitted__():
            X, y = self._no_rows(self.meta_state_)
            return self._adapt(self.meta_state_, X, y, np.empty(0))
        device = resolve_device(self.device)
        if "_adapted" not in vars(self) or self.device_ != device:  # pickled or moved
            adapted = self._adapt(self._state, *self._support)
            self._adapted = adapted.having_model(vars(self).get("base_learner_"))
            self.device_ = device
        return self._adapted

    def _check_meta_fitted(self):
        if not self._is_meta_fitted():
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call "
                "meta_fit(tasks) to learn from other tasks, then fit(X, y) to adapt "
                "to one; after meta_fit alone it predicts from the prior."
            )
        self._check_unchanged()
        return self.meta_state_

    def _current_state(self):
        return self._state if self.__sklearn_is_fitted__() else self.meta_state_

    def _check_rows(self, X, y=NO_TARGETS, reset=False):
        return validate_rows(
            self, X, y, reset=reset, dtype=FLOATS, numeric=not is_classifier(self),
            row_shape=None if reset else self._current_state().row_shape,
            allow_nd=self.embedding is not None, allow_nan=True,
        )  # fmt: skip

    def _no_rows(self, state):
        """A support ``(X, y)`` of no rows."""
        return np.empty((0, *state.row_shape)), np.empty(0, dtype=state.targets.dtype)

    def __sklearn_is_fitted__(self):
        return vars(self).get("_support") is not None

    def __getstate__(self):
        """All attributes but those on a device, which are recreated on first use.

        Callbacks are cloned, since some hold the optimizer after training.
        """
        state = super().__getstate__()
        for name in ("_adapted", "device_"):
            state.pop(name, None)
        state["callbacks"] = clone(self.callbacks, safe=False)
        return state

    def __setstate__(self, state):
        super().__setstate__(state)
        if self.__sklearn_is_fitted__():
            self.device_ = resolve_device(self.device)
