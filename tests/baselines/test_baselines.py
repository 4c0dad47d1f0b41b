"""The rivals as estimators: states, clones, zero-shot, errors."""

import pickle
import re
import warnings
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.special import expit
from sklearn import config_context
from sklearn.base import clone
from sklearn.ensemble import BaggingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_val_score
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmeta.baselines import (
    MixedEffectsClassifier,
    MixedEffectsRegressor,
    PooledClassifier,
    PooledRegressor,
)
from skmeta.exceptions import NotMetaFittedWarning
from skmeta.tasks import TaskCollection


def make_tasks(n_tasks=30, n_rows=12, binary=False, seed=0):
    """Tasks of an intercept and slopes of their own; the last column is constant."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_tasks, n_rows, 3)) * [1.0, 10.0, 0.0] + [0.0, 50.0, 7.0]
    level = 2 * rng.normal(size=(n_tasks, 1))
    slope = 1 + rng.normal(size=(n_tasks, 1))
    y = level + slope * X[:, :, 0] - 0.05 * X[:, :, 1]
    if binary:
        y = np.where(y + 2.5 + rng.logistic(size=y.shape) > 0, "yes", "no")
    else:
        y = y + 0.3 * rng.normal(size=y.shape)
    return TaskCollection(list(zip(X, y, strict=True)))


TASKS, BINARY_TASKS = make_tasks(), make_tasks(binary=True)
REGRESSORS = [
    PooledRegressor(Ridge(), random_state=0),
    PooledRegressor(Ridge(), adapt="intercept", random_state=0),
    PooledRegressor(Ridge(), adapt="slopes", random_state=0),
    PooledRegressor(Ridge(), adapt="gp", random_state=0),
    MixedEffectsRegressor(None),
    MixedEffectsRegressor("diagonal"),
    MixedEffectsRegressor("full"),
]
CLASSIFIERS = [
    PooledClassifier(LogisticRegression(), random_state=0),
    PooledClassifier(LogisticRegression(), adapt="intercept", random_state=0),
    PooledClassifier(LogisticRegression(), adapt="slopes", random_state=0),
    PooledClassifier(LogisticRegression(), adapt="gp", random_state=0),
    MixedEffectsClassifier(None),
    MixedEffectsClassifier("diagonal"),
    MixedEffectsClassifier("full"),
]
every_estimator = pytest.mark.parametrize(
    "estimator", [*REGRESSORS, *CLASSIFIERS], ids=lambda estimator: repr(estimator)
)


def tasks_for(estimator):
    return BINARY_TASKS if estimator in CLASSIFIERS else TASKS


def outputs(estimator, X):
    method = getattr(estimator, "predict_proba", estimator.predict)
    return method(X)


@pytest.mark.filterwarnings("ignore::skmeta.exceptions.NotMetaFittedWarning")
@parametrize_with_checks(
    [
        PooledRegressor(),
        PooledClassifier(),
        MixedEffectsRegressor(),
        MixedEffectsClassifier(),
    ]
)
def test_sklearn_checks(estimator, check):
    check(estimator)


@every_estimator
def test_fit_starts_again_from_what_meta_fit_learned(estimator):
    tasks = tasks_for(estimator)
    model = clone(estimator).meta_fit(tasks[:-2])
    state, learned = model.meta_state_, pickle.dumps(model.meta_state_)
    first, second = tasks[-2:]
    zero_shot = outputs(model, first.X)
    once = outputs(model.fit(first.X[:6], first.y[:6]), first.X)
    other = outputs(model.fit(second.X[:6], second.y[:6]), first.X)
    again = outputs(model.fit(first.X[:6], first.y[:6]), first.X)
    np.testing.assert_array_equal(once, again)
    assert model.meta_state_ is state
    assert pickle.dumps(state) == learned
    if getattr(estimator, "adapt", "mixed") is None:
        np.testing.assert_array_equal(once, zero_shot)
    else:
        assert not np.allclose(once, zero_shot)
        assert not np.allclose(once, other)


@every_estimator
def test_clone_keeps_what_was_learned_and_drops_the_task(estimator):
    tasks = tasks_for(estimator)
    model = clone(estimator).meta_fit(tasks[:-1])
    zero_shot = outputs(model, tasks[-1].X)
    model.fit(tasks[-1].X[:4], tasks[-1].y[:4])
    copy = clone(model)
    assert copy.meta_state_ is model.meta_state_
    assert copy.__sklearn_is_fitted__() is False
    np.testing.assert_array_equal(outputs(copy, tasks[-1].X), zero_shot)
    copy.fit(tasks[-1].X[:4], tasks[-1].y[:4])
    expected = outputs(model, tasks[-1].X)
    np.testing.assert_array_equal(outputs(copy, tasks[-1].X), expected)
    thawed = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(outputs(thawed, tasks[-1].X), expected)


@every_estimator
def test_new_estimator_learns_from_the_rows_alone(estimator):
    task = tasks_for(estimator)[0]
    model = clone(estimator)
    with pytest.raises(NotFittedError, match="is new: call meta_fit, or fit, first"):
        model.predict(task.X)
    with pytest.warns(NotMetaFittedWarning, match=r"these rows only\. Call meta_fit"):
        model.fit(task.X, task.y)
    assert not hasattr(model, "meta_state_")
    assert outputs(model, task.X).shape[0] == 12
    assert np.isfinite(outputs(model, task.X)).all()


@every_estimator
def test_meta_fit_forgets_what_was_there_before(estimator):
    tasks = tasks_for(estimator)
    model = clone(estimator).meta_fit(tasks[:10])
    model.fit(tasks[0].X, tasks[0].y).meta_fit(tasks[10:])
    fresh = clone(estimator).meta_fit(tasks[10:])
    np.testing.assert_allclose(
        outputs(model, tasks[0].X), outputs(fresh, tasks[0].X), rtol=1e-6
    )


@pytest.mark.parametrize("estimator", REGRESSORS[1:], ids=repr)
def test_adapted_regressors_are_better_and_know_how_good(estimator):
    model = clone(estimator).meta_fit(TASKS)
    error, z = [], []
    for task in make_tasks(seed=1):
        mean, std = model.fit(task.X[:8], task.y[:8]).predict(task.X[8:], True)
        error.append(task.y[8:] - mean)
        z.append(error[-1] / std)
    baseline = np.std([t.y for t in TASKS])
    assert np.sqrt(np.mean(np.square(error))) < 0.7 * baseline
    assert 0.7 < np.sqrt(np.mean(np.square(z))) < 1.6


def test_zero_shot_is_the_pooled_estimator():
    for adapt in (None, "intercept", "slopes", "gp"):
        model = PooledRegressor(Ridge(), adapt, random_state=0).meta_fit(TASKS)
        expected = Ridge().fit(TASKS.X, TASKS.y).predict(TASKS[0].X)
        np.testing.assert_allclose(model.predict(TASKS[0].X), expected, rtol=1e-5)


def test_posterior_of_the_regressor_is_brute_force_conditioning():
    model = MixedEffectsRegressor("full").meta_fit(TASKS)
    task = make_tasks(seed=1)[0]
    X = np.column_stack([np.ones(len(task.X)), task.X])
    cov = X @ model.random_effects_cov_ @ X.T
    fixed = model.intercept_ + task.X @ model.coef_
    observed = cov[:5, :5] + model.noise_variance_ * np.eye(5)
    gain = np.linalg.solve(observed, cov[:5, 5:]).T
    mean, std = model.fit(task.X[:5], task.y[:5]).predict(task.X[5:], return_std=True)
    np.testing.assert_allclose(mean, fixed[5:] + gain @ (task.y - fixed)[:5])
    variance = np.diag(cov[5:, 5:] - gain @ cov[:5, 5:]) + model.noise_variance_
    np.testing.assert_allclose(std**2, variance)
    np.testing.assert_allclose(mean, (fixed + X @ model.random_effects_)[5:])


def test_regressor_agrees_with_statsmodels_in_units_of_the_data():
    path = files("statsmodels.regression.tests.results") / "dietox.csv"
    pigs = pd.read_csv(path).dropna(subset=["Weight", "Time", "Pig"])
    weight, time, pig = (pigs[name].to_numpy() for name in ("Weight", "Time", "Pig"))
    X = np.column_stack([np.ones(len(time)), time])
    theirs = sm.MixedLM(weight, X, groups=pig, exog_re=X)
    theirs = theirs.fit(reml=False, method="powell", ftol=1e-13)
    ours = MixedEffectsRegressor("full", ridge=0)
    ours.meta_fit(TaskCollection.from_arrays(time[:, None].astype(float), weight, pig))
    fixed = np.r_[ours.intercept_, ours.coef_]
    np.testing.assert_allclose(fixed, theirs.fe_params, rtol=1e-3)
    np.testing.assert_allclose(ours.random_effects_cov_, theirs.cov_re, rtol=1e-3)
    np.testing.assert_allclose(ours.noise_variance_, theirs.scale, rtol=1e-3)


@pytest.mark.parametrize("model", [MixedEffectsRegressor(), MixedEffectsClassifier()])
def test_only_columns_that_vary_within_tasks_have_slopes(model):
    tasks = BINARY_TASKS if isinstance(model, MixedEffectsClassifier) else TASKS
    model = clone(model).meta_fit(tasks)
    assert (np.diag(model.random_effects_cov_)[:3] > 0).all()
    assert (model.random_effects_cov_[3] == 0).all()
    assert not hasattr(model, "random_effects_")
    model.fit(tasks[0].X, tasks[0].y)
    assert model.random_effects_.shape == (4,)
    assert model.n_iter_ >= 1


def test_classifier_follows_the_probit_approximation():
    model = MixedEffectsClassifier("full").meta_fit(BINARY_TASKS)
    task = BINARY_TASKS[0]
    X = np.column_stack([np.ones(len(task.X)), task.X])
    s2 = np.einsum("np,pq,nq->n", X, model.random_effects_cov_, X)
    logit = (model.intercept_ + task.X @ model.coef_) / np.sqrt(1 + np.pi * s2 / 8)
    np.testing.assert_allclose(model.predict_proba(task.X)[:, 1], expit(logit))
    assert model.classes_.tolist() == ["no", "yes"]


@pytest.mark.parametrize("estimator", CLASSIFIERS[1:], ids=repr)
def test_adapted_classifiers_are_better_and_take_one_class(estimator):
    model = clone(estimator).meta_fit(BINARY_TASKS)
    task = BINARY_TASKS[0]
    zero_shot = model.predict_proba(task.X)[:, 1].mean()
    for label, sign in (("no", -1), ("yes", 1)):
        model.fit(task.X[:5], np.full(5, label))
        assert sign * (model.predict_proba(task.X)[:, 1].mean() - zero_shot) > 0
        assert set(model.predict(task.X)) <= {"no", "yes"}
    adapted, pooled = [], []
    for task in make_tasks(binary=True, seed=1):
        pooled.append(clone(model).predict(task.X[8:]) == task.y[8:])
        model.fit(task.X[:8], task.y[:8])
        adapted.append(model.predict(task.X[8:]) == task.y[8:])
    assert np.mean(adapted) > np.mean(pooled)


def test_pooled_classifier_of_many_classes():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6, 30, 2))
    y = np.digitize(X[:, :, 0], [-0.5, 0.5])
    tasks = TaskCollection(list(zip(X, y, strict=True)))
    model = PooledClassifier(random_state=0).meta_fit(tasks)
    probabilities = model.predict_proba(X[0])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert model.score(X[0], y[0]) > 0.9
    shifted = TaskCollection([(t.X, (t.y + i) % 3) for i, t in enumerate(tasks)])
    model = PooledClassifier(LogisticRegression(), "gp", random_state=0)
    model.meta_fit(shifted)
    assert clone(model).score(X[0], y[0]) < 0.6
    assert model.fit(X[0, :20], y[0, :20]).score(X[0, 20:], y[0, 20:]) > 0.7
    with pytest.raises(ValueError, match=r"'slopes' needs two classes, got 3.*None"):
        PooledClassifier(adapt="slopes").meta_fit(tasks)
    with pytest.raises(ValueError, match=r"multiclass.*\[0, 1, 2\].*PooledClassifier"):
        MixedEffectsClassifier().meta_fit(tasks)


def test_default_estimator_is_tuned_on_validation_tasks():
    model = PooledRegressor(random_state=0)
    model.meta_fit(TASKS[:20], validation_tasks=TASKS[20:])
    chosen = model.pooled_estimator_.regressor_.max_iter
    noise = TaskCollection([(t.X, t.y[::-1]) for t in TASKS[20:]])
    model.meta_fit(TASKS[:20], validation_tasks=noise)
    assert model.pooled_estimator_.regressor_.max_iter < chosen


def test_scikit_learn_tools_keep_what_was_learned():
    model = MixedEffectsRegressor("full").meta_fit(TASKS[:-1])
    task = TASKS[-1]
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotMetaFittedWarning)
        assert cross_val_score(model, task.X, task.y, cv=3).mean() > 0.8
        BaggingRegressor(model, n_estimators=2).fit(task.X, task.y)
        pooled = PooledRegressor(Ridge(), "intercept").meta_fit(TASKS)
        BaggingRegressor(pooled, n_estimators=2).fit(task.X, task.y)


def test_sources_of_tasks():
    class Distribution:
        def sample(self, n_tasks, random_state):
            return list(make_tasks(n_tasks, 4, seed=random_state))

    class OnAccess:
        def __len__(self):
            return len(TASKS)

        def __getitem__(self, i):
            return TASKS[i].X, TASKS[i].y

    expected = MixedEffectsRegressor().meta_fit(TASKS).coef_
    pairs = [(task.X, task.y) for task in TASKS]
    for tasks in (pairs, dict(enumerate(pairs)), OnAccess()):
        coef = MixedEffectsRegressor().meta_fit(tasks).coef_
        np.testing.assert_array_equal(coef, expected)
    model = MixedEffectsRegressor().meta_fit(Distribution())
    np.testing.assert_allclose(model.coef_[:2], [1, -0.05], atol=0.3)


def test_feature_names_come_from_the_tasks():
    frames = {t.name: (pd.DataFrame(t.X, columns=list("abc")), t.y) for t in TASKS}
    model = MixedEffectsRegressor().meta_fit(frames)
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    other = pd.DataFrame(TASKS[0].X, columns=list("abd"))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(other)
    with config_context(assume_finite=True):
        model.predict(frames[0][0])


def test_a_parameter_changed_after_meta_fit_is_named():
    model = PooledRegressor(Ridge(), "gp").meta_fit(TASKS[:5])
    message = "changed after meta_fit: adapt=None (meta_fit had 'gp'). Set them back"
    with pytest.raises(ValueError, match=re.escape(message)):
        model.set_params(adapt=None).fit(TASKS[0].X, TASKS[0].y)
    model.set_params(adapt="gp", random_state=3).fit(TASKS[0].X, TASKS[0].y)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (PooledRegressor(adapt="slope"), r"adapt='slope' is none of.*'gp'"),
        (PooledClassifier(adapt="ridge"), r"adapt='ridge' is none of.*'gp'"),
        (MixedEffectsRegressor("none"), r"random_slopes='none' is none of 'full'"),
    ],
)
def test_unknown_parameters(estimator, message):
    with pytest.raises(ValueError, match=message):
        estimator.meta_fit(TASKS)
    with pytest.raises(ValueError, match=message):
        estimator.fit(TASKS[0].X, TASKS[0].y)


def test_errors_repeat_what_was_passed():
    model = MixedEffectsClassifier().meta_fit(BINARY_TASKS)
    task = BINARY_TASKS[0]
    with pytest.raises(ValueError, match=r"\['maybe'\].*\['no', 'yes'\].*meta_fit"):
        model.fit(task.X, np.full(len(task.X), "maybe"))
    with pytest.raises(ValueError, match="one class"):
        MixedEffectsClassifier().meta_fit([(np.eye(3), ["no"] * 3)])
    with pytest.raises(ValueError, match="expecting 3 features"):
        model.fit(task.X[:, :2], task.y)
    with pytest.raises(TypeError, match="predict_proba"):
        PooledClassifier(LinearSVC()).meta_fit(BINARY_TASKS)
    images = [(np.zeros((4, 2, 2)), np.arange(4.0))] * 3
    with pytest.raises(ValueError, match=r"vectors, got rows of shape \(2, 2\)"):
        MixedEffectsRegressor().meta_fit(images)


@pytest.mark.parametrize("n_rows", [1, 2])
@pytest.mark.filterwarnings("ignore::skmeta.exceptions.NotMetaFittedWarning")
def test_alone_on_very_few_rows(n_rows):
    X, y = np.arange(2.0 * n_rows).reshape(n_rows, 2), np.arange(n_rows) + 5.0
    for model in (MixedEffectsRegressor(), PooledRegressor()):
        mean, std = model.fit(X, y).predict(X, return_std=True)
        assert np.isfinite(mean).all()
        assert np.isfinite(std).all()
        np.testing.assert_allclose(mean.mean(), y.mean())


def test_missing_values_are_refused_with_a_way_out():
    tasks = [([[0.0], [1.0]], [1, 2]), ([[2.0], [np.nan]], [1, 2])]
    words = r"Task 1: X is nan in row 1, column 0, and MixedEffectsRegressor.*Imputer"
    with pytest.raises(ValueError, match=words):
        MixedEffectsRegressor().meta_fit(tasks)
