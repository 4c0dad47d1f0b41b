"""Any scale of targets and columns: predictions are the same, on that scale."""

import numpy as np
import pytest
import sklearn
from packaging.version import Version
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge

from skmeta import (
    AttentionMetaRegressor,
    SelfAttentionMetaRegressor,
    TransformerMetaRegressor,
)
from skmeta._preprocessing.scaling import (
    FAR_FROM_ZERO,
    FeatureScaler,
    TargetScaler,
    offset_of,
)
from skmeta.baselines import MixedEffectsRegressor, PooledRegressor

pytestmark = pytest.mark.usefixtures("quick_training")

LEARNERS = {
    "auto": AttentionMetaRegressor(),
    "none": AttentionMetaRegressor(pooled_estimator=None),
    "ridge": AttentionMetaRegressor(pooled_estimator=Ridge()),
    "linear": AttentionMetaRegressor("linear", None),
    "mlp": AttentionMetaRegressor("mlp", Ridge()),
    "forest": AttentionMetaRegressor(RandomForestRegressor(5, random_state=0), None),
    "self-attention": SelfAttentionMetaRegressor(pooled_estimator=None),
    "transformer": TransformerMetaRegressor(
        pooled_estimator=None, kernel_averaging=True
    ),
}
BASELINES = {
    "boosting": PooledRegressor(random_state=0),
    "intercept": PooledRegressor(Ridge(), adapt="intercept", random_state=0),
    "slopes": PooledRegressor(Ridge(), adapt="slopes", random_state=0),
    "gp": PooledRegressor(Ridge(), adapt="gp", random_state=0),
    "mixed": MixedEffectsRegressor(),
}
SCALES = [(1e9, 1), (0, 1e-19), (0, 1e12)]
MARKS = {
    "forest": pytest.mark.skipif(
        Version(sklearn.__version__) < Version("1.9"),
        reason="trees of earlier versions split otherwise where targets are rounded",
    )
}


