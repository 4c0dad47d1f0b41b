"""Where the tasks of meta-training come from, and which are held out."""

import math
from dataclasses import dataclass, replace

import numpy as np

from .._preprocessing.column_reduction import fit_features_of
from .._preprocessing.missing_values import MissingValues
from .._preprocessing.outliers import (
    drop_target_outliers,
    restrict_targets,
    warn_feature_outliers,
)
from .._preprocessing.row_uncertainty import FeatureRange
from .._preprocessing.task_mapping import map_features
from ..tasks import LazyTasks, TaskCollection, TaskDistribution
from ..tasks._column_names import check_columns
from ..tasks._row_checks import refuse_text_tasks
from ..tasks._task import VALIDATION, check_same_schema

MAX_VALIDATION = 512
"""Tasks set aside by ``validation_fraction``, at most."""

MAX_ROWS = 2_000_000
"""Rows of a collection above which it is treated as a lazy sequence is."""

MAX_EXAMPLES = 1024
"""Tasks of a lazy sequence or a distribution that scalers and priors are fitted to."""

CONTINUES = "the tasks have", "what warm_start=True continues from has"


@dataclass(frozen=True, eq=False)
class MetaSplit:
    """The tasks of one meta-training.

    Attributes
    ----------
    tasks : TaskCollection, LazyTasks or TaskDistribution
        Drawn from at every step.
    examples : TaskCollection
        What scalers, the pooled estimator and the prior are fitted to: ``tasks``
        themselves, or others where those are lazy, endless or very many.
    held_out : TaskCollection
        Judged on; never learned from.
    memory : TaskCollection or LazyTasks
        All that `meta_fit` was given to learn from, held-out tasks included where
        these were set aside; of a distribution, the examples.
    probability : ndarray of shape (n_tasks,) or None
        How often each of ``tasks`` is drawn, where they are in memory; None draws all
        alike.
    example_places, held_out_places : ndarray of int
        Positions in ``memory`` of ``examples`` and ``validation``; -1 for those that
        are
        not in it.
    """

    tasks: TaskCollection | LazyTasks | TaskDistribution
    examples: TaskCollection
    validation: TaskCollection
    memory: TaskCollection | LazyTasks
    example_places: np.ndarray
    held_out_places: np.ndarray
    probability: np.ndarray | None = None

    @classmethod
    def split(cls, tasks, validation_tasks, fraction, rng, *, embeds=False, least=2,
              numbers=False):  # fmt: skip
        """Set ``fraction`` of the tasks aside, unless ``validation_tasks`` are given.

        Parameters
        ----------
        tasks, validation_tasks : as `check_tasks` gives them, or None for the second
        fraction : float
        rng : numpy.random.Generator
        embeds : bool
            Whether rows may be of any shape.
        least : int
            Tasks that must be there to learn from.
        numbers : bool
            Whether targets are numbers. Rows whose targets are wild are then left out.
        """
        given = tasks, validation_tasks
        in_memory = all(isinstance(t, TaskCollection | None) for t in given)
        if numbers and in_memory:
            tasks, validation_tasks, *_ = drop_target_outliers(*given)
        sources = cls._split(tasks, validation_tasks, fraction, rng, least)
        sources._check(embeds)
        return sources if in_memory or not numbers else sources._plausible()

    def _plausible(self):
        """The same without rows whose targets are wild, of tasks that are loaded."""
        *_, low, high = drop_target_outliers(self.examples, self.validation)
        return self.map(lambda some: restrict_targets(some, low, high))

    @classmethod
    def _split(cls, tasks, validation_tasks, fraction, rng, least):
        if isinstance(tasks, TaskCollection) and len(tasks.y) > MAX_ROWS:
            tasks = LazyTasks(tasks)
        if isinstance(tasks, TaskDistribution):
            examples = _in_memory(tasks, MAX_EXAMPLES, rng)
            validation = tasks if validation_tasks is None else validation_tasks
            validation = _in_memory(validation, MAX_VALIDATION, rng)
            places = np.arange(len(examples)), np.full(len(validation), -1)
            return cls(tasks, examples, validation, examples, *places)
        memory, places, set_aside = tasks, np.arange(len(tasks)), None
        if validation_tasks is None:
            n = min(max(1, round(fraction * len(tasks))), MAX_VALIDATION)
            if len(tasks) - n < least:
                raise ValueError(
                    f"meta_fit got {len(tasks)} tasks and sets {n} aside as held-out "
                    f"tasks (validation_fraction={fraction}); at least {least} must "
                    "remain to learn from. Give more tasks, or validation_tasks."
                )
            order = rng.permutation(len(tasks))
            set_aside, places = order[:n], np.sort(order[n:])
            validation_tasks, tasks = tasks[set_aside], tasks[places]
        elif len(tasks) < least:
            raise ValueError(
                f"meta_fit got {len(tasks)} task; it needs at least {least} to learn "
                "from."
            )
        validation = _in_memory(validation_tasks, MAX_VALIDATION, rng)
        examples = tasks
        if isinstance(tasks, LazyTasks):
            order = rng.permutation(len(tasks))
            n = min(MAX_EXAMPLES, math.ceil(len(tasks) / 2))
            examples, places = tasks.take(order[:n]), places[order[:n]]
            tasks = tasks[order[n:]]
        if set_aside is None:
            set_aside = np.full(len(validation), -1)
        return cls(tasks, examples, validation, memory, places, set_aside)

    def _check(self, embeds):
        """Refuse rows that are no vectors, and held-out tasks of another kind."""
        shape = self.examples.X.shape[1:]
        if len(shape) != 1 and not embeds:
            raise ValueError(
                f"Each row of the tasks has the shape {shape}; it must be a vector of "
                "features. Flatten the rows first, or give an embedding, a torch "
                "module that turns such rows into vectors."
            )
        check_same_schema(self.validation._schema, self.examples._schema, VALIDATION)

    def check_numbers(self):
        """Refuse targets that are no numbers."""
        refuse_text_tasks(self.examples)

    def map(self, change):
        """The same with ``change`` applied to all tasks, each kind of them once."""
        changed = {}
        for name in ("examples", "validation", "tasks", "memory"):
            tasks = getattr(self, name)
            same = (n for n in changed if getattr(self, n) is tasks)
            known = next(same, None)
            changed[name] = change(tasks) if known is None else changed[known]
        return replace(self, **changed)

    def filled(self, previous, embeds):
        """What takes the place of missing values, and the same with it.

        It is fitted, unless a `MetaState` is gone on from; where ``embeds``, nothing
        says in columns of its own where they were.

        Returns
        -------
        missing : MissingValues
        seen : FeatureRange or None
            Where the rows lie; None where ``embeds``.
        sources : Sources

        Raises
        ------
        ValueError
            If what training continues from has learned of other columns.
        """
        if previous is None:
            missing = MissingValues.fit(self.examples.X, indicates=not embeds)
            if missing.low is not None:
                marked = missing.mask_outliers(self.examples.X)
                warn_feature_outliers(self.examples, marked)
        else:
            check_columns(
                self.examples._schema, previous, CONTINUES,
                otherwise=", or set warm_start=False to start anew",
            )  # fmt: skip
            missing = previous.missing
        filled, seen = self.map(lambda some: map_features(some, missing)), None
        if not embeds:
            seen = FeatureRange.fit(filled.examples.X[:, : len(missing.fill)])
        return missing, seen, filled

    def fit_features(self, classes):
        """What standardises the columns of the examples; see `fit_features`."""
        return fit_features_of(self.examples, classes, self.examples.row_weights())

    def attended(self, attention, held_out_attention):
        """The tasks in memory with an attention of at least a half, drawn by it."""
        kept, kept_out = attention >= 0.5, held_out_attention >= 0.5
        tasks = self.tasks[kept]
        return replace(
            self,
            tasks=tasks,
            examples=tasks,
            validation=self.validation[kept_out],
            example_places=self.example_places[kept],
            held_out_places=self.held_out_places[kept_out],
            probability=attention[kept] / attention[kept].sum(),
        )


def drop_zero_weight(tasks):
    """Tasks in memory without those of weight 0, and without weights that are alike.

    Others are left as they are.
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


def _in_memory(tasks, n, rng):
    if isinstance(tasks, TaskCollection):
        return tasks
    if isinstance(tasks, TaskDistribution):
        return tasks.draw(n, int(rng.integers(2**31 - 1)))
    order = np.arange(len(tasks)) if len(tasks) <= n else rng.permutation(len(tasks))
    return tasks.take(order[:n])
