"""
How many experiments does a new reaction need?
==============================================

A chemist has two new reactants, a ligand, and 32 combinations of base and solvent for
their Suzuki coupling. The yields of other reactants under the same conditions are
known. How many conditions must be measured to predict the yields under all others, and
how many without the known reactions?
"""

# %%
# Every reaction was measured under every condition. A quarter of the reactions are the
# new tasks.

from sklearn.model_selection import train_test_split

from skmeta.datasets import load_suzuki_tasks

tasks = load_suzuki_tasks()
known, new = train_test_split(tasks, test_size=0.25, random_state=0)
print(known)
print(new[0])
print(", ".join(new.feature_names))

# %%
# Meta-training uses the known reactions and is done once. Few epochs keep this example
# short; the default is more.

from skmeta import AttentionMetaRegressor

model = AttentionMetaRegressor(max_epochs=8, random_state=0).meta_fit(known)

# %%
# Both estimators are fitted to the same experiments of each new reaction and evaluated
# on the other conditions. The ridge regression uses nothing else; the meta-learner also
# predicts without any experiment (zero-shot).

from sklearn.linear_model import RidgeCV

from skmeta.model_selection import few_shot_scores

settings = {"scoring": "neg_mean_absolute_error", "random_state": 0}
meta_learned = few_shot_scores(
    model, new, n_support=(0, 1, 2, 3, 5, 8, 12, 16, 20, 24), **settings
)
per_task = few_shot_scores(
    RidgeCV([0.1, 1, 10, 100]), new, n_support=(2, 3, 5, 8, 12, 16, 20, 24), **settings
)
print(meta_learned)
print(per_task)

# %%
# The answer is the number of experiments at which the ridge regression reaches the same
# error.

import matplotlib.pyplot as plt
import numpy as np

fig, ax = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
errors = {}
for scores, label, color, style in [
    (per_task, "without other reactions\n(ridge regression)", "#c2571a", "s--"),
    (meta_learned, "with other reactions\n(AttentionMetaRegressor)", "#0b3c8c", "o-"),
]:
    n_support, mean, low, high, _ = np.transpose(scores.summary())
    points = 100  # yields are fractions
    ax.plot(n_support, -points * mean, style, color=color, linewidth=2)
    ax.fill_between(
        n_support, -points * high, -points * low, color=color, alpha=0.15, linewidth=0
    )
    ax.annotate(
        label,
        (n_support[-1], -points * mean[-1]),
        xytext=(8, 0),
        textcoords="offset points",
        color=color,
        va="center",
    )
    errors[label] = n_support, -points * mean

(n_without, error_without), (n_with, error_with) = errors.values()
error = error_with[n_with == 5][0]
needed = np.interp(-error, -error_without, n_without)
ax.annotate(
    "", (needed, error), (5, error), arrowprops={"arrowstyle": "->", "linestyle": ":"}
)
ax.set(
    xlabel=f"experiments on each of {len(new)} new reactions (band: 95% interval)",
    ylabel="mean absolute error of the yield (percentage points)",
    ylim=(0, None),
)
ax.set_title(
    f"5 experiments with known reactions equal {needed:.0f} without",
    loc="left",
    weight="bold",
)
ax.spines[["top", "right"]].set_visible(False)
ax.grid(axis="y", color="#e4e4e4")
plt.show()
