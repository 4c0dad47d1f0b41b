"""The cells of a column by what their type says: text, numbers, dates, or others."""

import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from numbers import Real

import numpy as np

from ._files import import_pandas

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

FIRST_DAY, LAST_DAY = np.datetime64("0001-01-01"), np.datetime64("9999-12-31")
"""Of the calendar; other dates are missing."""

WHOLE = re.compile(r"-?\d+")
MOST_EXACT = 10**15
"""Up to here, whole numbers and floats are the same."""

MONTH = re.compile(
    r"(?<![a-z])(?:(jan)(?:uary)?|(feb)(?:ruary)?|(mar)(?:ch)?|(apr)(?:il)?|(may)|(jun)e?|"
    r"(jul)y?|(aug)(?:ust)?|(sep)(?:t(?:ember)?)?|(oct)(?:ober)?|(nov)(?:ember)?|"
    r"(dec)(?:ember)?)(?![a-z])",
    re.IGNORECASE,
)

MIDNIGHT = "T00:00:00"
MAX_EXAMPLE = 40


def _no_text():
    return import_pandas().Series(dtype=object)


@dataclass(frozen=True, eq=False)
class Cells:
    """Values of a column that are there, all of one sort.

    ``sort`` is "text", "number", "truth", "date", "duration" or "other"; ``values`` is
    a Series whose index says in which of the column's rows they are, and ``beyond`` one
    of text: dates that are none of the calendar.
    """

    sort: str
    values: object
    beyond: object = field(default_factory=_no_text)


def cells_of(column):
    """Cells of a column, one `Cells` for each sort; the rows are counted from 0.

    Missing values, numbers that are none (NaN) and empty text are in none.

    Raises
    ------
    ValueError
        If times are of a zone that is not known.
    """
    pd = import_pandas()
    column = column.reset_index(drop=True)
    column = column[column.notna()]
    sort = _sort_of_type(column.dtype)
    if sort is None:
        column = column.astype(object)
        column = column[column.notna()]  # a category may be none as well
        found = pd.Series(map(_sort_of_value, column), index=column.index, dtype=object)
        parts = [(s, column[found == s]) for s in found.unique()]
    else:
        parts = [(sort, column)]
    cells = [_of_a_sort(*part) for part in parts]
    return [some for some in cells if len(some.values) + len(some.beyond)]


def _of_a_sort(sort, values):
    """Cells, of those values that say something."""
    if sort == "text":
        values = values.astype(object)
        values = values[values != ""]
    elif sort == "number":
        numbers = values.to_numpy(dtype=float, na_value=np.nan)
        values = values[~np.isnan(numbers)]
    elif sort == "date" and not _is_object(values):
        return _of_the_calendar(values)
    return Cells(sort, values)


def _is_object(values):
    return import_pandas().api.types.is_object_dtype(values.dtype)


def _of_the_calendar(values):
    """Cells of dates of a type, as pandas' own time stamps."""
    pd = import_pandas()
    if isinstance(values.dtype, pd.ArrowDtype):
        stamps, zone = _stamps_of_arrow(values)
    else:
        stamps, zone = values, values.dt.tz
        stamps = (stamps if zone is None else stamps.dt.tz_convert(None)).to_numpy()
    known = _in_the_calendar(stamps, zone)
    days = stamps[~known].astype("datetime64[D]").astype(str)
    beyond = pd.Series(days, values.index[~known], dtype=object)
    stamps = pd.Series(stamps[known], values.index[known], name=values.name)
    if zone is not None:
        try:
            stamps = stamps.dt.tz_localize("UTC").dt.tz_convert(zone)
        except (LookupError, ValueError) as error:
            raise ValueError(
                f"{values.name!r} holds times of the zone {zone!r}, which is not known."
            ) from error
    return Cells("date", stamps, beyond)


def _stamps_of_arrow(values):
    """``(stamps, zone)``: of UTC where there is a zone, as numpy's datetime64."""
    import pyarrow as pa

    dtype, array = values.dtype.pyarrow_dtype, values.array.__arrow_array__()
    if pa.types.is_date32(dtype):
        days = array.cast(pa.int32()).to_numpy().astype("datetime64[D]")
        return days.astype("datetime64[s]"), None
    unit = "ms" if pa.types.is_date(dtype) else dtype.unit
    stamps = array.cast(pa.int64()).to_numpy().astype(f"datetime64[{unit}]")
    return stamps, None if pa.types.is_date(dtype) else dtype.tz


def _in_the_calendar(stamps, zone):
    """Which stamps (n_values,) are of the calendar, by the clock of any zone."""
    days = stamps.astype("datetime64[D]")
    margin = 0 if zone is None else 1
    return (days >= FIRST_DAY + margin) & (days <= LAST_DAY - margin)


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


def as_dates(cells, zone=None):
    """Dates as a Series of time stamps without a zone, as the clock says.

    The clock is that of ``zone``, or of the zone that a date has of its own.
    """
    pd = import_pandas()
    if not _is_object(cells.values):
        return _by_clock(cells.values.dt, zone).dt.as_unit("us")
    dates = [_by_clock(pd.Timestamp(value), zone) for value in cells.values]
    return pd.Series(dates, cells.values.index, dtype="datetime64[us]")


def _by_clock(dates, zone):
    """One time stamp, or many, without a zone."""
    if dates.tz is not None and zone is not None:
        dates = dates.tz_convert(zone)
        dates = getattr(dates, "dt", dates)
    return dates.tz_localize(None)


def zone_of(cells):
    """The zone of dates, which all have; None where they have none, or of their own."""
    return None if _is_object(cells.values) else cells.values.dt.tz


def as_known_numbers(cells, known):
    """Numbers as text, those as the text of ``known`` which is the same number.

    A column of whole numbers comes as one of floats where a row has none.

    Raises
    ------
    ValueError
        If a number is none of ``known``, and cannot be as all of those are whole.
    """
    of_number = {float(text): text for text in known}
    all_whole = all(WHOLE.fullmatch(text) for text in known)

    def as_known(value):
        text, number = str(value), float(value)
        if text in known:
            return text
        if not all_whole:
            return of_number.get(number, text)
        if WHOLE.fullmatch(text):
            return text
        if number % 1 or abs(number) >= MOST_EXACT:
            raise ValueError(f"{text} is not one of the whole numbers of the table")
        return f"{number:.0f}"

    values = cells.values
    text = [as_known(value) for value in values.tolist()]
    return import_pandas().Series(text, index=values.index, dtype=object)


def as_text(cells, with_time=False):
    """Text, numbers, truth and dates as text, exactly as they are: a Series.

    Dates are without a time where all are at midnight, unless ``with_time`` is True.
    """
    pd = import_pandas()
    values = cells.values
    if cells.sort != "date":
        return as_strings(values)
    text = [pd.Timestamp(value).isoformat() for value in values]
    if not with_time and all(value.endswith(MIDNIGHT) for value in text):
        text = [value.removesuffix(MIDNIGHT) for value in text]
    return pd.Series(text, index=values.index, dtype=object)


def as_strings(values):
    """What `str` makes of each value of a Series, a Series."""
    text = [str(value) for value in values.tolist()]
    return import_pandas().Series(text, index=values.index, dtype=object)


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
        whole = value % 1 == 0 and abs(value) < MOST_EXACT
        return f"{value:.0f}" if whole else f"{value:.10g}"
    text = str(value)
    if len(text) > MAX_EXAMPLE:
        text = text[: MAX_EXAMPLE - 3] + "..."
    return f'"{text}"' if isinstance(value, str) else text
