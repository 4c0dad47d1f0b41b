"""Every error names what was given and the way out."""

import datetime
import inspect
import re
import warnings
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from skorch.callbacks import Callback

from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    NonFiniteLossError,
    NotMetaFittedWarning,
    TaskCollection,
    meta_fit,
)
from skmeta.baselines import (
    MixedEffectsClassifier,
    MixedEffectsRegressor,
    PooledRegressor,
)
from skmeta.datasets import make_classification_tasks, make_linear_tasks
from skmeta.inspection import (
    FeatureAttentionDisplay,
    ShotCurveDisplay,
    TaskRelationDisplay,
)
from skmeta.model_selection import TaskwiseEstimator, compare, few_shot_scores

pytestmark = pytest.mark.usefixtures("quick_training")


def raises(error, *words):
    """Expect an error whose message has all the words, in this order."""
    pattern = ".*".join(re.escape(str(word)) for word in words)
    return pytest.raises(error, match=f"(?s){pattern}")


@pytest.fixture
def regressor(tiny):
    return AttentionMetaRegressor("linear", None, task_attention=False, **tiny)


@pytest.fixture
def classifier(tiny):
    return AttentionMetaClassifier("linear", None, task_attention=False, **tiny)


@pytest.fixture(scope="module")
def linear_tasks():
    return make_linear_tasks(n_tasks=8, n_rows=10, n_features=3, random_state=0)


@pytest.fixture(scope="module")
def labelled_tasks():
    return make_classification_tasks(n_tasks=8, n_rows=10, n_features=3, random_state=0)


def pairs(tasks, X=lambda X: X, y=lambda y: y):
    return [(X(task.X), y(task.y)) for task in tasks]


# States


@pytest.mark.parametrize("cls", [AttentionMetaRegressor, AttentionMetaClassifier])
def test_not_fitted(cls):
    words = f"This {cls.__name__} instance", "Call meta_fit(tasks)", "fit(X, y)"
    with raises(NotFittedError, *words, "predicts from the prior"):
        cls().predict([[0.0]])
    with raises(NotFittedError, *words):
        cls().predict_episodes([([[0.0]], [1], [[0.0]])])


@pytest.mark.filterwarnings("ignore::skmeta.NotMetaFittedWarning")
def test_episodes_need_meta_fitting_whatever_was_fitted(meta_fitted):
    X, y, X_query = meta_fitted.task("regressor")
    estimator = AttentionMetaRegressor(random_state=0).fit(X, y)
    with raises(NotFittedError, "Call meta_fit(tasks)"):
        estimator.predict_episodes([(X, y, X_query)])


def test_not_meta_fitted_warning(meta_fitted):
    X, y, _ = meta_fitted.task("regressor")
    with pytest.warns(NotMetaFittedWarning) as caught:
        AttentionMetaRegressor(random_state=0).fit(X, y)
    (warning,) = caught
    for word in ("AttentionMetaRegressor", "these rows only", "Call meta_fit(tasks)"):
        assert word in str(warning.message)
    assert issubclass(NotMetaFittedWarning, UserWarning)


def test_changed_structure(meta_fitted):
    estimator = meta_fitted("regressor").set_params(n_layers=5, base_learner="linear")
    X, y, _ = meta_fitted.task("regressor")
    with raises(
        ValueError,
        "Parameters of AttentionMetaRegressor were changed after meta_fit",
        "base_learner='linear' (meta_fit had 'auto')",
        "n_layers=5 (meta_fit had 1)",
        "Set them back, or call meta_fit again.",
    ):
        estimator.fit(X, y)


# Parameters


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("base_learner", "tree"),
        ("base_learner", None),
        ("pooled_estimator", "best"),
        ("pooled_estimator", 3),
        ("task_attention", "yes"),
        ("embed_dim", 0),
        ("embed_dim", 8.0),
        ("n_heads", 0),
        ("n_layers", -1),
        ("n_support", -1),
        ("n_support", "5"),
        ("n_support", 2.5),
        ("n_support", (5, 2)),
        ("n_support", (-1, 3)),
        ("n_support", (0.5, 3)),
        ("n_support", (3,)),
        ("n_support", (1, 2, 3)),
        ("n_query", 0),
        ("max_epochs", -1),
        ("steps_per_epoch", 0),
        ("batch_size", 0),
        ("lr", 0),
        ("lr", -1e-3),
        ("validation_fraction", 0.0),
        ("validation_fraction", 1.0),
        ("patience", 0),
        ("callbacks", "early"),
        ("device", 3),
        ("device", "abacus"),
        ("device", "meta"),
        ("random_state", "seed"),
        ("verbose", "loud"),
        ("warm_start", "yes"),
    ],
)
def test_parameters_are_named(regressor, linear_tasks, name, value):
    regressor.set_params(**{name: value})
    with raises(ValueError, name, "AttentionMetaRegressor"):
        regressor.meta_fit(linear_tasks)
    assert not hasattr(regressor, "meta_state_")


