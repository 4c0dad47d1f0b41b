"""What the columns of a table hold, and how they become numbers."""

import warnings

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder

from ._table_files import import_pandas

MAX_VALUES = 30
"""Columns made of a column of text, at most; rarer values share one."""

RARE = "infrequent_sklearn"
"""What `OneHotEncoder` calls the values that share a column."""

NUMERIC = 0.95
"""Share of the values of a column of text that makes it one of numbers, or of dates."""

DATE_NOTE = (
    "was read as dates: its days, counted from 2000 on, its month and its weekday "
    "(from 0, Monday) are columns."
)

DATE = r"^\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}"


def numbers_rows(column):
    """Whether a column of a table, as it was read, counts its rows.

    Its whole numbers are all there from the first to the last, or rise from row to row,
    as those do of a table that rows were taken out of.
    """
    pd = import_pandas()
    is_number = pd.api.types.is_numeric_dtype(column)
    if not is_number or pd.api.types.is_bool_dtype(column) or column.isna().any():
        return False
    numbers = column.astype(float)
    if not numbers.is_unique or (numbers % 1 != 0).any():
        return False
    dense = numbers.max() - numbers.min() + 1 == len(numbers)
    return bool(dense or numbers.is_monotonic_increasing)


def kind_of(column, groups):
    """``(kind, note)`` of a column: None where it is left out."""
    pd = import_pandas()
    there = column.dropna()
    n_values = there.nunique()
    if n_values < 2:
        return None, "has no more than one value and was left out."
    if pd.api.types.is_datetime64_any_dtype(column):
        return "date", DATE_NOTE
    if pd.api.types.is_numeric_dtype(column):
        there = there.astype(float)
        if n_values < len(column) or (there % 1 != 0).any():
            return "number", None
        return "number", (
            "has a whole number of its own in every row, and was taken as a number. If "
            "it only names the rows, drop it (--drop, drop= in Python)."
        )
    text = there.astype(str)
    if pd.to_numeric(text, errors="coerce").notna().mean() >= NUMERIC:
        return "number", "was read as numbers."
    if text.str.match(DATE).mean() >= NUMERIC:
        return "date", DATE_NOTE
    if text.nunique() > 0.5 * len(column):
        return None, "differs from row to row, as names and free text do; left out."
    per_task = text.groupby(groups[text.index]).nunique()
    if (per_task == 1).all() and text.nunique() == groups.nunique():
        return None, "is another name of the task and was left out."
    if text.nunique() > MAX_VALUES:
        return "text", f"has {text.nunique()} values; the rarest count as one."
    return "text", None


def typed_columns(frame, kinds):
    """The columns of a table, each of the type of its kind."""
    pd = import_pandas()
    absent = [name for name in kinds if name not in frame.columns]
    if absent:
        raise ValueError(f"The table has no column {absent}, which the tasks have.")
    typed = {}
    for name, kind in kinds.items():
        column = frame[name]
        if kind == "number":
            numbers = pd.to_numeric(column, errors="coerce").astype(float)
            typed[name] = numbers.replace([np.inf, -np.inf], np.nan)
        elif kind == "date":
            typed |= _date_parts(name, column)
        else:
            typed[name] = column.astype(object).where(column.notna(), "(none)").map(str)
    return pd.DataFrame(typed)


def _date_parts(name, column):
    """Of each date its day, counted on, and its month and weekday."""
    pd = import_pandas()
    with warnings.catch_warnings():  # of formats that are guessed
        warnings.simplefilter("ignore", UserWarning)
        dates = pd.to_datetime(column, errors="coerce", format="mixed", utc=True)
    days = (dates - pd.Timestamp("2000-01-01", tz="UTC")) / pd.Timedelta(days=1)
    return {
        f"{name} (day)": days,
        f"{name} (month)": dates.dt.month.astype(float),
        f"{name} (weekday)": dates.dt.day_of_week.astype(float),
    }


def make_transformer(typed):
    """What makes a column of each value of a text, and keeps numbers as they are."""
    numbers = list(typed.select_dtypes("number"))
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        max_categories=MAX_VALUES,
        sparse_output=False,
        feature_name_combiner=_name_of_value,
    )
    steps = [
        ("numbers", "passthrough", numbers),
        ("text", one_hot, [name for name in typed if name not in numbers]),
    ]
    return ColumnTransformer(
        [step for step in steps if step[-1]], verbose_feature_names_out=False
    ).set_output(transform="pandas")


def _name_of_value(column, value):
    return f"{column} (rare)" if value == RARE else f"{column} = {value}"
