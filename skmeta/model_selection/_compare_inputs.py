"""What `compare` is given, checked: tasks, estimators, numbers of rows and folds."""

import numpy as np
from sklearn.base import is_classifier
from sklearn.model_selection import KFold, check_cv
from sklearn.pipeline import Pipeline

from .._estimators.base import MetaLearner
from ..tasks import LazyTasks, TaskDistribution, check_tasks
from ._few_shot import check_n_support, check_reached

SHOTS = (3, 5, 10, 20)
"""Numbers of support rows that are compared at, unless tasks are too small."""

MIN_QUERY = 3
"""Rows that half of the tasks must have beyond the support."""

MIN_TASKS = 10

MAX_VALIDATION = 100
"""Tasks of a fold that are scored on."""


def held_in_memory(tasks):
    tasks = check_tasks(tasks)
    if isinstance(tasks, TaskDistribution):
        raise ValueError(
            f"{tasks!r} is a distribution, which has tasks without end. Draw those to "
            "compare on: tasks.sample(200, random_state=0)."
        )
    if len(tasks) < MIN_TASKS:
        raise ValueError(
            f"Got {len(tasks)} tasks. To learn from some and compare on others takes "
            f"at least {MIN_TASKS}, better 50."
        )
    if isinstance(tasks, LazyTasks):
        tasks = tasks.take(np.arange(len(tasks)))
    return tasks


def named(estimators):
    """Estimators by name; None as it is."""
    if estimators is None:
        return None
    if not isinstance(estimators, dict):
        drop_zero_weight = {}
        for estimator in estimators:
            name = type(estimator).__name__
            n = sum(known.split(" (")[0] == name for known in drop_zero_weight)
            drop_zero_weight[f"{name} ({n + 1})" if n else name] = estimator
        estimators = drop_zero_weight
    if len(estimators) < 2:
        raise ValueError(
            f"Got {len(estimators)} estimators: {list(estimators)}. A comparison takes "
            "at least two; None compares with the usual rivals."
        )
    return estimators


def is_classes(y):
    """Whether targets are taken for classes: text, or two values."""
    return y.dtype.kind == "U" or len(np.unique(y)) == 2


def is_classification(estimators):
    kinds = {name: is_classifier(e) for name, e in estimators.items()}
    if len(set(kinds.values())) > 1:
        raise ValueError(
            "Classifiers cannot be compared with regressors. Got the classifiers "
            f"{[n for n, c in kinds.items() if c]} and the others "
            f"{[n for n, c in kinds.items() if not c]}."
        )
    return all(kinds.values())


def _last(estimator):
    """The last step of a pipeline."""
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def roles(estimators):
    """The estimator that is judged, and the names of its rivals."""
    ours = [n for n, e in estimators.items() if isinstance(_last(e), MetaLearner)]
    judged = ours[0] if ours else next(iter(estimators))
    others = [n for n in estimators if n != judged]
    return judged, tuple([n for n in others if n not in ours] or others)


def shots_of(n_support, tasks, nway):
    """Numbers of support rows: those that are given, or those that most tasks have."""
    counts, what = [[n] for n in np.diff(tasks.offsets)], "rows"
    if nway:
        what = "rows of a class"
        of_tasks = np.split(tasks.y, tasks.offsets[1:-1])
        counts = [np.unique(y, return_counts=True)[1] for y in of_tasks]
    if n_support is not None:
        n_support = check_n_support(n_support)
        check_reached(n_support, max(map(max, counts)), nway)
        return n_support
    n_rows = int(np.median([min(some) for some in counts]))
    shots = tuple(k for k in SHOTS if k + MIN_QUERY <= n_rows)
    if not shots:
        raise ValueError(
            f"Half of the tasks have no more than {n_rows} {what}. To adapt to "
            f"{SHOTS[0]} and score on others takes {SHOTS[0] + MIN_QUERY}; give a "
            "smaller n_support (--shots)."
        )
    return shots


def folds(cv, n_tasks, seed):
    """Positions ``(train, test)`` of each fold, test tasks as many as are scored on."""
    if isinstance(cv, int | np.integer):
        cv = KFold(cv, shuffle=True, random_state=seed)
    rng = np.random.default_rng(seed)
    for train, test in check_cv(cv).split(np.arange(n_tasks)):
        yield rng.permutation(train), rng.permutation(test)[:MAX_VALIDATION]
