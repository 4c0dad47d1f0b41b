"""Validation of X, y and groups of tasks, converted to numpy arrays.

Every error begins with `where`, which names the task, or is empty.
"""

import numpy as np

from ._array_likes import first_missing, labels, named, numbers, to_array
from ._column_names import column_names


def read_only(array):
    """A view of `array` that cannot be written to; `array` itself stays writeable."""
    view = array.view()
    view.flags.writeable = False
    return view


def read_features(X, where=""):
    """Convert and check X, but for infinite values.

    Parameters
    ----------
    X : array-like of shape (n_rows, ...) or DataFrame

    Returns
    -------
    X : ndarray of shape (n_rows, ...)
        Of a bool, integer or float dtype.
    feature_names : tuple of str or None
    """
    feature_names = column_names(X, where)
    X = numbers(X, where)
    if X.ndim < 2:
        raise ValueError(
            f"{where}X must have at least 2 dimensions (n_rows, n_features); got shape "
            f"{X.shape}. Write a single feature as X.reshape(-1, 1)."
        )
    if 0 in X.shape[1:]:
        raise ValueError(f"{where}X has shape {X.shape}: it needs at least 1 feature.")
    return X, feature_names


def read_target(y, where="", groups=None):
    """Convert and check y, but for infinite numbers.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
    where : str, default=""
    groups : ndarray of shape (n_rows,), default=None
        The task of each row, if `y` holds the targets of many.

    Returns
    -------
    y : ndarray of shape (n_rows,)
        Of a bool, integer, float or string dtype.
    """
    y = labels(y, where, groups)
    if y.ndim != 1:
        raise ValueError(
            f"{where}y must be 1-dimensional; got shape {y.shape}. Use y.ravel() for a "
            "single column."
        )
    return y


def read_task(X, y, name=None):
    """Convert and check a task, but for infinities: ``(X, y, feature_names)``."""
    where = named(name)
    X, feature_names = read_features(X, where)
    y = read_target(y, where)
    if len(X) != len(y):
        raise ValueError(
            f"{where}X has {len(X)} rows and y has {len(y)} (shapes {X.shape} and "
            f"{y.shape}). Give one target for each row."
        )
    check_sizes((0, len(y)), (name,))
    return X, y, feature_names


def check_sizes(offsets, names):
    """Raise if a task has fewer than two rows; the message names the first."""
    sizes = np.diff(offsets)
    small = np.flatnonzero(sizes < 2)
    if len(small) == 0:
        return
    rows = "1 row" if sizes[small[0]] == 1 else "no rows"
    others = f" (so few in {len(small)} of {len(sizes)} tasks)" * (len(sizes) > 1)
    raise ValueError(
        f"{named(names[small[0]])}X has {rows}{others}; a task needs at least 2, one "
        "to adapt to and one to evaluate. Leave such tasks out, e.g. "
        "[(X, y) for X, y in pairs if len(y) > 1] or "
        "frame.groupby(task).filter(lambda rows: len(rows) > 1)."
    )


def check_finite(X, y, offsets, names, feature_names=None):
    """Raise for infinite values in X or y, or NaN in y, with task, row and column.

    NaN in X is a missing value.

    Parameters
    ----------
    X : ndarray of shape (n_rows, ...)
    y : ndarray of shape (n_rows,)
    offsets : ndarray of shape (n_tasks + 1,)
        Task t has the rows ``offsets[t]:offsets[t + 1]``.
    names : sequence of length n_tasks
    feature_names : tuple of str or None
    """
    for what, values in (("X", X), ("y", y)):
        at = _first_not_finite(values, may_be_missing=what == "X")
        if at is None:
            continue
        task = np.searchsorted(offsets, at[0], side="right") - 1
        place = f"row {at[0] - offsets[task]}"
        if len(at) == 2:
            column = at[1] if feature_names is None else feature_names[at[1]]
            place += f", column {column!r}"
        elif len(at) > 2:
            place += f", position {at[1:]}"
        raise ValueError(
            f"{named(names[task])}{what} is {values[at]} in {place}. Drop such rows"
            + (", or write NaN for what is missing." if what == "X" else ".")
        )


def _first_not_finite(values, may_be_missing):
    """Index of the first infinity, or NaN if none may be missing: ints, or None."""
    if values.dtype.kind != "f":
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum()):  # no temporary array; a huge sum may overflow
            return None
    bad = np.isinf(values) if may_be_missing else ~np.isfinite(values)
    if not bad.any():
        return None
    return tuple(int(i) for i in np.unravel_index(np.argmax(bad), bad.shape))


def read_groups(groups, column=None):
    """Convert and check the task of each row: labels (n_rows,), none missing.

    ``column`` is the name of the column, if they come from a frame.
    """
    groups = to_array(groups, "groups")
    if groups.ndim != 1:
        raise ValueError(f"groups must be 1-dimensional; got shape {groups.shape}.")
    row = first_missing(groups)
    if row is not None:
        what = "groups" if column is None else f"The task, column {column!r},"
        raise ValueError(
            f"{what} is missing ({groups[row]}) in row {row}. Every row must say which "
            "task it belongs to. Drop such rows."
        )
    if groups.dtype.kind == "M":
        groups = groups.astype("datetime64[us]")  # the finest that Python can hold
    return groups


def sort_groups(groups):
    """Sort rows by group.

    Parameters
    ----------
    groups : ndarray of shape (n_rows,)
        At least one row.

    Returns
    -------
    order : ndarray of shape (n_rows,) or None
        Sorts the rows by group, stably; None where they are sorted already.
    offsets : ndarray of shape (n_groups + 1,)
        Group t has the sorted rows ``offsets[t]:offsets[t + 1]``.
    labels : ndarray of shape (n_groups,)
        The group labels, sorted.
    """
    try:
        is_sorted = np.all(groups[1:] >= groups[:-1])
        order = None if is_sorted else np.argsort(groups, kind="stable")
    except TypeError as error:
        types = sorted({type(label).__name__ for label in groups})
        raise TypeError(
            f"groups mixes labels of types {types}, which have no order. Convert them "
            "to strings."
        ) from error
    groups = groups if order is None else groups[order]
    starts = np.flatnonzero(np.append(True, groups[1:] != groups[:-1]))
    return order, np.append(starts, len(groups)), groups[starts]
