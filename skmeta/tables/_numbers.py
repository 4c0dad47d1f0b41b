"""Numbers in text: one way of writing them for a whole column, or none.

What a value looks like says which mark is its decimal mark, or nothing: "10,25" can be
read in one way, "2.566" in two. All values of a column together decide; then the other
columns of the file do, where they prove what the column looks like.
"""

import math
import re
import unicodedata
from dataclasses import dataclass
from typing import NamedTuple

from ._cells import MONTH, NO_VALUE

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


def n_values(counts):
    """How many values there are, those aside that stand for none."""
    none = sum(n for text, n in counts.items() if text.casefold() in NO_VALUE)
    return int(counts.sum() - none)
