"""
How many experiments does a new reaction need?
==============================================

A chemist has two reactants, a ligand, and 28 ways to choose the base and the solvent
of a Suzuki coupling. Yields of other reactions under the same conditions are known.
How many experiments on the new reaction does it take until the yields of all other
conditions can be predicted, and how many would it take without the other reactions?
"""

# %%
# 180 reactions were measured under every condition. A quarter of them plays the part
# of new ones.

from sklearn.model_selection import train_test_split

from skmeta.datasets import load_suzuki_tasks

tasks = load_suzuki_tasks()
known, new = train_test_split(tasks, test_size=0.25, random_state=0)
print(known)
print(new[0])
print(", ".join(new.feature_names))

# %%
# Meta-training learns from the known reactions how to learn one. It happens once; a
# dozen epochs keep this example short, and the default is more.

from skmeta import AttentionMetaRegressor

model = AttentionMetaRegressor(max_epochs=12, random_state=0).meta_fit(known)

# %%
# Both estimators get the same experiments of each new reaction, and are judged on the
# conditions that were not tried. Only the meta-learner can say something before the
# first one.

from sklearn.linear_model import RidgeCV

from skmeta.model_selection import few_shot_scores

settings = {"scoring": "neg_mean_absolute_error", "random_state": 0}
scores = {
    "learned from other reactions": few_shot_scores(
        model, new, n_support=(0, 1, 2, 3, 5, 8, 12, 20), **settings
    ),
    "this reaction alone": few_shot_scores(
        RidgeCV([0.1, 1, 10, 100, 1000]), new, n_support=(2, 3, 5, 8, 12, 20), **settings
    ),
}
print(scores["learned from other reactions"])

# %%
# The answer.

import matplotlib.pyplot as plt

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
styles = [("o-", "#0b3c8c", 2.5), ("s--", "#b3541e", 1.8)]
for (name, result), (style, color, width) in zip(scores.items(), styles, strict=True):
    k, mean, low, high, _ = zip(*result.summary(), strict=True)
    error, most, least = (-100 * np.array(s) for s in (mean, low, high))
    ax.plot(k, error, style, color=color, linewidth=width)
    ax.fill_between(k, least, most, color=color, alpha=0.15, linewidth=0)
    ax.annotate(name, (k[-1], error[-1]), xytext=(8, 0), textcoords="offset points", color=color)
plt.show()
