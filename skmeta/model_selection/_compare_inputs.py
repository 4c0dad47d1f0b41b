"""What `compare` is given, checked: tasks, estimators and folds."""

import numpy as np
from sklearn.base import is_classifier
from sklearn.model_selection import KFold, check_cv
from sklearn.pipeline import Pipeline

from .._estimators.base import MetaLearner
from ..tasks import LazyTasks, check_tasks
from ._few_shot import refuse_distribution

MIN_TASKS = 10

MAX_TEST_TASKS = 100
"""Tasks of a fold that are scored on, at most."""


def load_tasks(tasks):
    """Tasks as a collection in memory."""
    tasks = check_tasks(tasks)
    refuse_distribution(tasks, "compare", 200)
    if len(tasks) < MIN_TASKS:
        raise ValueError(
            f"Got {len(tasks)} tasks. A comparison needs at least {MIN_TASKS}, to "
            "meta-fit on some and score on others; 50 or more are better."
        )
    return tasks.take(np.arange(len(tasks))) if isinstance(tasks, LazyTasks) else tasks


def name_estimators(estimators):
    """Estimators as a dict; those of a list are named after their classes."""
    if not isinstance(estimators, dict):
        named, counts = {}, {}
        for estimator in estimators:
            name = type(estimator).__name__
            n = counts[name] = counts.get(name, 0) + 1
            named[f"{name} ({n})" if n > 1 else name] = estimator
        estimators = named
    if len(estimators) < 2:
        raise ValueError(
            f"Got {len(estimators)} estimators: {list(estimators)}. A comparison takes "
            "at least two; None compares with the usual rivals."
        )
    return estimators


def has_class_targets(y):
    """Whether targets are taken as classes: text, or two values."""
    return y.dtype.kind == "U" or len(np.unique(y)) == 2


def is_classification(estimators):
    classifiers = [name for name, e in estimators.items() if is_classifier(e)]
    others = [name for name in estimators if name not in classifiers]
    if classifiers and others:
        raise ValueError(
            "Classifiers cannot be compared with regressors. Got the classifiers "
            f"{classifiers} and the others {others}."
        )
    return not others


def split_roles(estimators):
    """The name of the candidate, and those of its rivals."""
    last = {
        name: estimator[-1] if isinstance(estimator, Pipeline) else estimator
        for name, estimator in estimators.items()
    }
    ours = [name for name, step in last.items() if isinstance(step, MetaLearner)]
    candidate = ours[0] if ours else next(iter(estimators))
    others = [name for name in estimators if name != candidate]
    return candidate, tuple([name for name in others if name not in ours] or others)


def split_tasks(cv, n_tasks, seed):
    """Positions ``(train, test)`` of the tasks of each fold."""
    if isinstance(cv, int | np.integer):
        cv = KFold(cv, shuffle=True, random_state=seed)
    rng = np.random.default_rng(seed)
    for train, test in check_cv(cv).split(np.arange(n_tasks)):
        yield rng.permutation(train), rng.permutation(test)[:MAX_TEST_TASKS]
