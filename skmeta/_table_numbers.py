"""Numbers in text: one way of writing them for a whole column, or none.

What a value looks like says which mark is its decimal mark, or nothing: "10,25" can be
read in one way, "2.566" in two. All values of a column together decide; then the other
columns of the file do, where they prove what the column looks like.
"""

import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from typing import NamedTuple

from ._table_cells import MONTH, NO_VALUE

MOST = 0.8
"""Share of the values of a column that makes it one of numbers, or of dates."""

MAX_DIGITS = 15
"""Of a whole number, which a float holds exactly; those with more are codes."""

NO_AFFIX = ("", "")
DECIMALS = (".", ",")
THOUSANDS = (".", ",", " ", "'")
MARKS = {".": "point", ",": "comma", " ": "space", "'": "apostrophe"}
SAME = str.maketrans(
    dict.fromkeys("\u00a0\u2007\u2009\u202f", " ") | {"\u2019": "'", "\u2212": "-"}
)
"""Spaces that do not break, and other signs that look like one another."""

NUMBER = re.compile(
    r"(?P<sign>[+-]?)\s?(?P<before>(?:[A-Z]{0,3}[^\w\s.,'+-])?)\s?(?P<again>[+-]?)"
    r"(?P<body>[0-9.,](?:[0-9.,' ]*[0-9.,])?)(?P<power>(?:[eE][+-]?[0-9]+)?)"
    r"\s?(?P<unit>(?:(?:[^\W\d_]|[^\w\s.,'])[^\d<>]{0,19}[23]?)?)"
)
SIMPLE = re.compile(
    r"-?(?:0|[1-9][0-9]{0,14}|(?:0|[1-9][0-9]*)(\.)(?:[0-9]{1,2}|[0-9]{4,}))"
)
"""What is a number in most files, which `NUMBER` is slower to find."""

EITHER = re.compile(r"[1-9][0-9]{0,2}([.,])[0-9]{3}")
GROUPS = re.compile(r"[1-9][0-9]{0,2}([.,' ])[0-9]{3}(?:\1[0-9]{3})*(?:([.,])[0-9]+)?")
UNMARKED = re.compile(r"\D*[1-9][0-9]{3,}\D*")
"""A whole number above 1000 without marks of thousands."""

PADDED = re.compile("0[0-9]")
PLAIN = re.compile(r"[0-9]+(?:(\.)[0-9]*|(,)[0-9]+)?|(?:(\.)|(,))[0-9]+")


class Written(NamedTuple):
    """How a number is written, its digits aside.

    ``decimal`` and ``thousands`` are the marks that are certain, ``either`` one that
    may be the one or the other; ``code`` is whether a zero is in front of other digits,
    or a whole number has too many of them to be an amount.
    """

    affix: tuple = NO_AFFIX
    decimal: str | None = None
    thousands: str | None = None
    either: str | None = None
    code: bool = False


def take_apart(text):
    """``(written, digits)`` of a value of text; None where it is no number."""
    simple = SIMPLE.fullmatch(text)
    if simple:
        return (WHOLE if simple[1] is None else POINT), text
    found = NUMBER.fullmatch(text.translate(SAME).strip())
    if not found or (found["sign"] and found["again"]):
        return None
    before, body, unit = found["before"], found["body"], found["unit"].strip()
    if before and unicodedata.category(before[-1]) != "Sc":
        return None
    if unit and not _is_unit(unit):
        return None
    if len(unit) > 3:
        unit = unit.removesuffix("s")  # 1 month, 2 months
    marks = _marks(body, bool(found["power"]))
    digits = found["sign"] + found["again"] + body + found["power"]
    return marks and (marks._replace(affix=(before, unit)), digits)


def _marks(body, power):
    """The marks between digits, with a power of ten after them or not."""
    if not power:
        if either := EITHER.fullmatch(body):
            return Written(either=either[1])
        groups = GROUPS.fullmatch(body)
        if groups and groups[1] != groups[2]:
            return Written(decimal=groups[2], thousands=groups[1])
    plain = PLAIN.fullmatch(body)
    if not plain:
        return None
    decimal = next(filter(None, plain.groups()), None)
    long = decimal is None and not power and len(body) > MAX_DIGITS
    return Written(decimal=decimal, code=long or bool(PADDED.match(body)))


