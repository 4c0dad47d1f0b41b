"""Scikit-learn's tools over the few-shot `fit` of a meta-fitted estimator.

They keep what was meta-learned, and share it.
"""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    cross_val_predict,
    cross_val_score,
)
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.utils.estimator_checks import (
    check_get_params_invariance,
    check_parameters_default_constructible,
    check_set_params,
)

from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    SelfAttentionMetaRegressor,
)
from skmeta.datasets import make_classification_tasks

pytestmark = pytest.mark.usefixtures("quick_training")

NAMES = ["regressor", "binary", "regressor-related", "binary-transformer"]


@pytest.fixture(autouse=True)
def no_warning_that_it_was_not_meta_fitted():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def whole_task(name, meta_fitted):
    task = meta_fitted._tasks(name)[-1]
    return task.X, task.y


def shares_state(estimators, name, meta_fitted):
    state = meta_fitted.original(name).meta_state_
    return all(one.meta_state_ is state for one in estimators)


@pytest.mark.parametrize("name", NAMES)
def test_cross_validation(name, meta_fitted):
    X, y = whole_task(name, meta_fitted)
    assert np.isfinite(cross_val_score(meta_fitted(name), X, y, cv=3)).all()
    predicted = cross_val_predict(meta_fitted(name), X, y, cv=3)
    rows = np.arange(len(X)) % 3 == 0  # any split: each row predicted without itself
    assert predicted.shape == y.shape
    model = meta_fitted(name).fit(X[~rows], y[~rows])
    assert model.predict(X[rows]).dtype == predicted.dtype


@pytest.mark.parametrize("search", [GridSearchCV, HalvingGridSearchCV])
def test_searches(search, meta_fitted):
    X, y = whole_task("regressor", meta_fitted)
    settings = {"min_resources": 8} if search is HalvingGridSearchCV else {}
    found = search(
        meta_fitted("regressor"), {"base_learner": ["auto"]}, cv=2, **settings
    ).fit(X, y)
    assert shares_state([found.best_estimator_], "regressor", meta_fitted)


def test_search_over_the_parameters_of_a_base_learner(tiny, meta_fitted):
    forest = RandomForestRegressor(3, random_state=0)
    learner = SelfAttentionMetaRegressor(forest, None, **tiny | {"max_epochs": 0})
    learner.meta_fit(meta_fitted.tasks("regressor"))
    X, y = whole_task("regressor", meta_fitted)
    search = GridSearchCV(learner, {"base_learner__max_depth": [1, 3]}, cv=2).fit(X, y)
    assert search.best_estimator_.meta_state_ is learner.meta_state_
    depth = search.best_params_["base_learner__max_depth"]
    assert search.best_estimator_.base_learner_.max_depth == depth


@pytest.mark.parametrize(
    "ensemble",
    [
        lambda one: BaggingRegressor(one, 3, random_state=0),
        lambda one: StackingRegressor([("meta", one), ("ridge", Ridge())], cv=3),
        lambda one: VotingRegressor([("meta", one), ("ridge", Ridge())]),
    ],
    ids=["bagging", "stacking", "voting"],
)
def test_ensembles_of_regressors(ensemble, meta_fitted):
    X, y = whole_task("regressor", meta_fitted)
    fitted = ensemble(meta_fitted("regressor")).fit(X, y)
    members = [one for one in fitted.estimators_ if hasattr(one, "meta_state_")]
    assert members
    assert shares_state(members, "regressor", meta_fitted)
    assert np.isfinite(fitted.predict(X)).all()


@pytest.mark.parametrize(
    "ensemble",
    [
        lambda one: BaggingClassifier(one, 3, random_state=0),
        lambda one: StackingClassifier(
            [("meta", one), ("logistic", LogisticRegression())], cv=2
        ),
        lambda one: VotingClassifier(
            [("meta", one), ("logistic", LogisticRegression())], voting="soft"
        ),
        lambda one: CalibratedClassifierCV(one, cv=2),
    ],
    ids=["bagging", "stacking", "voting", "calibrated"],
)
def test_ensembles_of_classifiers(ensemble, meta_fitted):
    X, y = whole_task("binary", meta_fitted)
    fitted = ensemble(meta_fitted("binary")).fit(X, y)
    if isinstance(fitted, CalibratedClassifierCV):
        members = [one.estimator for one in fitted.calibrated_classifiers_]
    else:
        members = [one for one in fitted.estimators_ if hasattr(one, "meta_state_")]
    assert members
    assert shares_state(members, "binary", meta_fitted)
    np.testing.assert_allclose(fitted.predict_proba(X).sum(1), 1)


