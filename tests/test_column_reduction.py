"""Very many columns become few that know what the many do."""

import numpy as np
import pytest
from sklearn.base import clone

from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    SelfAttentionMetaRegressor,
    TransformerMetaRegressor,
    load,
    save,
)
from skmeta.baselines import PooledClassifier, PooledRegressor
from skmeta.column_reduction import (
    MAX_COLUMNS,
    N_COMPONENTS,
    N_KEPT,
    ReducedScaler,
    association,
    fit_features,
)
from skmeta.scaling import FeatureScaler

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
