"""Collections in which every task has classes of its own, and how they are told."""

import numpy as np

from .tasks import SampledTasks, TaskCollection

MAX_LABELLED = 256
"""Tasks whose labels say whether classes are shared, at most."""

ALIKE, OFTEN = 1.5, 0.2
"""Number of tasks, and share of them, that a shared class is in, on average."""


def has_own_classes(shared_classes, tasks):
    """Whether each task has classes of its own, as asked for or by its labels.

    With ``"auto"`` they are its own if a label is in hardly more than one task, or in
    less than a fifth of them, on average.
    """
    if shared_classes != "auto":
        return not shared_classes
    if isinstance(tasks, SampledTasks):
        tasks = tasks.draw(MAX_LABELLED, 0)
    n = min(len(tasks), MAX_LABELLED)
    some = np.linspace(0, len(tasks) - 1, n).astype(int)
    labels = [np.unique(tasks[int(t)].y) for t in some]
    met = sum(map(len, labels)) / len(np.unique(np.concatenate(labels)))
    return met < ALIKE or met < OFTEN * n


def learned_own_classes(estimator):
    """Whether an estimator was meta-fitted on tasks that have classes of their own."""
    state = getattr(estimator, "meta_state_", None)
    return hasattr(state, "targets") and state.targets is None


def by_classes(tasks, validation_tasks, fraction, rng):
    """A single task as two, some of its classes held out; others as they are."""
    if validation_tasks is not None or isinstance(tasks, SampledTasks):
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
    held_out = np.isin(task.y, rng.permutation(classes)[:n])
    known, new = (
        TaskCollection._of(
            task.X[rows],
            task.y[rows],
            np.array([0, rows.sum()]),
            task._names,
            task.feature_names,
            task.weights,
        )
        for rows in (~held_out, held_out)
    )
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
