"""The three systems and classical baselines that learn from very few tasks.

    python benchmarks/few_tasks.py DATA [NAME ...] [--seeds 0,1,2] [--jobs 1]
        [--sizes 3 5 10 20 50] [--systems attention self-attention transformer]
        [--out FILE]

Meta-training on the first 3, 5, 10, 20 and 50 of the shuffled meta-training and
validation tasks of ``real_collections.py``, on each of its splits; scored on its test
tasks and episodes with K = 3, 5 and 10 support rows. No method is given validation
tasks: each sets aside what it wants of the few. Regression is scored by R2 relative to
the mean of the few tasks, 1 - MSE / MSE of that mean, binary classification by log
loss. Baselines are mixed-effects models and pooled boosting with all their adaptations,
everything with default parameters.

Printed is a row of a table for each collection, number of tasks and system, means over
splits: at each K the score, its difference to the best baseline there (the best of the
means over splits on these very episodes, which nobody knows beforehand), and that to
the baseline picked on each split by cross-validation over the few tasks: three folds,
which with three tasks leave one out, at K = 5; the CPU seconds of the longest
`meta_fit`; the number of splits; the baselines picked; and those that fail. A baseline
that fails on a split, with an error, is not compared there as the picked one, nor as
the best at all; one that fails in cross-validation is not picked.

Last are the means over collections of both differences and their worst cells, those of
R2 and of log loss by themselves. Episodes' losses are kept in the file ``--out``, so
that a run can be resumed.
"""

import time
import warnings
from collections import Counter

import numpy as np
import pandas as pd
from _results import open_results
from _shared import (
    CLASSIFIERS,
    REGRESSORS,
    add_run_options,
    collections_parser,
    commits,
    draw_episodes,
    load,
    losses_of_mean,
    losses_of_ours,
    losses_of_rival,
    run_all,
    split,
)

from skmeta import TaskCollection
from skmeta.baselines import (
    MixedEffectsClassifier,
    MixedEffectsRegressor,
    PooledClassifier,
    PooledRegressor,
)

NAMES = "vietnam", "suzuki", "nox", "gapminder", "baseball", "train_choice", "verbagg"
SIZES = (3, 5, 10, 20, 50)
SHOTS = (3, 5, 10)
N_FOLDS, K_PICK = 3, 5
"""Folds and support rows of the cross-validation that picks a baseline."""

RIVALS = {
    "mixed, intercept": {"random_slopes": None},
    "mixed, diagonal": {"random_slopes": "diagonal"},
    "mixed, full": {"random_slopes": "full"},
    "boosting": {"adapt": None},
    "boosting, intercept": {"adapt": "intercept"},
    "boosting, slopes": {"adapt": "slopes"},
    "boosting, gp": {"adapt": "gp"},
}
DIFFERENCES = {"to_best_baseline": "best", "to_picked_baseline": "picked"}


def rival(name, regression):
    """A new baseline."""
    if name.startswith("mixed"):
        kind = MixedEffectsRegressor if regression else MixedEffectsClassifier
        return kind(**RIVALS[name])
    kind = PooledRegressor if regression else PooledClassifier
    return kind(**RIVALS[name], random_state=0)


def run(path, seed, size, method):
    """Losses of one method that learns from few tasks, a row an episode.

    In the column ``part`` are ``test``, ``cv`` for cross-validation, and ``failed`` and
    ``cv failed`` for the one row of an error.
    """
    warnings.filterwarnings("ignore", module="sklearn")
    tasks, regression = load(path)
    train, validation, test, positions = split(tasks, seed)
    few = TaskCollection([*train, *validation])[:size]
    episodes = list(draw_episodes(test, positions, seed))
    episodes = [e for e in episodes if e[0] in SHOTS]
    rows = attempt("test", losses, method, few, episodes, regression, seed)
    if method in RIVALS:
        rows += attempt("cv", cross_validated, method, few, regression, seed)
    frame = pd.DataFrame(rows)
    frame["collection"], frame["seed"], frame["size"] = path.stem, seed, size
    frame["method"], frame["regression"] = method, regression
    return frame


def methods_of(path, systems):
    """The names of all methods that a collection is for."""
    return [*systems, *RIVALS, *(["mean"] if load(path)[1] else [])]


def attempt(part, function, *arguments):
    """The rows that a function yields, or one with the error that it raises."""
    try:
        return [row | {"part": part} for row in function(*arguments)]
    except Exception as error:
        part = "failed" if part == "test" else f"{part} failed"
        return [{"part": part, "error": f"{type(error).__name__}: {error}"}]


def losses(method, tasks, episodes, regression, seed):
    """Yield the losses of a method that learns from tasks."""
    if method == "mean":
        yield from losses_of_mean(tasks.y.mean(), episodes)
        return
    if method in RIVALS:
        estimator, losses_of = rival(method, regression), losses_of_rival
    else:
        systems = REGRESSORS if regression else CLASSIFIERS
        estimator, losses_of = systems[method](random_state=seed), losses_of_ours
    start = time.process_time()
    estimator.meta_fit(tasks)
    seconds = time.process_time() - start
    for row in losses_of(estimator, episodes, regression):
        yield row | {"seconds": seconds}


def cross_validated(method, tasks, regression, seed):
    """Yield the losses on each third of the tasks of what learns from the others."""
    fold = np.arange(len(tasks)) % N_FOLDS
    for i in range(N_FOLDS):
        positions = np.flatnonzero(fold == i)
        episodes = draw_episodes(tasks[positions], positions, seed)
        episodes = [e for e in episodes if e[0] == K_PICK]
        yield from losses(method, tasks[fold != i], episodes, regression, seed)


