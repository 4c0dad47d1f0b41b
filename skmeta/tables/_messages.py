"""What is said of how the columns of a table are read."""

import calendar
from math import isnan

from ._cells import SORTS, is_mark, shown
from ._numbers import MAX_DIGITS

CLEAR = "Name its marks: --decimal, --thousands (decimal=, thousands= in Python)."
CLASSES = "If it is a class, add --classes (classes=True in Python)."
ORDER = "Say --day-first or --no-day-first (day_first= in Python)."


def unread_said(what, unread):
    """What to say about values that are no ``what``, "number" or "date"."""
    usual = unread[is_mark(unread.index.to_series())]
    other = unread.drop(usual.index)
    said = ""
    if n := usual.sum():
        are = "is" if n == 1 else "are"
        said += f"; {n} {are} marked as missing, {shown(usual.index[0])} say"
    if n := other.sum():
        are = f"is no {what}" if n == 1 else f"are no {what}s"
        said += f"; {n} {are} and missing, {shown(other.index[0])} say"
    return said


def codes_said(name, value):
    """Why digits are not a number."""
    return (
        f"Digits such as {shown(value)} are codes: they begin with a zero or are more "
        f"than {MAX_DIGITS}. --number {name!r} (number= in Python) makes them numbers."
    )


def two_numbers(survey):
    """Why numbers that can be read in two ways are not."""
    for text in survey.examples.values():
        values = [form.value(text) for form in survey.formats]
        if len(set(values)) > 1:
            break
    first, second = ("no number" if isnan(v) else shown(v) for v in values)
    return (
        f"can be read in two ways: {survey.n_values} numbers, {shown(text)} say, which "
        f"is {first} or {second}. {CLEAR}"
    )


def no_target(name, counts, n_rows):
    """Why what has to be a target of numbers is none."""
    return (
        f"The target {name!r} holds what is no number in {counts.sum()} of {n_rows} "
        f"rows, {shown(counts.index[0])} say."
    )


def no_numbers(counts):
    """Why what has to be numbers is not."""
    return (
        f"has no numbers that can be read: {counts.sum()} values, "
        f"{shown(counts.index[0])} say"
    )


def of_both(survey, counts):
    """Counts and examples of the numbers of a column and of what is none."""
    form = survey.formats[0]
    is_number = [not isnan(form.value(text)) for text in counts.index]
    numbers, others = counts[is_number], counts[[not some for some in is_number]]
    return (
        f"{numbers.sum()} values are numbers, {shown(numbers.index[0])} say, and "
        f"{others.sum()} are not, {shown(others.index[0])} say"
    )


def spelled(date):
    """A date without doubt about its order."""
    if date != date:
        return "no date"
    time = "" if date == date.normalize() else f" {date:%H:%M:%S}".removesuffix(":00")
    return f"{date.day} {calendar.month_name[date.month]} {date.year}{time}"


def held(cells):
    """What the cells of a column are, with an example."""
    dtype = str(cells.values.dtype).removesuffix("[pyarrow]")
    sort = f"values of the type {dtype}" if cells.sort == "other" else SORTS[cells.sort]
    return f"{sort}, {shown(cells.values.iloc[0])} say"
