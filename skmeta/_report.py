"""A comparison as one HTML page that needs nothing else."""

import base64
from html import escape
from io import BytesIO

import numpy as np
from matplotlib.figure import Figure

from . import __version__
from ._comparison_text import MEANING, MEASURES, findings, growth, verdict
from ._drawing import MAX_LABELS
from .inspection import FeatureAttentionDisplay, TaskRelationDisplay

N_DRAWN_TASKS = 60
"""Tasks whose relations and feature attention are drawn, at most."""

N_UNFAMILIAR = 10

STYLE = """
:root { color-scheme: light dark; --text: #1c1c1c; --back: #ffffff; --soft: #f3f4f6;
  --line: #d8dade; --strong: #0b3c8c; }
@media (prefers-color-scheme: dark) { :root { --text: #e8e8e8; --back: #17191d;
  --soft: #23262c; --line: #3a3e46; --strong: #9cc0ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 56rem; padding: 1rem; color: var(--text);
  background: var(--back); font: 1rem/1.5 system-ui, sans-serif;
  overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.15rem;
  margin-top: 2.2rem; }
.verdict { border-left: .35rem solid var(--strong); background: var(--soft);
  padding: .8rem 1rem; font-size: 1.1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
tr.judged td { font-weight: 600; color: var(--strong); }
img { max-width: 100%; height: auto; background: #ffffff; border-radius: .4rem; }
pre { background: var(--soft); padding: .8rem 1rem; overflow-x: auto; }
small { opacity: .8; }
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
<p><small>{subtitle}</small></p>
<p class="verdict">{verdict}</p>
{sections}
<p><small>Made by skmeta {version}.</small></p>
</body>
</html>
"""


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
        ("What was found", _items(findings(comparison).values())),
        ("Tasks that are alike", _relations(relations, familiarity, tasks, shown)),
        ("Columns that matter", _features(model, tasks[shown])),
        ("The least familiar tasks", _unfamiliar(familiarity, tasks)),
        ("What to do next", _items(advice(comparison, familiarity, tasks))),
        ("The table", _items(_about(table))),
        ("The same in Python", f"<pre>{escape(lines)}</pre>"),
    ]
    page = PAGE.format(
        title=escape(f"Is meta-learning worth it to predict {table.target}?"),
        subtitle=escape(
            f"{name}: {len(tasks):,} tasks by {table.task}, {len(tasks.y):,} rows, "
            f"{tasks.n_features} columns to predict from"
        ),
        style=STYLE,
        verdict=escape(verdict(comparison)),
        sections="\n".join(f"<h2>{title}</h2>\n{body}" for title, body in sections),
        version=__version__,
    )
    with open(path, "w", encoding="utf-8", errors="replace") as file:
        file.write(page)


def related_to_others(model, tasks):
    """Relations of the tasks that a model was meta-fitted on to one another.

    A task is left out of what it is related to, and the rest made to sum to 1 again
    with what is on no task.

    Returns
    -------
    relations : ndarray of shape (n_tasks, n_tasks)
    familiarity : ndarray of shape (n_tasks,)
        How sure it is that a task is like another.
    """
    where = {name: j for j, name in enumerate(model.task_names_)}
    relations = model.relations(tasks)
    relations = relations[:, [where[name] for name in tasks.names]]
    own = np.diagonal(relations).copy()
    np.fill_diagonal(relations, 0)
    others = relations / np.maximum(1 - own, 1e-9)[:, None]
    return others, np.minimum(others.sum(axis=1), 1)


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
    if np.median(familiarity) < 0.1:
        steps.append(
            "Read nothing into which tasks are alike: most are like no other in "
            "particular, only like all of them."
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
    display = comparison.plot(ax=_axes((7.6, 4.8)))
    display.ax_.set_xlabel("labelled rows of a new task (K)")
    rows = comparison.summary()
    lines = [("", [f"K = {row.n_support}" for row in rows], "th")]
    lines += [(name, curve.cells(), "td") for name, curve in comparison.curves.items()]
    gains = [f"{r.gain:+.3f} [{r.low:+.3f}, {r.high:+.3f}]" for r in rows]
    lines.append(("gain over the best rival", gains, "td"))
    lines.append(("which is", [MEANING[row.finding] for row in rows], "td"))
    table = ""
    for name, cells, tag in lines:
        judged = ' class="judged"' if name == comparison.judged else ""
        row = "".join(f"<{tag}>{_broken(cell)}</{tag}>" for cell in [name, *cells])
        table += f"<tr{judged}>{row}</tr>\n"
    text = escape(MEASURES[comparison.measure])
    curve = _picture(display.figure_, "Scores against the number of labelled rows")
    return (
        f'{curve}\n<div class="wide"><table>{table}</table></div>\n'
        f"<p><small>{text}; in brackets the 95% interval over tasks.</small></p>"
    )


def _broken(cell):
    """A cell with its interval on a line of its own."""
    return escape(cell).replace(" [", "<br>[")


def _relations(relations, familiarity, tasks, shown):
    names = tasks.names
    display = TaskRelationDisplay(
        relations[shown], names, task_names=[names[t] for t in shown]
    )
    side = 3.5 + 0.12 * min(len(names), MAX_LABELS)
    display.plot(ax=_axes((side + 1, side)))
    text = (
        "How much each task (row) would borrow from each other one (column), by a "
        "self-attention meta-learner that was meta-fitted on all tasks. A row sums to "
        f"the familiarity of its task, {np.median(familiarity):.2f} for half of the "
        "tasks or more; what is missing to 1 is on no task."
    )
    picture = _picture(display.figure_, "Relations between tasks")
    return f"{picture}\n<p><small>{text}</small></p>"


def _features(model, tasks):
    n_bars = min(tasks.n_features, 20)
    display = FeatureAttentionDisplay.from_estimator(
        model, tasks, n_bars=n_bars, ax=_axes((7, 1.4 + 0.3 * n_bars))
    )
    text = (
        "How much each column matters within tasks, beyond what the same prediction "
        "for all tasks says; the lines are the middle 80% of tasks."
    )
    picture = _picture(display.figure_, "Attention to columns")
    return f"{picture}\n<p><small>{text}</small></p>"


def _unfamiliar(familiarity, tasks):
    order = np.argsort(familiarity, kind="stable")[:N_UNFAMILIAR]
    rows = "".join(
        f"<tr><td>{escape(str(tasks.names[t]))}</td><td>{familiarity[t]:.2f}</td>"
        f"<td>{len(tasks[t])}</td></tr>\n"
        for t in order.tolist()
    )
    text = "Familiarity is how sure it is that a task is like another one, from 0 to 1."
    return (
        '<div class="wide"><table><tr><th>task</th><th>familiarity</th><th>rows</th>'
        f"</tr>\n{rows}</table></div>\n<p><small>{text}</small></p>"
    )


def _about(table):
    how = (
        "Dates are columns of their days, counted from 2000 on, of their month and "
        "their weekday (from 0, Monday); values of text are columns, as learned from "
        "all rows, targets aside."
    )
    return [*map(str, table.readings), *table.remarks, how]


def _items(texts):
    return "<ul>\n" + "".join(f"<li>{escape(text)}</li>\n" for text in texts) + "</ul>"


def _axes(size):
    return Figure(figsize=size, layout="constrained").add_subplot()


def _picture(figure, alt):
    file = BytesIO()
    figure.savefig(file, format="png", dpi=130, facecolor="white")
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}">'