def test_heads_that_do_not_divide_the_embedding(regressor, linear_tasks):
    regressor.set_params(embed_dim=10, n_heads=4)
    with raises(ValueError, "embed_dim", 10) as caught:
        regressor.meta_fit(linear_tasks)
    assert "n_heads" in str(caught.value)


@pytest.mark.parametrize("name", ["embed_dim", "lr", "base_learner"])
def test_parameters_are_checked_without_meta_fitting_too(name):
    estimator = AttentionMetaRegressor().set_params(**{name: -1})
    with raises(ValueError, name, "AttentionMetaRegressor", "-1"):
        estimator.fit([[0.0], [1.0]], [0.0, 1.0])


def test_unknown_parameter():
    with raises(ValueError, "embed_dims", "AttentionMetaRegressor"):
        AttentionMetaRegressor().set_params(embed_dims=3)


def test_base_learner_that_is_a_class(regressor, linear_tasks):
    regressor.set_params(base_learner=Ridge)
    with raises(ValueError, "'base_learner'", "an instance of it, Ridge()"):
        regressor.meta_fit(linear_tasks)


def test_callback_that_is_none(regressor, linear_tasks):
    regressor.set_params(callbacks=[3])
    with raises((TypeError, ValueError, AttributeError), "callback"):
        regressor.meta_fit(linear_tasks)


def test_error_of_a_callback_at_the_start_is_not_masked(regressor, linear_tasks):
    class Broken(Callback):
        def initialize(self):
            raise RuntimeError("broken callback")

    regressor.set_params(callbacks=[Broken()])
    with raises(RuntimeError, "broken callback"):
        regressor.meta_fit(linear_tasks)


def test_pooled_estimator_of_the_wrong_kind(
    regressor, classifier, linear_tasks, labelled_tasks
):
    regressor.set_params(pooled_estimator=LogisticRegression())
    with raises(TypeError, "LogisticRegression()", "is a classifier", "regressor"):
        regressor.meta_fit(linear_tasks)
    classifier.set_params(pooled_estimator=Ridge())
    with raises(TypeError, "Ridge()", "predict_proba"):
        classifier.meta_fit(labelled_tasks)


# Tasks


def test_too_few_tasks(regressor, linear_tasks):
    with raises(
        ValueError, "2 tasks and sets 1 aside", "validation_fraction=0.2", "at least 2",
        "Give more tasks, or validation_tasks",
    ):  # fmt: skip
        regressor.meta_fit(linear_tasks[:2])
    regressor.set_params(validation_fraction=0.9)
    with raises(ValueError, "8 tasks and sets 7 aside", "validation_fraction=0.9"):
        regressor.meta_fit(linear_tasks)
    with raises(ValueError, "meta_fit got 1 task", "at least 2"):
        regressor.meta_fit(linear_tasks[:1], validation_tasks=linear_tasks[1:])
    with raises(ValueError, "2 tasks and sets 1 aside"):
        regressor.set_params(validation_fraction=0.2).meta_fit(
            dict(enumerate(pairs(linear_tasks[:2])))
        )


def test_as_few_tasks_as_will_do(regressor, linear_tasks):
    assert len(regressor.meta_fit(linear_tasks[:3]).task_names_) == 3
    regressor.meta_fit(linear_tasks[:2], validation_tasks=linear_tasks[2:3])
    assert len(regressor.task_names_) == 2


def test_no_tasks(regressor):
    with raises(ValueError, "Got no tasks"):
        regressor.meta_fit([])
    with raises(TypeError, "Got an array of shape (4, 3)", "from_arrays"):
        regressor.meta_fit(np.zeros((4, 3)))
    with raises(TypeError, "DataFrame", "from_frame"):
        regressor.meta_fit(pd.DataFrame({"a": [1, 2]}))


def test_no_validation_tasks(regressor, linear_tasks):
    with raises(ValueError, "Got no tasks"):
        regressor.meta_fit(linear_tasks, validation_tasks=[])


