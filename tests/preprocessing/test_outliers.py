"""One outlier among thousands determines nothing, and is named in a warning."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from skmeta import AttentionMetaClassifier, AttentionMetaRegressor, TaskCollection, save
from skmeta import load as load_saved
from skmeta._preprocessing.missing_values import MissingValues
from skmeta._preprocessing.outliers import (
    UNBOUNDED,
    drop_target_outliers,
    inlier_range,
)
from skmeta.baselines import MixedEffectsRegressor, PooledRegressor
from skmeta.datasets import make_classification_tasks

pytestmark = pytest.mark.usefixtures("quick_training")


def normal(n=1200, seed=0):
    return np.random.default_rng(seed).normal(size=n)


def with_some(values, outlier, share, seed=1):
    values = values.copy()
    values[np.random.default_rng(seed).random(len(values)) < share] = outlier
    return values


@pytest.mark.parametrize(
    ("values", "outside"),
    [
        (np.append(normal(), 1e6), [1e6]),
        (np.append(normal(), 50.0), [50.0]),
        (np.append(normal(), [50.0, 60, -70]), [50.0, 60, -70]),
        (with_some(normal(), -9999.0, 0.3), [-9999.0]),
        (with_some(np.round(100 + 30 * normal()), 999.0, 0.02), [999.0]),
        (np.append(np.repeat([1.0, 2, 3, 4, 5], 50), [-99.0, -99]), [-99.0]),
        (with_some(normal() * (normal(seed=3) > 1.3), -999.0, 0.2), [-999.0]),
        (np.append(normal(), 1e6 * np.arange(1.0, 25)), 1e6 * np.arange(1.0, 25)),
        (np.append(normal(), [-1e6, 1e7]), [-1e6, 1e7]),
        (with_some(normal(), -9999.0, 0.02), [-9999.0]),
        (with_some(normal(), 999.0, 0.2), [999.0]),
        (with_some(with_some(normal(), -9999, 0.05), -8888, 0.05, 2), [-9999, -8888]),
        (np.append(normal() * 1e200, 1e250), [1e250]),
        (np.append(np.repeat([0.0, 0, 0, 0, 2, 3], 50), 1e6), [1e6]),
        (np.append(1995 + 3 * normal(), 20.0), [20.0]),
    ],
)
def test_what_is_an_outlier(values, outside):
    low, high = inlier_range(values)
    found = values[(values < low) | (values > high)]
    assert set(found.tolist()) == set(outside)


@pytest.mark.parametrize(
    "values",
    [
        normal(),
        np.exp(2 * normal(10_000)),
        np.random.default_rng(0).standard_cauchy(10_000),
        np.random.default_rng(0).pareto(1.0, 10_000),
        (normal(5000) > 3).astype(float),
        np.append(np.zeros(999), 1.0),
        np.full(100, 7.0),
        np.append(np.full(100, np.nan), normal(100)),
        np.append(normal(40), 1e6),  # too few to tell
        np.where(normal(1000) > 0.5, 500 + normal(1000), normal(1000)),
        np.append(normal(3000), 1000 + normal(15)),
        np.random.default_rng(0).choice(
            [0.0, 1, 2, 1000], 3000, p=[0.3, 0.3, 0.3, 0.1]
        ),
        np.random.default_rng(0).choice([0.0, 1, 100], 3000, p=[0.5, 0.4, 0.1]),
        10.0
        ** -np.random.default_rng(0).choice(
            [9, 8, 7, 6, 5, 4], 3000, p=[0.3, 0.3, 0.2, 0.1, 0.08, 0.02]
        ),
        np.append(np.random.default_rng(0).poisson(3, 3000), [3000.0] * 20),
        np.repeat([0.0, 1e5], [800, 200]),
        np.arange(1000.0) ** 2,
    ],
)
def test_what_is_not(values):
    assert inlier_range(values) == (-UNBOUNDED, UNBOUNDED)


def make(n, seed=0):
    rng = np.random.default_rng(seed)
    b, tasks = rng.normal(size=3), []
    for _ in range(n):
        X = rng.normal(size=(20, 3))
        y = X @ (b + 0.5 * rng.normal(size=3)) + rng.normal()
        tasks.append((X, y + 0.1 * rng.normal(size=20)))
    return tasks


TASKS = make(40)


def spoiled(what):
    tasks = [(X.copy(), y.copy()) for X, y in TASKS[:30]]
    if what == "one cell":
        tasks[3][0][2, 0] = 1e6
    elif what == "one target":
        tasks[3][1][2] = 1e6
    else:
        rng = np.random.default_rng(1)
        for X, _ in tasks:
            X[rng.random(X.shape) < 0.02] = {"codes": -9999, "holes": np.nan}[what]
    return tasks


def r2(model):
    return np.mean(
        [
            1 - ((model.fit(X[:8], y[:8]).predict(X[8:]) - y[8:]) ** 2).mean() / y.var()
            for X, y in TASKS[30:]
        ]
    )


@pytest.mark.parametrize(
    "make_model",
    [
        lambda tiny: AttentionMetaRegressor(**tiny),
        lambda tiny: AttentionMetaRegressor("linear", None, **tiny),
        lambda _: MixedEffectsRegressor(),
        lambda _: PooledRegressor(Ridge(), adapt="slopes", random_state=0),
    ],
)
@pytest.mark.parametrize("what", ["one cell", "one target"])
def test_one_outlier_determines_nothing(what, make_model, tiny):
    clean = r2(make_model(tiny).meta_fit(TASKS[:30]))
    with pytest.warns(UserWarning, match="out of all proportion"):
        found = r2(make_model(tiny).meta_fit(spoiled(what)))
    assert clean > 0.9
    assert found > clean - 0.03


def test_codes_are_missing_values(tiny):
    """To a meta-learner as NaN; to a baseline, which takes no NaN, as the mean."""
    learner = AttentionMetaRegressor(pooled_estimator=Ridge(), **tiny)
    holes = r2(learner.meta_fit(spoiled("holes")))
    baseline = MixedEffectsRegressor()
    clean = r2(baseline.meta_fit(TASKS[:30]))
    for model, at_least in ((learner, holes), (baseline, clean - 0.03)):
        with pytest.warns(UserWarning, match="such as -9999 in row"):
            assert r2(model.meta_fit(spoiled("codes"))) >= at_least


def test_warning_names_column_value_and_task(tiny):
    learner = AttentionMetaRegressor("linear", None, **tiny)
    words = r"1 value of \d+, such as 1e\+06 in row 2 of task 3, of column 0.*missing"
    with pytest.warns(UserWarning, match=words) as caught:
        learner.meta_fit(spoiled("one cell"), validation_tasks=TASKS[30:])
    assert caught[0].filename == __file__
    words = r"1 value of 600, such as 1e\+06 in row 2 of task 3, of the tasks.*left out"
    with pytest.warns(UserWarning, match=words):
        MixedEffectsRegressor().meta_fit(spoiled("one target"))


def test_clean_tasks_are_taken_as_they_are(tiny):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        MixedEffectsRegressor().meta_fit(TASKS)
        learner = AttentionMetaRegressor("linear", None, **tiny).meta_fit(TASKS)
    assert learner.meta_state_.missing.low is None


def test_a_code_for_missing_is_as_missing_later_too(tiny, tmp_path):
    """So it is after a way through a file."""
    learner = AttentionMetaRegressor("linear", None, **tiny)
    models = learner, MixedEffectsRegressor()
    for model in models:
        with pytest.warns(UserWarning, match="-9999 in row"):
            model.meta_fit(spoiled("codes"))
        X, y = TASKS[35]
        model.fit(X[:6], y[:6])
        save(model, tmp_path / "model")
        coded, holes = X.copy(), X.copy()
        coded[6:, 1], holes[6:, 1] = -9999, np.nan
        for one in (model, load_saved(tmp_path / "model")):
            found = one.predict(coded)
            assert np.abs(found - y).max() < 20
            if one is model and model is learner:
                np.testing.assert_array_equal(found, model.predict(holes))
            np.testing.assert_array_equal(found, model.predict(coded))


def test_classes(tiny):
    made = make_classification_tasks(20, 15, 3, random_state=0)
    tasks = [(np.array(task.X), task.y) for task in made]
    tasks[4][0][1, 2] = -1e5
    for own in (True, False):
        learner = AttentionMetaClassifier(
            pooled_estimator=None, shared_classes=not own, **tiny
        )
        with pytest.warns(UserWarning, match=r"-100000 in row 1 of task 4, of col.* 2"):
            learner.meta_fit(tasks, validation_tasks=tasks[:2])
        assert learner.meta_state_.features.scale.max() < 10


def test_tasks_of_outlying_targets_are_left_out():
    tasks = {f"shop {i}": (X, y) for i, (X, y) in enumerate(make(300))}
    X, y = tasks["shop 7"]
    tasks["shop 7"] = X, 1e6 * (1 + y**2)
    with pytest.warns(UserWarning, match="20 values of 6,000"):
        kept, others, *_ = drop_target_outliers(TaskCollection(tasks), None)
    assert others is None
    assert len(kept) == 299
    assert "shop 7" not in kept.names
    np.testing.assert_array_equal(kept[7].X, tasks["shop 8"][0])


class Drawn:
    def __init__(self, tasks):
        self.tasks = tasks

    def sample(self, n_tasks, random_state):
        rng = np.random.default_rng(random_state)
        return [self.tasks[i] for i in rng.integers(0, len(self.tasks), n_tasks)]


@pytest.mark.parametrize("drawn", [False, True])
def test_targets_of_tasks_that_are_loaded(drawn, tiny, lazy):
    learner = AttentionMetaRegressor("linear", None, **tiny)
    tasks = spoiled("one target")
    tasks[4] = tasks[4][0], 1e6 + tasks[4][1]  # all of whose targets are outliers
    with pytest.warns(UserWarning, match="Targets are out of all proportion"):
        assert r2(learner.meta_fit(Drawn(tasks) if drawn else lazy(tasks))) > 0.9


@pytest.mark.parametrize("is_lazy", [False, True])
def test_targets_of_validation_tasks_alone(is_lazy, tiny, lazy):
    wrap = lazy if is_lazy else TaskCollection
    learner = AttentionMetaRegressor("linear", None, **tiny)
    with pytest.warns(UserWarning, match="of the validation tasks"):
        learner.meta_fit(TASKS[:20], validation_tasks=wrap(spoiled("one target")[:12]))
    assert r2(learner) > 0.9


def test_rows_are_marked_in_a_copy():
    X = np.column_stack([np.append(normal(), 1e6), np.append(normal(seed=1), 0.0)])
    X.flags.writeable = False
    missing = MissingValues.fit(X)
    assert np.isnan(missing.mask_outliers(X)[-1, 0])
    np.testing.assert_array_equal(missing.mask_outliers(X)[:, 1], X[:, 1])
    assert missing.indicated.tolist() == [0]
    assert missing.transform(X)[-1].tolist() == [missing.fill[0], 0.0, 1.0]
    np.testing.assert_allclose(missing.fill, X[:-1].mean(0), atol=1e-2)


def test_a_support_out_of_all_proportion_is_warned_of(tiny):
    learner = AttentionMetaRegressor("linear", None, **tiny).meta_fit(TASKS[:30])
    X, y = (values[:8].copy() for values in TASKS[30])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        learner.fit(X, y)
        learner.fit(X + 20, y + 20)
    y[2], X[3, 1] = -9999, 1e5
    words = "y is -9999 in row 2; X is 100000 in row 3, column 1. Look for an error"
    with pytest.warns(UserWarning, match=words) as caught:
        learner.fit(X, y)
    assert caught[0].filename == __file__
