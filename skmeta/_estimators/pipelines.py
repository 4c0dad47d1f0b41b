"""`meta_fit` for pipelines, whose transformers preprocess rows for a meta-learner."""

import itertools
from typing import NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from .._preprocessing.task_mapping import map_features
from .._training.split import MAX_FITTING
from .._utils.sklearn_private import safe_indexing
from ..tasks import Task, TaskCollection, TaskDistribution
from ..tasks._argument_checks import takes_tasks
from ..tasks._array_likes import is_frame
from ..tasks._column_names import Columns, check_columns
from ..tasks._given_tasks import columns_of, framed, given_tasks
from ..tasks._task import VALIDATION

SKIPPED = (None, "passthrough")


@takes_tasks
def meta_fit(estimator, tasks, *, validation_tasks=None):
    """Meta-fit an estimator, or the meta-learner in a pipeline.

    The transformers before it are fitted on the rows of all tasks together, and frozen:
    on a new task `fit` adapts only the meta-learner. Steps after it in the pipeline are
    fitted on each task.

    Parameters
    ----------
    estimator : estimator with `meta_fit`, or Pipeline with such a step
        Cloned; the argument is not changed.
    tasks : TaskCollection, list of (X, y), dict or lazy sequence or distribution
        The meta-training tasks. For a pipeline, ``X`` is the input of its first step, a
        data frame with categories for example. Transformers are fitted on at most 1,024
        tasks of lazy sequences and distributions.
    validation_tasks : as `tasks`, default=None
        Tasks used for early stopping.

    Returns
    -------
    estimator : estimator or Pipeline
        Meta-fitted, not adapted to a task. A pipeline predicts once it is adapted.
        Zero-shot predictions are those of its meta-learner:
        ``pipeline[-1].predict(pipeline[:-1].transform(X))``.

    Raises
    ------
    TypeError
        If no step has `meta_fit`, a transformer returns sparse rows, or X and y are
        passed in place of tasks.
    ValueError
        If a task is not valid, or the columns differ between tasks.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.compose import make_column_transformer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import OneHotEncoder
    >>> from skmeta import AttentionMetaRegressor, meta_fit
    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame(
    ...     {
    ...         "shop": rng.integers(20, size=300),
    ...         "day": rng.choice(["Saturday", "Sunday", "other"], 300),
    ...         "price": rng.normal(size=300),
    ...     }
    ... )
    >>> frame["sold"] = frame.shop - frame.price * (frame.day != "other")
    >>> tasks = {
    ...     shop: (rows[["day", "price"]], rows["sold"])
    ...     for shop, rows in frame.groupby("shop")
    ... }
    >>> encoder = make_column_transformer(
    ...     (OneHotEncoder(sparse_output=False), ["day"]), remainder="passthrough"
    ... )
    >>> learner = AttentionMetaRegressor(
    ...     pooled_estimator=None, max_epochs=2, random_state=0
    ... )
    >>> pipeline = meta_fit(make_pipeline(encoder, learner), tasks)
    >>> X, y = tasks[3]
    >>> pipeline.fit(X[:5], y[:5]).predict(X[5:]).shape == y[5:].shape
    True
    """
    return meta_fit_in_place(clone(estimator), tasks, validation_tasks)


def meta_fit_in_place(estimator, tasks, validation_tasks=None, context=None):
    """As `meta_fit`, but without a clone of the estimator.

    ``context`` is that of scikit-learn's callbacks, passed to the meta-learner.
    """
    if not isinstance(estimator, Pipeline):
        if not hasattr(estimator, "meta_fit"):
            raise TypeError(
                f"{estimator!r} has no meta_fit: it learns from one task at a time. "
                "Pass a meta-learner, or a pipeline that ends with one."
            )
        given = {}
        if validation_tasks is not None:
            given["validation_tasks"] = validation_tasks
        if context is None:
            return estimator.meta_fit(tasks, **given)
        with context.propagate_callback_context(estimator):
            return estimator.meta_fit(tasks, **given)
    at = _position(estimator)
    if at is None:
        steps = [type(step).__name__ for _, step in estimator.steps]
        raise TypeError(
            f"No step of the pipeline {steps} has meta_fit. Use a meta-learner, for "
            "example AttentionMetaRegressor, as the last step."
        )
    tasks = given_tasks(tasks)
    if validation_tasks is not None:
        validation_tasks = given_tasks(validation_tasks)
    some = _some(tasks)
    if validation_tasks is not None:
        check_columns(columns_of(validation_tasks), columns_of(some), VALIDATION)
    steps = list(estimator.steps)
    X, y = _pooled(some)
    for i, (name, transformer) in enumerate(steps[:at]):
        if transformer in SKIPPED:
            continue
        if not hasattr(transformer, "transform"):
            raise TypeError(
                f"The step {name!r} of the pipeline comes before the meta-learner and "
                f"has no transform: {transformer!r}."
            )
        if isinstance(transformer, FrozenEstimator):
            X = _dense(transformer.transform(X), name)
            continue
        if hasattr(transformer, "fit_transform"):  # may cross-fit, as TargetEncoder
            X = transformer.fit_transform(X, y)
        else:
            X = transformer.fit(X, y).transform(X)
        X = _dense(X, name)
        steps[i] = name, FrozenEstimator(transformer)
    reader = _Reader([step for _, step in steps[:at] if step not in SKIPPED])
    if validation_tasks is not None:
        validation_tasks = reader.read(validation_tasks)
    name, learner = steps[at]
    tasks = _with_rows(tasks, X) if isinstance(tasks, list) else reader.read(tasks)
    steps[at] = name, meta_fit_in_place(learner, tasks, validation_tasks, context)
    return estimator.set_params(steps=steps)


