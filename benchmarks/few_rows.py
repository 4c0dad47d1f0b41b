"""Tasks of two or three rows: what is learned of them, next to a mixed model.

    python benchmarks/few_rows.py [--seeds 0 1 2 3] [--epochs 2]

60 linear tasks of so few rows are learned from, 10 others predicted after eight rows.
Printed is the R2 of `AttentionMetaRegressor` with default parameters but for the number
of epochs, and of `MixedEffectsRegressor`, for each seed, and the mean difference.
"""

import argparse
import platform

import numpy as np
from many_columns import r2

from skmeta import AttentionMetaRegressor
from skmeta.baselines import MixedEffectsRegressor


def make(n_tasks, seed):
    """Tasks (X, y) of 20 rows and three columns."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=3)
    for _ in range(n_tasks):
        X = rng.normal(size=(20, 3))
        y = X @ (shared + 0.5 * rng.normal(size=3)) + rng.normal()
        yield X, y + 0.1 * rng.normal(size=20)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3])
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, max_epochs={args.epochs}")
    for n_rows in (2, 3):
        found = []
        for seed in args.seeds:
            tasks = list(make(70, seed))
            known = [(X[:n_rows], y[:n_rows]) for X, y in tasks[:60]]
            models = (
                AttentionMetaRegressor(max_epochs=args.epochs, random_state=0),
                MixedEffectsRegressor(),
            )
            found.append([r2(model.meta_fit(known), tasks[60:]) for model in models])
            ours, mixed = found[-1]
            print(f"{n_rows} rows, seed {seed}: {ours:.3f}, mixed model {mixed:.3f}")
        difference = -np.diff(found, axis=1).mean()
        print(f"{n_rows} rows, mean difference {difference:+.3f}", flush=True)


if __name__ == "__main__":
    main()
