"""Errors for arguments that are not tasks, which name the call that was meant."""

import functools
import inspect

import numpy as np
from scipy.sparse import issparse

from ._array_likes import is_frame

FROM_FRAME = "TaskCollection.from_frame(frame, target=..., task=...)"
FROM_ARRAYS = "TaskCollection.from_arrays(X, y, groups)"
IN_PLACE = {"X", "y", "groups"}


def takes_tasks(function):
    """Decorate a function of tasks, so that it refuses X, y and groups in their place.

    Python's own error for ``meta_fit(X, y)`` says only that there are too many
    arguments.
    """
    signature = inspect.signature(function)
    names = [
        p.name
        for p in signature.parameters.values()
        if p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    at = names.index("tasks")

    @functools.wraps(function)
    def checked(*args, **kwargs):
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            n_more = len(args) - len(names)
            if n_more > 0 or not kwargs.keys().isdisjoint(IN_PLACE):
                first = args[at] if len(args) > at else kwargs.get("X")
                grouped = n_more > 1 or "groups" in kwargs
                raise TypeError(_meant(function, first, grouped)) from error
        return function(*args, **kwargs)

    return checked


def refuse_targets(method, tasks, y):
    """Raise unless ``y`` is None, as scikit-learn passes it along with tasks."""
    if y is not None:
        raise TypeError(_meant(method, tasks, grouped=False))


def _meant(function, first, grouped):
    """The message for X, y and groups in place of tasks."""
    *_, owner, name = f".{function.__qualname__}".split(".")
    name = owner if name == "__init__" else name
    got = "X, y and groups" if grouped else "X and y"
    way_out = f"Make them by {FROM_FRAME if is_frame(first) else FROM_ARRAYS}"
    if not grouped:
        way_out += ", or give a list of (X, y) pairs, one for each task"
    if "validation_tasks" in inspect.signature(function).parameters:
        way_out += ". Tasks to validate on have a keyword: "
        way_out += f"{name}(tasks, validation_tasks=...)"
    return (
        f"{name} takes tasks, each of which has its own X and y, and got {got} in "
        f"their place. {way_out}."
    )


def refuse_table(tasks):
    """Raise for a table or array, which would otherwise be used as a sequence."""
    kind = type(tasks).__name__
    if is_frame(tasks):
        raise TypeError(
            f"Got a {kind}, which does not say where a task ends. Use {FROM_FRAME}."
        )
    if hasattr(tasks, "__array__") or issparse(tasks):
        what = "an array" if isinstance(tasks, np.ndarray) else f"a {kind}"
        raise TypeError(
            f"Got {what} of shape {np.shape(tasks)}, which does not say where a task "
            f"ends. Use {FROM_ARRAYS}."
        )
    if type(tasks).__module__.startswith(("pandas.", "polars.")):  # groups, windows
        raise TypeError(_of_groups(f"a {kind}"))
    if isinstance(tasks, str | bytes):
        raise TypeError(not_tasks(tasks))


def refuse_group(item):
    """Raise for a group of the rows of a data frame, with or without its name."""
    if is_frame(item):
        raise TypeError(_of_groups("a data frame for a task"))
    if not isinstance(item, list | tuple) or len(item) != 2:
        return
    name, rows = item
    if is_frame(rows) and (isinstance(name, tuple) or np.ndim(name) == 0):
        raise TypeError(_of_groups(f"the group {name!r} of a data frame for a task"))


def _of_groups(what):
    return (
        f"Got {what}, which does not say what is to be predicted. Use {FROM_FRAME}, or "
        "a dict of its groups: {name: (rows[features], rows[target]) for name, rows in "
        "frame.groupby(task)}."
    )


def not_tasks(tasks):
    """The message for an object that holds no tasks."""
    return (
        f"Got a {type(tasks).__name__}, which holds no tasks. Accepted: a "
        "TaskCollection; a list or iterator of Task objects or (X, y) pairs; a dict of "
        "name -> (X, y); an object with __len__ and __getitem__ that loads tasks on "
        "access; one with sample(n_tasks, random_state)."
    )
