"""Whether a meta-learner is worth it on a collection of tasks."""

import time
import warnings
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from tqdm import tqdm

from .._estimators.pipelines import learns_across_tasks, meta_fit_in_place
from .._utils.threads import single_pool_thread
from ..tasks._argument_checks import takes_tasks
from ..tasks._label_sharing import has_task_specific_labels
from ._compare_inputs import (
    MIN_TASKS,
    has_class_targets,
    is_classification,
    load_tasks,
    name_estimators,
    split_roles,
    split_tasks,
)
from ._comparison import Comparison
from ._default_rivals import default_estimators, fit_imputer, reference, with_imputer
from ._few_shot import few_shot_scores
from ._n_support import resolve_n_support


@takes_tasks
def compare(
    estimators,
    tasks,
    *,
    n_support=None,
    n_episodes=5,
    cv=3,
    train_sizes=(0.25, 0.5),
    n_jobs=None,
    random_state=None,
    verbose=0,
):
    """Find out whether meta-learning is worth it on a collection of tasks.

    The tasks are split into folds. Each estimator that has `meta_fit` is meta-fitted on
    all folds but one and scored on the tasks of that one, from a few support rows of
    each; all are scored on the same rows of the same tasks. One of the estimators is
    the candidate: it is worth it if it is better than the best of its rivals by more
    than chance and by enough to matter. The best rival is selected by the scores that
    the candidate is then compared with, which favours the rivals.

    Parameters
    ----------
    estimators : dict of str -> estimator, list of estimators or None
        The candidate is the first meta-learner of this package, or else the first
        estimator; its rivals are those that are no meta-learners, or else all others. A
        plain scikit-learn estimator is a per-task baseline. None compares an
        `AttentionMetaRegressor` (`AttentionMetaClassifier`) with pooled boosting, plain
        and adapted, a mixed-effects model, and per-task estimators.
    tasks : TaskCollection, list of (X, y), dict or lazy sequence
        At least 10.
    n_support : int or sequence of int, default=None
        Numbers K of support rows; of each class, where labels are task-specific. None
        takes those of 3, 5, 10 and 20 that half of the tasks have, with three more rows
        to be scored on.
    n_episodes : int, default=5
        Draws of support rows for each task and K.
    cv : int, splitter or iterable of (train, test), default=3
        How tasks are split: the number of random folds, a splitter of scikit-learn, or
        the splits. At most 100 tasks of a fold are scored on.
    train_sizes : sequence of float, default=(0.25, 0.5)
        Fractions of the meta-training tasks of the first fold on which the candidate is
        meta-fitted as well, for `Comparison.learning_curve`. Those of fewer than 10
        tasks are left out; an empty sequence saves the time.

        .. versionadded:: 0.2
    n_jobs : int or None, default=None
        Estimators and folds that joblib runs in parallel.
    random_state : int, RandomState instance or None, default=None
        Draws the folds and the rows, and seeds the default estimators.
    verbose : int, default=0
        Above 0, a progress bar.

    Returns
    -------
    comparison : Comparison
        ``print(comparison)`` says what was found; its methods give the numbers.

    Raises
    ------
    ValueError
        If there are too few tasks, fewer than two estimators, `train_sizes` are no
        fractions, or for what `few_shot_scores` refuses.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression, Ridge
    >>> from skmeta.baselines import MixedEffectsRegressor
    >>> from skmeta.datasets import make_linear_tasks
    >>> from skmeta.model_selection import compare
    >>> tasks = make_linear_tasks(60, n_features=2, within=0.3, random_state=0)
    >>> comparison = compare(
    ...     {"mixed": MixedEffectsRegressor(), "ridge": Ridge()},
    ...     tasks,
    ...     n_support=(3, 5),
    ...     random_state=0,
    ... )
    >>> comparison.worth_it
    True
    >>> [row.winner for row in comparison.summary()]
    ['mixed', 'mixed']
    """
    tasks = load_tasks(tasks)
    seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    estimators, classification, nway = _resolve_estimators(estimators, tasks, seed)
    candidate, rivals = split_roles(estimators)
    scoring = {
        "n_support": resolve_n_support(n_support, tasks, nway),
        "n_episodes": n_episodes,
        "scoring": "neg_log_loss" if classification else "neg_mean_squared_error",
        "random_state": seed,
        "shared_classes": not nway,
    }
    folds = list(split_tasks(cv, len(tasks), seed))
    base = with_imputer(reference(classification, nway), fit_imputer(tasks))
    jobs = _plan(folds, {None: base} | estimators, candidate, train_sizes)
    results = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_run)(
            base if job.name is None else estimators[job.name],
            tasks[folds[job.fold][0][: job.n_train]],
            tasks[folds[job.fold][1]],
            scoring,
        )
        for job in jobs
    )
    bar = tqdm(
        results, total=len(jobs), disable=verbose <= 0, desc="comparing",
        bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}]",
    )  # fmt: skip
    return Comparison(
        candidate=candidate,
        rivals=rivals,
        per_task=tuple(n for n in rivals if not learns_across_tasks(estimators[n])),
        n_support=scoring["n_support"],
        task_names=tuple(
            getattr(tasks[t], "name", t) for _, test in folds for t in test
        ),
        metric="D2" if classification else "R2",
        estimator_reprs={name: _repr(one) for name, one in estimators.items()},
        n_folds=len(folds),
        n_tasks=len(tasks),
        seed=seed,
        **_collect(dict(zip(jobs, bar, strict=True)), estimators, candidate),
    )


