"""Inference of the number format of a column of text, from all its values."""

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
"""A whole number of 1000 or more without a thousands separator."""


class NumberSurvey:
    """Number formats that fit a column of text.

    Parameters
    ----------
    counts : Series of int
        Counts of the values, as returned by `tally`.
    forced : bool
        Whether the user sets that these are numbers, even codes.
    decimal, thousands : str or None
        The marks that the user sets.

    Attributes
    ----------
    formats : list of formats
        Those in which most values are numbers: none, one, or one for each decimal mark
        if the column can be read with both, with different results.
    share : float
        Share of the values that are numbers in these formats.
    code : str or None
        A value that makes these codes: with a leading zero, or of many digits.
    units : sequence of str
        Two values with different units, if these are the reason for no format.
    examples : dict of Written -> str
        One value of each notation.
    decimal : str or None
        The decimal mark that the column proves.
    grouped : bool
        Whether all values look like whole numbers with thousands separators.
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
        notations = Counter()
        for text, count in counts.items():
            if apart := take_apart(text):
                notations[apart[0]] += count
                self.examples.setdefault(apart[0], text)
        affix = self._affix(notations)
        if affix is not None:
            self._decide(
                {w: n for w, n in notations.items() if w.affix == affix}, affix
            )
        if self.either:
            self.grouped = not any(map(UNMARKED.fullmatch, counts.index))

    def _affix(self, notations):
        """What stands before and after most numbers; None if units differ."""
        counted = Counter()
        for written, count in notations.items():
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

    def _decide(self, notations, affix):
        codes = [written for written in notations if written.code and not self.forced]
        amounts = [written for written in notations if written not in codes]
        decimals, thousands, either = (
            {getattr(written, role) for written in amounts} - {None}
            for role in ("decimal", "thousands", "either")
        )
        self.either = either
        if sum(notations[w] for w in codes) > sum(
            notations[w] for w in amounts if w.decimal
        ):
            self.code = self.examples[codes[0]]
        # A mark that certainly has one role cannot have the other elsewhere.
        no_decimal = (thousands & either) - {self.marks[0]}
        no_thousands = (decimals & either) - {self.marks[1]}
        fitting = {
            form: sum(
                count for written, count in notations.items() if form.fits(written)
            )
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
        """The decimal mark that these numbers prove; None if they are codes."""
        return self.decimal if self.share >= MOST and self.code is None else None

    def format(self, proven, between_commas):
        """The format of the column in its file; None if ambiguous.

        Parameters
        ----------
        proven : set of str
            Decimal marks that columns of the file prove, or the one that the user sets.
        between_commas : bool
            Whether commas separate the cells.
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
        """The decimal mark if a mark may be that or a thousands separator; or None.

        Proof from other columns does not overrule the looks of this column.
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
    """Number formats to try, those without a thousands separator first."""
    marks = (None, thousands) if thousands else (None, *THOUSANDS)
    return [
        NumberFormat(point, mark, affix, codes)
        for mark in marks
        for point in ((decimal,) if decimal else DECIMALS)
        if point != (thousands or mark)
    ]
