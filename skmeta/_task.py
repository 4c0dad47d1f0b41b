"""A task, and how an iterable of tasks becomes the flat arrays of a collection."""

from collections import Counter
from numbers import Real
from typing import NamedTuple

import numpy as np

from ._task_arrays import (
    check_finite,
    float_dtype,
    is_frame,
    named,
    read_only,
    read_task,
)

NO_TASKS = "Got no tasks. Pass at least one."


class Immutable:
    """Slots that are set once, arrays among them read-only; pickles and copies."""

    __slots__ = ()

    def __setattr__(self, name, value):
        raise AttributeError(
            f"{type(self).__name__} is immutable: cannot set {name!r}. Make a new one."
        )

    def __delattr__(self, name):
        raise AttributeError(
            f"{type(self).__name__} is immutable: cannot delete {name!r}."
        )

    def __getstate__(self):
        return {slot: getattr(self, slot) for slot in self.__slots__}

    def __setstate__(self, state):
        for slot, value in state.items():
            if isinstance(value, np.ndarray):  # numpy unpickles arrays writeable
                value = read_only(value)
            object.__setattr__(self, slot, value)


class Task(Immutable):
    """One small dataset, immutable.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features) or (n_rows, ...), or DataFrame
        Numeric and not infinite; NaN is a value that is missing. A float32 or float64
        array is not copied; integers and bools become float64.
    y : array-like of shape (n_rows,)
        Finite numbers, or strings for classification.
    name : hashable, default=None
        What the task is called in messages and plots.
    weight : float, default=None
        How much it counts in meta-training, next to 1 for a task without; 0 is as if it
        were not there.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features) or (n_rows, ...)
        Read-only.
    y : ndarray of shape (n_rows,)
        Read-only.
    name : hashable or None
    weight : float or None
    feature_names : tuple of str or None
        The column names of a DataFrame `X`, where all are strings.

    Examples
    --------
    >>> from skmeta.tasks import Task
    >>> task = Task([[0.5], [1.0], [1.5]], [1, 2, 3], name="school 1")
    >>> task
    Task('school 1', n_rows=3, n_features=1)
    >>> len(task)
    3
    """

    __slots__ = ("X", "feature_names", "name", "weight", "y")

    def __init__(self, X, y, name=None, weight=None):
        try:
            hash(name)
        except TypeError:
            raise TypeError(
                f"The name of a task must be hashable; got {name!r}. Use a string."
            ) from None
        name = name.item() if isinstance(name, np.generic) else name
        X, y, feature_names = read_task(X, y, name)
        X = X.astype(float_dtype([X.dtype]), copy=False)
        check_finite(X, y, np.array([0, len(y)]), [name], feature_names)
        weight = _read_weight(weight, name)
        state = {"X": X, "y": y, "name": name, "weight": weight}
        self.__setstate__(state | {"feature_names": feature_names})

    @classmethod
    def _of(cls, X, y, name, feature_names, weight):
        """A task of arrays that were checked, and made read-only, before."""
        task = cls.__new__(cls)
        object.__setattr__(task, "X", X)
        object.__setattr__(task, "y", y)
        object.__setattr__(task, "name", name)
        object.__setattr__(task, "feature_names", feature_names)
        object.__setattr__(task, "weight", weight)
        return task

    def __len__(self):
        return len(self.y)

    def __repr__(self):
        name = "" if self.name is None else f"{self.name!r}, "
        return f"Task({name}n_rows={len(self):,}, {width(self.X.shape[1:])})"


def _read_weight(weight, name):
    """A task's weight as a float, or None."""
    if weight is None:
        return None
    if not isinstance(weight, Real) or not 0 <= weight < np.inf:
        raise ValueError(
            f"{named(name)}weight must be a finite number of at least 0; got "
            f"{weight!r}. Leave it out for a task that counts as any other."
        )
    return float(weight)


class Kind(NamedTuple):
    """What all tasks of a collection have in common, and the task it was seen in."""

    name: object
    row_shape: tuple
    feature_names: tuple | None
    is_text: bool


