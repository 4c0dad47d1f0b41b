"""Rows adapted to that miss a value count for what they still say."""

import pickle
from itertools import combinations

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor

from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    SelfAttentionMetaRegressor,
    TransformerMetaClassifier,
    TransformerMetaRegressor,
    load,
    save,
)
from skmeta._networks.learners.wrapper import unwrap
from skmeta._preprocessing.row_uncertainty import N_LEVELS
from skmeta.exceptions import NotMetaFittedWarning

pytestmark = pytest.mark.usefixtures("quick_training")

SLOPE, NOISE = 5.0, 0.1


def make_tasks(slope_of):
    """Seventy tasks whose targets depend on the first of two columns alone."""
    rng = np.random.default_rng(0)
    tasks = []
    for _ in range(70):
        X = rng.normal(size=(20, 2))
        y = slope_of(rng) * X[:, 0] + rng.normal() + NOISE * rng.normal(size=20)
        tasks.append((X, y))
    return tasks


TASKS = make_tasks(lambda rng: SLOPE)
OPPOSED = make_tasks(lambda rng: rng.choice([-SLOPE, SLOPE]))
"""On average over tasks the targets depend on nothing."""

MODELS = {
    "default": AttentionMetaRegressor(),
    "gp": AttentionMetaRegressor("gp", None),
    "mlp": AttentionMetaRegressor("mlp", None),
    "forest": AttentionMetaRegressor(RandomForestRegressor(5, random_state=0), None),
    "self-attention": SelfAttentionMetaRegressor(pooled_estimator=None),
    "transformer": TransformerMetaRegressor(),
    "transformer-none": TransformerMetaRegressor(pooled_estimator=None),
}


@pytest.fixture(scope="module")
def fitted():
    """A clone of one of `MODELS`, trained a little on `TASKS`."""
    made = {}

    def get(name):
        if name not in made:
            model = clone(MODELS[name]).set_params(
                max_epochs=2, steps_per_epoch=5, random_state=0
            )
            made[name] = model.meta_fit(TASKS[:40])
        return clone(made[name])

    return get


def with_holes(X, n, column=0):
    X = X.copy()
    X[:n, column] = np.nan
    return X


def errors(model, tasks, n_holes):
    """Root mean square of errors, and of those in standard deviations.

    Of tasks with holes in so many of ten rows.
    """
    episodes = [(with_holes(X[:10], n_holes), y[:10], X[10:]) for X, y in tasks]
    predicted = model.predict_episodes(episodes, return_std=True)
    mean, std = np.array(predicted).swapaxes(0, 1)
    error = np.array([y[10:] for _, y in tasks]) - mean
    return tuple(np.sqrt(np.mean(np.square(e))) for e in (error, error / std))


@pytest.mark.parametrize("n_holes", [1, 2, 5])
@pytest.mark.parametrize("name", MODELS)
def test_predictions_are_as_right_and_as_sure(name, n_holes, fitted):
    error, z = errors(fitted(name), TASKS[40:], n_holes)
    assert z < 1.5
    assert error < (3 if name == "mlp" else 2 * NOISE)


@pytest.mark.parametrize("n_holes", [1, 5])
def test_where_tasks_are_opposed(n_holes, tiny):
    """What matters within a task may be nothing on average over tasks."""
    model = AttentionMetaRegressor(pooled_estimator=None, **tiny)
    model.meta_fit(OPPOSED[:40])
    error, z = errors(model, OPPOSED[40:], n_holes)
    assert z < 1.5
    assert error < 2 * NOISE


# What a row counts


@pytest.mark.parametrize("tasks", [TASKS, OPPOSED])
def test_weight_is_the_share_of_the_noise(tasks, tiny):
    """As of data whose noise and slope are known."""
    model = AttentionMetaRegressor("linear", None, **tiny).meta_fit(tasks[:40])
    state = model.meta_state_
    rows = np.array([[np.nan, 0.3], [np.nan, -2.0], [0.3, np.nan], [0.3, 0.3]])
    variance = SLOPE**2 * state.seen.levels[:, 0].var()
    expected = NOISE**2 / (NOISE**2 + variance)
    certain = state.certainty(rows)
    np.testing.assert_allclose(certain[:2], expected, rtol=0.3)
    assert certain[2] > 0.3  # the other column is next to nothing
    assert certain[3] == 1


def prior_of(state, y):
    """The base learner of a state, and its adaptation to no rows and targets ``y``."""
    none = state.rows(np.empty((0, 2))), state.encoded(y)
    return unwrap(state.network.learner, state.network.adapt(*none))


