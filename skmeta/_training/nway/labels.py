"""Task-specific labels: the split of a single task, and class codes over all tasks."""

import numpy as np

from ...tasks import TaskDistribution


def split_single_task(tasks, validation_tasks, fraction, rng):
    """Training and validation tasks; of a single task, classes are set aside.

    Other collections are returned as they are.
    """
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
    return task.where(~validation), task.where(validation)


def number_classes(tasks):
    """Task index and class code of each row; no two tasks have a class in common.

    Returns
    -------
    task, code : ndarrays of int, shape (n_rows,)
        Codes are consecutive, those of one task after those of another.
    """
    task = np.repeat(np.arange(len(tasks)), np.diff(tasks.offsets))
    _, label = np.unique(tasks.y, return_inverse=True)
    _, code = np.unique(task * (label.max() + 1) + label, return_inverse=True)
    return task, code
