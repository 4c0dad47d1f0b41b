"""Scores of an estimator on tasks that it has not seen, from a few rows of each."""

import warnings
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone, is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state

from .._estimators.base import MetaLearner
from .._estimators.classifier import learned_task_specific_labels
from .._estimators.pipelines import known_columns, learner_of, learns_across_tasks
from .._utils.sklearn_private import safe_indexing
from .._utils.threads import single_pool_thread
from ..baselines._base import Baseline
from ..exceptions import NotMetaFittedWarning
from ..tasks import LazyTasks, TaskDistribution, check_tasks
from ..tasks._argument_checks import takes_tasks
from ..tasks._column_names import check_learned
from ..tasks._given_tasks import columns_of, given_tasks
from ..tasks._label_sharing import has_task_specific_labels
from ._n_support import check_count, check_enough_rows, check_n_support, row_groups
from ._scores import FewShotScores
from ._scoring import already_predicted, check_scoring

TASKS_AT_ONCE = 64
"""Tasks whose episodes are predicted in one call of `predict_episodes`."""


@takes_tasks
def few_shot_scores(
    estimator,
    tasks,
    n_support=(1, 5, 10),
    n_episodes=5,
    scoring=None,
    n_jobs=None,
    random_state=None,
    shared_classes="auto",
):
    """Score an estimator on tasks from a few support rows of each.

    An episode draws K support rows from a task, fits a clone of the estimator to them
    and scores it on all other rows of the task. Clones of a meta-learner keep what
    `meta_fit` learned; any other estimator, such as ``Ridge()``, is fitted to the
    support rows only, and so is a per-task baseline.

    Parameters
    ----------
    estimator : estimator or Pipeline
        With `fit` and `predict`. It is cloned, never changed.
    tasks : TaskCollection, list of (X, y), dict or lazy sequence
        Tasks to score on; a meta-learner should not have seen them. ``X`` is what the
        estimator takes, such as a data frame for a pipeline.
    n_support : int or sequence of int, default=(1, 5, 10)
        Numbers K of support rows; of each class, where labels are task-specific. 0
        scores the zero-shot predictions of a meta-fitted estimator.
    n_episodes : int, default=5
        Draws of support rows for each task and K.
    scoring : str, callable or None, default=None
        A scorer name of scikit-learn; a callable ``scorer(estimator, X, y)``; None for
        the estimator's own `score`.
    n_jobs : int or None, default=None
        Tasks scored in parallel by joblib. A meta-learner that predicts many episodes
        in one batch does so in this process whatever `n_jobs` is.
    random_state : int, RandomState instance or None, default=None
        Draws the rows. With the same int, two estimators get the same rows: those of an
        episode depend on `random_state`, the task's position and the episode, and a
        smaller support is the beginning of a larger one.
    shared_classes : "auto" or bool, default="auto"
        Of a classifier, whether a label means the same in every task; if not, K rows
        are drawn of each class. "auto" is as a meta-learner was meta-fitted; for any
        other classifier it is inferred from the labels of the tasks. Set it where
        both are compared.

    Returns
    -------
    scores : FewShotScores
        A task with fewer than K + 1 rows has NaN at K; with task-specific labels, a
        task without a class of so many rows.

    Raises
    ------
    TypeError
        If X and y are given in place of tasks.
    ValueError
        If the columns of the tasks are not the same in all, and those that the
        estimator was meta-fitted on; if `scoring` is unknown, no task has more than K
        rows, K is 0 and the estimator was not meta-fitted, or no episode at all could
        be scored.

    Warns
    -----
    NotMetaFittedWarning
        If the estimator has `meta_fit`, which was not called: it is then fitted to each
        task separately.
    FitFailedWarning
        If an episode could not be fitted or scored, such as a support of one class for
        a classifier that needs two. Its score is NaN.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from skmeta.datasets import make_linear_tasks
    >>> from skmeta.model_selection import few_shot_scores
    >>> tasks = make_linear_tasks(n_tasks=20, random_state=0)
    >>> scores = few_shot_scores(Ridge(), tasks, n_support=(5, 20), random_state=0)
    >>> scores.scores.shape
    (20, 2, 5)
    >>> print(scores)
    n_support  r2, mean and 95% interval over tasks
            5  0.490  (0.404 to 0.575), 20 tasks
           20  0.957  (0.946 to 0.969), 20 tasks
    """
    bare = learns_across_tasks(estimator) and not isinstance(estimator, Pipeline)
    tasks = check_tasks(tasks) if bare else given_tasks(tasks)
    refuse_distribution(tasks, "score", 100)
    check_learned(columns_of(tasks), known_columns(estimator), estimator)
    learner, reader = learner_of(estimator)
    if reader is not None:
        estimator, tasks = learner, reader.read(tasks)
    n_support = check_n_support(n_support)
    check_count("n_episodes", n_episodes, 1)
    scorer, name = check_scoring(scoring, estimator)
    meta_fitted = _check_meta_fitted(estimator, n_support)
    by_class = _draws_by_class(shared_classes, estimator, tasks)
    seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    draw = _Draw(n_support, n_episodes, seed, by_class)
    if not isinstance(tasks, LazyTasks):
        largest = max(draw.largest_group(task.y) for task in tasks)
        check_enough_rows(n_support, largest, by_class)
    at_once = hasattr(estimator, "predict_episodes") and not callable(scoring)
    if meta_fitted and at_once:
        results = _score_at_once(estimator, tasks, draw, scorer)
    else:
        # A handful of rows is no work for two threads.
        with single_pool_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotMetaFittedWarning)  # warned of above
            results = Parallel(n_jobs=n_jobs)(
                delayed(_score_task)(estimator, task, position, draw, scorer)
                for position, task in enumerate(tasks)
            )
    names, sizes, scores, failures = zip(*results, strict=True)
    check_enough_rows(n_support, max(sizes), by_class)
    scores = np.stack(scores)
    _report([f for some in failures for f in some], draw.count(sizes), estimator)
    return FewShotScores(scores, n_support, names, name)


