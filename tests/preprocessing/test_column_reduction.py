"""Very many columns become few that know what the many do."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Lasso, LogisticRegression

from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    SelfAttentionMetaRegressor,
    TransformerMetaRegressor,
    load,
    save,
)
from skmeta._preprocessing.column_reduction import (
    MAX_COLUMNS,
    N_COMPONENTS,
    N_KEPT,
    ReducedScaler,
    association,
    fit_features,
)
from skmeta._preprocessing.scaling import FeatureScaler
from skmeta.baselines import (
    MixedEffectsClassifier,
    MixedEffectsRegressor,
    PooledClassifier,
    PooledRegressor,
)

pytestmark = pytest.mark.usefixtures("quick_training")


def make(n_tasks, n_columns, seed=0, latent=False):
    """Tasks whose targets depend on five columns, or on five directions of all."""
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(5, n_columns))
    for _ in range(n_tasks):
        if latent:
            told = rng.normal(size=(20, 5))
            X = told @ loadings + 0.1 * rng.normal(size=(20, n_columns))
        else:
            X = rng.normal(size=(20, n_columns))
            told = X[:, 10:15]
        y = told @ (1 + 0.5 * rng.normal(size=5)) + rng.normal()
        yield X, y + 0.1 * rng.normal(size=20)


def rows_of(tasks):
    X, y = map(np.concatenate, zip(*tasks, strict=True))
    return X, y, np.repeat(np.arange(len(tasks)), 20)


def test_few_columns_stay_as_they_are():
    X, y, task = rows_of(list(make(4, MAX_COLUMNS)))
    features = fit_features(X, y, task, None)
    assert isinstance(features, FeatureScaler)
    np.testing.assert_allclose(features.mean, X.mean(0), atol=1e-12)


def test_reduced_columns_by_their_definition():
    X, y, task = rows_of(list(make(20, 200)))
    features = fit_features(X, y, task, None)
    assert isinstance(features, ReducedScaler)
    assert len(features.mean) == len(features.scale) == N_KEPT + N_COMPONENTS
    assert set(range(10, 15)) <= set(features.kept.tolist())
    z = (X - X.mean(0)) / X.std(0)
    few = np.hstack([z[:, features.kept], z @ features.components.T])
    expected = (few - few.mean(0)) / few.std(0)
    np.testing.assert_allclose(features.transform(X, float), expected, atol=1e-9)
    np.testing.assert_allclose(
        features.transform(X.reshape(20, 20, 200), float),
        expected.reshape(20, 20, -1),
        atol=1e-9,
    )
    gram = features.components @ features.components.T
    np.testing.assert_allclose(gram, np.eye(N_COMPONENTS), atol=1e-6)
    matrix, offset = features.affine()
    assert matrix.shape == (N_KEPT + N_COMPONENTS, 200)
    np.testing.assert_allclose(X @ matrix.T + offset, expected, atol=1e-9)
    relevance = np.arange(1.0, 1 + N_KEPT + N_COMPONENTS)
    of_features = features.by_feature(relevance)
    assert of_features.sum() == pytest.approx(relevance.sum())
    j = features.kept[3]
    others = relevance[N_KEPT:] @ features.components[:, j] ** 2
    assert of_features[j] == pytest.approx(4 + others)


def test_association_of_slopes_that_are_alike_or_differ_in_sign():
    rng = np.random.default_rng(0)
    X, task = rng.normal(size=(800, 6)), np.repeat(np.arange(40), 20)
    sign = rng.choice([-1.0, 1.0], 40)[task]
    y = X[:, 1] + sign * X[:, 4] + 5 * rng.normal(size=40)[task]
    told = association(X, y, task, None)
    assert set(np.argsort(-told)[:2].tolist()) == {1, 4}
    assert np.abs(np.delete(told, [1, 4])).max() < 0.05
    flipped = np.where(sign * X[:, 4] > 0, "a", "b")
    assert association(X, flipped, task, "shared").argmax() == 4
    assert association(X, flipped, task, "own").argmax() == 4
    assert association(X, np.where(X[:, 1] > 0, 1, 0), task, "shared").argmax() == 1


def score(model, tasks):
    """R2 of later rows of new tasks, after eight."""
    return np.mean(
        [
            1 - ((model.fit(X[:8], y[:8]).predict(X[8:]) - y[8:]) ** 2).mean() / y.var()
            for X, y in tasks
        ]
    )


@pytest.mark.parametrize("latent", [False, True])
@pytest.mark.parametrize(
    "model",
    [
        AttentionMetaRegressor(pooled_estimator=None),
        AttentionMetaRegressor(),
        SelfAttentionMetaRegressor(pooled_estimator=None),
        TransformerMetaRegressor(pooled_estimator=None),
    ],
)
def test_two_thousand_columns(model, latent, tiny):
    tasks = list(make(40, 2000, latent=latent))
    model = clone(model).set_params(**tiny).meta_fit(tasks[:34])
    assert score(model, tasks[34:]) > 0.6
    assert model.feature_attention_.shape == (2000,)
    assert model.feature_attention_.sum() == pytest.approx(1)
    if not latent:
        assert model.feature_attention_[10:15].sum() > 0.4


@pytest.mark.parametrize("own", [False, True])
def test_classes(own, tiny, tmp_path):
    rng = np.random.default_rng(0)
    tasks = []
    for _ in range(30):
        y = np.repeat(np.arange(4), 6)
        centres = 3 * rng.normal(size=(4, 500)) * (np.arange(500) < 8)
        if not own:
            centres = 3 * np.eye(4, 500)
        tasks.append((centres[y] + rng.normal(size=(24, 500)), y))
    learner = AttentionMetaClassifier(
        pooled_estimator=None, shared_classes=not own, **tiny
    )
    learner.meta_fit(tasks[:25])
    shown, asked = np.arange(24) % 6 < 3, np.arange(24) % 6 > 2
    right = [
        learner.fit(X[shown], y[shown]).predict(X[asked]) == y[asked]
        for X, y in tasks[25:]
    ]
    assert np.mean(right) > 0.8
    save(learner, tmp_path / "learner")
    X = tasks[-1][0]
    np.testing.assert_array_equal(
        load(tmp_path / "learner").predict_proba(X), learner.predict_proba(X)
    )


@pytest.mark.filterwarnings("ignore::skmeta.NotMetaFittedWarning")
def test_one_task_alone():
    ((X, y),) = make(1, 300)
    model = AttentionMetaRegressor(random_state=0).fit(X, y)
    assert model.feature_attention_.shape == (300,)
    assert np.isfinite(model.predict(X)).all()


def test_pooled_boosting_sees_the_columns_that_tell():
    tasks = list(make(30, 500))
    model = PooledRegressor(random_state=0).meta_fit(tasks)
    selection = model.pooled_estimator_.regressor_[0]
    kept = selection.transformers_[0][2]
    assert len(kept) == MAX_COLUMNS
    assert set(range(10, 15)) <= set(kept)
    labels = [(X, (y > 0).astype(int)) for X, y in tasks]
    classes = PooledClassifier(random_state=0).meta_fit(labels)
    kept = classes.pooled_estimator_[0].transformers_[0][2]
    assert set(range(10, 15)) <= set(kept)


SHORT = {"max_iter": 30, "tol": 1e-4}
unfinished_em = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning"
)


def save_and_load(model, path):
    save(model, path)
    return load(path)


@unfinished_em
@pytest.mark.parametrize(
    ("model", "loss"),
    [
        (MixedEffectsRegressor(**SHORT), 0.03),
        (MixedEffectsRegressor("full", **SHORT), 0.12),
        (PooledRegressor(Lasso(0.05), "slopes", random_state=0), 0.1),
    ],
)
def test_linear_baselines_of_many_columns(model, loss):
    tasks = list(make(50, 200))
    many = score(model.meta_fit(tasks[:35]), tasks[35:])
    five = [(X[:, 10:15], y) for X, y in tasks]
    assert many > score(clone(model).meta_fit(five[:35]), five[35:]) - loss


@unfinished_em
@pytest.mark.parametrize("slopes", ["diagonal", "full", None])
def test_mixed_effects_are_in_units_of_all_columns(slopes, tmp_path):
    rng = np.random.default_rng(1)
    scale, shift = rng.lognormal(size=200), rng.normal(size=200)
    tasks = [(X * scale + shift, y) for X, y in make(30, 200)]
    model = MixedEffectsRegressor(slopes, **SHORT).meta_fit(tasks[:29])
    X, y = tasks[29]
    assert model.coef_.shape == (200,)
    zero_shot, deviation = model.predict(X, return_std=True)
    np.testing.assert_allclose(zero_shot, model.intercept_ + X @ model.coef_, atol=1e-8)
    rows = np.column_stack([np.ones(20), X])
    variance = np.einsum("np,pq,nq->n", rows, model.random_effects_cov_, rows)
    np.testing.assert_allclose(deviation**2, variance + model.noise_variance_)
    if slopes is not None:  # the five columns that matter have the largest effects
        effects = np.abs(model.coef_ * scale)
        assert effects[10:15].min() > np.delete(effects, range(10, 15)).max()
    adapted = model.fit(X[:8], y[:8]).predict(X)
    assert model.random_effects_.shape == (201,)
    np.testing.assert_allclose(
        adapted, zero_shot + rows @ model.random_effects_, atol=1e-8
    )
    again = save_and_load(model, tmp_path / "model")
    np.testing.assert_array_equal(again.predict(X), adapted)
    np.testing.assert_array_equal(again.coef_, model.coef_)
    np.testing.assert_array_equal(again.random_effects_cov_, model.random_effects_cov_)


@unfinished_em
@pytest.mark.parametrize(
    "model",
    [
        MixedEffectsClassifier(**SHORT),
        MixedEffectsClassifier("full", **SHORT),
        PooledClassifier(LogisticRegression(C=0.01), "slopes", random_state=0),
    ],
)
def test_classifying_baselines_of_many_columns(model, tmp_path):
    tasks = [(X, np.where(y > 0, "yes", "no")) for X, y in make(50, 200)]
    model.meta_fit(tasks[:35])
    right = [model.fit(X[:8], y[:8]).score(X[8:], y[8:]) for X, y in tasks[35:]]
    assert np.mean(right) > 0.8
    X = tasks[-1][0]
    again = save_and_load(model, tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


@pytest.mark.filterwarnings("error", "ignore::skmeta.NotMetaFittedWarning")
@pytest.mark.parametrize("n_rows", [1, 2, 20])
@pytest.mark.parametrize("varies", [False, True])
def test_baselines_alone_of_many_columns(n_rows, varies):
    X = np.random.default_rng(0).normal(size=(n_rows, 500)) * varies
    model = MixedEffectsRegressor().fit(X, X[:, 3] + 5)
    np.testing.assert_allclose(model.predict(X), X[:, 3] + 5, atol=0.2)
    assert model.coef_.shape == (500,)
    assert model.random_effects_cov_.shape == (501, 501)
    if n_rows > 1:
        label = np.arange(n_rows) % 2
        probabilities = MixedEffectsClassifier().fit(X, label).predict_proba(X)
        assert np.mean(probabilities[np.arange(n_rows), label]) > 0.5 - 1e-6
