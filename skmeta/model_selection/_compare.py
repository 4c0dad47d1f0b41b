"""Whether a meta-learner is worth it on a collection of tasks."""

import time
import warnings
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import check_random_state
from tqdm import tqdm

from .._estimators.attention import AttentionMetaClassifier, AttentionMetaRegressor
from .._estimators.pipelines import learns_across_tasks, meta_fit_in_place
from .._utils.threads import single_pool_thread
from ..tasks._argument_checks import takes_tasks
from ..tasks._given_tasks import framed
from ..tasks._label_sharing import has_task_specific_labels
from ._compare_inputs import (
    MIN_TASKS,
    folds,
    held_in_memory,
    is_classes,
    is_classification,
    named,
    roles,
    shots_of,
)
from ._comparison import Comparison, Growth
from ._default_rivals import default_rivals, reference
from ._few_shot import few_shot_scores

SHARES = (0.25, 0.5)
"""Shares of the meta-training tasks that show whether more would help."""


@takes_tasks
def compare(
    estimators,
    tasks,
    *,
    n_support=None,
    n_episodes=5,
    cv=3,
    n_jobs=None,
    random_state=None,
    verbose=0,
):
    """Find out whether meta-learning is worth it on a collection of tasks.

    The tasks are split into folds. Each estimator that has `meta_fit` is meta-fitted on
    all folds but one and scored on the tasks of that one, from a few support rows of
    each; all see the same tasks and the same rows. One of the estimators is judged: it
    is worth it if it is ahead of the best of its rivals by more than chance and by
    enough to matter. The best is chosen by the very scores that it is then compared
    by, which flatters the rivals, never the one that is judged.

    Parameters
    ----------
    estimators : dict of str -> estimator, list of estimators or None
        The first meta-learner of this package is judged, or else the first of all; its
        rivals are those that are no meta-learners, or else all others. A plain
        scikit-learn estimator is the per-task baseline. None compares an
        `AttentionMetaRegressor` (`AttentionMetaClassifier`) with pooled boosting, plain
        and adapted, a mixed-effects model, and estimators of each task alone.
    tasks : TaskCollection, list of (X, y), dict or lazy sequence
        At least 10.
    n_support : int or sequence of int, default=None
        Numbers K of support rows; of each class, where every task has classes of its
        own. None takes those of 3, 5, 10 and 20 that half of the tasks have, and three
        rows more to be scored on.
    n_episodes : int, default=5
        Draws of support rows for each task and K.
    cv : int, splitter or iterable of (train, test), default=3
        How tasks are split: into so many folds at random, by a splitter of
        scikit-learn, or as given. Of a fold, 100 tasks are scored on, at most.
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
        If there are too few tasks, fewer than two estimators, or what
        `few_shot_scores` refuses.

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
    tasks = held_in_memory(tasks)
    seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    estimators = named(estimators)
    if estimators is None:
        classification = is_classes(tasks.y)
    else:
        classification = is_classification(estimators)
    nway = classification and has_task_specific_labels("auto", tasks)
    if estimators is None:
        estimators = default_estimators(tasks, classification, nway, seed)
    judged, rivals = roles(estimators)
    n_support = shots_of(n_support, tasks, nway)
    splits = list(folds(cv, len(tasks), seed))
    plan = _plan(splits, estimators, judged)
    base = reference(classification, nway)
    base = taking_missing(base, imputer_for(tasks))
    found = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_run)(
            base if job.name is None else estimators[job.name],
            tasks[job.train],
            tasks[job.test],
            n_support,
            n_episodes,
            "neg_log_loss" if classification else "neg_mean_squared_error",
            nway,
            seed,
        )
        for job in plan
    )
    bar = tqdm(
        found, total=len(plan), disable=verbose <= 0, desc="comparing",
        bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}]",
    )  # fmt: skip
    results = dict(zip(plan, bar, strict=True))
    return _collected(
        results,
        splits,
        estimators,
        judged,
        rivals,
        n_support,
        tasks,
        classification,
        seed,
    )


def default_estimators(tasks, classification, nway, seed):
    """What is compared unless something else is asked for, the judged one first."""
    if tasks.n_features is None:
        raise ValueError(
            f"The rows of these tasks are of shape {tasks.X.shape[1:]}, which the "
            "default estimators do not take. Give estimators that do, such as a "
            "meta-learner with an embedding."
        )
    ours = AttentionMetaClassifier if classification else AttentionMetaRegressor
    X, imputer = tasks.X, imputer_for(tasks)
    if imputer is not None:
        X = imputer.transform(framed(X, tasks.feature_names))
    rivals = default_rivals(X, tasks.y, classification, nway, seed)
    rivals = {name: taking_missing(rival, imputer) for name, rival in rivals.items()}
    return {ours.__name__: ours(random_state=seed)} | rivals


def taking_missing(estimator, imputer):
    """An estimator behind an imputer, where there is one."""
    if imputer is None:
        return estimator
    return make_pipeline(FrozenEstimator(imputer), estimator)


def imputer_for(tasks):
    """What fills in the missing values of tasks, for estimators that take none."""
    if not np.isnan(tasks.X).any():
        return None
    imputer = SimpleImputer(keep_empty_features=True, add_indicator=True)
    return imputer.fit(framed(tasks.X, tasks.feature_names))


def _recipe(estimator):
    """An estimator as code, without what it was fitted to here."""
    if not isinstance(estimator, Pipeline):
        return repr(estimator)
    steps = [
        step.estimator if isinstance(step, FrozenEstimator) else step
        for _, step in estimator.steps
    ]
    return f"make_pipeline({', '.join(map(repr, steps))})"


@dataclass(frozen=True, eq=False)
class _Job:
    """An estimator to be meta-fitted and scored; None is the reference."""

    name: str | None
    train: np.ndarray
    test: np.ndarray


def _plan(splits, estimators, judged):
    """All jobs: each estimator on each fold, and the judged one on fewer tasks."""
    plan = [
        _Job(name, train, test)
        for train, test in splits
        for name in (None, *estimators)
    ]
    train, test = splits[0]
    if learns_across_tasks(estimators[judged]):
        sizes = [round(share * len(train)) for share in SHARES]
        plan += [_Job(judged, train[:n], test) for n in sizes if n >= MIN_TASKS]
    # The longest last and by size, which packs them well and shows progress early.
    return sorted(plan, key=lambda job: (job.name == judged, -len(job.train)))


def _run(estimator, train, test, n_support, n_episodes, scoring, nway, seed):
    """Meta-fit and score: losses (n_tasks, n_shots, n_episodes), and seconds of CPU."""
    estimator, seconds = clone(estimator), 0.0
    with warnings.catch_warnings(), single_pool_thread():
        # Episodes that fail are counted; of a few rows many a fit does not converge.
        warnings.simplefilter("ignore", FitFailedWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        if learns_across_tasks(estimator):
            start = time.process_time()
            estimator = meta_fit_in_place(estimator, train)
            seconds = time.process_time() - start
        scores = few_shot_scores(
            estimator, test, n_support, n_episodes, scoring, random_state=seed,
            shared_classes=not nway,
        )  # fmt: skip
    return -scores.scores, seconds


def _collected(
    results, splits, estimators, judged, rivals, n_support, tasks, classification, seed
):
    """What the runs found, as a Comparison."""
    of_fold = {
        (job.name, i): found
        for job, found in results.items()
        for i, (train, test) in enumerate(splits)
        if job.test is test and job.train is train
    }
    losses, failures, seconds = {}, {}, {}
    places = range(len(splits))
    base = [of_fold[None, i][0] for i in places]
    for name in estimators:
        found = [of_fold[name, i] for i in places]
        filled = [_filled(f[0], b) for f, b in zip(found, base, strict=True)]
        losses[name] = np.concatenate([loss for loss, _ in filled])
        failures[name] = sum(n for _, n in filled)
        seconds[name] = float(np.mean([f[1] for f in found]))
    growth = []
    for job, (loss, _) in results.items():
        if job.test is splits[0][1] and job.name == judged:
            growth.append((len(job.train), _filled(loss, base[0])[0]))
    growth.sort(key=lambda size: size[0])
    names = [getattr(tasks[t], "name", t) for _, test in splits for t in test]
    return Comparison(
        judged=judged,
        rivals=rivals,
        alone=tuple(n for n in rivals if not learns_across_tasks(estimators[n])),
        n_support=n_support,
        task_names=tuple(names),
        losses=losses,
        reference=np.concatenate([b.mean(axis=2) for b in base]),
        growth=Growth(*zip(*growth, strict=True), base[0].mean(axis=2)),
        measure="D2" if classification else "R2",
        failures=failures,
        seconds=seconds,
        recipes={name: _recipe(one) for name, one in estimators.items()},
        n_folds=len(splits),
        n_tasks=len(tasks),
        seed=seed,
    )


def _filled(losses, base):
    """Mean over episodes; one that failed counts as if the reference had predicted."""
    failed = np.isnan(losses) & ~np.isnan(base)
    return np.where(failed, base, losses).mean(axis=2), int(failed.sum())
