"""The pooled estimator: a scikit-learn estimator fitted to all meta-training rows.

Its predictions are the offset of every task; the meta-learner learns the task-specific
residuals. On its training rows the pooled estimator is over-confident, so the residuals
are those of out-of-fold predictions, with folds over tasks: no task is predicted by a
model that has seen any of its rows.
"""

from dataclasses import dataclass, field

import numpy as np
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.dummy import DummyClassifier
from sklearn.utils import check_random_state

from .pooled_candidates import (
    aligned_probabilities,
    checked_classes,
    draw_seed,
    on_any_scale,
    tuned_boosting,
    untuned_boosting,
)

PROBABILITY_FLOOR = 1e-4


@dataclass(frozen=True, eq=False)
class PooledPredictor:
    """A fitted estimator and its out-of-fold predictions, made by :func:`fit_pooled`.

    Attributes
    ----------
    estimator : estimator
        The scikit-learn estimator, fitted on the rows of all meta-training tasks.
    task_type : {"regression", "classification"}
        What the estimator predicts.
    classes : ndarray of shape (n_classes,) or None
        The classes that the output columns stand for; None for regression.
    out_of_fold : ndarray of shape (n_rows, n_outputs) or None
        Output for each meta-training row from a model fitted on other tasks; None
        from :func:`fit_single_task`.
    """

    estimator: BaseEstimator
    task_type: str
    classes: np.ndarray | None
    out_of_fold: np.ndarray | None = field(default=None, repr=False)

    def predict(self, X):
        """Return the pooled estimator's output for each row.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows of any task.

        Returns
        -------
        output : ndarray of shape (n_rows, n_outputs)
            For regression the prediction, in one column, minus the offset of the
            targets. For classification the centred log-probabilities
            over `classes`, in float32: each row sums to zero, and for two classes the
            second column minus the first is the log-odds.
        """
        if len(X) == 0:  # scikit-learn's estimators refuse it
            n_outputs = 1 if self.classes is None else len(self.classes)
            return np.empty((0, n_outputs))
        return _outputs(self.estimator, X, self.classes)


def pooled_outputs(pooled, X):
    """Outputs of several `PooledPredictor`, (n_rows, n_pooled * n_outputs)."""
    return np.concatenate([one.predict(X) for one in pooled], axis=1)


def fit_pooled(
    estimator,
    tasks,
    *,
    validation_tasks=None,
    task_type,
    classes=None,
    random_state=None,
    n_folds=3,
    offset=0.0,
):
    """Fit one estimator on the rows of all tasks and predict them out of fold.

    Parameters
    ----------
    estimator : estimator or None
        Unfitted scikit-learn estimator; it is cloned, never changed. None takes
        :func:`tuned_boosting`.
    tasks : TaskCollection of n_tasks tasks, n_rows rows in all
        The meta-training tasks.
    validation_tasks : TaskCollection, default=None
        Tasks on which the boosting is tuned where `estimator` is None; without them a
        fifth of `tasks` is set aside for validation.
    task_type : {"regression", "classification"}
        What to predict.
    classes : array-like of shape (n_classes,), default=None
        Classes that the output columns stand for, in their order; by default the
        sorted labels of `tasks`.
    random_state : int, RandomState instance or None, default=None
        Draws the folds, and seeds every random state that `estimator` leaves unset.
    n_folds : int, default=3
        Folds over tasks, at most one for each task.
    offset : float, default=0.0
        Subtracted from the targets of regression, see `offset_of`.

    Returns
    -------
    pooled : PooledPredictor
        The estimator fitted on all rows, with the out-of-fold predictions. The models
        of the folds are dropped.

    Raises
    ------
    TypeError
        If the estimator cannot give what `task_type` needs: class probabilities for
        classification, numbers for regression.
    ValueError
        If there are fewer than two tasks, if `n_folds` is below two, or if a label is
        not in `classes`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from skmeta.tasks import TaskCollection
    >>> from skmeta._classical.pooled import fit_pooled
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(6, 10, 2))
    >>> tasks = TaskCollection([(x, x[:, 0] + shift) for shift, x in enumerate(X)])
    >>> pooled = fit_pooled(Ridge(), tasks, task_type="regression", random_state=0)
    >>> pooled.out_of_fold.shape, pooled.predict(X[0]).shape
    ((60, 1), (10, 1))
    """
    n_tasks = len(tasks)
    if n_tasks < 2:
        raise ValueError(
            f"Out-of-fold predictions need at least 2 tasks, got {n_tasks}. Give "
            "meta_fit more tasks, or set pooled_estimator=None."
        )
    if n_folds < 2:
        raise ValueError(f"n_folds must be at least 2, got {n_folds}.")
    if task_type == "classification":
        classes = checked_classes(tasks.y, classes)
    rng = check_random_state(random_state)
    if estimator is None:
        estimator = on_any_scale(
            tuned_boosting(
                task_type, tasks, validation_tasks, classes=classes, random_state=rng
            )
        )
    _check_outputs(estimator, task_type)
    estimator = seeded_clone(estimator, rng)

    y = tasks.y if task_type == "classification" else tasks.y - offset
    weight = tasks.row_weights()
    fold_of_task = rng.permutation(n_tasks) % min(n_folds, n_tasks)
    fold_of_row = np.repeat(fold_of_task, np.diff(tasks.offsets))
    n_outputs = 1 if classes is None else len(classes)
    out_of_fold = np.empty((len(y), n_outputs))
    for fold in range(fold_of_task.max() + 1):
        validation = fold_of_row == fold
        rows = _counted_rows(~validation, weight, rng)
        model = fitted(estimator, tasks.X[rows], y[rows], classes)
        level = _level(y[rows], classes)
        out_of_fold[validation] = _outputs(model, tasks.X[validation], classes) - level
    rows = _counted_rows(slice(None), weight, rng)
    out_of_fold += _level(y[rows], classes)
    estimator = fitted(estimator, tasks.X[rows], y[rows], classes)
    return PooledPredictor(estimator, task_type, classes, out_of_fold)


