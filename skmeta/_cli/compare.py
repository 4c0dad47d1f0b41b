"""``python -m skmeta compare``: is meta-learning worth it on your own table?"""

import argparse
import sys
from pathlib import Path

from .._estimators.self_attention import (
    SelfAttentionMetaClassifier,
    SelfAttentionMetaRegressor,
)
from ..model_selection import compare
from ..model_selection._compare_inputs import MIN_TASKS
from ..tables import read_tasks
from .arguments import replace_unencodable, seed_number, writable_path
from .report import write_report
from .report_page import START, counted

MAX_WIDTH, MAX_LINE = 30, 60
"""Characters of a name in a table that is printed, and of arguments on one line."""

INTERRUPTED = 130
"""Exit status of a program that Ctrl-C has ended, by convention."""

N_ROWS = 5
"""Rows of the table that stand for labelled ones of a new task."""

READING = ("task", "target", "classes", "drop", "text", "number", "day_first",
           "decimal", "thousands")  # fmt: skip
"""Options that are arguments of `read_tasks`."""

LINES = """\
from skmeta import {learner}
from skmeta.model_selection import compare
from skmeta.tables import read_table, read_tasks

table = read_tasks({arguments})
comparison = compare(
    None, table.tasks, n_support={shots}, n_jobs=-1, random_state={seed}
)
print(comparison)
comparison.plot()

model = {learner}(random_state={seed}).meta_fit(table.tasks)
rows = read_table({path!r}).iloc[table.rows[-{n_rows}:]]  # stand for a new task
model.fit(table.columns(rows), table.targets(rows))
model.predict(table.columns(rows))
"""


