"""Predictions are less sure of rows that are not like those of meta-training."""

import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, Ridge

from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    SelfAttentionMetaRegressor,
    TransformerMetaRegressor,
    load,
    save,
)
from skmeta._preprocessing.row_uncertainty import N_LEVELS, N_STEPS, FeatureRange
from skmeta.baselines import PooledRegressor

pytestmark = pytest.mark.usefixtures("quick_training")

ROWS = np.random.default_rng(0).normal(size=(1000, 3)) * [1, 2, 3] + [0, 0, 100]


@pytest.fixture
def seen():
    return FeatureRange.fit(ROWS)


def linear(X):
    """Two outputs of rows."""
    return X @ [[2.0, -1.0], [0.0, 0.5], [0.0, 0.0]]


# What is read off a function


def test_rows_like_those_seen_have_no_companions(seen):
    assert seen.companions(ROWS) is None
    assert seen.companions(np.array([seen.low, seen.high])) is None


def test_ranges_and_levels(seen):
    np.testing.assert_array_equal(seen.low, ROWS.min(0))
    np.testing.assert_array_equal(seen.high, ROWS.max(0))
    q = (np.arange(N_LEVELS) + 0.5) / N_LEVELS
    np.testing.assert_array_equal(
        np.sort(seen.levels, axis=0), np.quantile(ROWS, q, axis=0, method="nearest")
    )


def test_variance_of_missing_values_is_that_of_the_function(seen):
    X = ROWS[:4].copy()
    X[0, 0] = X[1, 1] = np.nan
    X[2] = np.nan
    companions = seen.companions(X)
    variance = companions.variance(linear(companions.X))
    of_levels = seen.levels.var(0)
    np.testing.assert_allclose(variance[0], of_levels[0] * np.array([4, 1]))
    np.testing.assert_allclose(variance[1], of_levels[1] * np.array([0, 0.25]))
    np.testing.assert_allclose(variance[2], linear(seen.levels).var(0))
    np.testing.assert_array_equal(variance[3], 0)
    assert of_levels == pytest.approx(ROWS.var(0), rel=0.25)


def test_deviation_beyond_the_range_is_that_of_a_slope_that_drifts(seen):
    half = (seen.high - seen.low) / 2
    X = np.tile(ROWS.mean(0), (3, 1))
    X[0, 0] = seen.high[0] + half[0]
    X[1, 0] = seen.low[0] - 4 * half[0]
    X[2, 2] = 1e6  # of a feature that says nothing
    companions = seen.companions(X)
    assert len(companions.X) == 3 * (N_STEPS + 1)
    assert seen.including(companions.X).low.tolist() == seen.low.tolist()
    assert seen.including(companions.X).high.tolist() == seen.high.tolist()
    values = linear(companions.X)
    rise = 2 * half[0]  # of the first output, over half of the range
    expected = rise**2 / 3 * np.array([1, 4**3, 0])
    variance = companions.variance(values)
    np.testing.assert_allclose(variance[:, 0], expected, atol=1e-9)
    np.testing.assert_allclose(variance[:, 1], expected / 4, atol=1e-9)
    shared = sum(companions.shared(values))
    np.testing.assert_allclose(shared[0, 0] * -8, shared[1, 0])  # one slope, two sides


def test_many_features_that_are_left_are_looked_at_together():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 100))
    seen = FeatureRange.fit(X)
    far = X[:5] + 20
    companions = seen.companions(far)
    assert len(companions.X) == 17 * (N_STEPS + 1) * 5
    assert (companions.variance(companions.X[:, :1]) > 0).all()


def test_a_feature_that_never_varied_and_a_support_beyond(seen):
    X = np.column_stack([ROWS[:, 0], np.ones(len(ROWS))])
    constant = FeatureRange.fit(X)
    assert constant.companions(np.array([[0.0, 1.0], [0.0, np.nan]])) is not None
    companions = constant.companions(np.array([[0.0, 5.0]]))
    np.testing.assert_array_equal(companions.X, constant.levels)  # as if all missed
    far = seen.high + 30
    assert seen.companions(far[None]) is not None
    holey = np.array([far, [np.nan] * 3])
    assert seen.including(holey).companions(far[None]) is None
    assert seen.including(ROWS[:0]) is seen


