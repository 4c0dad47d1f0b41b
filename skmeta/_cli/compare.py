"""``python -m skmeta compare``: is meta-learning worth it on a table of yours?"""

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
from .demo import replace_what_cannot_be_shown, seed_number, writable_path
from .report import write_report
from .report_page import START, counted

MAX_WIDTH, MAX_LINE = 30, 60
"""Characters of a name in a table that is printed, and of arguments on one line."""

INTERRUPTED = 130
"""Exit status of a program that Ctrl-C has ended, by convention."""

N_ROWS = 5
"""Of the table, that stand for labelled ones of a new task."""

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
    replace_what_cannot_be_shown()
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
    how = {
        "task": options.task,
        "target": options.target,
        "classes": options.classes,
        "drop": options.drop,
        "text": options.text,
        "number": options.number,
        "day_first": options.day_first,
        "decimal": options.decimal,
        "thousands": options.thousands,
    }
    table = read_tasks(options.table, **how)
    tasks = table.tasks
    print(
        f"{len(tasks):,} tasks, {len(tasks.y):,} rows, {tasks.n_features} columns to "
        f"predict from, made of {len(table.kinds)}:"
    )
    print(described(table), flush=True)
    if len(tasks) < MIN_TASKS:
        raise ValueError(
            f"{options.task!r} makes {counted(len(tasks), 'task')} of two rows or "
            f"more. It takes {MIN_TASKS} to learn from some and compare on others, "
            "better 50."
        )
    comparison = compare(
        None,
        tasks,
        n_support=options.shots,
        n_jobs=options.jobs,
        random_state=options.seed,
        verbose=1,
    )
    print(
        f"\n{comparison}\n\nRelating the tasks to one another, by meta-training on all "
        f"of them; on two thirds it took {comparison.seconds[comparison.judged]:.0f} s "
        "...",
        flush=True,
    )
    kinds = SelfAttentionMetaRegressor, SelfAttentionMetaClassifier
    model = kinds[options.classes](random_state=options.seed).meta_fit(tasks)
    lines = LINES.format(
        learner=f"AttentionMeta{'Classifier' if options.classes else 'Regressor'}",
        path=str(options.table),
        arguments=read_arguments(options.table, how),
        shots=comparison.n_support,
        n_rows=N_ROWS,
        seed=options.seed,
    )
    write_report(options.out, comparison, model, table, lines, options.table.name)
    print(f"Report: {options.out}")


def check_out(out, table):
    """Whether a report can be written to a path without the loss of another file.

    Raises
    ------
    ValueError
        If the table or another file that is no report is there.
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


def read_arguments(path, how):
    """Arguments of `read_tasks` as Python, those aside that are as by default."""
    default = {"classes": False, "drop": [], "text": [], "number": []}
    said = [repr(str(path))]
    for name, value in how.items():
        if value != default.get(name):
            said.append(f"{name}={value!r}")
    line = ", ".join(said)
    return line if len(line) <= MAX_LINE else "\n    " + ",\n    ".join(said) + ",\n"


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m skmeta compare",
        description=(
            "Find out whether meta-learning is worth it on a table: from how few "
            "labelled rows of a task it predicts better than what is simpler, and by "
            "how much. Takes some minutes on two cores."
        ),
    )
    parser.add_argument(
        "table", type=Path, help="a .csv, .tsv, .parquet or .feather file"
    )
    parser.add_argument(
        "--task",
        required=True,
        metavar="COLUMN",
        help="the column that says which task a row belongs to",
    )
    parser.add_argument(
        "--target", required=True, metavar="COLUMN", help="the column to predict"
    )
    parser.add_argument(
        "--classes", action="store_true", help="the target is a class, not a number"
    )
    parser.add_argument(
        "--drop",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column to leave out, such as one that nobody knows yet when the target "
        "is to be predicted; may be given again",
    )
    _add_rules(parser)
    parser.add_argument(
        "--shots",
        type=shot_numbers,
        metavar="K,K,...",
        help="numbers of labelled rows to compare at (default: those of 3, 5, 10 and "
        "20 that half of the tasks have)",
    )
    parser.add_argument(
        "--out",
        type=writable_path,
        default=Path("skmeta-report.html"),
        metavar="PATH",
        help="where to write the report (default: %(default)s)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=-1,
        metavar="N",
        help="processes to run at once (default: one a core)",
    )
    parser.add_argument(
        "--seed",
        type=seed_number,
        default=0,
        help="splits the tasks and draws the rows (default: %(default)s)",
    )
    return parser


def _add_rules(parser):
    """Options that overrule how a column is read."""
    rules = parser.add_argument_group(
        "how columns are read",
        "Each column is read in one way, which is printed with an example. What cannot "
        "be read for certain is left out, or ends the run if it is the target.",
    )
    rules.add_argument(
        "--text",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column to take as text, a category, whatever it holds; may be given "
        "again",
    )
    rules.add_argument(
        "--number",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column to read as numbers, codes such as 007 too; what is none is "
        "missing; may be given again",
    )
    rules.add_argument(
        "--day-first",
        action=argparse.BooleanOptionalAction,
        help="01/02/2021 is 1 February, or January 2",
    )
    rules.add_argument(
        "--decimal", metavar="MARK", help="the decimal mark of numbers: . or ,"
    )
    rules.add_argument(
        "--thousands",
        metavar="MARK",
        help="the mark of thousands: . or , or a space or '",
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
