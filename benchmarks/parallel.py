"""Speed-up by two processes or two threads.

    python benchmarks/parallel.py

Four meta-trainings by `cross_val_score` over tasks, and 400 adaptations by
`few_shot_scores`, one after the other and with ``n_jobs=2``: wall-clock seconds,
relative to the ideal, half of those of one process; and the same for four times a loop
of a hundred thousand products of small numpy matrices, which shares nothing and shows
what the machine's cores give. The workers are started beforehand.
"""

import time

import numpy as np
from _results import argument_parser, open_results
from joblib import Parallel, delayed, parallel_config
from sklearn.model_selection import cross_val_score

from skmeta import AttentionMetaRegressor
from skmeta.datasets import make_linear_tasks
from skmeta.model_selection import TaskwiseEstimator, few_shot_scores


def seconds(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def squared_error(estimator, X, y):
    """A custom scorer, for which each episode is a `fit` and a `predict`."""
    return -np.mean((estimator.predict(X) - y) ** 2)


def plain_loop():
    """Work that shares nothing."""
    a = np.eye(24)
    for _ in range(100_000):
        a = a @ a
    return a


def main():
    parser = argument_parser(__doc__)
    _, results = open_results(parser, key=("backend", "work"), cores=2)
    results.heading("wall-clock seconds")
    tasks = make_linear_tasks(64, n_rows=40, n_features=4, random_state=0)
    learner = AttentionMetaRegressor(
        pooled_estimator=None, task_attention=False, max_epochs=5, random_state=0
    )
    taskwise = TaskwiseEstimator(learner, random_state=0)
    fitted = learner.meta_fit(tasks[:44])
    jobs = {
        "plain loop, 4 times": lambda n: Parallel(n)(
            delayed(plain_loop)() for _ in range(4)
        ),
        "meta-training, 4 folds": lambda n: cross_val_score(
            taskwise, tasks, cv=4, n_jobs=n
        ),
        "adaptation, 400 fits": lambda n: (
            few_shot_scores(
                fitted, tasks[44:], 10, 20, squared_error, n_jobs=n, random_state=0
            ).scores
        ),
    }
    for backend in ("loky", "threading"):
        with parallel_config(backend):
            for name, work in jobs.items():
                Parallel(2)(delayed(squared_error)(fitted, np.ones((2, 4)), 0)
                            for _ in range(8))  # fmt: skip
                one, expected = seconds(lambda work=work: work(1))
                two, found = seconds(lambda work=work: work(2))
                np.testing.assert_array_equal(found, expected)
                ratio = two / (one / 2)
                results.add(
                    f"{backend:9}  {name:22}  one {one:5.1f} s, two {two:5.1f} s, "
                    f"{ratio:.2f} times the ideal",
                    backend=backend, work=name, one_seconds=one, two_seconds=two,
                    ratio_to_ideal=ratio,
                )  # fmt: skip


if __name__ == "__main__":
    main()
