"""What must not change a prediction, and what must."""

import copy

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from skmeta import AttentionMetaRegressor, NotMetaFittedWarning
from skmeta._estimators import prediction as prediction_module
from skmeta._networks.learners import gp_regression
from skmeta.datasets import make_linear_tasks

pytestmark = pytest.mark.usefixtures("quick_training")

ALL = [
    "regressor", "regressor-auto", "regressor-none", "regressor-linear",
    "regressor-mlp", "binary", "binary-auto", "three", "three-mlp",
    "regressor-related", "regressor-mlp-related", "binary-related", "three-related",
    "regressor-transformer", "binary-transformer",
]  # fmt: skip

every = pytest.mark.parametrize("name", ALL)


def assert_close(a, b, atol=1e-6):
    np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@pytest.fixture
def case(name, meta_fitted):
    """A meta-fitted estimator, a support, query rows, and all that it predicts."""
    return meta_fitted(name), *meta_fitted.task(name, n_support=8), meta_fitted.predict


# Rows of the query


@every
def test_prediction_of_a_row_does_not_depend_on_its_neighbours(case):
    estimator, X, y, X_query, predict = case
    for state in (estimator, estimator.fit(X, y)):
        together = predict(state, X_query)
        alone = np.hstack([predict(state, X_query[i : i + 1]) for i in range(7)])
        assert_close(together[:, :7], alone)
        order = np.random.default_rng(0).permutation(len(X_query))
        assert_close(predict(state, X_query[order]), together[:, order])
        among_far_ones = predict(state, np.vstack([X_query, 1e6 * X_query]))
        assert_close(among_far_ones[:, : len(X_query)], together)


@every
def test_rows_that_are_too_many_at_once(case, monkeypatch):
    estimator, X, y, X_query, predict = case
    estimator.fit(X, y)
    whole = [
        predict(estimator, X_query),
        estimator.transform(X_query),
        estimator.support_attention(X_query),
    ]
    monkeypatch.setattr(prediction_module, "QUERIES_AT_ONCE", 3)
    parts = [
        predict(estimator, X_query),
        estimator.transform(X_query),
        estimator.support_attention(X_query),
    ]
    for a, b in zip(whole, parts, strict=True):
        assert_close(a, b)


# Rows of the support


@every
def test_order_of_the_support_plays_no_part(case):
    estimator, X, y, X_query, predict = case
    before = predict(estimator.fit(X, y), X_query)
    attention = estimator.support_attention(X_query)
    features = estimator.feature_attention_
    order = np.random.default_rng(0).permutation(len(y))
    assert_close(predict(estimator.fit(X[order], y[order]), X_query), before)
    assert_close(estimator.support_attention(X_query), attention[:, order])
    assert_close(estimator.feature_attention_, features)


@every
def test_which_target_belongs_to_which_row_plays_a_part(case):
    estimator, X, y, X_query, predict = case
    before = predict(estimator.fit(X, y), X_query)
    order = np.argsort(y, kind="stable")
    reversed_targets = np.empty_like(y)
    reversed_targets[order] = y[order[::-1]]
    after = predict(estimator.fit(X, reversed_targets), X_query)
    assert np.abs(after - before).max() > 0.01


@every
def test_sample_weight_is_a_number_of_rows(case):
    estimator, X, y, X_query, predict = case
    weight = np.array([2, 1, 0, 3, 1, 0, 1, 2])
    weighted = predict(estimator.fit(X, y, sample_weight=weight), X_query)
    repeated = predict(estimator.fit(X.repeat(weight, 0), y.repeat(weight)), X_query)
    assert_close(weighted, repeated)
    assert np.abs(weighted - predict(estimator.fit(X, y), X_query)).max() > 1e-4


@every
def test_sample_weight_of_zero_is_absence(case):
    estimator, X, y, X_query, predict = case
    weight = np.array([1, 0, 1, 1, 0, 1, 1, 0])
    kept = weight > 0
    absent = predict(estimator.fit(X[kept], y[kept]), X_query)
    X = np.where(kept[:, None], X, 1e5)
    zero = predict(estimator.fit(X, y, sample_weight=weight), X_query)
    assert_close(zero, absent)
    assert estimator.support_attention(X_query).shape[1] == kept.sum()


