"""What a large task costs, and whether what `fit` keeps gives the same predictions.

    python benchmarks/large_tasks.py [--rows 10000]

For each regressor, after meta-training on 100 small tasks: seconds and peak memory of
one `fit` to so many rows and one `predict` of as many others with their deviations, in
a process of its own; and the largest difference between predictions for 1,000 rows that
`fit` has made ready for, those of `predict_episodes`, which starts from the raw rows,
and those of `predict` one row at a time, in deviations of the targets. One thread.
"""

import argparse
import platform
import resource
import subprocess
import sys
import time

import numpy as np

import skmeta
from skmeta._utils.threads import single_thread
from skmeta.datasets import make_linear_tasks

SYSTEMS = ("Attention", "SelfAttention", "Transformer")


def measure(system, n_rows):
    """Print seconds, gigabytes and differences of one regressor."""
    tasks = make_linear_tasks(100, n_rows=30, n_features=10, random_state=0)
    learner = getattr(skmeta, f"{system}MetaRegressor")(max_epochs=3, random_state=0)
    learner.meta_fit(tasks)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2 * n_rows, 10))
    y = X @ rng.normal(size=10) + np.sin(3 * X[:, 0]) + rng.normal(size=len(X))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    start = time.perf_counter()
    learner.fit(X[:n_rows], y[:n_rows])
    fitted = time.perf_counter()
    learner.predict(X[n_rows:], return_std=True)
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    support, query = slice(0, 40), slice(n_rows, n_rows + 1000)
    learner.fit(X[support], y[support])
    kept = learner.predict(X[query])
    (anew,) = learner.predict_episodes([(X[support], y[support], X[query])])
    single = np.concatenate([learner.predict(x[None]) for x in X[query][:100]])
    print(
        f"| {system} | {fitted - start:.1f} | {done - fitted:.1f} | {peak:.2f} | "
        f"{before:.2f} | {np.abs(kept - anew).max() / y.std():.1e} | "
        f"{np.abs(kept[:100] - single).max() / y.std():.1e} |",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--system", choices=SYSTEMS)
    options = parser.parse_args()
    if options.system:
        with single_thread():
            measure(options.system, options.rows)
        return
    print(platform.processor() or platform.machine(), f"{options.rows:,} rows")
    print(
        "| | seconds of fit | of predict | GB at most | GB before | "
        "from raw rows | one row at a time |",
        flush=True,
    )
    for system in SYSTEMS:
        more = ["--system", system, "--rows", str(options.rows)]
        subprocess.run([sys.executable, __file__, *more], check=True)


if __name__ == "__main__":
    main()
