"""What pictures have in common: bars with names, and names that can be read."""

import matplotlib.pyplot as plt
import numpy as np

MAX_LABELS = 40
"""Names written along an axis, at most."""

BAR, NONE = "#0b3c8c", "#9a9a9a"


def draw_bars(ax, names, values, *, grey=(), numbers=True, **style):
    """Draw one horizontal bar a name, from the top.

    Parameters
    ----------
    ax : matplotlib Axes or None
        None makes a figure that is large enough for the names.
    names : list of str, of length n_bars
    values : array-like of shape (n_bars,)
    grey : sequence of int, default=()
        Which bars are grey.
    numbers : bool, default=True
        Write the values beside the bars.
    **style : dict
        Passed to ``ax.barh``.

    Returns
    -------
    bars : matplotlib BarContainer
    """
    if ax is None:
        size = (6.4, 1.2 + 0.28 * len(names))
        _, ax = plt.subplots(figsize=size, layout="constrained")
    places = np.arange(len(names))
    colors = np.where(np.isin(places, grey), NONE, BAR)
    bars = ax.barh(places, values, **{"color": colors} | style)
    if numbers:
        fmt = "%.2f" if max(values) >= 0.1 else "%.3f"
        ax.bar_label(bars, fmt=fmt, padding=3, fontsize=9)
    ax.set_yticks(places, names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(0, 1.12 * max(max(values), 1e-3))
    ax.spines[["top", "right"]].set_visible(False)
    return bars


def labels(names, order):
    """Places and names of at most so many of the labels, evenly spread."""
    step = -(-len(order) // MAX_LABELS)
    places = np.arange(0, len(order), step)
    return places, [short(names[order[i]]) for i in places]


def short(name, n=24):
    """A name of at most ``n`` characters, without its middle if need be."""
    name = str(name)
    return name if len(name) <= n else f"{name[: n // 2 - 1]}…{name[-n // 2 :]}"