def test_infinite_values_in_a_task(regressor, linear_tasks):
    bad = pairs(linear_tasks, X=np.array)
    bad[3][0][4, 1] = np.inf
    with raises(ValueError, "3", "X is inf in row 4, column 1"):
        regressor.meta_fit(bad)
    with raises(ValueError, "3", "X is inf in row 4, column 1"):
        regressor.meta_fit(linear_tasks, validation_tasks=bad)


def test_validation_tasks_with_other_columns(regressor, linear_tasks):
    other = pairs(linear_tasks, X=lambda X: X[:, :2])
    with raises(ValueError, "validation") as caught:
        regressor.meta_fit(linear_tasks, validation_tasks=other)
    assert "2" in str(caught.value)
    assert "3" in str(caught.value)


def test_validation_tasks_with_other_targets(regressor, linear_tasks):
    other = pairs(linear_tasks, y=lambda y: np.array(list("abcdefghij")))
    with raises(ValueError, "validation"):
        regressor.meta_fit(linear_tasks, validation_tasks=other)


def test_rows_that_are_no_vectors(regressor):
    images = [(np.zeros((4, 2, 2)), np.arange(4.0)) for _ in range(8)]
    with raises(ValueError, "(2, 2)"):
        regressor.meta_fit(images)


def test_regression_on_text(regressor, linear_tasks):
    words = pairs(linear_tasks, y=lambda y: np.array(["yes", "no"] * 5))
    with raises(ValueError, "text, as 'yes' in task 0", "y.astype(float)"):
        regressor.meta_fit(words)


def test_classification_of_numbers(classifier, linear_tasks):
    with raises(ValueError, "Unknown label type: continuous"):
        classifier.meta_fit(linear_tasks)


def test_warm_start_on_other_columns(regressor, linear_tasks):
    regressor.set_params(warm_start=True).meta_fit(linear_tasks)
    state = regressor.meta_state_
    with raises(ValueError, "2", "3", "features"):
        regressor.meta_fit(pairs(linear_tasks, X=lambda X: X[:, :2]))
    assert regressor.meta_state_ is state


def test_warm_start_on_other_labels(classifier, labelled_tasks):
    classifier.set_params(warm_start=True).meta_fit(labelled_tasks)
    with raises(ValueError, "5", "not in the meta-training tasks", "[0, 1]"):
        classifier.meta_fit(pairs(labelled_tasks, y=lambda y: y + 5))


def test_breakdown(regressor, linear_tasks):
    regressor.set_params(lr=1e6, steps_per_epoch=20)
    with raises(
        NonFiniteLossError, "epoch 1, step", "lr=1000000.0", "epoch 0", "is kept",
        "Try a smaller lr",
    ) as caught:  # fmt: skip
        regressor.meta_fit(linear_tasks)
    assert regressor.history_ == caught.value.history
    assert np.isfinite(regressor.predict(linear_tasks[0].X)).all()
    assert issubclass(NonFiniteLossError, ArithmeticError)


# Rows


@pytest.fixture(params=["regressor", "three"])
def adapted(request, meta_fitted):
    X, y, X_query = meta_fitted.task(request.param)
    return meta_fitted(request.param).fit(X, y), X, y, X_query


def test_rows_with_other_columns(adapted):
    estimator, X, y, X_query = adapted
    name = type(estimator).__name__
    words = "X has 2 features", name, "3 features"
    with raises(ValueError, *words):
        estimator.fit(X[:, :2], y)
    with raises(ValueError, *words):
        estimator.partial_fit(X[:, :2], y)
    for method in ("predict", "transform", "support_attention"):
        with raises(ValueError, *words):
            getattr(estimator, method)(X_query[:, :2])
    assert estimator.n_features_in_ == 3


def test_rows_with_infinite_values(adapted):
    estimator, _, y, X_query = adapted
    bad = np.full_like(X_query, np.inf)
    with raises(ValueError, "X is inf in row 0, column 0"):
        estimator.fit(bad[: len(y)], y)
    for method in ("predict", "transform", "support_attention"):
        with raises(ValueError, "X is inf in row 0, column 0"):
            getattr(estimator, method)(bad)