def _is_unit(text):
    if MONTH.fullmatch(text):  # 10 Jan is a day
        return False
    first = text[0]
    return first.isalpha() or first in "%‰°" or unicodedata.category(first) == "Sc"


WHOLE, POINT = Written(), Written(decimal=".")


class _Format:
    """A way to write numbers."""

    def telling(self, text):
        """How much a text is an example of it, marks of thousands most of all."""
        said = self.described(text)
        return len(said), "thousands" in " ".join(said)

    def read(self, text):
        """Numbers of a Series of text; NaN where it is none."""
        numbers = {value: self.value(value) for value in text.unique()}
        return text.map(numbers).astype(float)

    def unread(self, counts):
        """Those of the values that a Series counts which are none."""
        return counts[self.read(counts.index.to_series()).isna().to_numpy()]


@dataclass(frozen=True)
class NumberFormat(_Format):
    """How the numbers of a column are written.

    ``decimal`` is None where no value of the file has a decimal mark.
    """

    decimal: str | None = "."
    thousands: str | None = None
    affix: tuple = NO_AFFIX
    codes: bool = False

    def value(self, text):
        """The number that a text is, as float; NaN where it is none."""
        apart = take_apart(text)
        if not apart or not self.fits(apart[0]):
            return math.nan
        digits = apart[1]
        if self.thousands:
            digits = digits.replace(self.thousands, "")
        if self.decimal == ",":
            digits = digits.replace(",", ".")
        number = float(digits)
        return number if math.isfinite(number) else math.nan

    def read(self, text):
        """Numbers of a Series of text; NaN where it is none."""
        if self.affix != NO_AFFIX or self.decimal != ".":
            return super().read(text)
        simple = text.str.fullmatch(SIMPLE.pattern).astype(bool)
        numbers = super().read(text[~simple])
        return text.where(simple).astype(float).fillna(numbers)

    def fits(self, written):
        """Whether a number is written in this way."""
        return (
            written.affix == self.affix
            and written.decimal in (None, self.decimal)
            and written.thousands in (None, self.thousands)
            and written.either in (None, self.decimal, self.thousands)
            and (self.codes or not written.code)
        )

    def described(self, text):
        """What makes a number of a text, beyond its digits, as a list of phrases."""
        (written, _), said = take_apart(text), []
        if self.decimal and (written.decimal == "," or written.either == self.decimal):
            said.append(f"decimal {MARKS[self.decimal]}")
        if self.thousands and self.thousands in (written.thousands, written.either):
            said.append(f"{MARKS[self.thousands]} of thousands")
        before, unit = self.affix
        said += [f'without its "{part}"' for part in (before, unit) if part]
        return said


@dataclass(frozen=True)
class TruthFormat(_Format):
    """Of a column of true and false, in any case."""

    def value(self, text):
        """1 for true, 0 for false; NaN where it is neither."""
        return {"true": 1.0, "false": 0.0}.get(text.strip().casefold(), math.nan)

    def described(self, text):
        """What makes a number of a text: nothing that has to be said."""
        return []


