"""Names beside axes: inside the figure, without overlap."""

import numpy as np
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from sklearn.isotonic import isotonic_regression

from .._utils.drawing import LINE

GAP, WIDEST = 8, 0.6
"""Points beside names, and their share of the width at most."""


class PlaceForNames:
    """Reserves space for names to the right of axes, and keeps them from overlapping.

    An axes locator, which matplotlib calls for the position of the axes in each layout
    and draw: axes and names together take the space of the axes without names.

    Parameters
    ----------
    ax : matplotlib Axes
    names : list of matplotlib Annotation
        Of points of these axes, to be written right of them.
    """

    def __init__(self, ax, names):
        self.ax, self.names, self.before = ax, names, ax.get_axes_locator()
        self.scores = [text.xy[1] for text in names]

    def get_subplotspec(self):
        """What `tight_layout` asks of an axes locator."""
        return self.ax.get_subplotspec()

    def __call__(self, ax, renderer):
        if self.before is None:
            place = ax.get_position(original=True)
        else:
            place = self.before(ax, renderer)
        to_points = 72 * ax.figure.bbox.size / ax.figure.dpi
        size = np.multiply(place.size, to_points)
        font_size, width = self._fit(*size, renderer)
        self._spread(ax, LINE * font_size / size[1])
        right = place.x1 - (width + 2 * GAP) / to_points[0]
        return Bbox.from_extents(place.x0, place.y0, right, place.y1)

    def _fit(self, width, height, renderer):
        """Write the names as large as they fit; their size and width, in points."""
        size, room = min(10, height / len(self.names) / LINE), WIDEST * width
        for _ in range(2):
            widest = max(self._set_size(text, size, renderer) for text in self.names)
            if widest <= room:
                break
            size *= 0.97 * room / widest
        return size, widest

    @staticmethod
    def _set_size(text, size, renderer):
        """Width in points of a name written in a size."""
        if text.get_fontsize() != size:
            text.set_fontsize(size)
        return 72 * Text.get_window_extent(text, renderer).width / text.figure.dpi

    def _spread(self, ax, gap):
        """Write each name at the height of its point, or at the end of the axes."""
        low, high = sorted(ax.get_ylim())
        to_axes = ax.transScale + ax.transLimits
        heights = []
        for text, score in zip(self.names, self.scores, strict=True):
            text.xy = text.xy[0], np.nan_to_num(np.clip(score, low, high), nan=low)
            heights.append(to_axes.transform((1, text.xy[1]))[1])
        half = min(gap / 2, 0.5)
        heights = spread(np.clip(heights, half, 1 - half), gap, half, 1 - half)
        for text, height in zip(self.names, heights, strict=True):
            text.set_position((1, height))


def spread(heights, gap, low=-np.inf, high=np.inf):
    """Move label heights as little as it takes to have them `gap` apart.

    Parameters
    ----------
    heights : array-like of shape (n_labels,)
    gap : float
    low, high : float
        Where the lowest and the highest label lie at most.

    Returns
    -------
    moved : ndarray of shape (n_labels,)
        In the same order.

    Examples
    --------
    >>> from skmeta.model_selection._name_placement import spread
    >>> spread([0.5, 0.0, 0.5], gap=0.2).round(1)
    array([0.4, 0. , 0.6])
    """
    order = np.argsort(heights, kind="stable")
    steps = gap * np.arange(len(order))
    moved = np.empty(len(order))
    # What remains once the gaps are taken out must not fall from label to label.
    slack = np.asarray(heights)[order] - steps
    most = max(high - steps[-1], low)
    moved[order] = isotonic_regression(slack, y_min=low, y_max=most) + steps
    return moved
