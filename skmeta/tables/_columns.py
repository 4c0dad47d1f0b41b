"""A column of a table, read in one way: of these rows, and of all that come after."""

from dataclasses import dataclass, field

from ._cells import (
    MIDNIGHT,
    SORTS,
    as_dates,
    as_known_numbers,
    as_numbers,
    as_strings,
    as_text,
    cells_of,
    shown,
)
from ._dates import COMPACT, DateFormat
from ._files import import_pandas
from ._numbers import NumberFormat

NAMES = {"number": "numbers", "date": "dates", "text": "text"}
TAKES = {
    "number": ("text", "number", "truth"),
    "date": ("text", "date"),
    "text": ("text", "number", "truth", "date"),
}
"""Sorts of cells that a reading takes, whatever those of the table were."""

ISO = DateFormat("%Y-%m-%d")
NONE = "(none)"
"""What a missing value of a column of text is called."""


@dataclass(frozen=True, eq=False)
class ColumnReading:
    """How a column of a table is read.

    Attributes
    ----------
    name : str
        Of the column.
    kind : {"number", "date", "text"}
    example : str
        How it is read, with a value of the table.
    source : str
        The sort of its cells in the table, as `cells_of` says.
    format : NumberFormat, TruthFormat, DateFormat or None
        Of what is written as text.
    known : frozenset of str
        Values, where the kind is text.
    zone : tzinfo, str or None
        By whose clock dates are read that have a zone; None takes that of each date.
    use : {"column", "task", "target"}
    """

    name: str
    kind: str
    example: str
    source: str = "text"
    format: object = None
    known: frozenset = field(default=frozenset(), repr=False)
    zone: object = None
    use: str = "column"

    @property
    def label(self):
        """What the column is, in a word or two."""
        if self.use == "task":
            return "task"
        if self.use == "target":
            return f"target, {'classes' if self.kind == 'text' else self.kind}"
        return self.kind

    @property
    def _with_time(self):
        """Whether text made of dates has a time, those at midnight too."""
        return any(value.endswith(MIDNIGHT) for value in self.known)

    def __str__(self):
        return f"{self.name!r} ({self.label}): {self.example}"

    def read(self, column):
        """Values of a column, of a table of the same kind.

        Parameters
        ----------
        column : Series of shape (n_rows,)

        Returns
        -------
        values : Series of shape (n_rows,)
            Numbers, time stamps or text; missing where there is nothing to read.
        unread : Series of str
            What is neither a number nor a date, where it has to be.

        Raises
        ------
        ValueError
            If the cells are of another sort than those of the table.
        """
        pd = import_pandas()
        values, unread = [pd.Series(dtype=object)], [pd.Series(dtype=object)]
        for cells in cells_of(column):
            values.append(self._values(cells))
            text = as_strings(cells.values[values[-1].isna()])
            unread += [text[text.str.strip() != ""], cells.beyond]
        values = pd.concat(values[1:] or values).reindex(pd.RangeIndex(len(column)))
        values = values.set_axis(column.index).rename(column.name)
        return values, pd.concat(unread[1:] or unread)

    def _values(self, cells):
        """Cells as what they are read as."""
        compact = self.format == DateFormat(COMPACT) and cells.sort == "number"
        if cells.sort not in (*TAKES[self.kind], self.source) and not compact:
            self._refuse(cells)
        if self.kind == "text" and cells.sort == self.source == "number" and self.known:
            return self._numbers_as_text(cells)
        if self.kind == "text":
            text = as_text(cells, self._with_time)
            if cells.sort != self.source and not self.known.issuperset(text):
                self._refuse(cells)
            return text
        if compact:
            return self.format.read(cells.values.map("{:.0f}".format))
        if cells.sort == "text":
            form = self.format or {"number": NumberFormat(), "date": ISO}[self.kind]
            return form.read(cells.values)
        return (
            as_numbers(cells) if self.kind == "number" else as_dates(cells, self.zone)
        )

    def _numbers_as_text(self, cells):
        try:
            return as_known_numbers(cells, self.known)
        except ValueError as error:
            raise ValueError(
                f"{self.name!r} was read as text from whole numbers, and these rows "
                f"hold others: {error}. Give the cells as they were there."
            ) from error

    def _refuse(self, cells):
        raise ValueError(
            f"{self.name!r} was read as {NAMES[self.kind]} from {SORTS[self.source]}, "
            f"and these rows hold {SORTS[cells.sort]}, {shown(cells.values.iloc[0])} "
            "say. Give the cells as they were there; read_table reads a file so."
        )

    def columns(self, values):
        """Columns for a meta-learner of what was read: numbers, or text.

        Parameters
        ----------
        values : Series of shape (n_rows,)
            As `read` gives them.

        Returns
        -------
        columns : dict of str -> Series of shape (n_rows,)
        """
        if self.kind == "number":
            return {self.name: values.astype(float)}
        if self.kind == "text":
            return {self.name: values.astype(object).where(values.notna(), NONE)}
        return _date_parts(self.name, values)


def _date_parts(name, dates):
    """Of each date its day, counted on, and its month and weekday."""
    pd = import_pandas()
    dates = pd.to_datetime(dates)
    days = (dates - pd.Timestamp("2000-01-01")) / pd.Timedelta(days=1)
    return {
        f"{name} (day)": days,
        f"{name} (month)": dates.dt.month.astype(float),
        f"{name} (weekday)": dates.dt.day_of_week.astype(float),
    }
