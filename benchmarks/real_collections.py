"""Ours against the classical rivals on real collections of tasks.

    python benchmarks/real_collections.py DATA [NAME ...] [--seeds 0,1,2] [--jobs 1]
        [--systems attention self-attention transformer] [--out FILE]

DATA is a folder of ``NAME.npz`` with X, y, groups and kind. Tasks are split 60/20/20
into meta-training, validation and test tasks (at most 40 of these); on each test task
five random episodes are drawn for each number of support rows K, with at most 100 query
rows. Every method sees the same tasks and the same episodes. Regression is scored by
R2 relative to the meta-training mean, 1 - MSE / MSE of that mean, classification by
log loss. Methods: ``c_`` a pooled estimator and its adaptations, ``d_`` mixed-effects
models and a ridge with a shared process, and ours with default parameters.

Printed is a row of a table for each collection and system, means over splits: at each K
the score, its difference to the best rival at that K, and that to the first of ours;
the share of targets inside 90% intervals over all K (of classes the range of the
expected calibration error over K); the CPU seconds of the longest `meta_fit`; and on
how many splits it stands.
"""

import argparse
import platform
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from tqdm import tqdm

from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    SelfAttentionMetaClassifier,
    SelfAttentionMetaRegressor,
    TaskCollection,
    TransformerMetaClassifier,
    TransformerMetaRegressor,
)
from skmeta.baselines import (
    MixedEffectsClassifier,
    MixedEffectsRegressor,
    PooledClassifier,
    PooledRegressor,
)

SHOTS = (3, 5, 10, 20)
N_EPISODES, MAX_TASKS, MAX_QUERY = 5, 40, 100
SYSTEMS = {
    "attention": (AttentionMetaRegressor, AttentionMetaClassifier),
    "self-attention": (SelfAttentionMetaRegressor, SelfAttentionMetaClassifier),
    "transformer": (TransformerMetaRegressor, TransformerMetaClassifier),
}


def load(path):
    """A collection of tasks and whether it is one of regression."""
    data = np.load(path)
    regression = str(data["kind"]) == "reg"
    y = data["y"].astype(float) if regression else data["y"].astype(int)
    X = data["X"].astype(float)
    return TaskCollection.from_arrays(X, y, data["groups"]), regression


def split(tasks, seed):
    """Meta-training, validation and test tasks, and the positions of the last."""
    order = np.random.RandomState(1000 + seed).permutation(len(tasks))
    a, b = int(0.6 * len(tasks)), int(0.8 * len(tasks))
    test = order[b:][:MAX_TASKS]
    return tasks[order[:a]], tasks[order[a:b]], tasks[test], test


def draw_episodes(tasks, positions, seed):
    """(K, position, X_support, y_support, X_query, y_query) of all test episodes."""
    for i, task in zip(positions, tasks, strict=True):
        for k in SHOTS:
            if len(task) < k + 3:
                continue
            for e in range(N_EPISODES):
                state = (seed * 7919 + i * 104729 + k * 31 + e) % 2**31
                p = np.random.RandomState(state).permutation(len(task))
                s, q = p[:k], p[k : k + MAX_QUERY]
                yield k, int(i), task.X[s], task.y[s], task.X[q], task.y[q]


class Polynomial:
    """Rows with squares and products of the columns of more than two values."""

    def __init__(self, X):
        self.columns = [j for j in range(X.shape[1]) if len(np.unique(X[:, j])) > 2][:8]
        self.scale = StandardScaler().fit(X)
        self.powers = PolynomialFeatures(2, include_bias=False)
        if self.columns:
            self.powers.fit(X[:, self.columns])

    def __call__(self, X):
        X = self.scale.transform(X).clip(-8, 8)
        if not self.columns:
            return X
        extra = self.powers.transform(X[:, self.columns])[:, len(self.columns) :]
        return np.hstack([X, extra])

    def tasks(self, tasks):
        return TaskCollection([(self(t.X), t.y) for t in tasks])


