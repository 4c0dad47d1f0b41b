"""The neural processes' 1-D benchmark: trained on RBF draws, judged on other kernels.

    python benchmarks/neural_processes.py [--system transformer] [--max-epochs 200]

Draws of Gaussian processes at x in [-2, 2]: 3 to 46 rows of support, 3 to 49 - K query
rows, length scale U[.1, .6), scale U[.1, 1), period U[.1, .5), noise .02 on all
targets (Nguyen and Grover 2022, Transformer neural processes, sec. 5.1). Meta-training
sees RBF draws alone, without end. Printed is the mean log density of a query target, in
nats, with the standard error over tasks, next to two Gaussian processes on the same
tasks: one that knows each task's kernel and hyperparameters, and scikit-learn's, whose
hyperparameters are fitted to the support. Then comes how far ours is from the first,
with the standard error of the difference, which is much smaller.
"""

import argparse
import platform
import time
import warnings

import numpy as np
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from skmeta import (
    AttentionMetaRegressor,
    SelfAttentionMetaRegressor,
    TransformerMetaRegressor,
)

SYSTEMS = {
    "attention": AttentionMetaRegressor,
    "self-attention": SelfAttentionMetaRegressor,
    "transformer": TransformerMetaRegressor,
}
NOISE = 0.02
MAX_ROWS = 50


def rbf(distance, length, period):
    return np.exp(-0.5 * (distance / length) ** 2)


def matern(distance, length, period):
    r = 5**0.5 * distance / length
    return (1 + r + r**2 / 3) * np.exp(-r)


def periodic(distance, length, period):
    return np.exp(-2 * (np.sin(np.pi * distance / period) / length) ** 2)


def draw(kernel, n_tasks, n_rows, rng):
    """Rows x (n_tasks, n_rows), targets of the same shape, and their covariances."""
    x = rng.uniform(-2, 2, (n_tasks, n_rows))
    length, scale, period = (
        rng.uniform(low, high, (n_tasks, 1, 1))
        for low, high in ((0.1, 0.6), (0.1, 1.0), (0.1, 0.5))
    )
    K = scale**2 * kernel(np.abs(x[:, :, None] - x[:, None]), length, period)
    K += (NOISE**2 + 1e-10) * np.eye(n_rows)
    white = rng.standard_normal((n_tasks, n_rows, 1))
    return x, (np.linalg.cholesky(K) @ white)[..., 0], K


class RBFDraws:
    """Tasks without end, for `meta_fit`."""

    def sample(self, n_tasks, random_state):
        rng = np.random.default_rng(random_state)
        x, y, _ = draw(rbf, n_tasks, MAX_ROWS, rng)
        return [(a[:, None], b) for a, b in zip(x, y, strict=True)]


def episodes(kernel, n_tasks, rng):
    """Support size, rows, targets and covariance of each task."""
    for _ in range(n_tasks):
        k = rng.integers(3, 47)
        n_query = rng.integers(3, max(4, 50 - k))
        x, y, K = draw(kernel, 1, k + n_query, rng)
        yield k, x[0], y[0], K[0]


def oracle(k, x, y, K):
    """Mean log density of the query targets, all of the kernel known."""
    solved = np.linalg.solve(K[:k, :k], K[:k, k:])
    variance = K.diagonal()[k:] - (K[:k, k:] * solved).sum(0)
    return norm.logpdf(y[k:], y[:k] @ solved, variance**0.5).mean()


def per_task_process(k, x, y, K):
    kernel = ConstantKernel(0.3) * RBF(0.3) + WhiteKernel(NOISE**2, (1e-5, 1.0))
    process = GaussianProcessRegressor(kernel).fit(x[:k, None], y[:k])
    mean, std = process.predict(x[k:, None], return_std=True)
    return norm.logpdf(y[k:], mean, std).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--system", choices=SYSTEMS, default="transformer")
    parser.add_argument("--max-epochs", type=int, default=200)
    parser.add_argument("--n-tasks", type=int, default=1000, help="of each kernel")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    start = time.process_time()
    learner = SYSTEMS[options.system](
        pooled_estimator=None, n_support=(3, 46), max_epochs=options.max_epochs,
        random_state=options.seed,
    ).meta_fit(RBFDraws())  # fmt: skip
    print(
        f"{platform.processor() or platform.machine()}, one thread, {options.system}, "
        f"{len(learner.history_)} epochs, {time.process_time() - start:.0f} s of CPU "
        f"time to meta_fit, {options.n_tasks} tasks of each kernel"
    )

    def adapted(k, x, y, K):
        return learner.fit(x[:k, None], y[:k]).log_prob(x[k:, None], y[k:]).mean()

    methods = {"ours": adapted, "per task": per_task_process, "oracle": oracle}
    for kernel in (rbf, matern, periodic):
        rng = np.random.default_rng(options.seed + 1)
        tasks = list(episodes(kernel, options.n_tasks, rng))
        cells, scores = [], {}
        for name, method in methods.items():
            start = time.process_time()
            scores[name] = np.array([method(*task) for task in tasks])
            seconds = (time.process_time() - start) / len(tasks)
            cells.append(f"{name} {described(scores[name])} ({1e3 * seconds:.0f} ms)")
        cells.append(f"ours - oracle {described(scores['ours'] - scores['oracle'])}")
        print(f"{kernel.__name__}: {', '.join(cells)}", flush=True)


def described(scores):
    return f"{scores.mean():.3f} +- {scores.std() / len(scores) ** 0.5:.3f}"


if __name__ == "__main__":
    main()
