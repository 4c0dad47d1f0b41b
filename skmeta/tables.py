"""Tasks from a table in a file, whatever its columns hold.

Numbers are kept, and missing ones filled by the median; dates become numbers; other
columns become one column for each of their values. What tells rows apart, and nothing
else, is left out. Fillings and values are learned from all rows of the table, targets
aside.
"""

import warnings
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from .tasks import TaskCollection

MAX_VALUES = 30
"""Columns made of a column of text, at most; rarer values share one."""

NUMERIC = 0.95
"""Share of the values of a column of text that makes it one of numbers, or of dates."""

DATE = r"^\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}"
COMPRESSED = (".gz", ".bz2", ".xz", ".zip")
FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".feather": "feather",
    ".arrow": "feather",
}


@dataclass(frozen=True, eq=False)
class TaskTable:
    """Tasks read from a table, and how its columns became theirs.

    Attributes
    ----------
    tasks : TaskCollection
        Named by the values of the task column.
    task, target : str
        Columns of the table.
    classes : bool
        Whether the target is a class.
    kinds : dict of str -> {"number", "date", "text"}
        The columns that are predicted from.
    notes : list of str
        What was left out, filled or converted.
    """

    tasks: TaskCollection
    task: str
    target: str
    classes: bool
    kinds: dict
    notes: list
    transformer: ColumnTransformer

    def columns(self, frame):
        """Columns of rows of a table of the same kind, for a meta-learner.

        Parameters
        ----------
        frame : pandas.DataFrame of shape (n_rows, ...)
            With the columns of `kinds`, in any order.

        Returns
        -------
        X : pandas.DataFrame of shape (n_rows, n_features)
        """
        return self.transformer.transform(_typed(frame, self.kinds))

    def targets(self, frame):
        """Targets of rows of a table of the same kind, for a meta-learner.

        Parameters
        ----------
        frame : pandas.DataFrame of shape (n_rows, ...)

        Returns
        -------
        y : ndarray of shape (n_rows,)
            Numbers, or classes as text.
        """
        return _values(frame[self.target], self.classes)


