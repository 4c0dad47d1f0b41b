"""How a column of a table is read: in the table itself and in new rows."""

from dataclasses import dataclass, field

from ._cells import (
    CELL_TYPES,
    MIDNIGHT,
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
"""Types of cells that a column of each type takes, whatever those of the table were."""

ISO = DateFormat("%Y-%m-%d")
NONE = "(none)"
"""The category of missing values of a column of text."""


@dataclass(frozen=True, eq=False)
class ColumnReading:
    """How a column of a table is read.

    Attributes
    ----------
    name : str
        Of the column.
    column_type : {"number", "date", "text"}
    example : str
        How it is read, with a value of the table.
    source : str
        The type of its cells in the table, as in `Cells`.
    format : NumberFormat, TruthFormat, DateFormat or None
        Of numbers and dates that are written as text.
    known : frozenset of str
        The values of a column of text.
    zone : tzinfo, str or None
        Time zone in which dates with a zone are read; None for that of each date.
    use : {"column", "task", "target"}
    """

    name: str
    column_type: str
    example: str
    source: str = "text"
    format: object = None
    known: frozenset = field(default=frozenset(), repr=False)
    zone: object = None
    use: str = "column"

    @property
    def label(self):
        """Role and type of the column, in a word or two."""
        if self.use == "task":
            return "task"
        if self.use == "target":
            is_class = self.column_type == "text"
            return f"target, {'classes' if is_class else self.column_type}"
        return self.column_type

    @property
    def _with_time(self):
        """Whether dates as text have a time, even if all are at midnight."""
        return any(value.endswith(MIDNIGHT) for value in self.known)

    def __str__(self):
        return f"{self.name!r} ({self.label}): {self.example}"

    def read(self, column):
        """Read a column of the same table, or of new rows.

        Parameters
        ----------
        column : Series of shape (n_rows,)

        Returns
        -------
        values : Series of shape (n_rows,)
            Numbers, time stamps or text; missing where there is nothing to read.
        unread : Series of str
            What is no number, or no date, in a column of these.

        Raises
        ------
        ValueError
            If the cells have another type than those of the table.
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
        """Cells of one type as numbers, time stamps or text."""
        compact = self.format == DateFormat(COMPACT) and cells.type == "number"
        if cells.type not in (*TAKES[self.column_type], self.source) and not compact:
            self._refuse(cells)
        if (
            self.column_type == "text"
            and cells.type == self.source == "number"
            and self.known
        ):
            return self._numbers_as_text(cells)
        if self.column_type == "text":
            text = as_text(cells, self._with_time)
            if cells.type != self.source and not self.known.issuperset(text):
                self._refuse(cells)
            return text
        if compact:
            return self.format.read(cells.values.map("{:.0f}".format))
        if cells.type == "text":
            form = (
                self.format or {"number": NumberFormat(), "date": ISO}[self.column_type]
            )
            return form.read(cells.values)
        return (
            as_numbers(cells)
            if self.column_type == "number"
            else as_dates(cells, self.zone)
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
        was = f"{NAMES[self.column_type]} from {CELL_TYPES[self.source]}"
        example = shown(cells.values.iloc[0])
        raise ValueError(
            f"{self.name!r} was read as {was}, and these rows hold "
            f"{CELL_TYPES[cells.type]}, e.g. {example}. Give the cells as they were "
            "there; read_table reads a file so."
        )

    def features(self, values):
        """Features made of the values: numbers, or text.

        Parameters
        ----------
        values : Series of shape (n_rows,)
            As `read` gives them.

        Returns
        -------
        features : dict of str -> Series of shape (n_rows,)
        """
        if self.column_type == "number":
            return {self.name: values.astype(float)}
        if self.column_type == "text":
            return {self.name: values.astype(object).where(values.notna(), NONE)}
        return _date_parts(self.name, values)


def _date_parts(name, dates):
    """Days since 2000, month and weekday of dates."""
    pd = import_pandas()
    dates = pd.to_datetime(dates)
    days = (dates - pd.Timestamp("2000-01-01")) / pd.Timedelta(days=1)
    return {
        f"{name} (day)": days,
        f"{name} (month)": dates.dt.month.astype(float),
        f"{name} (weekday)": dates.dt.day_of_week.astype(float),
    }