@every
def test_sample_weights_of_one_are_none(case):
    estimator, X, y, X_query, predict = case
    before = predict(estimator.fit(X, y), X_query)
    after = predict(estimator.fit(X, y, sample_weight=np.ones(8)), X_query)
    assert after.tobytes() == before.tobytes()


# Without meta-training


@pytest.fixture(params=["regressor", "binary"])
def alone(request, meta_fitted):
    """``alone(base_learner, X, y)`` fits to these rows and predicts for others."""
    X, y, X_query = meta_fitted.task(request.param, n_support=10)
    cls = type(meta_fitted.original(request.param))

    def fit_and_predict(base_learner, X, y, **fit_params):
        estimator = cls(base_learner, random_state=0)
        with pytest.warns(NotMetaFittedWarning):
            estimator.fit(X, y, **fit_params)
        return meta_fitted.predict(estimator, X_query)

    return fit_and_predict, X, y


every_base_learner = pytest.mark.parametrize("base_learner", ["gp", "linear", "mlp"])


@every_base_learner
def test_order_of_rows_alone_plays_no_part(base_learner, alone):
    fit_and_predict, X, y = alone
    before = fit_and_predict(base_learner, X, y)
    order = np.random.default_rng(0).permutation(len(y))
    assert_close(fit_and_predict(base_learner, X[order], y[order]), before, 1e-9)
    assert np.ptp(before[0]) > 0.1  # something is predicted
    reversed_targets = fit_and_predict(base_learner, X, y[::-1])
    assert np.abs(reversed_targets - before).max() > 0.01


@every_base_learner
def test_sample_weight_alone_is_a_number_of_rows(base_learner, alone):
    fit_and_predict, X, y = alone
    weight = np.array([2, 1, 0, 3, 1, 0, 1, 2, 1, 0])
    repeated = fit_and_predict(base_learner, X.repeat(weight, 0), y.repeat(weight))
    far = np.where(weight[:, None] > 0, X, 1e5)
    weighted = fit_and_predict(base_learner, far, y, sample_weight=weight)
    assert_close(weighted, repeated, 1e-9)
    assert np.ptp(weighted[0]) > 0.1
    once = fit_and_predict(base_learner, X[weight > 0], y[weight > 0])
    assert np.abs(weighted - once).max() > 0.01


# Many tasks at once


def as_columns(prediction):
    """An episode's prediction in the form of `MetaFitted.predict`."""
    return np.stack(prediction) if isinstance(prediction, tuple) else prediction.T


def predict_episodes(estimator, episodes):
    kind = "return_proba" if hasattr(estimator, "predict_proba") else "return_std"
    found = estimator.predict_episodes(episodes, **{kind: True})
    return [as_columns(prediction) for prediction in found]


@pytest.fixture
def episodes(name, meta_fitted):
    """Episodes of every size, some without a support."""
    episodes = []
    for i, n_support in enumerate((5, 0, 1, 9, 0, 3)):
        X, y, X_query = meta_fitted.task(name, i % 3, n_support)
        episodes.append((X, y, X_query[: 2 + i]))
    episodes.append(([], [], X_query[:1]))
    return episodes


@every
def test_episodes_are_the_loop_of_fit_and_predict(name, meta_fitted, episodes):
    estimator = meta_fitted(name)
    found = predict_episodes(estimator, episodes)
    assert len(found) == len(episodes)
    for (X, y, X_query), prediction in zip(episodes, found, strict=True):
        adapted = meta_fitted(name)
        if len(X):
            adapted.fit(X, y)
        assert_close(prediction, meta_fitted.predict(adapted, X_query), 1e-5)
        if name.startswith("regressor"):
            continue
        labels = estimator.predict_episodes([(X, y, X_query)])[0]
        np.testing.assert_array_equal(labels, adapted.predict(X_query))


@every
def test_episodes_that_are_too_many_at_once(name, meta_fitted, episodes, monkeypatch):
    estimator = meta_fitted(name)
    whole = predict_episodes(estimator, episodes)
    monkeypatch.setattr(prediction_module, "EPISODES_AT_ONCE", 2)
    parts = predict_episodes(estimator, iter(episodes))
    for a, b in zip(whole, parts, strict=True):
        assert_close(a, b, 1e-5)