def read_tasks(path, *, task, target, classes=False):
    """Read a table whose rows belong to tasks.

    Parameters
    ----------
    path : str or Path
        A .csv, .tsv, .parquet or .feather file.
    task : str
        The column that says which task a row belongs to.
    target : str
        The column to predict.
    classes : bool, default=False
        Whether the target is a class, in place of a number.

    Returns
    -------
    table : TaskTable

    Raises
    ------
    ValueError
        If the file or a column is not what it has to be.
    ImportError
        If pandas is not installed, or pyarrow for parquet and feather.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skmeta.tables import read_tasks
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "scores.csv"
    ...     _ = path.write_text("school,sex,age,score\\na,f,9,1\\na,m,8,2\\nb,f,7,3\\n")
    ...     table = read_tasks(path, task="school", target="score")
    >>> table.tasks
    TaskCollection(n_tasks=2, n_rows=3, n_features=3)
    >>> table.kinds
    {'sex': 'text', 'age': 'number'}
    """
    frame = read_table(path)
    _check_columns(frame, task, target)
    notes = []
    known = frame[task].notna() & frame[target].notna()
    if not known.all():
        notes.append(
            f"{(~known).sum()} of {len(frame)} rows without {task!r} or {target!r} "
            "were left out."
        )
        frame = frame[known]
    y = _target(frame[target], classes)
    groups = _task_names(frame[task])
    if groups.is_unique:
        raise ValueError(
            f"Every row has a {task!r} of its own, so that no task has more than one "
            "row. Name the column that many rows share."
        )
    candidates = frame.drop(columns=[task, target])
    kinds = {}
    for name, column in candidates.items():
        kind, note = _kind(column, groups)
        if note:
            notes.append(f"{name!r} {note}")
        if kind:
            kinds[name] = kind
    if not kinds:
        raise ValueError(
            f"Nothing to predict from: beside {task!r} and {target!r} no column is of "
            f"use. {' '.join(notes)}".strip()
        )
    typed = _typed(candidates, kinds)
    n_missing = int(candidates[list(kinds)].isna().to_numpy().sum())
    if n_missing:
        notes.append(f"{n_missing} missing values were filled.")
    transformer = _transformer(typed).fit(typed)
    X = transformer.transform(typed)
    tasks = TaskCollection.from_arrays(X, y, groups.to_numpy(dtype=str))
    return TaskTable(tasks, task, target, classes, kinds, notes, transformer)


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
    pd, path = _pandas(), Path(path)
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}.")
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in COMPRESSED]
    kind = FORMATS.get(suffixes[-1] if suffixes else "")
    if kind is None:
        raise ValueError(
            f"{path.name!r} is of no format that is read here: {', '.join(FORMATS)}."
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


def _pandas():
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
        beginning[: beginning.rfind(b"\n") + 1].decode("utf-8-sig")
        encoding = "utf-8-sig"
    except UnicodeDecodeError:
        encoding = "cp1252"  # what spreadsheets write where it is not UTF-8
    header = beginning.split(b"\n")[0]
    separator = max([b",", b";", b"\t"], key=header.count).decode()
    read = {"sep": separator, "encoding": encoding, "low_memory": False}
    frame = pd.read_csv(path, **read)
    if separator == ";":  # then decimals may be commas
        other = pd.read_csv(path, decimal=",", **read)
        frame = max(frame, other, key=lambda f: f.select_dtypes("number").shape[1])
    return frame


def _check_columns(frame, task, target):
    for role, name in (("task", task), ("target", target)):
        if name in frame.columns:
            continue
        lowered = {str(c).lower(): c for c in frame.columns}
        near = get_close_matches(name.lower(), lowered, n=3, cutoff=0.6)
        hint = " or ".join(repr(lowered[n]) for n in near)
        columns = ", ".join(map(repr, frame.columns[:20]))
        more = ", ..." if len(frame.columns) > 20 else ""
        raise ValueError(
            f"There is no column {name!r} for the {role}."
            + (f" Did you mean {hint}?" if hint else f" There are {columns}{more}.")
        )
    if task == target:
        raise ValueError(f"The task and the target are the same column, {task!r}.")


def _target(column, classes):
    """Targets (n_rows,) that can be predicted: labels as text, or numbers."""
    n_values = column.nunique()
    if n_values < 2:
        only = f": {column.iloc[0]!r}" if len(column) else ""
        raise ValueError(f"The target {column.name!r} never changes{only}.")
    if classes and n_values > 0.5 * len(column):
        raise ValueError(
            f"The target {column.name!r} has {n_values} values in {len(column)} rows, "
            "too many to be classes. Leave out --classes to predict a number."
        )
    return _values(column, classes)


def _values(column, classes):
    pd = _pandas()
    if classes:
        return _labels(column)
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    bad = column[~np.isfinite(numbers)]
    if pd.api.types.is_bool_dtype(column):
        bad = column
    if len(bad):
        raise ValueError(
            f"The target {column.name!r} holds what is no number, {bad.iloc[0]!r} say. "
            "If it is a class, add --classes (classes=True in Python)."
        )
    return numbers.to_numpy()


def _labels(column):
    """Values as text, whole numbers without a decimal point: (n_rows,)."""
    numbers = _pandas().to_numeric(column, errors="coerce")
    if numbers.notna().all() and (numbers % 1 == 0).all():
        column = numbers.astype("int64")
    return column.astype(str).to_numpy(dtype=str)


def _task_names(column):
    pd = _pandas()
    return pd.Series(_labels(column), index=column.index)


def _kind(column, groups):
    """``(kind, note)`` of a column: None where it is left out."""
    pd = _pandas()
    there = column.dropna()
    n_values = there.nunique()
    if n_values < 2:
        return None, "has no more than one value and was left out."
    if pd.api.types.is_datetime64_any_dtype(column):
        return "date", None
    if pd.api.types.is_numeric_dtype(column):
        there = there.astype(float)
        is_counter = there.max() - there.min() + 1 == n_values == len(column)
        if is_counter and (there % 1 == 0).all():
            return None, "numbers the rows and was left out."
        return "number", None
    text = there.astype(str)
    if pd.to_numeric(text, errors="coerce").notna().mean() >= NUMERIC:
        return "number", "was read as numbers."
    if text.str.match(DATE).mean() >= NUMERIC:
        return "date", "was read as dates."
    if text.nunique() > 0.5 * len(column):
        return None, "differs from row to row, as names and free text do; left out."
    per_task = text.groupby(groups[text.index]).nunique()
    if (per_task == 1).all() and text.nunique() == groups.nunique():
        return None, "is another name of the task and was left out."
    if text.nunique() > MAX_VALUES:
        return "text", f"has {text.nunique()} values; the rarest count as one."
    return "text", None


def _typed(frame, kinds):
    """The columns of a table, each of the type of its kind."""
    pd = _pandas()
    absent = [name for name in kinds if name not in frame.columns]
    if absent:
        raise ValueError(f"The table has no column {absent}, which the tasks have.")
    typed = {}
    for name, kind in kinds.items():
        column = frame[name]
        if kind == "number":
            numbers = pd.to_numeric(column, errors="coerce").astype(float)
            typed[name] = numbers.replace([np.inf, -np.inf], np.nan)
        elif kind == "date":
            typed |= _date_parts(name, column)
        else:
            typed[name] = column.astype(object).where(column.notna(), "(none)").map(str)
    return pd.DataFrame(typed)


def _date_parts(name, column):
    """Of each date its day, counted on, and its month and weekday."""
    pd = _pandas()
    with warnings.catch_warnings():  # of formats that are guessed
        warnings.simplefilter("ignore", UserWarning)
        dates = pd.to_datetime(column, errors="coerce", format="mixed", utc=True)
    days = (dates - pd.Timestamp("2000-01-01", tz="UTC")) / pd.Timedelta(days=1)
    return {
        f"{name} (day)": days,
        f"{name} (month)": dates.dt.month.astype(float),
        f"{name} (weekday)": dates.dt.day_of_week.astype(float),
    }


def _transformer(typed):
    """What fills missing numbers, and makes a column of each value of a text."""
    numbers = list(typed.select_dtypes("number"))
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        max_categories=MAX_VALUES,
        sparse_output=False,
    )
    steps = [
        ("numbers", SimpleImputer(strategy="median", add_indicator=True), numbers),
        ("text", one_hot, [name for name in typed if name not in numbers]),
    ]
    return ColumnTransformer(
        [step for step in steps if step[-1]], verbose_feature_names_out=False
    ).set_output(transform="pandas")