def main(arguments):
    """Compare on the table of a file, print what was found and write a report.

    Parameters
    ----------
    arguments : list of str
        Those after ``compare``.

    Raises
    ------
    SystemExit
        With status 2 where the arguments or the table are not what they have to be.
    """
    replace_unencodable()
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        _compare(options)
    except KeyboardInterrupt:
        print("\nStopped. No report was written.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except (ValueError, ImportError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        sys.exit(2)


def _compare(options):
    check_out(options.out, options.table)
    reading = {name: getattr(options, name) for name in READING}
    table = read_tasks(options.table, **reading)
    tasks = table.tasks
    print(
        f"{len(tasks):,} tasks, {len(tasks.y):,} rows, "
        f"{counted(tasks.n_features, 'feature')} from "
        f"{counted(len(table.kinds), 'column')}:"
    )
    print(described(table), flush=True)
    if len(tasks) < MIN_TASKS:
        raise ValueError(
            f"{options.task!r} makes {counted(len(tasks), 'task')} of two rows or "
            f"more. A comparison needs at least {MIN_TASKS}, to meta-fit on some and "
            "score on others; 50 or more are better."
        )
    comparison = compare(
        None,
        tasks,
        n_support=options.shots,
        n_jobs=options.jobs,
        random_state=options.seed,
        verbose=1,
    )
    fit_time = comparison.fit_time[comparison.candidate]
    print(
        f"\n{comparison}\n\nMeta-training on all tasks for their relations; on two "
        f"thirds of them it took {fit_time:.0f} s ...",
        flush=True,
    )
    kinds = SelfAttentionMetaRegressor, SelfAttentionMetaClassifier
    model = kinds[options.classes](random_state=options.seed).meta_fit(tasks)
    lines = LINES.format(
        learner=f"AttentionMeta{'Classifier' if options.classes else 'Regressor'}",
        path=str(options.table),
        arguments=read_arguments(options.table, reading),
        shots=comparison.n_support,
        n_rows=N_ROWS,
        seed=options.seed,
    )
    write_report(options.out, comparison, model, table, lines, options.table.name)
    print(f"Report: {options.out}")


def check_out(out, table):
    """Check that a report written to a path replaces at most another report.

    Raises
    ------
    ValueError
        If the table, or another file that is not a report, is there.
    """
    if not out.is_file():
        return
    if table.exists() and out.samefile(table):
        raise ValueError(
            f"--out {str(out)!r} is the table itself, which the report would replace. "
            "Name another file."
        )
    with open(out, "rb") as file:
        if file.read(len(START)) != START.encode():
            raise ValueError(
                f"--out {str(out)!r} is there already, and is no report that could be "
                "replaced. Name another file, or delete it."
            )


def described(table):
    """How a table was read, a line for each of its columns, and what was left out."""
    rows = [(str(r.name), r.label, r.example) for r in table.readings]
    wide = [min(max(len(row[j]) for row in rows), MAX_WIDTH) for j in range(2)]
    lines = [
        f"{name:<{wide[0]}}  {label:<{wide[1]}}  {how}" for name, label, how in rows
    ]
    return "".join(f"  {line}\n" for line in [*lines, *table.remarks])


def read_arguments(path, reading):
    """Arguments of `read_tasks` as Python, without those that are the default."""
    default = {"classes": False, "drop": [], "text": [], "number": []}
    given = [repr(str(path))]
    for name, value in reading.items():
        if value != default.get(name):
            given.append(f"{name}={value!r}")
    line = ", ".join(given)
    return line if len(line) <= MAX_LINE else "\n    " + ",\n    ".join(given) + ",\n"


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m skmeta compare",
        description=(
            "Find out whether meta-learning is worth it on a table: from how few "
            "labelled rows of a task it predicts better than simpler methods, and by "
            "how much. Takes some minutes on two cores."
        ),
    )
    add = parser.add_argument
    add("table", type=Path, help="a .csv, .tsv, .parquet or .feather file")
    column = {"required": True, "metavar": "COLUMN"}
    add("--task", **column, help="the column that identifies the task of each row")
    add("--target", **column, help="the column to predict")
    add("--classes", action="store_true", help="the target is a class, not a number")
    add(
        "--drop",
        **COLUMNS,
        help="a column to exclude, such as one that is unknown at prediction time; may "
        "be repeated",
    )
    _add_reading(parser)
    add(
        "--shots",
        type=shot_numbers,
        metavar="K,K,...",
        help="numbers of support rows (default: those of 3, 5, 10 and 20 that half of "
        "the tasks have)",
    )
    add(
        "--out",
        type=writable_path,
        default=Path("skmeta-report.html"),
        metavar="PATH",
        help="where to write the report (default: %(default)s)",
    )
    add(
        "--jobs",
        type=int,
        default=-1,
        metavar="N",
        help="number of processes (default: one per core)",
    )
    add(
        "--seed",
        type=seed_number,
        default=0,
        help="splits the tasks and draws the rows (default: %(default)s)",
    )
    return parser


COLUMNS = {"action": "append", "default": [], "metavar": "COLUMN"}
"""An option that names a column, and may be repeated."""


def _add_reading(parser):
    """Options that overrule how a column is read."""
    add = parser.add_argument_group(
        "how columns are read",
        "Each column is read in one way, which is printed with an example. Ambiguous "
        "columns are left out; an ambiguous target ends the run.",
    ).add_argument
    add(
        "--text",
        **COLUMNS,
        help="a column to read as text, a category, whatever it holds; may be repeated",
    )
    add(
        "--number",
        **COLUMNS,
        help="a column to read as numbers, also codes such as 007; other cells are "
        "missing; may be repeated",
    )
    add(
        "--day-first",
        action=argparse.BooleanOptionalAction,
        help="01/02/2021 is 1 February, or January 2",
    )
    add("--decimal", metavar="MARK", help="the decimal mark of numbers: . or ,")
    add(
        "--thousands",
        metavar="MARK",
        help="the thousands separator: . or , or a space or '",
    )


def shot_numbers(text):
    """Numbers of support rows between commas, for argparse."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of whole numbers above 0, such as 3,5,10"
        )
    shots = tuple(sorted({int(part) for part in parts}))
    if len(shots) < len(parts):
        raise argparse.ArgumentTypeError(f"{text!r} holds a number twice")
    return shots
