"""Numbers in text, with one format for a whole column.

A single value may show which mark is the decimal mark, or may not: "10,25" can be read
in one way, "2.566" in two. All values of a column together decide, then the other
columns of the file.
"""

import math
import re
import unicodedata
from dataclasses import dataclass
from typing import NamedTuple

from ._cells import MONTH, NO_VALUE

MOST = 0.8
"""Share of numbers, or dates, that makes a column one of these."""

MAX_DIGITS = 15
"""Digits of a whole number that a float holds exactly; with more it is a code."""

NO_AFFIX = ("", "")
DECIMALS = (".", ",")
THOUSANDS = (".", ",", " ", "'")
MARKS = {".": "point", ",": "comma", " ": "space", "'": "apostrophe"}
SAME = str.maketrans(
    dict.fromkeys("\u00a0\u2007\u2009\u202f", " ") | {"\u2019": "'", "\u2212": "-"}
)
"""Non-breaking spaces and typographic signs, as plain ones."""

NUMBER = re.compile(
    r"(?P<sign>[+-]?)\s?(?P<before>(?:[A-Z]{0,3}[^\w\s.,'+-])?)\s?(?P<again>[+-]?)"
    r"(?P<body>[0-9.,](?:[0-9.,' ]*[0-9.,])?)(?P<power>(?:[eE][+-]?[0-9]+)?)"
    r"\s?(?P<unit>(?:(?:[^\W\d_]|[^\w\s.,'])[^\d<>]{0,19}[23]?)?)"
)
SIMPLE = re.compile(
    r"-?(?:0|[1-9][0-9]{0,14}|(?:0|[1-9][0-9]*)(\.)(?:[0-9]{1,2}|[0-9]{4,}))"
)
"""Plain numbers, which `NUMBER` matches more slowly."""

EITHER = re.compile(r"[1-9][0-9]{0,2}([.,])[0-9]{3}")
GROUPS = re.compile(r"[1-9][0-9]{0,2}([.,' ])[0-9]{3}(?:\1[0-9]{3})*(?:([.,])[0-9]+)?")

PADDED = re.compile("0[0-9]")
PLAIN = re.compile(r"[0-9]+(?:(\.)[0-9]*|(,)[0-9]+)?|(?:(\.)|(,))[0-9]+")


class Written(NamedTuple):
    """Notation of a number: all but its digits.

    ``decimal`` and ``thousands`` are marks of a certain role, ``either`` one that may
    have either; ``code`` is whether it has a leading zero, or is a whole number of too
    many digits to be an amount.
    """

    affix: tuple = NO_AFFIX
    decimal: str | None = None
    thousands: str | None = None
    either: str | None = None
    code: bool = False


def take_apart(text):
    """``(written, digits)`` of a text; None if it is no number."""
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
    """The marks between digits, which a power of ten may follow."""
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
    """A format of numbers in text."""

    def telling(self, text):
        """Sort key: how well a text illustrates the format."""
        said = self.described(text)
        return len(said), "thousands" in " ".join(said)

    def read(self, text):
        """Numbers of a Series of text; NaN for what is none."""
        numbers = {value: self.value(value) for value in text.unique()}
        return text.map(numbers).astype(float)

    def unread(self, counts):
        """Of a Series of counts, the values that are no numbers."""
        return counts[self.read(counts.index.to_series()).isna().to_numpy()]


@dataclass(frozen=True)
class NumberFormat(_Format):
    """The format of the numbers of a column.

    ``decimal`` is None if no value of the file has a decimal mark.
    """

    decimal: str | None = "."
    thousands: str | None = None
    affix: tuple = NO_AFFIX
    codes: bool = False

    def value(self, text):
        """The number that a text is, as float; NaN if it is none."""
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
        """Numbers of a Series of text; NaN for what is none."""
        if self.affix != NO_AFFIX or self.decimal != ".":
            return super().read(text)
        simple = text.str.fullmatch(SIMPLE.pattern).astype(bool)
        numbers = super().read(text[~simple])
        return text.where(simple).astype(float).fillna(numbers)

    def fits(self, written):
        """Whether a notation is that of this format."""
        return (
            written.affix == self.affix
            and written.decimal in (None, self.decimal)
            and written.thousands in (None, self.thousands)
            and written.either in (None, self.decimal, self.thousands)
            and (self.codes or not written.code)
        )

    def described(self, text):
        """How a text is read as a number, as a list of phrases."""
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
    """The format of a column of true and false, in any case."""

    def value(self, text):
        """1 for true, 0 for false; NaN for what is neither."""
        return {"true": 1.0, "false": 0.0}.get(text.strip().casefold(), math.nan)

    def described(self, text):
        """How a text is read as a number: nothing to be explained."""
        return []


def n_values(counts):
    """How many values there are, except for those that stand for a missing one."""
    none = sum(n for text, n in counts.items() if text.casefold() in NO_VALUE)
    return int(counts.sum() - none)
