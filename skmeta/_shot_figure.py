"""The picture of a comparison: a curve for each method, named where it ends."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from sklearn.isotonic import isotonic_regression

OURS = {"color": "#0b3c8c", "marker": "o", "linewidth": 2.8, "zorder": 5}
OTHERS = (
    {"color": "#c2571a", "marker": "s", "linestyle": "--"},
    {"color": "#7a7a7a", "marker": "D", "linestyle": ":"},
    {"color": "#8a7a00", "marker": "v", "linestyle": "-."},
    {"color": "#3f8f4f", "marker": "^", "linestyle": "--"},
    {"color": "#222222", "marker": "P", "linestyle": "-"},
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
    figure = Figure(figsize=(7.6, 4.8), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    axes = figure.add_subplot()
    styles = [*OTHERS[: len(curves) - 1], OURS]
    for curve, style in zip(curves, styles, strict=True):
        axes.plot(curve.n_support, curve.r2, markersize=6, **style)
        band = {"color": style["color"], "linewidth": 0}
        band["alpha"] = 0.25 if style is OURS else 0.08
        axes.fill_between(curve.n_support, curve.low, curve.high, **band)
    n_support = curves[0].n_support
    axes.set_xscale("log")
    axes.set_xticks(n_support, [str(k) for k in n_support])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(xlabel)
    axes.set_ylabel("R2 (band: 95% interval over reactions)")
    axes.set_title(title, loc="left", weight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.03)
    _name_curves(axes, curves, styles)
    figure.savefig(path, dpi=150)


def _name_curves(axes, curves, styles):
    """Write the name of each curve beside its end, none over another."""
    low, high = axes.get_ylim()
    heights = spread([curve.r2[-1] for curve in curves], 0.05 * (high - low))
    for curve, style, height in zip(curves, styles, heights, strict=True):
        end = curve.n_support[-1]
        axes.annotate(
            curve.name,
            (end, curve.r2[-1]),
            xytext=(end * 1.09, height),
            color=style["color"],
            weight="bold" if style is OURS else "normal",
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
    >>> from skmeta._shot_figure import spread
    >>> spread([0.5, 0.0, 0.5], gap=0.2).round(1)
    array([0.4, 0. , 0.6])
    """
    order = np.argsort(heights, kind="stable")
    steps = gap * np.arange(len(order))
    moved = np.empty(len(order))
    # What remains once the gaps are taken out must not fall from label to label.
    moved[order] = isotonic_regression(np.asarray(heights)[order] - steps) + steps
    return moved
