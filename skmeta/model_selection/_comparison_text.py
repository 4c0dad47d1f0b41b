"""What a `Comparison` found, in words."""

import math

from .._utils.drawing import short

MEASURES = {
    "R2": "R2: 1 - squared error / that of the mean of the known tasks' targets",
    "D2": "D2: 1 - log loss / that of the frequencies of the known tasks' classes",
}


def verdict(comparison):
    """Whether it is worth it, in two sentences."""
    rows = comparison.summary()
    ours, gain = comparison.judged, _gain(comparison.mean_gain())
    of = {kind: [r for r in rows if r.finding == kind]
          for kind in ("gain", "loss", "same", "unclear")}  # fmt: skip
    rivals = _listed(dict.fromkeys(row.rival for row in rows))
    mean = (
        f"The difference to the best rival ({rivals}) is {gain} of {{}}, mean over K."
    )
    mean = mean.format(comparison.measure)
    if comparison.worth_it:
        where = "" if len(of["gain"]) == len(rows) else f" at {_at(of['gain'])}"
        return f"Yes: {ours} is worth it{where}. {mean}"
    if of["gain"]:
        return (
            f"No, with an exception: {ours} is ahead by enough to matter at "
            f"{_at(of['gain'])} alone. {mean}"
        )
    if comparison.overall == "loss":
        return f"No: {ours} is behind the best of what is simpler. {mean}"
    if comparison.overall == "same":
        return (
            f"No: over all K together, {ours} does as well as the best of what is "
            f"simpler, and no better. {mean}"
        )
    return f"No: no gain that matters can be told from chance on these tasks. {mean}"


def describe(comparison):
    """All that was found: the verdict, a table, and a sentence on each question."""
    parts = [verdict(comparison), table(comparison), *findings(comparison).values()]
    return "\n\n".join(parts[:2]) + "\n\n" + "\n".join(parts[2:])


def table(comparison):
    """Scores of all estimators at each K, and the gain over the best rival."""
    rows = comparison.summary()
    lines = [
        ("", [f"K = {k}" for k in comparison.n_support]),
        *((short(name), curve.cells()) for name, curve in comparison.curves.items()),
        ("best", [short(row.winner) for row in rows]),
        ("gain over best rival", [f"{row.gain:+.3f}" for row in rows]),
        ("  its 95% interval", [f"[{r.low:+.3f}, {r.high:+.3f}]" for r in rows]),
        ("  which is", [MEANING[row.finding] for row in rows]),
        ("tasks", [str(row.n_tasks) for row in rows]),
    ]
    label = 2 + max(len(name) for name, _ in lines)
    cell = 2 + max(len(text) for _, cells in lines for text in cells)
    text = [MEASURES[comparison.measure]]
    for name, cells in lines:
        text.append(f"{name:<{label}}" + "".join(f"{c:>{cell}}" for c in cells))
    return "\n".join(text)


MEANING = {
    "gain": "a gain",
    "loss": "a loss",
    "same": "no difference",
    "unclear": "unclear",
}


def findings(comparison):
    """What was found on each question, dict of question -> sentence."""
    found = {
        "rows": _rows_saved(comparison),
        "alone": _alone(comparison),
        "growth": _growth(comparison),
        "tasks": _tasks(comparison),
        "failures": _failures(comparison),
        "how": _how(comparison),
    }
    return {question: text for question, text in found.items() if text}


def _rows_saved(comparison):
    needed = comparison.rows_needed()
    last = comparison.n_support[-1]
    has = {}
    for row, n in zip(comparison.summary(), needed, strict=True):
        if row.finding == "gain":
            n = f"more than {last}" if math.isinf(n) else f"about {n:.0f}"
            has.setdefault(n, []).append(row.n_support)
    if not has:
        return "Labelling: it saves no rows that could be told from chance."
    cells = [f"{n} where it has {_listed(some, 'or')}" for n, some in has.items()]
    return f"Labelling: to do as well, the best rival needs {_listed(cells)} rows."


