"""Tasks from a table in a file, whatever its columns hold.

Numbers are kept, and missing ones stay missing; dates become numbers; other columns
become one column for each of their values. What tells rows apart, and nothing else, is
left out. Values are learned from all rows of the table, targets aside.
"""

from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from sklearn.compose import ColumnTransformer

from ._table_columns import kind_of, make_transformer, numbers_rows, typed_columns
from ._table_files import import_pandas, read_table
from .tasks import TaskCollection

__all__ = ["TaskTable", "read_table", "read_tasks"]


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
        What was left out, missing or converted.
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
            Numbers that are missing are NaN, which every meta-learner takes.
        """
        return self.transformer.transform(typed_columns(frame, self.kinds))

    def targets(self, frame):
        """Targets of rows of a table of the same kind, for a meta-learner.

        Parameters
        ----------
        frame : pandas.DataFrame of shape (n_rows, ...)

        Returns
        -------
        y : ndarray of shape (n_rows,)
            Numbers, or classes as text.

        Raises
        ------
        ValueError
            If the target is not there, or is missing in a row.
        """
        if self.target not in frame.columns:
            raise ValueError(f"The table has no column {self.target!r}, the target.")
        return _values(frame[self.target], self.classes)


def read_tasks(path, *, task, target, classes=False, drop=()):
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
    drop : sequence of str, default=()
        Columns to leave out: what names the rows, or what nobody knows yet where a
        target is to be predicted.

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
    >>> from importlib.resources import files
    >>> from skmeta.tables import read_tasks
    >>> path = files("skmeta") / "data" / "suzuki.csv.gz"
    >>> table = read_tasks(path, task="ligand", target="yield")
    >>> table.tasks
    TaskCollection(n_tasks=12, n_rows=5,760, n_features=23)
    >>> list(table.kinds)
    ['reactant_1', 'reactant_2', 'base', 'solvent']
    """
    frame = read_table(path)
    _check_columns(frame, task, target, drop)
    frame = frame.drop(columns=list(drop))
    counters = [
        name for name in frame.drop(columns=[task, target]) if numbers_rows(frame[name])
    ]
    notes = []
    known = frame[task].notna() & frame[target].notna()
    if not known.all():
        notes.append(
            f"{(~known).sum()} of {len(frame)} rows without {task!r} or {target!r} "
            "were left out."
        )
        frame = frame[known]
    notes += [f"{name!r} numbers the rows and was left out." for name in counters]
    y = _target(frame[target], classes)
    groups = _task_names(frame[task])
    if groups.is_unique:
        raise ValueError(
            f"Every row has a {task!r} of its own, so that no task has more than one "
            "row. Name the column that many rows share."
        )
    candidates = frame.drop(columns=[task, target, *counters])
    kinds = {}
    for name, column in candidates.items():
        kind, note = kind_of(column, groups)
        if note:
            notes.append(f"{name!r} {note}")
        if kind:
            kinds[name] = kind
    if not kinds:
        raise ValueError(
            f"Nothing to predict from: beside {task!r} and {target!r} no column is of "
            f"use. {' '.join(notes)}".strip()
        )
    typed = typed_columns(candidates, kinds)
    n_missing = int(candidates[list(kinds)].isna().to_numpy().sum())
    if n_missing:
        notes.append(
            f"{n_missing} values are missing. The meta-learner takes them as they are, "
            "its rivals what an imputer fills in; of text, none is a value of its own."
        )
    transformer = make_transformer(typed).fit(typed)
    X = transformer.transform(typed)
    tasks = TaskCollection.from_arrays(X, y, groups.to_numpy(dtype=str))
    return TaskTable(tasks, task, target, classes, kinds, notes, transformer)


def _check_columns(frame, task, target, drop):
    if isinstance(drop, str):
        raise ValueError(f"drop={drop!r} is one name. Give a list: drop=[{drop!r}].")
    used = [("for the task", task), ("for the target", target)]
    for use, name in used + [("to drop", name) for name in drop]:
        if name in frame.columns:
            continue
        lowered = {str(c).lower(): c for c in frame.columns}
        near = get_close_matches(name.lower(), lowered, n=3, cutoff=0.6)
        near = [n for n in near if n == name.lower()] or near
        hint = " or ".join(repr(lowered[n]) for n in near)
        columns = ", ".join(map(repr, frame.columns[:20]))
        more = ", ..." if len(frame.columns) > 20 else ""
        raise ValueError(
            f"There is no column {name!r} {use}."
            + (f" Did you mean {hint}?" if hint else f" There are {columns}{more}.")
        )
    if task == target:
        raise ValueError(f"The task and the target are the same column, {task!r}.")
    for use, name in used:
        if name in drop:
            raise ValueError(f"The column {name!r} is {use}, and cannot be dropped.")


def _target(column, classes):
    """Targets (n_rows,) that can be predicted: labels as text, or numbers."""
    n_values = column.nunique()
    if n_values < 2:
        only = f": {column.iloc[0]}" if len(column) else ""
        raise ValueError(f"The target {column.name!r} never changes{only}.")
    is_number = import_pandas().api.types.is_numeric_dtype(column)
    if classes and n_values > (0.1 if is_number else 0.5) * len(column):
        raise ValueError(
            f"The target {column.name!r} has {n_values} values in {len(column)} rows, "
            "too many to be classes. Leave out --classes to predict a number."
        )
    return _values(column, classes)


def _values(column, classes):
    pd = import_pandas()
    if n_missing := int(column.isna().sum()):
        raise ValueError(
            f"The target {column.name!r} is missing in {n_missing} of the rows. Leave "
            "them out."
        )
    if classes:
        return _labels(column)
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    bad = column[~np.isfinite(numbers)]
    if pd.api.types.is_bool_dtype(column):
        bad = column
    if len(bad):
        raise ValueError(
            f"The target {column.name!r} holds what is no number, {bad.iloc[0]!r} say. "
            "Write numbers without separators of thousands, units or signs. If it is a "
            "class, add --classes (classes=True in Python)."
        )
    return numbers.to_numpy()


def _labels(column):
    """Values as text, whole numbers without a decimal point: (n_rows,)."""
    numbers = import_pandas().to_numeric(column, errors="coerce")
    if numbers.notna().all() and (numbers % 1 == 0).all():
        column = numbers.astype("int64")
    return column.astype(str).to_numpy(dtype=str)


def _task_names(column):
    pd = import_pandas()
    return pd.Series(_labels(column), index=column.index)
