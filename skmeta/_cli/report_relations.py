"""What a report says of the relations between tasks."""

from html import escape

import numpy as np

from .._utils.drawing import MAX_LABELS
from ..inspection import TaskRelationDisplay
from .report_page import picture, small

RELATED = 0.1
"""A task is related to others from this share of its row on those that stand out."""

FAMILIAR = 0.1
"""If the median familiarity is lower, tasks are unrelated as a rule."""

N_DRAWN_TASKS = 60
"""Tasks whose relations are drawn, at most."""

N_LISTED = 10
"""Tasks whose familiarity is listed, at most."""

UNRELATED = (
    "No task is similar to another one in particular, only to all of them. A "
    "self-attention meta-learner that was meta-fitted on all tasks has for no task a "
    "tenth of its row of relations on tasks that stand out, each with more than an "
    "even share: a map of relations would show nothing."
)


def related_to_others(model, tasks):
    """Relations between the tasks that a model was meta-fitted on.

    The relation of a task to itself is left out, and the others are normalised to sum
    to 1 with that to no task.

    Returns
    -------
    relations : ndarray of shape (n_tasks, n_tasks)
    familiarity : ndarray of shape (n_tasks,)
        The sum of the relations of a task to the others.
    """
    where = {name: j for j, name in enumerate(model.task_names_)}
    relations = model.relations(tasks)
    relations = relations[:, [where[name] for name in tasks.names]]
    own = np.diagonal(relations).copy()
    np.fill_diagonal(relations, 0)
    others = relations / np.maximum(1 - own, 1e-9)[:, None]
    return others, np.minimum(others.sum(axis=1), 1)


def related(relations):
    """Which tasks are related to others, and to which.

    A task stands out in the row of another if it has more than an even share, from
    which a map of relations is dark. A task with at least `RELATED` of its row on tasks
    that stand out is related to others.

    Parameters
    ----------
    relations : ndarray of shape (n_tasks, n_tasks)

    Returns
    -------
    rows : ndarray of int
        The tasks that are related to others.
    columns : ndarray of int
        Those and the tasks that stand out in their rows.
    """
    stand_out = relations > 1 / len(relations)
    rows = np.flatnonzero((relations * stand_out).sum(axis=1) >= RELATED)
    return rows, np.union1d(rows, np.flatnonzero(stand_out[rows].any(axis=0)))


def relation_sections(relations, familiarity, tasks):
    """The sections on relations and familiarity, a list of (title, HTML)."""
    rows, columns = related(relations)
    if len(rows) == 0:
        return [("Similar tasks", f"<p>{UNRELATED}</p>")]
    return [
        ("Similar tasks", _map(relations, familiarity, tasks, rows, columns)),
        _listed(familiarity, tasks, rows),
    ]


def _map(relations, familiarity, tasks, rows, columns):
    drawn = np.linspace(0, len(rows) - 1, min(len(rows), N_DRAWN_TASKS)).astype(int)
    drawn = rows[drawn]
    display = TaskRelationDisplay(
        relations[np.ix_(drawn, columns)],
        [tasks.names[t] for t in columns],
        task_names=[tasks.names[t] for t in drawn],
    )
    width, height = (min(len(some), MAX_LABELS) for some in (columns, drawn))
    image = picture(
        lambda ax: display.plot(ax=ax),
        "Relations between tasks",
        (4 + 0.14 * width, 2.6 + 0.14 * height),
        2.6 + 0.1 * height,
    )
    some = f"the {len(rows):,} of {len(tasks):,} tasks that have"
    if len(rows) == len(tasks):
        some = f"all {len(tasks):,} tasks, which have"
    text = (
        "How related a task (row) is to each other one (column), by a self-attention "
        "meta-learner that was meta-fitted on all tasks. Shown are "
        f"{some} a tenth or more of their row on tasks that stand out, each with more "
        "than an even share. A row sums to the familiarity of its task, in the median "
        f"{np.median(familiarity):.2f}; the rest of 1 is the relation to no task."
    )
    if len(drawn) < len(rows):
        text += f" {len(drawn)} of the rows are drawn."
    return f"{image}\n{small(text)}"


def _listed(familiarity, tasks, rows):
    """The tasks that are an exception: the least familiar, or else the most."""
    text = "Familiarity is the probability that a task is similar to another one."
    if np.median(familiarity) < FAMILIAR:
        title, order = "The most familiar tasks", rows[_order(-familiarity[rows])]
        text += f" Half of the tasks or more have less than {FAMILIAR}."
    else:
        title, order = "The least familiar tasks", _order(familiarity)
    lines = "".join(
        f"<tr><td>{escape(str(tasks.names[t]))}</td><td>{familiarity[t]:.2f}</td>"
        f"<td>{len(tasks[t])}</td></tr>\n"
        for t in order[:N_LISTED].tolist()
    )
    head = "<tr><th>task</th><th>familiarity</th><th>rows</th></tr>"
    return title, f"<table>{head}\n{lines}</table>\n{small(text)}"


def _order(values):
    return np.argsort(values, kind="stable")
