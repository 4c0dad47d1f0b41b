"""How the page of a report is made up: its style, pictures and lists."""

import base64
import warnings
from html import escape
from io import BytesIO

from matplotlib.figure import Figure

STYLE = """
:root { color-scheme: light dark; --text: #1c1c1c; --back: #ffffff; --soft: #f3f4f6;
  --line: #d8dade; --strong: #0b3c8c; }
@media (prefers-color-scheme: dark) { :root { --text: #e8e8e8; --back: #17191d;
  --soft: #23262c; --line: #3a3e46; --strong: #9cc0ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 56rem; padding: 1rem; color: var(--text);
  background: var(--back); font: 1rem/1.5 system-ui, sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.15rem;
  margin-top: 2.2rem; }
.verdict { border-left: .35rem solid var(--strong); background: var(--soft);
  padding: .8rem 1rem; font-size: 1.1rem; }
ul { padding-left: 1.3rem; }
table { border-collapse: collapse; font-size: .92rem;
  font-variant-numeric: tabular-nums; }
tr { border-bottom: 1px solid var(--line); }
th, td { padding: .3rem .5rem; text-align: right; overflow-wrap: normal; }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; }
td { white-space: nowrap; } td:first-child { white-space: normal; }
tr.judged td { font-weight: 600; color: var(--strong); }
img { display: block; max-width: 100%; height: auto; background: #ffffff;
  border-radius: .4rem; }
pre { background: var(--soft); padding: .8rem 1rem; white-space: pre-wrap; }
small { opacity: .8; }
.scores { container-type: inline-size; overflow-x: auto; }
"""

BLOCKS = """
@container (max-width: {width}rem) {{
.scores table, .scores tbody {{ display: block; }}
.scores tr {{ display: grid; padding: .3rem 0;
  grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); }}
.scores tr:first-child {{ display: none; }}
.scores td {{ text-align: left; }}
.scores td:first-child {{ grid-column: 1 / -1; font-weight: 600; }}
.scores td::before {{ content: attr(data-k); display: block; font-size: .85rem;
  font-weight: 400; opacity: .8; }}
}}
"""
"""A table of scores with a block for each row, where a page is too narrow for it."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
<p><small>{subtitle}</small></p>
<p class="verdict">{verdict}</p>
{sections}
<p><small>Made by skmeta {version}.</small></p>
</body>
</html>
"""
START = PAGE.partition("\n")[0]
"""What a report begins with."""

PHONE = 4.4
"""Width in inches of what is drawn for a phone, as wide as its page or narrower."""


def style(n_shots):
    """The style of a page whose table of scores has so many numbers of rows."""
    return STYLE + BLOCKS.format(width=11.5 + 8.3 * n_shots)


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
