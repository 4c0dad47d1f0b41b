"""
Functions of a kind not seen in meta-training
=============================================

A `TransformerMetaRegressor` is meta-trained on smooth random functions. How does it
predict a rough function, and a periodic one?

It is meta-trained on a task distribution, an object with ``sample``. Each task is a
draw from a Gaussian process (GP) with a random length scale and variance. The support
of a new task is 25 rows.
"""

# %%
# A task distribution
# -------------------

import matplotlib.pyplot as plt
import numpy as np
from sklearn.gaussian_process.kernels import RBF, ExpSineSquared, Matern

from skmeta import TransformerMetaRegressor

NOISE = 0.02


def draw(kernel, x, rng):
    K = kernel(x[:, None]) + NOISE**2 * np.eye(len(x))
    return np.linalg.cholesky(K) @ rng.standard_normal(len(x))


class SmoothFunctions:
    """Draws from GPs with an RBF kernel."""

    def sample(self, n_tasks, random_state):
        rng = np.random.default_rng(random_state)
        tasks = []
        for _ in range(n_tasks):
            x = rng.uniform(-2, 2, 40)
            kernel = rng.uniform(0.2, 1) ** 2 * RBF(rng.uniform(0.2, 0.8))
            tasks.append((x[:, None], draw(kernel, x, rng)))
        return tasks


learner = TransformerMetaRegressor(
    kernel_averaging=True,
    pooled_estimator=None,
    n_support=(3, 30),
    max_epochs=6,
    random_state=0,
)
learner.meta_fit(SmoothFunctions())

# %%
# Three new tasks
# ---------------
#
# Bands are 90% intervals by `predict_quantiles`; the thin lines are joint samples by
# `sample_y`.

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
    x_support, y_support = x[200:], y[200:]
    learner.fit(x_support[:, None], y_support)
    low, middle, high = learner.predict_quantiles(grid[:, None]).T
    inside = np.mean((low <= y[:200]) & (y[:200] <= high))
    print(f"{name}: {inside:.0%} of the targets inside the 90% band")
    ax.plot(grid, learner.sample_y(grid[:, None], 3), lw=0.5, color="0.6")
    ax.fill_between(grid, low, high, alpha=0.25, lw=0, label="90%")
    ax.plot(grid, middle, label="median")
    ax.plot(grid, y[:200], "k--", lw=0.8, label="truth")
    ax.plot(x_support, y_support, "k.", label="support")
    ax.set(title=name, xlabel="x")
axes[0].legend(loc="upper left", fontsize="small", ncols=2)
plt.show()