# What estimators make of it

MODELS = {
    "gp": AttentionMetaRegressor("gp"),
    "linear": AttentionMetaRegressor("linear", None),
    "mlp": AttentionMetaRegressor("mlp", None),
    "forest": AttentionMetaRegressor(RandomForestRegressor(5, random_state=0), None),
    "self-attention": SelfAttentionMetaRegressor(pooled_estimator=None),
    "transformer": TransformerMetaRegressor(pooled_estimator=LinearRegression()),
}


@pytest.fixture(scope="module")
def trends():
    """Fifty tasks that rise with the years from 1990 to 2000."""
    rng = np.random.default_rng(0)
    tasks = []
    for _ in range(50):
        X = np.column_stack([rng.uniform(1990, 2000, 20), rng.normal(size=20)])
        slope = 2 + 0.3 * rng.normal()
        y = slope * (X[:, 0] - 1995) + X[:, 1] + rng.normal()
        tasks.append((X, y + 0.1 * rng.normal(size=20)))
    return tasks


YEARS = np.column_stack([[1995, 2000, 2010, 2020, 2030, 2050], np.zeros(6)])
TRUE = 2 * (YEARS[:, 0] - 1995)
SUPPORT = np.column_stack([np.linspace(1990, 2000, 8), np.zeros(8)])


@pytest.fixture(scope="module")
def fitted(trends):
    """Each of `MODELS`, trained a little and adapted to a rise of 2 a year."""
    made = {}

    def get(name):
        if name not in made:
            model = clone(MODELS[name]).set_params(
                max_epochs=2, steps_per_epoch=5, random_state=0
            )
            made[name] = model.meta_fit(trends)
        return clone(made[name]).fit(SUPPORT, 2 * (SUPPORT[:, 0] - 1995))

    return get


@pytest.mark.parametrize("name", MODELS)
def test_deviation_grows_beyond_what_was_seen(name, fitted):
    mean, std = fitted(name).predict(YEARS, return_std=True)
    assert (np.diff(std[1:]) > 0).all()
    assert (np.abs(mean - TRUE) < 4 * std)[2:].all()
    assert std[-1] > 20


def test_a_linear_process_goes_on(fitted):
    mean = fitted("linear").predict(YEARS)
    np.testing.assert_allclose(mean, TRUE, atol=1)


@pytest.mark.parametrize("adapt", ["slopes", "gp"])
def test_adapted_baselines_go_on(adapt, trends):
    model = PooledRegressor(Ridge(), adapt=adapt, random_state=0).meta_fit(trends)
    model.fit(SUPPORT, 2 * (SUPPORT[:, 0] - 1995))
    mean, std = model.predict(YEARS, return_std=True)
    np.testing.assert_allclose(mean, TRUE, atol=6)
    assert std[-1] > 2 * std[1]


def test_rows_of_the_task_beyond_are_as_sure_as_any(fitted):
    model = fitted("gp")
    X = np.vstack([SUPPORT, SUPPORT + np.array([30, 0])])
    model.fit(X, 2 * (X[:, 0] - 1995))
    _, std = model.predict(YEARS, return_std=True)
    assert std[4] < 2  # 2030, which the task has rows near


