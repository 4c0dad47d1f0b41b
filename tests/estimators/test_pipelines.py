"""`skmeta.meta_fit`: the same as what it stands for, done by hand."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skmeta import AttentionMetaRegressor, Task, TaskCollection, meta_fit
from skmeta.baselines import PooledRegressor
from skmeta.datasets import make_linear_tasks
from skmeta.model_selection import few_shot_scores

pytestmark = pytest.mark.usefixtures("quick_training")

N_KNOWN = 10


@pytest.fixture(scope="module")
def tasks():
    return make_linear_tasks(14, n_rows=15, n_features=3, random_state=0)


@pytest.fixture(scope="module")
def frames():
    """Tasks with a category, and with numbers of which some are missing."""
    rng, tasks = np.random.default_rng(0), {}
    for shop in range(14):
        X = pd.DataFrame(
            {
                "day": rng.choice(["week", "Saturday", "Sunday"], 15),
                "price": rng.normal(size=15),
                "offer": np.where(rng.random(15) < 0.2, np.nan, rng.normal(size=15)),
            }
        )
        y = pd.Series(rng.normal() + X["price"] + (X["day"] == "Sunday"))
        tasks[f"shop {shop}"] = (X, y)
    return tasks


def known(tasks):
    return dict(list(tasks.items())[:N_KNOWN])


@pytest.fixture
def learner(tiny):
    quick = {"max_epochs": 0, "task_attention": False, "n_support": (0, 4)}
    return AttentionMetaRegressor("linear", None, **tiny | quick)


def encoder():
    return make_column_transformer(
        (OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["day"]),
        (StandardScaler(), ["price", "offer"]),
    )


def test_estimator_alone_is_cloned(learner, tasks):
    fitted = meta_fit(learner, tasks)
    assert not hasattr(learner, "meta_state_")
    new = tasks[0]
    expected = clone(learner).meta_fit(tasks).predict(new.X)
    np.testing.assert_array_equal(fitted.predict(new.X), expected)


def test_validation_tasks_are_passed_on(learner, tasks):
    pipeline = make_pipeline(StandardScaler(), learner)
    fitted = meta_fit(pipeline, tasks[:10], validation_tasks=tasks[10:])
    assert len(fitted[-1].task_names_) == 10
    by_hand = StandardScaler().fit(tasks[:10].X)
    expected = clone(learner).meta_fit(
        [(by_hand.transform(t.X), t.y) for t in tasks[:10]],
        validation_tasks=[(by_hand.transform(t.X), t.y) for t in tasks[10:]],
    )
    new = tasks[0]
    np.testing.assert_array_equal(
        fitted.fit(new.X, new.y).predict(new.X),
        expected.fit(by_hand.transform(new.X), new.y).predict(by_hand.transform(new.X)),
    )


def test_data_frames(learner, frames):
    pipeline = make_pipeline(encoder(), learner)
    fitted = meta_fit(pipeline, known(frames))
    assert isinstance(fitted, Pipeline)
    assert isinstance(fitted[0], FrozenEstimator)
    assert not hasattr(pipeline[0], "transformers_")
    rows = pd.concat([X for X, _ in known(frames).values()])
    by_hand = encoder().fit(rows)
    columns = {name: (by_hand.transform(X), y) for name, (X, y) in frames.items()}
    expected = clone(learner).meta_fit(known(columns))
    (X, y), (Z, _) = frames["shop 12"], columns["shop 12"]
    np.testing.assert_array_equal(
        fitted.fit(X[:6], y[:6]).predict(X[6:]),
        expected.fit(Z[:6], y[:6]).predict(Z[6:]),
    )
    assert fitted[-1].task_names_.tolist() == list(frames)[:N_KNOWN]


def test_adapting_leaves_the_transformers_alone(learner, frames):
    fitted = meta_fit(make_pipeline(encoder(), learner), known(frames))
    X, y = frames["shop 12"]
    before = fitted[0].transform(X)
    fitted.fit(X[:2], y[:2])
    np.testing.assert_array_equal(fitted[0].transform(X), before)
    copy = clone(fitted)
    assert copy[-1].meta_state_ is fitted[-1].meta_state_
    assert not hasattr(copy[-1], "task_embedding_")


def test_zero_shot_is_asked_of_the_learner(learner, tasks):
    fitted = meta_fit(make_pipeline(StandardScaler(), learner), tasks)
    X = tasks[0].X
    with warnings.catch_warnings():  # a warning before scikit-learn 1.8, then an error
        warnings.simplefilter("error")
        with pytest.raises((NotFittedError, FutureWarning)):
            fitted.predict(X)
    assert fitted[-1].predict(fitted[:-1].transform(X)).shape == (15,)


def test_frames_out_of_transformers(learner, frames):
    pipeline = make_pipeline(encoder(), learner).set_output(transform="pandas")
    fitted = meta_fit(pipeline, known(frames))
    names = fitted[0].get_feature_names_out().tolist()
    assert fitted[-1].feature_names_in_.tolist() == names
    X, y = frames["shop 12"]
    fitted.fit(X, y)
    features = fitted.transform(X)
    assert isinstance(features, pd.DataFrame)
    assert features.columns.tolist() == fitted[-1].get_feature_names_out().tolist()
    with pytest.raises(ValueError, match="feature names should match"):
        fitted[-1].predict(fitted[0].transform(X)[names[::-1]])


def test_named_collection_is_read_as_frames(learner):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(150, 3)), columns=["a", "b", "y"])
    frame["task"] = np.repeat(np.arange(10), 15)
    tasks = TaskCollection.from_frame(frame, target="y", task="task")
    scale_one = make_column_transformer((StandardScaler(), ["b"]))
    fitted = meta_fit(make_pipeline(scale_one, learner), tasks)
    assert fitted[-1].n_features_in_ == 1


def test_a_meta_learner_in_the_middle(learner, tasks):
    """It is adapted as any transformer is fitted; what follows sees its features."""
    fitted = meta_fit(make_pipeline(StandardScaler(), learner, Ridge()), tasks[:10])
    assert isinstance(fitted[0], FrozenEstimator)
    assert isinstance(fitted[-1], Ridge)
    new = tasks[12]
    fitted.fit(new.X[:6], new.y[:6])
    scaled = fitted[0].transform(new.X)
    by_hand = clone(fitted[1]).fit(scaled[:6], new.y[:6])
    ridge = Ridge().fit(by_hand.transform(scaled[:6]), new.y[:6])
    np.testing.assert_allclose(
        fitted.predict(new.X), ridge.predict(by_hand.transform(scaled))
    )


def test_nested_pipelines_and_steps_that_do_nothing(learner, tasks):
    inner = make_pipeline(StandardScaler(), learner)
    fitted = meta_fit(make_pipeline("passthrough", inner), tasks[:10])
    flat = meta_fit(make_pipeline(StandardScaler(), learner), tasks[:10])
    new = tasks[12]
    np.testing.assert_array_equal(
        fitted.fit(new.X, new.y).predict(new.X), flat.fit(new.X, new.y).predict(new.X)
    )
    scores = [
        few_shot_scores(one, tasks[10:], (0, 5), 2, random_state=0).scores
        for one in (fitted, flat)
    ]
    np.testing.assert_array_equal(*scores)


def test_supervised_transformers_see_all_targets(learner, tasks):
    fitted = meta_fit(make_pipeline(SelectKBest(f_regression, k=2), learner), tasks[:8])
    expected = SelectKBest(f_regression, k=2).fit(tasks[:8].X, tasks[:8].y)
    assert fitted[0].get_support().tolist() == expected.get_support().tolist()


class Encoder(TransformerMixin, BaseEstimator):
    """As encoders of targets do, it makes other rows of those that it is fitted to."""

    def fit(self, X, y=None):
        return self

    def fit_transform(self, X, y=None):
        return self.transform(X) + 100

    def transform(self, X):
        return np.asarray(X)


def test_rows_are_learned_from_as_fit_transform_makes_them(learner, tasks):
    fitted = meta_fit(make_pipeline(Encoder(), learner), tasks)
    assert (fitted[-1].meta_state_.missing.fill > 90).all()
    np.testing.assert_array_equal(fitted[0].transform(tasks[0].X), tasks[0].X)


def test_objects_out_of_transformers_are_numbers_if_all_are(learner, frames):
    """A column of booleans, None in one task, makes all columns objects."""
    tasks, numbers = {}, {}
    for name, (X, y) in frames.items():
        sold = X["price"] > 0
        some = sold.astype(object).where(X["price"] < 1) if name == "shop 0" else sold
        tasks[name] = X[["day", "price"]].assign(sold=some), y
        as_float = sold.astype(float).where((X["price"] < 1) | (name != "shop 0"))
        numbers[name] = X[["day", "price"]].assign(sold=as_float), y
    pipeline = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(sparse_output=False), ["day"]), remainder="passthrough"
        ),
        learner,
    )
    found, expected = (meta_fit(pipeline, known(some)) for some in (tasks, numbers))
    assert found[0].transform(tasks["shop 0"][0]).dtype == object
    (X, y), (Z, _) = tasks["shop 0"], numbers["shop 0"]
    np.testing.assert_array_equal(
        found.fit(X, y).predict(X), expected.fit(Z, y).predict(Z)
    )
    spoilt = tasks["shop 0"][0].assign(sold=["yes"] * 5 + [True] * 10)
    with pytest.raises(
        ValueError, match=r"Task 'a': .*column 4 holds \['yes'\]\) in row"
    ):
        meta_fit(pipeline, {"a": (spoilt, y), "b": tasks["shop 1"]})


def test_masked_rows_are_missing_to_transformers(learner, tasks):
    masked = [(np.ma.masked_array(t.X, t.X > 1), t.y) for t in tasks[:8]]
    missing = [(np.where(t.X > 1, np.nan, t.X), t.y) for t in tasks[:8]]
    pipeline = make_pipeline(StandardScaler(), learner)
    found, expected = (meta_fit(pipeline, some) for some in (masked, missing))
    np.testing.assert_array_equal(found[0].mean_, expected[0].mean_)
    X, y = missing[0]
    np.testing.assert_array_equal(
        found.fit(X, y).predict(X), expected.fit(X, y).predict(X)
    )


def test_what_is_frozen_already_stays(learner, tasks):
    frozen = FrozenEstimator(StandardScaler().fit(tasks[12].X))
    fitted = meta_fit(make_pipeline(frozen, learner), tasks[:8])
    assert fitted[0] is frozen


def test_grid_search_over_an_adapted_task(learner, tasks):
    fitted = meta_fit(make_pipeline(StandardScaler(), learner), tasks[:10])
    grid = {"attentionmetaregressor__base_learner": ["linear"]}
    new = tasks[12]
    search = GridSearchCV(fitted, grid, cv=3).fit(new.X, new.y)
    best = search.best_estimator_
    assert best[-1].meta_state_ is fitted[-1].meta_state_
    assert best[0] is fitted[0]


class Lazy:
    def __len__(self):
        return 12

    def __getitem__(self, i):
        rng = np.random.default_rng(i)
        X = rng.normal(size=(10, 2))
        return Task(X, X[:, 0] * rng.normal(), name=f"task {i}")


class Endless:
    def sample(self, n_tasks, random_state):
        rng = np.random.default_rng(random_state)
        X = rng.normal(size=(n_tasks, 10, 2))
        return [(x, rng.normal() * x[:, 0]) for x in X]


@pytest.mark.parametrize("tasks", [Lazy(), Endless()], ids=["lazy", "endless"])
def test_tasks_that_are_not_in_memory(learner, tasks):
    fitted = meta_fit(make_pipeline(StandardScaler(), learner), tasks)
    X, y = Endless().sample(1, 5)[0]
    assert np.isfinite(fitted.fit(X, y).predict(X)).all()


def test_baselines_too(tasks):
    fitted = meta_fit(make_pipeline(StandardScaler(), PooledRegressor(Ridge())), tasks)
    assert fitted[-1].predict(fitted[0].transform(tasks[0].X)).shape == (15,)


def test_scores_of_pipelines_are_those_of_fits(learner, frames):
    """In batches, with rows transformed beforehand, as one task after the other."""
    fitted = meta_fit(make_pipeline(encoder(), learner), known(frames))
    new = dict(list(frames.items())[N_KNOWN:])
    settings = {"n_support": (3, 6), "n_episodes": 2, "random_state": 0}
    at_once = few_shot_scores(fitted, new, scoring="r2", **settings)

    one_by_one = few_shot_scores(_Opaque(fitted), new, scoring="r2", **settings)
    np.testing.assert_allclose(at_once.scores, one_by_one.scores, atol=1e-9)
    assert at_once.task_names == tuple(new)


class _Opaque(RegressorMixin, BaseEstimator):
    """Whatever it wraps, of which nothing is known but `fit` and `predict`."""

    def __init__(self, inner):
        self.inner = inner

    def fit(self, X, y):
        self.inner_ = clone(self.inner).fit(X, y)
        return self

    def predict(self, X):
        return self.inner_.predict(X)


def test_plain_pipelines_read_frames(frames):
    from sklearn.impute import SimpleImputer

    baseline = make_pipeline(encoder(), SimpleImputer(), Ridge())
    scores = few_shot_scores(baseline, frames, n_support=8, random_state=0)
    assert np.isfinite(scores.scores).all()


def test_weights_go_through(learner, tasks):
    weighted = [Task(t.X, t.y, t.name, weight=i) for i, t in enumerate(tasks[:10])]
    fitted = meta_fit(make_pipeline(StandardScaler(), learner), weighted)
    assert fitted[-1].task_names_.tolist() == list(tasks.names[1:10])


@pytest.mark.parametrize(
    ("estimator", "error", "words"),
    [
        (Ridge(), TypeError, ["Ridge() has no meta_fit", "one task at a time"]),
        (
            make_pipeline(StandardScaler(), Ridge()),
            TypeError,
            ["['StandardScaler', 'Ridge'] has meta_fit", "Use a meta-learner"],
        ),
    ],
)
def test_nothing_to_meta_fit(estimator, error, words, tasks):
    with pytest.raises(error) as info:
        meta_fit(estimator, tasks)
    assert all(word in str(info.value) for word in words)


def test_bad_tasks_are_named(learner, frames, tasks):
    pipeline = make_pipeline(encoder(), learner)
    X, y = frames["shop 0"]
    for bad, words in (
        ((X[["price"]], y), "'b' has the columns \\['price'\\], but task 'a' has"),
        ((X, y[:3]), "Task 'b': X has 15 rows and y has 3"),
        ((X[:1], y[:1]), "Task 'b': X has 1 row"),
    ):
        with pytest.raises(ValueError, match=words):
            meta_fit(pipeline, {"a": (X, y), "b": bad})
    with pytest.raises(ValueError, match="Got no tasks"):
        meta_fit(pipeline, [])
    with pytest.raises(TypeError, match="does not say where a task ends"):
        meta_fit(pipeline, X)
    with pytest.raises(TypeError, match=r"returns sparse rows of shape.*sparse_output"):
        meta_fit(make_pipeline(OneHotEncoder(), learner), tasks)
    with pytest.raises(TypeError, match=r"'ridge' of the pipeline .* has no transform"):
        meta_fit(make_pipeline(StandardScaler(), Ridge(), learner), tasks)
