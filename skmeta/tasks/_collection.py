"""Many tasks, held as one flat array of rows."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ._argument_checks import not_tasks, refuse_table, takes_tasks
from ._array_likes import float_dtype
from ._column_names import width
from ._frames import split_frame
from ._indexing import positions
from ._input_checks import (
    check_finite,
    check_sizes,
    read_features,
    read_groups,
    read_target,
    sort_groups,
)
from ._task import (
    Immutable,
    Task,
    TaskSchema,
    check_same_schema,
    flatten,
    names_array,
    numbered,
)


class TaskCollection(Immutable, Sequence):
    """Many tasks, stored flat: an immutable sequence of `Task`.

    An int gives a `Task` (a view); a slice, an array of ints or a boolean mask gives
    a `TaskCollection`, so that scikit-learn's splitters work on it. Consecutive tasks
    are a view too; any other selection copies its rows.

    Parameters
    ----------
    tasks : iterable of Task or (X, y) pairs, or dict of name -> (X, y) or Task
        All with the same columns. The name of a task without one is its position.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features) or (n_rows, ...)
        The rows of all tasks, one task after the other. Read-only.
    y : ndarray of shape (n_rows,)
        Read-only.
    offsets : ndarray of shape (n_tasks + 1,)
        Task t has the rows ``offsets[t]:offsets[t + 1]``. Read-only.
    names : tuple of length n_tasks
    weights : ndarray of shape (n_tasks,) or None
        How much each task counts in meta-training; None if no task has a weight.
    feature_names : tuple of str or None
    n_features : int or None
        None where a row is not a vector.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.tasks import TaskCollection
    >>> X, y = np.arange(12.0).reshape(6, 2), np.arange(6)
    >>> tasks = TaskCollection({"a": (X[:2], y[:2]), "b": (X[2:], y[2:])})
    >>> tasks
    TaskCollection(n_tasks=2, n_rows=6, n_features=2)
    >>> tasks[1]
    Task('b', n_rows=4, n_features=2)
    >>> tasks[[1]].names
    ('b',)
    """

    __slots__ = ("X", "_names", "feature_names", "offsets", "weights", "y")

    @takes_tasks
    def __init__(self, tasks):
        refuse_table(tasks)
        if isinstance(tasks, Mapping):
            entries = tasks.items()
        elif isinstance(tasks, Iterable):
            entries = numbered(enumerate(tasks))
        else:
            raise TypeError(not_tasks(tasks))
        self._fill(*flatten(entries))

    def _fill(self, X, y, offsets, names, feature_names, weights=None):
        self.__setstate__(
            {
                "X": X,
                "y": y,
                "offsets": offsets,
                "_names": names,
                "feature_names": feature_names,
                "weights": weights,
            }
        )

    @classmethod
    def _of(cls, *flat):
        """Make a collection from flat arrays, as `flatten` returns, without checks."""
        tasks = cls.__new__(cls)
        tasks._fill(*flat)
        return tasks

    def _replace(self, **arrays):
        """A copy with some of the flat arrays replaced, without checks."""
        tasks = TaskCollection.__new__(TaskCollection)
        tasks.__setstate__({**self.__getstate__(), **arrays})
        return tasks

    @classmethod
    def from_arrays(cls, X, y, groups):
        """Make a collection from rows labelled by task.

        Rows that are sorted by group already are not copied.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features) or (n_rows, ...), or DataFrame
        y : array-like of shape (n_rows,)
        groups : array-like of shape (n_rows,)
            The task of each row. Tasks come in the order of their sorted labels, and
            are named by them.

        Returns
        -------
        tasks : TaskCollection

        Examples
        --------
        >>> from skmeta.tasks import TaskCollection
        >>> X, y = [[1.0], [2.0], [3.0], [4.0]], [0, 1, 0, 1]
        >>> TaskCollection.from_arrays(X, y, groups=["b", "b", "a", "a"]).names
        ('a', 'b')
        """
        X, feature_names = read_features(X)
        groups = read_groups(groups)
        y = read_target(y, groups=groups)
        if not len(X) == len(y) == len(groups):
            raise ValueError(
                f"X has {len(X)} rows, y has {len(y)} and groups has {len(groups)}. "
                "Give one target and one group for each row."
            )
        if len(X) == 0:
            raise ValueError(
                f"X has shape {X.shape}. Pass the rows of at least 1 task."
            )
        order, offsets, labels = sort_groups(groups)
        names = labels.tolist()
        check_sizes(offsets, names)
        if order is not None:
            X, y = X[order], y[order]
        X = X.astype(float_dtype([X.dtype]), copy=False)
        check_finite(X, y, offsets, names, feature_names)
        return cls._of(X, y, offsets, labels, feature_names)

    @classmethod
    def from_frame(cls, frame, *, target, task, features=None):
        """Make a collection from a DataFrame with a column that names the task.

        Parameters
        ----------
        frame : pandas or polars DataFrame
        target : str
            The column to predict.
        task : str
            The column that names the task of each row.
        features : list of str, default=None
            The feature columns; None takes all others. They must be numeric;
            `skmeta.tables.read_tasks` and pipelines encode others.

        Returns
        -------
        tasks : TaskCollection
            In the order of the sorted task labels, which name the tasks.

        Examples
        --------
        >>> import pandas as pd
        >>> from skmeta.tasks import TaskCollection
        >>> frame = pd.DataFrame(
        ...     {"school": list("xxyy"), "age": [9, 8, 9, 7], "iq": [1, 2, 3, 4]}
        ... )
        >>> tasks = TaskCollection.from_frame(frame, target="iq", task="school")
        >>> tasks.names, tasks.feature_names
        (('x', 'y'), ('age',))
        """
        return cls.from_arrays(*split_frame(frame, target, task, features))

    @property
    def names(self):
        """The names of the tasks, a tuple of length n_tasks."""
        return tuple(self._names.tolist())

    @property
    def n_features(self):
        """Number of columns of X; None where a row is not a vector."""
        return self.X.shape[1] if self.X.ndim == 2 else None

    @property
    def shape(self):
        """``(n_tasks,)``: scikit-learn then selects as from arrays, ``tasks[i, ...]``.

        Without it, `sklearn.utils._safe_indexing` gives a list of single tasks.
        """
        return (len(self),)

    @property
    def _schema(self):
        name = self._name(0) if len(self) else None
        is_text = self.y.dtype.kind == "U"
        return TaskSchema(name, self.X.shape[1:], self.feature_names, is_text)

    def _name(self, t):
        return self._names[t : t + 1].tolist()[0]  # a Python scalar, not numpy's

    def __len__(self):
        return len(self.offsets) - 1

    def __getitem__(self, key):
        at = positions(key, len(self))
        if isinstance(at, np.ndarray):
            return self._select(at)
        rows = slice(self.offsets[at], self.offsets[at + 1])
        X, y = self.X[rows], self.y[rows]
        weight = None if self.weights is None else float(self.weights[at])
        return Task._of(X, y, self._name(at), self.feature_names, weight)

    def __iter__(self):
        return (self[t] for t in range(len(self)))

    def take(self, indices):
        """Select tasks; indices may be repeated.

        Parameters
        ----------
        indices : array-like of int of shape (n,)

        Returns
        -------
        tasks : TaskCollection
            Of n tasks, in the order of `indices`.
        """
        return self._select(np.atleast_1d(positions(indices, len(self))))

    def where(self, rows):
        """Select rows of the tasks.

        Parameters
        ----------
        rows : ndarray of bool, shape (n_rows,)

        Returns
        -------
        tasks : TaskCollection
            With as many tasks, some of which may have no rows.
        """
        counted = np.concatenate([[0], np.cumsum(rows)])
        return self._replace(
            X=self.X[rows], y=self.y[rows], offsets=counted[self.offsets]
        )

    def row_weights(self):
        """The weight of each row's task, 1 on average; None where no task has one.

        Returns
        -------
        weights : ndarray of shape (n_rows,) or None
        """
        if self.weights is None:
            return None
        weights = np.repeat(self.weights, np.diff(self.offsets))
        return weights / weights.mean()

    def _select(self, at):
        """The tasks at the positions `at` (n,), all of them >= 0."""
        starts, sizes = self.offsets[at], np.diff(self.offsets)[at]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        if len(at) and np.all(np.diff(at) == 1):
            rows = slice(starts[0], starts[0] + offsets[-1])
        else:
            rows = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], sizes)
        weights = None if self.weights is None else self.weights[at]
        return self._replace(
            X=self.X[rows],
            y=self.y[rows],
            offsets=offsets,
            _names=self._names[at],
            weights=weights,
        )

    def __add__(self, other):
        if not isinstance(other, TaskCollection):
            return NotImplemented
        check_same_schema(other._schema, self._schema)
        shared = sorted(set(self.names).intersection(other.names), key=str)
        if shared:
            raise ValueError(
                f"Both collections have a task named {shared[0]!r} ({len(shared)} "
                "names in common). Names must differ: make each collection from a dict "
                "of name -> (X, y)."
            )
        return self.followed_by(other)

    def followed_by(self, other):
        """Concatenate without checks; both may have tasks of the same name."""
        weights = None
        if self.weights is not None or other.weights is not None:
            weights = np.concatenate([self._full_weights(), other._full_weights()])
        return self._replace(
            X=np.concatenate([self.X, other.X]),
            y=np.concatenate([self.y, other.y]),
            offsets=np.concatenate(
                [self.offsets, other.offsets[1:] + self.offsets[-1]]
            ),
            _names=names_array(self.names + other.names),
            weights=weights,
        )

    def _full_weights(self):
        return np.ones(len(self)) if self.weights is None else self.weights

    def __repr__(self):
        return (
            f"TaskCollection(n_tasks={len(self):,}, n_rows={len(self.y):,}, "
            f"{width(self.X.shape[1:])})"
        )
