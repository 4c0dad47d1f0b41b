"""Whether feature attention finds the columns that matter for a task.

    python benchmarks/feature_attention.py

Linear tasks of ten columns of which two, drawn anew for each task, have slopes. After
meta-training on 400 tasks (default parameters), each of 200 new tasks is adapted to
from 20 rows; printed is the share whose two columns have the two largest weights, and
the same for the absolute correlations with the target.
"""

import time

import numpy as np
from _results import argument_parser, open_results

from skmeta import AttentionMetaRegressor
from skmeta.datasets import make_linear_tasks

N_TRAIN, N_TEST, K = 400, 200, 20


def main():
    _, results = open_results(argument_parser(__doc__), key=())
    tasks, details = make_linear_tasks(
        N_TRAIN + N_TEST, n_features=10, n_informative=2, random_state=0,
        return_details=True,
    )  # fmt: skip
    start = time.process_time()
    learner = AttentionMetaRegressor(random_state=0).meta_fit(tasks[:N_TRAIN])
    seconds = time.process_time() - start
    results.heading(f"meta_fit {seconds:.0f} s of CPU time")
    hits = np.zeros(2)
    for task, right in zip(
        tasks[N_TRAIN:], details["informative"][N_TRAIN:], strict=True
    ):
        X, y = task.X[:K], task.y[:K]
        correlation = np.abs(np.corrcoef(X.T, y)[-1, :-1])
        weights = learner.fit(X, y).feature_attention_
        for j, w in enumerate((weights, correlation)):
            hits[j] += set(np.argsort(w)[-2:]) == set(right)
    ours, theirs = hits / N_TEST
    results.add(
        f"both columns on top at K={K}: ours {ours:.3f}, correlation {theirs:.3f}",
        K=K, share_on_top=ours, correlation_share_on_top=theirs, seconds=seconds,
    )  # fmt: skip


if __name__ == "__main__":
    main()
