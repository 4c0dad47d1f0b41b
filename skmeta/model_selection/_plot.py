"""The plot of scores against the number of support rows."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullLocator
from matplotlib.transforms import Affine2D, ScaledTranslation

from .._utils.drawing import RowNumbers, plain, short
from ..tasks._argument_checks import takes_tasks
from ._curve_styles import HIGHLIGHTED, curve_styles
from ._few_shot import few_shot_scores
from ._name_placement import GAP, PlaceForNames


class ShotCurveDisplay:
    """Scores of estimators against the number of support rows.

    The name of each curve is written at its end, inside the figure in any layout; the
    names of curves far below all others are at the lower end, with an arrow. A single
    number of support rows is drawn as points side by side. It is best made by
    `from_scores`, `from_estimator` or `Comparison.plot`.

    Parameters
    ----------
    n_support : sequence of int, of length n_shots
    scores : dict of str -> array-like of shape (n_shots,)
        By the name that is written beside the curve.
    intervals : dict of str -> array-like of shape (2, n_shots), default=None
        Lower and upper end, drawn as a band, or as a line if there is one K.
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
        styles = curve_styles(self.scores, self.highlighted)
        transforms = self._transforms(ax)
        self.lines_ = {}
        for name, score in self.scores.items():
            style, transform = styles[name], transforms[name]
            (self.lines_[name],) = ax.plot(
                self.n_support, score, markersize=6, transform=transform, **style
            )
            if self.intervals is not None:
                self._draw_interval(ax, name, style, transform)
        self._bound(ax)
        ax.set_xticks(self.n_support)
        ax.xaxis.set_major_formatter(RowNumbers())
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel("support rows")
        metric = short(self.score_name, 40)
        ax.set_ylabel(metric, **plain(metric))
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", color="#e4e4e4", linewidth=0.8)
        ax.set_axisbelow(True)
        self._name_curves(ax, styles, transforms)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _transforms(self, ax):
        """The transform of each curve, dict of str -> Transform.

        The axis is logarithmic, with a place for zero. For a single number of rows the
        curves are points, drawn side by side.
        """
        first, *others = sorted(self.n_support)
        if others:
            if first > 0:
                ax.set_xscale("log")
            else:
                ax.set_xscale("symlog", linthresh=others[0], linscale=0.5)
            ax.margins(x=0.03)
            return dict.fromkeys(self.scores, ax.transData)
        ax.set_xlim(first - 1, first + 1)
        n = len(self.scores)
        asides = min(0.25, 1.6 / n) * (np.arange(n) - (n - 1) / 2)
        return {
            name: Affine2D().translate(aside, 0) + ax.transData
            for name, aside in zip(self.scores, asides, strict=True)
        }

    def _draw_interval(self, ax, name, style, transform):
        low, high = self.intervals[name]
        stands_out = style is HIGHLIGHTED
        look = {"color": style["color"], "transform": transform}
        if len(self.n_support) == 1:
            width = style.get("linewidth", 1.5)
            ax.vlines(self.n_support, low, high, linewidth=width, alpha=0.6, **look)
        else:
            look |= {"alpha": 0.25 if stands_out else 0.08, "linewidth": 0}
            ax.fill_between(self.n_support, low, high, **look)

    def _bound(self, ax):
        """Exclude curves that are far below all others."""
        scores = [np.asarray(score, dtype=float) for score in self.scores.values()]
        scores = [some for score in scores if len(some := score[np.isfinite(score)])]
        if not scores:
            return
        best = [score.max() for score in scores]
        top, middle = max(best), np.median(best)
        low = min(score.min() for score in scores if score.max() >= middle)
        floor = low - 3 * max(top - low, 0.1 * abs(top))
        if min(score.min() for score in scores) < floor:
            ax.set_ylim(floor, top + 0.15 * (top - floor))

    def _name_curves(self, ax, styles, transforms):
        """Write the name of each curve beside its end."""
        last = self.n_support[-1]
        beside = ax.transAxes + ScaledTranslation(
            GAP / 72, 0, ax.figure.dpi_scale_trans
        )
        names = []
        for name, score in self.scores.items():
            style, written = styles[name], short(name)
            text = ax.annotate(
                written,
                (last, score[-1]),
                xycoords=transforms[name],
                xytext=(1, 0.5),
                textcoords=beside,
                color=style["color"],
                weight="bold" if style is HIGHLIGHTED else "normal",
                va="center",
                arrowprops={
                    "arrowstyle": "->" if score[-1] < ax.get_ylim()[0] else "-",
                    "color": style["color"],
                    "linewidth": 0.7,
                    "relpos": (0, 0.5),
                    "shrinkA": 4,
                    "shrinkB": 4,
                },
                annotation_clip=False,
                **plain(written),
            )
            names.append(text)
        ax.set_axes_locator(PlaceForNames(ax, names))