def rivals(regression):
    """Name -> estimator; a name that ends in ``poly`` sees polynomials."""
    if regression:
        ridge = RidgeCV(np.logspace(-2, 4, 13))
        return {
            "b_boosting": PooledRegressor(random_state=0),
            "c_boosting_intercept": PooledRegressor(adapt="intercept", random_state=0),
            "c_boosting_slopes": PooledRegressor(adapt="slopes", random_state=0),
            "c_boosting_gp": PooledRegressor(adapt="gp", random_state=0),
            "d_ridge_gp": PooledRegressor(ridge, adapt="gp", random_state=0),
            "d_mixed_intercept": MixedEffectsRegressor(None),
            "d_mixed_diagonal": MixedEffectsRegressor("diagonal"),
            "d_mixed_full": MixedEffectsRegressor("full"),
            "d_mixed_diagonal_poly": MixedEffectsRegressor("diagonal"),
        }
    return {
        "b_boosting": PooledClassifier(random_state=0),
        "c_boosting_intercept": PooledClassifier(adapt="intercept", random_state=0),
        "c_boosting_slopes": PooledClassifier(adapt="slopes", random_state=0),
        "d_mixed_intercept": MixedEffectsClassifier(None),
        "d_mixed_diagonal": MixedEffectsClassifier("diagonal"),
        "d_mixed_full": MixedEffectsClassifier("full"),
    }


def log_loss(p, y, classes):
    chosen = p[np.arange(len(y)), np.searchsorted(classes, y)]
    return -np.log(np.clip(chosen, 1e-6, 1)).mean()


def run_rival(name, estimator, train, validation, episodes, regression):
    see = Polynomial(train.X) if name.endswith("poly") else None
    if see is not None:
        train, validation = see.tasks(train), see.tasks(validation)
    estimator.meta_fit(train, validation_tasks=validation)
    for k, task, X, y, X_query, y_query in episodes:
        if see is not None:
            X, X_query = see(X), see(X_query)
        estimator.fit(X, y)
        if regression:
            loss = np.mean((estimator.predict(X_query) - y_query) ** 2)
        else:
            p = estimator.predict_proba(X_query)
            loss = log_loss(p, y_query, estimator.classes_)
        yield {"method": name, "K": k, "task": task, "loss": loss}


def run_ours(system, train, validation, episodes, regression, seed):
    regressor, classifier = SYSTEMS[system]
    estimator = (regressor if regression else classifier)(random_state=seed)
    start = time.process_time()
    estimator.meta_fit(train, validation_tasks=validation)
    seconds = time.process_time() - start
    adapted = [(X, y, X_query) for _, _, X, y, X_query, _ in episodes]
    if regression:
        predictions = estimator.predict_episodes(adapted, return_std=True)
    else:
        predictions = estimator.predict_episodes(adapted, return_proba=True)
    for (k, task, *_, y), prediction in zip(episodes, predictions, strict=True):
        row = {"method": system, "K": k, "task": task, "seconds": seconds}
        if regression:
            mean, std = prediction
            row["loss"] = np.mean((mean - y) ** 2)
            row["covered"] = np.mean(np.abs(mean - y) <= 1.6449 * std)
        else:
            row["loss"] = log_loss(prediction, y, estimator.classes_)
            p = prediction[:, 1]
            row["p"], row["hit"] = p.tolist(), (y == estimator.classes_[1]).tolist()
        yield row


def run(path, seed, method):
    """Scores of one method on one collection and split, a row an episode."""
    warnings.filterwarnings("ignore", module="sklearn")
    tasks, regression = load(path)
    train, validation, test, positions = split(tasks, seed)
    episodes = list(draw_episodes(test, positions, seed))
    known = train, validation, episodes, regression
    if method in SYSTEMS:
        rows = run_ours(method, *known, seed)
    elif method == "mean":
        mean = train.y.mean()
        rows = (
            {"method": "mean", "K": k, "task": i, "loss": np.mean((mean - y) ** 2)}
            for k, i, *_, y in episodes
        )
    else:
        rows = run_rival(method, rivals(regression)[method], *known)
    frame = pd.DataFrame(list(rows))
    frame["collection"], frame["seed"] = path.stem, seed
    frame["regression"] = regression
    return frame


