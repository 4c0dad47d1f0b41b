"""Which tasks are used for training, fitting, validation and memory."""

import math
from dataclasses import dataclass, replace

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

from .._preprocessing.outliers import drop_target_outliers, restrict_targets
from ..tasks import LazyTasks, TaskCollection, TaskDistribution
from ..tasks._row_checks import refuse_text_tasks
from ..tasks._task import VALIDATION, check_same_schema
from .config import NWAY, REGRESSION
from .nway.labels import split_single_task

MAX_VALIDATION = 512
"""Maximum number of tasks set aside by ``validation_fraction``."""

MAX_ROWS = 2_000_000
"""Number of rows above which a collection is treated as a lazy sequence."""

MAX_FITTING = 1024
"""Maximum number of tasks of a lazy sequence or distribution that scalers and priors
are fitted to."""


@dataclass(frozen=True, eq=False)
class MetaSplit:
    """The tasks of one meta-training.

    Attributes
    ----------
    train_tasks : TaskCollection, LazyTasks or TaskDistribution
        Tasks of the training batches.
    fitting_tasks : TaskCollection
        Tasks for fitting scalers, the pooled estimator and the prior: ``train_tasks``,
        or a sample if these are lazy, a distribution or very many.
    val_tasks : TaskCollection
        Tasks for model selection by their loss; not used for training.
    memory_tasks : TaskCollection or LazyTasks
        All meta-training tasks, including validation tasks that were set aside from
        them; of a distribution, the fitting tasks.
    fitting_index, val_index : ndarray of int
        Positions of ``fitting_tasks`` and ``val_tasks`` in ``memory_tasks``; -1 for
        tasks that are not in it.
    classes : ndarray of shape (n_classes,) or None
        The sorted labels, if all tasks share them.
    """

    train_tasks: TaskCollection | LazyTasks | TaskDistribution
    fitting_tasks: TaskCollection
    val_tasks: TaskCollection
    memory_tasks: TaskCollection | LazyTasks
    fitting_index: np.ndarray
    val_index: np.ndarray
    classes: np.ndarray | None = None

    @property
    def in_memory(self):
        """Whether all training tasks are in memory."""
        return self.train_tasks is self.fitting_tasks

    def map(self, change):
        """The split with ``change`` applied to its tasks, once per collection."""
        changed = {}
        for name in ("fitting_tasks", "val_tasks", "train_tasks", "memory_tasks"):
            tasks = getattr(self, name)
            same = (n for n in changed if getattr(self, n) is tasks)
            known = next(same, None)
            changed[name] = change(tasks) if known is None else changed[known]
        return replace(self, **changed)

    def weighted(self, weights, val_weights):
        """The split of the tasks with weights of at least 1/2, weighted by these."""
        kept, kept_val = weights >= 0.5, val_weights >= 0.5
        tasks = _reweighted(self.train_tasks[kept], weights[kept])
        return replace(
            self,
            train_tasks=tasks,
            fitting_tasks=tasks,
            val_tasks=self.val_tasks[kept_val],
            fitting_index=self.fitting_index[kept],
            val_index=self.val_index[kept_val],
        )


def split_tasks(tasks, validation_tasks, config, rng):
    """Set a fraction of the tasks aside, unless validation tasks are given.

    In regression, rows whose targets are outliers are dropped, with a warning.

    Parameters
    ----------
    tasks, validation_tasks : as returned by `check_tasks`, or None for the second
    config : MetaConfig
    rng : numpy.random.Generator

    Returns
    -------
    split : MetaSplit

    Raises
    ------
    ValueError
        If there are too few tasks, rows are not vectors and there is no embedding,
        or targets are invalid for the problem.
    """
    regression = config.problem == REGRESSION
    in_memory = all(
        isinstance(t, TaskCollection | None) for t in (tasks, validation_tasks)
    )
    if regression and in_memory:
        tasks, validation_tasks, *_ = drop_target_outliers(tasks, validation_tasks)
    least = 2
    if config.problem == NWAY:
        least = 1
        tasks, validation_tasks = split_single_task(
            tasks, validation_tasks, config.validation_fraction, rng
        )
    split = _split(tasks, validation_tasks, config.validation_fraction, rng, least)
    _check_rows(split, config)
    if regression and not in_memory:
        *_, low, high = drop_target_outliers(split.fitting_tasks, split.val_tasks)
        split = split.map(lambda some: restrict_targets(some, low, high))
    if regression:
        refuse_text_tasks(split.fitting_tasks)
        return split
    if config.problem == NWAY:
        for some in (split.fitting_tasks, split.val_tasks):
            check_classification_targets(some.y)
        return split
    return replace(split, classes=_labels(split))


