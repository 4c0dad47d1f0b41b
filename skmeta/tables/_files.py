"""Tables in files: delimited text, parquet and feather, without inference of types."""

import csv
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from pathlib import Path

from ._widths import check_widths, without_last_separator

COMPRESSED = (".gz", ".bz2", ".xz", ".zip")
FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".feather": "feather",
    ".arrow": "feather",
}

MAX_HEADER = 1 << 20
"""Characters that are searched for the separator."""

SEPARATORS = (";", ",", "\t")
UNNAMED = "Unnamed: "
"""Prefix of the names of columns without one."""

N_LOOKED_AT = 200
"""Rows whose widths determine the separator."""


@dataclass(frozen=True, eq=False)
class TableFile:
    """The table in a file.

    ``separator`` is None if the file has types of columns.
    """

    frame: object
    separator: str | None
    notes: tuple = ()


def read_table(path):
    """Read a table from a file, without inference of types.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    frame : pandas.DataFrame
        Columns of parquet and feather files have their types, as Arrow types of pandas.
        In text files every cell is text, exactly as it is written, and an empty cell is
        empty text.

    Raises
    ------
    ValueError
        If the file does not exist, has an unknown format, cannot be read or is empty,
        if two columns have the same name, or a row has fewer or more fields than the
        header.
    ImportError
        If pandas is not installed, or pyarrow for parquet and feather.

    Examples
    --------
    >>> from importlib.resources import files
    >>> from skmeta.tables import read_table
    >>> frame = read_table(files("skmeta.datasets") / "data" / "suzuki.csv.gz")
    >>> frame["yield"].head(2).to_list()
    ['0.0476', '0.0412']
    """
    return read_file(path).frame


def read_file(path):
    """Read a `TableFile`, as `read_table`."""
    import_pandas()
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}.")
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in COMPRESSED]
    kind = FORMATS.get(suffixes[-1] if suffixes else "")
    if kind is None:
        raise ValueError(
            f"{path.name!r} is of no format that is read here: {', '.join(FORMATS)}. "
            "Spreadsheets can be saved as .csv."
        )
    if path.stat().st_size == 0:
        raise ValueError(f"{path.name!r} is empty.")
    try:
        table = _read_text(path) if kind == "csv" else _read_typed(path, kind)
    except ImportError as error:
        raise ImportError(
            f"Reading {path.name!r} takes pyarrow: pip install pyarrow."
        ) from error
    except Exception as error:  # readers raise whatever they meet in a bad file
        reason = str(error).strip().split("\n")[0]
        raise ValueError(f"{path.name!r} cannot be read as {kind}: {reason}") from error
    if table.frame.empty:
        raise ValueError(f"{path.name!r} holds no rows.")
    return table


def import_pandas():
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("Reading tables takes pandas: pip install pandas.") from error
    return pd


def _read_typed(path, kind):
    """Read a file with types of columns."""
    from pyarrow import feather, parquet

    if kind == "parquet":
        with parquet.ParquetFile(path) as file:  # two columns of a name are read, too
            table = file.read()
    else:
        table = feather.read_table(path)
    return TableFile(frame_of(table), None)


def frame_of(table):
    """A DataFrame of Arrow types, of an Arrow table or what can be converted to one."""
    import pyarrow as pa

    table = pa.table(table)
    columns = [column.cast(_plain_type(column.type)) for column in table.columns]
    return pa.table(columns, names=_column_names(table.column_names)).to_pandas(
        types_mapper=import_pandas().ArrowDtype, ignore_metadata=True
    )


def _plain_type(dtype):
    """A type that pandas supports, for the values of another."""
    from pyarrow import large_string, types

    return large_string() if types.is_string_view(dtype) else dtype


def _read_text(path):
    """Read a file delimited by commas, semicolons or tabs."""
    text, notes = _decoded(path)
    separator, text = _separator(text)
    lines = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    rows, at = [], []
    try:
        for row in lines:
            if len(row) > 1 or "".join(row).strip():
                rows.append(row)
                at.append(lines.line_num)
    except csv.Error as error:
        raise ValueError(f"line {lines.line_num}: {error}") from error
    header, rows = (rows or [[]])[0], rows[1:]
    header, rows, more = without_last_separator(header, rows, at[1:])
    check_widths(header, rows, at[1:])
    names = _column_names(header)
    cells = zip(*rows, strict=True) if rows else [()] * len(names)
    frame = import_pandas().DataFrame(
        dict(zip(names, cells, strict=True)), columns=names, dtype=str
    )
    return TableFile(frame, separator, (*notes, *more))


def _decoded(path):
    """``(text, notes)`` of a text file: by byte order mark, else UTF-8, else cp1252."""
    from pandas.io.common import get_handle

    with get_handle(path, "rb", compression="infer", is_text=False) as handles:
        content = handles.handle.read()
    notes = ()
    if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        text = content.decode("utf-16")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:  # spreadsheets write cp1252 where it is not UTF-8
            try:
                text, encoding = content.decode("cp1252"), "cp1252"
            except UnicodeDecodeError:
                text, encoding = content.decode("latin-1"), "latin-1"
            notes = (f"The file is not UTF-8: its letters were read as {encoding}.",)
    if "\0" in text:
        raise ValueError("it is not text")
    return text, notes


def _separator(text):
    """``(separator, text)``: that under which most rows have as many fields.

    A first line such as ``sep=;``, which spreadsheets write, sets it and is removed.
    """
    said = re.match(r'"?sep=([,;\t])"?\r?\n', text)
    if said:
        return said[1], text[said.end() :]
    header = re.sub(r'"[^"]*"', "", text[:MAX_HEADER]).lstrip("\r\n").split("\n", 1)[0]
    return max(
        SEPARATORS, key=lambda mark: (_agreement(text, mark), header.count(mark))
    ), text


def _agreement(text, separator):
    """How many of the first rows have the same number of fields, at least two.

    Empty fields at the end of rows count or not, whichever gives more.
    """
    lines = csv.reader(StringIO(text[:MAX_HEADER], newline=""), delimiter=separator)
    try:
        rows = list(islice(lines, N_LOOKED_AT))
    except csv.Error:
        return 0
    filled = [separator.join(row).rstrip(separator).count(separator) for row in rows]
    widths = Counter(len(row) - 1 for row in rows), Counter(filled)
    return max(
        (n for count in widths for width, n in count.items() if width > 0), default=0
    )


def _column_names(header):
    """Names without surrounding spaces; raise if two are the same."""
    names = [str(name).strip() for name in header]
    names = [name or f"{UNNAMED}{j}" for j, name in enumerate(names)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(
            f"two columns are called {twice[0]!r}. Give each a name of its own."
        )
    return names