def test_classes_that_an_ensemble_numbered_are_explained(tiny):
    tasks = make_classification_tasks(12, 12, n_features=2, random_state=0)
    tasks = [(task.X, np.array(["no", "yes"])[task.y]) for task in tasks]
    model = AttentionMetaClassifier("linear", None, **tiny).meta_fit(tasks)
    X, y = tasks[0]
    with pytest.raises(ValueError, match="stacking and bagging number the classes"):
        VotingClassifier([("meta", model)]).fit(X, y)
    with pytest.raises(
        ValueError, match=r"\['maybe'\] .* with shared_classes=False\.$"
    ):
        model.fit(X, np.full(len(y), "maybe"))


def test_many_outputs(meta_fitted):
    X, y = whole_task("regressor", meta_fitted)
    both = MultiOutputRegressor(meta_fitted("regressor")).fit(X, np.c_[y, -y])
    assert shares_state(both.estimators_, "regressor", meta_fitted)
    one = meta_fitted("regressor").fit(X, y)
    np.testing.assert_array_equal(both.predict(X)[:, 0], one.predict(X))


def test_transformer_in_a_pipeline(meta_fitted):
    X, y = whole_task("regressor", meta_fitted)
    pipeline = make_pipeline(meta_fitted("regressor"), Ridge()).fit(X, y)
    features = meta_fitted("regressor").fit(X, y).transform(X)
    expected = Ridge().fit(features, y).predict(features)
    np.testing.assert_allclose(pipeline.predict(X), expected)
    union = FeatureUnion([("a", meta_fitted("regressor")), ("b", "passthrough")])
    columns = union.fit_transform(X, y)
    assert columns.shape == (len(X), features.shape[1] + X.shape[1])
    assert len(union.get_feature_names_out()) == columns.shape[1]


@pytest.mark.parametrize("name", NAMES)
def test_clones_share_what_was_meta_learned(name, meta_fitted):
    original = meta_fitted.original(name)
    one = len(pickle.dumps(original))
    hundred = len(pickle.dumps([clone(original) for _ in range(100)]))
    assert hundred - one < 0.01 * 100 * one


@pytest.mark.parametrize("name", NAMES)
def test_fit_twice_is_fit_once(name, meta_fitted):
    X, y, X_query = meta_fitted.task(name)
    estimator = meta_fitted(name)
    first = meta_fitted.predict(estimator.fit(X, y), X_query)
    again = meta_fitted.predict(estimator.fit(X, y), X_query)
    assert again.tobytes() == first.tobytes()
    estimator.fit(X[::-1] + 1, y)
    again = meta_fitted.predict(estimator.fit(X, y), X_query)
    assert again.tobytes() == first.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_predicting_sets_no_attribute(name, meta_fitted):
    X, y, X_query = meta_fitted.task(name)
    estimator = meta_fitted(name).fit(X, y)
    before = dict(vars(estimator))
    meta_fitted.predict(estimator, X_query)
    estimator.transform(X_query)
    estimator.support_attention(X_query)
    assert vars(estimator).keys() == before.keys()
    assert all(vars(estimator)[key] is value for key, value in before.items())


@pytest.mark.parametrize("name", NAMES)
def test_integers_are_numbers(name, meta_fitted):
    X, y, X_query = meta_fitted.task(name)
    X, X_query = np.rint(X), np.rint(X_query)
    expected = meta_fitted.predict(meta_fitted(name).fit(X, y), X_query)
    for dtype in (np.int64, np.int8, np.float32):
        estimator = meta_fitted(name).fit(X.astype(dtype), y)
        found = meta_fitted.predict(estimator, X_query.astype(dtype))
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "check",
    [
        check_get_params_invariance,
        check_set_params,
        check_parameters_default_constructible,
    ],
)
def test_checks_of_parameters(check, name, meta_fitted):
    """Scikit-learn's own, of an estimator that has learned."""
    estimator = meta_fitted(name)
    check(type(estimator).__name__, estimator)


def test_output_of_frames_outlives_meta_fit(meta_fitted, tiny):
    learner = AttentionMetaRegressor(pooled_estimator=None, **tiny | {"max_epochs": 0})
    learner.set_output(transform="pandas").meta_fit(meta_fitted.tasks("regressor"))
    X, y = whole_task("regressor", meta_fitted)
    features = learner.fit(X, y).transform(X)
    assert features.columns.tolist() == learner.get_feature_names_out().tolist()


# What notebooks show


def test_state_is_shown(meta_fitted):
    new = AttentionMetaRegressor()
    meta_learned = meta_fitted("regressor")
    X, y, _ = meta_fitted.task("regressor")
    adapted = meta_fitted("regressor").fit(X, y)
    for estimator, state in (
        (new, ">new<"),
        (meta_learned, ">meta-fitted on 12 tasks<"),
        (adapted, ">meta-fitted on 12 tasks, adapted to 6 rows<"),
    ):
        html = estimator._repr_html_()
        assert state in html
        assert f"api/skmeta.{type(estimator).__name__}.html" in html
        pipeline = make_pipeline("passthrough", estimator)
        assert state in pipeline._repr_html_()
