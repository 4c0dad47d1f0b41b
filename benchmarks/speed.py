"""Time of adaptation and prediction.

    python benchmarks/speed.py

Median time of one ``fit`` and ``predict`` (K = 10, 100 queries, 10 features), compared
with a Gaussian process of scikit-learn tuned on the same rows; and time a task of
`predict_episodes` on 2,000 tasks, compared with the loop of ``fit`` and ``predict``,
with the largest difference of their predictions. One thread.
"""

import time
import warnings

import numpy as np
from _results import argument_parser, open_results
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from skmeta import AttentionMetaRegressor
from skmeta.datasets import make_linear_tasks

K, N_QUERY, N_FEATURES, N_TIMED, N_EPISODES = 10, 100, 10, 100, 2000


def median_time(estimator, tasks):
    times = []
    for task in tasks:
        start = time.perf_counter()
        estimator.fit(task.X[:K], task.y[:K]).predict(task.X[K:])
        times.append(time.perf_counter() - start)
    return np.median(times)


def main():
    _, results = open_results(argument_parser(__doc__), key=("pooled_estimator",))
    warnings.simplefilter("ignore", ConvergenceWarning)  # of the baseline's search
    tasks = make_linear_tasks(
        100 + N_EPISODES, K + N_QUERY, N_FEATURES, within=1.0, random_state=0
    )
    new = tasks[100:]
    kernel = ConstantKernel() * RBF(np.ones(N_FEATURES)) + WhiteKernel()
    gp = GaussianProcessRegressor(kernel, normalize_y=True)
    for pooled in (None, "auto"):
        learner = AttentionMetaRegressor(
            pooled_estimator=pooled, max_epochs=5, random_state=0
        ).meta_fit(tasks[:100])
        ours, theirs = (median_time(e, new[:N_TIMED]) for e in (learner, gp))
        episodes = [(t.X[:K], t.y[:K], t.X[K:]) for t in new]
        start = time.perf_counter()
        together = learner.predict_episodes(episodes)
        batched = time.perf_counter() - start
        start = time.perf_counter()
        alone = [learner.fit(X, y).predict(Q) for X, y, Q in episodes]
        looped = time.perf_counter() - start
        gap = max(np.abs(a - b).max() for a, b in zip(together, alone, strict=True))
        each, one = 1e3 * batched / N_EPISODES, 1e3 * looped / N_EPISODES
        results.add(
            f"pooled_estimator={pooled!r}: fit + predict {1e3 * ours:.1f} ms, "
            f"GaussianProcessRegressor {1e3 * theirs:.1f} ms, ratio {ours / theirs:.2f}"
            f"\n  {N_EPISODES} tasks: predict_episodes {each:.3f} ms a task, loop "
            f"{one:.2f} ms, {one / each:.0f} times; largest difference {gap:.1e}",
            pooled_estimator=pooled, fit_predict_ms=1e3 * ours,
            gaussian_process_ms=1e3 * theirs, ratio=ours / theirs, episode_ms=each,
            loop_ms=one, times_faster=one / each, largest_difference=gap,
        )  # fmt: skip


if __name__ == "__main__":
    main()
