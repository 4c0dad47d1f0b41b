"""Shared helpers of plots: bar charts, and legible names along axes."""

import re
from functools import lru_cache
from unicodedata import category, combining, east_asian_width

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rcParams
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.ticker import Formatter

MAX_LABELS = 40
"""Maximum number of names along an axis."""

LINE = 1.25
"""Height of a line of text, in font sizes."""

DIGIT = 7
"""Width of a digit along an axis, in points."""

BAR, NONE = "#0b3c8c", "#9a9a9a"

NO_TEXT = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
"""Line ends and other characters without a glyph."""


def draw_bars(ax, names, values, *, grey=(), numbers=True, **style):
    """Draw one horizontal bar per name, from the top.

    Parameters
    ----------
    ax : matplotlib Axes or None
        None makes a figure that is large enough for the names.
    names : list, of length n_bars
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
    size = min(10, points(ax)[1] / len(names) / LINE)
    if numbers:
        fmt = "%.2f" if max(values) >= 0.1 else "%.3f"
        ax.bar_label(bars, fmt=fmt, padding=3, fontsize=0.9 * size)
    write_names(ax.yaxis, places, names, fontsize=size)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(0, 1.12 * max(max(values), 1e-3))
    ax.spines[["top", "right"]].set_visible(False)
    return bars


def write_names(axis, places, names, **style):
    """Write names along an axis, without interpretation; ``style`` is of the text."""
    written = [short(name) for name in names]
    axis.set_ticks(places, written, **plain("".join(written)), **style)


def write_some_names(ax, rows, columns, *, size=8):
    """Write names of the rows and columns of an image, as many as there is space for.

    Parameters
    ----------
    ax : matplotlib Axes
    rows, columns : list
        Their names, in the order that is drawn.
    size : float, default=8
    """
    fitting = {ax.yaxis: MAX_LABELS, ax.xaxis: MAX_LABELS}
    for _ in range(2):  # the space is known once names have been laid out
        for axis, names in ((ax.yaxis, rows), (ax.xaxis, columns)):
            places = np.arange(0, len(names), -(-len(names) // fitting[axis]))
            some = [names[i] for i in places]
            rotation = 90 if axis is ax.xaxis else 0
            write_names(axis, places, some, fontsize=size, rotation=rotation)
        lay_out(ax)
        for axis, side in zip((ax.xaxis, ax.yaxis), points(ax), strict=True):
            fitting[axis] = int(np.clip(side / (LINE * size), 1, MAX_LABELS))


class RowNumbers(Formatter):
    """Writes numbers of rows along an axis, except those that would overlap others.

    The last is always written.
    """

    def __call__(self, value, pos=None):
        return f"{value:.0f}"

    def format_ticks(self, values):
        texts = [self(value) for value in values]
        at = self.axis.get_transform().transform(np.asarray(values, dtype=float))
        low, high = self.axis.get_transform().transform(self.axis.get_view_interval())
        at = points(self.axis.axes)[0] * (at - low) / (high - low)
        free = np.inf
        for i in np.argsort(-at, kind="stable"):
            half = DIGIT * len(texts[i]) / 2
            if at[i] + half > free:
                texts[i] = ""
            else:
                free = at[i] - half - DIGIT / 2
        return texts


def lay_out(ax):
    """Run the layout engine of a figure, so that axes are placed as they are drawn."""
    figure = ax.figure.canvas.figure  # of a subfigure too the whole
    if figure.get_layout_engine() is not None:
        figure.get_layout_engine().execute(figure)


def points(ax):
    """Width and height of axes in points."""
    return 72 * ax.bbox.size / ax.figure.dpi


def plain(text):
    """Style of a text that shows a name, never interpreted as a formula.

    Parameters
    ----------
    text : str

    Returns
    -------
    style : dict
        For matplotlib's Text. If the usual fonts lack a character, it has an installed
        font with that character.
    """
    style = {"parse_math": False, "usetex": False}
    usual = tuple(rcParams["font.family"])
    others = {_family_with(char, usual) for char in set(text)} - {None}
    return style | {"fontfamily": [*usual, *sorted(others)]} if others else style


@lru_cache(maxsize=4096)
def _family_with(char, usual):
    """Family of a font to draw a character with, None if the usual ones will do.

    Of those that have it one without serifs comes first. None also where none has it.
    """
    font = get_font(findfont(FontProperties(family=list(usual))))
    if font.get_char_index(ord(char)):
        return None
    entries = [
        font
        for font in fontManager.ttflist
        if font.style == "normal" and "Last Resort" not in font.name
    ]
    entries.sort(key=lambda font: ("Sans" not in font.name, "Mono" in font.name))
    having = (e for e in entries if get_font(e.fname).get_char_index(ord(char)))
    return getattr(next(having, None), "name", None)


def short(name, n=24):
    """A name on one line, without its middle if it is wider than ``n`` characters.

    Characters of Chinese, Japanese and Korean, and emoji, are two wide.

    Examples
    --------
    >>> from skmeta._utils.drawing import short
    >>> short("a school with a name of many words")
    'a school wi…f many words'
    >>> short("two\\nlines")
    'two lines'
    """
    name = NO_TEXT.sub(" ", str(name))
    letters = _letters(name)
    if sum(map(_width, letters)) <= n:
        return name
    return f"{_start(letters, n // 2 - 1)}…{_start(letters[::-1], -(-n // 2), -1)}"


def _letters(text):
    """Characters, each with the marks on it."""
    letters = []
    for char in text:
        if letters and (combining(char) or category(char) in ("Cf", "Mn")):
            letters[-1] += char
        else:
            letters.append(char)
    return letters


def _start(letters, n, step=1):
    """The first letters, no wider than ``n``; the last, of reversed ones and -1."""
    ends = np.cumsum([_width(letter) for letter in letters])
    return "".join(letters[: np.searchsorted(ends, n, side="right")][::step])


def _width(letter):
    """Columns that a letter takes, as in a terminal."""
    return 2 if east_asian_width(letter[0]) in "WF" else 1
