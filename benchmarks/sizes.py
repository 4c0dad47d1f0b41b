"""Bytes of what is kept: pickles, saved files, and clones that share what was learned.

    python benchmarks/sizes.py [--tasks 200] [--rows 30] [--features 5]

For each system, on linear tasks: kB of the rows it was meta-trained on; of the pickle
and of the file, meta-fitted, and the file without rows where that can be had; what a
fit to 10 rows adds to the pickle; and 100 clones pickled together, in percent of 100
meta-fitted estimators. Sizes do not depend on how long it was trained, so that it is
trained for one epoch.
"""

import argparse
import copy
import pickle
import tempfile
import warnings
from pathlib import Path

from sklearn.base import clone

from skmeta import (
    AttentionMetaRegressor,
    SelfAttentionMetaRegressor,
    TransformerMetaRegressor,
    save,
)
from skmeta.datasets import make_linear_tasks

SYSTEMS = AttentionMetaRegressor, SelfAttentionMetaRegressor, TransformerMetaRegressor


def file_size(estimator, **options):
    """Bytes of a saved file, or None where it cannot be saved so."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "learner.safetensors"
        try:
            save(estimator, path, **options)
        except ValueError:
            return None
        return path.stat().st_size


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--rows", type=int, default=30)
    parser.add_argument("--features", type=int, default=5)
    options = parser.parse_args()
    tasks = make_linear_tasks(
        options.tasks + 1, options.rows, options.features, random_state=0
    )
    known, new = tasks[: options.tasks], tasks[options.tasks]
    rows = known.X.nbytes + known.y.nbytes
    print(
        f"{options.tasks} tasks of {options.rows} rows x {options.features} features, "
        f"{rows / 1e3:.0f} kB"
    )
    print("| | pickle | file | without rows | a fit adds | 100 clones |")
    warnings.simplefilter("ignore")
    for system in SYSTEMS:
        learner = system(max_epochs=1, random_state=0).meta_fit(known)
        whole = len(pickle.dumps(learner))
        clones = [clone(learner) for _ in range(100)]
        many = len(pickle.dumps([learner, *clones])) - whole
        adapted = copy.copy(learner).fit(new.X[:10], new.y[:10])
        adds = len(pickle.dumps(adapted)) - whole
        file, without = file_size(learner), file_size(learner, include_rows=False)
        without = "-" if without is None else f"{without / 1e3:.0f} kB"
        print(
            f"| {system.__name__} | {whole / 1e3:.0f} kB | {file / 1e3:.0f} kB | "
            f"{without} | {adds / 1e3:.1f} kB | {many / (100 * whole):.2%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
