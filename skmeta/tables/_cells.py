"""The cells of a column by their type: text, numbers, dates and so on."""

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
"""What programs write for a missing value (pandas' list, and spreadsheets' errors)."""

MISSING_MARKS = NO_VALUE | {
    "-", "--", "---", "\u2013", "\u2014", ".", "..", "...", "?", "??", "*", "x", "/",
    "#", "n.d.", "n.d", "nd", "n. d.", "n.a.", "n.a", "n. a.", "k.a.", "k. a.",
    "missing", "unknown", "not available", "not applicable", "no data", "nil", "void",
    "empty", "(none)", "(missing)", "(blank)",
}
"""Those, and what people write for a missing value."""
# fmt: on

CELL_TYPES = {
    "text": "text",
    "number": "numbers",
    "truth": "true and false",
    "date": "dates",
    "duration": "durations",
    "other": "a type that is not read",
}
"""Types of cells, and what messages call them."""

PYTHON_TYPES = (
    ("text", str),
    ("truth", (bool, np.bool_)),
    ("date", (date, np.datetime64)),
    ("duration", (timedelta, np.timedelta64)),
    ("number", (Real, Decimal)),
)
"""Types of cells by the Python type of values; the first that fits counts."""

FIRST_DAY, LAST_DAY = np.datetime64("0001-01-01"), np.datetime64("9999-12-31")
"""Of the calendar; dates beyond them count as missing."""

WHOLE = re.compile(r"-?\d+")
MOST_EXACT = 10**15
"""Whole numbers below it are exact as floats."""

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
    """The cells of a column that have one type and are not missing.

    Attributes
    ----------
    type : str
        A key of `CELL_TYPES`.
    values : Series
        Its index holds the positions of the cells in the column.
    beyond : Series of str
        Dates beyond the calendar.
    """

    type: str
    values: object
    beyond: object = field(default_factory=_no_text)


def cells_of(column):
    """Divide a column by the types of its cells: one `Cells` for each type.

    Missing values, NaN and empty text are left out.

    Raises
    ------
    ValueError
        If times have an unknown time zone.
    """
    pd = import_pandas()
    column = column.reset_index(drop=True)
    column = column[column.notna()]
    if column.dtype.type in (np.object_, pd.CategoricalDtype.type):
        column = column.astype(object)
        column = column[column.notna()]  # a category may be missing as well
        types = pd.Series(
            [_cell_type(type(value)) for value in column], column.index, dtype=object
        )
        parts = [(one, column[types == one]) for one in types.unique()]
    else:
        parts = [(_cell_type(column.dtype.type), column)]
    cells = [_of_type(*part) for part in parts]
    return [some for some in cells if len(some.values) + len(some.beyond)]


def _cell_type(python_type):
    for name, types in PYTHON_TYPES:
        if issubclass(python_type, types):
            return name
    return "other"


def _of_type(cell_type, values):
    if cell_type == "text":
        values = values.astype(object)
        values = values[values != ""]
    elif cell_type == "number":
        numbers = values.to_numpy(dtype=float, na_value=np.nan)
        values = values[~np.isnan(numbers)]
    elif cell_type == "date" and values.dtype != object:
        return _split_dates(values)
    return Cells(cell_type, values)


def _split_dates(values):
    """`Cells` of dates of a date type: pandas' time stamps, and dates beyond."""
    pd = import_pandas()
    if isinstance(values.dtype, pd.ArrowDtype):
        stamps, zone = _stamps_of_arrow(values)
    else:
        stamps, zone = values, values.dt.tz
        stamps = (stamps if zone is None else stamps.dt.tz_convert(None)).to_numpy()
    days = stamps.astype("datetime64[D]")
    margin = 0 if zone is None else 1  # the clock of a zone may show another day
    known = (days >= FIRST_DAY + margin) & (days <= LAST_DAY - margin)
    beyond = pd.Series(days[~known].astype(str), values.index[~known], dtype=object)
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
    """``(stamps, zone)``: numpy's datetime64, in UTC if there is a zone."""
    import pyarrow as pa

    dtype, array = values.dtype.pyarrow_dtype, values.array.__arrow_array__()
    if pa.types.is_date32(dtype):
        days = array.cast(pa.int32()).to_numpy().astype("datetime64[D]")
        return days.astype("datetime64[s]"), None
    unit = "ms" if pa.types.is_date(dtype) else dtype.unit
    stamps = array.cast(pa.int64()).to_numpy().astype(f"datetime64[{unit}]")
    return stamps, None if pa.types.is_date(dtype) else dtype.tz


def as_numbers(cells):
    """Numbers, booleans, and durations in days, as a Series of float."""
    pd = import_pandas()
    values = cells.values
    if cells.type == "duration":
        values = pd.to_timedelta(values) / pd.Timedelta(days=1)
    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    return pd.Series(numbers, index=values.index)


def as_dates(cells, zone=None):
    """Dates as a Series of time stamps without a zone.

    They are local times in ``zone``, or by default in the zone of each date.
    """
    pd = import_pandas()
    if cells.values.dtype != object:
        return _local(cells.values.dt, zone).dt.as_unit("us")
    dates = [_local(pd.Timestamp(value), zone) for value in cells.values]
    return pd.Series(dates, cells.values.index, dtype="datetime64[us]")


def _local(dates, zone):
    """A time stamp, or the ``dt`` of many, as local time without a zone."""
    if dates.tz is not None and zone is not None:
        dates = dates.tz_convert(zone)
        dates = getattr(dates, "dt", dates)
    return dates.tz_localize(None)


def zone_of(cells):
    """The common zone of dates; None if they have none, or differ."""
    return None if cells.values.dtype == object else cells.values.dt.tz


def as_known_numbers(cells, known):
    """Numbers as text: the text in ``known`` that is the same number, if there is one.

    pandas makes floats of whole numbers if a row has none.

    Raises
    ------
    ValueError
        If all of ``known`` are whole numbers, and a number cannot be one.
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
    """Text, numbers, booleans and dates as text, exactly as they are: a Series.

    Dates have no time if all are at midnight, unless ``with_time`` is True.
    """
    pd = import_pandas()
    values = cells.values
    if cells.type != "date":
        return as_strings(values)
    text = [pd.Timestamp(value).isoformat() for value in values]
    if not with_time and all(value.endswith(MIDNIGHT) for value in text):
        text = [value.removesuffix(MIDNIGHT) for value in text]
    return pd.Series(text, index=values.index, dtype=object)


def as_strings(values):
    """`str` of each value of a Series."""
    text = [str(value) for value in values.tolist()]
    return import_pandas().Series(text, index=values.index, dtype=object)


def tally(text):
    """Counts of the values of a Series of text, without spaces around them."""
    return text.str.strip().value_counts(sort=False).drop("", errors="ignore")


def is_mark(text):
    """Which values of a Series of text are marks of missing values."""
    return text.str.strip().str.casefold().isin(MISSING_MARKS)


def shown(value):
    """A value as a message shows it: text in quotes, and not too long."""
    if isinstance(value, float):
        whole = value % 1 == 0 and abs(value) < MOST_EXACT
        return f"{value:.0f}" if whole else f"{value:.10g}"
    text = str(value)
    if len(text) > MAX_EXAMPLE:
        text = text[: MAX_EXAMPLE - 3] + "..."
    return f'"{text}"' if isinstance(value, str) else text
