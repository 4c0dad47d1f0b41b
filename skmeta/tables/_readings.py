"""Inference of how each column of a table is read, from all rows and columns."""

from dataclasses import replace
from decimal import Decimal
from math import isnan

from ._cells import (
    as_dates,
    as_numbers,
    as_strings,
    as_text,
    is_mark,
    shown,
    tally,
    zone_of,
)
from ._columns import TAKES, ColumnReading
from ._dates import COMPACT, YEARS, DateFormat, DateSurvey, maybe_dates, zones_differ
from ._descriptions import (
    CLASSES,
    ORDER,
    codes_said,
    held,
    no_numbers,
    no_target,
    of_both,
    spelled,
    two_numbers,
    unread_said,
)
from ._files import import_pandas
from ._number_survey import NumberSurvey
from ._numbers import MAX_DIGITS, MOST, TruthFormat

MAX_VALUES = 30
"""One-hot columns of a column of text, at most; rarer values share one."""


class TableReadings:
    """How the columns of a table are read.

    Parameters
    ----------
    cells : dict of str -> list of Cells
        Of all columns but those that are dropped, the task and a target of classes.
    separator : str or None
        Of the file; None if its columns have types.
    rules : ReadingRules
    target : str or None
        A target that has to be of numbers.
    """

    def __init__(self, cells, separator, rules, target=None):
        self.cells, self.rules, self.target = cells, rules, target
        self.typed = separator is None
        counts = {
            name: tally(parts[0].values)
            for name, parts in cells.items()
            if parts and parts[0].type == "text" and name not in rules.text
        }
        self.counts = counts
        self.numbers = {
            name: NumberSurvey(
                count, name in rules.number, rules.decimal, rules.thousands
            )
            for name, count in counts.items()
        }
        self.dates = {
            name: DateSurvey(count, rules.day_first)
            for name, count in counts.items()
            if name not in rules.number
            and name != target
            and (self.numbers[name].share < MOST or _eight_digits(count))
        }
        self.names = [name for name in cells if name != target]
        read = {*rules.number, target} if self.typed else counts
        marks = {s.proves for name, s in self.numbers.items() if name in read} - {None}
        orders = {s.proves for name, s in self.dates.items() if name in read} - {None}
        self.decimals = {rules.decimal} if rules.decimal else marks
        self.between_commas = separator == ","
        self.day_first = orders.pop() if len(orders) == 1 else None

    def reading(self, name):
        """How a column is read, or why it is left out.

        Returns
        -------
        reading : ColumnReading or str
            A str says why there is none.
        hint : str
            A hint for the user, if the column is text, or turns out to be of no use.
        """
        parts = self.cells[name]
        if not parts:
            return "has no value in any row", ""
        (cells,) = parts
        if cells.type == "other":
            return (
                f"holds what cannot be used in {len(cells.values)} rows: {held(cells)}"
            ), ""
        if name in self.rules.text:
            return text_reading(name, parts), ""
        if cells.type == "date":
            return self._dates_of_a_type(name, cells), ""
        if cells.type != "text":
            if name not in self.rules.number and _are_long(cells):
                return text_reading(name, parts), codes_said(name, cells.values.iloc[0])
            return self._numbers_of_a_type(name, cells), ""
        if name in self.rules.number:
            return self._number(name), ""
        if self.typed:
            return text_reading(name, parts), self._typed_hint(name)
        return self._of_text(name)

    def _of_text(self, name):
        """As `reading`, of a text file."""
        numbers, dates = self.numbers[name], self.dates.get(name)
        counts = self.counts[name]
        if dates and dates.formats and _eight_digits(counts):
            return self._date(name), ""
        if numbers.share >= MOST and not numbers.code:
            return self._number(name), ""
        if dates and dates.formats:
            return self._date(name), ""
        if numbers.share >= 1 - MOST and not numbers.code and len(counts) > MAX_VALUES:
            return (
                f"is neither of numbers nor of text: {of_both(numbers, counts)}. Say "
                f"--number {name!r} to take the numbers alone, --text {name!r} to take "
                "all as text (number=, text= in Python)."
            ), ""
        return text_reading(name, self.cells[name]), self._text_hint(name)

    def _number(self, name):
        """The reading of text as numbers, or why there is none."""
        survey, counts = self.numbers[name], self.counts[name]
        forced = name in self.rules.number
        form = survey.format(self.decimals, self.between_commas)
        if form is None:
            why = two_numbers(survey) if survey.formats else no_numbers(counts)
            if forced:
                raise ValueError(f"{name!r} {why.rstrip('.')}.")
            return why
        read = [t for t in survey.examples.values() if not isnan(form.value(t))]
        read = read or [t for t in counts.index if not isnan(form.value(t))]
        text = max(read, key=form.telling)
        said = [f"{shown(text)} as {shown(form.value(text))}", *form.described(text)]
        if len(survey.formats) > 1 and self.decimals:
            said.append("as in other columns")
        unread = form.unread(counts)
        return ColumnReading(
            name,
            "number",
            ", ".join(said) + unread_said("number", unread),
            format=form,
        )

    def _date(self, name):
        """The reading of text as dates, or why there is none."""
        survey, counts = self.dates[name], self.counts[name]
        form = survey.format(self.day_first)
        texts = counts.index.to_series()
        if form is None:
            first, second = (f.read(texts) for f in survey.formats[:2])
            text = texts[~(first.eq(second) | first.isna() & second.isna())].iloc[0]
            return (
                f"can be read in two ways: {counts.sum()} dates, e.g. {shown(text)}, "
                f"which is {spelled(first[text])} or {spelled(second[text])}. {ORDER}"
            )
        dates = form.read(texts)
        telling = dates.dropna()
        if form.day_first is not None:
            telling = telling.sort_values(
                key=lambda d: d.dt.day.gt(12) | d.dt.day.eq(d.dt.month), kind="stable"
            )
        text = telling.index[0]
        said = [f"{shown(text)} as {spelled(telling.iloc[0])}", *form.described]
        if len(survey.formats) > 1 and self.rules.day_first is None:
            said.append("as in other columns")
        if zones_differ(telling.index):
            said.append("each by the clock of its own zone")
        unread = counts[dates.isna()]
        return ColumnReading(
            name, "date", ", ".join(said) + unread_said("date", unread), format=form
        )

    def _dates_of_a_type(self, name, cells):
        if name in self.rules.number:
            raise ValueError(f"{name!r} holds dates, which are no numbers.")
        said, zone = f"e.g. {spelled(as_dates(cells).iloc[0])}", zone_of(cells)
        if zone is not None:
            said += f", by the clock of {zone}"
        said += unread_said("date", tally(cells.beyond))
        return ColumnReading(name, "date", said, source="date", zone=zone)

    def _numbers_of_a_type(self, name, cells):
        numbers = as_numbers(cells)
        unread = tally(as_strings(cells.values[numbers.isna()]))
        if numbers.isna().all():
            return no_numbers(unread)
        value, number = cells.values[numbers.notna()].iloc[0], numbers.dropna().iloc[0]
        if name not in (*self.rules.number, self.target) and _are_dates(cells):
            form, text = DateFormat(COMPACT), f"{number:.0f}"
            said = f"{text} as {spelled(form.read(import_pandas().Series([text]))[0])}"
            return ColumnReading(name, "date", said, source="number", format=form)
        said = f"e.g. {shown(number)}"
        if cells.type != "number":
            said = f"{value} as {shown(number)}"
        if cells.type == "duration":
            said += ", in days"
        said += unread_said("number", unread)
        return ColumnReading(name, "number", said, source=cells.type)

    def _typed_hint(self, name):
        """Hint for text in a file with types that reads as numbers or dates."""
        if self.numbers[name].share == 1:
            return (
                "The file says that it is text; each value reads as a number, and "
                f"--number {name!r} (number= in Python) takes it so."
            )
        if name in self.dates and self.dates[name].share == 1:
            return (
                "The file says that it is text; each value reads as a date: save the "
                "column as dates to use it so."
            )
        return ""

    def _text_hint(self, name):
        """Hint for text that is nearly numbers or dates."""
        numbers, counts = self.numbers[name], self.counts[name]
        if numbers.code:
            return codes_said(name, numbers.code)
        if numbers.units:
            first, second = map(shown, numbers.units)
            return f"Its numbers have different units, e.g. {first} and {second}."
        if self.dates[name].contrary:
            return "Some of its dates have the day first and some the month."
        rules = self.rules.day_first, self.rules.decimal, self.rules.thousands
        if rules != (None, None, None) and (
            DateSurvey(counts).formats or NumberSurvey(counts).share >= MOST
        ):
            return "It is not written as --day-first, --decimal or --thousands require."
        return maybe_dates(counts)

    def target_reading(self):
        """The reading of the target as numbers.

        Raises
        ------
        ValueError
            If some of its values are no numbers, or can be read in two ways.
        """
        name = self.target
        parts = self.cells[name]
        if not parts:
            raise ValueError(f"The target {name!r} has no value.")
        (cells,) = parts
        if cells.type == "number":
            bad = as_strings(cells.values[as_numbers(cells).isna()])
            if len(bad):
                raise ValueError(no_target(name, tally(bad), len(cells.values)))
            return replace(self._numbers_of_a_type(name, cells), use="target")
        if cells.type != "text":
            raise ValueError(
                f"The target {name!r} holds no numbers: {held(cells)}. "
                f"{CLASSES if cells.type in TAKES['text'] else ''}".strip()
            )
        return replace(self._target_of_text(name), use="target")

    def _target_of_text(self, name):
        survey, counts = self.numbers[name], self.counts[name]
        if survey.code:
            raise ValueError(
                f"The target {name!r} holds codes, e.g. {shown(survey.code)}, in place "
                f"of numbers. Say --number {name!r} (number= in Python) if they are "
                f"numbers. {CLASSES}"
            )
        form = survey.format(self.decimals, self.between_commas)
        tried = form or next(iter(survey.formats), TruthFormat())
        bad = counts[~is_mark(counts.index.to_series())]
        if not isinstance(tried, TruthFormat):
            bad = tried.unread(bad)
        if len(bad):
            raise ValueError(f"{no_target(name, bad, counts.sum())} {CLASSES}")
        if form is None:
            why = two_numbers(survey) if survey.formats else no_numbers(counts) + "."
            raise ValueError(f"The target {name!r} {why}")
        return self._number(name)


