"""An estimator whose samples are tasks, for scikit-learn's searches and curves."""

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from .._estimators.callbacks import CallbackSupportMixin, with_callbacks
from .._estimators.pipelines import learner_of, learns_across_tasks, meta_fit_in_place
from ..tasks._argument_checks import refuse_table, refuse_targets
from ._few_shot import few_shot_scores


class TaskwiseEstimator(CallbackSupportMixin, MetaEstimatorMixin, BaseEstimator):
    """An estimator whose samples are tasks.

    `fit` meta-fits on tasks; `score` adapts to a few rows of each of other tasks and
    scores on their remaining rows. `GridSearchCV`, `cross_val_score`, `learning_curve`
    and the like then split tasks, search the parameters of meta-training, and compute
    scores against the number of meta-training tasks.

    Parameters
    ----------
    estimator : estimator or Pipeline
        A meta-learner, a pipeline with one, or any estimator that is fitted to each
        task separately, as a baseline. It is cloned, never changed; each `fit` starts
        anew, whatever it had learned before and whatever its ``warm_start``.
    n_support : int or sequence of int, default=5
        Rows of a task that are adapted to; the score is the mean over several.
    n_episodes : int, default=1
        Draws of these rows for each task.
    scoring : str, callable or None, default=None
        As in `few_shot_scores`.
    random_state : int, RandomState instance or None, default=None
        Draws the rows. With an int all candidates of a search get the same.

    Attributes
    ----------
    estimator_ : estimator
        Meta-fitted, adapted to no task.

    See Also
    --------
    few_shot_scores : The score of each task.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skmeta.baselines import PooledRegressor
    >>> from skmeta.datasets import make_linear_tasks
    >>> from skmeta.model_selection import TaskwiseEstimator
    >>> tasks = make_linear_tasks(12, n_features=1, random_state=0)
    >>> search = GridSearchCV(
    ...     TaskwiseEstimator(PooledRegressor(Ridge()), random_state=0),
    ...     {"estimator__adapt": [None, "intercept", "slopes"]},
    ...     cv=2,
    ... )
    >>> search = search.fit(tasks)
    >>> new = tasks[0]
    >>> best = search.best_estimator_.estimator_.fit(new.X[:5], new.y[:5])
    >>> best.predict(new.X).shape
    (40,)
    """

    def __init__(
        self, estimator, n_support=5, n_episodes=1, scoring=None, random_state=None
    ):
        self.estimator = estimator
        self.n_support = n_support
        self.n_episodes = n_episodes
        self.scoring = scoring
        self.random_state = random_state

    @with_callbacks
    def fit(self, tasks, y=None):
        """Meta-fit a clone of the estimator, from the start.

        State change: new or fitted -> fitted.

        Parameters
        ----------
        tasks : TaskCollection or list of (X, y)
        y : None
            As scikit-learn passes it; a task has its targets with it.

        Returns
        -------
        self : estimator

        Raises
        ------
        TypeError
            If X and y are given in place of tasks.
        """
        refuse_targets(self.fit, tasks, y)
        refuse_table(tasks)  # also of an estimator that learns nothing of them
        estimator = _unlearned(self.estimator)
        context = None
        if hasattr(self, "_skl_callbacks"):
            context = self._init_callback_context(max_subtasks=1)
            context.call_on_fit_task_begin(estimator=self)
        if learns_across_tasks(estimator):
            inside = None if context is None else context.subcontext("meta-fit")
            estimator = meta_fit_in_place(estimator, tasks, context=inside)
        self.estimator_ = estimator
        if context is not None:
            context.call_on_fit_task_end(estimator=self)
        return self

    def score(self, tasks, y=None):
        """Adapt to some rows of each task, and score on its others.

        State change: none.

        Parameters
        ----------
        tasks : TaskCollection or list of (X, y)
        y : None
            As scikit-learn passes it.

        Returns
        -------
        score : float
            Mean over tasks, numbers of support rows and episodes; a task counts where
            it has rows enough.
        """
        check_is_fitted(self)
        refuse_targets(self.score, tasks, y)
        found = few_shot_scores(
            self.estimator_, tasks, self.n_support, self.n_episodes, self.scoring,
            random_state=self.random_state,
        )  # fmt: skip
        return float(np.nanmean(np.nanmean(found.task_means(), axis=0)))


def _unlearned(estimator):
    """A clone of an estimator, without anything that it has learned across tasks.

    Raises
    ------
    ValueError
        If that cannot be had: its transformers were fitted to tasks, and frozen.
    """
    reader = learner_of(estimator)[1]
    if reader is not None and reader.steps:
        raise ValueError(
            "The pipeline was meta-fitted, and its transformers are frozen as they "
            "were fitted to those tasks, which may be among those to score. Give "
            "the pipeline as it was before skmeta.meta_fit, which has not changed it."
        )
    copy = clone(estimator)
    _forget(copy)
    return copy


def _forget(estimator):
    if isinstance(estimator, FrozenEstimator):
        return
    if hasattr(estimator, "meta_state_"):
        estimator._forget()
    for value in estimator.get_params(deep=False).values():
        inner = [item[1] for item in value] if isinstance(value, list) else [value]
        for one in inner:
            if hasattr(one, "get_params") and not isinstance(one, type):
                _forget(one)
