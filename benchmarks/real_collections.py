"""The three systems and classical baselines on real collections of tasks.

    python benchmarks/real_collections.py DATA [NAME ...] [--seeds 0,1,2] [--jobs 1]
        [--systems attention self-attention transformer] [--out FILE]

DATA is a folder of ``NAME.npz`` with X, y, groups and kind. Tasks are split 60/20/20
into meta-training, validation and test tasks (at most 40 of these); on each test task
five random episodes are drawn for each number of support rows K, with at most 100 query
rows. Every method sees the same tasks and the same episodes. Regression is scored by
R2 relative to the meta-training mean, 1 - MSE / MSE of that mean, classification by
log loss. Methods: ``c_`` a pooled estimator and its adaptations, ``d_`` mixed-effects
models and a ridge with a shared GP, and ours with default parameters.

Printed is a row of a table for each collection and system, means over splits: at each K
the score, its difference to the best baseline at that K, and that to the first of ours;
the coverage of 90% intervals over all K (for classification the range of the expected
calibration error over K); the CPU seconds of the longest `meta_fit`; and the number of
splits. Episodes' scores are kept in the file ``--out``, so that a run can be resumed.
"""

import time
import warnings

import numpy as np
import pandas as pd
from _results import open_results
from _shared import (
    CLASSIFIERS,
    REGRESSORS,
    SHOTS,
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
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from skmeta import TaskCollection
from skmeta.baselines import (
    MixedEffectsClassifier,
    MixedEffectsRegressor,
    PooledClassifier,
    PooledRegressor,
)


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


def run_rival(name, estimator, train, validation, episodes, regression):
    if name.endswith("poly"):
        see = Polynomial(train.X)
        train, validation = see.tasks(train), see.tasks(validation)
        episodes = [(*e[:2], see(e[2]), e[3], see(e[4]), e[5]) for e in episodes]
    estimator.meta_fit(train, validation_tasks=validation)
    return losses_of_rival(estimator, episodes, regression)


def run_ours(system, train, validation, episodes, regression, seed):
    systems = REGRESSORS if regression else CLASSIFIERS
    estimator = systems[system](random_state=seed)
    start = time.process_time()
    estimator.meta_fit(train, validation_tasks=validation)
    seconds = time.process_time() - start
    for row in losses_of_ours(estimator, episodes, regression):
        yield row | {"seconds": seconds}


def run(path, seed, method):
    """Scores of one method on one collection and split, a row an episode."""
    warnings.filterwarnings("ignore", module="sklearn")
    tasks, regression = load(path)
    train, validation, test, positions = split(tasks, seed)
    episodes = list(draw_episodes(test, positions, seed))
    known = train, validation, episodes, regression
    if method in REGRESSORS:
        rows = run_ours(method, *known, seed)
    elif method == "mean":
        rows = losses_of_mean(train.y.mean(), episodes)
    else:
        rows = run_rival(method, rivals(regression)[method], *known)
    frame = pd.DataFrame(list(rows))
    frame["collection"], frame["seed"], frame["method"] = path.stem, seed, method
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


def report(frame, results):
    """The row of each collection and system of ours."""
    for name, one in frame.groupby("collection"):
        regression = bool(one.regression.iloc[0])
        losses = one.groupby(["seed", "K", "method"]).loss.mean().unstack("method")
        scores = 1 - losses.div(losses["mean"], axis=0) if regression else losses
        table = scores.groupby("K").mean()
        rivals = table[[c for c in table if c[:2] in ("c_", "d_")]]
        best = rivals.max(axis=1) if regression else rivals.min(axis=1)
        known = [system for system in REGRESSORS if system in table]
        others = {"to_best_baseline": best, f"to_{known[0]}": table[known[0]]}
        for system in known:
            compared = dict(list(others.items())[: 1 + (system != known[0])])
            ours = one[one.method == system]
            row = {
                "collection": name, "system": system,
                "measure": "R2" if regression else "log loss",
                "n_splits": one.seed.nunique(), "seconds": ours.seconds.max(),
                **reliability(ours, regression), **commits(ours, results),
            }  # fmt: skip
            cells = [""] * len(SHOTS)
            for k, score in table[system].items():
                row[f"score_{k}"] = score
                differences = {how: score - other[k] for how, other in compared.items()}
                row |= {f"{how}_{k}": value for how, value in differences.items()}
                more = "".join(f", {value:+.3f}" for value in differences.values())
                cells[SHOTS.index(k)] = f"{score:.3f}{more}"
            if regression:
                cells.append(f"{row['coverage_90']:.0%}")
            else:
                cells.append(
                    "{calibration_min:.3f} to {calibration_max:.3f}".format(**row)
                )
            cells += [f"{row['seconds']:.0f}", f"{row['n_splits']}"]
            results.add(f"| {name}, {system} | {' | '.join(cells)} |", **row)


def reliability(ours, regression):
    """Coverage of 90% intervals, or the range of the calibration error over K."""
    if regression:
        return {"coverage_90": ours.covered.mean()}
    errors = [
        calibration_error(*(at[c].explode().astype(float) for c in ("p", "hit")))
        for _, at in ours.groupby("K")
    ]
    return {"calibration_min": min(errors), "calibration_max": max(errors)}


def main():
    parser = collections_parser(__doc__)
    parser.add_argument(
        "--systems", nargs="+", choices=REGRESSORS, default=["attention"]
    )
    add_run_options(parser)
    options, results = open_results(
        parser, key=("collection", "system"), free=("names", "systems", "jobs"),
        cores="jobs",
    )  # fmt: skip
    names = options.names or sorted(p.stem for p in options.data.glob("*.npz"))
    results.heading(f"settings: defaults, {options.jobs} methods side by side")
    paths = [options.data / f"{name}.npz" for name in names]
    runs = [
        (path, int(seed), method)
        for seed in options.seeds.split(",")
        for path in paths
        for method in methods_of(path, options.systems)
    ]
    columns = ["collection", "seed", "method"]
    frame = run_all(run, runs, columns, options, results.run["commit"])
    results.print(
        f"| | {' | '.join(f'K = {k}' for k in SHOTS)} | coverage of 90% intervals, or "
        "calibration error | seconds | splits |"
    )
    report(frame, results)


if __name__ == "__main__":
    main()