def test_columns_of_rows_that_are_no_numbers(adapted):
    estimator, X, y, X_query = adapted
    for value in ("big", pd.Timestamp("2020")):
        spoilt = [pd.DataFrame(rows[:, :2]) for rows in (X, X_query)]
        for rows in spoilt:
            rows.insert(0, "size", value)
            rows.columns = ["size", "a", "b"]
        with raises(ValueError, "column 'size' of X has dtype", "Encode it"):
            estimator.fit(spoilt[0], y)
        with raises(ValueError, "column 'size' of X has dtype", "Encode it"):
            estimator.predict(spoilt[1])


def test_rows_that_are_no_table(adapted):
    estimator, X, y, X_query = adapted
    with raises(ValueError, "Expected 2D array, got 1D array"):
        estimator.fit(X[:, 0], y)
    with raises(ValueError, "Expected 2D array, got 1D array"):
        estimator.predict(X_query[0])


def test_no_rows(adapted):
    estimator, X, y, X_query = adapted
    with raises(ValueError, "0 sample(s)", "minimum of 1"):
        estimator.fit(X[:0], y[:0])
    with raises(ValueError, "0 sample(s)"):
        estimator.predict(X_query[:0])


def test_targets_that_do_not_fit(adapted):
    estimator, X, y, _ = adapted
    with raises(ValueError, "inconsistent numbers of samples", "[6, 5]"):
        estimator.fit(X, y[:-1])
    with raises(ValueError, "y should be a 1d array"):
        estimator.fit(X, np.column_stack([y, y]))
    with raises(ValueError, "y"):
        estimator.fit(X, np.append(np.array(y[:-1], float), np.nan))


def test_targets_that_are_missing(adapted):
    estimator, X, _, _ = adapted
    with raises(ValueError, "requires y to be passed, but the target y is None"):
        estimator.fit(X, None)


def test_weights_that_do_not_fit(adapted):
    estimator, X, y, _ = adapted
    with raises(ValueError, "sample_weight.shape == (5,), expected (6,)"):
        estimator.fit(X, y, sample_weight=np.ones(5))
    with raises(ValueError, "Negative values", "sample_weight"):
        estimator.fit(X, y, sample_weight=-np.ones(6))
    with raises(ValueError, "sample_weight contains NaN"):
        estimator.fit(X, y, sample_weight=np.full(6, np.nan))


@pytest.mark.filterwarnings("ignore::skmeta.NotMetaFittedWarning")
@pytest.mark.parametrize("cls", [AttentionMetaRegressor, AttentionMetaClassifier])
def test_nothing_to_learn_from(cls):
    with pytest.raises(ValueError, match=r"(?i)sample weights .*zero"):
        cls().fit([[0.0], [1.0]], [0, 1], sample_weight=[0, 0])


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_unknown_labels(meta_fitted, method):
    estimator = meta_fitted("three")
    X, y, _ = meta_fitted.task("three")
    y = np.array(y)
    y[:2] = 7, 9
    with raises(
        ValueError, "Labels [7, 9]", "classes are [0, 1, 2]", "shared_classes=False"
    ):
        getattr(estimator, method)(X, y)
    with raises(ValueError, "Labels ['a', 'b']", "classes are [0, 1, 2]"):
        getattr(estimator, method)(X, list("ababab"))


def test_targets_of_the_wrong_kind(meta_fitted):
    X, y, _ = meta_fitted.task("regressor")
    with raises(ValueError, "Unknown label type: continuous"):
        meta_fitted("three").fit(X, y)
    for y in (list("ababab"), np.array(list("ababab"), object)):
        with raises(ValueError, "y holds ['a', 'b']", "MetaRegressor predicts numbers"):
            meta_fitted("regressor").fit(X, y)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("target", [-1e200, 3e15])
def test_targets_out_of_all_proportion(meta_fitted, method, target):
    estimator = meta_fitted("regressor")
    X, y, X_query = meta_fitted.task("regressor")
    before = meta_fitted.predict(estimator.fit(X, y), X_query)
    attention = estimator.feature_attention_.copy()
    targets = estimator.meta_state_.targets
    bad = np.array(y)
    bad[2] = target * targets.scale
    words = (
        f"The target {bad[2]:.3g} is more than 1e+15 standard deviations",
        f"({targets.scale:.3g}) from the mean ({targets.mean:.3g}) of the targets",
        "Look for an error in the data, or in its units.",
    )
    with raises(ValueError, *words):
        getattr(estimator, method)(X[::-1], bad)
    assert meta_fitted.predict(estimator, X_query).tobytes() == before.tobytes()
    assert estimator.feature_attention_.tobytes() == attention.tobytes()
    after = meta_fitted.predict(estimator.fit(X, y), X_query)
    assert after.tobytes() == before.tobytes()
    with raises(ValueError, "Episode 1 (X_support, y_support, X_query)", *words):
        estimator.predict_episodes([(X, y, X_query), (X, bad, X_query)])


