"""Tasks that are not in memory: loaded on access, or drawn from a distribution."""

from collections.abc import Mapping, Sequence

import numpy as np

from ._argument_checks import refuse_table, takes_tasks
from ._collection import TaskCollection
from ._column_names import width
from ._indexing import positions
from ._task import NO_TASKS, check_same_schema, flatten, numbered


class LazyTasks(Sequence):
    """A sequence that loads its tasks on access, such as one larger than memory.

    The constructor loads the first task to learn its columns, and does not keep it.
    Selecting with a slice, an array of ints or a mask loads nothing.

    Parameters
    ----------
    sequence : object with ``__len__`` and ``__getitem__``
        An int gives a `Task` or an ``(X, y)`` pair.

    Attributes
    ----------
    feature_names : tuple of str or None
    n_features : int or None
        None where a row is not a vector.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.tasks import LazyTasks
    >>> class Files:
    ...     def __len__(self):
    ...         return 1000
    ...
    ...     def __getitem__(self, i):
    ...         return np.full((5, 2), i), np.arange(5)
    >>> lazy = LazyTasks(Files())
    >>> lazy[10:20]
    LazyTasks(n_tasks=10, n_features=2)
    >>> lazy.take([3, 1, 3])
    TaskCollection(n_tasks=3, n_rows=15, n_features=2)
    """

    def __init__(self, sequence):
        if len(sequence) == 0:
            raise ValueError(NO_TASKS)
        self._sequence = sequence
        self._at = np.arange(len(sequence))
        self._schema = None
        self._schema = self.take([0])._schema

    @property
    def feature_names(self):
        """The column names of the first task, or None."""
        return self._schema.feature_names

    @property
    def n_features(self):
        """Number of columns of X; None where a row is not a vector."""
        shape = self._schema.row_shape
        return shape[0] if len(shape) == 1 else None

    @property
    def shape(self):
        """``(n_tasks,)``, so that scikit-learn selects without loading."""
        return (len(self),)

    def __len__(self):
        return len(self._at)

    def __getitem__(self, key):
        at = positions(key, len(self))
        if not isinstance(at, np.ndarray):
            return self.take([at])[0]
        selected = LazyTasks.__new__(LazyTasks)
        selected._sequence, selected._schema = self._sequence, self._schema
        selected._at = self._at[at]
        return selected

    def __iter__(self):
        return (self[t] for t in range(len(self)))

    def take(self, indices):
        """Load tasks, each once, even if its index is repeated.

        Parameters
        ----------
        indices : array-like of int of shape (n,)

        Returns
        -------
        tasks : TaskCollection
            Of n tasks, in the order of `indices`. The name of a task without one is its
            position in the wrapped sequence.

        Raises
        ------
        ValueError
            If a task has other columns than the first one of the sequence.
        """
        at = self._at[np.atleast_1d(positions(indices, len(self)))]
        distinct, where = np.unique(at, return_inverse=True)
        items = ((t, self._sequence[t]) for t in distinct.tolist())
        flat = flatten(numbered(items), self._schema, unique=False)
        return TaskCollection._of(*flat)[where]

    def __repr__(self):
        return f"LazyTasks(n_tasks={len(self):,}, {width(self._schema.row_shape)})"


class TaskDistribution:
    """A task distribution, from which any number of tasks can be drawn.

    Parameters
    ----------
    distribution : object with ``sample(n_tasks, random_state)``
        Returns `n_tasks` tasks: a `TaskCollection`, or a list of `Task` or ``(X, y)``
        pairs. `random_state` is an int.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.tasks import TaskDistribution
    >>> class Lines:
    ...     def sample(self, n_tasks, random_state):
    ...         rng = np.random.default_rng(random_state)
    ...         X = rng.normal(size=(n_tasks, 10, 1))
    ...         return [(x, rng.normal() * x[:, 0]) for x in X]
    >>> TaskDistribution(Lines()).draw(4, seed=0)
    TaskCollection(n_tasks=4, n_rows=40, n_features=1)
    """

    def __init__(self, distribution):
        self._distribution = distribution
        self._schema = None

    def draw(self, n_tasks, seed):
        """Draw tasks. Their names are those of the distribution, and need not differ.

        Parameters
        ----------
        n_tasks : int
        seed : int
            Passed to the distribution as `random_state`.

        Returns
        -------
        tasks : TaskCollection
            Of `n_tasks` tasks.

        Raises
        ------
        ValueError
            If there are more or fewer, or they have other columns than those of the
            first draw.
        """
        name = type(self._distribution).__name__
        call = f"{name}.sample({n_tasks}, random_state={seed})"
        try:
            tasks = self._distribution.sample(n_tasks, random_state=int(seed))
        except TypeError as error:
            error.add_note(f"A task distribution is called as {call}.")
            raise
        try:
            tasks = tasks if isinstance(tasks, TaskCollection) else list(tasks)
        except TypeError as error:
            raise TypeError(
                f"{call} returned {tasks!r}; it must return {n_tasks} tasks."
            ) from error
        if len(tasks) != n_tasks:
            raise ValueError(
                f"{call} returned {len(tasks)} tasks; it must return {n_tasks}."
            )
        if isinstance(tasks, list):
            flat = flatten(numbered(enumerate(tasks)), self._schema, unique=False)
            tasks = TaskCollection._of(*flat)
        kind = tasks._schema
        if self._schema is None:
            self._schema = kind._replace(name=f"{kind.name} of the first draw")
        check_same_schema(kind, self._schema)
        return tasks

    def __repr__(self):
        return f"TaskDistribution({self._distribution!r})"


@takes_tasks
def check_tasks(tasks):
    """Convert tasks of any form into one of three sources of tasks.

    Parameters
    ----------
    tasks : TaskCollection, or iterable or dict of tasks, or Sequence, or distribution
        An iterable holds `Task` objects or ``(X, y)`` pairs. An object with ``__len__``
        and ``__getitem__`` that is no list, tuple or dict loads its tasks on access;
        one with ``sample(n_tasks, random_state)`` is a task distribution.

    Returns
    -------
    source : TaskCollection, LazyTasks or TaskDistribution
        The first two have a length and ``take(indices)``; the last has
        ``draw(n_tasks, seed)``. Both methods return a `TaskCollection`.

    Raises
    ------
    TypeError
        If `tasks` holds no tasks, or X and y are given in its place.
    ValueError
        If it is empty, or its tasks do not pass the checks of `TaskCollection`.

    Examples
    --------
    >>> from skmeta.tasks import check_tasks
    >>> check_tasks([([[1.0], [2.0]], [0, 1]), ([[3.0], [4.0]], [1, 0])])
    TaskCollection(n_tasks=2, n_rows=4, n_features=1)
    """
    refuse_table(tasks)
    if isinstance(tasks, TaskCollection | LazyTasks):
        if len(tasks) == 0:
            raise ValueError(NO_TASKS)
        return tasks
    if isinstance(tasks, TaskDistribution):
        return tasks
    if isinstance(tasks, list | tuple | Mapping):
        return TaskCollection(tasks)
    if hasattr(tasks, "__len__") and hasattr(tasks, "__getitem__"):
        return LazyTasks(tasks)
    if callable(getattr(tasks, "sample", None)):
        return TaskDistribution(tasks)
    return TaskCollection(tasks)
