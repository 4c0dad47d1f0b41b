"""What the report of a comparison shows of relations, and how it fits a page."""

import base64
import dataclasses
import re
from html.parser import HTMLParser
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge

from skmeta import TaskCollection
from skmeta._cli.report import _features, _table
from skmeta._cli.report_page import page, picture
from skmeta._cli.report_relations import related, relation_sections
from skmeta.baselines import MixedEffectsRegressor
from skmeta.datasets import make_linear_tasks
from skmeta.model_selection._compare import compare


def named_tasks(n, names=None):
    tasks = make_linear_tasks(n, 4, 1, random_state=0)
    names = names or [f"school {t}" for t in range(n)]
    return TaskCollection({a: (t.X, t.y) for a, t in zip(names, tasks, strict=True)})


def in_pairs(n, strength):
    """Relations (n, n) where the first tasks are like one another, two by two."""
    relations = np.zeros((n, n))
    for t in range(0, len(strength), 2):
        relations[t, t + 1], relations[t + 1, t] = strength[t : t + 2]
    return relations


def text(html):
    parser, found = HTMLParser(), []
    parser.handle_data = found.append
    parser.feed(html)
    return "".join(found)


def listed(html):
    """Names and familiarity of the tasks that are listed."""
    return re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td>", html)


def test_tasks_are_related_by_a_tenth_on_those_that_stand_out():
    relations = in_pairs(40, [0.5, 0.11, 0.3, 0.09])
    relations[10] = 0.9 / 39  # as many as there are, and each below an even share
    rows, columns = related(relations)
    assert rows.tolist() == [0, 1, 2]
    assert columns.tolist() == [0, 1, 2, 3]


def test_relations_that_are_shared_by_many_are_shown():
    kind = np.arange(200) % 4
    relations = np.where(kind[:, None] == kind, 0.018, 0.0)  # .9 over 50 tasks
    rows, columns = related(relations)
    assert len(rows) == len(columns) == 200


@pytest.mark.parametrize("n", [5, 12, 200])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.9])
def test_a_sentence_where_nothing_is_related(n, share):
    relations = np.full((n, n), share / n)
    ((title, html),) = relation_sections(relations, relations.sum(1), named_tasks(n))
    assert title == "Similar tasks"
    assert "<img" not in html
    assert text(html).startswith("No task is similar to another one in particular")


def test_the_map_and_the_least_familiar_where_most_are_related():
    relations = in_pairs(12, np.linspace(0.4, 0.95, 12))
    familiarity = relations.sum(1)
    sections = dict(relation_sections(relations, familiarity, named_tasks(12)))
    assert list(sections) == ["Similar tasks", "The least familiar tasks"]
    alike, least = sections.values()
    assert "<img" in alike
    assert "Shown are all 12 tasks" in text(alike)
    assert listed(least)[:2] == [("school 0", "0.40"), ("school 1", "0.45")]
    assert len(listed(least)) == 10


def test_the_most_familiar_where_few_are_related():
    relations = in_pairs(70, [0.4, 0.7, 0.05, 0.6])
    familiarity = relations.sum(1)
    sections = dict(relation_sections(relations, familiarity, named_tasks(70)))
    assert list(sections) == ["Similar tasks", "The most familiar tasks"]
    alike, most = sections.values()
    assert "Shown are the 3 of 70 tasks" in text(alike)
    found = [("school 1", "0.70"), ("school 3", "0.60"), ("school 0", "0.40")]
    assert listed(most) == found


def test_names_are_text_in_the_page():
    names = ["<b>x</b>", "total $_{a$", "two\nlines", "学校" * 60, "_a", "🏫"]
    relations = in_pairs(6, np.linspace(0.4, 0.9, 6))
    sections = relation_sections(relations, relations.sum(1), named_tasks(6, names))
    (_, _), (_, least) = sections
    assert "&lt;b&gt;x&lt;/b&gt;" in least
    for name in names:
        assert name in text(least)


def images(html):
    """Width and height in pixels of the pictures for phones, and of the others."""
    found = re.findall(r'(srcset|src)="data:image/png;base64,([^"]*)"', html)
    sizes = {"srcset": [], "src": []}
    for which, data in found:
        height, width = plt.imread(BytesIO(base64.b64decode(data))).shape[:2]
        sizes[which].append((width, height))
    return sizes["srcset"], sizes["src"]


def test_a_phone_has_a_narrower_picture_with_text_as_large():
    html = picture(lambda ax: ax.plot([1, 2]), 'a "line"', (7.6, 4.8), 3)
    ((narrow, _),), ((wide, _),) = images(html)
    assert 'media="(max-width: 34rem)"' in html
    assert 'alt="a &quot;line&quot;"' in html
    # A page of 388 and 896 pixels: ten points are more than ten pixels on both.
    assert 10 / 72 * 180 * 388 / narrow > 10
    assert 10 / 72 * 130 * 896 / wide > 10


def test_texts_of_a_page_are_escaped_and_its_sections_are_not():
    html = page("<a>", "$b", "<c> & ${d}", [("Scores", "<p>$e</p>")], 3)
    assert html.count("&lt;a&gt;") == 2
    assert "<small>$b</small>" in html
    assert "&lt;c&gt; &amp; ${d}" in html
    assert "<h2>Scores</h2>\n<p>$e</p>" in html


def test_there_is_nothing_to_weigh_one_column_against():
    assert "<img" not in _features(None, named_tasks(10))


@pytest.fixture(scope="module")
def comparison():
    estimators = {
        "mixed": MixedEffectsRegressor(),
        "<ridge> $_{a$": Ridge(),
        "linear": LinearRegression(),
    }
    tasks = make_linear_tasks(12, 30, 2, random_state=0)
    return compare(estimators, tasks, n_support=(3, 5, 10), random_state=0)


def test_each_cell_of_the_scores_says_its_k(comparison):
    html = _table(comparison)
    cells = re.findall(r'<td data-k="(.*?)">(.*?)</td>', html)
    assert [k for k, _ in cells] == ["K = 3", "K = 5", "K = 10"] * 7
    written = [cell.replace("<br>", " ") for _, cell in cells]
    scores = [cell.removesuffix("*") for cell in written[:9]]
    curves = comparison.curves.values()
    assert scores == [cell for curve in curves for cell in curve.cells()]
    best = [list(comparison.curves).index(row.winner) for row in comparison.summary()]
    marked = np.reshape([cell.endswith("*") for cell in written[:9]], (3, 3))
    assert marked.argmax(axis=0).tolist() == best
    assert marked.sum() == 3
    assert "<td>&lt;ridge&gt; $_{a$</td>" in html
    assert html.count('class="candidate"') == 1
    assert '<tr class="candidate"><td>mixed</td>' in html


def test_scores_are_in_blocks_where_the_page_is_narrower_than_their_table():
    def width(n_shots):
        html = page("", "", "", [], n_shots)
        return float(re.search(r"@container \(max-width: (.*?)rem", html)[1])

    assert width(1) < 24 < width(2)  # a phone
    assert width(5) < 54 < width(6)  # the widest that a page is


def test_a_comparison_of_one_k_is_drawn_within_the_figure(comparison):
    one = dataclasses.replace(
        comparison,
        n_support=(3,),
        losses={name: loss[:, :1] for name, loss in comparison.losses.items()},
        reference=comparison.reference[:, :1],
    )
    display = one.plot()
    figure = display.figure_
    figure.canvas.draw()
    names = display.ax_.texts
    assert [name.get_text() for name in names] == list(comparison.losses)
    for name in names:
        assert figure.bbox.containsx(name.get_window_extent().x1)
    plt.close(figure)
