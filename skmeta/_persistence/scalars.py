"""Values that tasks are named by and that JSON has not: dates, identifiers, decimals.

Each is written as its parts, under the name of its type, and read as an equal value of
the same hash. Some of pandas take pandas to be read, the others nothing but Python.
"""

import datetime
import decimal
import fractions
import uuid

import numpy as np

from ..exceptions import SavedFileError

PARTS = {
    datetime.datetime: datetime.datetime.isoformat,
    datetime.date: datetime.date.isoformat,
    datetime.time: datetime.time.isoformat,
    datetime.timedelta: lambda value: [value.days, value.seconds, value.microseconds],
    uuid.UUID: str,
    decimal.Decimal: str,
    fractions.Fraction: lambda value: [value.numerator, value.denominator],
    complex: lambda value: [value.real, value.imag],
    bytes: bytes.hex,
    frozenset: list,
    np.datetime64: lambda value: [int(value.view(np.int64)), value.dtype.str],
    np.timedelta64: lambda value: [int(value.view(np.int64)), value.dtype.str],
}
"""What a value of Python or numpy is written as."""

PARTS_OF_PANDAS = {
    "Timestamp": lambda value: value.isoformat(),
    "Timedelta": lambda value: value.value,
    "Period": lambda value: [value.ordinal, value.freqstr],
    "Interval": lambda value: [value.left, value.right, value.closed],
}

FROM_PARTS = {
    "datetime": datetime.datetime.fromisoformat,
    "date": datetime.date.fromisoformat,
    "time": datetime.time.fromisoformat,
    "timedelta": lambda parts: datetime.timedelta(*parts),
    "UUID": uuid.UUID,
    "Decimal": decimal.Decimal,
    "Fraction": lambda parts: fractions.Fraction(*parts),
    "complex": lambda parts: complex(*parts),
    "bytes": bytes.fromhex,
    "frozenset": frozenset,
    "datetime64": lambda parts: times(np.int64(parts[0]), parts[1]),
    "timedelta64": lambda parts: times(np.int64(parts[0]), parts[1]),
}

KNOWN = {*FROM_PARTS, *PARTS_OF_PANDAS}


def scalar_parts(value):
    """The name of a value's type, and its parts; None for a value of another type."""
    value = _plain(value)
    kind = type(value).__name__
    if type(value) in PARTS:
        return kind, PARTS[type(value)](value)
    if kind in PARTS_OF_PANDAS and type(value).__module__.startswith("pandas"):
        return kind, PARTS_OF_PANDAS[kind](value)
    return None


def scalar_of(kind, parts):
    """The value of its type's name and its parts."""
    if kind in FROM_PARTS:
        return FROM_PARTS[kind](parts)
    try:
        import pandas as pd
    except ImportError as error:
        raise SavedFileError(
            f"it has a {kind} of pandas, which is not installed: pip install pandas"
        ) from error
    match kind:
        case "Timestamp":
            return pd.Timestamp(parts)
        case "Timedelta":
            return pd.Timedelta(parts, "ns")
        case "Period":
            return pd.Period(ordinal=parts[0], freq=parts[1])
    *ends, closed = parts
    if isinstance(ends[0], datetime.datetime):
        ends = map(pd.Timestamp, ends)
    elif isinstance(ends[0], datetime.timedelta):
        ends = map(pd.Timedelta, ends)
    return pd.Interval(*ends, closed=closed)


def times(numbers, dtype):
    """Times of numpy, of the whole numbers that they are stored as."""
    if np.dtype(dtype).kind not in "mM":
        raise SavedFileError(f"it has times of the type {dtype!r}")
    return numbers.view(dtype)


def _plain(value):
    """A time of pandas as Python's, which is equal to it, if that can hold it."""
    if getattr(value, "nanosecond", None) == 0 and hasattr(value, "to_pydatetime"):
        return value.to_pydatetime()
    if getattr(value, "nanoseconds", None) == 0 and hasattr(value, "to_pytimedelta"):
        return value.to_pytimedelta()
    return value