def _level(y, classes):
    """Mean of targets, or centred log frequencies of classes, (n_outputs,).

    The mean of all other tasks is the lower, the higher the targets of a task are. If
    each out-of-fold prediction were around the mean of its own fold, predictions and
    targets would have this negative correlation between tasks.
    """
    if classes is None:
        return np.array([y.mean()])
    logs = np.log((y[:, np.newaxis] == classes).sum(axis=0) + 1.0)
    return logs - logs.mean()


def _counted_rows(chosen, weight, rng):
    """Indices of the chosen rows, resampled in proportion to their weight.

    Few estimators, and no pipeline, take weights of rows.
    """
    if weight is None:
        return chosen
    rows = np.arange(len(weight))[chosen]
    return rows[resampled(weight[rows], rng)]


def fit_single_task(estimator, X, y, *, task_type, random_state=None):
    """Fit one estimator on the rows of one task.

    Parameters
    ----------
    estimator : estimator or None
        Unfitted scikit-learn estimator; it is cloned, never changed. None takes a
        histogram gradient boosting with settings that are not tuned.
    X : ndarray of shape (n_rows, n_features)
        Rows of the task.
    y : ndarray of shape (n_rows,)
        Their targets.
    task_type : {"regression", "classification"}
        What to predict.
    random_state : int, RandomState instance or None, default=None
        Seeds every random state that `estimator` leaves unset.

    Returns
    -------
    pooled : PooledPredictor
        Without out-of-fold predictions.

    Raises
    ------
    TypeError
        If the estimator cannot give what `task_type` needs.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from skmeta._classical.pooled import fit_single_task
    >>> X, y = [[0.0], [1.0]], [2.0, 2.0]
    >>> fit_single_task(Ridge(), X, y, task_type="regression").predict([[3.0]])
    array([[2.]])
    """
    rng = check_random_state(random_state)
    if estimator is None:
        estimator = on_any_scale(untuned_boosting(task_type, random_state=rng))
    _check_outputs(estimator, task_type)
    classes = np.unique(y) if task_type == "classification" else None
    model = fitted(seeded_clone(estimator, rng), X, y, classes)
    return PooledPredictor(model, task_type, classes)


def _check_outputs(estimator, task_type):
    if task_type == "classification" and not hasattr(estimator, "predict_proba"):
        raise TypeError(
            f"The pooled estimator {estimator!r} has no predict_proba, which "
            "classification needs; wrap it in "
            "sklearn.calibration.CalibratedClassifierCV or take another classifier."
        )
    if task_type == "regression" and is_classifier(estimator):
        raise TypeError(
            f"The pooled estimator {estimator!r} is a classifier, but the tasks are "
            "regression tasks; give it a regressor."
        )


def seeded_clone(estimator, rng):
    """Clone, and draw every random state that is unset from ``rng``."""
    estimator = clone(estimator)
    unset = {
        name: draw_seed(rng)
        for name, value in sorted(estimator.get_params(deep=True).items())
        if value is None and name.split("__")[-1] == "random_state"
    }
    return estimator.set_params(**unset)


def resampled(weight, rng):
    """Systematic resampling of rows in proportion to their weight; at least one."""
    ends = np.floor(np.cumsum(weight) + rng.uniform()).astype(int)
    drawn = np.repeat(np.arange(len(weight)), np.diff(ends, prepend=0))
    return drawn if len(drawn) else np.array([np.argmax(weight)])


def fitted(estimator, X, y, classes=None, **weights):
    """Fit a clone; with ``classes``, a dummy if there is only one."""
    if classes is not None and len(np.unique(y)) == 1:
        return DummyClassifier().fit(X, y)  # many classifiers refuse a single class
    return clone(estimator).fit(X, y, **weights)


def _outputs(model, X, classes):
    if classes is None:
        return np.asarray(model.predict(X), dtype=np.float64).reshape(-1, 1)
    probabilities = aligned_probabilities(
        model.predict_proba(X), model.classes_, classes
    )
    logs = np.log(np.clip(probabilities, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR))
    return (logs - logs.mean(axis=1, keepdims=True)).astype(np.float32)