@pytest.fixture(scope="module")
def tasks():
    """Sixteen tasks, their targets such that a shift of 1e9 rounds nothing."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(16):
        X = rng.normal(size=(15, 3))
        y = np.sin(2 * X[:, 0]) + X[:, 1] * (1 + 0.3 * rng.normal()) + rng.normal()
        y += 0.1 * rng.normal(size=15)
        made.append((X, np.round(y * 2**20) / 2**20))
    return made


@pytest.fixture
def predicted(tasks, tiny):
    """Mean and deviation of rows of a new task, in the original units."""

    def predict(model, shift=0.0, unit=1.0, columns=lambda X: X):
        model = clone(model)
        if hasattr(model, "max_epochs"):
            model.set_params(**tiny | {"task_attention": False})
        model.meta_fit([(columns(X), y * unit + shift) for X, y in tasks[:15]])
        X, y = tasks[15]
        model.fit(columns(X[:5]), y[:5] * unit + shift)
        mean, std = model.predict(columns(X[5:]), return_std=True)
        return (mean - shift) / unit, std / unit

    return predict


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=MARKS.get(name, ())) for name in LEARNERS]
)
@pytest.mark.parametrize(("shift", "unit"), SCALES)
def test_targets_of_meta_learners(name, shift, unit, predicted):
    for found, expected in zip(
        predicted(LEARNERS[name], shift, unit), predicted(LEARNERS[name]), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize(("shift", "unit"), SCALES)
def test_targets_of_baselines(name, shift, unit, predicted):
    for found, expected in zip(
        predicted(BASELINES[name], shift, unit), predicted(BASELINES[name]), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["none", "linear", "auto", "transformer"])
@pytest.mark.parametrize("power", [-200, 200])
def test_columns_of_any_size(name, power, predicted):
    there = predicted(LEARNERS[name], columns=lambda X: X * 10.0**power)
    np.testing.assert_allclose(there, predicted(LEARNERS[name]), atol=1e-4)


@pytest.mark.parametrize("name", ["none", "auto"])
def test_columns_far_from_zero(name, predicted):
    there = predicted(LEARNERS[name], columns=lambda X: X + 1e9)
    np.testing.assert_allclose(there, predicted(LEARNERS[name]), atol=1e-3)


def test_distributions_of_targets_far_from_zero(tasks, tiny):
    """Quantiles, densities and draws are shifted, and nothing else."""
    learner = AttentionMetaRegressor(pooled_estimator=None, **tiny)
    X, y = tasks[15]
    near = clone(learner).meta_fit(tasks[:15]).fit(X[:5], y[:5])
    far = clone(learner).meta_fit([(X, y + 1e9) for X, y in tasks[:15]])
    far.fit(X[:5], y[:5] + 1e9)
    q = [0.05, 0.5, 0.95]
    np.testing.assert_allclose(
        far.predict_quantiles(X, q) - 1e9, near.predict_quantiles(X, q), atol=1e-6
    )
    np.testing.assert_allclose(far.log_prob(X, y + 1e9), near.log_prob(X, y), atol=1e-5)
    np.testing.assert_allclose(far.sample_y(X, 3) - 1e9, near.sample_y(X, 3), atol=1e-6)
    episode = (X[:5], y[:5] + 1e9, X)
    (alone,) = far.predict_episodes([episode])
    np.testing.assert_allclose(alone - 1e9, near.predict(X), atol=1e-6)


def test_contributions_of_targets_far_from_zero(tasks, tiny):
    learner = SelfAttentionMetaRegressor(pooled_estimator=None, **tiny)
    learner.meta_fit([(X, y + 1e9) for X, y in tasks[:15]])
    X, y = tasks[15]
    learner.fit(X[:5], y[:5] + 1e9)
    total = learner.contributions(X).sum(1)
    np.testing.assert_allclose(total, learner.predict(X), rtol=1e-14)


@pytest.mark.filterwarnings("ignore::skmeta.NotMetaFittedWarning")
@pytest.mark.parametrize("model", [LEARNERS["none"], *BASELINES.values()])
@pytest.mark.parametrize(("shift", "unit"), SCALES)
def test_targets_of_one_task_alone(model, shift, unit, tasks):
    X, y = tasks[0]
    if hasattr(model, "max_epochs"):
        model = clone(model).set_params(random_state=0)
    near, far = (clone(model).fit(X, some) for some in (y, y * unit + shift))
    expected = np.array(near.predict(X, return_std=True))
    mean, std = far.predict(X, return_std=True)
    found = np.array([(mean - shift) / unit, std / unit])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_pooled_predictions_beyond_all_bounds(tasks, tiny):
    """A ridge that predicts 1e39 somewhere leaves numbers, not NaN."""
    learner = AttentionMetaRegressor(pooled_estimator=Ridge(), **tiny)
    learner.meta_fit(tasks[:15]).fit(*tasks[15])
    mean, std = learner.predict(np.full((1, 3), 1e39), return_std=True)
    assert np.isfinite(mean).all()
    assert std > 1e3 * tasks[15][1].std()


@pytest.mark.parametrize(
    "model",
    [
        LEARNERS["none"],
        BASELINES["boosting"],
        BASELINES["intercept"],
        BASELINES["slopes"],
        BASELINES["gp"],
        BASELINES["mixed"],
        MixedEffectsRegressor("full"),
        MixedEffectsRegressor(None),
    ],
)
@pytest.mark.parametrize("value", [0.0, 7.0, 1e9, 1e-19, -0.1])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_targets_that_never_vary(model, value, tasks, tiny):
    model = clone(model)
    if hasattr(model, "max_epochs"):
        model.set_params(**tiny)
    model.meta_fit([(X, np.full(15, value)) for X, _ in tasks[:15]])
    X = tasks[15][0]
    for _ in range(2):  # zero-shot, then adapted
        mean, std = model.predict(X, return_std=True)
        size, exact = abs(value) or 1.0, not hasattr(model, "max_epochs")
        np.testing.assert_allclose(mean, value, atol=(1e-14 if exact else 0.1) * size)
        assert (std < (1e-14 if exact else 0.5) * size).all()
        model.fit(X[:5], np.full(5, value))


@pytest.mark.parametrize("slopes", ["diagonal", "full", None])
@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_targets_without_noise(slopes, tasks):
    """A constant of each task, and one linear function of all."""
    model = MixedEffectsRegressor(slopes)
    X = tasks[15][0]
    model.meta_fit([(x, np.full(15, float(i))) for i, (x, _) in enumerate(tasks)])
    mean, std = model.fit(X[:2], [40.0, 40.0]).predict(X, return_std=True)
    np.testing.assert_allclose(mean, 40.0, atol=1e-4)
    assert (std < 0.01).all()
    for unit in (1.0, 1e-19):
        truth = (X @ [1.0, -2.0, 0.5] + 3) * unit
        model.meta_fit([(x, (x @ [1.0, -2.0, 0.5] + 3) * unit) for x, _ in tasks])
        for _ in range(2):
            mean, std = model.predict(X, return_std=True)
            np.testing.assert_allclose(mean, truth, atol=1e-8 * unit)
            assert (std < 1e-3 * unit).all()
            model.fit(X[:5], truth[:5])


def test_offset_is_one_of_the_targets_and_there_where_it_matters():
    y = np.array([3.0, 1.0, 2.0])
    assert offset_of(y) == 0.0
    assert offset_of(y + FAR_FROM_ZERO) == 2.0 + FAR_FROM_ZERO
    assert offset_of(np.full(4, 0.1)) == 0.1
    assert offset_of(np.zeros(4)) == 0.0
    scaler = TargetScaler.fit(y + 1e12)
    assert (scaler.offset, scaler.mean) == (2.0 + 1e12, 0.0)
    assert scaler.scale == TargetScaler.fit(y).scale
    np.testing.assert_array_equal(
        scaler.transform(y + 1e12, np.float64), TargetScaler.fit(y).transform(y, float)
    )


@pytest.mark.parametrize("unit", [1e-200, 1e-19, 1e150])
def test_scalers_of_any_unit(unit):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, 2)), rng.normal(size=50)
    np.testing.assert_allclose(
        FeatureScaler.fit(X * unit).transform(X * unit),
        FeatureScaler.fit(X).transform(X),
        atol=1e-6,
    )
    scaler = TargetScaler.fit(y * unit)
    np.testing.assert_allclose(scaler.scale, y.std() * unit, rtol=1e-12)


def test_pooled_residuals_that_are_rounding_alone_set_no_scale():
    y = np.random.default_rng(0).normal(size=50)
    exact = TargetScaler.fit(y, y[:, None] * (1 + 1e-15))
    assert exact.scale == pytest.approx(y.std())
