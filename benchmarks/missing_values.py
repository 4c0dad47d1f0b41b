"""Missing values in `X`: passed as they are, and imputed before the same estimator.

    python benchmarks/missing_values.py /path/to/collections --splits 0 1

A share of all cells of a collection is removed at random, in meta-training, support
and query alike. Both sides are meta-fitted on the same tasks and evaluated on the same
episodes: R2 relative to the mean of the meta-training targets, as in
`benchmarks/real_collections.py`.
"""

import time
from pathlib import Path

import numpy as np
from _results import argument_parser, open_results
from _shared import split_fifths
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

import skmeta
from skmeta import AttentionMetaRegressor, TaskCollection
from skmeta.model_selection import few_shot_scores

SHARE = 0.2


def with_holes(path, share, seed):
    """The tasks of a collection, a share of their cells missing."""
    with np.load(path, allow_pickle=True) as data:
        X, y, groups = data["X"].astype(np.float64), data["y"], data["groups"]
    X[np.random.default_rng(seed).random(X.shape) < share] = np.nan
    tasks = TaskCollection.from_arrays(X, y, groups.astype(str))
    return tasks[np.diff(tasks.offsets) >= 4]


def skill(estimator, tasks, mean, shots):
    """R2 relative to the mean, of each number of support rows."""

    def squared_error(model, X, y):
        return -np.mean((y - model.predict(X)) ** 2)

    def of_mean(model, X, y):
        return -np.mean((y - mean) ** 2)

    settings = {"n_support": shots, "n_episodes": 5, "random_state": 0}
    errors, reference = (
        few_shot_scores(estimator, tasks, scoring=scorer, **settings).scores
        for scorer in (squared_error, of_mean)
    )
    return 1 - np.nanmean(errors, (0, 2)) / np.nanmean(reference, (0, 2))


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--collections", nargs="+", default=["nox", "vietnam", "baseball"]
    )
    parser.add_argument("--splits", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--shots", nargs="+", type=int, default=[5, 10])
    options, results = open_results(
        parser, key=("collection", "split", "side"), free=("collections",)
    )
    shots = tuple(options.shots)
    results.heading(f"{SHARE:.0%} of cells missing, R2 at K = {options.shots}")
    for name in options.collections:
        rows = {"as they are": [], "imputed": []}
        for seed in options.splits:
            tasks = with_holes(options.folder / f"{name}.npz", SHARE, seed)
            known, validation, new = split_fifths(tasks, seed)
            mean = known.y.mean()
            imputer = SimpleImputer(strategy="median", add_indicator=True)
            learner = AttentionMetaRegressor(random_state=0)
            sides = {"as they are": learner, "imputed": make_pipeline(imputer, learner)}
            for side, estimator in sides.items():
                start = time.process_time()
                fitted = skmeta.meta_fit(estimator, known, validation_tasks=validation)
                seconds = time.process_time() - start
                found = skill(fitted, new, mean, shots)
                rows[side].append(found)
                shown = "  ".join(f"{value:.3f}" for value in found)
                results.add(
                    f"{name} split {seed}, {side:12} {shown}  ({seconds:.0f} s CPU)",
                    collection=name, split=seed, side=side, seconds=seconds,
                    **by_shots(shots, found),
                )  # fmt: skip
        means = {side: np.mean(found, 0) for side, found in rows.items()}
        means["difference"] = means["as they are"] - means["imputed"]
        for side, found in means.items():
            shown = "  ".join(f"{value:+.3f}" for value in found)
            results.add(
                f"{name} mean of splits, {side:12} {shown}",
                collection=name, split="mean", side=side, **by_shots(shots, found),
            )  # fmt: skip


def by_shots(shots, values):
    return {f"r2_{k}": value for k, value in zip(shots, values, strict=True)}


if __name__ == "__main__":
    main()
