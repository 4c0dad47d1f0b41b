"""Pictures: what is drawn where, and that it can be read."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from skmeta import Task, TaskCollection
from skmeta._drawing import MAX_LABELS
from skmeta._shot_curve_display import HIGHLIGHTED, spread
from skmeta.inspection import (
    FeatureAttentionDisplay,
    MetaTrainingDisplay,
    ShotCurveDisplay,
    TaskAttentionDisplay,
    TaskRelationDisplay,
)
from skmeta.model_selection import few_shot_scores


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


def test_relations_hardly_above_an_even_share_stay_pale():
    relations = np.full((5, 5), 0.01) + 0.005 * np.eye(5)
    names = list("abcde")
    faint = TaskRelationDisplay(relations, names, task_names=names).plot().im_
    strong = TaskRelationDisplay(50 * relations, names, task_names=names).plot().im_
    assert faint.norm(0.015) < 0.05
    assert strong.norm(0.75) == pytest.approx(1)


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


# -- attention to tasks and columns -------------------------------------------------


def test_all_tasks_where_there_are_few():
    display = TaskAttentionDisplay([0.5, 2.0, 0.5], ["a", "b", "c"]).plot()
    assert display.order_.tolist() == [1, 0, 2]
    assert texts(display.ax_.get_yticklabels()) == ["b", "a", "c"]
    assert [bar.get_width() for bar in display.bars_] == [2.0, 0.5, 0.5]


@pytest.mark.parametrize("n_bars", [4, 5])
def test_the_tasks_attended_to_most_and_least(n_bars):
    attention = np.random.default_rng(0).permutation(np.arange(11.0)) / 5
    display = TaskAttentionDisplay(attention, range(11)).plot(n_bars=n_bars)
    drawn = [bar.get_width() for bar in display.bars_]
    assert len(drawn) == n_bars + 1
    between = display.order_.tolist().index(-1)
    others = np.setdiff1d(np.arange(11), display.order_)
    assert texts(display.ax_.get_yticklabels())[between] == f"{11 - n_bars} between"
    assert drawn[between] == pytest.approx(attention[others].mean())
    assert min(drawn[:between]) > attention[others].max()
    assert max(drawn[between + 1 :]) < attention[others].min()


def test_task_attention_of_an_estimator(meta_fitted):
    estimator = meta_fitted("regressor")
    display = TaskAttentionDisplay.from_estimator(estimator, color="#444444")
    np.testing.assert_array_equal(display.attention, estimator.task_attention_)
    assert len(display.bars_) == len(estimator.task_names_)


def test_columns_of_one_task():
    display = FeatureAttentionDisplay([0.2, 0.5, 0.3]).plot(n_bars=2)
    assert display.order_.tolist() == [1, 2]
    assert texts(display.ax_.get_yticklabels()) == ["column 1", "column 2"]
    assert "1 others have 0.20" in display.ax_.get_xlabel()


def test_columns_of_many_tasks_are_means_with_their_spread():
    attention = np.random.default_rng(0).dirichlet([1, 5, 2], size=50)
    display = FeatureAttentionDisplay(attention, list("abc")).plot()
    assert texts(display.ax_.get_yticklabels()) == ["b", "c", "a"]
    widths = [bar.get_width() for bar in display.bars_]
    np.testing.assert_allclose(widths, np.sort(attention.mean(0))[::-1])
    (spans,) = display.ax_.collections
    ends = np.array([path.vertices[:, 0] for path in spans.get_paths()])
    expected = np.quantile(attention, [0.1, 0.9], axis=0).T[display.order_]
    np.testing.assert_allclose(ends, expected)


def test_feature_attention_of_an_estimator(adapted, meta_fitted):
    one = FeatureAttentionDisplay.from_estimator(adapted)
    np.testing.assert_array_equal(one.attention, adapted.feature_attention_)
    before = adapted.feature_attention_.copy()
    tasks = [meta_fitted.task("regressor-related", i)[:2] for i in range(2)]
    many = FeatureAttentionDisplay.from_estimator(adapted, tasks)
    assert np.shape(many.attention) == (2, len(before))
    np.testing.assert_array_equal(adapted.feature_attention_, before)
    for attention, (X, y) in zip(many.attention, tasks, strict=True):
        np.testing.assert_array_equal(attention, adapted.fit(X, y).feature_attention_)


@pytest.mark.parametrize("n", [1, 10, 200])
def test_names_of_attention_can_be_read(n):
    rng = np.random.default_rng(0)
    names = [f"an uncommonly long name, {i}" for i in range(n)]
    for display in (
        TaskAttentionDisplay(rng.dirichlet(np.ones(n)) * n, names),
        FeatureAttentionDisplay(rng.dirichlet(np.ones(n)), names),
        FeatureAttentionDisplay(rng.dirichlet(np.ones(n), size=5), names),
    ):
        display.plot()
        assert not overlapping(display.figure_, display.ax_.get_yticklabels())


@pytest.mark.parametrize("display", [TaskAttentionDisplay, FeatureAttentionDisplay])
def test_attention_and_names_that_do_not_fit_are_refused(display):
    with pytest.raises(ValueError, match=r"\[3, 2\]"):
        display([0.2, 0.5, 0.3], ["a", "b"]).plot()


# -- meta-training ------------------------------------------------------------------


def test_the_epoch_that_is_kept_is_the_lowest():
    display = MetaTrainingDisplay([3, 2, 1, 0.5], [3, 2, 2.5, 2.2]).plot()
    assert display.best_epoch_ == 2
    train, valid = display.lines_
    np.testing.assert_array_equal(train.get_xydata()[:, 1], [3, 2, 1, 0.5])
    np.testing.assert_array_equal(valid.get_xydata()[:, 0], [1, 2, 3, 4])
    assert "kept: epoch 2" in texts(display.ax_.get_legend().get_texts())
    assert train.get_linestyle() != valid.get_linestyle()


def test_meta_training_of_an_estimator(meta_fitted):
    estimator = meta_fitted("regressor")
    ax = plt.figure().add_subplot()
    display = MetaTrainingDisplay.from_estimator(estimator, ax=ax)
    assert display.figure_ is ax.figure
    losses = [epoch["valid_loss"] for epoch in estimator.history_]
    assert display.valid_loss == losses
    assert display.best_epoch_ == 1 + int(np.argmin(losses))
    estimator.history_ = []
    with pytest.raises(ValueError, match="had no epochs"):
        MetaTrainingDisplay.from_estimator(estimator)


# -- shot curves --------------------------------------------------------------------


def test_curves_are_the_mean_scores_with_their_interval(adapted, meta_fitted):
    tasks = meta_fitted.tasks("regressor-related")
    scores = few_shot_scores(adapted, tasks, (2, 5), 2, random_state=0)
    display = ShotCurveDisplay.from_scores({"ours": scores, "same": scores})
    rows = scores.summary()
    drawn = display.lines_["ours"].get_xydata()
    np.testing.assert_allclose(drawn, [(r.n_support, r.mean) for r in rows])
    np.testing.assert_allclose(
        display.intervals["ours"], np.transpose([(r.low, r.high) for r in rows])
    )
    assert display.ax_.get_ylabel() == "r2"
    assert texts(display.ax_.get_xticklabels()) == ["2", "5"]
    again = ShotCurveDisplay.from_estimator(
        adapted, tasks, n_support=(2, 5), n_episodes=2, random_state=0, name="ours"
    )
    np.testing.assert_array_equal(again.lines_["ours"].get_xydata(), drawn)
    other = few_shot_scores(adapted, tasks, (2, 3), 2, random_state=0)
    with pytest.raises(ValueError, match=r"ours: \(2, 5\) r2; other: \(2, 3\) r2"):
        ShotCurveDisplay.from_scores({"ours": scores, "other": other})


@pytest.mark.parametrize("n_curves", [1, 6, 11])
def test_curves_can_be_told_apart_without_colour(n_curves):
    scores = {f"method {i}": [0.1 * i, 0.1 * i + 0.01] for i in range(n_curves)}
    display = ShotCurveDisplay((0, 5), scores, highlighted="method 0").plot()
    looks = {
        (line.get_marker(), line.get_linestyle(), line.get_linewidth())
        for line in display.lines_.values()
    }
    assert len(looks) == n_curves
    assert display.lines_["method 0"].get_color() == HIGHLIGHTED["color"]
    assert not overlapping(display.figure_, display.ax_.texts)
    assert texts(display.ax_.texts) == list(scores)


def test_a_curve_far_below_does_not_flatten_the_others():
    scores = {"bad": [-50.0, -9.0], "good": [0.5, 0.6], "better": [0.6, 0.7]}
    low, high = ShotCurveDisplay((3, 5), scores).plot().ax_.get_ylim()
    assert -1 < low < 0.5
    assert 0.7 < high < 1


def test_labels_are_spread_no_further_than_need_be():
    np.testing.assert_allclose(spread([0.0, 1.0, 3.0], 0.5), [0.0, 1.0, 3.0])
    moved = spread([1.0, 1.0, 1.1], 0.5)
    np.testing.assert_allclose(np.diff(moved), 0.5)
    np.testing.assert_allclose(moved.mean(), np.mean([1.0, 1.0, 1.1]))
