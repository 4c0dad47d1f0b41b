"""The picture of scores against the number of support rows."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullLocator
from sklearn.isotonic import isotonic_regression

from ._not_tasks import takes_tasks
from .few_shot import few_shot_scores

HIGHLIGHTED = {"color": "#0b3c8c", "marker": "o", "linewidth": 2.8, "zorder": 5}
COLORS = ("#c2571a", "#7a7a7a", "#8a7a00", "#3f8f4f", "#222222", "#9b4f96", "#0f8b8d")
MARKERS = ("s", "D", "v", "^", "P", "X", "*")
DASHES = ("--", ":", "-.", "--", "-", ":", "-.")
"""Told apart by marker and dashes where colour is lost."""


class ShotCurveDisplay:
    """Scores of estimators against the number of support rows, named where they end.

    It is best made by `from_scores` or `from_estimator`, or by the `plot` of what
    `compare` returns.

    Parameters
    ----------
    n_support : sequence of int, of length n_shots
    scores : dict of str -> array-like of shape (n_shots,)
        By the name that is written beside the curve.
    intervals : dict of str -> array-like of shape (2, n_shots), default=None
        Lower and upper end, drawn as a band.
    score_name : str, default="score"
    highlighted : str, default=None
        Name of the curve that is drawn to stand out; None takes the last.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : dict of str -> matplotlib Line2D

    See Also
    --------
    few_shot_scores : The numbers.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skmeta.inspection import ShotCurveDisplay
    >>> scores = {"ridge": [0.2, 0.5], "meta-learner": [0.4, 0.6]}
    >>> display = ShotCurveDisplay([5, 10], scores, score_name="R2").plot()
    >>> display.ax_.get_ylabel()
    'R2'
    >>> plt.close(display.figure_)
    """

    def __init__(
        self, n_support, scores, *, intervals=None, score_name="score", highlighted=None
    ):
        self.n_support = n_support
        self.scores = scores
        self.intervals = intervals
        self.score_name = score_name
        self.highlighted = highlighted

    @classmethod
    def from_scores(cls, scores, *, highlighted=None, ax=None):
        """Draw what `few_shot_scores` gave for one or more estimators.

        Parameters
        ----------
        scores : FewShotScores, or dict of str -> FewShotScores
            All of the same numbers of support rows and the same scoring.
        highlighted : str, default=None
            Name of the curve that is drawn to stand out; None takes the last.
        ax : matplotlib Axes, default=None
            To draw on; None makes a figure.

        Returns
        -------
        display : ShotCurveDisplay

        Raises
        ------
        ValueError
            If the scores are of different numbers of support rows or scorings.
        """
        if not isinstance(scores, dict):
            scores = {scores.scoring: scores}
        kinds = {name: (s.n_support, s.scoring) for name, s in scores.items()}
        if len(set(kinds.values())) > 1:
            raise ValueError(
                "One picture takes scores of the same n_support and scoring. Got "
                + "; ".join(f"{name}: {k} {s}" for name, (k, s) in kinds.items())
            )
        ((n_support, scoring),) = set(kinds.values())
        rows = {name: np.array(s.summary(), float) for name, s in scores.items()}
        display = cls(
            n_support,
            {name: row[:, 1] for name, row in rows.items()},
            intervals={name: row[:, 2:4].T for name, row in rows.items()},
            score_name=scoring,
            highlighted=highlighted,
        )
        return display.plot(ax=ax)

    @classmethod
    @takes_tasks
    def from_estimator(cls, estimator, tasks, *, name=None, ax=None, **how):
        """Score an estimator on tasks and draw it.

        Parameters
        ----------
        estimator : estimator
            A meta-learner should be meta-fitted, on other tasks.
        tasks : TaskCollection, list of (X, y), dict or lazy sequence
        name : str, default=None
            Written beside the curve; None takes that of the class.
        ax : matplotlib Axes, default=None
            To draw on; None makes a figure.
        **how : dict
            Passed to `few_shot_scores`.

        Returns
        -------
        display : ShotCurveDisplay
        """
        scores = few_shot_scores(estimator, tasks, **how)
        return cls.from_scores({name or type(estimator).__name__: scores}, ax=ax)

    @classmethod
    def from_curves(cls, curves, *, score_name, highlighted=None):
        """The display of a list of ShotCurve."""
        curves = list(curves)
        return cls(
            curves[0].n_support,
            {curve.name: curve.score for curve in curves},
            intervals={curve.name: (curve.low, curve.high) for curve in curves},
            score_name=score_name,
            highlighted=highlighted,
        )

    def plot(self, *, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            To draw on; None makes a figure.

        Returns
        -------
        self : ShotCurveDisplay
        """
        if ax is None:
            _, ax = plt.subplots(figsize=(7.6, 4.8), layout="constrained")
            ax.figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
        styles = self._styles()
        self.lines_ = {}
        for name, score in self.scores.items():
            style = styles[name]
            (self.lines_[name],) = ax.plot(self.n_support, score, markersize=6, **style)
            if self.intervals is not None:
                alpha = 0.25 if style is HIGHLIGHTED else 0.08
                ax.fill_between(
                    self.n_support,
                    *self.intervals[name],
                    color=style["color"],
                    alpha=alpha,
                    linewidth=0,
                )
        self._bound(ax)
        if min(self.n_support) > 0:
            ax.set_xscale("log")
        ax.set_xticks(self.n_support, [str(k) for k in self.n_support])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel("support rows")
        ax.set_ylabel(self.score_name)
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", color="#e4e4e4", linewidth=0.8)
        ax.set_axisbelow(True)
        ax.margins(x=0.03)
        self._name_curves(ax, styles)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _styles(self):
        names = list(self.scores)
        highlighted = self.highlighted or names[-1]
        others = [name for name in names if name != highlighted]
        styles = {highlighted: HIGHLIGHTED}
        for i, name in enumerate(others):
            turn, at = divmod(i, len(COLORS))  # another turn has other pairs
            styles[name] = {
                "color": COLORS[at],
                "marker": MARKERS[(at + turn) % len(MARKERS)],
                "linestyle": DASHES[(at + 2 * turn) % len(DASHES)],
            }
        return styles

    def _bound(self, ax):
        """Leave what is far below all the others out of the picture."""
        lows = {name: np.nanmin(score) for name, score in self.scores.items()}
        best = {name: np.nanmax(score) for name, score in self.scores.items()}
        top, middle = max(best.values()), np.median([*best.values()])
        low = min(lows[name] for name in lows if best[name] >= middle)
        floor = low - 3 * max(top - low, 0.1 * abs(top))
        if min(lows.values()) < floor:
            ax.set_ylim(floor, top + 0.15 * (top - floor))

    def _name_curves(self, ax, styles):
        """Write the name of each curve beside its end, none over another."""
        low, high = ax.get_ylim()
        ends = [np.clip(score[-1], low, high) for score in self.scores.values()]
        heights = spread(ends, 0.05 * (high - low))
        last = self.n_support[-1]
        for name, end, height in zip(self.scores, ends, heights, strict=True):
            style = styles[name]
            ax.annotate(
                name,
                (last, end),
                xytext=(last * 1.09, height),
                color=style["color"],
                weight="bold" if style is HIGHLIGHTED else "normal",
                va="center",
                arrowprops={
                    "arrowstyle": "-",
                    "color": style["color"],
                    "linewidth": 0.7,
                    "relpos": (0, 0.5),
                    "shrinkA": 4,
                    "shrinkB": 4,
                },
                annotation_clip=False,
            )


def spread(heights, gap):
    """Move label heights as little as it takes to have them `gap` apart.

    Parameters
    ----------
    heights : array-like of shape (n_labels,)
    gap : float

    Returns
    -------
    moved : ndarray of shape (n_labels,)
        In the same order.

    Examples
    --------
    >>> from skmeta._shot_curve_display import spread
    >>> spread([0.5, 0.0, 0.5], gap=0.2).round(1)
    array([0.4, 0. , 0.6])
    """
    order = np.argsort(heights, kind="stable")
    steps = gap * np.arange(len(order))
    moved = np.empty(len(order))
    # What remains once the gaps are taken out must not fall from label to label.
    moved[order] = isotonic_regression(np.asarray(heights)[order] - steps) + steps
    return moved
