"""A data frame with a column of targets and one of tasks, divided into its parts."""

import numpy as np

from ._array_likes import is_frame
from ._column_names import refuse_duplicates
from ._input_checks import read_groups


def split_frame(frame, target, task, features=None):
    """Divide a frame into features, targets and groups.

    Parameters
    ----------
    frame : pandas or polars DataFrame
    target, task : str
        Columns of the frame.
    features : list of str, default=None
        None takes all other columns.

    Returns
    -------
    X : DataFrame of shape (n_rows, n_features)
    y : Series of shape (n_rows,)
    groups : ndarray of shape (n_rows,)
        The task of each row.
    """
    if not is_frame(frame):
        raise TypeError(
            "frame must be a pandas or polars DataFrame; got a "
            f"{type(frame).__name__}. For arrays use TaskCollection.from_arrays."
        )
    columns = list(frame.columns)
    for use, name in (("target", target), ("task", task)):
        if np.ndim(name) or is_frame(name):
            raise TypeError(
                f"{use} must be the name of a column; got a "
                f"{type(name).__name__}. The columns are {columns}."
            )
    if target == task:
        raise ValueError(
            f"The target and the task are the same column, {target!r}. Name the "
            "column to predict, and the one that says which task a row belongs to."
        )
    if features is None:
        features = [name for name in columns if name not in (target, task)]
    features = [features] if isinstance(features, str) else list(features)
    absent = [name for name in [target, task, *features] if name not in columns]
    if absent:
        raise ValueError(f"frame has no column {absent}. Its columns are {columns}.")
    if not features:
        raise ValueError(
            f"No features: of the columns {columns}, {target!r} is the target and "
            f"{task!r} the task. At least one other is needed."
        )
    if target in features or task in features:
        raise ValueError(
            f"features={features} holds the target {target!r} or the task {task!r}."
            " Leave both out: a new task knows neither."
        )
    used = {target, task, *features}
    refuse_duplicates([name for name in columns if name in used], "frame")
    refuse_duplicates(features, "features")
    groups = read_groups(frame[task], column=task)
    return frame[features], frame[target], groups
