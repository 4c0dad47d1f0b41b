"""Intervals of rows unlike those of meta-training, widened and not.

    python benchmarks/unlike_rows.py DATA [NAME ...] [--splits 0 1 2]

Of collections of regression, three ways to be unlike:

- beyond: the first column of many values is cut at its 40% quantile; what lies farther
  beyond than the standard deviation of the rows on this side is predicted from tasks
  and supports on this side;
- missing anew: a fifth of the cells of query rows is removed; meta-training has all;
- missing: a fifth of all cells is removed, in meta-training and supports, too.

Printed are, for the rows that are unlike and have five support rows, the coverage of
90% intervals and the mean log density in nats, both as predicted and by the base
learner alone, without `row_uncertainty`.
"""

from dataclasses import replace

import numpy as np
from _results import open_results
from _shared import collections_parser, split_fifths

from skmeta import AttentionMetaRegressor, TaskCollection

K, SHARE = 5, 0.2


def load(path):
    """Rows, targets and tasks of a collection."""
    with np.load(path, allow_pickle=True) as data:
        return data["X"].astype(np.float64), data["y"], data["groups"].astype(str)


def beyond(X, rng):
    """``(X, X of queries, whether for meta-training, whether unlike)``, of rows."""
    x = next(column for column in X.T if len(np.unique(column)) > 10)
    near = x <= np.quantile(x, 0.4)
    return X, X, near, x > x[near].max() + x[near].std()


def missing_anew(X, rng):
    """As `beyond`."""
    holes = np.where(rng.random(X.shape) < SHARE, np.nan, X)
    return X, holes, np.ones(len(X), bool), np.isnan(holes).any(1)


def missing(X, rng):
    """As `beyond`."""
    holes = np.where(rng.random(X.shape) < SHARE, np.nan, X)
    return holes, holes, np.ones(len(X), bool), np.isnan(holes).any(1)


def episodes(tasks, flags, rng):
    """Of each task five support rows, and the other rows that are unlike."""
    near, unlike = flags
    for t, task in enumerate(tasks):
        rows = slice(*tasks.offsets[t : t + 2])
        order = rng.permutation(len(task.y))
        support = order[near[rows][order]][:K]
        query = np.setdiff1d(np.flatnonzero(unlike[rows]), support)
        if len(support) == K and len(query):
            yield rows.start + support, rows.start + query


def measured(model, X, X_query, y, rows):
    """Coverage of 90% intervals, and mean log density."""
    inside, density = [], []
    for support, query in rows:
        model.fit(X[support], y[support])
        low, high = model.predict_quantiles(X_query[query], [0.05, 0.95]).T
        inside.append((low <= y[query]) & (y[query] <= high))
        density.append(model.log_prob(X_query[query], y[query]))
    return np.concatenate(inside).mean(), np.concatenate(density).mean()


def main():
    parser = collections_parser(__doc__, ["gapminder", "nox", "vietnam", "nlswork"])
    parser.add_argument("--splits", nargs="+", type=int, default=[0])
    options, results = open_results(parser, key=("collection", "rows"), free=("names",))
    results.heading(f"{K} support rows")
    for name in options.names:
        for way in (beyond, missing_anew, missing):
            found = []
            for seed in options.splits:
                rng = np.random.default_rng(seed)
                X, y, groups = load(options.data / f"{name}.npz")
                order = np.argsort(groups, kind="stable")
                X, X_query, near, unlike = way(X[order], rng)
                y, groups = y[order], groups[order]
                names, count = np.unique(groups[near], return_counts=True)
                at = near & np.isin(groups, names[count >= 4])
                known = TaskCollection.from_arrays(X[at], y[at], groups[at])
                known, validation, _ = split_fifths(known, seed)
                model = AttentionMetaRegressor(random_state=0)
                model.meta_fit(known, validation_tasks=validation)
                new = ~np.isin(groups, known.names + validation.names)
                names, count = np.unique(groups, return_counts=True)
                at = np.flatnonzero(new & np.isin(groups, names[count > K]))
                tasks = TaskCollection.from_arrays(X[at], y[at], groups[at])[:40]
                flags = near[at], unlike[at]
                rows = list(episodes(tasks, flags, rng))
                given = X[at], X_query[at], y[at], rows
                sides = [measured(model, *given)]
                model.meta_state_ = replace(model.meta_state_, seen=None)
                found.append([*sides, measured(model, *given)])
            (inside, density), (inside0, density0) = np.mean(found, 0)
            results.add(
                f"{name}, {way.__name__}: inside 90% {inside:.0%}, without "
                f"{inside0:.0%}; nats {density:.2f}, without {density0:.2f}",
                collection=name, rows=way.__name__, coverage_90=inside,
                coverage_90_without=inside0, log_density=density,
                log_density_without=density0,
            )  # fmt: skip


if __name__ == "__main__":
    main()
