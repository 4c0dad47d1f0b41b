"""Whether a label means the same in every task."""

import numpy as np

from ._lazy import TaskDistribution

MAX_LABELLED = 256
"""Tasks whose labels say whether classes are shared, at most."""

ALIKE, OFTEN = 1.5, 0.2
"""Number of tasks, and share of them, that a shared class is in, on average."""


def has_task_specific_labels(shared_classes, tasks):
    """Whether each task has classes of its own, as asked for or by its labels.

    With ``"auto"`` they are its own if a label is in hardly more than one task, or in
    less than a fifth of them, on average.
    """
    if shared_classes != "auto":
        return not shared_classes
    if isinstance(tasks, TaskDistribution):
        tasks = tasks.draw(MAX_LABELLED, 0)
    n = min(len(tasks), MAX_LABELLED)
    some = np.linspace(0, len(tasks) - 1, n).astype(int)
    labels = [np.unique(tasks[int(t)].y) for t in some]
    met = sum(map(len, labels)) / len(np.unique(np.concatenate(labels)))
    return met < ALIKE or met < OFTEN * n
