"""A task, and the flat arrays of many."""

from collections import Counter
from numbers import Real
from typing import NamedTuple

import numpy as np

from ._argument_checks import refuse_group
from ._array_likes import float_dtype, named
from ._column_names import check_columns, width
from ._input_checks import check_finite, read_only, read_task

NO_TASKS = "Got no tasks. Pass at least one."
VALIDATION = "the validation_tasks have", "the tasks have"
"""Whose columns they are, as `check_columns` takes it."""


class Immutable:
    """Base of immutable classes with slots: arrays are read-only; can be pickled."""

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
        How much it counts in meta-training, relative to 1 for a task without a weight;
        a task of weight 0 counts as absent.

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
        """Make a task of read-only arrays, without checks."""
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


class TaskSchema(NamedTuple):
    """What all tasks of a collection have in common, and the name of one of them."""

    name: object
    row_shape: tuple
    feature_names: tuple | None
    is_text: bool


def flatten(entries, schema=None, unique=True):
    """Convert tasks to the flat arrays of a collection.

    Parameters
    ----------
    entries : iterable of (name, Task or (X, y))
    schema : TaskSchema, default=None
        What each task must have; None for that of the first.
    unique : bool, default=True
        Whether names must differ. They need not if tasks are drawn a few at a time,
        where duplicates would be found by chance only.

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
        found = TaskSchema(name, X.shape[1:], feature_names, y.dtype.kind == "U")
        schema = schema or found
        check_same_schema(found, schema)
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
    check_finite(X, y, offsets, names, schema.feature_names)
    return X, y, offsets, names_array(names), schema.feature_names, _together(weights)


def _together(weights):
    """Weights of tasks (n_tasks,), 1 in place of None; None if all are None."""
    if all(weight is None for weight in weights):
        return None
    return np.array([1.0 if weight is None else weight for weight in weights])


def _read_item(item, name):
    """Read a Task or an (X, y) pair: ``(X, y, feature_names, weight)``."""
    if isinstance(item, Task):
        return item.X, item.y, item.feature_names, item.weight
    refuse_group(item)
    if not isinstance(item, list | tuple) or len(item) != 2:
        items = f" of {len(item)} items" if isinstance(item, list | tuple) else ""
        raise TypeError(
            f"Task {name!r} is a {type(item).__name__}{items}; each task must be a "
            "Task or an (X, y) pair. Write a single dataset as [(X, y)]."
        )
    return *read_task(*item, name), None


def numbered(items):
    """``(name, item)`` of ``(position, item)``: the name of a task, or its position."""
    for position, item in items:
        own = item.name if isinstance(item, Task) else None
        yield (position if own is None else own), item


def names_array(names):
    """Names as an array (n_tasks,), of ints if all are, to save memory."""
    if all(type(name) is int for name in names):
        return np.array(names)
    return np.fromiter(names, dtype=object, count=len(names))


def check_same_schema(found, known, words=None):
    """Raise unless two schemas have the same columns and the same type of target.

    ``words`` are whose they are, such as "the validation_tasks have" and "the tasks
    have"; None for two tasks, of which both must have column names, or neither.
    """
    if found[1:] == known[1:]:
        return
    alike = words is None
    if alike:
        words = tuple(f"task {some.name!r} has" for some in (found, known))
    check_columns(found, known, words, alike=alike)
    if found.is_text != known.is_text:
        types = ("numbers", "strings")
        one = words[0][0].upper() + words[0][1:]
        raise ValueError(
            f"{one} a y of {types[found.is_text]}, but {words[1]} one of "
            f"{types[known.is_text]}. Convert one of them with y.astype."
        )
