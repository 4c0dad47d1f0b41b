"""Sizes of pickles, saved files, and clones that share the meta-learned state.

    python benchmarks/sizes.py [--tasks 200] [--rows 30] [--features 5]

For each system, on linear tasks: kB of the meta-training rows; of the pickle and of the
file of the meta-fitted estimator, and of the file without rows where that is possible;
what a `fit` to 10 rows adds to the pickle; and 100 clones pickled together, in percent
of 100 meta-fitted estimators. Sizes do not depend on the length of meta-training, which
has one epoch.
"""

import copy
import pickle
import tempfile
import warnings
from pathlib import Path

from _results import argument_parser, open_results
from _shared import REGRESSORS
from sklearn.base import clone

from skmeta import save
from skmeta.datasets import make_linear_tasks


def file_size(estimator, **options):
    """kB of a saved file, or None where it cannot be saved in this way."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "learner.safetensors"
        try:
            save(estimator, path, **options)
        except ValueError:
            return None
        return path.stat().st_size / 1e3


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--rows", type=int, default=30)
    parser.add_argument("--features", type=int, default=5)
    options, results = open_results(parser, key=("system",))
    tasks = make_linear_tasks(
        options.tasks + 1, options.rows, options.features, random_state=0
    )
    known, new = tasks[: options.tasks], tasks[options.tasks]
    rows = known.X.nbytes + known.y.nbytes
    results.heading(
        f"{options.tasks} tasks of {options.rows} rows x {options.features} features, "
        f"{rows / 1e3:.0f} kB\n"
        "| | pickle | file | without rows | a fit adds | 100 clones |"
    )
    warnings.simplefilter("ignore")
    for system in REGRESSORS.values():
        learner = system(max_epochs=1, random_state=0).meta_fit(known)
        whole = len(pickle.dumps(learner))
        clones = [clone(learner) for _ in range(100)]
        many = len(pickle.dumps([learner, *clones])) - whole
        adapted = copy.copy(learner).fit(new.X[:10], new.y[:10])
        adds = len(pickle.dumps(adapted)) - whole
        file, without = file_size(learner), file_size(learner, include_rows=False)
        shown, share = (
            "-" if without is None else f"{without:.0f} kB",
            many / 100 / whole,
        )
        results.add(
            f"| {system.__name__} | {whole / 1e3:.0f} kB | {file:.0f} kB | "
            f"{shown} | {adds / 1e3:.1f} kB | {share:.2%} |",
            system=system.__name__, rows_kb=rows / 1e3, pickle_kb=whole / 1e3,
            file_kb=file, file_without_rows_kb=without, fit_adds_kb=adds / 1e3,
            share_of_clones=share,
        )  # fmt: skip


if __name__ == "__main__":
    main()
