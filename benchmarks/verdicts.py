"""What `compare` says of real collections.

    python benchmarks/verdicts.py DATA [NAME ...] [--jobs 2] [--seed 0]

DATA is a folder of ``NAME.npz`` with X, y, groups and kind. Printed is a line a
collection, as a row of a table: whether meta-learning is worth it, the gain over the
best rival at each K, the gain of the mean over K with its 95% interval over tasks, and
the seconds it took by the clock. ``--text`` prints all that is said, too.
"""

import argparse
import platform
import time
from pathlib import Path

from real_collections import load

from skmeta.model_selection import compare

NAMES = ("suzuki", "nox", "gapminder", "train_choice", "hsb", "ome")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--text", action="store_true")
    options = parser.parse_args()
    print(platform.processor() or platform.machine(), f"{options.jobs} jobs")
    print("| | worth it | metric | gain at each K | mean over K | seconds |")
    for name in options.names:
        tasks, _ = load(options.data / f"{name}.npz")
        start = time.perf_counter()
        comparison = compare(
            None, tasks, n_jobs=options.jobs, random_state=options.seed
        )
        seconds = time.perf_counter() - start
        gains = ", ".join(
            f"{row.gain:+.3f} {row.finding} (K = {row.n_support})"
            for row in comparison.summary()
        )
        gain, low, high = comparison.mean_gain()
        print(
            f"| {name} | {'yes' if comparison.worth_it else 'no'} | "
            f"{comparison.metric} | {gains} | {gain:+.3f} [{low:+.3f}, {high:+.3f}] | "
            f"{seconds:.0f} |",
            flush=True,
        )
        if options.text:
            print(f"\n{comparison}\n", flush=True)


if __name__ == "__main__":
    main()
