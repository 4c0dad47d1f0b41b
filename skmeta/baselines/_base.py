"""The three states of a baseline: new, meta-fitted, adapted."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from .._estimators.states import MetaFitted
from .._preprocessing.missing_values import MissingValues
from .._preprocessing.outliers import drop_target_outliers, warn_feature_outliers
from .._preprocessing.task_mapping import map_features
from .._utils.torch_state import own_torch
from ..tasks import LazyTasks, TaskDistribution, check_tasks
from ..tasks._argument_checks import takes_tasks
from ..tasks._row_checks import (
    check_label_type,
    refuse_text_tasks,
    validate_rows,
    warn_of_one_class,
)
from ..tasks._task import VALIDATION, check_same_schema

N_SAMPLED_TASKS = 200
"""Number of tasks drawn from a task distribution."""


@dataclass(frozen=True, eq=False)
class BaselineState:
    """The result of `meta_fit`; shared by clones and immutable.

    Attributes
    ----------
    prior : object
        The prior of a new task, of a type defined by the estimator.
    parameters : dict
        The parameters that `meta_fit` was called with.
    n_features : int
    feature_names : tuple of str or None
    known : MissingValues or None
        Replaces outliers of features, if there are any.
    """

    prior: Any
    parameters: dict
    n_features: int
    feature_names: tuple | None
    known: MissingValues | None = None

    @property
    def row_shape(self):
        """Shape of a row."""
        return (self.n_features,)


class Baseline(MetaFitted):
    """Base class of the baselines, which are meta-fitted and then adapted to a task.

    A subclass implements `_check_params()`, `_learn(tasks, validation_tasks)` and
    `_learn_alone(X, y)`, which return a prior, `_publish_prior(prior)`, which sets
    fitted attributes, and `_condition(prior, X, y)`, which returns the posterior of a
    task given its rows, possibly none. For prediction a `RegressorBaseline` implements
    `_mean_and_variance(X, prior, task)`, and a `ClassifierBaseline`
    `_probabilities(X, prior, task)`, where `task` is that posterior.
    """

    _adaptation = ("_prior", "_task")

    def _structure(self):
        return self.get_params(deep=False)

    @takes_tasks
    def meta_fit(self, tasks, *, validation_tasks=None):
        """Fit to the meta-training tasks.

        State change: any -> meta-fitted. Earlier results are discarded.

        Parameters
        ----------
        tasks : TaskCollection, list of (X, y), dict, lazy sequence or distribution
            The meta-training tasks. From a task distribution, 200 tasks are drawn.
        validation_tasks : like `tasks`, default=None
            Tasks for tuning the default pooled estimator; without them, a fifth of
            `tasks` is used. They are not used for anything else.

        Returns
        -------
        self : object

        Raises
        ------
        TypeError
            If X and y are passed in place of tasks.
        ValueError
            If a task is not valid, or `validation_tasks` have other columns.
        """
        self._check_params()
        tasks = _collect(tasks, seed=0)
        if tasks.n_features is None:
            raise ValueError(
                f"{type(self).__name__} needs rows that are vectors, got rows of shape "
                f"{tasks.X.shape[1:]}; flatten them first."
            )
        if validation_tasks is not None:
            validation_tasks = _collect(validation_tasks, seed=1)
            check_same_schema(validation_tasks._schema, tasks._schema, VALIDATION)
        self._check_targets(tasks)
        for some in (tasks, validation_tasks):
            self._refuse_missing(some)
        columns = tasks.n_features, tasks.feature_names
        if isinstance(self, RegressorMixin):
            tasks, validation_tasks, *_ = drop_target_outliers(tasks, validation_tasks)
        known = MissingValues.fit(tasks.X, indicates=False)
        if known.low is None:
            known = None
        else:
            warn_feature_outliers(tasks, known.mask_outliers(tasks.X))
            tasks, validation_tasks = (
                some and map_features(some, known) for some in (tasks, validation_tasks)
            )
        with own_torch(grad=True):
            prior = self._learn(tasks, validation_tasks)
        self._forget()
        parameters = self._parametrized_clone().get_params(deep=False)
        self._take_over(BaselineState(prior, parameters, *columns, known))
        self._warn_of_classes()
        return self

    def fit(self, X, y):
        """Adapt to one task.

        State change: new or meta-fitted -> adapted. The result of `meta_fit` is not
        changed, and each `fit` starts from it. In the state new, the estimator learns
        from these rows only, with a `NotMetaFittedWarning`.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows of the task.
        y : array-like of shape (n_rows,)
            Their targets.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If a parameter was changed after `meta_fit`.
        """
        self._check_params()
        meta_fitted = self._is_meta_fitted()
        if meta_fitted:
            self._check_unchanged()
        X, y = self._validated(X, y, reset=not meta_fitted)
        if not meta_fitted:
            self._warn_not_meta_fitted()
            self._prior = self._learn_alone(X, y)
            self._publish_prior(self._prior)
        with own_torch():
            self._task = self._condition(self._prior, self._plausible(X), y)
        return self

    def __sklearn_is_fitted__(self):
        return "_task" in vars(self)

    def _publish(self, state):
        self._prior = state.prior
        self._publish_prior(state.prior)

    def _refuse_missing(self, tasks):
        """Raise, with the name of the task, if a value is missing."""
        if tasks is None or not np.isnan(tasks.X).any():
            return
        row, column = np.argwhere(np.isnan(tasks.X))[0]
        task = np.searchsorted(tasks.offsets, row, side="right") - 1
        raise ValueError(
            f"Task {tasks.names[task]!r}: X is nan in row {row - tasks.offsets[task]}, "
            f"column {column}, and {type(self).__name__} takes no missing values. Put "
            "an imputer in front: skmeta.meta_fit(make_pipeline(SimpleImputer("
            f"add_indicator=True), {type(self).__name__}()), tasks)."
        )

    def _plausible(self, X):
        """Rows with outliers of features replaced by the mean of meta-training."""
        if not self._is_meta_fitted() or self.meta_state_.known is None:
            return X
        return self.meta_state_.known.transform(X)

    def _current(self, X):
        """Return the checked rows, the prior and the posterior of the task."""
        if "_prior" not in vars(self):
            check_is_fitted(
                self, msg="This %(name)s is new: call meta_fit, or fit, first."
            )
        X = validate_rows(self, X, dtype=np.float64)
        task = vars(self).get("_task")
        if task is None:
            task = self._condition(self._prior, X[:0], np.empty(0))
        return self._plausible(X), self._prior, task


class RegressorBaseline(RegressorMixin, Baseline):
    """A baseline for regression, which predicts mean and variance of a target.

    A subclass implements `_mean_and_variance(X, prior, task)`, two arrays (n_rows,).
    """

    def predict(self, X, return_std=False):
        """Predict the target of each row.

        State change: none. Needs meta-fitted or adapted; when meta-fitted and not
        adapted, this is the zero-shot prediction.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
        return_std : bool, default=False
            Whether to also return the standard deviation of a new observation,
            including noise.

        Returns
        -------
        mean : ndarray of shape (n_rows,)
        std : ndarray of shape (n_rows,)
            Only if `return_std` is True.
        """
        with own_torch():
            mean, variance = self._mean_and_variance(*self._current(X))
        return (mean, np.sqrt(variance)) if return_std else mean

    def _check_targets(self, tasks):
        refuse_text_tasks(tasks)

    def _warn_of_classes(self):
        """Nothing to warn of in regression."""

    def _validated(self, X, y, reset):
        return validate_rows(self, X, y, reset=reset, dtype=np.float64, numeric=True)


class ClassifierBaseline(ClassifierMixin, Baseline):
    """A baseline for classification, which predicts class probabilities.

    A subclass implements `_probabilities(X, prior, task)`, (n_rows, n_classes).
    """

    def predict_proba(self, X):
        """Predict class probabilities of each row.

        State change: none. Needs meta-fitted or adapted; when meta-fitted and not
        adapted, this is the zero-shot prediction.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)

        Returns
        -------
        probabilities : ndarray of shape (n_rows, n_classes)
            Columns in the order of `classes_`.
        """
        with own_torch():
            return self._probabilities(*self._current(X))

    def predict(self, X):
        """Predict the class of each row.

        State change: none. Needs meta-fitted or adapted; when meta-fitted and not
        adapted, this is the zero-shot prediction.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)

        Returns
        -------
        label : ndarray of shape (n_rows,)
        """
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def _check_targets(self, tasks):
        check_classification_targets(tasks.y)

    def _warn_of_classes(self):
        warn_of_one_class(self, self.classes_)

    def _validated(self, X, y, reset):
        X, y = validate_rows(self, X, y, reset=reset, dtype=np.float64)
        check_classification_targets(y)
        if not reset:
            check_label_type(y, self.classes_)
            unknown = np.setdiff1d(y, self.classes_)
            if len(unknown):
                raise ValueError(
                    f"Labels {unknown.tolist()} are not among the classes "
                    f"{self.classes_.tolist()} of the meta-training tasks. Call "
                    "meta_fit with tasks that have them."
                )
        return X, y


def _collect(tasks, seed):
    """Convert any kind of tasks to a `TaskCollection`."""
    tasks = check_tasks(tasks)
    if isinstance(tasks, LazyTasks):
        return tasks.take(np.arange(len(tasks)))
    if isinstance(tasks, TaskDistribution):
        return tasks.draw(N_SAMPLED_TASKS, seed)
    return tasks
