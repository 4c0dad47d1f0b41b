"""Cost and quality against the number of columns.

    python benchmarks/many_columns.py [N_COLUMNS ...] [--epochs 2]

35 tasks of 20 rows are learned from, 10 others predicted after eight rows. Targets
depend on five columns of many, with a slope of each task's own ("sparse"), or on five
directions of all columns ("latent"). Printed are R2 of `AttentionMetaRegressor`, with
and without a pooled estimator, and of a ridge for each task; the CPU seconds of
`meta_fit`; and the most memory that the process has taken so far.
"""

import argparse
import platform
import resource
import time

import numpy as np
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


def r2(model, tasks):
    """Mean R2 of the rows after the first eight."""
    errors = [
        ((model.fit(X[:8], y[:8]).predict(X[8:]) - y[8:]) ** 2).mean() / y[8:].var()
        for X, y in tasks
    ]
    return 1 - np.mean(errors)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("n_columns", nargs="*", type=int, default=[20, 60, 100, 2000])
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, max_epochs={args.epochs}")
    for n_columns in args.n_columns:
        for latent in (False, True):
            tasks = list(make(45, n_columns, latent))
            ridge = r2(RidgeCV(np.logspace(-2, 5, 15)), tasks[35:])
            for pooled in (None, "auto"):
                model = AttentionMetaRegressor(
                    pooled_estimator=pooled, max_epochs=args.epochs, random_state=0
                )
                start = time.process_time()
                model.meta_fit(tasks[:35])
                seconds = time.process_time() - start
                memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
                print(
                    f"{n_columns} columns, {'latent' if latent else 'sparse'}, pooled "
                    f"{pooled}: R2 {r2(model, tasks[35:]):.2f} (ridge {ridge:.2f}), "
                    f"{seconds:.1f} s, {memory:.2f} GB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
