"""Meta-training on tasks of two or three rows, compared with a mixed model.

    python benchmarks/few_rows.py [--seeds 0 1 2 3] [--epochs 2]

Meta-training has 60 linear tasks of so few rows; 10 others are predicted from eight
rows. Printed are the R2 of `AttentionMetaRegressor` with default parameters but for the
number of epochs, and of `MixedEffectsRegressor`, for each seed, and the mean
difference.
"""

import numpy as np
from _results import argument_parser, open_results
from _shared import r2_after_eight

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
    parser = argument_parser(__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3])
    parser.add_argument("--epochs", type=int, default=2)
    options, results = open_results(parser, key=("n_rows", "seed"))
    results.heading(f"max_epochs={options.epochs}")
    for n_rows in (2, 3):
        found = []
        for seed in options.seeds:
            tasks = list(make(70, seed))
            known = [(X[:n_rows], y[:n_rows]) for X, y in tasks[:60]]
            models = (
                AttentionMetaRegressor(max_epochs=options.epochs, random_state=0),
                MixedEffectsRegressor(),
            )
            ours, mixed = (
                r2_after_eight(model.meta_fit(known), tasks[60:]) for model in models
            )
            found.append(ours - mixed)
            results.add(
                f"{n_rows} rows, seed {seed}: {ours:.3f}, mixed model {mixed:.3f}",
                n_rows=n_rows, seed=seed, r2=ours, r2_mixed_model=mixed,
            )  # fmt: skip
        difference = np.mean(found)
        results.add(
            f"{n_rows} rows, mean difference {difference:+.3f}",
            n_rows=n_rows, seed="mean", difference=difference,
        )  # fmt: skip


if __name__ == "__main__":
    main()
