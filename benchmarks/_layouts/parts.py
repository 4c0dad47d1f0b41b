"""Tables, their rows and columns.

A cell shows the record whose values are those of ``where`` of the table, the row and
the column together; a tuple of values stands for several records, one after the other.
Its text is a format of the record's numbers, given by the row, the column or the table;
of several formats the first that has all its numbers is used. Rows and columns without
any figure are left out.
"""

from typing import NamedTuple

SYSTEMS = {
    "attention": "attention",
    "self-attention": "self-attention",
    "transformer": "Transformer",
}
ESTIMATORS = ("Attention", "SelfAttention", "Transformer")


class Part(NamedTuple):
    """A row or a column."""

    label: str
    where: dict = {}
    text: object = None


class Table(NamedTuple):
    rows: list
    columns: list
    where: dict = {}
    text: object = None
    corner: str = ""

    def files(self):
        """The result files that it is made from."""
        parts = [self, *self.rows, *self.columns]
        return {part.where["file"] for part in parts if "file" in part.where}


def each(column, labels, **where):
    """A part for each value of one column, with its label."""
    if not isinstance(labels, dict):
        labels = {value: str(value) for value in labels}
    return [Part(label, {column: value, **where}) for value, label in labels.items()]


def texts(formats, **where):
    """A part for each format, by its label."""
    return [Part(label, where, text) for label, text in formats.items()]


def figures(*rows):
    """A table of one column: each row has a label, a record and a format."""
    return Table([Part(*row) for row in rows], [Part("figure")])