def test_targets_far_but_in_proportion(meta_fitted):
    estimator = meta_fitted("regressor")
    X, y, X_query = meta_fitted.task("regressor")
    far = np.array(y)
    far[2] = 1e14 * estimator.meta_state_.targets.scale
    assert np.isfinite(meta_fitted.predict(estimator.fit(X, far), X_query)).all()


# What one door refuses the others refuse, in the same words


X_OF_OTHERS = {
    "text": (np.full((6, 3), "1.5"), "X has dtype <U3; it must be numeric"),
    "times": (
        np.full((6, 3), np.datetime64("2020-01-01")),
        "X has dtype datetime64[D]",
    ),
    "durations": (
        np.full((6, 3), np.timedelta64(1, "D")),
        "X has dtype timedelta64[D]",
    ),
    "complex": (np.full((6, 3), 1j), "X has dtype complex128; it must be numeric"),
    "bytes": (np.full((6, 3), b"1.5"), "X has dtype |S3; it must be numeric"),
    "dates": (
        np.full((6, 3), datetime.date(2020, 1, 1)),
        "X has dtype object (column 0 holds [datetime.date(2020, 1, 1)]) in row 0",
    ),
    "one text": (
        np.array([[1, True, 2.5]] * 5 + [[1, True, "2.5"]], dtype=object),
        "X has dtype object (column 2 holds ['2.5']) in row 5",
    ),
    "a column": (
        pd.DataFrame({"a": [1] * 6, "b": [None] * 6, "c": [1, 2, 3, 4, 5, "x"]}),
        "column 'c' of X has dtype object and holds 'x' in row 5; X must be numeric",
    ),
}
Y_OF_OTHERS = {
    "times": (np.arange(6).astype("datetime64[s]"), "y has dtype datetime64[s]"),
    "durations": (np.arange(6).astype("timedelta64[D]"), "y has dtype timedelta64[D]"),
    "complex": (np.arange(6) + 1j, "y has dtype complex128; it must hold numbers"),
    "bytes": (np.array([b"a", b"b"] * 3), "y has dtype |S1; it must hold numbers"),
    "dates": (
        np.full(6, datetime.date(2020, 1, 1)),
        "y has dtype object, values of the types ['date']; it must hold",
    ),
    "mixture": (np.array([1, "a"] * 3, dtype=object), "of the types ['int', 'str']"),
    "None": (np.array(["a", None, "b"] * 2, object), "y is missing (None) in row 1"),
    "NaN": (["a", "b", "c", np.nan, "b", "a"], "y is missing (nan) in row 3. Drop"),
    "NA": (pd.array([1, 0, pd.NA, 1, 0, 1]), "y is nan in row 2. Drop such rows"),
    "a float": ([1.0, 0.0, np.nan, 1.0, 0.0, 1.0], "y is nan in row 2. Drop such rows"),
    "masked": (
        np.ma.masked_array([1, 0, 1, 0, 1, 0], [0, 0, 0, 0, 1, 0]), "y is nan in row 4"
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def baselines(linear_tasks, labelled_tasks):
    return (
        MixedEffectsRegressor().meta_fit(linear_tasks),
        PooledRegressor(Ridge()).meta_fit(linear_tasks),
        MixedEffectsClassifier().meta_fit(labelled_tasks),
    )


@pytest.fixture
def learners(meta_fitted, baselines):
    """Meta-fitted estimators of all sorts, adapted to a task each."""
    ours = {name: meta_fitted(name) for name in ("regressor", "three", "three-related")}
    for name, one in ours.items():
        one.fit(*meta_fitted.task(name)[:2])
    return [*ours.values(), *map(clone, baselines)]


def fits(learner, X, y, X_query):
    """The calls that adapt to rows and targets of a task."""
    calls = [partial(learner.fit, X, y)]
    if hasattr(learner, "partial_fit"):
        episodes = [(X, y, X_query)]
        calls.append(partial(learner.partial_fit, X, y))
        calls.append(partial(learner.predict_episodes, episodes))
    return calls


@pytest.mark.filterwarnings("ignore:X has feature names")
@pytest.mark.parametrize("sort", X_OF_OTHERS)
def test_rows_of_other_types(sort, learners):
    X, words = X_OF_OTHERS[sort]
    y, fine = [0, 1] * 3, np.zeros((6, 3))
    with raises(ValueError, "Task 's': ", words):
        TaskCollection({"s": (X, y)})
    for learner in learners:
        before = dict(vars(learner))
        with raises(ValueError, "Task 0: ", words):
            clone(learner).meta_fit([(X, y)] * 4)
        calls = [*fits(learner, X, y, fine), partial(learner.predict, X)]
        if hasattr(learner, "predict_episodes"):
            calls.append(partial(learner.predict_episodes, [(fine, y, X)]))
        for call in calls:
            with raises(ValueError, words):
                call()
        assert vars(learner) == before


@pytest.mark.parametrize("sort", Y_OF_OTHERS)
def test_targets_of_other_types(sort, learners):
    y, words = Y_OF_OTHERS[sort]
    X = np.zeros((6, 3))
    with raises(ValueError, "Task 's': ", words):
        TaskCollection({"s": (X, y)})
    for learner in learners:
        before = dict(vars(learner))
        with raises(ValueError, "Task 0: ", words):
            clone(learner).meta_fit([(X, y)] * 4)
        for call in fits(learner, X, y, X):
            with raises(ValueError, words):
                call()
        assert vars(learner) == before


@pytest.mark.parametrize("dtype", [str, object])
def test_numbers_written_as_text(dtype, learners):
    y = np.array(["1.5", "2.5"] * 3, dtype=dtype)
    X = np.zeros((6, 3))
    for learner in learners:
        if is_classifier(learner):
            continue
        with raises(ValueError, "text, as '1.5' in task", "y.astype(float)"):
            clone(learner).meta_fit([(X, y)] * 4)
        calls = fits(learner, X, y, X)
        if hasattr(learner, "log_prob"):
            calls.append(partial(learner.log_prob, X, y))
        for call in calls:
            with raises(ValueError, "y holds ['1.5', '2.5']", "y.astype(float)"):
                call()


@pytest.mark.filterwarnings("ignore:X has feature names")
def test_rows_of_numbers_in_whatever_form_are_the_same_rows(meta_fitted):
    estimator, (X, y, X_query) = meta_fitted("regressor"), meta_fitted.task("regressor")
    rows = np.where(X > 1, np.nan, X)
    expected = estimator.fit(rows, y).predict(rows)
    objects = np.where(np.isnan(rows), None, rows)
    for same in (
        objects,
        objects.tolist(),
        pd.DataFrame(objects),
        pd.DataFrame(rows, dtype="Float64"),
        pl.DataFrame(objects.tolist(), orient="row"),
        np.ma.masked_array(X, X > 1),
    ):
        estimator.fit(same, y.astype(object))
        np.testing.assert_array_equal(estimator.predict(same), expected)
        (found,) = estimator.predict_episodes([(same, y, same)])
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    estimator.fit(X.astype(np.float16), y.astype(np.float16))
    half = [a.astype(np.float16).astype(float) for a in (X, y, X_query)]
    np.testing.assert_array_equal(
        estimator.predict(half[2]),
        meta_fitted("regressor").fit(*half[:2]).predict(half[2]),
    )


def test_half_precision_is_computed_with_in_double(regressor, linear_tasks):
    half = pairs(linear_tasks, y=lambda y: y.astype(np.float16))
    single = pairs(linear_tasks, y=lambda y: y.astype(np.float16).astype(float))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = regressor.meta_fit(half).predict(linear_tasks[0].X)
    expected = clone(regressor).meta_fit(single).predict(linear_tasks[0].X)
    np.testing.assert_array_equal(found, expected)


def test_labels_of_another_type_than_before(meta_fitted, baselines, nway):
    X = np.zeros((4, 3))
    numbers, text = [0, 1, 0, 1], list("0101")
    words = "Labels ['0', '1'] are text, and the classes are [0, 1], numbers"
    shared = meta_fitted("binary").fit(X, numbers)
    own = clone(nway).fit(X, numbers)
    with pytest.warns(NotMetaFittedWarning):
        new = AttentionMetaClassifier(random_state=0).partial_fit(X, numbers)
    for learner in (shared, own, new):
        expected = learner.predict_proba(X)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotMetaFittedWarning)
            with raises(ValueError, words, "y.astype"):
                learner.partial_fit(X, text)
        assert learner.classes_.tolist() == [0, 1]
        np.testing.assert_array_equal(learner.predict_proba(X), expected)
    with raises(ValueError, "Labels [0, 1] are numbers", "are ['0', '1'], text"):
        own.fit(X, text).partial_fit(X, numbers)
    with raises(ValueError, "Labels ['0', '1']", "classes are [0, 1]"):
        shared.fit(X, text)
    with raises(ValueError, words):
        clone(baselines[2]).fit(X, text)
    with (
        pytest.warns(NotMetaFittedWarning),
        raises(ValueError, "Labels [0, 1] are num"),
    ):
        AttentionMetaClassifier().partial_fit(X, numbers, classes=["a", "b"])


def test_episodes_keep_the_types_of_their_labels(nway):
    X = np.random.default_rng(0).normal(size=(4, 3))
    episodes = [(X, np.array(y), X) for y in ([0, 1, 0, 1], ["a", "b", "a", "b"])]
    numbers, text = nway.predict_episodes(episodes)
    assert numbers.dtype.kind == "i"
    assert set(text) <= {"a", "b"}


@pytest.fixture(scope="module")
def nway(tiny, labelled_tasks):
    learner = AttentionMetaClassifier("linear", None, shared_classes=False, **tiny)
    return learner.meta_fit(labelled_tasks)


# X and y in place of tasks


PAIRS = "from_arrays(X, y, groups), or give a list of (X, y) pairs"
KEYWORD = "meta_fit(tasks, validation_tasks=...)"


@pytest.mark.parametrize("which", ["learner", "baseline", "function"])
def test_arrays_in_place_of_tasks_say_which_call_is_meant(
    which, regressor, linear_tasks
):
    mixed = MixedEffectsRegressor()
    call = {
        "learner": regressor.meta_fit,
        "baseline": mixed.meta_fit,
        "function": partial(meta_fit, mixed),
    }[which]
    X, y, groups = linear_tasks.X, linear_tasks.y, np.repeat(range(8), 10)
    frame = pd.DataFrame(X)
    for args, named in (((X, y), {}), ((X,), {"y": y}), ((), {"X": X, "y": y})):
        with raises(TypeError, "meta_fit takes tasks", "got X and y", PAIRS, KEYWORD):
            call(*args, **named)
    for args, named in (((X, y, groups), {}), ((X, y), {"groups": groups})):
        with raises(TypeError, "got X, y and groups", "from_arrays(X, y, groups)."):
            call(*args, **named)
    with raises(TypeError, "from_frame(frame, target=..., task=...), or give a list"):
        call(frame, y)
    with raises(TypeError, KEYWORD):
        call(linear_tasks, linear_tasks)
    with raises(TypeError, "Got a DataFrameGroupBy", "from_frame", "a dict of its gr"):
        call(frame.groupby(0))
    with raises(TypeError, "unexpected keyword argument 'tests'"):
        call(linear_tasks, tests=3)
    with raises(TypeError, "missing 1 required positional argument: 'tasks'"):
        call()
    for learner in (regressor, mixed):
        assert not hasattr(learner, "meta_state_")


def test_arrays_in_place_of_tasks_elsewhere(linear_tasks, meta_fitted, baselines):
    X, y = linear_tasks.X, linear_tasks.y
    related, taskwise = meta_fitted("regressor-related"), TaskwiseEstimator(Ridge())
    doors = [
        taskwise.fit,
        related.add_tasks,
        related.relations,
        partial(compare, None),
        partial(FeatureAttentionDisplay.from_estimator, related),
        partial(TaskRelationDisplay.from_estimator, related),
        partial(ShotCurveDisplay.from_estimator, baselines[0]),
    ]
    scores = partial(few_shot_scores, baselines[0])
    for call in (*doors, taskwise.fit(linear_tasks).score, lambda X, y: scores(X, y=y)):
        with raises(TypeError, "takes tasks", "got X and y in their place", PAIRS):
            call(X, y)
    for call in (*doors, scores):
        with raises(TypeError, "Got a DataFrameGroupBy", "from_frame", "a dict of its"):
            call(pd.DataFrame(X).groupby(0))
    with raises(TypeError, "array of shape (80, 3)", "from_arrays"):
        scores(X, y)


def test_the_signature_of_meta_fit_is_that_of_tasks():
    for function in (
        meta_fit, AttentionMetaRegressor.meta_fit, MixedEffectsRegressor.meta_fit
    ):  # fmt: skip
        assert list(inspect.signature(function).parameters)[1:] == [
            "tasks", "validation_tasks",
        ]  # fmt: skip


# Episodes


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda X, y, Q: (X, y), ValueError, ["expected 3, got 2"]),
        (lambda X, y, Q: (X, y, Q, Q), ValueError, ["expected 3"]),
        (lambda X, y, Q: 5, TypeError, ["int"]),
        (lambda X, y, Q: (X[:, :2], y, Q), ValueError, ["2 features", "3 features"]),
        (lambda X, y, Q: (X, y, Q[:, :2]), ValueError, ["2 features", "3 features"]),
        (lambda X, y, Q: (X, y[:-1], Q), ValueError, ["[6, 5]"]),
        (lambda X, y, Q: (X, y, np.inf * Q), ValueError, ["X is inf in row 0"]),
        (lambda X, y, Q: (X, y, Q[:0]), ValueError, ["0 sample(s)"]),
        (lambda X, y, Q: (X, y + 7, Q), ValueError, ["Labels [", "[0, 1, 2]"]),
    ],
    ids=[
        "pair", "four", "no tuple", "columns of the support", "columns of the query",
        "lengths", "infinity", "no query", "labels",
    ],
)  # fmt: skip
def test_bad_episode_is_named(meta_fitted, spoil, error, words):
    good = meta_fitted.task("three")
    with raises(error, "Episode 1 (X_support, y_support, X_query)", *words):
        meta_fitted("three").predict_episodes([good, spoil(*good)])


