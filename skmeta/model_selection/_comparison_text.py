"""What a `Comparison` found, in words."""

import math

from .._utils.drawing import short

METRICS = {
    "R2": "R2: 1 - squared error / that of the mean of the meta-training targets",
    "D2": "D2: 1 - log loss / that of the class frequencies in meta-training",
}

FINDINGS = {"gain": "gain", "loss": "loss", "same": "equivalent", "unclear": "unclear"}
"""What is printed for each finding."""


def verdict(comparison):
    """Whether it is worth it, in two sentences."""
    rows, ours = comparison.summary(), comparison.candidate
    gains = [row.n_support for row in rows if row.finding == "gain"]
    where = f"K = {listed(gains)}" if gains else ""
    if comparison.worth_it:
        where = "" if len(gains) == len(rows) else f" at {where}"
        answer = f"Yes: {ours} is worth it{where}."
    elif gains:
        answer = (
            f"No, with an exception: {ours} is better by enough to matter only at "
            f"{where}."
        )
    elif comparison.overall == "loss":
        answer = f"No: {ours} is worse than the best of its simpler rivals."
    elif comparison.overall == "same":
        answer = (
            f"No: over all K together, {ours} is equivalent to the best of its simpler "
            "rivals."
        )
    else:
        answer = (
            "No: no gain that matters can be distinguished from chance on these tasks."
        )
    rivals = listed(dict.fromkeys(row.rival for row in rows))
    return (
        f"{answer} The difference from the best rival ({rivals}) is "
        f"{with_interval(*comparison.mean_gain())} of {comparison.metric}, mean over K."
    )


def describe(comparison):
    """All that was found: the verdict, a table, and a sentence on each question."""
    parts = verdict(comparison), table(comparison), "\n".join(findings(comparison))
    return "\n\n".join(parts)


def score_rows(comparison):
    """Rows of a table of the scores: name, and a cell for each K."""
    summary = comparison.summary()
    rows = [("", [f"K = {row.n_support}" for row in summary])]
    for name, curve in comparison.curves.items():
        cells = zip(curve.cells(), summary, strict=True)
        rows.append(
            (name, [cell + ("*" if row.winner == name else "") for cell, row in cells])
        )
    return [
        *rows,
        ("gain over best rival", [f"{row.gain:+.3f}" for row in summary]),
        ("  its 95% interval", [f"[{r.low:+.3f}, {r.high:+.3f}]" for r in summary]),
        ("  finding", [FINDINGS[row.finding] for row in summary]),
        ("tasks", [str(row.n_tasks) for row in summary]),
    ]


def table(comparison):
    """Scores of all estimators at each K, and the gain over the best rival."""
    rows = [(short(name), cells) for name, cells in score_rows(comparison)]
    label = 2 + max(len(name) for name, _ in rows)
    width = 2 + max(len(cell) for _, cells in rows for cell in cells)
    lines = [explain_scores(comparison)]
    for name, cells in rows:
        cells = [cell if cell.endswith("*") else f"{cell} " for cell in cells]
        lines.append(f"{name:<{label}}" + "".join(f"{c:>{width}}" for c in cells))
    return "\n".join(line.rstrip() for line in lines)


def explain_scores(comparison):
    return (
        f"{METRICS[comparison.metric]}; in brackets the 95% interval over tasks, * the "
        "best"
    )


def findings(comparison):
    """What was found on each question, a list of sentences."""
    questions = _labels_saved, _per_task, _more_tasks, _tasks, _failures, _method
    return [text for question in questions if (text := question(comparison))]


def _labels_saved(comparison):
    last = comparison.n_support[-1]
    needed = {}
    for row, n in zip(
        comparison.summary(), comparison.equivalent_n_support(), strict=True
    ):
        if row.finding == "gain":
            needed.setdefault(rows_needed(n, last), []).append(row.n_support)
    if not needed:
        return "Labels saved: none that could be distinguished from chance."
    cells = [f"{n} instead of {listed(some, 'or')}" for n, some in needed.items()]
    return f"Labels saved: to do as well, the best rival needs {listed(cells)} rows."


