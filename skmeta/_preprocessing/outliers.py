"""Outliers: values out of all proportion, such as typing errors and codes like -9999.

A single one among thousands would determine the scale of its column for all tasks. An
outlier is far from the median, behind a gap, and one of few: the fewer, the smaller the
gap is. Long tails, the levels of a dose and rare groups are not outliers.
"""

import warnings

import numpy as np

from .._utils.warnings import level_of_caller
from ..tasks import TaskCollection
from .scaling import TargetScaler
from .task_mapping import map_tasks

MIN_DISTANCE = 10.0
"""Distance of outliers from the median, in units of `_spread`, at least."""

GAP, CODE_GAP, WIDE_GAP = 10.0, 5.0, 1000.0
"""Ratio of the distances from the median of the first outlier and the last inlier, at
least: for few outliers, for codes, and for many outliers."""

MAX_FEW, MAX_SHARE, MAX_CODE_SHARE, MAX_CODES = 3, 0.1, 0.45, 10
"""Outliers of one side, at most: their number; their share behind a wide gap; their
share if they are codes; and the number of different codes."""

MIN_VALUES = 50
"""Of fewer values none is an outlier."""

MAX_SAMPLED = 20_000
"""Values that the median and the spread of a column are computed from, at most."""

FAR_FROM_TASKS = 100.0
"""Distance of a row of a new task from those of meta-training that is warned of: in
standard deviations of the targets, or halves of a feature's range."""

UNBOUNDED = np.finfo(np.float64).max