def methods_of(path, systems):
    """The names of all methods that a collection is for."""
    regression = load(path)[1]
    return [*systems, *rivals(regression), *(["mean"] if regression else [])]


def calibration_error(p, hit, n_bins=10):
    """Expected calibration error over bins of equal width."""
    p, hit = np.asarray(p), np.asarray(hit)
    bins = np.minimum((p * n_bins).astype(int), n_bins - 1)
    share = np.bincount(bins, minlength=n_bins) / len(p)
    gap = [abs(p[bins == b].mean() - hit[bins == b].mean()) if share[b] else 0
           for b in range(n_bins)]  # fmt: skip
    return float(share @ gap)


def report(frame):
    """Print the row of each collection and system of ours."""
    for name, one in frame.groupby("collection"):
        regression = bool(one.regression.iloc[0])
        losses = one.groupby(["seed", "K", "method"]).loss.mean().unstack("method")
        scores = 1 - losses.div(losses["mean"], axis=0) if regression else losses
        table = scores.groupby("K").mean()
        rivals = table[[c for c in table if c[:2] in ("c_", "d_")]]
        best = rivals.max(axis=1) if regression else rivals.min(axis=1)
        known = [system for system in SYSTEMS if system in table]
        for system in known:
            others = [best] if system == known[0] else [best, table[known[0]]]
            cells = [""] * len(SHOTS)
            for k in table.index:
                score = table[system][k]
                differences = (f", {score - other[k]:+.3f}" for other in others)
                cells[SHOTS.index(k)] = f"{score:.3f}{''.join(differences)}"
            ours = one[one.method == system]
            if regression:
                cells.append(f"{ours.covered.mean():.0%}")
            else:
                errors = [
                    calibration_error(
                        *(at[c].explode().astype(float) for c in ("p", "hit"))
                    )
                    for _, at in ours.groupby("K")
                ]
                cells.append(f"{min(errors):.3f} to {max(errors):.3f}")
            cells += [f"{ours.seconds.max():.0f}", f"{one.seed.nunique()}"]
            print(f"| {name}, {system} | {' | '.join(cells)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=["attention"])
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--jobs", type=int, default=1, help="methods side by side")
    parser.add_argument(
        "--out", type=Path, help="json lines; runs in it are not redone"
    )
    options = parser.parse_args()
    names = options.names or sorted(p.stem for p in options.data.glob("*.npz"))
    machine = platform.processor() or platform.machine()
    print(f"{machine}, settings: defaults, {options.jobs} methods side by side")
    frames = []
    if options.out and options.out.exists():
        frames = [pd.read_json(options.out, lines=True)]
    done = {
        run
        for f in frames
        for run in f.groupby(["collection", "seed", "method"]).groups
    }
    seeds, paths = options.seeds.split(","), [options.data / f"{n}.npz" for n in names]
    runs = [
        (path, int(seed), method)
        for seed in seeds
        for path in paths
        for method in methods_of(path, options.systems)
        if (path.stem, int(seed), method) not in done
    ]
    side_by_side = Parallel(options.jobs, return_as="generator_unordered")
    for frame in tqdm(side_by_side(delayed(run)(*r) for r in runs), total=len(runs)):
        frames.append(frame)
        if options.out:
            frame.to_json(options.out, orient="records", lines=True, mode="a")
    print(
        f"| | {' | '.join(f'K = {k}' for k in SHOTS)} | inside 90%, or calibration "
        "error | seconds | splits |"
    )
    report(pd.concat(frames, ignore_index=True))


if __name__ == "__main__":
    main()
