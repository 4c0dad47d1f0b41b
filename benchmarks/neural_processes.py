"""The neural processes' 1-D benchmark: trained on RBF draws, tested on other kernels.

    python benchmarks/neural_processes.py [--system transformer] [--max-epochs 200]

Draws of Gaussian processes at x in [-2, 2]: 3 to 46 rows of support, 3 to 49 - K query
rows, length scale U[.1, .6), scale U[.1, 1), period U[.1, .5), noise .02 on all
targets (Nguyen and Grover 2022, Transformer neural processes, sec. 5.1). Meta-training
draws RBF tasks alone, without end. Printed is the mean log density of a query target,
in nats, with the standard error over tasks, of ours and of two Gaussian processes on
the same tasks: one that has each task's true kernel and hyperparameters ("oracle"), and
scikit-learn's, whose hyperparameters are fitted to the support. Last is the difference
of ours to the oracle with its standard error, which is much smaller.
"""

import time
import warnings

import numpy as np
from _results import argument_parser, open_results
from _shared import REGRESSORS
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

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
    """Mean log density of the query targets under the true kernel."""
    solved = np.linalg.solve(K[:k, :k], K[:k, k:])
    variance = K.diagonal()[k:] - (K[:k, k:] * solved).sum(0)
    return norm.logpdf(y[k:], y[:k] @ solved, variance**0.5).mean()


def per_task_gp(k, x, y, K):
    kernel = ConstantKernel(0.3) * RBF(0.3) + WhiteKernel(NOISE**2, (1e-5, 1.0))
    gp = GaussianProcessRegressor(kernel).fit(x[:k, None], y[:k])
    mean, std = gp.predict(x[k:, None], return_std=True)
    return norm.logpdf(y[k:], mean, std).mean()


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("--system", choices=REGRESSORS, default="transformer")
    parser.add_argument("--max-epochs", type=int, default=200)
    parser.add_argument("--n-tasks", type=int, default=1000, help="of each kernel")
    parser.add_argument("--seed", type=int, default=0)
    options, results = open_results(parser, key=("kernel",))
    warnings.simplefilter("ignore", ConvergenceWarning)
    start = time.process_time()
    others = {"kernel_averaging": True} if options.system == "transformer" else {}
    learner = REGRESSORS[options.system](
        pooled_estimator=None, n_support=(3, 46), max_epochs=options.max_epochs,
        random_state=options.seed, **others,
    ).meta_fit(RBFDraws())  # fmt: skip
    meta_fit_seconds, n_epochs = time.process_time() - start, len(learner.history_)
    results.heading(
        f"{options.system}, {n_epochs} epochs, {meta_fit_seconds:.0f} s of CPU time to "
        f"meta_fit, {options.n_tasks} tasks of each kernel"
    )

    def adapted(k, x, y, K):
        return learner.fit(x[:k, None], y[:k]).log_prob(x[k:, None], y[k:]).mean()

    methods = {"ours": adapted, "per_task_gp": per_task_gp, "oracle": oracle}
    for kernel in (rbf, matern, periodic):
        rng = np.random.default_rng(options.seed + 1)
        tasks = list(episodes(kernel, options.n_tasks, rng))
        scores, row = {}, {}
        for name, method in methods.items():
            start = time.process_time()
            scores[name] = np.array([method(*task) for task in tasks])
            row[f"{name}_ms"] = 1e3 * (time.process_time() - start) / len(tasks)
        scores["difference"] = scores["ours"] - scores["oracle"]
        for name, values in scores.items():
            row[name] = values.mean()
            row[f"{name}_se"] = values.std() / len(values) ** 0.5
        cells = (
            f"{name} {row[name]:.3f} +- {row[f'{name}_se']:.3f}" for name in scores
        )
        results.add(
            f"{kernel.__name__}: {', '.join(cells)}", kernel=kernel.__name__,
            n_epochs=n_epochs, meta_fit_seconds=meta_fit_seconds, **row,
        )  # fmt: skip


if __name__ == "__main__":
    main()
