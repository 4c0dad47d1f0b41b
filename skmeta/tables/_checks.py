"""Checks of the arguments of `read_tasks`, and of the target that was read."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches

from ._cells import shown, tally
from ._files import UNNAMED, frame_of, import_pandas
from ._number_survey import NumberSurvey
from ._numbers import DECIMALS, MOST, THOUSANDS
from ._widths import HEADER


@dataclass(frozen=True)
class ReadingRules:
    """How the user sets columns to be read; see the parameters of `read_tasks`."""

    text: tuple = ()
    number: tuple = ()
    day_first: bool | None = None
    decimal: str | None = None
    thousands: str | None = None

    def __post_init__(self):
        for name, mark, known in (
            ("decimal", self.decimal, DECIMALS),
            ("thousands", self.thousands, THOUSANDS),
        ):
            if mark is not None and mark not in known:
                raise ValueError(
                    f"{name}={mark!r} has to be one of the marks "
                    f"{', '.join(map(repr, known))}."
                )
        if self.decimal and self.decimal == self.thousands:
            raise ValueError(
                f"decimal={self.decimal!r} and thousands={self.thousands!r} are the "
                "same mark."
            )
        if self.day_first not in (None, True, False):
            raise ValueError(
                f"day_first={self.day_first!r} has to be True, False or None."
            )


def check_names(**names):
    """Raise unless names of columns are text."""
    for option, given in names.items():
        if not isinstance(given, str):
            raise TypeError(
                f"{option}={given!r} has to be the name of a column, a str."
            )


def check_lists(**names):
    """Raise unless names of columns are in lists, and none in two of them."""
    for option, given in names.items():
        if isinstance(given, str):
            raise ValueError(
                f"{option}={given!r} is one name. Give a list: {option}=[{given!r}]."
            )
        if not isinstance(given, Collection) or not all(
            isinstance(n, str) for n in given
        ):
            raise TypeError(
                f"{option}={given!r} has to be a list of names of columns, each a str; "
                f"{option}=[] names none."
            )
    count = Counter(name for given in names.values() for name in set(given))
    for name, n_lists in count.items():
        if n_lists > 1:
            where = " and ".join(o for o, given in names.items() if name in given)
            raise ValueError(f"The column {name!r} is in {where}. It can be in one.")


def check_columns(frame, task, target, classes, drop, rules):
    """Raise unless the named columns exist, and can be used as asked for."""
    if frame.shape[1] < 2:
        raise ValueError(
            f"The table has one column alone, {frame.columns[0]!r}. In text files, "
            "fields are read between commas, semicolons or tabs."
        )
    used = [("for the task", task), ("for the target", target)]
    lists = (("to drop", drop), ("to take as text", rules.text),
             ("to read as numbers", rules.number))  # fmt: skip
    for use, name in used + [(use, name) for use, names in lists for name in names]:
        if name not in frame.columns:
            raise ValueError(_absent(name, use, list(frame.columns)))
    if task == target:
        raise ValueError(f"The task and the target are the same column, {task!r}.")
    for use, name in used:
        if name in drop:
            raise ValueError(f"The column {name!r} is {use}, and cannot be dropped.")
    if task in (*rules.text, *rules.number):
        raise ValueError(f"The column {task!r} is for the task, which is always text.")
    if target in rules.text:
        raise ValueError(
            f"The column {target!r} is for the target, and cannot be taken as text. If "
            "it is a class, add --classes (classes=True in Python)."
        )
    if classes and target in rules.number:
        raise ValueError(f"The column {target!r} is for classes, which are text.")


def _absent(name, use, columns):
    lowered = {c.lower(): c for c in columns}
    near = get_close_matches(name.lower(), lowered, n=3, cutoff=0.6)
    near = [n for n in near if n == name.lower()] or near
    hint = " or ".join(repr(lowered[n]) for n in near)
    if 2 * sum(c.startswith(UNNAMED) for c in columns) >= len(columns):
        return f"There is no column {name!r} {use}. {HEADER}"
    there = ", ".join(map(repr, columns[:20])) + (", ..." if len(columns) > 20 else "")
    said = f"Did you mean {hint}?" if hint else f"There are {there}."
    return f"There is no column {name!r} {use}. {said}"


def checked_frame(frame):
    """Rows of a table as a pandas DataFrame, from that of any library; not empty."""
    if not isinstance(frame, import_pandas().DataFrame):
        if not all(hasattr(frame, it) for it in ("__arrow_c_stream__", "columns")):
            raise TypeError(
                f"Rows of a table have to be a DataFrame, as read_table gives it: got "
                f"{type(frame).__name__}."
            )
        frame = frame_of(frame)
    if not len(frame):
        raise ValueError("The frame has no rows.")
    return frame


def check_target(y, reading, remarks):
    """Raise unless targets (n_rows,) vary, and classes are few.

    ``remarks`` are added to the message.
    """
    n_values = y.nunique()
    if n_values < 2:
        said = f"The target {y.name!r} never changes: {shown(y.iloc[0])}."
        raise ValueError(" ".join([said, *remarks]))
    if reading.column_type == "number":
        return
    is_number = reading.source == "number"
    if reading.source == "text":
        survey = NumberSurvey(tally(y))
        is_number = survey.share >= MOST and not survey.code
    if n_values > (0.1 if is_number else 0.5) * len(y):
        raise ValueError(
            f"The target {y.name!r} has {n_values} values in {len(y)} rows, "
            "too many to be classes. Leave out --classes to predict a number."
        )


def exact_text(values):
    """Text (n_values,) as a numpy array; raise if numpy cannot hold it exactly."""
    text = values.to_numpy(dtype=str)
    lost = text != values.to_numpy(dtype=object)
    if lost.any():
        raise ValueError(
            f"{values.name!r} holds text that ends in a null character, "
            f"e.g. {shown(values[lost].iloc[0])!r}. Take it off."
        )
    return text


def check_distinct(names):
    """Raise if two features made of a table have the same name."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(
            f"Two columns that are made of the table would be called {twice[0]!r}. "
            "Rename or drop one of those that they are made of."
        )
