"""Values out of all proportion: typing errors, and codes such as -9999 for "missing".

One of them among thousands would decide the scale of its column for all tasks. They are
few, they lie far from all others, and nothing lies between: long tails are left alone.
"""

import sys
import warnings

import numpy as np

from .tasks import TaskCollection

FAR = 20.0
"""Interquartile ranges from the median within which no value is wild."""

GAP = 10.0
"""How many times farther from the median the first wild value is than any other."""

MAX_SHARE, MAX_CODE_SHARE, MAX_CODES = 0.01, 0.25, 3
"""Of all values, those that may be wild on a side; or, if they are so few codes."""

MIN_VALUES = 50
"""Fewer values say too little of what is out of proportion."""

MAX_LOOKED_AT = 20_000
"""Values that the quartiles of a column are read off, at most."""

UNBOUNDED = np.finfo(np.float64).max


def plausible_range(values):
    """The range of values that are not wild.

    Parameters
    ----------
    values : ndarray of shape (n_values,)
        Finite, or NaN where missing.

    Returns
    -------
    low, high : float
        ``-UNBOUNDED`` and ``UNBOUNDED`` where nothing is wild on that side.
    """
    values = values[~np.isnan(values)].astype(np.float64, copy=False)
    if len(values) < MIN_VALUES:
        return -UNBOUNDED, UNBOUNDED
    with np.errstate(over="ignore"):
        some = values[:: -(-len(values) // MAX_LOOKED_AT)]
        first, median, third = np.quantile(some, (0.25, 0.5, 0.75), method="nearest")
        spread = third - first
        if spread == 0:
            distance = np.abs(some - median)
            if not distance.any():
                return -UNBOUNDED, UNBOUNDED
            spread = np.median(distance[distance > 0])
        below, above = (
            _end(side * (values - median), spread, len(values)) for side in (-1, 1)
        )
    low = -UNBOUNDED if below is None else median - below
    return low, UNBOUNDED if above is None else median + above


def _end(distance, spread, n_values):
    """How far from the median values of one side are plausible; None if all are."""
    if not distance.max() > FAR * spread:
        return None
    outwards = np.sort(distance[distance > 0])
    inner = np.append(spread, np.maximum(outwards[:-1], spread))
    starts = np.flatnonzero((outwards > FAR * spread) & (outwards > GAP * inner))
    for i in starts:
        n_wild = len(outwards) - i
        share = MAX_SHARE
        if len(np.unique(outwards[i:])) <= MAX_CODES:
            share = MAX_CODE_SHARE
        if n_wild <= max(1, share * n_values):
            return float(np.sqrt(inner[i]) * np.sqrt(outwards[i]))
    return None


def plausible_ranges(X):
    """`plausible_range` of each column of ``X`` (n_rows, n_features): two arrays.

    None, None where no value of any column is wild.
    """
    ranges = np.array([plausible_range(column) for column in X.T])
    low, high = ranges.T.reshape(2, -1)
    if (low == -UNBOUNDED).all() and (high == UNBOUNDED).all():
        return None, None
    return low, high


def warn_of_wild_features(tasks, marked):
    """Name columns, values and tasks that are taken as missing.

    Parameters
    ----------
    tasks : TaskCollection
    marked : ndarray of shape (n_rows, n_features)
        The rows of ``tasks``, NaN in place of wild values.
    """
    wild = np.isnan(marked) & ~np.isnan(tasks.X)
    names = tasks.feature_names or range(tasks.n_features)
    found = [
        f"{_wild_in(tasks, np.flatnonzero(wild[:, j]), tasks.X[:, j])} of column "
        f"{names[j]!r}"
        for j in np.flatnonzero(wild.any(0))
    ]
    if found:
        warnings.warn(
            f"Values are out of all proportion to the others: {'; '.join(found)}. They "
            "are taken as missing. If they are right, give such a column on another "
            "scale, its logarithm say.",
            UserWarning,
            stacklevel=_level_of_caller(),
        )


def _level_of_caller():
    """How far up the stack a warning is raised from code that is not of the package."""
    frame, level = sys._getframe(1), 1
    inside = ("skmeta.", "sklearn.")
    while frame and frame.f_globals.get("__name__", "").startswith(inside):
        frame, level = frame.f_back, level + 1
    return level


def _wild_in(tasks, rows, values):
    """Wild values in words, of a column of ``values`` (n_rows,)."""
    task = int(np.searchsorted(tasks.offsets, rows[0], side="right")) - 1
    what = f"{len(rows)} value{'s' * (len(rows) > 1)} of {len(values):,}"
    row = rows[0] - tasks.offsets[task]
    return (
        f"{what}, such as {values[rows[0]]:g} in row {row} of task "
        f"{tasks.names[task]!r},"
    )


def plausible_targets(tasks, validation_tasks):
    """Tasks of regression without rows whose targets are wild; a warning names these.

    Parameters
    ----------
    tasks : TaskCollection
        Say what is wild.
    validation_tasks : TaskCollection, or another source of tasks, or None
        Others than collections are left as they are.

    Returns
    -------
    tasks, validation_tasks : as they were given
        Without tasks of which no two rows are left.
    """
    if not _has_numbers(tasks):
        return tasks, validation_tasks
    low, high = plausible_range(tasks.y.astype(np.float64))
    return (
        _within(tasks, low, high, "tasks"),
        _within(validation_tasks, low, high, "validation tasks"),
    )


def _has_numbers(tasks):
    return isinstance(tasks, TaskCollection) and tasks.y.dtype.kind in "biuf"


def _within(tasks, low, high, what):
    if not _has_numbers(tasks):  # which is refused where it is looked at
        return tasks
    y = tasks.y.astype(np.float64)
    plausible = (y >= low) & (y <= high)
    if plausible.all():
        return tasks
    warnings.warn(
        f"Targets are out of all proportion to the others: "
        f"{_wild_in(tasks, np.flatnonzero(~plausible), y)} of the {what}. Such rows "
        "are left out. If they are right, predict the targets on another scale, their "
        "logarithm say.",
        UserWarning,
        stacklevel=_level_of_caller(),
    )
    kept = np.add.reduceat(plausible.astype(int), tasks.offsets[:-1])
    return tasks.where(plausible)[np.flatnonzero(kept >= 2)]