def picked(one):
    """The baseline of each split with the smallest loss in cross-validation."""
    failed = one[one.part == "failed"].groupby("seed").method.agg(set)
    found = {}
    for seed, of_split in one[one.part == "cv"].groupby("seed"):
        mean = of_split.groupby("method").loss.mean()
        mean = mean.drop(list(failed.get(seed, ())), errors="ignore")
        if len(mean):
            found[seed] = mean.idxmin()
    return found


def scores_of(one, picks):
    """Mean over splits of the score of each method, and of the picked ones, at each K.

    A method that failed on a split has none.
    """
    test = one[one.part == "test"].astype({"K": int})
    table = test.groupby(["K", "seed", "method"]).loss.mean().unstack("method")
    if one.regression.iloc[0]:
        table = 1 - table.div(table["mean"], axis=0)
    table["picked"] = [
        table[picks[seed]][k, seed] if seed in picks else np.nan
        for k, seed in table.index
    ]
    return table.groupby("K").agg(lambda scores: scores.mean(skipna=False))


def counted(methods, n):
    """Names, the most frequent first, each with its share of the splits."""
    count = Counter(methods).most_common()
    return "; ".join(f"{name} ({times} of {n})" for name, times in count)


def report(frame, results):
    """Add the row of each collection, number of tasks and system; return all."""
    rows = []
    for (name, size), one in frame.groupby(["collection", "size"]):
        regression, n_splits = bool(one.regression.iloc[0]), one.seed.nunique()
        picks = picked(one)
        table = scores_of(one, picks)
        rivals = table[[rival for rival in RIVALS if rival in table]]
        losses = -rivals if regression else rivals
        best = losses.dropna(axis=1).idxmin(axis=1)
        for system in REGRESSORS:
            ours = one[one.method == system]
            if ours.empty:
                continue
            tried = one[one.method.isin([system, *RIVALS])]
            row = {
                "collection": name, "size": size, "system": system,
                "measure": "R2" if regression else "log loss",
                "n_splits": n_splits, "seconds": ours.seconds.max(),
                "picked": counted(picks.values(), n_splits),
                "failed": counted(tried.method[tried.part == "failed"], n_splits),
                "failed_in_cv": counted(
                    tried.method[tried.part == "cv failed"], n_splits
                ),
                **commits(ours, results),
            }  # fmt: skip
            cells = [""] * len(SHOTS)
            for k, score in table.get(system, pd.Series()).dropna().items():
                row[f"score_{k}"], row[f"best_{k}"] = score, best[k]
                row[f"to_best_baseline_{k}"] = to_best = score - table[best[k]][k]
                row[f"to_picked_baseline_{k}"] = to_picked = score - table.picked[k]
                cells[SHOTS.index(k)] = f"{score:.3f}, {to_best:+.3f}, {to_picked:+.3f}"
            cells += [f"{row['seconds']:.0f}", f"{n_splits}"]
            cells += [row["picked"], row["failed"], row["failed_in_cv"]]
            results.add(f"| {name}, {size}, {system} | {' | '.join(cells)} |", **row)
            rows.append(row)
    return pd.DataFrame(rows)


def summarize(rows, results):
    """Print means over collections and K of both differences, and the worst cells."""
    results.print("mean over collections and K of the difference, and the worst cell")
    for (measure, size, system), some in rows.groupby(["measure", "size", "system"]):
        texts = []
        for difference, rival in DIFFERENCES.items():
            cells = some.set_index("collection")
            cells = cells.reindex(columns=[f"{difference}_{k}" for k in SHOTS])
            cells = cells.set_axis(SHOTS, axis=1).stack().dropna()
            if len(cells):
                at = cells.idxmin() if measure == "R2" else cells.idxmax()
                texts.append(
                    f"to the {rival} baseline {cells.mean():+.4f}, worst "
                    f"{cells[at]:+.4f} ({at[0]}, K = {at[1]})"
                )
        results.print(f"{measure}, {size} tasks, {system}: {'; '.join(texts)}")


def main():
    parser = collections_parser(__doc__, list(NAMES))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument(
        "--systems", nargs="+", choices=REGRESSORS, default=list(REGRESSORS)
    )
    add_run_options(parser)
    options, results = open_results(
        parser, key=("collection", "size", "system"),
        free=("names", "sizes", "systems", "jobs"), cores="jobs",
    )  # fmt: skip
    results.heading(f"settings: defaults, {options.jobs} methods side by side")
    paths = [options.data / f"{name}.npz" for name in options.names]
    seeds = [int(seed) for seed in options.seeds.split(",")]
    methods = {path: methods_of(path, options.systems) for path in paths}
    runs = [
        (path, seed, size, method)
        for seed in seeds
        for size in options.sizes
        for path in paths
        for method in methods[path]
    ]
    columns = ["collection", "seed", "size", "method"]
    frame = run_all(run, runs, columns, options, results.run["commit"])
    frame = frame[
        frame.collection.isin(options.names)
        & frame["size"].isin(options.sizes)
        & frame.seed.isin(seeds)
    ]
    results.print(
        f"| | {' | '.join(f'K = {k}' for k in SHOTS)} | seconds | splits | picked | "
        "failed | failed in cross-validation |"
    )
    summarize(report(frame, results), results)


if __name__ == "__main__":
    main()