class NumberSurvey:
    """How the numbers of a column of text are written, as its values show.

    Parameters
    ----------
    counts : Series of int
        How many there are of each value, as `tally` gives them.
    forced : bool
        Whether the user says that these are numbers, codes as well.
    decimal, thousands : str or None
        The marks that the user says.

    Attributes
    ----------
    formats : list of formats
        Those in which most values are numbers: none, one, or one for each decimal mark
        where the column can be read with both, and differs.
    share : float
        Of the values that are numbers then.
    code : str or None
        A value that makes these codes: with a zero in front, or of many digits.
    units : sequence of str
        Two values, where units differ and these are no numbers for it.
    examples : dict of Written -> str
        One value of each way of writing, its digits aside.
    decimal : str or None
        The decimal mark that the column proves.
    grouped : bool
        Whether all values look like whole numbers, with a mark at each thousand.
    """

    def __init__(self, counts, forced=False, decimal=None, thousands=None):
        self.formats, self.share, self.code, self.decimal = [], 0.0, None, None
        self.examples, self.units, self.either = {}, (), set()
        self.forced, self.marks, self.grouped = forced, (decimal, thousands), False
        self.n_values = n_values(counts)
        truth = TruthFormat()
        n_true = sum(
            count
            for text, count in counts.items()
            if len(text) in (4, 5) and truth.value(text) in (0, 1)
        )
        if n_true and n_true >= MOST * self.n_values:
            self.formats, self.share = [truth], n_true / self.n_values
            return
        sorts = Counter()  # numbers that differ in their digits alone count as one
        for text, count in counts.items():
            if apart := take_apart(text):
                sorts[apart[0]] += count
                self.examples.setdefault(apart[0], text)
        affix = self._affix(sorts)
        if affix is not None:
            self._decide({w: n for w, n in sorts.items() if w.affix == affix}, affix)
        if self.either:
            self.grouped = not any(map(UNMARKED.fullmatch, counts.index))

    def _affix(self, sorts):
        """What is before and after most numbers; None where units differ."""
        counted = Counter()
        for written, count in sorts.items():
            counted[written.affix] += count
        if not counted:
            return None
        affix = counted.most_common(1)[0][0]
        units = dict.fromkeys(other for other in counted if other != NO_AFFIX)
        if affix == NO_AFFIX or len(units) < 2 or self.forced:
            return affix
        of_unit = {written.affix: text for written, text in self.examples.items()}
        self.units = [of_unit[unit] for unit in units][:2]
        return None

    def _decide(self, sorts, affix):
        codes = [written for written in sorts if written.code and not self.forced]
        amounts = [written for written in sorts if written not in codes]
        decimals, thousands, either = (
            {getattr(written, role) for written in amounts} - {None}
            for role in ("decimal", "thousands", "either")
        )
        self.either = either
        if sum(sorts[w] for w in codes) > sum(sorts[w] for w in amounts if w.decimal):
            self.code = self.examples[codes[0]]
        # A mark that is certain to be the one is not taken for the other elsewhere.
        no_decimal = (thousands & either) - {self.marks[0]}
        no_thousands = (decimals & either) - {self.marks[1]}
        fitting = {
            form: sum(count for written, count in sorts.items() if form.fits(written))
            for form in _formats(*self.marks, affix, self.forced)
            if form.decimal not in no_decimal and form.thousands not in no_thousands
        }
        most = max(fitting.values(), default=0)
        if not most:
            return
        self.share = most / self.n_values
        best = {}
        for form, count in fitting.items():
            if count == most:
                best.setdefault(form.decimal, form)
        if len(best) > 1 and not either | decimals:
            self.formats = [replace(best["."], decimal=None)]
            return
        self.formats = list(best.values())
        if len(best) == 1:
            self.decimal = self.formats[0].decimal

    @property
    def proves(self):
        """The decimal mark that these numbers prove; None if they are codes, say."""
        return self.decimal if self.share >= MOST and self.code is None else None

    def format(self, proven, between_commas):
        """The format of the column in a file; None if undecided.

        Parameters
        ----------
        proven : set of str
            Decimal marks that columns prove, or the one that the user says.
        between_commas : bool
            Whether cells are, so that a comma in them has to be in quotes.
        """
        decimal = next(iter(proven)) if len(proven) == 1 else None
        if len(self.formats) != 1:
            if self.either:
                decimal = self._decimal_in_doubt(proven, between_commas)
            return next((f for f in self.formats if f.decimal == decimal), None)
        (form,) = self.formats
        if isinstance(form, NumberFormat) and form.decimal is None:
            if between_commas and not proven:
                decimal = "."
            return replace(form, decimal=decimal)
        return form

    def _decimal_in_doubt(self, proven, between_commas):
        """The decimal mark if some mark may be that or one of thousands; or None.

        Proof from other columns does not overrule what the column looks like.
        """
        if len(self.either) > 1:
            return None
        (mark,) = self.either
        if between_commas and mark == ".":
            return mark if proven <= {mark} else None
        if len(proven) != 1 or (mark in proven) == self.grouped:
            return None
        return next(iter(proven))


def _formats(decimal, thousands, affix, codes):
    """Ways to write numbers, those without marks of thousands first."""
    marks = (None, thousands) if thousands else (None, *THOUSANDS)
    return [
        NumberFormat(point, mark, affix, codes)
        for mark in marks
        for point in ((decimal,) if decimal else DECIMALS)
        if point != (thousands or mark)
    ]


def n_values(counts):
    """How many values there are, those aside that stand for none."""
    none = sum(n for text, n in counts.items() if text.casefold() in NO_VALUE)
    return int(counts.sum() - none)