def test_weight_by_hand(fitted):
    state = fitted("gp").meta_state_
    X = np.array([[np.nan, 0.3], [0.3, np.nan], [np.nan, np.nan], [0.3, 0.3]])
    core, adapted = prior_of(state, np.empty(0))
    theta, expected = adapted.theta, []
    for row in X:
        levels = np.where(np.isnan(row), state.seen.levels, row)
        design = core.prior.design(state.rows(levels), adapted.encoding, theta)
        K = core.prior.kernel(design, design, theta)[0].numpy()
        variance = design.mean[0, :, 0].numpy().var() + K.diagonal().mean() - K.mean()
        noise = theta.noise.exp().item()
        expected.append(noise / (noise + variance))
    np.testing.assert_allclose(state.certainty(X), expected, rtol=1e-6)


def test_a_feature_that_plays_no_part(fitted):
    row = [[0.3, np.nan]]
    for name in ("default", "mlp", "transformer"):
        assert fitted(name).meta_state_.certainty(np.array(row)) > 0.9


def test_each_row_counts_by_itself(fitted):
    state = fitted("transformer").meta_state_
    X = np.random.default_rng(0).normal(size=(80, 2))
    X[::2, 0] = X[::3, 1] = np.nan
    one_by_one = [state.certainty(row[None])[0] for row in X]
    np.testing.assert_allclose(state.certainty(X), one_by_one, rtol=1e-9)


def test_a_row_counts_its_own_weight_times_that(fitted):
    X, y = TASKS[40]
    model, holey = fitted("gp"), with_holes(X[:10], 2)
    weight = np.linspace(0.5, 2, 10)
    certain = model.meta_state_.certainty(holey)
    filled = np.where(np.isnan(holey), model.meta_state_.missing.fill, holey)
    expected = clone(model).fit(filled, y[:10], weight * certain)
    model.fit(holey, y[:10], weight)
    for a, b in zip(
        model.predict(X[10:], return_std=True),
        expected.predict(X[10:], return_std=True),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-9)
    parts = clone(model).fit(holey[:4], y[:4], weight[:4])
    parts.partial_fit(holey[4:], y[4:10], weight[4:])
    np.testing.assert_array_equal(parts.predict(X), model.predict(X))


def test_outliers_are_missing_values(tiny):
    tasks = [(X.copy(), y) for X, y in TASKS[:40]]
    for X, _ in tasks[::4]:
        X[0, 1] = -9999.0
    model = AttentionMetaRegressor("gp", None, **tiny)
    with pytest.warns(UserWarning, match="out of all proportion"):
        model.meta_fit(tasks)
    certain = model.meta_state_.certainty(np.array([[1e9, 0.0], [np.nan, 0.0]]))
    assert certain[0] == 1  # nothing of this column is wild
    assert certain[1] < 0.1
    wild, missing = model.meta_state_.certainty(np.array([[0, -9999.0], [0, np.nan]]))
    assert wild == missing == 1  # this one was missing in meta-training


def test_missing_in_meta_training_already(tiny):
    rng = np.random.default_rng(0)
    tasks = [(np.where(rng.random(X.shape) < [0.2, 0], np.nan, X), y) for X, y in TASKS]
    state = AttentionMetaRegressor("gp", None, **tiny).meta_fit(tasks[:40]).meta_state_
    rows = np.array([[np.nan, 0.0], [np.nan, np.nan], [0.0, np.nan]])
    certain = state.certainty(rows)
    assert certain[0] == 1
    assert (certain[1:] < 1).all()


def test_alone_nothing_changes():
    X, y = TASKS[0]
    with pytest.warns(NotMetaFittedWarning):
        model = AttentionMetaRegressor().fit(with_holes(X, 3), y)
    assert model._state.certainty(with_holes(X, 3)).tolist() == [1] * len(X)


# Everywhere the same


@pytest.mark.parametrize("name", MODELS)
def test_many_tasks_at_once(name, fitted):
    model = fitted(name)
    episodes = [
        (with_holes(X[:k], n), y[:k], X[10:])
        for (X, y), n, k in zip(TASKS[40:44], [0, 1, 5, 0], [10, 10, 7, 0], strict=True)
    ]
    for (X, y, query), found in zip(
        episodes, model.predict_episodes(episodes, return_std=True), strict=True
    ):
        one = clone(model)
        if len(X):
            one.fit(X, y)
        expected = one.predict(query, return_std=True)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["default", "forest", "transformer"])
def test_pickles_and_files_predict_the_same(name, fitted, tmp_path):
    X, y = TASKS[40]
    model = fitted(name).fit(with_holes(X[:10], 3), y[:10])
    expected = model.predict(X, return_std=True)
    again = [pickle.loads(pickle.dumps(model))]
    if name != "forest":
        save(model, tmp_path / "model")
        again.append(load(tmp_path / "model"))
    for copy in again:
        np.testing.assert_array_equal(copy.predict(X, return_std=True), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["default", "mlp", "transformer"])