def refuse_distribution(tasks, verb, n):
    """Refuse a distribution of tasks; ``n`` is how many the message says to draw."""
    if isinstance(tasks, TaskDistribution):
        raise ValueError(
            f"{tasks!r} is a distribution of tasks, without end. Draw some to {verb} "
            f"on: tasks.sample({n}, random_state=0)."
        )


def _check_meta_fitted(estimator, n_support):
    """Whether an estimator was meta-fitted; warns or raises if it should have been."""
    name = type(estimator).__name__
    if hasattr(estimator, "meta_state_"):
        return True
    if 0 in n_support:
        raise ValueError(
            f"n_support={n_support} contains 0, which needs zero-shot predictions, but "
            f"this {name} is not meta-fitted. Call meta_fit(tasks) first, or leave the "
            "0 out."
        )
    step = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    known = isinstance(step, MetaLearner | Baseline)
    if known and not hasattr(step, "meta_state_"):
        warnings.warn(
            f"This {name} is not meta-fitted, so each task is learned separately. Call "
            "meta_fit(tasks) first to learn from other tasks.",
            NotMetaFittedWarning,
            stacklevel=4,
        )
    return False


@dataclass(frozen=True)
class _Draw:
    """Which rows of a task are support and query rows in its episodes."""

    n_support: tuple
    n_episodes: int
    seed: int
    by_class: bool

    def __call__(self, y, position):
        """Yield ``(where in the scores, support rows, query rows)``."""
        group, largest = row_groups(y, self.by_class), self.largest_group(y)
        for e in range(self.n_episodes):
            rng = np.random.default_rng((self.seed, position, e))
            order = rng.permutation(len(y))
            rank = _ranks(group[order])
            for s, k in enumerate(self.n_support):
                if k < largest:
                    yield (s, e), order[rank < k], order[rank >= k]

    def largest_group(self, y):
        """Rows of the task, or of its largest class, which K must stay below."""
        return int(np.bincount(row_groups(y, self.by_class)).max())

    def empty(self):
        """Scores (n_shots, n_episodes) of a task before any is known."""
        return np.full((len(self.n_support), self.n_episodes), np.nan)

    def count(self, sizes):
        """Number of episodes of tasks whose largest groups are of these sizes."""
        return self.n_episodes * int(np.less.outer(self.n_support, sizes).sum())


def _ranks(group):
    """How many rows of the same group (n_rows,) come before each row."""
    rank = np.empty(len(group), int)
    for one in np.unique(group):
        rank[group == one] = np.arange((group == one).sum())
    return rank


def _score_task(estimator, task, position, draw, scorer):
    """Fit a clone in each episode: ``(name, n_rows, scores, failures)``."""
    scores, failures = draw.empty(), []
    for at, support, query in draw(task.y, position):
        try:
            model = clone(estimator)
            if len(support):
                model.fit(safe_indexing(task.X, support), task.y[support])
            scores[at] = scorer(model, safe_indexing(task.X, query), task.y[query])
        except Exception as error:
            failures.append((task.name, len(support), error))
    return task.name, draw.largest_group(task.y), scores, failures


def _score_at_once(estimator, tasks, draw, scorer):
    """The same by `predict_episodes`: yields the result of each task."""
    for start in range(0, len(tasks), TASKS_AT_ONCE):
        stop = min(start + TASKS_AT_ONCE, len(tasks))
        batch = [tasks[t] for t in range(start, stop)]
        episodes = [
            (i, at, support, query)
            for i, task in enumerate(batch)
            for at, support, query in draw(task.y, start + i)
        ]
        models = already_predicted(
            estimator,
            [(batch[i].X[s], batch[i].y[s], batch[i].X[q]) for i, _, s, q in episodes],
        )
        results = [(t.name, draw.largest_group(t.y), draw.empty(), []) for t in batch]
        for (i, at, support, query), model in zip(episodes, models, strict=True):
            try:
                score = scorer(model, batch[i].X[query], batch[i].y[query])
                results[i][2][at] = score
            except Exception as error:
                results[i][3].append((batch[i].name, len(support), error))
        yield from results


def _report(failures, n_drawn, estimator):
    """Say which episodes could not be scored; raise where none could."""
    if not failures:
        return
    name, k, error = failures[0]
    message = (
        f"{type(estimator).__name__} could not be fitted or scored in {len(failures)} "
        f"of {n_drawn} episodes. The first was task {name!r} with {k} support rows: "
        f"{type(error).__name__}: {error}"
    )
    if len(failures) == n_drawn:
        raise ValueError(message) from error
    warnings.warn(f"{message} Their scores are NaN.", FitFailedWarning, stacklevel=4)


def _draws_by_class(shared_classes, estimator, tasks):
    """Whether K rows are drawn of each class."""
    if not is_classifier(estimator):
        return False
    if shared_classes != "auto":
        return not shared_classes
    if hasattr(estimator, "meta_state_"):
        return learned_task_specific_labels(estimator)
    return len(tasks) > 1 and has_task_specific_labels("auto", tasks)
