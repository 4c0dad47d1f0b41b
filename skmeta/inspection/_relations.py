"""The picture of the relations of tasks to those of meta-training."""

import matplotlib.pyplot as plt
import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import pdist
from sklearn.utils import check_consistent_length

from .._utils.drawing import MAX_LABELS, draw_bars, write_some_names
from ..tasks import check_tasks
from ..tasks._argument_checks import takes_tasks


class TaskRelationDisplay:
    """How tasks relate to those of meta-training.

    Relations of one task are drawn as a bar chart of the strongest, those of many as a
    matrix: similar rows side by side, and columns in the order of the rows that they
    relate to most. Relations of no more than an even share are pale. It is best made by
    `from_estimator`.

    Parameters
    ----------
    relations : array-like of shape (n_meta_tasks,) or (n_tasks, n_meta_tasks)
        The rest to a sum of 1 is the relation to no task.
    meta_task_names : array-like of shape (n_meta_tasks,)
    task_names : array-like of shape (n_tasks,), default=None
        Of the rows of a matrix.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    bars_ : matplotlib BarContainer
        Of the relations of one task.
    im_ : matplotlib AxesImage
        Of the relations of many.
    row_order_, column_order_ : ndarray of int
        Where the rows and columns of the picture lie in ``relations``; of one task
        ``column_order_`` alone, strongest first.

    See Also
    --------
    SelfAttentionMetaRegressor.relations : The numbers.

    References
    ----------
    .. [1] Bar-Joseph, Gifford, Jaakkola (2001). Fast optimal leaf ordering for
       hierarchical clustering. Bioinformatics. (The order of the rows.)

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skmeta.inspection import TaskRelationDisplay
    >>> display = TaskRelationDisplay([0.1, 0.6, 0.2], ["a", "b", "c"]).plot()
    >>> display.column_order_.tolist()
    [1, 2, 0]
    >>> plt.close(display.figure_)
    """

    def __init__(self, relations, meta_task_names, *, task_names=None):
        self.relations = relations
        self.meta_task_names = meta_task_names
        self.task_names = task_names

    @classmethod
    @takes_tasks
    def from_estimator(cls, estimator, tasks=None, *, n_strongest=10, ax=None, **style):
        """Draw the relations of a self-attention meta-learner.

        Parameters
        ----------
        estimator : SelfAttentionMetaRegressor or SelfAttentionMetaClassifier
            Meta-fitted; without ``tasks``, adapted to the task that is drawn.
        tasks : TaskCollection, list of (X, y), dict or lazy sequence, default=None
            Draw the matrix of their relations.
        n_strongest : int, default=10
            Bars of one task's relations, at most.
        ax : matplotlib Axes, default=None
            To draw on; None makes a figure.
        **style : dict
            Passed to ``ax.barh`` or ``ax.imshow``.

        Returns
        -------
        display : TaskRelationDisplay
        """
        if tasks is None:
            display = cls(estimator.task_relations_, estimator.task_names_)
        else:
            tasks = check_tasks(tasks)
            names = getattr(tasks, "names", range(len(tasks)))
            display = cls(
                estimator.relations(tasks), estimator.task_names_, task_names=names
            )
        return display.plot(n_strongest=n_strongest, ax=ax, **style)

    def plot(self, *, n_strongest=10, ax=None, **style):
        """Draw.

        Parameters
        ----------
        n_strongest : int, default=10
            Bars of one task's relations, at most.
        ax : matplotlib Axes, default=None
            To draw on; None makes a figure that is large enough for the names.
        **style : dict
            Passed to ``ax.barh`` or ``ax.imshow``.

        Returns
        -------
        self : TaskRelationDisplay

        Raises
        ------
        ValueError
            If there are more or fewer names than relations.
        """
        relations = np.asarray(self.relations, dtype=float)
        check_consistent_length(relations.T, self.meta_task_names)
        if relations.ndim == 2 and self.task_names is not None:
            check_consistent_length(relations, self.task_names)
        draw = self._matrix if relations.ndim == 2 else self._bars
        draw(relations, n_strongest, ax, style)
        self.figure_ = self.ax_.figure
        return self

    def _bars(self, relations, n_strongest, ax, style):
        self.column_order_ = np.argsort(-relations, kind="stable")
        shown = self.column_order_[:n_strongest]
        rest = relations.sum() - relations[shown].sum()
        n_others = len(relations) - len(shown)
        meta_names = list(self.meta_task_names)
        names = [meta_names[i] for i in shown]
        values = list(relations[shown])
        if n_others:
            names.append(f"{n_others} others")
            values.append(rest)
        names.append("no related task")
        values.append(max(0.0, 1 - relations.sum()))
        grey = range(len(shown), len(names))
        self.bars_ = draw_bars(ax, names, values, grey=grey, **style)
        self.ax_ = self.bars_[0].axes
        self.ax_.set_xlabel("relation (all sum to 1)")

    def _matrix(self, relations, n_strongest, ax, style):
        self.row_order_ = _by_similarity(relations)
        names = range(len(relations)) if self.task_names is None else self.task_names
        names, meta_names = list(names), list(self.meta_task_names)
        same = names == meta_names
        same &= not all(isinstance(name, int | np.integer) for name in names)
        self.column_order_ = (
            self.row_order_ if same else _along_rows(relations[self.row_order_])
        )
        drawn = relations[self.row_order_][:, self.column_order_]
        if ax is None:
            width, height = (
                min(12, 3.5 + 0.16 * min(n, MAX_LABELS)) for n in drawn.shape[::-1]
            )
            _, ax = plt.subplots(figsize=(width, height), layout="constrained")
        look = {"cmap": "Blues", "aspect": "auto", "interpolation": "nearest"}
        look |= {"vmin": 0, "vmax": _darkest(drawn)} | style
        self.im_ = ax.imshow(drawn, **look)
        bar = ax.figure.colorbar(self.im_, ax=ax, extend="max")
        bar.set_label("relation")
        ax.set_ylabel("task")
        ax.set_xlabel("task of meta-training")
        write_some_names(
            ax,
            [names[i] for i in self.row_order_],
            [meta_names[i] for i in self.column_order_],
        )
        self.ax_ = ax


def _darkest(relations):
    """The relation that is drawn darkest.

    Of those above an even share nearly the largest, so that dark is strong where few
    are related too; what is hardly more than an even share stays pale.
    """
    even = 1 / relations.shape[1]
    above = relations[relations > even]
    return max(np.quantile(above, 0.99) if above.size else 0, 2 * even)


def _by_similarity(relations):
    """Order of the rows of a matrix that puts similar ones side by side."""
    n = len(relations)
    if n < 3:
        return np.arange(n)
    distance = pdist(np.sqrt(np.maximum(relations, 0)))  # Hellinger's
    return leaves_list(linkage(distance, "average", optimal_ordering=n <= 500))


def _along_rows(relations):
    """Order of the columns by the row that they relate to most, strongest first."""
    return np.lexsort((-relations.max(0), relations.argmax(0)))
