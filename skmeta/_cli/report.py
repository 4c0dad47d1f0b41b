"""A comparison as one HTML page that needs nothing else."""

from html import escape

import numpy as np

from ..inspection import FeatureAttentionDisplay
from ..inspection._attention import feature_attention
from ..model_selection._comparison_text import (
    explain_scores,
    findings,
    more_tasks_help,
    score_rows,
    verdict,
)
from .report_page import counted, items, page, picture, small
from .report_relations import FAMILIAR, related_to_others, relation_sections

N_DRAWN_TASKS = 60
"""Tasks whose feature attention is drawn, at most."""

FEATURES = (
    "Dates are features of their days, counted from 2000 on, of their month and their "
    "weekday (from 0, Monday); values of text are features, as learned from all rows "
    "without their targets."
)


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
    about = [*map(str, table.readings), *table.remarks, FEATURES]
    text = page(
        f"Is meta-learning worth it to predict {table.target}?",
        f"{name}: {counted(len(tasks), 'task')} by {table.task}, "
        f"{counted(len(tasks.y), 'row')}, {counted(tasks.n_features, 'feature')}",
        verdict(comparison),
        [
            ("Scores", _scores(comparison)),
            ("Findings", items(findings(comparison))),
            *relation_sections(relations, familiarity, tasks),
            ("Feature attention", _features(model, tasks[shown])),
            ("Next steps", items(advice(comparison, familiarity, tasks))),
            ("The table", items(about)),
            ("The same in Python", f"<pre>{escape(lines)}</pre>"),
        ],
        len(comparison.n_support),
    )
    with open(path, "w", encoding="utf-8", errors="replace") as file:
        file.write(text)


def advice(comparison, familiarity, tasks):
    """What to do next, a list of sentences."""
    best, steps = comparison.recommended, []
    if comparison.worth_it:
        steps.append(
            f"Use {best}: meta-fit it on all tasks once, then fit it to the few "
            "labelled rows of each new task, as in the Python lines below."
        )
    elif best in comparison.per_task:
        steps.append(f"Fit each task separately: {best} is the best of the rivals.")
    else:
        steps.append(
            f"Use {best}, which is simpler and as good here: "
            f"{comparison.estimator_reprs[best]} of skmeta.baselines, which "
            "skmeta.meta_fit meta-fits, with the same fit and predict."
        )
    if more_tasks_help(comparison.learning_curve()) == "yes":
        steps.append("Collect more tasks: the scores still rise with their number.")
    if len(tasks) < 50:
        steps.append(f"Repeat with more tasks: with {len(tasks)} intervals are wide.")
    if np.median(familiarity) < FAMILIAR:
        steps.append(
            "Do not interpret which tasks are similar, except for the familiar ones: "
            "most are similar to no other task in particular, only to all of them."
        )
    elif np.min(familiarity) < 0.5:
        steps.append(
            "Label more rows of the least familiar tasks before you rely on "
            "predictions for them: other tasks say little about them."
        )
    unclear = any(row.finding == "unclear" for row in comparison.summary())
    if unclear and not comparison.worth_it:
        steps.append("Where the finding is unclear, score on more tasks.")
    return steps


def _scores(comparison):
    def draw(ax):
        comparison.plot(ax=ax).ax_.set_xlabel("labelled rows of a new task (K)")

    curve = picture(draw, "Scores against the number of labelled rows", (7.6, 4.8), 4)
    explained = small(f"{explain_scores(comparison)}.")
    return f"{curve}\n{_table(comparison)}\n{explained}"


def _table(comparison):
    (_, heads), *rows = score_rows(comparison)
    head = "".join(f"<th>{head}</th>" for head in ["", *heads])
    lines = [f"<tr>{head}</tr>"]
    for name, cells in rows:
        cells = (escape(cell).replace(" [", "<br>[") for cell in cells)
        row = "".join(
            f'<td data-k="{k}">{cell}</td>'
            for k, cell in zip(heads, cells, strict=True)
        )
        style = ' class="candidate"' if name == comparison.candidate else ""
        lines.append(f"<tr{style}><td>{escape(name.strip())}</td>{row}</tr>")
    table = "\n".join(lines)
    return f'<div class="scores"><table>{table}</table></div>'


def _features(model, tasks):
    if tasks.n_features == 1:
        return "<p>There is only one feature.</p>"
    n_bars = min(tasks.n_features, 20)
    display = FeatureAttentionDisplay(
        feature_attention(model, tasks), model.feature_names_in_
    )
    height = 1.4 + 0.3 * n_bars
    image = picture(
        lambda ax: display.plot(n_bars=n_bars, ax=ax),
        "Feature attention",
        (7, height),
        height,
    )
    text = (
        "How much each feature matters within tasks, beyond the pooled prediction; the "
        "lines span the middle 80% of tasks."
    )
    return f"{image}\n{small(text)}"
