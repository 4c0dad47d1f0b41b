"""The cells of a column by what their type says: text, numbers, dates, or others."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from numbers import Real

import numpy as np

from ._table_files import import_pandas

# fmt: off
NO_VALUE = frozenset([
    "#n/a", "#n/a n/a", "#na", "-1.#ind", "-1.#qnan", "-nan", "1.#ind", "1.#qnan",
    "<na>", "n/a", "na", "null", "nan", "none", "#div/0!", "#name?", "#null!", "#num!",
    "#ref!", "#value!", r"\n",
])
"""What programs write for no value (pandas' list, and spreadsheets' errors)."""

MISSING_MARKS = NO_VALUE | {
    "-", "--", "---", "\u2013", "\u2014", ".", "..", "...", "?", "??", "*", "x", "/",
    "#", "n.d.", "n.d", "nd", "n. d.", "n.a.", "n.a", "n. a.", "k.a.", "k. a.",
    "missing", "unknown", "not available", "not applicable", "no data", "nil", "void",
    "empty", "(none)", "(missing)", "(blank)",
}
"""Those, and what people write for it."""
# fmt: on

SORTS = {
    "text": "text",
    "number": "numbers",
    "truth": "true and false",
    "date": "dates",
    "duration": "durations",
    "other": "a type that is not read",
}

MIDNIGHT = "T00:00:00"
MAX_EXAMPLE = 40


@dataclass(frozen=True, eq=False)
class Cells:
    """Values of a column that are there, all of one sort.

    ``sort`` is "text", "number", "truth", "date", "duration" or "other"; ``values`` is
    a Series whose index says in which of the column's rows they are.
    """

    sort: str
    values: object


def cells_of(column):
    """Cells of a column, one `Cells` for each sort; the rows are counted from 0.

    Missing values, and empty text, are in none.
    """
    pd = import_pandas()
    column = column.reset_index(drop=True)
    column = column[column.notna()]
    sort = _sort_of_type(column.dtype)
    if sort is None:
        column = column.astype(object)
        found = pd.Series(map(_sort_of_value, column), index=column.index, dtype=object)
        parts = [Cells(s, column[found == s]) for s in found.unique()]
    else:
        parts = [Cells(sort, column)]
    parts = [_without_empty(part) if part.sort == "text" else part for part in parts]
    return [part for part in parts if len(part.values)]


def _without_empty(cells):
    """Text as Python's own, without what is empty."""
    values = cells.values.astype(object)
    return Cells("text", values[values != ""])


def _sort_of_type(dtype):
    """The sort of cells of a type; None if each cell is of a type of its own."""
    pd = import_pandas()
    if isinstance(dtype, pd.ArrowDtype):
        return _sort_of_arrow(dtype.pyarrow_dtype)
    types = pd.api.types
    if types.is_object_dtype(dtype) or isinstance(dtype, pd.CategoricalDtype):
        return None
    if types.is_bool_dtype(dtype):
        return "truth"
    if types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype):
        return "number"
    if types.is_datetime64_any_dtype(dtype):
        return "date"
    if types.is_timedelta64_dtype(dtype):
        return "duration"
    return "text" if types.is_string_dtype(dtype) else "other"


def _sort_of_arrow(dtype):
    from pyarrow import types

    if types.is_dictionary(dtype):
        return None
    if types.is_string(dtype) or types.is_large_string(dtype):
        return "text"
    if types.is_boolean(dtype):
        return "truth"
    if types.is_integer(dtype) or types.is_floating(dtype) or types.is_decimal(dtype):
        return "number"
    if types.is_date(dtype) or types.is_timestamp(dtype):
        return "date"
    return "duration" if types.is_duration(dtype) else "other"


def _sort_of_value(value):
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool | np.bool_):
        return "truth"
    if isinstance(value, date | np.datetime64):  # of which times of a day are some
        return "date"
    if isinstance(value, timedelta | np.timedelta64):
        return "duration"
    return "number" if isinstance(value, Real | Decimal) else "other"


def as_numbers(cells):
    """Numbers, truth and durations, in days, as a Series of float."""
    pd = import_pandas()
    values = cells.values
    if cells.sort == "duration":
        values = pd.to_timedelta(values) / pd.Timedelta(days=1)
    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    return pd.Series(numbers, index=values.index)


def as_dates(cells):
    """Dates as a Series of time stamps, of UTC where there is a zone or none."""
    return import_pandas().to_datetime(cells.values, utc=True)


def as_text(cells, with_time=False):
    """Text, numbers, truth and dates as text, exactly as they are: a Series.

    Dates are without a time where all are at midnight, unless ``with_time`` is True.
    """
    pd = import_pandas()
    values = cells.values
    if cells.sort == "date":
        text = [pd.Timestamp(value).isoformat() for value in values]
        if not with_time and all(value.endswith(MIDNIGHT) for value in text):
            text = [value.removesuffix(MIDNIGHT) for value in text]
    else:
        text = [str(value) for value in values.tolist()]
    return pd.Series(text, index=values.index, dtype=object)


def tally(text):
    """Values of a Series of text without spaces around them, and how many of each."""
    return text.str.strip().value_counts(sort=False).drop("", errors="ignore")


def is_mark(text):
    """Which of a Series of text are marks of missing values: a Series of bool."""
    return text.map(lambda value: value.strip().casefold() in MISSING_MARKS).astype(
        bool
    )


def shown(value):
    """A value as a message shows it: text in quotes, and not too long."""
    if isinstance(value, float):
        return f"{value:.0f}" if value % 1 == 0 else f"{value:.10g}"
    text = str(value)
    if len(text) > MAX_EXAMPLE:
        text = text[: MAX_EXAMPLE - 3] + "..."
    return f'"{text}"' if isinstance(value, str) else text
