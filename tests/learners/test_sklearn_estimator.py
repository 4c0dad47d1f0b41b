"""Any scikit-learn estimator as base learner, helped by the meta-learned process."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.datasets import make_regression
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    SelfAttentionMetaRegressor,
)
from skmeta._classical.pooled import resampled
from skmeta._networks.learners import sklearn_estimator as any_estimator
from skmeta._networks.learners.sklearn_estimator import (
    _out_of_fold,
    _rows_of_other_tasks,
)
from skmeta.datasets import make_classification_tasks, make_linear_tasks

pytestmark = pytest.mark.usefixtures("quick_training")

REGRESSORS = [
    Ridge(),
    SVR(),
    KNeighborsRegressor(),
    RandomForestRegressor(n_estimators=10),
    HistGradientBoostingRegressor(max_iter=10),
    make_pipeline(StandardScaler(), Ridge()),
]
CLASSIFIERS = [
    LogisticRegression(),
    RidgeClassifier(),  # without predict_proba
    SVC(),
    KNeighborsClassifier(),
    RandomForestClassifier(n_estimators=10),
    HistGradientBoostingClassifier(max_iter=10),
]
N_LEARNED = 16
"""Meta-learned features that help an estimator."""


class Zero(RegressorMixin, BaseEstimator):
    """Learns nothing."""

    def fit(self, X, y):
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X):
        return np.zeros(len(X))


@pytest.fixture
def regression(meta_fitted):
    """A meta-fitted estimator, and a task that it has not seen."""
    return meta_fitted("regressor-estimator"), meta_fitted.new_task("regressor")


@pytest.fixture
def classification(meta_fitted):
    return meta_fitted("three-estimator"), meta_fitted.new_task("three")


@pytest.fixture
def adapted(regression):
    """What `train_estimator` is given: estimator, state, network, support."""
    estimator, new = regression
    one = clone(estimator).set_params(device="cpu").fit(new.X[:6], new.y[:6])
    task = one._adapted_task()
    return one, task.state, task.adaptation, new.X[:6], new.y[:6]


@pytest.mark.parametrize("base_learner", REGRESSORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("n_support", [1, 3, 12])
def test_every_regressor_predicts_and_is_not_changed(
    base_learner, n_support, regression
):
    estimator, new = regression
    given = clone(base_learner)
    one = clone(estimator).set_params(base_learner=given)
    X, y = new.X[:n_support], new.y[:n_support]
    mean, std = one.fit(X, y).predict(new.X, return_std=True)
    assert np.isfinite(mean).all()
    assert (std > 0).all()
    assert one.base_learner is given
    assert not hasattr(given, "n_features_in_")
    assert one.base_learner_.n_features_in_ == 3 + N_LEARNED + 1
    again = clone(one).fit(X, y).predict(new.X)
    assert again.tobytes() == mean.tobytes()
    np.testing.assert_allclose(one.contributions(new.X).sum(1), mean, rtol=1e-12)


@pytest.mark.parametrize("base_learner", CLASSIFIERS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("n_support", [1, 3, 12])
def test_every_classifier_predicts_and_is_not_changed(
    base_learner, n_support, classification
):
    estimator, new = classification
    one = clone(estimator).set_params(base_learner=base_learner)
    X, y = new.X[:n_support], new.y[:n_support]
    p = one.fit(X, y).predict_proba(new.X)
    assert p.shape == (15, 3)
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(1), 1)
    assert not hasattr(base_learner, "n_features_in_")
    assert one.base_learner_.n_features_in_ == 3 + N_LEARNED + 3
    np.testing.assert_allclose(one.contributions(new.X).sum(1), p, atol=1e-12)


def test_estimator_that_learns_nothing_leaves_the_gp(regression):
    estimator, new = regression
    X, y = new.X[:5], new.y[:5]
    one = clone(estimator).set_params(base_learner=Zero()).fit(X, y)
    corrected = one.predict(new.X)
    del one.base_learner_, one._adapted
    np.testing.assert_array_equal(corrected, one.predict(new.X))


def test_prediction_is_the_average_of_gp_and_estimator(regression):
    estimator, new = regression
    one = clone(estimator).fit(new.X[:5], new.y[:5])
    both, learned = one.predict(new.X), one.base_learner_
    del one.base_learner_, one._adapted
    alone, targets = one.predict(new.X), one.meta_state_.targets
    x = one.meta_state_.rows(new.X).x[0].numpy()
    features = one.transform(new.X)[:, -N_LEARNED:]
    gp_prediction = (alone - targets.mean) / targets.scale
    columns = np.column_stack([x, features, gp_prediction])
    expected = alone + targets.scale * learned.predict(columns) / 2
    np.testing.assert_allclose(both, expected, rtol=1e-10)


def test_own_rows_are_predicted_out_of_fold(adapted):
    one, state, _, X, y = adapted
    found = _out_of_fold(state.network, state.rows(X), state.encoded(y))[0][0]
    for i in range(len(X)):
        others = np.arange(len(X)) != i
        rest = clone(one).fit(X[others], y[others])
        del rest.base_learner_, rest._adapted
        expected = (rest.predict(X[[i]]) - state.targets.mean) / state.targets.scale
        np.testing.assert_allclose(found[i], expected[0], atol=1e-6)


def test_rows_of_other_tasks_weigh_by_relation(adapted):
    one, state, related, _, _ = adapted
    rng = np.random.RandomState(0)
    parts = list(_rows_of_other_tasks(state, state.network.learner, related, rng))
    assert len(parts) > 1
    shares = sorted({float(weight[0]) for _, _, weight in parts[:-1]}, reverse=True)
    relations = np.sort(one.task_relations_)[::-1][: len(parts) - 1]
    np.testing.assert_allclose(shares, np.unique(relations)[::-1], rtol=1e-6)
    columns, target, weight = parts[-1]
    np.testing.assert_array_equal(target, 0)  # the prediction of the GP
    np.testing.assert_allclose(weight, 1 - one.familiarity_, rtol=1e-6)
    assert columns.shape == (len(target), 3 + N_LEARNED + 1)


def test_target_of_other_tasks_is_the_residual_of_the_gp(adapted):
    one, state, related, _, _ = adapted
    del one.base_learner_, one._adapted
    parts = _rows_of_other_tasks(
        state, state.network.learner, related, np.random.RandomState(0)
    )
    columns, target, _ = next(iter(parts))
    task = state.tasks[0][int(np.argmax(one.task_relations_))]
    x = state.features.transform(task.X, np.float64)
    order = [int(np.abs(x - row).sum(1).argmin()) for row in columns[:, :3]]
    assert sorted(order) == list(range(len(task.y)))
    left = (task.y[order] - one.predict(task.X[order])) / state.targets.scale
    np.testing.assert_allclose(target, left, atol=1e-6)


def test_resampling_takes_rows_as_often_as_they_weigh():
    weight = np.array([1.0, 0.2, 2.0, 0.0, 0.8, 1.0])
    counts = np.zeros(6)
    for seed in range(200):
        drawn = resampled(weight, np.random.RandomState(seed))
        count = np.bincount(drawn, minlength=6)
        assert (count >= np.floor(weight)).all()
        assert (count <= np.ceil(weight)).all()
        counts += count
    np.testing.assert_allclose(counts / 200, weight, atol=0.1)


@pytest.mark.parametrize(
    ("cls", "base_learner"),
    [
        (AttentionMetaRegressor, KNeighborsRegressor(3)),
        (AttentionMetaClassifier, LogisticRegression()),
    ],
)
def test_other_systems_have_estimators_too(cls, base_learner, tiny):
    make = make_linear_tasks
    if cls is AttentionMetaClassifier:
        make = make_classification_tasks
    tasks = make(14, n_rows=15, n_features=3, random_state=0)
    estimator = cls(base_learner, None, **tiny).meta_fit(tasks[:12])
    new = tasks[12]
    episodes = [(t.X[:5], t.y[:5], t.X[5:]) for t in tasks[12:]]
    together = estimator.predict_episodes(episodes)
    for (X, y, X_query), predicted in zip(episodes, together, strict=True):
        one = clone(estimator).fit(X, y)
        np.testing.assert_array_equal(one.predict(X_query), predicted)
    assert estimator.predict(new.X).shape == (15,)  # zero-shot, by the process alone
    assert not hasattr(estimator, "base_learner_")


def test_parameters_of_the_base_learner_can_be_searched(regression):
    estimator, new = regression
    search = GridSearchCV(
        clone(estimator), {"base_learner__alpha": [1e-3, 1e6]}, cv=3
    ).fit(new.X, new.y)
    assert search.best_estimator_.base_learner_.alpha in (1e-3, 1e6)
    assert search.best_estimator_.meta_state_ is estimator.meta_state_
    scores = search.cv_results_["mean_test_score"]
    assert scores[0] != scores[1]


def test_another_kind_of_base_learner_needs_meta_fitting(regression, meta_fitted):
    estimator, new = regression
    X, y = new.X, new.y
    with pytest.raises(ValueError, match=r"base_learner='gp' \(meta_fit had Ridge"):
        clone(estimator).set_params(base_learner="gp").fit(X, y)
    other = meta_fitted("regressor-related").set_params(base_learner=Ridge())
    with pytest.raises(
        ValueError, match=r"base_learner=Ridge\(\) \(meta_fit had 'auto'"
    ):
        other.fit(X, y)


@pytest.mark.filterwarnings("ignore::skmeta.NotMetaFittedWarning")
def test_new_it_is_the_estimator_alone():
    X, y = make_regression(20, 3, noise=1.0, random_state=0)
    estimator = SelfAttentionMetaRegressor(KNeighborsRegressor(2), random_state=0)
    scaled = StandardScaler().fit(X)
    alone = KNeighborsRegressor(2).fit(scaled.transform(X), y)
    found = estimator.fit(X, y).predict(X[:7] + 0.1)
    np.testing.assert_allclose(found, alone.predict(scaled.transform(X[:7] + 0.1)))
    assert estimator.base_learner_.n_features_in_ == 3


def test_added_tasks_lend_their_rows(regression):
    estimator, new = regression
    one = clone(estimator)
    one.add_tasks({"twin": (new.X, new.y)})
    assert sum(map(len, one.meta_state_.tasks)) == len(one.task_names_) == 13
    assert len(estimator.meta_state_.tasks) == 1
    assert np.isfinite(one.fit(new.X[:5], new.y[:5]).predict(new.X)).all()


@pytest.mark.filterwarnings("ignore::skmeta.NotMetaFittedWarning")
@pytest.mark.parametrize("base_learner", [Ridge(), KNeighborsRegressor(2)], ids=str)
def test_small_weights_are_as_good_as_large_ones(base_learner):
    X, y = make_regression(12, 3, random_state=0)
    weight = np.full(12, 1e-5)
    estimator = AttentionMetaRegressor(base_learner, random_state=0)
    assert np.isfinite(estimator.fit(X, y, weight).predict(X)).all()


@pytest.mark.parametrize(
    ("cls", "base_learner"),
    [
        (AttentionMetaRegressor, LogisticRegression()),
        (AttentionMetaClassifier, Ridge()),
        (AttentionMetaRegressor, Ridge),
    ],
)
def test_base_learner_of_another_kind_is_refused(cls, base_learner):
    kind = "regressor" if cls is AttentionMetaRegressor else "classifier"
    tasks = make_classification_tasks(5, random_state=0)
    with pytest.raises(ValueError, match=rf"or a {kind}\. Got .*(Ridge|Logistic)"):
        cls(base_learner).meta_fit(tasks)


def test_kind_of_the_base_learner_is_checked_by_fit_too(regression):
    estimator, new = regression
    other = clone(estimator).set_params(base_learner=LogisticRegression())
    with pytest.raises(ValueError, match=r"or a regressor\. Got LogisticRegression"):
        other.fit(new.X, new.y)


def test_folds_of_large_supports_are_those_of_small_ones(adapted, monkeypatch):
    _, state, _, X, y = adapted
    args = state.network, state.rows(X), state.encoded(y)
    together = _out_of_fold(*args)
    monkeypatch.setattr(any_estimator, "FOLD_ROWS_AT_ONCE", 1)
    for one, other in zip(together, _out_of_fold(*args), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)


def test_what_cannot_be_a_base_learner_is_refused():
    with pytest.raises(ValueError, match=r"base_learner.*'forest'"):
        AttentionMetaRegressor("forest").meta_fit(make_linear_tasks(5, random_state=0))
