"""Collections in which every task has classes of its own, and how they are told."""

import numpy as np

from ...tasks import TaskDistribution


def by_classes(tasks, validation_tasks, fraction, rng):
    """A single task as two, some of its classes held out; others as they are."""
    if validation_tasks is not None or isinstance(tasks, TaskDistribution):
        return tasks, validation_tasks
    if len(tasks) > 1:
        return tasks, validation_tasks
    task = tasks.take([0])
    classes = np.unique(task.y)
    n = max(2, round(fraction * len(classes)))
    if len(classes) - n < 2:
        raise ValueError(
            f"meta_fit got 1 task with {len(classes)} classes and sets {n} of these "
            f"aside (validation_fraction={fraction}); at least 2 must remain to learn "
            "from. Give more tasks, more classes, or validation_tasks."
        )
    validation = np.isin(task.y, rng.permutation(classes)[:n])
    known, new = (task.where(rows) for rows in (~validation, validation))
    return known, new


def numbered_classes(tasks):
    """The task and the class of each row; no two tasks have a class in common.

    Returns
    -------
    task, group : ndarrays of int, shape (n_rows,)
        Classes are numbered through, those of one task after those of another.
    """
    task = np.repeat(np.arange(len(tasks)), np.diff(tasks.offsets))
    _, label = np.unique(tasks.y, return_inverse=True)
    _, group = np.unique(task * (label.max() + 1) + label, return_inverse=True)
    return task, group
