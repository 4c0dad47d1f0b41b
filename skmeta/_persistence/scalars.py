"""Scalars that JSON does not have, such as dates, identifiers and decimals.

They occur as names of tasks and as class labels. Each is written as its parts, under
the name of its type, and read as an equal value with the same hash.
"""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import numpy as np

from ..exceptions import SavedFileError


def _time_parts(value):
    return [int(value.view(np.int64)), value.dtype.str]


def times(numbers, dtype):
    """Times of numpy from the integers that they are stored as."""
    if np.dtype(dtype).kind not in "mM":
        raise SavedFileError(f"it has times of the type {dtype!r}")
    return numbers.view(dtype)


def _time(parts):
    return times(np.int64(parts[0]), parts[1])


def _fraction(parts):
    if not all(type(part) is int for part in parts):  # text could be a huge number
        raise SavedFileError(f"it has a fraction of {parts!r}")
    return Fraction(*parts)


TYPES = {
    datetime: (datetime.isoformat, datetime.fromisoformat),
    date: (date.isoformat, date.fromisoformat),
    time: (time.isoformat, time.fromisoformat),
    timedelta: (
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda parts: timedelta(*parts),
    ),
    UUID: (str, UUID),
    Decimal: (str, Decimal),
    Fraction: (lambda value: [value.numerator, value.denominator], _fraction),
    complex: (lambda value: [value.real, value.imag], lambda parts: complex(*parts)),
    bytes: (bytes.hex, bytes.fromhex),
    frozenset: (list, frozenset),
    np.datetime64: (_time_parts, _time),
    np.timedelta64: (_time_parts, _time),
}
"""For each type, the function that gives its parts and the one that reads them."""

PANDAS_NAMES = ("Timestamp", "Timedelta", "Period", "Interval")
KNOWN = {kind.__name__ for kind in TYPES} | {*PANDAS_NAMES}


def _pandas_types():
    """As `TYPES`, for those of pandas, which need not be installed."""
    import pandas as pd

    return {
        pd.Timestamp: (pd.Timestamp.isoformat, pd.Timestamp),
        pd.Timedelta: (lambda value: value.value, lambda ns: pd.Timedelta(ns, "ns")),
        pd.Period: (
            lambda value: [value.ordinal, value.freqstr],
            lambda parts: pd.Period(ordinal=parts[0], freq=parts[1]),
        ),
        pd.Interval: (
            lambda value: [value.left, value.right, value.closed],
            # an index makes Python's dates and times those of pandas
            lambda parts: pd.Interval(*pd.Index(parts[:2]), parts[2]),
        ),
    }


def scalar_parts(value):
    """The name of a value's type, and its parts; None for a value of another type."""
    value = _plain(value)
    kind = type(value)
    types = _pandas_types() if kind.__module__.startswith("pandas") else TYPES
    return (kind.__name__, types[kind][0](value)) if kind in types else None


def scalar_of(name, parts):
    """The value of the type called ``name`` that has these parts."""
    try:
        types = _pandas_types() if name in PANDAS_NAMES else TYPES
    except ImportError as error:
        raise SavedFileError(
            f"it has a {name} of pandas, which is not installed: pip install pandas"
        ) from error
    by_name = {kind.__name__: from_parts for kind, (_, from_parts) in types.items()}
    return by_name[name](parts)


def _plain(value):
    """A time of pandas as Python's, which is equal to it, if that can hold it."""
    if getattr(value, "nanosecond", None) == 0 and hasattr(value, "to_pydatetime"):
        return value.to_pydatetime()
    if getattr(value, "nanoseconds", None) == 0 and hasattr(value, "to_pytimedelta"):
        return value.to_pytimedelta()
    return value