# Words of ours, where others' would be less


def test_infinite_rows_are_named_at_fit_and_predict(meta_fitted):
    learner = meta_fitted("regressor-none")
    X, y, _ = meta_fitted.task("regressor-none")
    X = X.copy()
    X[2, 1] = np.inf
    for call in (
        lambda: learner.fit(X, y),
        lambda: learner.predict(X),
        lambda: learner.fit(pd.DataFrame(X), y),
        lambda: MixedEffectsRegressor().fit(X, y),
    ):
        with raises(
            ValueError, "X is inf in row 2, column 1", "NaN for what is missing"
        ):
            call()


def test_dates_and_durations_say_how_they_become_numbers(linear_tasks, regressor):
    day = np.datetime64("2024-01-01")
    for y, hint in (
        (day + np.arange(10), "(y - start) / numpy.timedelta64(1, 'D')"),
        (np.arange(10) * np.timedelta64(1, "h"), "y / numpy.timedelta64(1, 'D')"),
    ):
        with raises(ValueError, "it must hold numbers or strings", hint):
            regressor.meta_fit(pairs(linear_tasks, y=lambda _, y=y: y))


def test_sparse_rows_and_tasks(linear_tasks, regressor):
    from scipy.sparse import csr_matrix
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    import skmeta

    sparse = pairs(linear_tasks, X=csr_matrix)
    for estimator in (regressor, make_pipeline(StandardScaler(), regressor)):
        with raises(TypeError, "Task 0: X is sparse", "X.toarray()"):
            skmeta.meta_fit(estimator, sparse)
    with raises(TypeError, "shape (10, 3), which does not say where a task ends"):
        regressor.meta_fit(csr_matrix(linear_tasks[0].X))


def test_frames_of_two_libraries_in_a_pipeline(linear_tasks, regressor):
    import polars as pl
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    import skmeta

    tasks = pairs(linear_tasks, X=lambda X: pd.DataFrame(X, columns=list("abc")))
    tasks[3] = pl.DataFrame(tasks[3][0]), tasks[3][1]
    with raises(TypeError, "Task 3 is a frame of polars", "task 0 of pandas"):
        skmeta.meta_fit(make_pipeline(StandardScaler(), regressor), tasks)


def test_a_frame_s_target_and_task_are_names_of_two_columns():
    frame = pd.DataFrame({"g": [1, 1, 2, 2], "x": [0.0, 1, 2, 3], "y": [1.0, 2, 3, 4]})
    with raises(ValueError, "target and the task are the same column, 'g'"):
        TaskCollection.from_frame(frame, target="g", task="g")
    with raises(TypeError, "target must be the name of a column; got a Series"):
        TaskCollection.from_frame(frame, target=frame.y, task="g")
    with raises(TypeError, "task must be the name of a column; got a list"):
        TaskCollection.from_frame(frame, target="y", task=["g"])