@every
def test_episodes_do_not_touch_the_adaptation(name, meta_fitted, episodes):
    estimator = meta_fitted(name)
    before_fit = predict_episodes(estimator, episodes)
    X, y, X_query = meta_fitted.task(name)
    before = meta_fitted.predict(estimator.fit(X, y), X_query)
    after_fit = predict_episodes(estimator, episodes)
    for a, b in zip(before_fit, after_fit, strict=True):
        assert a.tobytes() == b.tobytes()
    assert meta_fitted.predict(estimator, X_query).tobytes() == before.tobytes()
    assert estimator.predict_episodes([]) == []


def test_small_episodes_beside_a_large_one(meta_fitted, monkeypatch):
    """The rows that train hyperparameters are chosen in each task by itself."""
    monkeypatch.setattr(gp_regression, "MAX_TRAINING_ROWS", 6)
    estimator = copy.deepcopy(meta_fitted("regressor"))
    estimator.meta_state_.network.learner.set_adaptation(1.0)
    episodes = [meta_fitted.task("regressor", i, n) for i, n in enumerate((12, 3, 2))]
    found = predict_episodes(estimator, episodes)
    for (X, y, X_query), prediction in zip(episodes, found, strict=True):
        expected = meta_fitted.predict(estimator.fit(X, y), X_query)
        assert_close(prediction, expected, 1e-5)


# Units


def test_units_of_the_targets_play_no_part(tiny, meta_fitted):
    """Other units and another zero give the same predictions in those."""
    tasks = meta_fitted.tasks("regressor")
    parameters = {"pooled_estimator": None, "task_attention": False, **tiny}
    one = AttentionMetaRegressor("linear", **parameters).meta_fit(tasks)
    other = AttentionMetaRegressor("linear", **parameters).meta_fit(
        [(task.X, 1000 * task.y - 3000) for task in tasks]
    )
    X, y, X_query = meta_fitted.task("regressor")
    for state in (lambda e, y: e, lambda e, y: e.fit(X, y)):
        a = meta_fitted.predict(state(one, y), X_query)
        b = meta_fitted.predict(state(other, 1000 * y - 3000), X_query)
        assert_close((b[0] + 3000) / 1000, a[0], 1e-5)
        assert_close(b[1] / 1000, a[1], 1e-5)


def test_units_of_the_features_play_no_part(tiny, meta_fitted):
    tasks = meta_fitted.tasks("regressor")
    parameters = {"pooled_estimator": None, "task_attention": False, **tiny}
    unit, zero = np.array([1e3, 1e-3, 5]), np.array([3, 0, -70])
    one = AttentionMetaRegressor("linear", **parameters).meta_fit(tasks)
    other = AttentionMetaRegressor("linear", **parameters).meta_fit(
        [(unit * task.X + zero, task.y) for task in tasks]
    )
    X, y, X_query = meta_fitted.task("regressor")
    a = meta_fitted.predict(one.fit(X, y), X_query)
    b = meta_fitted.predict(other.fit(unit * X + zero, y), unit * X_query + zero)
    assert_close(a, b, 1e-5)


# What the caller gives


@every
def test_arrays_of_the_caller_stay_as_they_are(case):
    estimator, X, y, X_query, predict = case
    given = [np.array(a) for a in (X, y, np.ones(8), X_query)]
    before = [a.tobytes() for a in given]
    for a in given:
        a.flags.writeable = False
    X, y, weight, X_query = given
    estimator.fit(X, y, sample_weight=weight).partial_fit(X, y)
    first = predict(estimator, X_query)
    estimator.transform(X_query)
    estimator.support_attention(X_query)
    estimator.predict_episodes([(X, y, X_query)])
    assert [a.tobytes() for a in given] == before
    for a in (X, y):  # nor does the estimator keep references to them
        a.flags.writeable = True
        a[:] = a[::-1].copy()
    assert predict(estimator, X_query).tobytes() == first.tobytes()


