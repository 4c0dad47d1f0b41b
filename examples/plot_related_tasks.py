"""
Which past tasks is a new one like?
===================================

Machines of a few makes wear out in a few ways, but the make of a machine is on no
record. Four measurements of a new one are at hand. Which machines seen before tell how
it will behave, and is there one that no machine seen before tells anything about?
"""

# %%
# Sixty machines with forty measurements each; their makes are known here alone, to see
# whether they are found.

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
# Meta-training learns how the machines behave, and how to tell which are alike. A
# few epochs keep this example short; the default is more.

from skmeta import SelfAttentionMetaRegressor

model = SelfAttentionMetaRegressor(
    pooled_estimator=None, max_epochs=8, random_state=0
).meta_fit(known)

# %%
# The relations of all new machines, each after four measurements.

import matplotlib.pyplot as plt

from skmeta.inspection import TaskRelationDisplay

supports = TaskCollection({t.name: (t.X[:4], t.y[:4]) for t in new})
TaskRelationDisplay.from_estimator(model, supports)
plt.show()

# %%
# And those of one, as bars.

task = new[0]
model.fit(task.X[:4], task.y[:4])
display = TaskRelationDisplay.from_estimator(model)
display.ax_.set_title(f"{task.name} is most like", loc="left", weight="bold")
plt.show()

# %%
# A prediction is the sum of what each machine gave, and the four measurements.

of_each = model.contributions(task.X[4:])
of_same_make = of_each[:, :-1][:, make[:60] == make[60]].sum(1)
print("predicted  of machines of its make  of other machines  of its measurements")
for predicted, same, all_of in zip(
    model.predict(task.X[4:8]), of_same_make, of_each, strict=False
):
    others = all_of[:-1].sum() - same
    print(f"{predicted:9.2f}  {same:23.2f}  {others:17.2f}  {all_of[-1]:19.2f}")

# %%
# A machine of another kind, whose behaviour is not even linear, is unlike all of them.

odd = np.sin(2 * task.X[:, 0]) * known.y.std()
for name, y in ((task.name, task.y), ("an odd machine", odd)):
    print(f"{name}: familiarity {model.fit(task.X[:6], y[:6]).familiarity_:.2f}")
