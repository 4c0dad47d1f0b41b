"""The number of fields in the rows of a text file: trailing separators, and errors."""

MAX_SHOWN = 60
"""Characters of a row that a message shows, at most."""

NEARLY_ALL = 0.8

HEADER = (
    "The first line does not look like a header: delete what is above it. Fields are "
    "read between commas, semicolons or tabs."
)
SHORT = (
    "Fill it up with separators if it is a row of the table; delete it if it is a "
    "comment, a total or the end of a cell that has to be in quotes."
)
NAMED = (
    "Name its first field in the header if rows have names (R writes one with "
    "write.csv, or write.table(..., col.names=NA)); put cells that hold the separator "
    "in quotes; delete the first line if it is no header."
)
QUOTES = "Put cells that hold the separator in quotes."


def without_last_separator(header, rows, at):
    """Remove the empty fields that trailing separators make: ``(header, rows, notes)``.

    They may be at the end of the header, and of all rows or some.

    Parameters
    ----------
    header : list of str
    rows : list of lists of str
    at : list of int
        Line of the file in which each row ends.

    Raises
    ------
    ValueError
        If the columns of a row may be shifted, by a separator in a cell that is not in
        quotes, or by row names.
    """
    header, notes = _without_last_name(header, rows)
    width = len(header)
    longer = [row for row in rows if len(row) > width]
    if not longer or not _are_empty(row[width:] for row in longer):
        return header, rows, notes
    if len({len(row) for row in rows}) == 1:
        _check_no_names(header, rows)
        which = "all"
    else:
        _check_alike(header, rows, at)
        which = f"{len(longer)} of {len(rows)}"
    note = f"A separator at the end of {which} rows was dropped: no field follows."
    return header, [row[:width] for row in rows], (*notes, note)


def _without_last_name(header, rows):
    """``(header, notes)`` without an empty last name, if rows have no such field."""
    last = [row[len(header) - 1 :] for row in rows]
    if [] not in last or not _are_empty([header[-1:], *last]):
        return header, ()
    note = "A separator at the end of the header was dropped: no name follows."
    return header[:-1], (note,)


def _are_empty(ends):
    return not any(field.strip() for fields in ends for field in fields)


def _check_no_names(header, rows):
    """Raise if rows that are all too long may begin with row names.

    These differ from row to row; R writes no name for that column.
    """
    if len(rows) < 2 or len({row[0] for row in rows}) < len(rows):
        return
    raise ValueError(
        f"every row has {len(rows[0])} fields, more than the {len(header)} of the "
        "header, the last of which is empty. That can be read in two ways: rows end "
        f"in a separator, or begin with a name, e.g. {rows[0][0]!r}, and have nothing "
        f"in {header[-1]!r}. Take the separators off the ends of the rows, or name "
        "their first field in the header."
    )


def _check_alike(header, rows, at):
    """Raise if the columns of rows that are longer than others may be shifted.

    They may, unless each column has digits where that of other rows has, and the last
    column is filled in all rows.
    """
    width = len(header)
    short = min(len(row) for row in rows)
    shorter = [row for row in rows if len(row) == short]
    longer = [row for row in rows if len(row) > short]
    filled = all(row[width - 1].strip() for row in rows if len(row) >= width)
    if filled and all(
        _has_digits(longer, j) <= _has_digits(shorter, j) for j in range(width)
    ):
        return
    i = next(i for i, row in enumerate(rows) if len(row) > short)
    raise ValueError(
        f"row {i + 1} (line {at[i]}) has {len(rows[i])} fields, others {short}, and "
        f"the last is empty: {_shown(rows[i])!r}. That can be read in two ways: the "
        "row ends in a separator, or a cell that is not in quotes holds one. Put such "
        "cells in quotes, or take the separators off the ends of rows."
    )


def _has_digits(rows, j):
    """Of the filled cells of a column: the set of whether a cell has digits."""
    cells = {row[j] for row in rows if len(row) > j and row[j].strip()}
    return {any(letter.isdigit() for letter in cell) for cell in cells}


def check_widths(header, rows, at):
    """Raise unless each row has as many fields as the header.

    Parameters are those of `without_last_separator`.
    """
    width = len(header)
    wrong = [i for i, row in enumerate(rows) if len(row) != width]
    if not wrong:
        return
    first = wrong[0]
    row = rows[first]
    others = f", and so on in {len(wrong)} rows" if len(wrong) > 1 else ""
    sort = "fewer" if len(row) < width else "more"
    raise ValueError(
        f"row {first + 1} (line {at[first]}) has {len(row)} "
        f"field{'s' * (len(row) > 1)}, {sort} than the {width} of the header: "
        f"{_shown(row)!r}{others}. {_way_out(row, rows, width)}"
    )


def _way_out(row, rows, width):
    """What to do about a row of another width, as a sentence."""
    if width > 1 and all(len(row) == width + 1 for row in rows):
        return NAMED
    if sum(len(row) > width for row in rows) >= NEARLY_ALL * len(rows):
        return HEADER
    return SHORT if len(row) < width else QUOTES


def _shown(row):
    content = " | ".join(row)
    return content[:MAX_SHOWN] + "..." * (len(content) > MAX_SHOWN)