def _split(tasks, validation_tasks, fraction, rng, least):
    if isinstance(tasks, TaskCollection) and len(tasks.y) > MAX_ROWS:
        tasks = LazyTasks(tasks)
    if isinstance(tasks, TaskDistribution):
        fitting = _in_memory(tasks, MAX_FITTING, rng)
        val = tasks if validation_tasks is None else validation_tasks
        val = _in_memory(val, MAX_VALIDATION, rng)
        index = np.arange(len(fitting)), np.full(len(val), -1)
        return MetaSplit(tasks, fitting, val, fitting, *index)
    memory, index, set_aside = tasks, np.arange(len(tasks)), None
    if validation_tasks is None:
        n = min(max(1, round(fraction * len(tasks))), MAX_VALIDATION)
        if len(tasks) - n < least:
            raise ValueError(
                f"meta_fit got {len(tasks)} tasks and sets {n} aside as validation "
                f"tasks (validation_fraction={fraction}); at least {least} must "
                "remain to learn from. Give more tasks, or validation_tasks."
            )
        order = rng.permutation(len(tasks))
        set_aside, index = order[:n], np.sort(order[n:])
        validation_tasks, tasks = tasks[set_aside], tasks[index]
    elif len(tasks) < least:
        raise ValueError(
            f"meta_fit got {len(tasks)} task; it needs at least {least} to learn from."
        )
    val = _in_memory(validation_tasks, MAX_VALIDATION, rng)
    fitting = tasks
    if isinstance(tasks, LazyTasks):
        order = rng.permutation(len(tasks))
        n = min(MAX_FITTING, math.ceil(len(tasks) / 2))
        fitting, index = tasks.take(order[:n]), index[order[:n]]
        tasks = tasks[order[n:]]
    if set_aside is None:
        set_aside = np.full(len(val), -1)
    return MetaSplit(tasks, fitting, val, memory, index, set_aside)


def _check_rows(split, config):
    """Raise if rows are not vectors, or validation tasks have another schema."""
    shape = split.fitting_tasks.X.shape[1:]
    if len(shape) != 1 and config.embedding is None:
        raise ValueError(
            f"Each row of the tasks has the shape {shape}; it must be a vector of "
            "features. Flatten the rows first, or give an embedding, a torch "
            "module that turns such rows into vectors."
        )
    check_same_schema(split.val_tasks._schema, split.fitting_tasks._schema, VALIDATION)


def _labels(split, chunk=256):
    """The sorted labels of all tasks; of a distribution, of the fitting tasks."""
    labels = [split.fitting_tasks.y, split.val_tasks.y]
    if isinstance(split.train_tasks, LazyTasks):
        n = len(split.train_tasks)
        some = (range(i, min(i + chunk, n)) for i in range(0, n, chunk))
        labels += [np.unique(split.train_tasks.take(at).y) for at in some]
    for y in labels:
        check_classification_targets(y)
    return np.unique(np.concatenate(labels))


def drop_zero_weight(tasks):
    """Drop tasks of weight 0, and weights that are all equal, from tasks in memory.

    Other kinds of tasks are returned unchanged.
    """
    if not isinstance(tasks, TaskCollection) or tasks.weights is None:
        return tasks
    if not tasks.weights.any():
        raise ValueError(
            f"All {len(tasks)} tasks have the weight 0, and there is nothing to learn "
            "from. Give at least some of them a positive weight."
        )
    tasks = tasks[tasks.weights > 0]
    if np.ptp(tasks.weights) > 0:
        return tasks
    return tasks._replace(weights=None)


def _reweighted(tasks, weights):
    """Tasks in memory whose weights are multiplied by ``weights`` (n_tasks,)."""
    if tasks.weights is not None:
        weights = weights * tasks.weights
    return tasks._replace(weights=weights)


def _in_memory(tasks, n, rng):
    if isinstance(tasks, TaskCollection):
        return tasks
    if isinstance(tasks, TaskDistribution):
        return tasks.draw(n, int(rng.integers(2**31 - 1)))
    order = np.arange(len(tasks)) if len(tasks) <= n else rng.permutation(len(tasks))
    return tasks.take(order[:n])
