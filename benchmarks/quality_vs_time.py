"""Score against CPU seconds of `meta_fit`: the three systems, baselines and GPBoost.

    pip install -c constraints.txt -e ".[benchmarks]"
    python benchmarks/quality_vs_time.py DATA [NAME ...] [--seeds 0,1,2] [--jobs 1]
        [--systems attention self-attention transformer] [--out FILE] [--picture FILE]

Tasks, splits, episodes and baselines are those of ``real_collections.py``, without the
episodes of its polynomial baselines; GPBoost is boosting with a random intercept, in
``_gpboost.py``. Seconds are CPU seconds of ``meta_fit`` in one process of one thread,
and the score is R2 relative to the meta-training mean, or the log loss, averaged over
numbers of support rows and splits. Printed is a row for each collection and method,
with the seconds relative to the mixed-effects model with a full covariance; then the
number of PyTorch operations in a step of meta-training, by ``torch.profiler``.
``--picture`` draws the scores, relative to the best baseline of each collection,
against the seconds.
"""

import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
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
from real_collections import rivals
from skorch.callbacks import Callback

from skmeta.datasets import make_linear_tasks

COLLECTIONS = (
    "suzuki", "nox", "vietnam", "baseball", "hsb", "train_choice", "verbagg",
)  # fmt: skip
REFERENCE, GPBOOST, MEAN = "d_mixed_full", "gpboost", "mean"
NOT_ADAPTED = "b_boosting"
N_COUNTED = 5


class CountOperations(Callback):
    """Count the operations of some steps of meta-training."""

    def on_train_begin(self, net, **kwargs):
        self.counts, self.profiler = [], None

    def on_batch_begin(self, net, training=False, **kwargs):
        if training and len(self.counts) < N_COUNTED:
            self.profiler = torch.profiler.profile()
            self.profiler.start()

    def on_batch_end(self, net, training=False, **kwargs):
        if training and self.profiler is not None:
            self.profiler.stop()
            rows, self.profiler = self.profiler.key_averages(), None
            of_torch = (r.count for r in rows if r.key.startswith("aten::"))
            self.counts.append(sum(of_torch))


def operations(estimator_class):
    """Mean number of operations of a step on tasks of 30 rows and 10 features."""
    tasks = make_linear_tasks(100, 30, 10, random_state=0)
    count = CountOperations()
    estimator_class(
        max_epochs=1, steps_per_epoch=N_COUNTED, callbacks=[count], random_state=0
    ).meta_fit(tasks)
    return np.mean(count.counts)


def estimator_of(method, regression, seed):
    """The estimator that a method is."""
    if method == GPBOOST:
        from _gpboost import GPBoostClassifier, GPBoostRegressor

        return GPBoostRegressor() if regression else GPBoostClassifier()
    systems = REGRESSORS if regression else CLASSIFIERS
    if method in systems:
        return systems[method](random_state=seed)
    return rivals(regression)[method]


def run(path, seed, method):
    """Losses of the episodes and seconds of one method on one collection and split."""
    warnings.filterwarnings("ignore", module="sklearn")
    tasks, regression = load(path)
    train, validation, test, positions = split(tasks, seed)
    episodes = list(draw_episodes(test, positions, seed))
    seconds = 0.0
    if method == MEAN:
        rows = losses_of_mean(train.y.mean(), episodes)
    else:
        estimator = estimator_of(method, regression, seed)
        start = time.process_time()
        estimator.meta_fit(train, validation_tasks=validation)
        seconds = time.process_time() - start
        losses = losses_of_ours if method in REGRESSORS else losses_of_rival
        rows = losses(estimator, episodes, regression)
    frame = pd.DataFrame(list(rows))[["K", "task", "loss"]]
    known = {"collection": path.stem, "seed": seed, "method": method}
    return frame.assign(**known, seconds=seconds, regression=regression)


def methods_of(path, systems):
    """The names of all methods that a collection is for."""
    regression = load(path)[1]
    others = [m for m in rivals(regression) if not m.endswith("poly")]
    return [*systems, *others, GPBOOST, *([MEAN] if regression else [])]


