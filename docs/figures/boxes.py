"""Boxes and arrows for the diagrams of the three systems."""

import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

BLUE, ORANGE, GREY = "#0b3c8c", "#c2571a", "#777777"
WIDTH, HEIGHT = 2.6, 0.62
STAGES = "1  encode the task", "2  relate tasks", "3  condition and train"


class Diagram:
    """Boxes in three columns, one per stage, with arrows between them.

    A position is ``(column, row)``; row 0 is at the top, and rows may be fractional.

    Parameters
    ----------
    n_rows : int
    """

    def __init__(self, n_rows):
        figure, self.ax = plt.subplots(figsize=(9.9, 0.95 * n_rows + 0.6))
        figure.subplots_adjust(0, 0, 1, 1)
        self.ax.set(xlim=(-1.42, 8.5), ylim=(-n_rows + 0.5, 1.05))
        self.ax.set_aspect("equal")
        self.ax.axis("off")
        for column, stage in enumerate(STAGES):
            self.ax.text(3.4 * column, 0.75, stage, ha="center", weight="bold")

    def box(self, column, row, text, color=BLUE, dashed=False):
        """Draw a box with ``text``; return its position, for arrows."""
        x, y = 3.4 * column, -0.95 * row
        self.ax.add_patch(
            FancyBboxPatch(
                (x - WIDTH / 2, y - HEIGHT / 2), WIDTH, HEIGHT,
                boxstyle="round,pad=0.02,rounding_size=0.12", facecolor=f"{color}14",
                edgecolor=color, linestyle="--" if dashed else "-", linewidth=1.3,
            )
        )  # fmt: skip
        self.ax.text(x, y, text, ha="center", va="center", fontsize=9)
        return x, y

    def arrow(self, start, end):
        """Draw an arrow from the edge of one box to that of another."""
        (x0, y0), (x1, y1) = start, end
        if x0 == x1:
            sign = 1 if y1 > y0 else -1
            y0, y1 = y0 + sign * HEIGHT / 2, y1 - sign * HEIGHT / 2
        else:
            sign = 1 if x1 > x0 else -1
            x0, x1 = x0 + sign * (WIDTH / 2 + 0.02), x1 - sign * (WIDTH / 2 + 0.04)
        self._arrow((x0, y0), (x1, y1))

    def around(self, starts, end):
        """Draw an arrow along the right side, from boxes of a column to one below."""
        right = end[0] + WIDTH / 2 + 0.25
        for x, y in starts:
            way = [x + WIDTH / 2, right, right], [y, y, end[1]]
            self.ax.plot(*way, color=GREY, linewidth=1.3)
        self._arrow((right, end[1]), (end[0] + WIDTH / 2, end[1]))

    def _arrow(self, start, end):
        style = {"arrowstyle": "-|>", "color": GREY, "linewidth": 1.3, "shrinkA": 0}
        self.ax.annotate("", end, start, arrowprops=style | {"shrinkB": 3})