def _alone(comparison):
    if not comparison.alone:
        return ""
    k = comparison.alone_from()
    if k is None:
        return (
            "Each task on its own: not enough with "
            f"{comparison.n_support[-1]} rows or fewer."
        )
    best = comparison.best(comparison.alone, comparison.n_support.index(k))
    return f"Each task on its own: enough from {k} rows on ({best})."


def _growth(comparison):
    curves = comparison.growth_curves()
    if len(curves) < 2:
        return ""
    scores = ", ".join(f"{c.score.mean():.3f} with {n}" for n, c in curves.items())
    fewer, more = list(curves)[-2:]
    gain, answer = growth(curves)
    advice = {
        "yes": "more tasks would help",
        "no": "more tasks would hardly help",
        "unclear": "whether more tasks would help cannot be told",
    }[answer]
    return (
        f"More tasks: {comparison.measure}, mean over K and on the tasks of the first "
        f"fold, is {scores}; from {fewer} to {more} tasks {_gain(gain)}: {advice}."
    )


def growth(curves):
    """Gain of twice as many tasks with its interval, and whether more would help.

    ``curves`` are those of `Comparison.growth_curves`; the answer is "yes", "no" or
    "unclear", and with fewer than two curves there is no gain.
    """
    if len(curves) < 2:
        return None, "unclear"
    *_, fewer, more = curves.values()
    gain, low, high = more.mean_gain(fewer)
    answer = "yes" if low > 0 else "no" if high < 0.01 else "unclear"
    return (gain, low, high), answer


def _tasks(comparison):
    effects = comparison.task_effects()
    n_helped = sum(effect.gain > 0 for effect in effects)
    most_of = []
    for what, some in (
        ("helped", [e for e in effects[:3] if e.gain > 0]),
        ("hurt", [e for e in effects[:-4:-1] if e.gain < 0]),
    ):
        if some:
            names = _listed(f"{e.task} ({e.gain:+.2f})" for e in some)
            most_of.append(f"{what} most are {names}")
    extremes = ""
    if most_of:
        extremes = f" By {comparison.measure}, mean over K, {'; '.join(most_of)}."
    gains = [effect.gain for effect in effects]
    most = max(effects, key=lambda effect: abs(effect.gain))
    others = (sum(gains) - most.gain) / max(len(gains) - 1, 1)
    alone = ""
    if abs(others) < 0.5 * abs(sum(gains) / len(gains)):
        alone = (
            f" Much of the difference is that of {most.task}: without it the mean is "
            f"{others:+.3f}."
        )
    return (
        f"Tasks: of {len(effects)}, {n_helped} are predicted better than by the best "
        f"rival, {len(effects) - n_helped} worse.{extremes}{alone}"
    )


def _failures(comparison):
    cells = [f"{n} of {name}" for name, n in comparison.failures.items() if n]
    if not cells:
        return ""
    return (
        f"Could not be fitted or scored: {_listed(cells)} episodes; they count as if "
        "the mean, or the frequencies, had been predicted."
    )


def _how(comparison):
    fewer = ""
    n_tasks = [row.n_tasks for row in comparison.summary()]
    if min(n_tasks) < max(n_tasks):
        fewer = (
            " Where K is large only tasks with enough rows count, so that scores at "
            "different K are of different tasks."
        )
    return (
        f"How: {comparison.n_tasks} tasks in {comparison.n_folds} folds; each "
        f"estimator learned from the other folds and was scored on "
        f"{len(comparison.task_names)} tasks it had not seen, all on the same "
        f"rows.{fewer} Intervals are over tasks. The best rival is chosen by the "
        "scores that it is compared by, which flatters the rival."
    )


def _gain(gain):
    mean, low, high = gain
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"


def _at(rows):
    return "K = " + _listed(row.n_support for row in rows)


def _listed(items, word="and"):
    *most, last = [str(item) for item in items]
    return f"{', '.join(most)} {word} {last}" if most else last
