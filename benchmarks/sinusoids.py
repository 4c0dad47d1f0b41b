"""Sinusoids in MAML's setting: squared error from 5 and 10 rows of a new sinusoid.

    python benchmarks/sinusoids.py [--system attention] [--seed 0]

Finn et al. (2017), section 5.1: amplitude U[.1, 5], phase U[0, pi], x U[-5, 5].
Meta-trained with default parameters, without a pooled estimator, on 20,000 tasks on one
thread; evaluated on 600 new tasks by the mean over tasks of the mean squared error on
100 rows. The baseline, in the same run, is a Gaussian process of scikit-learn tuned on
the same rows.
"""

import time
import warnings

import numpy as np
from _results import argument_parser, open_results
from _shared import REGRESSORS
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from skmeta.datasets import make_sinusoid_tasks


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("--system", choices=REGRESSORS, default="attention")
    parser.add_argument("--seed", type=int, default=0)
    options, results = open_results(parser, key=("K",))
    seed = options.seed
    train = make_sinusoid_tasks(20_000, 60, random_state=seed)
    test = make_sinusoid_tasks(600, 110, random_state=1000 + seed)
    start = time.process_time()
    learner = REGRESSORS[options.system](pooled_estimator=None, random_state=seed)
    learner.meta_fit(train)
    seconds, n_epochs = time.process_time() - start, len(learner.history_)
    results.heading(
        f"{options.system}, seed {seed}, {n_epochs} epochs, {seconds:.0f} s of CPU time"
    )
    warnings.simplefilter("ignore", ConvergenceWarning)
    kernel = ConstantKernel() * RBF() + WhiteKernel(1e-3)
    for k in (5, 10):
        ours = learner.predict_episodes([(t.X[:k], t.y[:k], t.X[k:]) for t in test])
        gp = GaussianProcessRegressor(kernel, normalize_y=True)
        theirs = [gp.fit(t.X[:k], t.y[:k]).predict(t.X[k:]) for t in test]
        errors = [
            [np.mean((p - t.y[k:]) ** 2) for p, t in zip(many, test, strict=True)]
            for many in (ours, theirs)
        ]
        mse, mse_gp = (np.mean(each) for each in errors)
        median = np.median(errors[0])
        results.add(
            f"K={k:2d} MSE ours {mse:.5f} (median over tasks {median:.6f}), per-task "
            f"GP {mse_gp:.4f}",
            K=k, mse=mse, median_mse=median, mse_per_task_gp=mse_gp,
            n_epochs=n_epochs, meta_fit_seconds=seconds,
        )  # fmt: skip


if __name__ == "__main__":
    main()
