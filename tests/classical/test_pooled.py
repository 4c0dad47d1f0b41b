"""The pooled estimator: out of fold, aligned to classes, tuned on other tasks."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skmeta._classical import pooled_candidates as pooled_estimators
from skmeta._classical.pooled import PooledPredictor, fit_pooled, fit_single_task
from skmeta._classical.pooled_candidates import polynomial_ridge, tuned_boosting
from skmeta.tasks import TaskCollection


class Memory(RegressorMixin, BaseEstimator):
    """Knows the target of every row it has seen, and says nan of all others."""

    def fit(self, X, y):
        self.seen_ = {row.tobytes(): target for row, target in zip(X, y, strict=True)}
        return self

    def predict(self, X):
        return np.array([self.seen_.get(row.tobytes(), np.nan) for row in X])


@pytest.fixture
def regression_tasks():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(7, 12, 3))
    y = X[:, :, 0] ** 2 + X[:, :, 1] + 0.1 * rng.normal(size=(7, 12))
    return TaskCollection(list(zip(X, y, strict=True)))


@pytest.fixture
def three_class_tasks():
    """Task t has class t alone, but for the last, which has two."""
    rng = np.random.default_rng(0)
    labels = [["a"] * 8, ["b"] * 8, ["c"] * 8, ["a"] * 4 + ["b"] * 4]
    return TaskCollection([(rng.normal(size=(8, 2)), y) for y in labels])


def test_no_row_is_predicted_by_a_model_that_saw_it(regression_tasks):
    pooled = fit_pooled(
        Memory(), regression_tasks, task_type="regression", random_state=0
    )
    assert np.isnan(pooled.out_of_fold).all()
    seen = pooled.predict(regression_tasks.X)
    np.testing.assert_allclose(seen[:, 0], regression_tasks.y, rtol=1e-6)


def test_no_task_is_on_both_sides_of_a_fold():
    # all rows of a task are the same, so seeing one of them would give it away
    X = np.repeat(np.arange(6.0), 5).reshape(6, 5, 1)
    tasks = TaskCollection([(x, x[:, 0]) for x in X])
    pooled = fit_pooled(Memory(), tasks, task_type="regression", random_state=0)
    assert np.isnan(pooled.out_of_fold).all()


@pytest.mark.parametrize("n_folds", [2, 3, 100])
def test_every_row_is_predicted_out_of_fold(regression_tasks, n_folds):
    pooled = fit_pooled(
        Ridge(), regression_tasks, task_type="regression", n_folds=n_folds
    )
    assert pooled.out_of_fold.shape == (84, 1)
    assert pooled.out_of_fold.dtype == pooled.predict(np.zeros((2, 3))).dtype
    assert pooled.out_of_fold.dtype == np.float64
    assert np.isfinite(pooled.out_of_fold).all()


def folds_of(n_tasks, n_folds, seed):
    return np.random.RandomState(seed).permutation(n_tasks) % n_folds


@pytest.mark.parametrize("n_folds", [2, 3, 100])
@pytest.mark.parametrize("offset", [0.0, 5.0])
def test_level_of_out_of_fold_predictions_is_that_of_all_tasks(offset, n_folds):
    """Not that of the tasks that the model of the fold was fitted to."""
    rng = np.random.default_rng(0)
    sizes = [3, 5, 4, 9, 2, 6]
    pairs = [(rng.normal(size=(n, 1)), 10 * t + rng.normal(size=n))
             for t, n in enumerate(sizes)]  # fmt: skip
    tasks = TaskCollection(pairs)
    pooled = fit_pooled(
        DummyRegressor(), tasks, task_type="regression", random_state=0,
        n_folds=n_folds, offset=offset,
    )  # fmt: skip
    np.testing.assert_allclose(pooled.out_of_fold, tasks.y.mean() - offset)
    pooled = fit_pooled(
        Ridge(random_state=0), tasks, task_type="regression", random_state=0,
        n_folds=n_folds, offset=offset,
    )  # fmt: skip
    folds = np.repeat(folds_of(6, min(n_folds, 6), 0), sizes)
    y = tasks.y - offset
    for fold in np.unique(folds):
        rest, own = folds != fold, folds == fold
        expected = Ridge().fit(tasks.X[rest], y[rest]).predict(tasks.X[own])
        expected = expected - y[rest].mean() + y.mean()
        np.testing.assert_allclose(pooled.out_of_fold[own, 0], expected)


def test_level_of_classes_is_their_centred_log_frequency():
    rng = np.random.default_rng(0)
    tasks = TaskCollection(
        [(rng.normal(size=(9, 2)), rng.permutation(["a", "a", "b"] * 3 if t < 4
          else ["b", "c", "c"] * 3)) for t in range(6)]
    )  # fmt: skip
    pooled = fit_pooled(GaussianNB(), tasks, task_type="classification", random_state=0)
    folds = np.repeat(folds_of(6, 3, 0), 9)
    classes = np.array(["a", "b", "c"])

    def centred(values):
        return values - values.mean(-1, keepdims=True)

    def level(y):
        return centred(np.log([(y == c).sum() + 1.0 for c in classes]))

    assert all(len(set(tasks.y[folds != fold])) == 3 for fold in range(3))
    for fold in range(3):
        rest, own = folds != fold, folds == fold
        model = GaussianNB().fit(tasks.X[rest], tasks.y[rest])
        p = model.predict_proba(tasks.X[own]).clip(1e-4, 1 - 1e-4)
        expected = centred(np.log(p)) - level(tasks.y[rest]) + level(tasks.y)
        np.testing.assert_allclose(pooled.out_of_fold[own], expected, atol=1e-6)
        assert np.abs(level(tasks.y[rest]) - level(tasks.y)).max() > 1e-2


def test_level_of_weighted_tasks_is_that_of_the_rows_that_count():
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(8, 1)), np.full(8, 10.0 * t)) for t in range(6)]
    tasks = TaskCollection(pairs)._replace(weights=np.array([4.0, 1, 1, 1, 1, 0]))
    pooled = fit_pooled(DummyRegressor(), tasks, task_type="regression", random_state=0)
    expected = np.average(range(6), weights=tasks.weights) * 10
    np.testing.assert_allclose(pooled.out_of_fold, pooled.predict(tasks.X))
    assert pooled.out_of_fold[0, 0] == pytest.approx(expected, abs=1.0)


def test_log_probabilities_are_centred_and_clipped(three_class_tasks):
    pooled = fit_pooled(
        GaussianNB(), three_class_tasks, task_type="classification", random_state=0
    )
    np.testing.assert_array_equal(pooled.classes, ["a", "b", "c"])
    for outputs in (pooled.out_of_fold, pooled.predict(three_class_tasks.X)):
        assert outputs.shape == (32, 3)
        np.testing.assert_allclose(outputs.sum(axis=1), 0, atol=1e-5)
        assert np.ptp(outputs, axis=1).max() <= np.log((1 - 1e-4) / 1e-4) + 1e-5


def test_columns_follow_classes_even_where_a_fold_lacks_one(three_class_tasks):
    classes = ["c", "unseen", "a", "b"]
    knn = KNeighborsClassifier(1)
    pooled = fit_pooled(
        knn,
        three_class_tasks,
        task_type="classification",
        classes=classes,
        random_state=0,
    )
    predicted = np.array(classes)[pooled.predict(three_class_tasks.X).argmax(axis=1)]
    np.testing.assert_array_equal(predicted, three_class_tasks.y)
    # class c is in one task only: whoever predicts it out of fold never saw it
    rows_of_c = three_class_tasks.y == "c"
    assert (pooled.out_of_fold[rows_of_c].argmax(axis=1) != 0).all()
    assert (pooled.out_of_fold[:, 1] < 0).all()


def test_binary_log_odds_are_the_difference_of_columns():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4, 20, 2))
    tasks = TaskCollection([(x, (x[:, 0] > 0).astype(int)) for x in X])
    pooled = fit_pooled(
        LogisticRegression(), tasks, task_type="classification", random_state=0
    )
    outputs = pooled.predict(X[0])
    log_odds = pooled.estimator.decision_function(X[0])
    np.testing.assert_allclose(outputs[:, 1] - outputs[:, 0], log_odds, atol=1e-5)


def test_one_class_in_all_tasks_is_certain():
    tasks = TaskCollection([(np.zeros((3, 1)), [1, 1, 1])] * 2)
    pooled = fit_pooled(
        LogisticRegression(), tasks, task_type="classification", classes=[0, 1]
    )
    assert (pooled.out_of_fold[:, 1] > 4).all()


def test_estimator_is_not_changed_and_is_seeded(regression_tasks):
    forest = RandomForestRegressor(n_estimators=3)
    estimator = make_pipeline(StandardScaler(), forest)
    first, second = (
        fit_pooled(
            estimator, regression_tasks, task_type="regression", random_state=3
        ).out_of_fold
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    assert forest.random_state is None
    assert not hasattr(forest, "estimators_")


def test_a_seed_of_the_user_is_kept(regression_tasks):
    forest = RandomForestRegressor(n_estimators=2, random_state=7)
    pooled = fit_pooled(forest, regression_tasks, task_type="regression")
    assert pooled.estimator.random_state == 7


def test_predict_of_no_rows(regression_tasks, three_class_tasks):
    pooled = fit_pooled(Ridge(), regression_tasks, task_type="regression")
    assert pooled.predict(np.empty((0, 3))).shape == (0, 1)
    pooled = fit_pooled(GaussianNB(), three_class_tasks, task_type="classification")
    assert pooled.predict(np.empty((0, 2))).shape == (0, 3)


def test_fit_single_task_has_no_out_of_fold():
    pooled = fit_single_task(Ridge(), np.eye(2), np.ones(2), task_type="regression")
    assert isinstance(pooled, PooledPredictor)
    assert pooled.out_of_fold is None
    np.testing.assert_allclose(pooled.predict(np.eye(2)), 1)
    pooled = fit_single_task(None, np.eye(2), ["u", "u"], task_type="classification")
    assert pooled.classes.tolist() == ["u"]


@pytest.mark.parametrize("estimator", [None, Ridge()])
def test_one_task_has_nothing_out_of_fold(estimator, regression_tasks):
    with pytest.raises(ValueError, match=r"at least 2 tasks, got 1.*more tasks"):
        fit_pooled(estimator, regression_tasks[:1], task_type="regression")


def test_errors_name_the_way_out(regression_tasks, three_class_tasks):
    with pytest.raises(TypeError, match=r"LinearSVC\(\).*CalibratedClassifierCV"):
        fit_pooled(LinearSVC(), three_class_tasks, task_type="classification")
    with pytest.raises(TypeError, match=r"GaussianNB\(\) is a classifier.*regressor"):
        fit_pooled(GaussianNB(), regression_tasks, task_type="regression")
    with pytest.raises(ValueError, match=r"\['c'\].*classes=\['a', 'b'\]"):
        fit_pooled(
            GaussianNB(),
            three_class_tasks,
            task_type="classification",
            classes=["a", "b"],
        )
    with pytest.raises(ValueError, match="n_folds must be at least 2, got 1"):
        fit_pooled(Ridge(), regression_tasks, task_type="regression", n_folds=1)
    with pytest.raises(ValueError, match=r"at least 2 tasks.*got 1.*validation_tasks"):
        tuned_boosting("regression", regression_tasks[:1])


def test_boosting_is_tuned_on_the_validation_tasks():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(12, 60, 1))
    signal = TaskCollection([(x, np.sign(x[:, 0])) for x in X])
    noise = TaskCollection([(x, rng.normal(size=60)) for x in X])
    learnable = tuned_boosting("regression", signal[:8], signal[8:], random_state=0)
    not_learnable = tuned_boosting("regression", noise[:8], noise[8:], random_state=0)
    assert learnable.max_iter > not_learnable.max_iter
    assert not hasattr(learnable, "n_iter_")
    again = tuned_boosting("regression", signal[:8], signal[8:], random_state=0)
    assert repr(again) == repr(learnable)


def test_boosting_of_classes_that_training_tasks_lack(three_class_tasks):
    boosting = tuned_boosting(
        "classification", three_class_tasks[[0, 1, 3]], three_class_tasks[[2]]
    )
    assert 1 <= boosting.max_iter <= 300
    one_class = tuned_boosting(
        "classification", three_class_tasks[[0]], three_class_tasks[[1]]
    )
    assert one_class.max_iter <= 300


def test_boosting_leaves_out_whole_tasks_above_the_cap(regression_tasks, monkeypatch):
    monkeypatch.setattr(pooled_estimators, "MAX_TUNING_ROWS", 30)
    rng = np.random.RandomState(0)
    kept = pooled_estimators._capped_rows(regression_tasks, rng)
    assert len(kept.X) == len(kept.y) == 24
    assert len(kept) == 2
    assert set(kept.names) < set(regression_tasks.names)


def test_polynomial_ridge_finds_squares_and_products():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(200, 10)), rng.integers(0, 2, size=200)])
    y = X[:, 0] * X[:, 1] + X[:, 2] ** 2 + X[:, 10]
    model = polynomial_ridge("regression", X).fit(X, y)
    assert model.score(X, y) > 0.999
    polynomials = model[2].named_transformers_["polynomial"]
    assert polynomials.n_features_in_ == 8
    labels = (y > 1).astype(int)
    assert polynomial_ridge("classification", X).fit(X, labels).score(X, labels) > 0.9


def test_polynomial_ridge_of_binary_columns_is_linear():
    X = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]] * 5)
    model = polynomial_ridge("regression", X).fit(X, X @ [1.0, 2.0])
    assert len(model[-1].coef_) == 2
