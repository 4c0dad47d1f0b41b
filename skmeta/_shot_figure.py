"""The picture of a comparison: a curve for each method, named where it ends."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from sklearn.isotonic import isotonic_regression

OURS = {"color": "#0b3c8c", "marker": "o", "linewidth": 2.8, "zorder": 5}
OTHERS = (
    {"color": "#b3541e", "marker": "s", "linestyle": "--"},
    {"color": "#8a8a8a", "marker": "D", "linestyle": ":"},
    {"color": "#9c8b00", "marker": "v", "linestyle": "-."},
    {"color": "#5b8c5a", "marker": "^", "linestyle": "--"},
    {"color": "#555555", "marker": "P", "linestyle": "-"},
)
"""Told apart by marker and dashes where colour is lost."""


def draw_shot_curves(curves, path, *, title, xlabel):
    """Draw R2 against the number of support rows, with intervals.

    Parameters
    ----------
    curves : list of ShotCurve
        At most six. The last is drawn to stand out.
    path : str or Path
        Its suffix says in which format to write.
    title, xlabel : str
    """
    figure = Figure(figsize=(7.2, 4.5), layout="constrained")
    axes = figure.add_subplot()
    styles = [*OTHERS[: len(curves) - 1], OURS]
    for curve, style in zip(curves, styles, strict=True):
        is_last = curve is curves[-1]
        axes.plot(curve.n_support, curve.r2, markersize=6, **style)
        axes.fill_between(
            curve.n_support,
            curve.low,
            curve.high,
            color=style["color"],
            alpha=0.18 if is_last else 0.08,
            linewidth=0,
        )
    n_support = curves[0].n_support
    axes.set_xscale("log")
    axes.set_xticks(n_support, [str(k) for k in n_support])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(xlabel)
    axes.set_ylabel("R2, with 95% interval over tasks")
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    low, high = axes.get_ylim()
    heights = spread([curve.r2[-1] for curve in curves], 0.052 * (high - low))
    for curve, style, height in zip(curves, styles, heights, strict=True):
        axes.annotate(
            curve.name,
            (n_support[-1], curve.r2[-1]),
            xytext=(n_support[-1] * 1.07, height),
            color=style["color"],
            weight="bold" if curve is curves[-1] else "normal",
            va="center",
            annotation_clip=False,
        )
    figure.savefig(path, dpi=150)


def spread(heights, gap):
    """Move label heights apart, until neighbours are `gap` apart, as little as needed.

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
    >>> from skmeta._shot_figure import spread
    >>> spread([0.5, 0.0, 0.5], gap=0.2).round(1)
    array([0.4, 0. , 0.6])
    """
    order = np.argsort(heights, kind="stable")
    steps = gap * np.arange(len(order))
    # What is left after the steps must not fall: isotonic regression.
    moved = np.empty(len(order))
    moved[order] = isotonic_regression(np.asarray(heights)[order] - steps) + steps
    return moved