def learns_across_tasks(estimator):
    """Whether an estimator, or a step of a pipeline, has `meta_fit`."""
    if isinstance(estimator, Pipeline):
        return _position(estimator) is not None
    return hasattr(estimator, "meta_fit")


def learner_of(estimator):
    """The meta-learner at the end of a pipeline, and the transformers before it.

    Returns
    -------
    learner : estimator
        ``estimator`` itself, if it is not such a pipeline after `meta_fit`.
    reader : object or None
        ``reader.read(tasks)`` returns tasks as ``learner`` expects them.
    """
    if not isinstance(estimator, Pipeline) or _position(estimator) is None:
        return estimator, None
    *before, last = [step for _, step in estimator.steps if step not in SKIPPED]
    learner, reader = learner_of(last)
    if not hasattr(learner, "meta_state_") or not all(
        isinstance(step, FrozenEstimator) for step in before
    ):
        return estimator, None
    return learner, _Reader([*before, *(() if reader is None else reader.steps)])


def known_columns(estimator):
    """Input columns of a meta-fitted estimator or pipeline; None if unknown."""
    if isinstance(estimator, Pipeline):
        steps = (step for _, step in estimator.steps if step not in SKIPPED)
        return known_columns(next(steps, None))
    if isinstance(estimator, FrozenEstimator):
        names = getattr(estimator, "feature_names_in_", None)
        return None if names is None else Columns((len(names),), tuple(names))
    state = getattr(estimator, "meta_state_", None)
    return state if hasattr(state, "row_shape") else None


def _position(pipeline):
    """Position of the first step that learns across tasks, or None."""
    for i, (_, step) in enumerate(pipeline.steps):
        if learns_across_tasks(step):
            return i
    return None


def _some(tasks):
    """The tasks that transformers are fitted on."""
    if isinstance(tasks, list):
        return tasks
    if isinstance(tasks, TaskDistribution):
        return given_tasks(tasks.draw(MAX_FITTING, 0))
    at = np.linspace(0, len(tasks) - 1, min(len(tasks), MAX_FITTING)).astype(int)
    return given_tasks(tasks.take(at))


def _pooled(tasks):
    """Concatenated rows and targets of all tasks."""
    first = tasks[0]
    for task in tasks:
        if is_frame(task.X) and type(task.X) is not type(first.X):
            one, other = (type(some.X).__module__ for some in (task, first))
            raise TypeError(
                f"Task {task.name!r} is a frame of {one}, but task {first.name!r} of "
                f"{other}. Pass all tasks to a pipeline as frames of one library."
            )
    Xs = [task.X for task in tasks]
    if hasattr(first.X, "iloc"):
        import pandas as pd

        X = pd.concat(Xs, ignore_index=True)
    elif is_frame(first.X):
        import polars as pl

        X = pl.concat(Xs, how="vertical_relaxed")
    else:
        X = np.concatenate(Xs)
    return X, np.concatenate([task.y for task in tasks])


def _dense(X, name):
    if issparse(X):
        raise TypeError(
            f"The step {name!r} of the pipeline returns sparse rows of shape "
            f"{X.shape}, which meta-learners do not accept. Make its output dense: "
            "OneHotEncoder(sparse_output=False), ColumnTransformer(sparse_threshold=0)."
        )
    return X


def _with_rows(tasks, X):
    """The tasks with the concatenated rows ``X`` in place of theirs."""
    ends = np.cumsum([len(task.y) for task in tasks])
    spans = itertools.pairwise([0, *ends.tolist()])
    return TaskCollection(
        [
            Task(safe_indexing(X, slice(i, j)), task.y, task.name, task.weight)
            for task, (i, j) in zip(tasks, spans, strict=True)
        ]
    )


class _Reader:
    """A sequence of fitted transformers."""

    def __init__(self, steps):
        self.steps = steps

    def read(self, tasks):
        """Tasks with their rows transformed."""
        if not isinstance(tasks, list):
            return map_features(tasks, _Loaded(self, columns_of(tasks).feature_names))
        return _with_rows(tasks, self.transformed(_pooled(tasks)[0]))

    def transformed(self, X):
        """Apply all transformers to rows."""
        for step in self.steps:
            X = _dense(step.transform(X), type(step).__name__)
        return X


class _Loaded(NamedTuple):
    """Transformer of lazily loaded tasks whose columns have names."""

    reader: _Reader
    feature_names: tuple | None

    def transform(self, X):
        """Columns (n_rows, n_columns) of rows ``X`` of a task."""
        return np.asarray(self.reader.transformed(framed(X, self.feature_names)))
