"""Pictures of the attention to tasks, features and base learners."""

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from .._estimators.pipelines import known_columns
from .._utils.drawing import MAX_LABELS, draw_bars, plain
from ..tasks import check_tasks
from ..tasks._argument_checks import takes_tasks
from ..tasks._column_names import check_learned

MEAN = {"color": "#444444", "linewidth": 1, "linestyle": "--"}


class TaskAttentionDisplay:
    """The weight of each task in meta-training.

    The tasks of the largest and smallest attention are drawn as bars; without task
    attention, all are 1. It is best made by `from_estimator`.

    Parameters
    ----------
    attention : array-like of shape (n_meta_tasks,)
        Mean 1.
    task_names : array-like of shape (n_meta_tasks,)

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    bars_ : matplotlib BarContainer
    order_ : ndarray of int
        Where the bars lie in ``attention``, the largest first; -1 stands for the mean
        of those that are not drawn.

    See Also
    --------
    TaskRelationDisplay : How one task relates to those of meta-training.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skmeta.inspection import TaskAttentionDisplay
    >>> display = TaskAttentionDisplay([1.2, 0.3, 1.5], ["a", "b", "c"]).plot()
    >>> display.order_.tolist()
    [2, 0, 1]
    >>> plt.close(display.figure_)
    """

    def __init__(self, attention, task_names):
        self.attention = attention
        self.task_names = task_names

    @classmethod
    def from_estimator(cls, estimator, *, n_bars=20, ax=None, **style):
        """Draw the task attention of a meta-learner.

        Parameters
        ----------
        estimator : meta-learner
            Meta-fitted.
        n_bars : int, default=20
            Tasks drawn, at most: the first half of the largest attention, the other of
            the smallest.
        ax : matplotlib Axes, default=None
            To draw on; None makes a figure.
        **style : dict
            Passed to ``ax.barh``.

        Returns
        -------
        display : TaskAttentionDisplay
        """
        display = cls(estimator.task_attention_, estimator.task_names_)
        return display.plot(n_bars=n_bars, ax=ax, **style)

    def plot(self, *, n_bars=20, ax=None, **style):
        """Draw.

        Parameters
        ----------
        n_bars : int, default=20
            Tasks drawn, at most: the first half of the largest attention, the other of
            the smallest.
        ax : matplotlib Axes, default=None
            To draw on; None makes a figure that is large enough for the names.
        **style : dict
            Passed to ``ax.barh``.

        Returns
        -------
        self : TaskAttentionDisplay

        Raises
        ------
        ValueError
            If there are more or fewer names than tasks.
        """
        attention = np.asarray(self.attention, dtype=float)
        check_consistent_length(attention, self.task_names)
        order = np.argsort(-attention, kind="stable")
        n_bars = min(n_bars, MAX_LABELS)
        names = list(self.task_names)
        names, values = [names[i] for i in order], attention[order]
        grey = []
        if len(order) > n_bars:
            first, last = -(-n_bars // 2), len(order) - n_bars // 2
            between = slice(first, last)
            names[between] = [f"{last - first} between"]
            values = np.r_[values[:first], values[between].mean(), values[last:]]
            order = np.r_[order[:first], -1, order[last:]]
            grey = [first]
        self.order_ = order
        self.bars_ = draw_bars(ax, names, values, grey=grey, **style)
        self.ax_ = self.bars_[0].axes
        self.ax_.axvline(1, **MEAN)
        self.ax_.set_xlabel("task attention (mean 1)")
        self.figure_ = self.ax_.figure
        return self


class BaseLearnerDisplay:
    """The weight of each expert of the base learner, for one task.

    The experts are drawn as bars, the largest weight first. It is best made by
    `from_estimator`.

    Parameters
    ----------
    weights : array-like of shape (n_base_learners,)
        Summing to 1.
    names : array-like of shape (n_base_learners,)

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    bars_ : matplotlib BarContainer
    order_ : ndarray of int
        Where the bars lie in ``weights``.

    See Also
    --------
    FeatureAttentionDisplay : What the experts depend on.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skmeta.inspection import BaseLearnerDisplay
    >>> display = BaseLearnerDisplay([0.1, 0.9], ["gp", "gp on boosting"]).plot()
    >>> display.order_.tolist()
    [1, 0]
    >>> plt.close(display.figure_)
    """

    def __init__(self, weights, names):
        self.weights = weights
        self.names = names

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, **style):
        """Draw the weights for the task that a meta-learner is adapted to.

        Parameters
        ----------
        estimator : meta-learner
            Adapted.
        ax : matplotlib Axes, default=None
            To draw on; None makes a figure.
        **style : dict
            Passed to ``ax.barh``.

        Returns
        -------
        display : BaseLearnerDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not adapted.
        """
        check_is_fitted(estimator)
        display = cls(estimator.base_learner_weights_, estimator.base_learners_)
        return display.plot(ax=ax, **style)

    def plot(self, *, ax=None, **style):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            To draw on; None makes a figure that is large enough for the names.
        **style : dict
            Passed to ``ax.barh``.

        Returns
        -------
        self : BaseLearnerDisplay

        Raises
        ------
        ValueError
            If there are more or fewer names than weights.
        """
        weights = np.asarray(self.weights, dtype=float)
        check_consistent_length(weights, self.names)
        self.order_ = np.argsort(-weights, kind="stable")
        names = [self.names[i] for i in self.order_]
        self.bars_ = draw_bars(ax, names, weights[self.order_], **style)
        self.ax_ = self.bars_[0].axes
        self.ax_.set_xlabel("weight in the prediction")
        self.figure_ = self.ax_.figure
        return self


class FeatureAttentionDisplay:
    """The importance of each column, for one task or for many.

    Of many tasks the bars are means, and a line spans the middle 80% of the tasks. The
    dashed line is an even share. It is best made by `from_estimator`.

    Parameters
    ----------
    attention : array-like of shape (n_features,) or (n_tasks, n_features)
        Of each task summing to 1.
    feature_names : array-like of shape (n_features,), default=None
        None numbers the columns.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    bars_ : matplotlib BarContainer
        The largest first.
    order_ : ndarray of int
        Where the bars lie among the columns.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skmeta.inspection import FeatureAttentionDisplay
    >>> display = FeatureAttentionDisplay([0.2, 0.7, 0.1], ["age", "ses", "sex"])
    >>> display = display.plot()
    >>> display.order_.tolist()
    [1, 0, 2]
    >>> plt.close(display.figure_)
    """

    def __init__(self, attention, feature_names=None):
        self.attention = attention
        self.feature_names = feature_names

    @classmethod
    @takes_tasks
    def from_estimator(cls, estimator, tasks=None, *, n_bars=20, ax=None, **style):
        """Draw the feature attention of a meta-learner.

        Parameters
        ----------
        estimator : meta-learner
            Meta-fitted; without ``tasks``, adapted to the task that is drawn.
        tasks : TaskCollection, list of (X, y), dict or lazy sequence, default=None
            Adapt clones to each of these and draw them all.
        n_bars : int, default=20
            Columns drawn, at most, of the largest attention.
        ax : matplotlib Axes, default=None
            To draw on; None makes a figure.
        **style : dict
            Passed to ``ax.barh``.

        Returns
        -------
        display : FeatureAttentionDisplay
        """
        if tasks is None:
            attention = estimator.feature_attention_
        else:
            attention = feature_attention(estimator, tasks)
        names = getattr(estimator, "feature_names_in_", None)
        return cls(attention, names).plot(n_bars=n_bars, ax=ax, **style)

    def plot(self, *, n_bars=20, ax=None, **style):
        """Draw.

        Parameters
        ----------
        n_bars : int, default=20
            Columns drawn, at most, of the largest attention.
        ax : matplotlib Axes, default=None
            To draw on; None makes a figure that is large enough for the names.
        **style : dict
            Passed to ``ax.barh``.

        Returns
        -------
        self : FeatureAttentionDisplay

        Raises
        ------
        ValueError
            If there are more or fewer names than columns.
        """
        attention = np.atleast_2d(np.asarray(self.attention, dtype=float))
        n_tasks, n_features = attention.shape
        names = self.feature_names
        if names is None:
            names = [f"column {j}" for j in range(n_features)]
        check_consistent_length(attention.T, names)
        mean = attention.mean(axis=0)
        order = np.argsort(-mean, kind="stable")
        self.order_ = shown = order[: min(n_bars, MAX_LABELS)]
        names = list(names)
        written = [names[j] for j in shown]
        many = n_tasks > 1
        self.bars_ = draw_bars(ax, written, mean[shown], numbers=not many, **style)
        self.ax_ = self.bars_[0].axes
        notes = ["all sum to 1"]
        if many:
            low, high = np.quantile(attention[:, shown], [0.1, 0.9], axis=0)
            self.ax_.hlines(np.arange(len(shown)), low, high, color="#e08a3c", lw=2)
            self.ax_.set_xlim(0, 1.12 * max(mean.max(), high.max(), 1e-3))
            notes.append(f"mean and middle 80%\nof {n_tasks} tasks")
        if len(shown) < n_features:
            rest = 1 - mean[shown].sum()
            notes.append(f"{n_features - len(shown)} others have {rest:.2f}")
        self.ax_.axvline(1 / n_features, **MEAN)
        label = "\n".join(["feature attention", *notes])
        self.ax_.set_xlabel(label, **plain(label))
        self.figure_ = self.ax_.figure
        return self


def feature_attention(estimator, tasks):
    """Feature attention of clones that are adapted to each of several tasks.

    Parameters
    ----------
    estimator : meta-learner
        Meta-fitted.
    tasks : TaskCollection, list of (X, y), dict or lazy sequence

    Returns
    -------
    attention : list of ndarray of shape (n_features,), of length n_tasks
    """
    tasks = check_tasks(tasks)
    check_learned(tasks._schema, known_columns(estimator), estimator)
    return [clone(estimator).fit(task.X, task.y).feature_attention_ for task in tasks]
