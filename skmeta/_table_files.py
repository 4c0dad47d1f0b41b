"""Tables in files: text between commas, parquet and feather."""

from codecs import getincrementaldecoder
from pathlib import Path

COMPRESSED = (".gz", ".bz2", ".xz", ".zip")
FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".feather": "feather",
    ".arrow": "feather",
}


def read_table(path):
    """Read a table from a file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    frame : pandas.DataFrame

    Raises
    ------
    ValueError
        If the file is not there, is of no known format, cannot be read or is empty.
    ImportError
        If pandas is not installed, or pyarrow for parquet and feather.
    """
    pd, path = import_pandas(), Path(path)
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
        frame = (
            _read_csv(pd, path) if kind == "csv" else getattr(pd, f"read_{kind}")(path)
        )
    except ImportError as error:
        raise ImportError(
            f"Reading {path.name!r} takes pyarrow: pip install pyarrow."
        ) from error
    except Exception as error:  # readers raise whatever they meet in a bad file
        reason = str(error).strip().split("\n")[0]
        raise ValueError(f"{path.name!r} cannot be read as {kind}: {reason}") from error
    if frame.empty:
        raise ValueError(f"{path.name!r} holds no rows.")
    return frame.rename(columns=lambda name: str(name).strip())


def import_pandas():
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("Reading tables takes pandas: pip install pandas.") from error
    return pd


def _read_csv(pd, path):
    """A text file of columns between commas, semicolons or tabs."""
    from pandas.io.common import get_handle

    with get_handle(path, "rb", compression="infer", is_text=False) as handles:
        beginning = handles.handle.read(1 << 16)
    if b"\0" in beginning:
        raise ValueError("it is not text")
    try:
        # Incremental, as the last character may be cut off.
        getincrementaldecoder("utf-8")().decode(beginning)
        encoding = "utf-8-sig"
    except UnicodeDecodeError:
        encoding = "cp1252"  # what spreadsheets write where it is not UTF-8
    header = beginning.split(b"\n")[0]
    separator = max([b",", b";", b"\t"], key=header.count).decode()
    read = {
        "sep": separator,
        "encoding": encoding,
        "encoding_errors": "replace",
        "low_memory": False,
    }
    frame = pd.read_csv(path, **read)
    if separator == ";":  # then decimals may be commas
        other = pd.read_csv(path, decimal=",", **read)
        frame = max(frame, other, key=lambda f: f.select_dtypes("number").shape[1])
    return frame
