"""Selection of the useful columns of a table, and one-hot encoding of text."""

from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder

from ._cells import shown
from ._checks import check_distinct
from ._readings import MAX_VALUES

RARE = "infrequent_sklearn"
"""The name of rare values that share a column, as of `OneHotEncoder`."""


def numbers_rows(numbers):
    """Whether a column holds row numbers, counted from 0 or 1.

    Row numbers are different whole numbers, either without a gap, or rising, mostly by
    1, as in a table of which rows were deleted. Others may be days, one for each row.
    """
    if numbers.isna().any() or not numbers.is_unique or (numbers % 1 != 0).any():
        return False
    if numbers.min() not in (0, 1):
        return False
    dense = numbers.max() - numbers.min() + 1 == len(numbers)
    rises = numbers.is_monotonic_increasing and numbers.diff().median() == 1
    return bool(len(numbers) > 1 and (dense or rises))


def usefulness(reading, values, known, groups, forced):
    """``(why_not, note)``: why a column is left out, or a note if it is not.

    Parameters
    ----------
    reading : ColumnReading
    values : Series of shape (n_rows,)
        As returned by ``reading.read``.
    known : Series of bool of shape (n_rows,)
        Which rows are used.
    groups : Series of shape (n_used_rows,)
        The task of each used row.
    forced : bool
        Whether the user sets how the column is read.
    """
    if reading.column_type == "number" and not forced and numbers_rows(values):
        low, high = values.min(), values.max()
        return (
            f"numbers the rows and was left out. It has {len(values):,} whole numbers "
            f"from {shown(low)} to {shown(high)}; --number {reading.name!r} (number= "
            "in Python) keeps it."
        ), ""
    values = values[known]
    there = values.dropna()
    n_values, n_rows = there.nunique(), len(values)
    example = f"{n_values:,} values, e.g. {shown(there.iloc[0])}" if n_values else ""
    none = len(there) < n_rows  # missing counts as a value
    if n_values + none < 2 or not n_values:
        only = f", {shown(there.iloc[0])} in {len(there)} rows" if n_values else ""
        return f"has no more than one value{only}, and was left out.", ""
    unique = reading.column_type == "number" and n_values == n_rows and not forced
    if unique and (there % 1 == 0).all():
        return "", (
            "has a whole number of its own in every row, and was taken as a number. If "
            "it only names the rows, drop it (--drop, drop= in Python)."
        )
    if reading.column_type != "text":
        return "", ""
    if n_values > 0.5 * n_rows and not forced:
        return (
            f"differs from row to row, as names and free text do; left out: {example}."
        ), ""
    per_task = there.groupby(groups[there.index]).nunique()
    if (per_task == 1).all() and n_values == groups.nunique() and not forced:
        return f"is another name of the task and was left out: {example}.", ""
    if n_values > MAX_VALUES:
        return "", f"has {n_values} values; the rarest count as one."
    return "", ""


def fit_transformer(columns):
    """Fit a transformer that one-hot encodes text and passes numbers through."""
    numbers = list(columns.select_dtypes("number"))
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        max_categories=MAX_VALUES,
        sparse_output=False,
        feature_name_combiner=_name_of_value,
    )
    steps = [
        ("numbers", "passthrough", numbers),
        ("text", one_hot, [name for name in columns if name not in numbers]),
    ]
    transformer = ColumnTransformer(
        [step for step in steps if step[-1]], verbose_feature_names_out=_plain_name
    ).set_output(transform="pandas")
    transformer.fit(columns)
    check_distinct(transformer.get_feature_names_out())
    return transformer


def _plain_name(step, name):
    return name


def _name_of_value(column, value):
    return f"{column} (rare)" if value == RARE else f"{column} = {value}"
