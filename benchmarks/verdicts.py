"""Results of `compare` on real collections.

    python benchmarks/verdicts.py DATA [NAME ...] [--jobs 2] [--seed 0]

DATA is a folder of ``NAME.npz`` with X, y, groups and kind. Printed is a line a
collection, as a row of a table: whether meta-learning is worth it, the gain over the
best baseline at each K, the gain of the mean over K with its 95% interval over tasks,
and wall-clock seconds. ``--text`` prints the text of the comparison, too.
"""

import time

from _results import open_results
from _shared import collections_parser, load

from skmeta.model_selection import compare

NAMES = ("suzuki", "nox", "gapminder", "train_choice", "hsb", "ome")


def main():
    parser = collections_parser(__doc__, NAMES)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--text", action="store_true")
    options, results = open_results(
        parser, key=("collection",), free=("names", "jobs", "text"), cores="jobs"
    )
    results.heading(f"{options.jobs} jobs")
    results.print("| | worth it | metric | gain at each K | mean over K | seconds |")
    for name in options.names:
        tasks, _ = load(options.data / f"{name}.npz")
        start = time.perf_counter()
        comparison = compare(
            None, tasks, n_jobs=options.jobs, random_state=options.seed
        )
        seconds = time.perf_counter() - start
        summary = list(comparison.summary())
        gains = ", ".join(
            f"{row.gain:+.3f} {row.finding} (K = {row.n_support})" for row in summary
        )
        gain, low, high = comparison.mean_gain()
        worth_it = bool(comparison.worth_it)
        results.add(
            f"| {name} | {'yes' if worth_it else 'no'} | "
            f"{comparison.metric} | {gains} | {gain:+.3f} [{low:+.3f}, {high:+.3f}] | "
            f"{seconds:.0f} |",
            collection=name, worth_it=worth_it, metric=comparison.metric,
            mean_gain=gain, mean_gain_low=low, mean_gain_high=high, seconds=seconds,
            **{f"gain_{row.n_support}": row.gain for row in summary},
            **{f"finding_{row.n_support}": row.finding for row in summary},
        )  # fmt: skip
        if options.text:
            results.print(f"\n{comparison}\n")


if __name__ == "__main__":
    main()
