"""Values out of all proportion: typing errors, and codes such as -9999 for "missing".

One of them among thousands would decide the scale of its column for all tasks. They lie
far from all others, nothing lies between, and they are few, the fewer the nearer they
are: long tails, levels of a dose and rare groups are left alone.
"""

import warnings

import numpy as np

from .._utils.warnings import level_of_caller
from ..tasks import TaskCollection
from .scaling import TargetScaler
from .task_mapping import changed

FAR = 10.0
"""Median absolute deviations, doubled, from the median within which nothing is wild."""

GAP, CODE_GAP, WIDE_GAP = 10.0, 5.0, 1000.0
"""How many times farther from the median the first wild value is than the last other: a
few values; codes; and many values."""

MAX_FEW, MAX_SHARE, MAX_CODE_SHARE, MAX_CODES = 3, 0.1, 0.45, 10
"""Wild values of a side at most: a few; by their share, behind a wide gap, and if they
are codes; and how many codes."""

MIN_VALUES = 50
"""Fewer values say too little of what is out of proportion."""

MAX_LOOKED_AT = 20_000
"""Values that the median and the deviation of a column are read off, at most."""

FAR_FROM_TASKS = 100.0
"""Standard deviations of targets, and halves of a feature's range, that rows of a new
task lie from those of meta-training before there is a warning."""

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
        median = np.quantile(some, 0.5, method="nearest")
        spread = _spread(some, np.abs(some - median))
        if spread == 0:
            return -UNBOUNDED, UNBOUNDED
        below, above = (_end(values, median, spread, side) for side in (-1, 1))
    low = -UNBOUNDED if below is None else median - below
    return low, UNBOUNDED if above is None else median + above


def _spread(values, distance):
    """Twice the median distance; of those that are not 0, where most are."""
    spread = 2 * np.median(distance)
    if spread == 0:
        others = distance[(distance > 0) & ~is_code(values)]
        spread = np.median(others) if len(others) else 0.0
    return spread


def _end(values, median, spread, side):
    """How far from the median values of one side are plausible; None if all are."""
    distance = side * (values - median)
    if not distance.max() > FAR * spread:
        return None
    order = np.argsort(distance)
    order = order[distance[order] > 0]
    outwards = distance[order]
    inner = np.append(spread, np.maximum(outwards[:-1], spread))
    gaps = outwards / inner
    for i in np.flatnonzero((outwards > FAR * spread) & (gaps > CODE_GAP)):
        if len(outwards) - i <= _most(values[order[i:]], gaps[i], len(values)):
            return float(np.sqrt(inner[i]) * np.sqrt(outwards[i]))
    return None


def _most(values, gap, n_values):
    """How many of ``n_values`` may be wild on a side, if they are these."""
    codes = np.unique(values)
    if len(values) > 1 and len(codes) <= MAX_CODES and is_code(codes).all():
        return MAX_CODE_SHARE * n_values
    if gap > WIDE_GAP:
        return MAX_SHARE * n_values
    return MAX_FEW if gap > GAP else 0


def is_code(values):
    """Which values (n,) are written as codes for "missing" are: 99, -999, 8888, ..."""
    size = np.abs(values)
    n_digits = np.floor(np.log10(np.maximum(size, 1))) + 1
    ones = (10.0**n_digits - 1) / 9
    digit = np.round(size / ones)
    return (n_digits > 1) & (digit >= 7) & (size == digit * ones)


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
            stacklevel=level_of_caller(),
        )


def _wild_in(tasks, rows, values):
    """Wild values in words, of a column of ``values`` (n_rows,)."""
    task = int(np.searchsorted(tasks.offsets, rows[0], side="right")) - 1
    what = f"{len(rows)} value{'s' * (len(rows) > 1)} of {len(values):,}"
    row = rows[0] - tasks.offsets[task]
    return (
        f"{what}, such as {values[rows[0]]:g} in row {row} of task "
        f"{tasks.names[task]!r},"
    )


def warn_of_far_rows(X, seen, y, targets):
    """Warn of rows of a new task that are out of all proportion to meta-training.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
    seen : FeatureRange or None
    y : ndarray of shape (n_rows,)
    targets : TargetScaler, or another where targets are no numbers
    """
    found = []
    if isinstance(targets, TargetScaler) and len(y):
        scaled = np.abs(targets.transform(y, np.float64))
        row = int(scaled.argmax())
        if scaled[row] > FAR_FROM_TASKS:
            found.append(f"y is {y[row]:g} in row {row}")
    if seen is not None and len(X):
        half = np.where(seen.high > seen.low, seen.high - seen.low, np.inf) / 2
        far = np.abs(X - np.clip(X, seen.low, seen.high)) / half
        row, column = np.unravel_index(np.nanargmax(np.nan_to_num(far)), far.shape)
        if far[row, column] > FAR_FROM_TASKS:
            found.append(f"X is {X[row, column]:g} in row {row}, column {column}")
    if found:
        warnings.warn(
            f"Rows of this task are out of all proportion to those of meta-training: "
            f"{'; '.join(found)}. Look for an error, or write NaN in X for what is "
            "missing.",
            UserWarning,
            stacklevel=level_of_caller(),
        )


def plausible_targets(tasks, validation_tasks):
    """Tasks of regression without rows whose targets are wild; a warning names these.

    Parameters
    ----------
    tasks : TaskCollection
        They, and ``validation_tasks`` if they are a collection, say what is wild.
    validation_tasks : TaskCollection or None

    Returns
    -------
    tasks, validation_tasks : as they were given
        Without tasks of which no two rows are left.
    low, high : float
        Targets beyond them are wild.
    """
    given = [some.y for some in (tasks, validation_tasks) if _has_numbers(some)]
    if not _has_numbers(tasks):  # which is refused where it is looked at
        return tasks, validation_tasks, -UNBOUNDED, UNBOUNDED
    low, high = plausible_range(np.concatenate(given).astype(np.float64))
    return (
        _within(tasks, low, high, "tasks"),
        _within(validation_tasks, low, high, "validation tasks"),
        low,
        high,
    )


def _has_numbers(tasks):
    return isinstance(tasks, TaskCollection) and tasks.y.dtype.kind in "biuf"


def _within(tasks, low, high, what):
    if not _has_numbers(tasks):
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
        stacklevel=level_of_caller(),
    )
    kept = np.add.reduceat(plausible.astype(int), tasks.offsets[:-1])
    return tasks.where(plausible)[np.flatnonzero(kept >= 2)]


def within(tasks, low, high):
    """As many tasks, of any source, without rows whose targets are wild.

    Of a task of which no two rows would be left all are, their targets cut off.
    """
    if (low, high) == (-UNBOUNDED, UNBOUNDED):
        return tasks

    def change(some):
        plausible = (some.y >= low) & (some.y <= high)
        if plausible.all():
            return some
        few = np.add.reduceat(plausible.astype(int), some.offsets[:-1]) < 2
        kept = plausible | np.repeat(few, np.diff(some.offsets))
        flat = some.offsets, some._names, some.feature_names, some.weights
        cut_off = np.clip(some.y.astype(np.float64), low, high)
        return TaskCollection._of(some.X, cut_off, *flat).where(kept)

    return changed(tasks, change)