def text_reading(name, parts, use="column"):
    """The reading of a column as text, exactly as its cells are.

    Raises
    ------
    ValueError
        If there are none, or they are not text, numbers or dates.
    """
    if not parts:
        raise ValueError(f"{name!r}, the {use}, has no value.")
    (cells,) = parts
    if cells.type not in TAKES["text"]:
        raise ValueError(f"{name!r} holds {held(cells)}, which is not taken as text.")
    text = as_text(cells)
    known = dict.fromkeys(text)
    said = f"{len(known):,} values, e.g. {shown(text.iloc[0])}"
    return ColumnReading(
        name, "text", said, source=cells.type, known=frozenset(known), use=use
    )


def _eight_digits(counts):
    """Whether all values are dates of eight digits, or marks of missing values."""
    texts = counts.index.to_series()
    texts = texts[~is_mark(texts)]
    digits = (texts.str.len() == 8) & texts.str.isdecimal()
    return bool(digits.all() and DateFormat(COMPACT).read(texts).notna().all())


def _are_long(cells):
    """Whether whole numbers have too many digits for a float to hold exactly."""
    values = cells.values
    if cells.type != "number" or isinstance(values.iloc[0], float | Decimal):
        return False
    return bool(max(values.max(), -values.min()) >= 10**MAX_DIGITS)


def _are_dates(cells):
    """Whether all are whole numbers of eight digits that are dates."""
    if cells.type != "number":
        return False
    numbers = as_numbers(cells)
    low, high = (10_000 * year for year in (YEARS[0], YEARS[1] + 1))
    if not (numbers.between(low, high) & (numbers % 1 == 0)).all():
        return False
    return bool(DateFormat(COMPACT).read(numbers.map("{:.0f}".format)).notna().all())
