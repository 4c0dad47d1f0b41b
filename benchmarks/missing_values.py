"""Missing values in `X`: taken as they are, and imputed in front of the same estimator.

    python benchmarks/missing_values.py /path/to/collections --splits 0 1

A share of all cells of a collection is taken out at random, in meta-training, support
and query alike. Both sides are meta-fitted on the same tasks and judged on the same
episodes: R2 relative to the mean of the meta-training targets, as in
`benchmarks/real_collections.py`.
"""

import argparse
import platform
import time
from pathlib import Path

import numpy as np
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


def split(tasks, seed):
    """Meta-training, validation and test tasks, three to one to one."""
    order = np.random.default_rng(seed).permutation(len(tasks))
    n = len(tasks) // 5
    test = order[4 * n :][:40]
    return tasks[order[: 3 * n]], tasks[order[3 * n : 4 * n]], tasks[test]


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--collections", nargs="+", default=["nox", "vietnam", "baseball"]
    )
    parser.add_argument("--splits", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--shots", nargs="+", type=int, default=[5, 10])
    args = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {SHARE:.0%} of cells missing")
    for name in args.collections:
        rows = {"as they are": [], "imputed": []}
        for seed in args.splits:
            tasks = with_holes(args.folder / f"{name}.npz", SHARE, seed)
            known, validation, new = split(tasks, seed)
            mean = known.y.mean()
            imputer = SimpleImputer(strategy="median", add_indicator=True)
            learner = AttentionMetaRegressor(random_state=0)
            sides = {"as they are": learner, "imputed": make_pipeline(imputer, learner)}
            for side, estimator in sides.items():
                start = time.process_time()
                fitted = skmeta.meta_fit(estimator, known, validation_tasks=validation)
                seconds = time.process_time() - start
                found = skill(fitted, new, mean, tuple(args.shots))
                rows[side].append(found)
                shown = "  ".join(f"{value:.3f}" for value in found)
                print(f"{name} split {seed}, {side:12} {shown}  ({seconds:.0f} s CPU)")
        both = [np.mean(rows[side], 0) for side in rows]
        gain = "  ".join(f"{value:+.3f}" for value in both[0] - both[1])
        print(f"{name}, as they are less imputed, K = {args.shots}: {gain}", flush=True)


if __name__ == "__main__":
    main()