def _resolve_estimators(estimators, tasks, seed):
    """Estimators by name, and whether targets are classes, and task-specific."""
    if estimators is not None:
        estimators = name_estimators(estimators)
        classification = is_classification(estimators)
    else:
        classification = has_class_targets(tasks.y)
    nway = classification and has_task_specific_labels("auto", tasks)
    if estimators is None:
        estimators = default_estimators(tasks, classification, nway, seed)
    return estimators, classification, nway


class _Job(NamedTuple):
    """An estimator to be meta-fitted and scored; that of name None is the reference."""

    name: str | None
    fold: int
    n_train: int


def _plan(folds, estimators, candidate, train_sizes):
    """All jobs: each estimator on each fold, and the candidate on fewer tasks."""
    jobs = [
        _Job(name, fold, len(train))
        for fold, (train, _) in enumerate(folds)
        for name in estimators
    ]
    if not all(0 < share <= 1 for share in train_sizes):
        raise ValueError(
            f"train_sizes={train_sizes} must be fractions of the meta-training tasks, "
            "above 0 and at most 1."
        )
    if learns_across_tasks(estimators[candidate]):
        sizes = [round(share * len(folds[0][0])) for share in train_sizes]
        jobs += [_Job(candidate, 0, n) for n in sizes if n >= MIN_TASKS]
    # The longest last and by size, which packs them well and shows progress early.
    jobs = dict.fromkeys(jobs)
    return sorted(jobs, key=lambda job: (job.name == candidate, -job.n_train))


def _run(estimator, train, test, scoring):
    """Meta-fit and score: losses (n_tasks, n_shots, n_episodes), and seconds of CPU."""
    estimator, fit_time = clone(estimator), 0.0
    with warnings.catch_warnings(), single_pool_thread():
        # Episodes that fail are counted; of a few rows many a fit does not converge.
        warnings.simplefilter("ignore", FitFailedWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        if learns_across_tasks(estimator):
            start = time.process_time()
            estimator = meta_fit_in_place(estimator, train)
            fit_time = time.process_time() - start
        return -few_shot_scores(estimator, test, **scoring).scores, fit_time


def _collect(results, names, candidate):
    """Losses, failures and times of all jobs, by the fields of a Comparison."""
    folds = sorted(job for job in results if job.name is None)
    base = [results[job][0] for job in folds]
    losses, failures, fit_time = {}, {}, {}
    for name in names:
        scored, times = zip(
            *(results[job._replace(name=name)] for job in folds), strict=True
        )
        filled, n_failed = zip(*map(_fill, scored, base), strict=True)
        losses[name] = np.concatenate(filled)
        failures[name] = sum(n_failed)
        fit_time[name] = float(np.mean(times))
    sizes = sorted(job for job in results if job.name == candidate and job.fold == 0)
    return {
        "losses": losses,
        "failures": failures,
        "fit_time": fit_time,
        "reference": np.concatenate([loss.mean(axis=2) for loss in base]),
        "learning_curve_losses": {
            job.n_train: _fill(results[job][0], base[0])[0] for job in sizes
        },
    }


def _fill(losses, base):
    """Mean over episodes; one that failed counts as if the reference had predicted."""
    failed = np.isnan(losses) & ~np.isnan(base)
    return np.where(failed, base, losses).mean(axis=2), int(failed.sum())


def _repr(estimator):
    """An estimator as code, without what it was fitted to here."""
    if not isinstance(estimator, Pipeline):
        return repr(estimator)
    steps = [
        step.estimator if isinstance(step, FrozenEstimator) else step
        for _, step in estimator.steps
    ]
    return f"make_pipeline({', '.join(map(repr, steps))})"
