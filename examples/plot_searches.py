"""
How do I search, preprocess and keep a meta-learner?
====================================================

With scikit-learn's own tools. The data are tables of shops, with a categorical day and
missing prices. A pipeline encodes them, one grid search splits shops, another one the
rows of a single shop, and the result is saved and loaded.
"""

# %%
# Tables
# ------
# Each shop is a data frame. The number of pieces sold depends on the day of the week
# and on the price, differently in each shop.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV, learning_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import skmeta
from skmeta import AttentionMetaRegressor
from skmeta.model_selection import TaskwiseEstimator

rng = np.random.default_rng(0)
DAYS = ["Friday", "Saturday", "Sunday", "week"]


def shop():
    days = rng.choice(DAYS, 40, p=[0.15, 0.15, 0.15, 0.55])
    price = rng.uniform(1, 3, 40)
    effect = dict(zip(DAYS, rng.normal([6, 9, 4, 0], 2), strict=True))
    sold = 30 - rng.normal(5, 2) * price + [effect[day] for day in days]
    table = pd.DataFrame({"day": days, "price": price})
    table.loc[rng.random(40) < 0.1, "price"] = np.nan  # missing
    return table, sold + rng.normal(0, 1, 40)


shops = [shop() for _ in range(40)]
known, (new_table, new_sold) = shops[:-1], shops[-1]
new_table.head()

# %%
# A pipeline
# ----------
# Days are one-hot encoded; the meta-learner accepts missing prices. Sales are linear in
# the price, so the base learner is the linear one. ``skmeta.meta_fit`` fits the encoder
# on all shops, freezes it, and meta-fits the last step. The result is an ordinary
# pipeline.

encoder = make_column_transformer(
    (OneHotEncoder(sparse_output=False), ["day"]), remainder="passthrough"
)
learner = AttentionMetaRegressor(
    "linear",
    pooled_estimator=None,
    task_attention=False,
    n_support=(0, 8),
    max_epochs=1,
    random_state=0,
)
pipeline = make_pipeline(encoder, learner)
fitted = skmeta.meta_fit(pipeline, known)
fitted.fit(new_table[:6], new_sold[:6])
print(
    f"R2 from six days of a new shop: {fitted.score(new_table[6:], new_sold[6:]):.2f}"
)

# %%
# A search over shops
# -------------------
# The samples of `TaskwiseEstimator` are tasks: the search meta-fits on some shops and
# scores on others, from five rows of each. No shop that is scored is used to fit the
# encoder or is in the memory.

search = GridSearchCV(
    TaskwiseEstimator(pipeline, n_support=5, random_state=0),
    {"estimator__attentionmetaregressor__pooled_estimator": [None, RidgeCV()]},
    cv=2,
).fit(known)
print(pd.DataFrame(search.cv_results_)[["params", "mean_test_score"]].to_string())

# %%
# Would more shops help?
# ----------------------

sizes, _, scores = learning_curve(
    TaskwiseEstimator(pipeline, n_support=5, random_state=0),
    known, None, train_sizes=[6, 18], cv=2,
)  # fmt: skip
fig, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
ax.errorbar(sizes, scores.mean(1), scores.std(1), marker="o", color="#0b3c8c")
ax.set(
    xlabel="meta-training shops", ylabel="R2 from 5 rows of a new shop", xticks=sizes
)
plt.show()

# %%
# A search on the new shop
# ------------------------
# Parameters that only affect `fit` can be searched on one task, as for any estimator:
# here the depth of a forest that is fitted to the rows of the shop and weighted rows of
# related shops. All candidates share the meta-learned state.

forest = RandomForestRegressor(30, random_state=0)
with_forest = skmeta.meta_fit(
    make_pipeline(encoder, learner.set_params(base_learner=forest)), known
)
depth = GridSearchCV(
    with_forest,
    {"attentionmetaregressor__base_learner__max_depth": [1, 3]},
    cv=2,
).fit(new_table[:15], new_sold[:15])
print(depth.best_params_)

# %%
# Save and load
# -------------
# The file contains arrays and text; loading it runs no code.

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "shops.safetensors"
    skmeta.save(fitted[-1], path)
    loaded = skmeta.load(path)
    print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")
rows = fitted[:-1].transform(new_table)
np.testing.assert_array_equal(loaded.predict(rows), fitted.predict(new_table))
