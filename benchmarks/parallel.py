"""Whether processes and threads that work at once get into each other's way.

    python benchmarks/parallel.py

Four meta-trainings by `cross_val_score` over tasks, and 400 adaptations by
`few_shot_scores`, one after the other and with ``n_jobs=2``: seconds by the clock, next
to the ideal, half of those of one process; and the same for four times a loop of a
hundred thousand products of small numpy matrices, which says how far the machine's
cores are from two of their own. The workers are started beforehand.
"""

import os
import platform
import time

import numpy as np
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
    """A scorer of one's own, for which each episode is a `fit` and a `predict`."""
    return -np.mean((estimator.predict(X) - y) ** 2)


def plain_loop():
    """Work that shares nothing."""
    a = np.eye(24)
    for _ in range(100_000):
        a = a @ a
    return a


def main():
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
    print(f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}")
    for backend in ("loky", "threading"):
        with parallel_config(backend):
            for name, work in jobs.items():
                Parallel(2)(delayed(squared_error)(fitted, np.ones((2, 4)), 0)
                            for _ in range(8))  # fmt: skip
                one, expected = seconds(lambda work=work: work(1))
                two, found = seconds(lambda work=work: work(2))
                np.testing.assert_array_equal(found, expected)
                print(
                    f"{backend:9}  {name:22}  one {one:5.1f} s, two {two:5.1f} s, "
                    f"{two / (one / 2):.2f} times the ideal",
                    flush=True,
                )


if __name__ == "__main__":
    main()
