"""`read_tasks`: from a table in a file to tasks, features and targets."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from sklearn.compose import ColumnTransformer

from ..tasks import TaskCollection
from ._cells import cells_of, is_mark, shown
from ._checks import (
    ReadingRules,
    check_columns,
    check_distinct,
    check_lists,
    check_names,
    check_target,
    checked_frame,
    exact_text,
)
from ._files import import_pandas, read_file
from ._readings import TableReadings, text_reading
from ._selection import fit_transformer, usefulness


@dataclass(frozen=True, eq=False)
class TaskTable:
    """Tasks read from a table, and how its columns were read.

    Attributes
    ----------
    tasks : TaskCollection
        Named by the cells of the task column.
    task, target : str
        Columns of the table.
    classes : bool
        Whether the target is a class label.
    readings : list of ColumnReading
        How the task, the target and each feature column are read, in the attributes
        ``name``, ``label`` and ``example``; ``str`` of each is a line.
    remarks : list of str
        What was left out, is missing, or is else worth knowing.
    rows : ndarray of int, shape (n_rows,)
        The rows of the file that are in the tasks, counted from 0: those with a target,
        in tasks of two rows or more.
    """

    tasks: TaskCollection
    task: str
    target: str
    classes: bool
    readings: list
    remarks: list
    rows: np.ndarray
    transformer: ColumnTransformer

    @property
    def kinds(self):
        """Types of the feature columns: name -> "number", "date" or "text"."""
        return {r.name: r.column_type for r in self.readings if r.use == "column"}

    @property
    def notes(self):
        """`remarks`, and a line for each reading."""
        return [*self.remarks, *map(str, self.readings)]

    def columns(self, frame):
        """Features of new rows, for a meta-learner.

        Each column is read as in the table, in the same format of numbers or dates. A
        column of a numeric or date type is taken as it is.

        Parameters
        ----------
        frame : pandas.DataFrame of shape (n_rows, ...)
            With the columns of `kinds`, in any order. Frames of polars and tables of
            pyarrow are taken as well.

        Returns
        -------
        X : pandas.DataFrame of shape (n_rows, n_features)
            Numbers that are missing are NaN, which every meta-learner takes.

        Raises
        ------
        TypeError
            If it is no frame.
        ValueError
            If it has no rows, a column is missing, or its cells have another type than
            those of the table, such as numbers in place of text.

        Warns
        -----
        UserWarning
            If text cannot be read as numbers or dates, and counts as missing.
        """
        frame = checked_frame(frame)
        absent = [name for name in self.kinds if name not in frame.columns]
        if absent:
            raise ValueError(f"The table has no column {absent}, which the tasks have.")
        made = {}
        for reading in self.readings:
            if reading.use == "column":
                values, unread = reading.read(_only(frame, reading.name))
                _warn_of(reading, unread, len(frame))
                made |= reading.features(values)
        return self.transformer.transform(import_pandas().DataFrame(made))

    def targets(self, frame):
        """Targets of new rows, for a meta-learner.

        Parameters
        ----------
        frame : pandas.DataFrame of shape (n_rows, ...)
            As in `columns`.

        Returns
        -------
        y : ndarray of shape (n_rows,)
            Numbers, or classes as text.

        Raises
        ------
        TypeError
            If it is no frame.
        ValueError
            If it has no rows, the target is absent, is missing in a row, or cannot be
            read as in the table.
        """
        frame = checked_frame(frame)
        if self.target not in frame.columns:
            raise ValueError(f"The table has no column {self.target!r}, the target.")
        (reading,) = (r for r in self.readings if r.use == "target")
        values, unread = reading.read(_only(frame, self.target))
        bad = unread[~is_mark(unread)]
        if len(bad):
            raise ValueError(
                f"The target {self.target!r} holds what is no number in {len(bad)} of "
                f"{len(frame)} rows, e.g. {shown(bad.iloc[0])}."
            )
        if n_missing := int(values.isna().sum()):
            raise ValueError(
                f"The target {self.target!r} is missing in {n_missing} of the rows. "
                "Leave them out."
            )
        return exact_text(values) if self.classes else values.to_numpy(float)


def read_tasks(
    path,
    *,
    task,
    target,
    classes=False,
    drop=(),
    text=(),
    number=(),
    day_first=None,
    decimal=None,
    thousands=None,
):
    """Read a table whose rows belong to tasks.

    `TaskTable.notes` say how each column was read, with an example.

    Parameters
    ----------
    path : str or Path
        A .csv, .tsv, .txt, .parquet or .feather file. The types of columns are those of
        parquet and feather files; in text files they are inferred from all values.
    task : str
        The column that says which task a row belongs to.
    target : str
        The column to predict.
    classes : bool, default=False
        Whether the target is a class label, in place of a number.
    drop : sequence of str, default=()
        Columns to leave out: identifiers of rows, or what is not yet known when a
        target is to be predicted.
    text : sequence of str, default=()
        Columns to take as text, one-hot encoded, whatever they hold.
    number : sequence of str, default=()
        Columns to read as numbers, even codes such as "007" and row numbers. What is no
        number is missing.
    day_first : bool, default=None
        Whether the day is before the month in dates such as 01/02/2021. None to infer
        it; a column that can be read in both ways is left out.
    decimal : {".", ","}, default=None
        The decimal mark of numbers in text. None to infer it.
    thousands : {".", ",", " ", "'"}, default=None
        The thousands separator. None to infer it.

    Returns
    -------
    table : TaskTable

    Raises
    ------
    ValueError
        If the file or a column is not valid, or the target can be read in two ways.
    ImportError
        If pandas is not installed, or pyarrow for parquet and feather.

    Examples
    --------
    >>> from importlib.resources import files
    >>> from skmeta.tables import read_tasks
    >>> path = files("skmeta.datasets") / "data" / "suzuki.csv.gz"
    >>> table = read_tasks(path, task="ligand", target="yield")
    >>> table.tasks
    TaskCollection(n_tasks=12, n_rows=5,760, n_features=23)
    >>> list(table.kinds)
    ['reactant_1', 'reactant_2', 'base', 'solvent']
    >>> print(table.notes[-1])
    'solvent' (text): 4 values, e.g. "CC#N.O"
    """
    check_names(task=task, target=target)
    check_lists(drop=drop, text=text, number=number)
    rules = ReadingRules(tuple(text), tuple(number), day_first, decimal, thousands)
    file = read_file(path)
    check_columns(file.frame, task, target, classes, drop, rules)
    frame = file.frame.drop(columns=list(drop))
    cells = {
        name: [some for some in cells_of(column) if len(some.values)]
        for name, column in frame.items()
    }
    of_task = text_reading(task, cells.pop(task), "task")
    if classes:
        of_target = text_reading(target, cells.pop(target), "target")
        readings = TableReadings(cells, file.separator, rules)
    else:
        readings = TableReadings(cells, file.separator, rules, target)
        of_target = readings.target_reading()
    groups, _ = of_task.read(frame[task])
    y, _ = of_target.read(frame[target])
    known, remarks = _usable_rows(groups, y)
    groups, y = groups[known], y[known]
    check_target(y, of_target, remarks)
    used, columns, more = _useful_columns(frame, readings, known, groups)
    remarks = [*file.notes, *remarks, *more]
    if not used:
        raise ValueError(
            f"Nothing to predict from: beside {task!r} and {target!r} no column is of "
            f"use. {' '.join(remarks)}".strip()
        )
    transformer = fit_transformer(columns)
    X = transformer.transform(columns)
    names = exact_text(groups)
    y = exact_text(y) if classes else y.to_numpy(float)
    tasks = TaskCollection.from_arrays(X, y, names)
    of_task = replace(of_task, example=f"{len(tasks)} tasks, e.g. {shown(names[0])}")
    return TaskTable(
        tasks, task, target, classes, [of_task, of_target, *used], remarks,
        np.flatnonzero(known), transformer,
    )  # fmt: skip


def _usable_rows(groups, y):
    """``(known, remarks)``: which rows have a target and a task of two rows or more."""
    task, target = groups.name, y.name
    known, remarks = groups.notna() & y.notna(), []
    if not known.all():
        remarks.append(
            f"{(~known).sum()} of {len(y)} rows without {task!r} or {target!r} "
            "were left out."
        )
    if not known.any():
        raise ValueError(f"No row has both {task!r} and {target!r}.")
    counts = groups[known].value_counts(sort=False)
    single = counts[counts < 2].index
    if len(single) == len(counts):
        raise ValueError(
            f"Every row has a {task!r} of its own, so that no task has more than one "
            "row. Name the column that many rows share."
        )
    if len(single):
        remarks.append(
            f"{len(single)} of {len(counts)} tasks have one row alone and were left "
            f"out, e.g. {shown(single[0])}."
        )
    return known & ~groups.isin(single), remarks


def _useful_columns(frame, readings, known, groups):
    """``(used, columns, remarks)``: readings, the features made by them, remarks."""
    used, columns, remarks, n_missing = [], {}, [], 0
    for name in readings.names:
        reading, hint = readings.reading(name)
        if isinstance(reading, str):
            remarks.append(f"{name!r} was left out: it {reading.rstrip('.')}.")
            continue
        values, _ = reading.read(frame[name])
        forced = name in (*readings.rules.text, *readings.rules.number)
        why_not, note = usefulness(reading, values, known, groups, forced)
        if why_not:
            remarks.append(f"{name!r} {why_not} {hint}".strip())
            continue
        if hint:
            remarks.append(f"{name!r} was taken as text. {hint}")
        if note:
            remarks.append(f"{name!r} {note}")
        used.append(reading)
        made = reading.features(values[known])
        check_distinct([*columns, *made])
        columns |= made
        n_missing += int(values[known].isna().sum())
    if n_missing:
        remarks.append(
            f"{n_missing} values are missing. The meta-learner takes them as they are, "
            "its rivals what an imputer fills in; of text, none is a value of its own."
        )
    return used, import_pandas().DataFrame(columns), remarks


def _only(frame, name):
    """The column of a name."""
    column = frame[name]
    if column.ndim > 1:
        raise ValueError(f"The table has {column.shape[1]} columns {name!r}.")
    return column


def _warn_of(reading, unread, n_rows):
    """Warn of text that could not be read, except for marks of missing values."""
    unread = unread[~is_mark(unread)]
    if len(unread):
        warnings.warn(
            f"{reading.name!r}: {len(unread)} of {n_rows} values are no "
            f"{reading.column_type}, e.g. {shown(unread.iloc[0])}, and are taken as "
            "missing.",
            UserWarning,
            stacklevel=3,
        )
