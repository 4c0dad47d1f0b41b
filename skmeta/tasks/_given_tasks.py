"""Tasks whose rows are as the user passed them, for pipelines."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ._argument_checks import refuse_group, refuse_table
from ._array_likes import is_frame, named, refuse_sparse, to_array
from ._collection import TaskCollection
from ._column_names import Columns, check_columns, refuse_duplicates
from ._input_checks import check_sizes, read_target
from ._lazy import TaskDistribution, check_tasks
from ._task import Task, numbered


class GivenTask(NamedTuple):
    """A task whose rows are as the user passed them, for example a data frame."""

    X: object
    y: np.ndarray
    name: object
    weight: float | None = None


def given_tasks(tasks):
    """Tasks with their rows as the user passed them.

    Returns
    -------
    tasks : list of GivenTask, LazyTasks or TaskDistribution
        The rows of a collection with feature names become data frames.
    """
    refuse_table(tasks)
    if isinstance(tasks, Mapping):
        entries = tasks.items()
    elif isinstance(tasks, list | tuple):
        entries = numbered(enumerate(tasks))
    else:
        tasks = check_tasks(tasks)
        if not isinstance(tasks, TaskCollection):
            return tasks
        entries = zip(tasks.names, tasks, strict=True)
    given = [_given(name, item) for name, item in entries]
    if not given:
        check_tasks([])  # says that there are none
    known = columns_of(given)
    for task in given:
        words = (f"task {one.name!r} has" for one in (task, given[0]))
        check_columns(_columns(task.X), known, tuple(words), alike=True)
    return given


def _given(name, item):
    if isinstance(item, Task):
        X = framed(item.X, item.feature_names)
        return GivenTask(X, item.y, name, item.weight)
    if isinstance(item, GivenTask):
        return item
    if not isinstance(item, list | tuple) or len(item) != 2:
        return _given(name, TaskCollection({name: item})[0])  # says what is wrong
    refuse_group(item)
    X, y = item
    refuse_sparse(X, named(name))
    if is_frame(X):
        refuse_duplicates(list(X.columns), f"{named(name)}X")
    else:
        X = to_array(X, "X", named(name))
    y = read_target(y, named(name))
    if len(X) != len(y):
        raise ValueError(
            f"{named(name)}X has {len(X)} rows and y has {len(y)}. Give one target for "
            "each row."
        )
    check_sizes((0, len(y)), (name,))
    return GivenTask(X, y, name)


def columns_of(tasks):
    """The columns of tasks from any source."""
    if isinstance(tasks, list):
        return _columns(tasks[0].X)
    if isinstance(tasks, TaskDistribution):
        tasks = tasks.draw(1, 0)
    return tasks._schema


def _columns(X):
    names = tuple(X.columns) if is_frame(X) else None
    return Columns(X.shape[1:], names)


def framed(X, names):
    """Rows as a data frame, if there are names of columns and pandas is installed."""
    if names is None:
        return X
    try:
        import pandas as pd
    except ImportError:
        return X
    return pd.DataFrame(X, columns=list(names))