@pytest.mark.parametrize("name", ["gp", "self-attention", "transformer"])
def test_distributions_agree(name, fitted):
    """Mean and deviation, quantiles, densities, draws, and many tasks at once."""
    model = fitted(name)
    X = YEARS.copy()
    X[0, 0] = np.nan
    mean, std = model.predict(X, return_std=True)
    if name == "gp":  # one normal distribution
        expected = stats.norm(mean[:, None], std[:, None]).ppf([0.05, 0.95])
        found = model.predict_quantiles(X, [0.05, 0.95])
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        density = stats.norm(mean, std).logpdf(TRUE)
        np.testing.assert_allclose(model.log_prob(X, TRUE), density, rtol=1e-6)
    draws = model.sample_y(X, 4000)
    np.testing.assert_allclose(draws.std(1), std, rtol=0.07)
    assert np.corrcoef(draws[3:5])[0, 1] > 0.9  # one slope, unknown
    assert abs(np.corrcoef(draws[[0, 4]])[0, 1]) < 0.5
    episode = (SUPPORT, 2 * (SUPPORT[:, 0] - 1995), X)
    many = model.predict_episodes([episode, episode], return_std=True)
    for found in many:
        np.testing.assert_allclose(found, (mean, std), rtol=1e-5, atol=1e-6)


def test_each_row_is_predicted_by_itself(fitted):
    model, X = fitted("gp"), YEARS.copy()
    X[1, 1] = np.nan
    together = model.predict(X, return_std=True)
    one_by_one = np.concatenate(
        [model.predict(row[None], return_std=True) for row in X], axis=1
    )
    np.testing.assert_allclose(one_by_one, together, rtol=1e-9)


def test_a_row_that_misses_all_is_as_unsure_as_targets_vary(tiny):
    rng = np.random.default_rng(0)
    tasks = [
        ((X := rng.normal(size=(20, 2))), 5 * X[:, 0] + 0.1 * rng.normal(size=20))
        for _ in range(40)
    ]
    model = AttentionMetaRegressor("linear", None, **tiny).meta_fit(tasks)
    X, y = tasks[0]
    model.fit(X[:10], y[:10])
    rows = np.array([[np.nan, np.nan], [np.nan, 0.0], [0.0, np.nan], [0.0, 0.0]])
    _, std = model.predict(rows, return_std=True)
    np.testing.assert_allclose(std[:2], 5, rtol=0.2)
    assert std[2] < 0.5  # the other column says nothing
    assert std[3] < 0.5


def test_files_keep_what_was_seen(fitted, tmp_path):
    model = fitted("gp")
    save(model, tmp_path / "model")
    X = YEARS.copy()
    X[0] = np.nan
    for found, expected in zip(
        load(tmp_path / "model").predict(X, return_std=True),
        model.predict(X, return_std=True),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("own", [False, True])
def test_probabilities_of_classes_even_out(own, tiny):
    rng = np.random.default_rng(0)
    tasks = []
    for _ in range(30):
        X = rng.normal(size=(24, 2))
        tasks.append((X, np.where(X[:, 0] > 0, "yes", "no")))
    learner = AttentionMetaClassifier(
        pooled_estimator=None, shared_classes=not own, **tiny
    )
    X, y = tasks[0]
    learner.meta_fit(tasks).fit(X, y)
    rows = np.array([[2.0, 0.0], [np.nan, 0.0], [2.0, np.nan], [2.0, 0.0]])
    sure, unsure, still, _ = learner.predict_proba(rows)[:, 1]
    assert sure > 0.8
    assert abs(unsure - 0.5) < 0.3
    assert still > 0.7
    (many,) = learner.predict_episodes([(X, y, rows)], return_proba=True)
    np.testing.assert_allclose(many, learner.predict_proba(rows), atol=1e-5)


def test_a_category_that_was_never_seen_makes_predictions_unsure(tiny):
    rng, tasks = np.random.default_rng(0), []
    for _ in range(40):
        category = rng.integers(0, 3, 20)
        y = np.array([0, 5, -5.0])[category] + rng.normal() + 0.1 * rng.normal(size=20)
        tasks.append((np.column_stack([np.eye(4)[category], rng.normal(size=20)]), y))
    model = AttentionMetaRegressor(**tiny).meta_fit(tasks[:39])
    model.fit(tasks[39][0][:10], tasks[39][1][:10])
    rows = np.eye(5)[[0, 3]]  # a category seen, and one never seen
    _, (seen, never) = model.predict(rows, return_std=True)
    assert seen < 1
    assert never > 2
