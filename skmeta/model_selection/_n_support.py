"""Numbers of support rows: checked, and chosen where none are given."""

from collections.abc import Iterable
from numbers import Integral

import numpy as np

DEFAULT_SHOTS = (3, 5, 10, 20)
"""Numbers of support rows that `compare` uses, unless tasks are too small."""

MIN_QUERY = 3
"""Rows that half of the tasks must have beyond the support."""


def check_n_support(n_support):
    """Numbers of support rows as a tuple of int."""
    sizes = tuple(n_support) if isinstance(n_support, Iterable) else (n_support,)
    if not sizes:
        raise ValueError("n_support is empty. Give at least one number of rows.")
    for k in sizes:
        check_count("n_support", k, 0)
    if len(set(sizes)) < len(sizes):
        raise ValueError(f"n_support={sizes} holds a number twice. Give each once.")
    return tuple(int(k) for k in sizes)


def check_count(name, value, least):
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(
            f"{name} must be whole numbers of at least {least}; got {value!r}."
        )


def check_enough_rows(n_support, largest, by_class):
    """Refuse numbers of support rows that no task, or class, has."""
    too_large = [k for k in n_support if k >= largest]
    if too_large:
        what = "class" if by_class else "task"
        raise ValueError(
            f"n_support={too_large[0]} needs a {what} of at least "
            f"{too_large[0] + 1} rows, one of them to score on; the largest {what} "
            f"has {largest}. Give a smaller n_support."
        )


def row_groups(y, by_class):
    """The group (n_rows,) of each row of a task; K support rows are drawn of each."""
    if not by_class:
        return np.zeros(len(y), int)
    return np.unique(y, return_inverse=True)[1]


def resolve_n_support(n_support, tasks, by_class):
    """Numbers of support rows: those given, or else those that most tasks have."""
    sizes = [np.bincount(row_groups(task.y, by_class)) for task in tasks]
    if n_support is not None:
        n_support = check_n_support(n_support)
        check_enough_rows(n_support, max(map(max, sizes)), by_class)
        return n_support
    n_rows = int(np.median([min(some) for some in sizes]))
    shots = tuple(k for k in DEFAULT_SHOTS if k + MIN_QUERY <= n_rows)
    if not shots:
        first, what = DEFAULT_SHOTS[0], "rows of a class" if by_class else "rows"
        raise ValueError(
            f"Half of the tasks have no more than {n_rows} {what}. To adapt to {first} "
            f"and score on others takes {first + MIN_QUERY}; give a smaller n_support "
            "(--shots)."
        )
    return shots