def flatten(entries, kind=None, unique=True):
    """Read tasks into the flat arrays of a collection.

    Parameters
    ----------
    entries : iterable of (name, Task or (X, y))
    kind : Kind, default=None
        What each task must be like; None to compare with the first.
    unique : bool, default=True
        Whether names must differ. Where tasks are drawn a few at a time, they need not:
        whether two meet would be chance.

    Returns
    -------
    X : ndarray of shape (n_rows, ...)
    y : ndarray of shape (n_rows,)
    offsets : ndarray of shape (n_tasks + 1,)
    names : ndarray of shape (n_tasks,)
    feature_names : tuple of str or None
    weights : ndarray of shape (n_tasks,) or None
        None where no task has one.
    """
    names, Xs, ys, weights = [], [], [], []
    for name, item in entries:
        X, y, feature_names, weight = _read_item(item, name)
        found = Kind(name, X.shape[1:], feature_names, y.dtype.kind == "U")
        kind = kind or found
        check_same_kind(found, kind)
        names.append(name)
        Xs.append(X)
        ys.append(y)
        weights.append(weight)
    if not names:
        raise ValueError(NO_TASKS)
    if unique and len(set(names)) < len(names):
        (name, count), *_ = Counter(names).most_common(1)
        raise ValueError(
            f"{count} tasks are named {name!r}. Names must differ: pass a dict of name "
            "-> (X, y), or (X, y) pairs, which are called by their position."
        )
    offsets = np.concatenate([[0], np.cumsum([len(y) for y in ys])])
    X = np.concatenate(Xs, dtype=float_dtype({X.dtype for X in Xs}))
    y = np.concatenate(ys)
    check_finite(X, y, offsets, names, kind.feature_names)
    return X, y, offsets, names_array(names), kind.feature_names, _together(weights)


def _together(weights):
    """Weights of tasks (n_tasks,), of which some are None; None where all are."""
    if all(weight is None for weight in weights):
        return None
    return np.array([1.0 if weight is None else weight for weight in weights])


def _read_item(item, name):
    """Read a Task or an (X, y) pair: ``(X, y, feature_names, weight)``."""
    if isinstance(item, Task):
        return item.X, item.y, item.feature_names, item.weight
    if not isinstance(item, list | tuple) or len(item) != 2:
        items = f" of {len(item)} items" if isinstance(item, list | tuple) else ""
        raise TypeError(
            f"Task {name!r} is a {type(item).__name__}{items}; each task must be a "
            "Task or an (X, y) pair. Write a single dataset as [(X, y)]."
        )
    return *read_task(*item, name), None


def numbered(items):
    """``(name, item)`` of ``(position, item)``: a task's own name, or its position."""
    for position, item in items:
        own = item.name if isinstance(item, Task) else None
        yield (position if own is None else own), item


def names_array(names):
    """Names as an array (n_tasks,): of ints where all are, which is compact."""
    if all(type(name) is int for name in names):
        return np.array(names)
    return np.fromiter(names, dtype=object, count=len(names))


def check_same_kind(found, first):
    """Raise unless two tasks have the same columns and the same sort of target."""
    if found[1:] == first[1:]:
        return
    one, other = f"Task {found.name!r}", f"task {first.name!r}"
    if found.row_shape != first.row_shape:
        raise ValueError(
            f"{one} has {width(found.row_shape)}, but {other} has "
            f"{width(first.row_shape)}. All tasks must have the same columns."
        )
    if found.is_text != first.is_text:
        sorts = ("numbers", "strings")
        raise ValueError(
            f"{one} has a y of {sorts[found.is_text]}, but {other} has one of "
            f"{sorts[first.is_text]}. Convert one of them with y.astype."
        )
    raise ValueError(
        f"{one} has the feature names {found.feature_names}, but {other} has "
        f"{first.feature_names}. All tasks must have the same columns in the same "
        "order: make every X a DataFrame and select them with X[names]."
    )


def refuse_table(tasks):
    """Raise for a table or array, which would otherwise be taken for a sequence."""
    if is_frame(tasks):
        raise TypeError(
            f"Got a {type(tasks).__name__}, which does not say where a task ends. Use "
            "TaskCollection.from_frame(frame, target=..., task=...)."
        )
    if isinstance(tasks, np.ndarray):
        raise TypeError(
            f"Got an array of shape {tasks.shape}, which does not say where a task "
            "ends. Use TaskCollection.from_arrays(X, y, groups)."
        )
    if isinstance(tasks, str | bytes):
        raise TypeError(not_tasks(tasks))


def not_tasks(tasks):
    """The message for an object that holds no tasks."""
    return (
        f"Got a {type(tasks).__name__}, which holds no tasks. Accepted: a "
        "TaskCollection; a list or iterator of Task objects or (X, y) pairs; a dict of "
        "name -> (X, y); an object with __len__ and __getitem__ that loads tasks on "
        "access; one with sample(n_tasks, random_state)."
    )


def width(row_shape):
    """How many features a row has, in words."""
    if len(row_shape) == 1:
        return f"n_features={row_shape[0]}"
    return f"row_shape={row_shape}"
