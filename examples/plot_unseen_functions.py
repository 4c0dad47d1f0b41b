"""
Functions of a kind never seen
==============================

Meta-trained on smooth random functions alone, what does a `TransformerMetaRegressor`
make of one that is rough, and of one that repeats itself?

It is meta-trained on a task distribution: an object with ``sample`` that gives as many
tasks as are asked for, without end. Each is a draw of a Gaussian process with a length
and a scale of its own. A new task is given 25 rows.
"""

# %%
# Tasks without end
# -----------------

import matplotlib.pyplot as plt
import numpy as np
from sklearn.gaussian_process.kernels import RBF, ExpSineSquared, Matern

from skmeta import TransformerMetaRegressor

NOISE = 0.02


def draw(kernel, x, rng):
    K = kernel(x[:, None]) + NOISE**2 * np.eye(len(x))
    return np.linalg.cholesky(K) @ rng.standard_normal(len(x))


class SmoothFunctions:
    """Draws of processes with an RBF kernel."""

    def sample(self, n_tasks, random_state):
        rng = np.random.default_rng(random_state)
        tasks = []
        for _ in range(n_tasks):
            x = rng.uniform(-2, 2, 40)
            kernel = rng.uniform(0.2, 1) ** 2 * RBF(rng.uniform(0.2, 0.8))
            tasks.append((x[:, None], draw(kernel, x, rng)))
        return tasks


learner = TransformerMetaRegressor(
    pooled_estimator=None, n_support=(3, 30), max_epochs=6, random_state=0
)
learner.meta_fit(SmoothFunctions())

# %%
# Three new tasks
# ---------------
#
# Each is adapted to from 25 rows. Bands hold 90% by `predict_quantiles`; the thin
# lines are draws of whole functions by `sample_y`.

KERNELS = {
    "smooth, as in meta-training": 0.5 * RBF(0.4),
    "rough (Matern 3/2)": 0.5 * Matern(0.4, nu=1.5),
    "periodic": 0.5 * ExpSineSquared(1.5, 0.7),
}
rng = np.random.default_rng(3)
grid = np.linspace(-2, 2, 200)
fig, axes = plt.subplots(1, 3, figsize=(11, 3.2), sharey=True, layout="constrained")
for ax, (name, kernel) in zip(axes, KERNELS.items(), strict=True):
    x = np.concatenate([grid, np.sort(rng.uniform(-2, 2, 25))])
    y = draw(kernel, x, rng)
    rows, targets = x[200:], y[200:]
    learner.fit(rows[:, None], targets)
    low, middle, high = learner.predict_quantiles(grid[:, None]).T
    inside = np.mean((low <= y[:200]) & (y[:200] <= high))
    print(f"{name}: {inside:.0%} of the targets inside the band")
    ax.plot(grid, learner.sample_y(grid[:, None], 3), lw=0.5, color="0.6")
    ax.fill_between(grid, low, high, alpha=0.25, lw=0, label="90%")
    ax.plot(grid, middle, label="median")
    ax.plot(grid, y[:200], "k--", lw=0.8, label="truth")
    ax.plot(rows, targets, "k.", label="rows")
    ax.set(title=name, xlabel="x")
axes[0].legend(loc="upper left", fontsize="small", ncols=2)
plt.show()