def inlier_range(values):
    """The range of values that are no outliers.

    Parameters
    ----------
    values : ndarray of shape (n_values,)
        Finite, or NaN where missing.

    Returns
    -------
    low, high : float
        ``-UNBOUNDED`` and ``UNBOUNDED`` where there are no outliers on that side.
    """
    values = values[~np.isnan(values)].astype(np.float64, copy=False)
    if len(values) < MIN_VALUES:
        return -UNBOUNDED, UNBOUNDED
    with np.errstate(over="ignore"):
        some = values[:: -(-len(values) // MAX_SAMPLED)]
        median = np.quantile(some, 0.5, method="nearest")
        spread = _spread(some, np.abs(some - median))
        if spread == 0:
            return -UNBOUNDED, UNBOUNDED
        below, above = (_max_distance(values, median, spread, side) for side in (-1, 1))
    low = -UNBOUNDED if below is None else median - below
    return low, UNBOUNDED if above is None else median + above


def _spread(values, distance):
    """Twice the median distance; if that is 0, the median of those that are not."""
    spread = 2 * np.median(distance)
    if spread == 0:
        others = distance[(distance > 0) & ~is_missing_code(values)]
        spread = np.median(others) if len(others) else 0.0
    return spread


def _max_distance(values, median, spread, side):
    """Largest distance from the median of inliers of one side; None if all are."""
    distance = side * (values - median)
    if not distance.max() > MIN_DISTANCE * spread:
        return None
    order = np.argsort(distance)
    order = order[distance[order] > 0]
    outwards = distance[order]
    inner = np.append(spread, np.maximum(outwards[:-1], spread))
    gaps = outwards / inner
    for i in np.flatnonzero((outwards > MIN_DISTANCE * spread) & (gaps > CODE_GAP)):
        if len(outwards) - i <= _max_outliers(values[order[i:]], gaps[i], len(values)):
            return float(np.sqrt(inner[i]) * np.sqrt(outwards[i]))
    return None


def _max_outliers(values, gap, n_values):
    """How many of ``n_values`` may be outliers of one side, if they are ``values``."""
    codes = np.unique(values)
    if len(values) > 1 and len(codes) <= MAX_CODES and is_missing_code(codes).all():
        return MAX_CODE_SHARE * n_values
    if gap > WIDE_GAP:
        return MAX_SHARE * n_values
    return MAX_FEW if gap > GAP else 0


def is_missing_code(values):
    """Which values (n,) look like codes for missing values: 99, -999, 8888, ..."""
    size = np.abs(values)
    n_digits = np.floor(np.log10(np.maximum(size, 1))) + 1
    ones = (10.0**n_digits - 1) / 9
    digit = np.round(size / ones)
    return (n_digits > 1) & (digit >= 7) & (size == digit * ones)


def inlier_ranges(X):
    """`inlier_range` of each column of ``X`` (n_rows, n_features): two arrays.

    None, None where no column has an outlier.
    """
    low, high = np.array([inlier_range(column) for column in X.T]).T.reshape(2, -1)
    if (low == -UNBOUNDED).all() and (high == UNBOUNDED).all():
        return None, None
    return low, high


def warn_feature_outliers(tasks, masked):
    """Warn of outliers in features, with columns, values and tasks.

    Parameters
    ----------
    tasks : TaskCollection
    masked : ndarray of shape (n_rows, n_features)
        The rows of ``tasks`` with NaN in place of outliers.
    """
    outlying = np.isnan(masked) & ~np.isnan(tasks.X)
    names = tasks.feature_names or range(tasks.n_features)
    found = [
        f"{_described(tasks, np.flatnonzero(outlying[:, j]), tasks.X[:, j])} of column "
        f"{names[j]!r}"
        for j in np.flatnonzero(outlying.any(0))
    ]
    if found:
        _warn_caller(
            f"Values are out of all proportion to the others: {'; '.join(found)}. They "
            "are taken as missing. If they are right, give such a column on another "
            "scale, such as its logarithm."
        )


def _described(tasks, rows, values):
    """Outliers in words: those of ``rows`` of a column of ``values`` (n_rows,)."""
    task = int(np.searchsorted(tasks.offsets, rows[0], side="right")) - 1
    return (
        f"{len(rows)} value{'s' * (len(rows) > 1)} of {len(values):,}, such as "
        f"{values[rows[0]]:g} in row {rows[0] - tasks.offsets[task]} of task "
        f"{tasks.names[task]!r},"
    )


def _warn_caller(message):
    # level_of_caller counts from here, the function that calls it
    warnings.warn(message, UserWarning, stacklevel=level_of_caller())


def warn_unusual_rows(X, seen, y, targets):
    """Warn of rows of a new task that are far from those of meta-training.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
    seen : FeatureRange or None
    y : ndarray of shape (n_rows,)
    targets : TargetScaler or ClassCodec
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
        _warn_caller(
            f"Rows of this task are out of all proportion to those of meta-training: "
            f"{'; '.join(found)}. Look for an error, or write NaN in X for what is "
            "missing."
        )


def drop_target_outliers(tasks, validation_tasks):
    """Leave out rows of regression tasks whose target is an outlier, with a warning.

    Parameters
    ----------
    tasks : TaskCollection
        Their targets, and those of ``validation_tasks`` if these are a collection,
        determine the range.
    validation_tasks : TaskCollection or None

    Returns
    -------
    tasks, validation_tasks : as they were given
        Without tasks of which fewer than two rows remain.
    low, high : float
        Targets beyond them are outliers.
    """
    given = [some.y for some in (tasks, validation_tasks) if _has_numbers(some)]
    if not _has_numbers(tasks):  # refused later, with a message
        return tasks, validation_tasks, -UNBOUNDED, UNBOUNDED
    low, high = inlier_range(np.concatenate(given).astype(np.float64))
    return (
        _drop_rows(tasks, low, high, "tasks"),
        _drop_rows(validation_tasks, low, high, "validation tasks"),
        low,
        high,
    )


def _has_numbers(tasks):
    return isinstance(tasks, TaskCollection) and tasks.y.dtype.kind in "biuf"


def _drop_rows(tasks, low, high, what):
    if not _has_numbers(tasks):
        return tasks
    y = tasks.y.astype(np.float64)
    kept = (y >= low) & (y <= high)
    if kept.all():
        return tasks
    _warn_caller(
        f"Targets are out of all proportion to the others: "
        f"{_described(tasks, np.flatnonzero(~kept), y)} of the {what}. Such rows are "
        "left out. If they are right, predict the targets on another scale, such as "
        "their logarithm."
    )
    return tasks.where(kept)[np.flatnonzero(_n_kept(tasks, kept) >= 2)]


def _n_kept(tasks, kept):
    """How many rows of each task are kept, (n_tasks,)."""
    return np.add.reduceat(kept.astype(int), tasks.offsets[:-1])


def restrict_targets(tasks, low, high):
    """Leave out rows whose target is not in a range; as many tasks, of any source.

    A task of which fewer than two rows would remain keeps all, with clipped targets.
    """
    if (low, high) == (-UNBOUNDED, UNBOUNDED):
        return tasks

    def restrict(some):
        inside = (some.y >= low) & (some.y <= high)
        if inside.all():
            return some
        few = np.repeat(_n_kept(some, inside) < 2, np.diff(some.offsets))
        clipped = np.clip(some.y.astype(np.float64), low, high)
        return some._replace(y=clipped).where(inside | few)

    return map_tasks(tasks, restrict)
