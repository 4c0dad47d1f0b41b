"""Pictures: what is drawn where, and that it can be read."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from skmeta import Task, TaskCollection
from skmeta._drawing import MAX_LABELS
from skmeta.inspection import TaskRelationDisplay


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def adapted(meta_fitted):
    estimator = meta_fitted("regressor-related")
    X, y, _ = meta_fitted.task("regressor-related")
    return estimator.fit(X, y)


def texts(labels):
    return [label.get_text() for label in labels]


def overlapping(figure, labels):
    """Whether any two labels lie over one another."""
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in labels if label.get_text()]
    pairs = ((a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
    return any(a.overlaps(b) for a, b in pairs)


def test_bars_are_the_strongest_relations_and_the_rest():
    relations = np.array([0.05, 0.4, 0.0, 0.3, 0.05])
    display = TaskRelationDisplay(relations, list("abcde")).plot(n_strongest=2)
    assert display.column_order_[:2].tolist() == [1, 3]
    assert texts(display.ax_.get_yticklabels()) == [
        "b", "d", "3 others", "no related task",
    ]  # fmt: skip
    widths = [bar.get_width() for bar in display.bars_]
    np.testing.assert_allclose(widths, [0.4, 0.3, 0.1, 0.2])
    assert display.figure_ is display.ax_.figure


def test_all_bars_where_there_are_few():
    display = TaskRelationDisplay([0.6, 0.4], ["a", "b"]).plot()
    assert texts(display.ax_.get_yticklabels()) == ["a", "b", "no related task"]
    assert display.bars_[2].get_width() == pytest.approx(0)


def test_matrix_puts_similar_tasks_side_by_side():
    kind = np.array([0, 1, 0, 1, 0, 1])
    relations = 0.3 * (kind[:, None] == kind) + 0.01
    names = [f"task {i}" for i in range(6)]
    display = TaskRelationDisplay(relations, names, task_names=names).plot()
    order = display.row_order_
    assert sorted(order) == list(range(6))
    assert (np.diff(kind[order]) != 0).sum() == 1
    np.testing.assert_array_equal(display.column_order_, order)
    np.testing.assert_array_equal(display.im_.get_array(), relations[order][:, order])
    assert texts(display.ax_.get_yticklabels()) == [names[i] for i in order]


def test_rows_and_columns_of_other_tasks_have_orders_of_their_own():
    relations = np.random.default_rng(0).dirichlet(np.ones(7), size=4)
    display = TaskRelationDisplay(relations, range(7)).plot()
    drawn = relations[display.row_order_][:, display.column_order_]
    np.testing.assert_array_equal(display.im_.get_array(), drawn)
    assert sorted(display.column_order_) == list(range(7))
    strongest = drawn.argmax(0)
    assert (np.diff(strongest) >= 0).all()
    for row in range(4):
        assert (np.diff(drawn.max(0)[strongest == row]) <= 0).all()


@pytest.mark.parametrize("n", [1, 10, 200])
def test_names_can_be_read(n):
    names = [f"an uncommonly long name of a task, {i}" for i in range(n)]
    relations = np.random.default_rng(0).dirichlet(np.ones(n), size=n)
    matrix = TaskRelationDisplay(relations, names, task_names=names).plot()
    bars = TaskRelationDisplay(relations[0], names).plot()
    for display in (matrix, bars):
        for axis in (display.ax_.xaxis, display.ax_.yaxis):
            assert len(axis.get_ticklabels()) <= MAX_LABELS
            assert not overlapping(display.figure_, axis.get_ticklabels())
    shown = texts(matrix.ax_.get_yticklabels())
    assert shown[0].endswith(f"task, {matrix.row_order_[0]}")
    assert max(map(len, shown)) <= 24


def test_from_estimator_draws_the_task_adapted_to(adapted):
    display = TaskRelationDisplay.from_estimator(adapted, n_strongest=3)
    np.testing.assert_array_equal(display.relations, adapted.task_relations_)
    assert len(display.bars_) == 3 + 2


def test_from_estimator_draws_the_matrix_of_tasks(adapted, meta_fitted):
    tasks = {
        name: meta_fitted.task("regressor-related", i)[:2]
        for i, name in enumerate("abc")
    }
    ax = plt.figure().add_subplot()
    display = TaskRelationDisplay.from_estimator(adapted, tasks, ax=ax, cmap="Greys")
    assert display.ax_ is ax
    assert display.im_.get_cmap().name == "Greys"
    assert sorted(texts(ax.get_yticklabels())) == ["a", "b", "c"]
    np.testing.assert_array_equal(display.relations, adapted.relations(tasks))
    named = TaskRelationDisplay.from_estimator(adapted, TaskCollection(tasks))
    assert list(named.task_names) == ["a", "b", "c"]
    listed = [Task(X, y, name=name) for name, (X, y) in tasks.items()]
    listed = TaskRelationDisplay.from_estimator(adapted, listed)
    assert list(listed.task_names) == ["a", "b", "c"]
    numbered = TaskRelationDisplay.from_estimator(adapted, list(tasks.values()))
    assert list(numbered.task_names) == [0, 1, 2]


def test_names_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\[3, 2\]"):
        TaskRelationDisplay(np.ones((2, 3)), ["a", "b"]).plot()
    with pytest.raises(ValueError, match=r"\[2, 1\]"):
        TaskRelationDisplay(np.ones((2, 2)), ["a", "b"], task_names=["c"]).plot()
