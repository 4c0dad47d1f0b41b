"""How the page of a report is made up: its template, pictures, tables and lists."""

import base64
import warnings
from html import escape
from importlib import resources
from io import BytesIO
from string import Template

from matplotlib.figure import Figure

from .._version import __version__

START = "<!DOCTYPE html>"
"""What a report begins with."""

PHONE = 4.4
"""Width in inches of what is drawn for a phone, as wide as its page or narrower."""


def page(title, subtitle, verdict, sections, n_shots):
    """The page of a report.

    Parameters
    ----------
    title, subtitle, verdict : str
    sections : list of (str, str)
        Title and HTML of each.
    n_shots : int
        Numbers of support rows in the table of scores, which decide its width.
    """
    html = resources.files(__package__).joinpath("report.html").read_text("utf-8")
    return Template(html).substitute(
        title=escape(title),
        subtitle=escape(subtitle),
        verdict=escape(verdict),
        sections="\n".join(f"<h2>{title}</h2>\n{body}" for title, body in sections),
        width=11.5 + 8.3 * n_shots,
        version=__version__,
    )


def picture(draw, alt, wide, height):
    """A picture, and the same drawn narrower for a phone, so that its text is as large.

    Parameters
    ----------
    draw : callable
        Given axes to draw on.
    alt : str
        What it shows.
    wide : tuple of (float, float)
        Width and height in inches.
    height : float
        That of the narrow one.
    """
    narrow, wide = _png(draw, (PHONE, height), 180), _png(draw, wide, 130)
    return (
        f'<picture><source media="(max-width: 34rem)" srcset="{narrow}"/>'
        f'<img alt="{escape(alt)}" src="{wide}"></picture>'
    )


def _png(draw, size, dpi):
    figure = Figure(figsize=size, layout="constrained")
    file = BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the page has all names as text
        draw(figure.add_subplot())
        figure.savefig(file, format="png", dpi=dpi, facecolor="white")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def items(texts):
    return "<ul>\n" + "".join(f"<li>{escape(text)}</li>\n" for text in texts) + "</ul>"


def small(text):
    return f"<p><small>{escape(text)}</small></p>"


def counted(n, noun):
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