def table_of(one):
    """Score and seconds of each method on a collection."""
    losses = one.groupby(["seed", "K", "method"]).loss.mean().unstack("method")
    regression = one.regression.iloc[0]
    scores = 1 - losses.div(losses[MEAN], axis=0) if regression else -losses
    return pd.DataFrame(
        {
            "score": scores.groupby("K").mean().mean(),
            "seconds": one.groupby(["method", "seed"])
            .seconds.first()
            .unstack()
            .mean(axis=1),
        }
    ).drop(index=MEAN, errors="ignore")


def report(frame, results):
    """The row of each collection and method."""
    for name, one in frame.groupby("collection"):
        table = table_of(one)
        for method, (score, seconds) in table.iterrows():
            ratio = seconds / table.seconds[REFERENCE]
            results.add(
                f"| {name} | {method} | {score:.3f} | {seconds:.2f} | {ratio:.1f} |",
                collection=name, method=method, score=score, seconds=seconds,
                ratio=ratio, n_splits=one.seed.nunique(), **commits(one, results),
            )  # fmt: skip


def name_points(ax, means):
    """Write the names next to the points, the lower of two names below the other."""
    ax.figure.canvas.draw()
    taken = []
    for method, (score, seconds) in means.sort_values("score")[::-1].iterrows():
        ours = method in REGRESSORS
        label = ax.annotate(
            method.removeprefix("c_").removeprefix("d_").replace("_", " "),
            (seconds, score), xytext=(5, 2), textcoords="offset points", fontsize=7,
            color="C0" if ours else "0.3",
        )  # fmt: skip
        for _ in range(20):
            box = label.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                break
            x, y = label.xyann
            label.xyann = x, y - 3
        taken.append(box)


def draw(frame, path):
    """Draw score differences to the best baseline against seconds."""
    groups = {
        "regression": "R2 less that of the best baseline",
        "classes": "log loss of the best baseline, less its own",
    }
    kinds = [k for k in groups if (frame.regression == (k == "regression")).any()]
    figure, axes = plt.subplots(
        1, len(kinds), figsize=(4.5 * len(kinds), 3.6), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    for ax, kind in zip(axes[0], kinds, strict=True):
        some = frame[frame.regression == (kind == "regression")]
        tables = [table_of(one) for _, one in some.groupby("collection")]
        for t in tables:
            ours = t.index.isin([*REGRESSORS])
            t.score -= t.score[~ours].max()
        means = pd.concat(tables).groupby(level=0)
        means = pd.DataFrame(
            {"score": means.score.mean(), "seconds": means.seconds.median()}
        )
        means = means.drop(index=NOT_ADAPTED, errors="ignore")  # far below
        for method, (score, seconds) in means.iterrows():
            ours = method in REGRESSORS
            ax.plot(seconds, score, "o" if ours else ".", color="C0" if ours else "0.4")
        ax.set_xscale("log")
        ax.margins(0.15, 0.1)
        name_points(ax, means)
        ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        ax.set(xlabel="CPU seconds of meta_fit", title=kind)
        ax.set_ylabel(groups[kind])
    figure.savefig(path, dpi=150)


def main():
    parser = collections_parser(__doc__, COLLECTIONS)
    parser.add_argument(
        "--systems", nargs="+", choices=REGRESSORS, default=[*REGRESSORS]
    )
    parser.add_argument("--picture", type=Path)
    add_run_options(parser)
    options, results = open_results(
        parser, key=("collection", "method"), free=("names", "jobs"), cores="jobs"
    )
    paths = [options.data / f"{name}.npz" for name in options.names]
    seeds = [int(s) for s in options.seeds.split(",")]
    runs = [
        (path, seed, method)
        for path in paths
        for seed in seeds
        for method in methods_of(path, options.systems)
    ]
    columns = ["collection", "seed", "method"]
    frame = run_all(run, runs, columns, options, results.run["commit"])
    frame = frame[frame.collection.isin(options.names)]
    results.heading("mean over K and splits; score, CPU seconds, and their ratio to")
    results.print(f"those of {REFERENCE}")
    report(frame, results)
    for system in options.systems:
        n = operations(REGRESSORS[system])
        results.add(
            f"{system}: {n:.0f} operations a step", collection="operations",
            method=system, operations=n,
        )  # fmt: skip
    if options.picture:
        draw(frame, options.picture)


if __name__ == "__main__":
    main()