def rows_needed(n, last):
    """A number of rows read off a curve that ends at ``last``."""
    return f"more than {last}" if math.isinf(n) else f"about {n:.0f}"


def _per_task(comparison):
    if not comparison.per_task:
        return ""
    k = comparison.per_task_sufficient_from()
    if k is None:
        last = comparison.n_support[-1]
        return f"Per-task estimators: not sufficient with {last} rows or fewer."
    best = comparison.best(comparison.per_task, comparison.n_support.index(k))
    return f"Per-task estimators: sufficient from {k} rows on ({best})."


def _more_tasks(comparison):
    curves = comparison.learning_curve()
    if len(curves) < 2:
        return ""
    scores = ", ".join(f"{c.score.mean():.3f} with {n}" for n, c in curves.items())
    fewer, more = list(curves)[-2:]
    advice = {
        "yes": "more tasks would help",
        "no": "more tasks would hardly help",
        "unclear": "it is unclear whether more tasks would help",
    }[more_tasks_help(curves)]
    return (
        f"Number of tasks: {comparison.metric}, mean over K on the tasks of the first "
        f"fold, is {scores} meta-training tasks; the gain from {fewer} to {more} is "
        f"{with_interval(*_last_gain(curves))}: {advice}."
    )


def more_tasks_help(curves):
    """Whether more meta-training tasks would help: "yes", "no" or "unclear".

    ``curves`` are those of `Comparison.learning_curve`.
    """
    if len(curves) < 2:
        return "unclear"
    _, low, high = _last_gain(curves)
    return "yes" if low > 0 else "no" if high < 0.01 else "unclear"


def _last_gain(curves):
    *_, fewer, more = curves.values()
    return more.mean_gain(fewer)


def _tasks(comparison):
    effects = comparison.task_effects()
    gains = [effect.gain for effect in effects]
    n_better = sum(gain > 0 for gain in gains)
    text = (
        f"Tasks: {n_better} of {len(effects)} are predicted better than by the best "
        f"rival, {len(effects) - n_better} worse."
    )
    extremes = {
        "largest gains": [e for e in effects[:3] if e.gain > 0],
        "largest losses": [e for e in effects[:-4:-1] if e.gain < 0],
    }
    extremes = [
        f"{what}: {listed(f'{e.task} ({e.gain:+.2f})' for e in some)}"
        for what, some in extremes.items()
        if some
    ]
    if extremes:
        text += f" In {comparison.metric}, mean over K, {'; '.join(extremes)}."
    most = max(effects, key=lambda effect: abs(effect.gain))
    others = (sum(gains) - most.gain) / max(len(gains) - 1, 1)
    if abs(others) < 0.5 * abs(sum(gains) / len(gains)):
        text += (
            f" Much of the difference is due to {most.task}: without it the mean is "
            f"{others:+.3f}."
        )
    return text


def _failures(comparison):
    cells = [f"{n} of {name}" for name, n in comparison.failures.items() if n]
    if not cells:
        return ""
    return (
        f"Episodes that could not be fitted or scored: {listed(cells)}; they count as "
        "predictions of the mean, or of the frequencies."
    )


def _method(comparison):
    n_tasks = {row.n_tasks for row in comparison.summary()}
    fewer = ""
    if len(n_tasks) > 1:
        fewer = (
            " Where K is large only tasks with enough rows count, so that scores at "
            "different K are of different tasks."
        )
    n_folds = comparison.n_folds
    folds = f"{n_folds} folds" if n_folds > 1 else "one split"
    return (
        f"Method: {folds} of {comparison.n_tasks} tasks; each estimator was "
        "meta-fitted on the training tasks and scored on others, "
        f"{len(comparison.task_names)} in all, from the same support rows.{fewer} "
        "Intervals are over tasks. The best rival is selected by the scores that it is "
        "compared by, which favours the rival."
    )


def with_interval(value, low, high):
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def listed(items, word="and"):
    *most, last = [str(item) for item in items]
    return f"{', '.join(most)} {word} {last}" if most else last
