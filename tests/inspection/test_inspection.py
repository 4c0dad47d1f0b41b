"""Pictures: what is drawn where, and that it can be read."""

import pickle
import warnings
from io import BytesIO
from unicodedata import combining

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text

from skmeta import Task, TaskCollection
from skmeta._utils.drawing import MAX_LABELS, plain, short
from skmeta.inspection import (
    FeatureAttentionDisplay,
    MetaTrainingDisplay,
    ShotCurveDisplay,
    TaskAttentionDisplay,
    TaskRelationDisplay,
)
from skmeta.model_selection import few_shot_scores
from skmeta.model_selection._curve_styles import HIGHLIGHTED
from skmeta.model_selection._name_placement import spread


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


def overlapping(figure, labels, box=lambda label: label.get_window_extent()):
    """Whether any two labels lie over one another."""
    figure.canvas.draw()
    boxes = [box(label) for label in labels if label.get_text()]
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


def test_dark_is_strong_where_few_are_related():
    relations = np.zeros((60, 60))
    relations[0, 1], relations[1, 0], relations[2, 3] = 0.9, 0.8, 0.02
    norm = TaskRelationDisplay(relations, range(60)).plot().im_.norm
    assert norm(0.9) > 0.95
    assert norm(0.02) < 0.05


@pytest.mark.parametrize("size", [(2.5, 2.5), (6.4, 4.8), (4.4, 7)])
@pytest.mark.parametrize("layout", [None, "constrained", "tight"])
def test_names_can_be_read_on_axes_of_any_size(size, layout):
    names = [f"task {i}" for i in range(60)]
    relations = np.random.default_rng(0).dirichlet(np.ones(60), size=60)
    for display in (
        TaskRelationDisplay(relations, names, task_names=names),
        TaskAttentionDisplay(60 * relations[0], names),
    ):
        ax = plt.figure(figsize=size, layout=layout).add_subplot()
        display.plot(ax=ax)
        for axis in (ax.xaxis, ax.yaxis):
            assert not overlapping(display.figure_, axis.get_ticklabels())


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
    np.testing.assert_allclose(spread([0.9, 1.0], 0.5, 0, 1), [0.5, 1.0])
    np.testing.assert_allclose(spread([0.0, -1.0, 3.0], 0.5, 0, 1), [0.5, 0.0, 1.0])


def made_curves(n_support, n_curves, name="method"):
    rise = np.linspace(0, 0.1, len(n_support))
    scores = {f"{name} {i}": 0.5 + 0.03 * i + rise for i in range(n_curves)}
    bands = {name: (score - 0.05, score + 0.02) for name, score in scores.items()}
    return ShotCurveDisplay(n_support, scores, intervals=bands)


def assert_within(figure):
    """Assert that names are inside of a figure, and all text where it has a layout."""
    figure.canvas.draw()
    for ax in figure.axes:
        low, high = sorted(ax.get_ylim())
        ticks = zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)
        undrawn = [label for label, at in ticks if not low <= at <= high]
        for text in ax.findobj(Text):
            drawn = text.get_text() and text.get_visible() and text not in undrawn
            if text in ax.texts or (drawn and figure.get_layout_engine()):
                box = text.get_window_extent()
                for corner in ((box.x0, box.y0), (box.x1, box.y1)):
                    assert figure.bbox.padded(0.5).contains(*corner), (text, box)


@pytest.mark.parametrize("n_support", [(0,), (5,), (0, 5), (3, 5, 10, 20, 40, 80)])
@pytest.mark.parametrize("n_curves", [1, 6, 10])
def test_names_of_curves_lie_in_the_figure(n_support, n_curves):
    display = made_curves(n_support, n_curves, "an estimator with a very long name")
    own = display.plot().figure_
    for figure in (own, plt.figure(), plt.figure(figsize=(3, 2), layout="constrained")):
        if figure is not own:
            display.plot(ax=figure.add_subplot())
        assert_within(figure)
        assert texts(display.ax_.texts) == [short(name) for name in display.scores]
        assert not overlapping(figure, display.ax_.texts, Text.get_window_extent)
        assert not overlapping(figure, display.ax_.get_xticklabels())
        display.figure_.set_size_inches(3, 2)
        figure.set_dpi(200)  # as savefig does
        assert_within(figure)


@pytest.mark.parametrize("layout", [None, "constrained", "tight"])
def test_names_of_curves_lie_beside_their_own_axes(layout):
    figure, axes = plt.subplots(1, 2, figsize=(7, 3), layout=layout)
    for ax in axes:
        made_curves((3, 5), 6, "a method with a long name").plot(ax=ax)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_within(figure)
    left, right = axes
    end = max(name.get_window_extent().x1 for name in left.texts)
    assert end < right.get_window_extent().x0


def test_names_lie_beside_axes_that_have_a_locator_or_are_pickled():
    inset = plt.figure().add_subplot().inset_axes([0.1, 0.1, 0.8, 0.8])
    display = made_curves((5,), 3).plot(ax=inset)
    figure = pickle.loads(pickle.dumps(display.figure_))
    for some in (display.figure_, figure):
        assert_within(some)
    end = max(name.get_window_extent().x1 for name in inset.texts)
    assert end < display.figure_.axes[0].get_window_extent().x1


def test_a_saved_picture_has_nothing_at_its_edge():
    file = BytesIO()
    made_curves((5,), 6, "an estimator with a long name").plot().figure_.savefig(
        file, facecolor="white"
    )
    image = plt.imread(BytesIO(file.getvalue()))[..., :3]
    for edge in (image[0], image[-1], image[:, 0], image[:, -1]):
        assert (edge == 1).all()


