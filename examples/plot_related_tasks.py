"""
Which past tasks is a new one like?
===================================

Machines of a few makes wear out in different ways, but the make of a machine is not
recorded. Four measurements of a new machine are available. Which known machines is it
similar to, and is a machine unlike all known ones recognised?
"""

# %%
# There are sixty known machines with forty measurements each. The makes are used below
# only to check the result.

import numpy as np

from skmeta import TaskCollection
from skmeta.datasets import make_linear_tasks

tasks, details = make_linear_tasks(
    70, n_features=4, n_clusters=3, random_state=3, return_details=True
)
make = np.array(["A", "B", "C"])[details["cluster"]]
names = [f"machine {i} (make {m})" for i, m in enumerate(make)]
tasks = TaskCollection({n: (t.X, t.y) for n, t in zip(names, tasks, strict=True)})
known, new = tasks[:60], tasks[60:]

# %%
# Meta-training learns how machines behave and how to relate them. Few epochs keep this
# example short; the default is more.

from skmeta import SelfAttentionMetaRegressor

model = SelfAttentionMetaRegressor(
    pooled_estimator=None, max_epochs=8, random_state=0
).meta_fit(known)

# %%
# The relations of all new machines, each from four measurements.

import matplotlib.pyplot as plt

from skmeta.inspection import TaskRelationDisplay

supports = TaskCollection({t.name: (t.X[:4], t.y[:4]) for t in new})
TaskRelationDisplay.from_estimator(model, supports)
plt.show()

# %%
# The strongest relations of one machine.

task = new[0]
model.fit(task.X[:4], task.y[:4])
display = TaskRelationDisplay.from_estimator(model)
display.ax_.set_title(f"Relations of {task.name}", loc="left", weight="bold")
plt.show()

# %%
# A prediction is the sum of the contributions of each known machine and of the four
# measurements.

contributions = model.contributions(task.X[4:8])
same_make = contributions[:, :-1][:, make[:60] == make[60]].sum(1)
other_makes = contributions[:, :-1].sum(1) - same_make
print("prediction   same make   other makes   measurements")
for row in zip(
    model.predict(task.X[4:8]),
    same_make,
    other_makes,
    contributions[:, -1],
    strict=True,
):
    print("{:10.2f}  {:10.2f}  {:12.2f}  {:13.2f}".format(*row))

# %%
# A machine whose behaviour is not linear is unlike all of them: its familiarity is low.

nonlinear = np.sin(2 * task.X[:, 0]) * known.y.std()
for name, y in ((task.name, task.y), ("nonlinear machine", nonlinear)):
    print(f"{name}: familiarity {model.fit(task.X[:6], y[:6]).familiarity_:.2f}")
