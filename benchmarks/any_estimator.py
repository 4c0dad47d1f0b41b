"""Scikit-learn estimators as base learners, compared with the same estimators alone.

    python benchmarks/any_estimator.py DATA [NAME ...] [--k 5] [--seed 0]

R2 from K rows of new tasks, by the protocol of `real_collections.py`, of: the
estimator as base learner of a `SelfAttentionMetaRegressor`; the same on the K rows
alone (their mean where the estimator needs more); the same on all meta-training rows;
and that with the intercept shifted by the mean residual of the K rows.
"""

import warnings

import numpy as np
from _results import open_results
from _shared import collections_parser, draw_episodes, load, split
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import SVR

from skmeta import SelfAttentionMetaRegressor

ESTIMATORS = [
    Ridge(),
    SVR(),
    KNeighborsRegressor(),
    RandomForestRegressor(random_state=0),
    HistGradientBoostingRegressor(random_state=0),
]
MAX_ROWS = 10_000
"""Rows that a pooled estimator is fitted to, at most."""


def alone(estimator, X, y, X_query):
    try:
        return clone(estimator).fit(X, y).predict(X_query)
    except ValueError:  # nearest neighbours want five rows
        return np.full(len(X_query), y.mean())


def main():
    parser = collections_parser(__doc__, ["suzuki", "nox", "vietnam"])
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options, results = open_results(
        parser, key=("collection", "estimator"), free=("names",)
    )
    warnings.filterwarnings("ignore", module="sklearn")
    results.heading(f"K={options.k}")
    for name in options.names:
        tasks, _ = load(options.data / f"{name}.npz")
        train, validation, test, places = split(tasks, options.seed)
        episodes = [
            e[2:]
            for e in draw_episodes(test, places, options.seed)
            if e[0] == options.k
        ]
        mean = np.mean([np.mean((train.y.mean() - e[3]) ** 2) for e in episodes])

        def r2(predictions, episodes=episodes, mean=mean):
            pairs = zip(predictions, episodes, strict=True)
            return 1 - np.mean([np.mean((p - e[3]) ** 2) for p, e in pairs]) / mean

        ours = SelfAttentionMetaRegressor(Ridge(), random_state=0)
        ours.meta_fit(train, validation_tasks=validation)
        some = np.random.default_rng(0).permutation(len(train.y))[:MAX_ROWS]
        adapted = [e[:3] for e in episodes]
        for estimator in ESTIMATORS:
            with_us = clone(ours).set_params(base_learner=estimator)
            pooled = clone(estimator).fit(train.X[some], train.y[some])
            said = [pooled.predict(Q) for _, _, Q in adapted]
            shifted = [
                p + np.mean(y - pooled.predict(X))
                for p, (X, y, _) in zip(said, adapted, strict=True)
            ]
            scores = {
                "base_learner": r2(with_us.predict_episodes(adapted)),
                "alone": r2([alone(estimator, *e) for e in adapted]),
                "pooled": r2(said),
                "shifted": r2(shifted),
            }
            line = ", ".join(f"{how} {score:.3f}" for how, score in scores.items())
            kind = type(estimator).__name__
            results.add(
                f"{name} {kind}: {line}", collection=name, estimator=kind,
                **{f"r2_{how}": score for how, score in scores.items()},
            )  # fmt: skip


if __name__ == "__main__":
    main()
