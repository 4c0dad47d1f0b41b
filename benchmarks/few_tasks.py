"""The Transformer on few meta-training tasks, next to its own base learner.

    python benchmarks/few_tasks.py DATA [NAME ...] [--seed 0]

Meta-training on the first 3, 10, 30, 100 and 200 (or all) of the tasks that
``real_collections.py`` learns from and stops on; R2 on its test tasks, mean over K = 3,
5 and 10, of `TransformerMetaRegressor`, of the same without meta-training
(``max_epochs=0``: the process fitted to all tasks, and all that is put around it
later), and their difference with its standard error over test tasks.
"""

import argparse
import platform
from pathlib import Path

import numpy as np
import pandas as pd
from real_collections import draw_episodes, load, split

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
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(platform.processor() or platform.machine(), "R2, mean over K = 3, 5, 10")
    for name in options.names or ["suzuki", "nox", "vietnam"]:
        tasks, _ = load(options.data / f"{name}.npz")
        train, validation, test, places = split(tasks, options.seed)
        known = TaskCollection([*train, *validation])
        episodes = draw_episodes(test, places, options.seed)
        episodes = [e for e in episodes if e[0] in SHOTS]
        of_mean = np.mean([np.mean((known.y.mean() - e[5]) ** 2) for e in episodes])
        for n in sorted({min(n, len(known)) for n in SIZES}):
            some = known[:n]
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
            print(
                f"{name}, {n} tasks: {1 - ours.mean():.4f}, base learner "
                f"{1 - base.mean():.4f}, difference {gain.mean():+.4f} +- "
                f"{gain.std() / len(gain) ** 0.5:.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