def test_tasks_of_the_caller_stay_as_they_are(tiny):
    tasks = make_linear_tasks(n_tasks=6, n_rows=8, n_features=2, random_state=0)
    pairs = [(np.array(task.X), np.array(task.y)) for task in tasks]
    before = [(X.tobytes(), y.tobytes()) for X, y in pairs]
    for X, y in pairs:
        X.flags.writeable = y.flags.writeable = False
    AttentionMetaRegressor("linear", Ridge(), **tiny).meta_fit(pairs)
    assert [(X.tobytes(), y.tobytes()) for X, y in pairs] == before


@every
def test_predictions_of_the_caller_are_its_own(case):
    estimator, X, y, X_query, predict = case
    estimator.fit(X, y)
    first = predict(estimator, X_query)
    for array in (
        estimator.predict(X_query),
        estimator.transform(X_query),
        estimator.support_attention(X_query),
    ):
        array[:] = array.ravel()[0]
    assert predict(estimator, X_query).tobytes() == first.tobytes()


@every
def test_rows_in_single_precision(case):
    estimator, X, y, X_query, predict = case
    wide = predict(estimator.fit(X, y), X_query)
    narrow = estimator.fit(X.astype(np.float32), y)
    assert_close(predict(narrow, X_query.astype(np.float32)), wide, 1e-4)


@every
def test_rows_of_other_forms(case):
    estimator, X, y, X_query, predict = case
    before = predict(estimator.fit(X, y), X_query)
    lists = estimator.fit(X.tolist(), y.tolist())
    assert predict(lists, X_query.tolist()).tobytes() == before.tobytes()
    fortran = estimator.fit(np.asfortranarray(X), y)
    assert_close(predict(fortran, np.asfortranarray(X_query)), before)
    strided = estimator.fit(np.repeat(X, 2, 0)[::2], np.repeat(y, 2)[::2])
    assert_close(predict(strided, np.repeat(X_query, 2, 0)[::2]), before)


# Attributes of an adaptation


@every
def test_support_attention(case):
    estimator, X, y, X_query, _ = case
    attention = estimator.fit(X, y).support_attention(X_query)
    assert attention.shape == (len(X_query), len(X))
    assert_close(attention.sum(1), np.ones(len(X_query)), 1e-12)
    assert (attention >= 0).all()
    assert np.abs(attention - attention[0]).max() > 1e-3  # rows differ


@pytest.mark.parametrize("name", ["regressor-none", "regressor-linear"])
def test_support_row_next_to_the_query_is_attended_to(name, meta_fitted):
    """Far from all others, a row decides about itself."""
    estimator = meta_fitted(name)
    X, y, _ = meta_fitted.task(name, n_support=8)
    X = np.array(X)
    X[3] = 6.0
    attention = estimator.fit(X, y).support_attention(X[3:4])
    assert attention[0].argmax() == 3


@every
def test_transform(case):
    estimator, X, y, X_query, _ = case
    for state in (estimator, estimator.fit(X, y)):
        features = state.transform(X_query)
        assert features.shape[0] == len(X_query)
        assert features.ndim == 2
        assert np.isfinite(features).all()
        assert features.shape[1] == state.transform(X).shape[1]
        assert (features.std(0) > 0).any()


@pytest.mark.parametrize("name", ["regressor-linear"])
def test_transform_gives_the_features_of_the_kernel(name, meta_fitted):
    """Ridge regression on the features is the linear process itself."""
    estimator = meta_fitted(name).set_params(device="cpu")
    X, y, X_query = meta_fitted.task(name)
    estimator.fit(X, y)
    task = estimator._adapted_task()
    state, adapted = task.state, task.adaptation
    noise = float(adapted.theta.noise.exp())
    prior = [
        state.targets.scale * learned + state.targets.mean
        for learned in (
            adapted.design.mean[0, :, 0].numpy(),
            state.network.learner.prior.design(
                state.rows(X_query), adapted.encoding, adapted.theta
            )
            .mean[0, :, 0]
            .numpy(),
        )
    ]
    ridge = Ridge(alpha=noise, fit_intercept=False, solver="cholesky")
    weight = adapted.weight[0].numpy()  # of a wild target less than one row
    ridge.fit(estimator.transform(X), y - prior[0], sample_weight=weight)
    expected = prior[1] + ridge.predict(estimator.transform(X_query))
    assert_close(estimator.predict(X_query), expected, 1e-3 * y.std())
