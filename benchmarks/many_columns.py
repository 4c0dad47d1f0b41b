"""Cost and accuracy as a function of the number of columns.

    python benchmarks/many_columns.py [N_COLUMNS ...] [--epochs 2]

Meta-training has 35 tasks of 20 rows; 10 others are predicted from eight rows. Targets
depend on five columns of many, with task-specific slopes ("sparse"), or on five
directions of all columns ("latent"). Printed are R2 of `AttentionMetaRegressor`, with
and without a pooled estimator, and of a ridge for each task; the CPU seconds of
`meta_fit`; and the most memory that the process has taken so far.
"""

import resource
import time

import numpy as np
from _results import argument_parser, open_results
from _shared import r2_after_eight
from sklearn.linear_model import RidgeCV

from skmeta import AttentionMetaRegressor


def make(n_tasks, n_columns, latent):
    """Tasks (X, y)."""
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(5, n_columns))
    for _ in range(n_tasks):
        X = rng.normal(size=(20, n_columns))
        told = X[:, :5]
        if latent:
            told = rng.normal(size=(20, 5))
            X = told @ loadings + 0.1 * X
        y = told @ (1 + 0.5 * rng.normal(size=5)) + rng.normal()
        yield X, y + 0.1 * rng.normal(size=20)


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("n_columns", nargs="*", type=int, default=[20, 60, 100, 2000])
    parser.add_argument("--epochs", type=int, default=2)
    options, results = open_results(
        parser, key=("n_columns", "targets", "pooled_estimator"), free=("n_columns",)
    )
    results.heading(f"max_epochs={options.epochs}")
    for n_columns in options.n_columns:
        for latent in (False, True):
            targets = "latent" if latent else "sparse"
            tasks = list(make(45, n_columns, latent))
            ridge = r2_after_eight(RidgeCV(np.logspace(-2, 5, 15)), tasks[35:])
            for pooled in (None, "auto"):
                model = AttentionMetaRegressor(
                    pooled_estimator=pooled, max_epochs=options.epochs, random_state=0
                )
                start = time.process_time()
                model.meta_fit(tasks[:35])
                seconds = time.process_time() - start
                memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
                ours = r2_after_eight(model, tasks[35:])
                results.add(
                    f"{n_columns} columns, {targets}, pooled {pooled}: R2 {ours:.2f} "
                    f"(ridge {ridge:.2f}), {seconds:.1f} s, {memory:.2f} GB",
                    n_columns=n_columns, targets=targets, pooled_estimator=pooled,
                    r2=ours, r2_ridge=ridge, meta_fit_seconds=seconds, peak_gb=memory,
                )  # fmt: skip


if __name__ == "__main__":
    main()
