"""Descriptions of columns and their values, for notes and messages."""

import calendar
from math import isnan

from ._cells import CELL_TYPES, is_mark, shown
from ._numbers import MAX_DIGITS

CLEAR = "Name its marks: --decimal, --thousands (decimal=, thousands= in Python)."
CLASSES = "If it is a class, add --classes (classes=True in Python)."
ORDER = "Say --day-first or --no-day-first (day_first= in Python)."


def unread_said(what, unread):
    """Describe values that are no ``what``, "number" or "date"."""
    usual = unread[is_mark(unread.index.to_series())]
    other = unread.drop(usual.index)
    said = ""
    if n := usual.sum():
        are = "is" if n == 1 else "are"
        said += f"; {n} {are} marked as missing, e.g. {shown(usual.index[0])}"
    if n := other.sum():
        are = f"is no {what}" if n == 1 else f"are no {what}s"
        said += f"; {n} {are} and missing, e.g. {shown(other.index[0])}"
    return said


def codes_said(name, value):
    """Explain that digits are codes, not numbers."""
    return (
        f"Digits such as {shown(value)} are codes: they begin with a zero or are more "
        f"than {MAX_DIGITS}. --number {name!r} (number= in Python) makes them numbers."
    )


def two_numbers(survey):
    """Explain that numbers can be read in two ways."""
    for text in survey.examples.values():
        values = [form.value(text) for form in survey.formats]
        if len(set(values)) > 1:
            break
    first, second = ("no number" if isnan(v) else shown(v) for v in values)
    return (
        f"can be read in two ways: {survey.n_values} numbers, e.g. {shown(text)}, "
        f"which is {first} or {second}. {CLEAR}"
    )


def no_target(name, counts, n_rows):
    """Explain that a target of numbers holds other values."""
    return (
        f"The target {name!r} holds what is no number in {counts.sum()} of {n_rows} "
        f"rows, e.g. {shown(counts.index[0])}."
    )


def no_numbers(counts):
    """Explain that a column has no numbers."""
    return (
        f"has no numbers that can be read: {counts.sum()} values, "
        f"e.g. {shown(counts.index[0])}"
    )


def of_both(survey, counts):
    """Counts and examples of the numbers of a column, and of its other values."""
    form = survey.formats[0]
    is_number = [not isnan(form.value(text)) for text in counts.index]
    numbers, others = counts[is_number], counts[[not some for some in is_number]]
    return (
        f"{numbers.sum()} values are numbers, e.g. {shown(numbers.index[0])}, and "
        f"{others.sum()} are not, e.g. {shown(others.index[0])}"
    )


def spelled(date):
    """A date with its month as a word."""
    if date != date:
        return "no date"
    time = "" if date == date.normalize() else f" {date:%H:%M:%S}".removesuffix(":00")
    return f"{date.day} {calendar.month_name[date.month]} {date.year}{time}"


def held(cells):
    """The type of the cells of a column, with an example."""
    dtype = str(cells.values.dtype).removesuffix("[pyarrow]")
    what = (
        f"values of the type {dtype}"
        if cells.type == "other"
        else CELL_TYPES[cells.type]
    )
    return f"{what}, e.g. {shown(cells.values.iloc[0])}"