def test_scores_at_one_k_are_points_side_by_side_with_their_intervals():
    display = made_curves((5,), 3).plot()
    display.figure_.canvas.draw()
    ax, places = display.ax_, []
    for (name, line), bars in zip(display.lines_.items(), ax.collections, strict=True):
        assert line.get_xydata().tolist() == [[5, display.scores[name][0]]]
        ((ends,),) = (bars.get_segments(),)
        assert ends[:, 1].tolist() == [end[0] for end in display.intervals[name]]
        assert ends[:, 0].tolist() == [5, 5]
        places.append(line.get_transform().transform((5, 0.5))[0])
    assert np.diff(places).min() > 12  # pixels
    low, high = ax.bbox.x0, ax.bbox.x1
    assert low < min(places) < (low + high) / 2 < max(places) < high


def test_names_of_curves_out_of_the_picture_are_at_its_end():
    scores = {"bad": [-50.0], "lost": [np.nan], "good": [0.6], "better": [0.7]}
    display = ShotCurveDisplay((3,), scores).plot()
    assert_within(display.figure_)
    low, _ = display.ax_.get_ylim()
    assert [name.xy[1] for name in display.ax_.texts] == [low, low, 0.6, 0.7]
    display.ax_.set_ylim(-60, 1)  # names follow
    display.figure_.canvas.draw()
    assert display.ax_.texts[0].xy[1] == -50


def test_the_last_number_of_rows_is_written_where_not_all_fit():
    display = made_curves((3, 5, 100, 110, 120), 2).plot()
    display.figure_.canvas.draw()
    shown = texts(display.ax_.get_xticklabels())
    assert shown[:2] == ["3", "5"]
    assert shown[-1] == "120"
    assert "" in shown
    assert display.ax_.get_xticks().tolist() == [3, 5, 100, 110, 120]


# -- names as they are --------------------------------------------------------------

AS_THEY_ARE = ["total $_{a$", "fare_$_ to $x$", "_hidden", "50 % \\alpha", "{", "", 7]


def drawn_names():
    """Each display, with the names that it has drawn."""
    names = AS_THEY_ARE
    n = len(names)
    shares = np.full((n, n), 1 / n)
    scores = {str(name): [0.1 * i, 0.2 * i] for i, name in enumerate(names)}
    matrix = TaskRelationDisplay(shares, names, task_names=names).plot()
    yield matrix, matrix.ax_.get_xticklabels()
    yield matrix, matrix.ax_.get_yticklabels()
    bars = TaskRelationDisplay(shares[0], names).plot()
    yield bars, bars.ax_.get_yticklabels()[:n]
    for display in (
        TaskAttentionDisplay(np.ones(n), names).plot(),
        FeatureAttentionDisplay(shares[0], names).plot(),
        FeatureAttentionDisplay(shares, np.array(names, dtype=object)).plot(),
    ):
        yield display, display.ax_.get_yticklabels()
    curves = ShotCurveDisplay((3, 5), scores).plot()
    yield curves, curves.ax_.texts
    one = ShotCurveDisplay((3,), {name: s[:1] for name, s in scores.items()}).plot()
    yield one, one.ax_.texts


def test_names_are_drawn_as_they_are():
    for display, drawn in drawn_names():
        display.figure_.canvas.draw()
        assert sorted(texts(drawn)) == sorted(map(str, AS_THEY_ARE))
        for text in drawn:
            assert not text.get_parse_math()
            assert not text.get_usetex()
        again = pickle.loads(pickle.dumps(display.figure_))
        again.savefig(BytesIO(), format="svg")


def test_the_measure_is_drawn_as_it_is():
    display = ShotCurveDisplay((3, 5), {"a": [1, 2]}, score_name="$_{loss$").plot()
    display.figure_.canvas.draw()
    assert display.ax_.get_ylabel() == "$_{loss$"


def test_names_do_not_pass_through_latex_and_settings_are_left_alone():
    with plt.rc_context({"text.usetex": True, "text.parse_math": True}):
        before = dict(plt.rcParams)
        ax = plt.figure().add_subplot()
        TaskRelationDisplay([0.5, 0.2], ["$_{a$", "b"]).plot(ax=ax)
        assert not any(label.get_usetex() for label in ax.get_yticklabels())
        assert dict(plt.rcParams) == before


def test_names_are_on_one_line_and_short_but_whole_in_the_data():
    long = "a" * 30 + "b" * 30
    names = ["two\nlines", "a\ttab", long, "学" * 20]
    display = TaskAttentionDisplay([4, 3, 2, 1], names).plot()
    assert texts(display.ax_.get_yticklabels()) == [
        "two lines", "a tab", "a" * 11 + "…" + "b" * 12, "学" * 5 + "…" + "学" * 6,
    ]  # fmt: skip
    assert list(display.task_names) == names
    display.figure_.canvas.draw()


def test_short_counts_what_is_seen():
    assert short("e\u0301" * 24) == "e\u0301" * 24  # marks over letters
    cut = short("e\u0301" * 60)
    assert cut.count("e") == 23
    assert not combining(cut[cut.index("…") + 1])
    assert short(None) == "None"
    assert short("a\0b\ud800") == "a b "
    for n in (5, 10, 23):
        assert len(short("x" * 50, n)) == n


def test_characters_that_the_usual_font_lacks_are_of_another():
    with plt.rc_context({"font.family": ["cmr10"]}):
        assert plain("a") == {"parse_math": False, "usetex": False}
        first, *others = plain("a Ж")["fontfamily"]
        assert first == "cmr10"
        assert len(others) == 1
        plt.figure().text(0, 0, "a Ж", **plain("a Ж"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # no glyph is missing
            plt.gcf().canvas.draw()
    plain("\U000f0000")  # that no font has
