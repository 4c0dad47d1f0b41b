"""Which way of writing numbers a column of text has, as all its values show."""

import re
from collections import Counter
from dataclasses import replace

from ._numbers import (
    DECIMALS,
    MOST,
    NO_AFFIX,
    THOUSANDS,
    NumberFormat,
    TruthFormat,
    n_values,
    take_apart,
)

UNMARKED = re.compile(r"\D*[1-9][0-9]{3,}\D*")
"""A whole number above 1000 without marks of thousands."""


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
