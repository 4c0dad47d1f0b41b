"""The Transformer on few meta-training tasks, compared with its own base learner.

    python benchmarks/few_tasks.py DATA [NAME ...] [--seed 0]

Meta-training on the first 3, 10, 30, 100 and 200 (or all) of the meta-training and
validation tasks of ``real_collections.py``; R2 on its test tasks, mean over K = 3, 5
and 10, of `TransformerMetaRegressor`, of the same without meta-training
(``max_epochs=0``: the GP prior fitted to all tasks), and their difference with its
standard error over test tasks.
"""

import numpy as np
import pandas as pd
from _results import open_results
from _shared import collections_parser, draw_episodes, load, split

from skmeta import TaskCollection, TransformerMetaRegressor

SIZES = (3, 10, 30, 100, 200)
SHOTS = (3, 5, 10)


def losses(learner, episodes):
    """Squared error of each episode, relative to that of the mean, by test task."""
    predictions = learner.predict_episodes([e[2:5] for e in episodes])
    rows = [
        (task, np.mean((p - y) ** 2))
        for (_, task, *_, y), p in zip(episodes, predictions, strict=True)
    ]
    return pd.DataFrame(rows, columns=["task", "loss"]).groupby("task").loss.mean()


def main():
    parser = collections_parser(__doc__, ["suzuki", "nox", "vietnam"])
    parser.add_argument("--seed", type=int, default=0)
    options, results = open_results(parser, key=("collection", "size"), free=("names",))
    results.heading("R2, mean over K = 3, 5, 10")
    for name in options.names:
        tasks, _ = load(options.data / f"{name}.npz")
        train, validation, test, places = split(tasks, options.seed)
        known = TaskCollection([*train, *validation])
        episodes = draw_episodes(test, places, options.seed)
        episodes = [e for e in episodes if e[0] in SHOTS]
        of_mean = np.mean([np.mean((known.y.mean() - e[5]) ** 2) for e in episodes])
        for size in SIZES:
            some = known[:size]
            ours, base = (
                losses(
                    TransformerMetaRegressor(
                        random_state=options.seed, **settings
                    ).meta_fit(some),
                    episodes,
                )
                / of_mean
                for settings in ({}, {"max_epochs": 0})
            )
            gain = base - ours
            error = gain.std() / len(gain) ** 0.5
            results.add(
                f"{name}, {len(some)} tasks: {1 - ours.mean():.4f}, base learner "
                f"{1 - base.mean():.4f}, difference {gain.mean():+.4f} +- {error:.4f}",
                collection=name, size=size, n_tasks=len(some), r2=1 - ours.mean(),
                r2_base_learner=1 - base.mean(), difference=gain.mean(),
                difference_se=error,
            )  # fmt: skip
            if len(some) == len(known):
                break


if __name__ == "__main__":
    main()
