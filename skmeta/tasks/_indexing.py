"""Selection of tasks by position: what an index means."""

import numpy as np


def positions(key, n_tasks):
    """The positions that `key` selects: an int, or an array of ints (n_selected,).

    Parameters
    ----------
    key : int, slice, array-like of int or mask of shape (n_tasks,)
        Or a tuple ``(key, ...)``, as scikit-learn indexes what has a shape.
    n_tasks : int
    """
    if isinstance(key, tuple) and len(key) == 2 and key[1] is Ellipsis:
        key = key[0]
    if isinstance(key, slice):
        return np.arange(n_tasks)[key]
    at = np.asarray(key)
    if at.dtype == bool and at.ndim == 1:
        if len(at) != n_tasks:
            raise IndexError(
                f"A mask of length {len(at)} cannot select from {n_tasks} tasks."
            )
        return np.flatnonzero(at)
    if at.shape == (0,):
        return np.arange(0)
    if at.dtype.kind not in "iu" or at.ndim > 1:
        raise TypeError(
            f"Tasks are selected by an int, a slice, a list of ints or a mask; got "
            f"{key!r}. To find one by its name use tasks[tasks.names.index(name)]."
        )
    outside = at[(at < -n_tasks) | (at >= n_tasks)]
    if outside.size:
        raise IndexError(
            f"Index {outside.flat[0]} is out of range for {n_tasks} tasks."
        )
    at = at.astype(np.int64) % n_tasks
    return at if at.ndim else int(at)
