"""Sinusoids in MAML's setting: squared error after 5 and 10 rows of a new sinusoid.

    python benchmarks/sinusoids.py [--system attention] [--seed 0]

Finn et al. (2017), section 5.1: amplitude U[.1, 5], phase U[0, pi], x U[-5, 5].
Meta-trained with default parameters, without a pooled estimator, on 20,000 tasks on one
thread; judged on 600 new tasks by the mean over tasks of the mean squared error on 100
rows. The rival, in the same run, is a Gaussian process of scikit-learn tuned on the
same rows.
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from skmeta import (
    AttentionMetaRegressor,
    SelfAttentionMetaRegressor,
    TransformerMetaRegressor,
)
from skmeta.datasets import make_sinusoid_tasks

SYSTEMS = {
    "attention": AttentionMetaRegressor,
    "self-attention": SelfAttentionMetaRegressor,
    "transformer": TransformerMetaRegressor,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--system", choices=SYSTEMS, default="attention")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    seed = options.seed
    train = make_sinusoid_tasks(20_000, 60, random_state=seed)
    test = make_sinusoid_tasks(600, 110, random_state=1000 + seed)
    start = time.process_time()
    learner = SYSTEMS[options.system](pooled_estimator=None, random_state=seed)
    learner.meta_fit(train)
    seconds = time.process_time() - start
    print(
        f"{options.system}, seed {seed}, {len(learner.history_)} epochs, "
        f"{seconds:.0f} s of CPU time"
    )
    warnings.simplefilter("ignore", ConvergenceWarning)
    kernel = ConstantKernel() * RBF() + WhiteKernel(1e-3)
    for k in (5, 10):
        ours = learner.predict_episodes([(t.X[:k], t.y[:k], t.X[k:]) for t in test])
        process = GaussianProcessRegressor(kernel, normalize_y=True)
        theirs = [process.fit(t.X[:k], t.y[:k]).predict(t.X[k:]) for t in test]
        errors = [
            [np.mean((p - t.y[k:]) ** 2) for p, t in zip(many, test, strict=True)]
            for many in (ours, theirs)
        ]
        print(
            f"K={k:2d} MSE ours {np.mean(errors[0]):.5f} (median over tasks "
            f"{np.median(errors[0]):.6f}), per-task process {np.mean(errors[1]):.4f}"
        )


if __name__ == "__main__":
    main()
