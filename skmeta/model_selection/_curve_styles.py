"""How curves look, each its own way."""

HIGHLIGHTED = {"color": "#0b3c8c", "marker": "o", "linewidth": 2.8, "zorder": 5}
COLORS = ("#c2571a", "#7a7a7a", "#8a7a00", "#3f8f4f", "#222222", "#9b4f96", "#0f8b8d")
MARKERS = ("s", "D", "v", "^", "P", "X", "*")
DASHES = ("--", ":", "-.", "--", "-", ":", "-.")
"""Marker and dashes differ too, for where colour is lost."""


def curve_styles(names, highlighted=None):
    """Colour, marker and dashes of each curve, dict of str -> dict.

    Parameters
    ----------
    names : iterable of str
    highlighted : str, default=None
        Name of the curve that stands out; None takes the last.
    """
    names = list(names)
    highlighted = highlighted or names[-1]
    styles = {highlighted: HIGHLIGHTED}
    for i, name in enumerate(name for name in names if name != highlighted):
        turn, at = divmod(i, len(COLORS))  # another turn has other pairs
        styles[name] = {
            "color": COLORS[at],
            "marker": MARKERS[(at + turn) % len(MARKERS)],
            "linestyle": DASHES[(at + 2 * turn) % len(DASHES)],
        }
    return styles
