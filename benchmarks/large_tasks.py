"""Cost of a large task, and agreement of predictions made in different ways.

    python benchmarks/large_tasks.py [--rows 10000]

For each regressor, after meta-training on 100 small tasks: seconds and peak memory of
one `fit` to so many rows and one `predict` of as many others with their standard
deviations, in a separate process; and the largest difference between predictions for
1,000 rows after `fit`, those of `predict_episodes`, which starts from the raw rows, and
those of `predict` one row at a time, in standard deviations of the targets. One thread.
"""

import resource
import subprocess
import sys
import time

import numpy as np
from _results import argument_parser, open_results

import skmeta
from skmeta._utils.threads import single_thread
from skmeta.datasets import make_linear_tasks

SYSTEMS = ("Attention", "SelfAttention", "Transformer")


def measure(results, system, n_rows):
    """Seconds, gigabytes and differences of one regressor."""
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
    from_raw = np.abs(kept - anew).max() / y.std()
    one_by_one = np.abs(kept[:100] - single).max() / y.std()
    results.add(
        f"| {system} | {fitted - start:.1f} | {done - fitted:.1f} | {peak:.2f} | "
        f"{before:.2f} | {from_raw:.1e} | {one_by_one:.1e} |",
        system=system, fit_seconds=fitted - start, predict_seconds=done - fitted,
        peak_gb=peak, before_gb=before, difference_from_raw_rows=from_raw,
        difference_one_row_at_a_time=one_by_one,
    )  # fmt: skip


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--system", choices=SYSTEMS)
    options, results = open_results(parser, key=("system",), free=("system",))
    if options.system:
        with single_thread():
            measure(results, options.system, options.rows)
        return
    results.heading(
        f"{options.rows:,} rows\n| | seconds of fit | of predict | GB at most | "
        "GB before | from raw rows | one row at a time |"
    )
    for system in SYSTEMS:
        more = ["--system", system, *sys.argv[1:]]
        subprocess.run([sys.executable, __file__, *more], check=True)


if __name__ == "__main__":
    main()