def test_on_a_gpu(name, fitted):
    X, y = TASKS[40]
    holey = with_holes(X[:10], 3)
    on = [
        fitted(name).set_params(device=device).fit(holey, y[:10])
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(
        *(one.predict(X, return_std=True) for one in on), rtol=1e-5, atol=1e-5
    )


# Classes


@pytest.fixture(scope="module", params=[2, 3])
def class_tasks(request):
    """Tasks whose classes the first of two columns says, from a shift of each."""
    rng = np.random.default_rng(0)
    ends = {2: [0.0], 3: [-1.0, 1.0]}[request.param]
    tasks = []
    for _ in range(60):
        X = rng.normal(size=(30, 2))
        latent = 2 * X[:, 0] + rng.normal() + 0.2 * rng.normal(size=30)
        tasks.append((X, np.digitize(latent, ends)))
    return tasks


@pytest.mark.parametrize("cls", [AttentionMetaClassifier, TransformerMetaClassifier])
def test_classes_are_less_sure_than_with_values_filled_in(cls, class_tasks, tiny):
    """Where all rows miss a value; where others do not, these count for more."""
    model = cls(pooled_estimator=None, **tiny).meta_fit(class_tasks[:40])
    certain = model.meta_state_.certainty(np.array([[np.nan, 0.0], [0.0, np.nan]]))
    assert certain[0] < 0.4
    assert certain[1] > 0.9
    fill = model.meta_state_.missing.fill
    labels = np.array([y[12:] for _, y in class_tasks[40:]])

    def predicted(n_rows):
        holey = [
            (with_holes(X[:n_rows], 6), y[:n_rows], X[12:]) for X, y in class_tasks[40:]
        ]
        filled = [(np.where(np.isnan(X), fill, X), *rest) for X, *rest in holey]
        found = [
            np.array(model.predict_episodes(some, return_proba=True))
            for some in (holey, filled)
        ]
        X, y, query = holey[0]
        one = model.fit(X, y).predict_proba(query)
        np.testing.assert_allclose(one, found[0][0], atol=1e-5)
        return found

    of_holey, of_filled = predicted(6)
    assert of_holey.max(2).mean() < of_filled.max(2).mean() - 0.01
    loss, loss_of_filled = (
        -np.log(np.take_along_axis(p, labels[..., None], 2)).mean()
        for p in predicted(12)
    )
    if labels.max() == 2:  # of three classes
        assert loss < loss_of_filled - 0.01
    else:
        of_holey, of_filled = predicted(12)
        assert of_holey.max(2).mean() < of_filled.max(2).mean() - 0.005


@pytest.mark.parametrize("base_learner", ["gp", "mlp"])
def test_weight_of_classes_by_hand(base_learner, class_tasks, tiny):
    model = AttentionMetaClassifier(base_learner, None, **tiny)
    state = model.meta_fit(class_tasks[:40]).meta_state_
    levels = np.column_stack([state.seen.levels[:, 0], np.full(N_LEVELS, 0.3)])
    log_p = np.log(model.predict_proba(levels))
    pairs = list(combinations(range(log_p.shape[1]), 2))
    of_difference = np.mean([(log_p[:, i] - log_p[:, j]).var() for i, j in pairs])
    if base_learner == "gp":
        core, adapted = prior_of(state, np.empty(0, int))
        K = core.prior_covariance(adapted, state.rows(levels))[0].numpy()
        of_difference += 2 * (K.diagonal().mean() - K.mean())
    expected = 1 / (1 + np.pi / 8 * of_difference)
    found = state.certainty(np.array([[np.nan, 0.3]]))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_classes_of_a_task_s_own(class_tasks, tiny):
    model = AttentionMetaClassifier(shared_classes=False, **tiny)
    model.meta_fit(class_tasks[:40])
    X, y = class_tasks[40]
    holey = with_holes(X, 6)
    assert model.meta_state_.certainty(holey).tolist() == [1] * len(X)
    model.fit(holey, y)
    assert model._state.certainty(holey).tolist() == [1] * len(X)


def test_one_class(tiny):
    tasks = [(X, np.zeros(len(X), int)) for X, _ in TASKS[:12]]
    model = AttentionMetaClassifier(shared_classes=True, **tiny)
    with pytest.warns(UserWarning, match="class"):
        model.meta_fit(tasks)
    X, y = tasks[0]
    model.fit(with_holes(X, 3), y)
    np.testing.assert_array_equal(model.predict_proba(X), 1)
