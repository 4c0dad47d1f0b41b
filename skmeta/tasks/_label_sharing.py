"""Whether tasks share their classes, or have task-specific labels."""

import numpy as np

from ._lazy import TaskDistribution

MAX_LABELLED = 256
"""Tasks whose labels are compared, at most."""

MIN_TASKS, MIN_SHARE = 1.5, 0.2
"""Number of tasks, and share of them, that a shared class is in, on average."""


def has_task_specific_labels(shared_classes, tasks):
    """Whether tasks have task-specific labels, as set by the user or by the labels.

    With ``"auto"`` they have, if a label is in fewer than 1.5 tasks, or in less than a
    fifth of them, on average.
    """
    if shared_classes != "auto":
        return not shared_classes
    if isinstance(tasks, TaskDistribution):
        tasks = tasks.draw(MAX_LABELLED, 0)
    n = min(len(tasks), MAX_LABELLED)
    some = np.linspace(0, len(tasks) - 1, n).astype(int)
    labels = [np.unique(tasks[int(t)].y) for t in some]
    n_met = sum(map(len, labels)) / len(np.unique(np.concatenate(labels)))
    return n_met < MIN_TASKS or n_met < MIN_SHARE * n
