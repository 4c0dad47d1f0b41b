"""A comparison as one HTML page that needs nothing else."""

from html import escape

import numpy as np

from .._version import __version__
from ..inspection import FeatureAttentionDisplay
from ..inspection._attention import feature_attention
from ..model_selection._comparison_text import (
    MEANING,
    MEASURES,
    findings,
    growth,
    verdict,
)
from .report_page import PAGE, counted, items, picture, small, style
from .report_relations import FAMILIAR, related_to_others, relation_sections

N_DRAWN_TASKS = 60
"""Tasks whose feature attention is drawn, at most."""


def write_report(path, comparison, model, table, lines, name):
    """Write the page.

    Parameters
    ----------
    path : str or Path
    comparison : Comparison
    model : SelfAttentionMetaRegressor or SelfAttentionMetaClassifier
        Meta-fitted on the tasks of the table.
    table : TaskTable
    lines : str
        The Python that does the same.
    name : str
        Of the file that the table was read from.
    """
    tasks = table.tasks
    relations, familiarity = related_to_others(model, tasks)
    shown = np.linspace(0, len(tasks) - 1, min(len(tasks), N_DRAWN_TASKS)).astype(int)
    sections = [
        ("Scores", _scores(comparison)),
        ("What was found", items(findings(comparison).values())),
        *relation_sections(relations, familiarity, tasks),
        ("Columns that matter", _features(model, tasks[shown])),
        ("What to do next", items(advice(comparison, familiarity, tasks))),
        ("The table", items(_about(table))),
        ("The same in Python", f"<pre>{escape(lines)}</pre>"),
    ]
    page = PAGE.format(
        title=escape(f"Is meta-learning worth it to predict {table.target}?"),
        subtitle=escape(
            f"{name}: {counted(len(tasks), 'task')} by {table.task}, "
            f"{counted(len(tasks.y), 'row')}, {counted(tasks.n_features, 'column')} "
            "to predict from"
        ),
        style=style(len(comparison.n_support)),
        verdict=escape(verdict(comparison)),
        sections="\n".join(f"<h2>{title}</h2>\n{body}" for title, body in sections),
        version=__version__,
    )
    with open(path, "w", encoding="utf-8", errors="replace") as file:
        file.write(page)


def advice(comparison, familiarity, tasks):
    """What to do next, a list of sentences."""
    ours, best = comparison.judged, comparison.recommended
    steps = []
    if comparison.worth_it:
        steps.append(
            f"Use {ours}: meta-fit it on all tasks once, then fit it to the few "
            "labelled rows of each new task, as in the Python lines below."
        )
    elif best in comparison.alone:
        steps.append(f"Learn each task on its own: {best} is the best of what is here.")
    else:
        steps.append(
            f"Use {best}, which is simpler and as good here: "
            f"{comparison.recipes[best]} of skmeta.baselines, which skmeta.meta_fit "
            "meta-fits, with the same fit and predict."
        )
    if growth(comparison.growth_curves())[1] == "yes":
        steps.append("Collect more tasks: the scores still rise with their number.")
    if len(tasks) < 50:
        steps.append(
            f"Come back with more tasks: with {len(tasks)} the intervals are wide."
        )
    if np.median(familiarity) < FAMILIAR:
        steps.append(
            "Read nothing into which tasks are alike, those aside that are familiar: "
            "most are like no other in particular, only like all of them."
        )
    elif np.min(familiarity) < 0.5:
        steps.append(
            "Label more rows of the tasks that are least familiar before you rely on "
            "predictions for them: little is known from others."
        )
    if not comparison.worth_it and any(
        r.finding == "unclear" for r in comparison.summary()
    ):
        steps.append("Where it is unclear, more tasks to score on would tell.")
    return steps


def _scores(comparison):
    def draw(ax):
        comparison.plot(ax=ax).ax_.set_xlabel("labelled rows of a new task (K)")

    curve = picture(draw, "Scores against the number of labelled rows", (7.6, 4.8), 4)
    text = f"{MEASURES[comparison.measure]}; in brackets the 95% interval over tasks."
    return f"{curve}\n{_table(comparison)}\n{small(text)}"


def _table(comparison):
    rows = comparison.summary()
    heads = [f"K = {row.n_support}" for row in rows]
    gains = [f"{r.gain:+.3f} [{r.low:+.3f}, {r.high:+.3f}]" for r in rows]
    lines = [
        *((name, curve.cells()) for name, curve in comparison.curves.items()),
        ("gain over the best rival", gains),
        ("which is", [MEANING[row.finding] for row in rows]),
    ]
    head = "".join(f"<th>{text}</th>" for text in ["", *heads])
    table = f"<tr>{head}</tr>\n"
    for name, cells in lines:
        judged = ' class="judged"' if name == comparison.judged else ""
        row = "".join(
            f'<td data-k="{k}">{_broken(cell)}</td>'
            for k, cell in zip(heads, cells, strict=True)
        )
        table += f"<tr{judged}><td>{escape(name)}</td>{row}</tr>\n"
    return f'<div class="scores"><table>{table}</table></div>'


def _broken(cell):
    """A cell with its interval on a line of its own."""
    return escape(cell).replace(" [", "<br>[")


def _features(model, tasks):
    if tasks.n_features == 1:
        return "<p>There is one column, and so nothing to weigh it against.</p>"
    n_bars = min(tasks.n_features, 20)
    display = FeatureAttentionDisplay(
        feature_attention(model, tasks), model.feature_names_in_
    )
    height = 1.4 + 0.3 * n_bars
    image = picture(
        lambda ax: display.plot(n_bars=n_bars, ax=ax),
        "Attention to columns",
        (7, height),
        height,
    )
    text = (
        "How much each column matters within tasks, beyond what the same prediction "
        "for all tasks says; the lines are the middle 80% of tasks."
    )
    return f"{image}\n{small(text)}"


def _about(table):
    how = (
        "Dates are columns of their days, counted from 2000 on, of their month and "
        "their weekday (from 0, Monday); values of text are columns, as learned from "
        "all rows, targets aside."
    )
    return [*map(str, table.readings), *table.remarks, how]
