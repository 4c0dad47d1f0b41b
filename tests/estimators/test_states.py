"""The states new, meta-fitted and adapted, and what leads from one to another."""

import copy
import pickle
import random
import warnings
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback

from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    NonFiniteLossError,
    NotMetaFittedWarning,
    TaskCollection,
)
from skmeta._estimators.parameters import resolve_device
from skmeta._training import split as split_module
from skmeta.baselines import PooledClassifier
from skmeta.datasets import make_classification_tasks, make_linear_tasks
from skmeta.tasks import Task, check_tasks

pytestmark = pytest.mark.usefixtures("quick_training")

KINDS = ["regressor", "binary", "three"]
ALL = [
    "regressor", "regressor-auto", "regressor-none", "regressor-linear",
    "regressor-mlp", "binary", "binary-auto", "three", "three-mlp",
    "regressor-related", "regressor-mlp-related", "binary-related", "three-related",
    "regressor-transformer", "binary-transformer",
]  # fmt: skip

kinds = pytest.mark.parametrize("name", KINDS)
every = pytest.mark.parametrize("name", ALL)

ADAPTATION = ("task_embedding_", "feature_attention_")


def weights_of(estimator):
    state = estimator.meta_state_.network.state_dict()
    return {name: tensor.numpy().copy() for name, tensor in state.items()}


def assert_same_weights(one, other):
    one, other = weights_of(one), weights_of(other)
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].tobytes() == other[name].tobytes(), name


# New


@pytest.mark.parametrize("cls", [AttentionMetaRegressor, AttentionMetaClassifier])
def test_new_estimator_cannot_predict(cls, meta_fitted):
    X = np.zeros((2, 3))
    methods = ["predict", "transform", "support_attention", "predict_episodes"]
    if cls is AttentionMetaClassifier:
        methods.append("predict_proba")
    for method in methods:
        with pytest.raises(NotFittedError) as caught:
            getattr(cls(), method)(X)
        message = str(caught.value)
        assert f"This {cls.__name__} instance is not fitted yet" in message
        assert "meta_fit(tasks)" in message
        assert "fit(X, y)" in message
    with pytest.raises(NotFittedError):
        check_is_fitted(cls())


@kinds
def test_fit_when_new_warns_and_learns_from_the_rows_alone(name, meta_fitted):
    X, y, X_query = meta_fitted.task(name, n_support=12)
    cls = type(meta_fitted.original(name))
    with pytest.warns(NotMetaFittedWarning, match=r"meta_fit\(tasks\)") as record:
        estimator = cls(random_state=0).fit(X, y)
    assert record[0].filename == __file__
    check_is_fitted(estimator)
    assert not hasattr(estimator, "meta_state_")
    assert estimator.n_features_in_ == 3
    assert np.isfinite(meta_fitted.predict(estimator, X_query)).all()
    assert estimator.predict(X_query).shape == (len(X_query),)
    assert estimator.score(X, y) > 0.3


@pytest.mark.filterwarnings("ignore::skmeta.NotMetaFittedWarning")
@pytest.mark.parametrize("base_learner", ["gp", "linear", "mlp"])
def test_fit_when_new_does_with_every_base_learner(base_learner):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2))
    y = 5 + 3 * X[:, 0]
    estimator = AttentionMetaRegressor(base_learner, random_state=0).fit(X, y)
    assert estimator.score(X, y) > 0.9
    classifier = AttentionMetaClassifier(base_learner, random_state=0).fit(X, y > 5)
    assert classifier.score(X, y > 5) > 0.9


@pytest.mark.filterwarnings("ignore::skmeta.NotMetaFittedWarning")
def test_fit_when_new_takes_any_number_of_columns_each_time(meta_fitted):
    estimator = AttentionMetaRegressor(random_state=0)
    X, y, _ = meta_fitted.task("regressor")
    estimator.fit(X, y).fit(X[:, :2], y)
    assert estimator.n_features_in_ == 2
    assert estimator.predict(X[:, :2]).shape == (6,)


# Meta-fitted


@every
def test_meta_fitted_estimator_predicts_from_the_prior(name, meta_fitted):
    estimator = meta_fitted.original(name)
    X, y, X_query = meta_fitted.task(name)
    zero_shot = meta_fitted.predict(estimator, X_query)
    assert np.isfinite(zero_shot).all()
    assert zero_shot.shape[1] == len(X_query)
    with pytest.raises(NotFittedError):
        check_is_fitted(estimator)
    for attribute in ADAPTATION:
        assert not hasattr(estimator, attribute)
    assert estimator.support_attention(X_query).shape == (len(X_query), 0)
    assert len(estimator.transform(X_query)) == len(X_query)
    adapted = meta_fitted.predict(meta_fitted(name).fit(X, y), X_query)
    assert np.abs(adapted - zero_shot).max() > 1e-3


@every
def test_attributes_of_meta_fitting(name, meta_fitted):
    estimator = meta_fitted.original(name)
    n_tasks = len(meta_fitted.tasks(name))
    assert estimator.n_features_in_ == 3
    assert estimator.task_names_.shape == (n_tasks,)
    assert list(estimator.task_names_) == list(meta_fitted.tasks(name).names)
    assert estimator.task_embeddings_.shape == (n_tasks, 8)
    assert np.isfinite(estimator.task_embeddings_).all()
    assert len(np.unique(estimator.task_embeddings_, axis=0)) == n_tasks
    assert estimator.task_attention_.shape == (n_tasks,)
    assert estimator.task_attention_.mean() == pytest.approx(1)
    assert [row["epoch"] for row in estimator.history_] == [1, 2]
    assert {"train_loss", "valid_loss", "dur"} <= set(estimator.history_[0])
    if name.split("-")[0] != "regressor":
        n_classes = 2 if name.startswith("binary") else 3
        np.testing.assert_array_equal(estimator.classes_, np.arange(n_classes))


@every
def test_attributes_of_adaptation(name, meta_fitted):
    estimator = meta_fitted(name)
    X, y, _ = meta_fitted.task(name)
    estimator.fit(X, y)
    assert estimator.task_embedding_.shape == (8,)
    assert estimator.feature_attention_.shape == (3,)
    assert estimator.feature_attention_.sum() == pytest.approx(1)
    assert (estimator.feature_attention_ >= 0).all()
    assert estimator.device_ == resolve_device("auto")
    first = estimator.task_embedding_.copy()
    X, y, _ = meta_fitted.task(name, 1)
    assert np.abs(estimator.fit(X, y).task_embedding_ - first).max() > 1e-4


def test_column_names(meta_fitted, tiny):
    columns = ["height", "weight", "age"]
    frames = {
        task.name: (pd.DataFrame(task.X, columns=columns), task.y)
        for task in meta_fitted.tasks("regressor")
    }
    estimator = AttentionMetaRegressor(
        "linear", Ridge(), task_attention=False, **tiny
    ).meta_fit(frames)
    assert estimator.feature_names_in_.tolist() == columns
    assert clone(estimator).feature_names_in_.tolist() == columns
    X, y, X_query = meta_fitted.task("regressor")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        by_frame = estimator.fit(pd.DataFrame(X, columns=columns), y).predict(
            pd.DataFrame(X_query, columns=columns)
        )
        by_array = estimator.fit(X, y).predict(X_query)
    np.testing.assert_array_equal(by_frame, by_array)
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.fit(pd.DataFrame(X, columns=["height", "weight", "shoe"]), y)


# Adapted


@every
def test_fit_starts_from_what_was_meta_learned_each_time(name, meta_fitted):
    estimator = meta_fitted(name)
    X, y, X_query = meta_fitted.task(name, 0)
    other = meta_fitted.task(name, 1)
    state, before = estimator.meta_state_, weights_of(estimator)
    first = meta_fitted.predict(estimator.fit(X, y), X_query)
    between = meta_fitted.predict(estimator.fit(*other[:2]), X_query)
    again = meta_fitted.predict(estimator.fit(X, y), X_query)
    assert first.tobytes() == again.tobytes()
    assert np.abs(first - between).max() > 1e-3
    assert estimator.meta_state_ is state
    for key, array in weights_of(estimator).items():
        assert array.tobytes() == before[key].tobytes()


@every
def test_partial_fit_adds_rows(name, meta_fitted):
    X, y, X_query = meta_fitted.task(name, n_support=7)
    weight = np.array([1, 2, 0, 1, 3, 1, 1.0])
    whole = meta_fitted(name).fit(X, y, sample_weight=weight)
    parts = meta_fitted(name)
    parts.partial_fit(X[:3], y[:3], sample_weight=weight[:3])
    first = meta_fitted.predict(parts, X_query)
    parts.partial_fit(X[3:], y[3:], sample_weight=weight[3:])
    expected = meta_fitted.predict(whole, X_query)
    assert meta_fitted.predict(parts, X_query).tobytes() == expected.tobytes()
    assert np.abs(first - expected).max() > 1e-4
    np.testing.assert_array_equal(parts.task_embedding_, whole.task_embedding_)
    parts.fit(X, y, sample_weight=weight)  # fit starts again
    assert meta_fitted.predict(parts, X_query).tobytes() == expected.tobytes()


@pytest.mark.filterwarnings("ignore::skmeta.NotMetaFittedWarning")
@kinds
def test_partial_fit_when_new_is_fit_on_all_rows(name, meta_fitted):
    X, y, X_query = meta_fitted.task(name, n_support=10)
    cls = type(meta_fitted.original(name))
    whole = cls(random_state=0).fit(X, y)
    parts = cls(random_state=0).partial_fit(X[:5], y[:5]).partial_fit(X[5:], y[5:])
    np.testing.assert_allclose(
        meta_fitted.predict(parts, X_query), meta_fitted.predict(whole, X_query)
    )


@kinds
def test_failed_fit_leaves_the_adaptation(name, meta_fitted):
    estimator = meta_fitted(name)
    X, y, X_query = meta_fitted.task(name)
    before = meta_fitted.predict(estimator.fit(X, y), X_query)
    problems = {
        "2 features": (X[:, :2], y),
        "inconsistent numbers": (X, y[:-1]),
        "X is inf in row 0": (np.full_like(X, np.inf), y),
    }
    for words, bad in problems.items():
        for method in (estimator.fit, estimator.partial_fit):
            with pytest.raises(ValueError, match=words):
                method(*bad)
    assert meta_fitted.predict(estimator, X_query).tobytes() == before.tobytes()


@pytest.mark.parametrize(
    "name", ["regressor", "three", "regressor-related", "regressor-estimator"]
)
@pytest.mark.parametrize(
    "weight", [0, np.zeros(6), [0] * 6], ids=["0", "array", "list"]
)
def test_weights_of_zero_adapt_to_no_row(name, weight, meta_fitted):
    X, y, X_query = meta_fitted.task(name)
    zero_shot = meta_fitted.predict(meta_fitted.original(name), X_query)
    for method in ("fit", "partial_fit"):
        estimator = meta_fitted(name)
        getattr(estimator, method)(X, y, sample_weight=weight)
        check_is_fitted(estimator)
        assert meta_fitted.predict(estimator, X_query).tobytes() == zero_shot.tobytes()
        assert estimator.support_attention(X_query).shape == (len(X_query), 0)
        assert estimator.feature_attention_.sum() == pytest.approx(1)
        estimator.partial_fit(X, y)
        expected = meta_fitted.predict(meta_fitted(name).fit(X, y), X_query)
        assert meta_fitted.predict(estimator, X_query).tobytes() == expected.tobytes()
        with pytest.raises(ValueError, match=r"expected \(6,\)|inconsistent"):
            estimator.fit(X, y, sample_weight=np.zeros(5))


def test_weights_of_zero_do_not_set_task_specific_classes(meta_fitted, tiny):
    tasks = meta_fitted.tasks("three")
    own = AttentionMetaClassifier("linear", None, shared_classes=False, **tiny)
    own.meta_fit(tasks)
    X, y, _ = meta_fitted.task("three")
    with pytest.raises(ValueError, match="at least one row of positive weight"):
        own.fit(X, y, sample_weight=np.zeros(6))


@pytest.mark.parametrize(
    "estimator",
    [AttentionMetaClassifier("linear", None), PooledClassifier(LogisticRegression())],
    ids=["learner", "baseline"],
)
def test_one_class_in_all_tasks_is_warned_of(estimator, meta_fitted, tiny):
    if isinstance(estimator, AttentionMetaClassifier):
        estimator.set_params(**tiny)
    else:
        estimator.set_params(estimator=DummyClassifier(), adapt=None)
    tasks = [(task.X, np.full(len(task), 7)) for task in meta_fitted.tasks("binary")]
    with pytest.warns(
        UserWarning, match="have the one class 7: .* probability 1"
    ) as seen:
        estimator.meta_fit(tasks)
    assert [w.filename for w in seen] == [__file__]
    X = meta_fitted.task("binary")[2]
    np.testing.assert_array_equal(estimator.predict_proba(X), np.ones((len(X), 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clone(estimator)


def test_meta_fit_forgets_the_adaptation(meta_fitted):
    estimator = meta_fitted("regressor-linear")
    X, y, X_query = meta_fitted.task("regressor")
    old = estimator.fit(X, y).meta_state_
    estimator.meta_fit(meta_fitted.tasks("regressor"))
    assert estimator.meta_state_ is not old
    assert not hasattr(estimator, "task_embedding_")
    with pytest.raises(NotFittedError):
        check_is_fitted(estimator)
    zero_shot = meta_fitted.original("regressor-linear").predict(X_query)
    assert estimator.predict(X_query).tobytes() == zero_shot.tobytes()


# Clones


@kinds
def test_clone_keeps_what_was_meta_learned_and_drops_the_adaptation(name, meta_fitted):
    estimator = meta_fitted(name)
    X, y, X_query = meta_fitted.task(name)
    adapted = meta_fitted.predict(estimator.fit(X, y), X_query)
    copied = clone(estimator)
    assert copied.meta_state_ is estimator.meta_state_
    assert repr(copied.get_params()) == repr(estimator.get_params())
    assert copied.n_features_in_ == 3
    assert copied.history_ == estimator.history_
    for attribute in ADAPTATION:
        assert not hasattr(copied, attribute)
    with pytest.raises(NotFittedError):
        check_is_fitted(copied)
    zero_shot = meta_fitted.predict(meta_fitted.original(name), X_query)
    assert meta_fitted.predict(copied, X_query).tobytes() == zero_shot.tobytes()
    assert meta_fitted.predict(copied.fit(X, y), X_query).tobytes() == adapted.tobytes()
    copied.fit(*meta_fitted.task(name, 1)[:2])
    assert meta_fitted.predict(estimator, X_query).tobytes() == adapted.tobytes()


@pytest.mark.parametrize("cls", [AttentionMetaRegressor, AttentionMetaClassifier])
def test_clone_of_a_new_estimator_is_new(cls):
    callbacks = [("name", Callback())]
    estimator = cls(embed_dim=12, callbacks=callbacks, random_state=3)
    copied = clone(estimator)
    assert copied.embed_dim == 12
    assert copied.random_state == 3
    assert not hasattr(copied, "meta_state_")
    assert len(copied.callbacks) == 1


# Parameters


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"embed_dim": 16}, ["embed_dim=16 (meta_fit had 8)"]),
        ({"base_learner": "mlp"}, ["base_learner='mlp' (meta_fit had 'auto')"]),
        ({"n_heads": 1}, ["n_heads=1 (meta_fit had 2)"]),
        ({"n_layers": 3}, ["n_layers=3 (meta_fit had 1)"]),
        ({"pooled_estimator": None}, ["pooled_estimator=None (meta_fit had Ridge())"]),
        ({"pooled_estimator": Ridge(alpha=7)}, ["Ridge(alpha=7)", "Ridge()"]),
        ({"pooled_estimator__alpha": 7}, ["Ridge(alpha=7)", "Ridge()"]),
        ({"embed_dim": 16, "n_layers": 2}, ["embed_dim=16", "n_layers=2", "had 1)"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("copied", [False, True], ids=["itself", "clone"])
def test_changed_structure_is_named(meta_fitted, changes, words, copied):
    estimator = pickle.loads(pickle.dumps(meta_fitted.original("regressor")))
    if copied:
        estimator = clone(estimator)
    X, y, X_query = meta_fitted.task("regressor")
    estimator.fit(X, y)
    estimator.set_params(**changes)
    calls = [
        lambda: estimator.fit(X, y),
        lambda: estimator.partial_fit(X, y),
        lambda: estimator.predict_episodes([(X, y, X_query)]),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="changed after meta_fit") as caught:
            call()
        for word in [*words, "AttentionMetaRegressor"]:
            assert word in str(caught.value)
        assert "Set them back, or call meta_fit again" in str(caught.value)
    with pytest.raises(ValueError, match="changed after meta_fit"):
        clone(estimator).predict(X_query)


def test_structure_set_back_is_as_before(meta_fitted):
    estimator = meta_fitted("regressor")
    X, y, X_query = meta_fitted.task("regressor")
    before = estimator.fit(X, y).predict(X_query)
    estimator.set_params(embed_dim=16)
    with pytest.raises(ValueError, match="embed_dim"):
        estimator.fit(X, y)
    estimator.set_params(embed_dim=8)
    assert estimator.fit(X, y).predict(X_query).tobytes() == before.tobytes()


def test_other_parameters_may_change(meta_fitted):
    estimator = meta_fitted("regressor").set_params(device="cpu")
    X, y, X_query = meta_fitted.task("regressor")
    before = estimator.fit(X, y).predict(X_query)
    estimator.set_params(
        lr=1.0, max_epochs=7, batch_size=99, n_support=(2, 3), n_query=5, patience=2,
        steps_per_epoch=9, callbacks=[], random_state=9, verbose=1, warm_start=True,
        validation_fraction=0.5, device=torch.device("cpu"), task_attention=False,
    )  # fmt: skip
    assert estimator.fit(X, y).predict(X_query).tobytes() == before.tobytes()


def test_parameters_are_left_as_they_were_given(meta_fitted, tiny):
    ridge, n_support = Ridge(), [0, 4]
    estimator = AttentionMetaRegressor(
        pooled_estimator=ridge, n_support=n_support, task_attention=False, **tiny
    )
    before = estimator.get_params(deep=False)
    X, y, _ = meta_fitted.task("regressor")
    estimator.meta_fit(meta_fitted.tasks("regressor")).fit(X, y)
    after = estimator.get_params(deep=False)
    assert all(after[key] is before[key] for key in before)
    assert n_support == [0, 4]
    assert not hasattr(ridge, "coef_")


def test_what_was_meta_learned_cannot_be_changed(meta_fitted):
    estimator = meta_fitted.original("regressor")
    with pytest.raises(AttributeError):
        estimator.meta_state_.network = None
    for name in ("task_names_", "task_embeddings_", "task_attention_"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(estimator, name)[0] = 0
    network = estimator.meta_state_.network
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    assert all(p.device.type == "cpu" for p in network.parameters())


# Copies


@every
def test_pickle_round_trip(name, meta_fitted):
    estimator = meta_fitted(name)
    X, y, X_query = meta_fitted.task(name)
    loaded = pickle.loads(pickle.dumps(estimator))
    zero_shot = meta_fitted.predict(estimator, X_query)
    assert meta_fitted.predict(loaded, X_query).tobytes() == zero_shot.tobytes()
    assert_same_weights(loaded, estimator)
    estimator.fit(X, y)
    loaded = pickle.loads(pickle.dumps(estimator))
    check_is_fitted(loaded)
    adapted = meta_fitted.predict(estimator, X_query)
    assert meta_fitted.predict(loaded, X_query).tobytes() == adapted.tobytes()
    for attribute in ADAPTATION:
        np.testing.assert_array_equal(
            getattr(loaded, attribute), getattr(estimator, attribute)
        )
    loaded.partial_fit(X[:2], y[:2])
    estimator.partial_fit(X[:2], y[:2])
    one, other = (meta_fitted.predict(e, X_query) for e in (loaded, estimator))
    assert one.tobytes() == other.tobytes()


def test_what_was_loaded_is_as_immutable(meta_fitted):
    loaded = pickle.loads(pickle.dumps(meta_fitted.original("regressor")))
    with pytest.raises(ValueError, match="read-only"):
        loaded.task_embeddings_[0] = 0


def test_device_is_resolved_again_on_load(meta_fitted):
    estimator = meta_fitted("regressor")
    X, y, _ = meta_fitted.task("regressor")
    estimator.fit(X, y)
    assert "device_" not in estimator.__getstate__()
    loaded = pickle.loads(pickle.dumps(estimator))
    assert loaded.device_ == resolve_device("auto")


@pytest.mark.parametrize("ask", ["fit", "partial_fit", "predict"])
def test_a_device_that_is_not_there(ask, meta_fitted):
    """As of an estimator that comes from another machine."""
    estimator = meta_fitted("regressor")
    X, y, X_query = meta_fitted.task("regressor")
    before = estimator.fit(X, y).predict(X_query)
    estimator = pickle.loads(pickle.dumps(estimator.set_params(device="cuda:77")))
    with pytest.raises(ValueError, match=r"'cuda:77' instead; set_params\(device="):
        getattr(estimator, ask)(*(X, y)[: 1 if ask == "predict" else 2])
    estimator.set_params(device="auto")
    np.testing.assert_array_equal(estimator.predict(X_query), before)


@kinds
def test_deepcopy(name, meta_fitted):
    estimator = meta_fitted(name)
    X, y, X_query = meta_fitted.task(name)
    before = meta_fitted.predict(estimator.fit(X, y), X_query)
    copied = copy.deepcopy(estimator)
    assert meta_fitted.predict(copied, X_query).tobytes() == before.tobytes()
    copied.fit(*meta_fitted.task(name, 1)[:2])
    assert meta_fitted.predict(estimator, X_query).tobytes() == before.tobytes()


@pytest.mark.filterwarnings("ignore::skmeta.NotMetaFittedWarning")
def test_pickle_of_an_estimator_fitted_when_new(meta_fitted):
    X, y, X_query = meta_fitted.task("regressor")
    estimator = AttentionMetaRegressor(random_state=0).fit(X, y)
    loaded = pickle.loads(pickle.dumps(estimator))
    before = estimator.predict(X_query)
    assert loaded.predict(X_query).tobytes() == before.tobytes()


# Chance


@pytest.mark.parametrize("name", ["regressor", "three"])
def test_same_random_state_gives_the_same_bytes(name, meta_fitted):
    one = meta_fitted.original(name)
    torch.rand(5), np.random.rand(3), random.random()  # other global states
    other = clone(meta_fitted.estimators[name]).set_params(**one.get_params(deep=False))
    other.meta_fit(meta_fitted.tasks(name))
    assert_same_weights(one, other)
    assert one.task_embeddings_.tobytes() == other.task_embeddings_.tobytes()
    X, y, X_query = meta_fitted.task(name)
    a = meta_fitted.predict(meta_fitted(name).fit(X, y), X_query)
    b = meta_fitted.predict(other.fit(X, y), X_query)
    assert a.tobytes() == b.tobytes()


def test_another_random_state_gives_other_weights(meta_fitted):
    other = clone(meta_fitted.estimators["regressor-linear"])
    parameters = meta_fitted.original("regressor-linear").get_params(deep=False)
    other.set_params(**parameters | {"random_state": 1})
    other.meta_fit(meta_fitted.tasks("regressor"))
    one, two = weights_of(meta_fitted.original("regressor-linear")), weights_of(other)
    key = "encoder.queries"
    assert not np.array_equal(one[key], two[key])


def test_random_state_instance_goes_on(meta_fitted, tiny):
    tasks = meta_fitted.tasks("regressor")
    parameters = tiny | {"random_state": np.random.RandomState(0), "max_epochs": 1}
    estimator = AttentionMetaRegressor("linear", None, task_attention=False)
    estimator.set_params(**parameters)
    first = weights_of(estimator.meta_fit(tasks))
    second = weights_of(estimator.meta_fit(tasks))
    assert not np.array_equal(first["encoder.queries"], second["encoder.queries"])


@contextmanager
def global_states_left_alone():
    """Fail unless random states and the number of threads stay as they are."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        yield
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), before[0])
        np.testing.assert_equal(np.random.get_state(), before[1])
        assert random.getstate() == before[2]
        assert torch.is_grad_enabled()
    finally:
        torch.set_num_threads(n_threads)


@pytest.mark.parametrize("name", ["regressor", "regressor-mlp", "three"])
def test_adaptation_leaves_global_states_alone(name, meta_fitted):
    estimator = meta_fitted(name).set_params(random_state=None)
    X, y, X_query = meta_fitted.task(name)
    with global_states_left_alone():
        estimator.predict(X_query)
        estimator.fit(X, y).partial_fit(X, y).predict(X_query)
        estimator.transform(X_query)
        estimator.support_attention(X_query)
        estimator.predict_episodes([(X, y, X_query)])


@pytest.mark.parametrize("pooled", [None, Ridge(), "auto"], ids=str)
def test_meta_training_leaves_global_states_alone(pooled, meta_fitted, tiny):
    tasks = meta_fitted.tasks("regressor")
    with global_states_left_alone():
        AttentionMetaRegressor("linear", pooled, **tiny).meta_fit(tasks)


@pytest.mark.filterwarnings("ignore::skmeta.NotMetaFittedWarning")
@pytest.mark.parametrize("base_learner", ["gp", "mlp"])
def test_fit_when_new_leaves_global_states_alone(base_learner, meta_fitted):
    X, y, X_query = meta_fitted.task("three")
    with global_states_left_alone():
        estimator = AttentionMetaClassifier(base_learner, random_state=0)
        estimator.fit(X, y).predict(X_query)


def test_failed_meta_training_leaves_global_states_alone(meta_fitted, tiny):
    class Broken(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise RuntimeError("broken callback")

    estimator = AttentionMetaRegressor("linear", None, callbacks=[Broken()], **tiny)
    tasks = meta_fitted.tasks("regressor")
    broken = pytest.raises(RuntimeError, match="broken callback")
    with global_states_left_alone(), broken:
        estimator.meta_fit(tasks)


# Going on, and failing


@pytest.mark.parametrize("name", ["regressor-linear", "three"])
def test_warm_start_goes_on_from_the_weights(name, meta_fitted):
    estimator = meta_fitted(name)
    before, tasks = weights_of(estimator), meta_fitted.tasks(name)
    estimator.set_params(warm_start=True, lr=1e-9, task_attention=False)
    estimator.meta_fit(tasks)
    for key, array in weights_of(estimator).items():
        if key.split(".")[-1] not in ("hyperprior_sd", "logit", "slope"):  # anew
            np.testing.assert_allclose(array, before[key], atol=1e-5)
    estimator.set_params(lr=1e-2, random_state=3).meta_fit(tasks)
    moved = weights_of(estimator)
    # It may keep the state that it went on from, but starts nowhere else.
    key = "encoder.queries"
    assert np.abs(moved[key] - before[key]).max() < 0.2
    for array, old in zip(
        weights_of(meta_fitted.original(name)).values(), before.values(), strict=True
    ):
        np.testing.assert_array_equal(array, old)


def test_without_warm_start_the_weights_are_forgotten(meta_fitted):
    estimator = meta_fitted("regressor-linear")
    before = weights_of(estimator)
    estimator.set_params(random_state=3).meta_fit(meta_fitted.tasks("regressor"))
    moved = weights_of(estimator)
    key = "encoder.queries"
    assert np.abs(moved[key] - before[key]).max() > 0.5


@pytest.mark.parametrize(
    "name", ["regressor-related", "regressor-mlp-related", "regressor-transformer"]
)
def test_warm_start_relates_to_the_tasks_that_it_goes_on_with(name, meta_fitted):
    estimator = meta_fitted(name).set_params(warm_start=True, lr=1e-9)
    encoder = estimator.meta_state_.network.encoder
    tasks = make_linear_tasks(n_tasks=8, n_rows=10, n_features=3, random_state=5)
    estimator.meta_fit(tasks)
    learner = estimator.meta_state_.network.learner
    assert len(learner.memory.keys) == len(estimator.task_names_) == 8
    assert learner.base.memory is None
    queries = estimator.meta_state_.network.encoder.queries
    np.testing.assert_allclose(queries, encoder.queries, atol=1e-5)
    X, y, X_query = meta_fitted.task(name)
    estimator.fit(X, y)
    total = estimator.contributions(X_query).sum(1)
    np.testing.assert_allclose(total, estimator.predict(X_query))


def test_warm_start_goes_on_to_other_tasks_of_another_number(meta_fitted):
    estimator = meta_fitted("regressor").set_params(warm_start=True)
    tasks = make_linear_tasks(n_tasks=8, n_rows=10, n_features=3, random_state=5)
    estimator.meta_fit(tasks)
    assert estimator.task_embeddings_.shape == (8, 8)
    assert estimator.n_features_in_ == 3
    old = meta_fitted.original("regressor").meta_state_
    assert estimator.meta_state_.targets.scale == old.targets.scale


def test_warm_start_refuses_another_structure(meta_fitted):
    estimator = meta_fitted("regressor").set_params(warm_start=True, embed_dim=16)
    with pytest.raises(ValueError, match=r"embed_dim=16 \(meta_fit had 8\)"):
        estimator.meta_fit(meta_fitted.tasks("regressor"))


def bad_tasks(name):
    """What no meta-training can learn from."""
    n_features = 3
    good = make_linear_tasks(n_tasks=6, n_rows=8, n_features=n_features, random_state=0)
    pairs = [(task.X.copy(), task.y.copy()) for task in good]
    if name == "inf":
        pairs[2][0][3, 1] = np.inf
    elif name == "columns":
        pairs[4] = (pairs[4][0][:, :2], pairs[4][1])
    elif name == "too few":
        pairs = pairs[:1]
    elif name == "text":
        pairs = [(X, np.array(["a", "b"] * 4)) for X, _ in pairs]
    elif name == "nothing":
        pairs = []
    return pairs


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("inf", "X is inf in row 3"),
        ("columns", "n_features=2"),
        ("too few", "at least 2 must remain"),
        ("text", "are text, as .a. in task 0"),
        ("nothing", "Got no tasks"),
    ],
)
def test_failed_meta_fit_changes_nothing(problem, words, meta_fitted):
    estimator = meta_fitted("regressor")
    X, y, X_query = meta_fitted.task("regressor")
    before = estimator.fit(X, y).predict(X_query)
    attributes = dict(vars(estimator))
    with pytest.raises(ValueError, match=words):
        estimator.meta_fit(bad_tasks(problem))
    assert vars(estimator).keys() == attributes.keys()
    assert all(vars(estimator)[name] is attributes[name] for name in attributes)
    assert estimator.predict(X_query).tobytes() == before.tobytes()
    new = AttentionMetaRegressor(random_state=0)
    with pytest.raises(ValueError, match=words):
        new.meta_fit(bad_tasks(problem))
    assert not hasattr(new, "meta_state_")
    assert not hasattr(new, "n_features_in_")


class Spoil(Callback):
    def on_batch_end(self, net, training=False, **kwargs):
        if training and len(net.history) > 1:
            with torch.no_grad():
                for p in net.module_.parameters():
                    p.fill_(float("nan"))


class Interrupt(Callback):
    def on_batch_end(self, net, training=False, **kwargs):
        if len(net.history) == 2:
            raise KeyboardInterrupt


def test_broken_down_meta_training_keeps_the_best_state(meta_fitted, tiny):
    tasks = meta_fitted.tasks("regressor")
    estimator = AttentionMetaRegressor("linear", None, callbacks=[Spoil()], **tiny)
    with pytest.raises(NonFiniteLossError, match=r"epoch 2.*lr=0\.003"):
        estimator.meta_fit(tasks)
    X, y, X_query = meta_fitted.task("regressor")
    assert np.isfinite(estimator.predict(X_query)).all()
    assert np.isfinite(estimator.fit(X, y).predict(X_query)).all()
    assert estimator.history_[0]["epoch"] == 1
    assert estimator.task_attention_.shape == estimator.task_names_.shape == (12,)
    assert estimator.task_embeddings_.shape == (12, 8)


def test_interrupted_meta_training_keeps_the_best_state(meta_fitted, tiny):
    tasks = meta_fitted.tasks("regressor")
    estimator = AttentionMetaRegressor(
        "linear", None, task_attention=False, callbacks=[Interrupt()], **tiny
    )
    with pytest.warns(UserWarning, match="interrupted in epoch 2 of 2"):
        estimator.meta_fit(tasks)
    X, y, X_query = meta_fitted.task("regressor")
    assert np.isfinite(estimator.fit(X, y).predict(X_query)).all()


def test_no_epochs_leave_the_classical_start(meta_fitted, tiny):
    estimator = AttentionMetaRegressor("linear", None, **tiny | {"max_epochs": 0})
    estimator.meta_fit(meta_fitted.tasks("regressor"))
    assert estimator.history_ == []
    X, y, X_query = meta_fitted.task("regressor")
    assert np.isfinite(estimator.fit(X, y).predict(X_query)).all()


# Where tasks come from


class Lazy:
    """Loads tasks on access."""

    def __init__(self, tasks):
        self.tasks, self.n_loaded = tasks, 0

    def __len__(self):
        return len(self.tasks)

    def __getitem__(self, i):
        if not 0 <= i < len(self):
            raise IndexError(i)
        self.n_loaded += 1
        return self.tasks[i].X, self.tasks[i].y


class Distribution:
    """Tasks without end."""

    def sample(self, n_tasks, random_state):
        return make_linear_tasks(
            n_tasks=n_tasks, n_rows=10, n_features=3, random_state=random_state
        )


@pytest.fixture
def linear(tiny):
    return AttentionMetaRegressor(
        "linear", pooled_estimator=Ridge(), task_attention=False, **tiny
    )


@pytest.mark.parametrize("form", ["list", "tuples of lists", "dict", "tasks"])
def test_tasks_of_any_form_give_the_same(form, linear, meta_fitted):
    collection = meta_fitted.tasks("regressor")
    tasks = {
        "list": [(task.X, task.y) for task in collection],
        "tuples of lists": tuple(
            [task.X.tolist(), task.y.tolist()] for task in collection
        ),
        "dict": {task.name: (task.X, task.y) for task in collection},
        "tasks": list(collection),
    }[form]
    estimator = clone(linear).meta_fit(tasks)
    expected = linear.meta_fit(collection)
    assert_same_weights(estimator, expected)
    assert list(estimator.task_names_) == list(expected.task_names_)


def test_names_of_a_dict(linear, meta_fitted):
    collection = meta_fitted.tasks("regressor")
    tasks = {f"school {task.name}": (task.X, task.y) for task in collection}
    linear.meta_fit(tasks)
    assert linear.task_names_.tolist() == list(tasks)


def test_lazy_tasks(linear, meta_fitted):
    lazy = Lazy(make_linear_tasks(n_tasks=30, n_rows=10, n_features=3, random_state=0))
    linear.meta_fit(lazy)
    assert lazy.n_loaded > 0
    assert linear.task_names_.tolist() == list(range(30))
    assert linear.task_embeddings_.shape == (30, 8)
    assert linear.task_attention_.tolist() == [1.0] * 30
    X, y, X_query = meta_fitted.task("regressor")
    assert np.isfinite(linear.fit(X, y).predict(X_query)).all()


@pytest.mark.parametrize("pooled", [None, LogisticRegression()], ids=str)
def test_labels_of_lazy_tasks_are_those_of_all(pooled, tiny, monkeypatch):
    """Also labels of a single task that is used for neither fitting nor validation."""
    monkeypatch.setattr(split_module, "MAX_FITTING", 4)
    tasks = make_classification_tasks(
        n_tasks=12, n_rows=10, n_features=2, random_state=0
    )
    own = [f"only in {i:02}" for i in range(12)]
    labelled = [
        Task(task.X, np.r_[["b", "d"], [label] * 3, np.array(["b", "d"])[task.y[5:]]])
        for task, label in zip(tasks, own, strict=True)
    ]
    estimator = AttentionMetaClassifier("linear", pooled, **tiny)
    config, rng = estimator._config("shared_classes"), np.random.default_rng(0)
    split = split_module.split_tasks(check_tasks(Lazy(labelled)), None, config, rng)
    labels = np.unique(np.concatenate([split.fitting_tasks.y, split.val_tasks.y]))
    assert len(labels) == 2 + 4 + 2
    assert split.classes.tolist() == ["b", "d", *own]

    estimator.meta_fit(Lazy(labelled))
    assert estimator.classes_.tolist() == ["b", "d", *own]
    for task in labelled:
        probabilities = estimator.fit(task.X, task.y).predict_proba(task.X)
        assert probabilities.shape == (10, 14)
        assert np.isfinite(probabilities).all()


def test_task_distribution(linear, meta_fitted):
    linear.meta_fit(Distribution())
    assert linear.n_features_in_ == 3
    n_tasks = len(linear.task_names_)
    assert linear.task_embeddings_.shape == (n_tasks, 8)
    assert linear.task_attention_.shape == (n_tasks,)
    X, y, X_query = meta_fitted.task("regressor")
    assert np.isfinite(linear.fit(X, y).predict(X_query)).all()


def test_task_distribution_is_drawn_from_by_the_random_state(linear):
    one, same = (clone(linear).meta_fit(Distribution()) for _ in range(2))
    assert_same_weights(one, same)


def test_validation_tasks_decide(linear, meta_fitted):
    """Tasks of an unrelated function, for validation."""
    tasks = meta_fitted.tasks("regressor")
    noise = np.random.default_rng(0).normal(size=(6, 10))
    X = np.random.default_rng(1).normal(size=(6, 10, 3))
    bad = [(x, 1e3 * e) for x, e in zip(X, noise, strict=True)]
    on_bad = clone(linear).meta_fit(tasks, validation_tasks=bad)
    on_own = clone(linear).meta_fit(tasks, validation_tasks=tasks)
    assert on_bad.history_[0]["valid_loss"] > on_own.history_[0]["valid_loss"] + 1
    assert len(on_bad.task_names_) == 12


def test_validation_tasks_are_not_learned_from(linear, meta_fitted):
    tasks = meta_fitted.tasks("regressor")
    one = clone(linear).meta_fit(tasks, validation_tasks=tasks[:4])
    shifted = [(task.X, task.y + 100) for task in tasks[:4]]
    other = clone(linear).meta_fit(tasks, validation_tasks=shifted)
    a, b = one.meta_state_, other.meta_state_
    np.testing.assert_array_equal(a.features.mean, b.features.mean)
    assert (a.targets.mean, a.targets.scale) == (b.targets.mean, b.targets.scale)
    np.testing.assert_array_equal(
        a.pooled[0].estimator.coef_, b.pooled[0].estimator.coef_
    )


@pytest.mark.parametrize("form", ["list", "lazy", "distribution"])
def test_validation_tasks_of_any_form(form, linear, meta_fitted):
    tasks = meta_fitted.tasks("regressor")
    validation = {
        "list": [(task.X, task.y) for task in tasks[:3]],
        "lazy": Lazy(tasks[:3]),
        "distribution": Distribution(),
    }[form]
    linear.meta_fit(tasks, validation_tasks=validation)
    assert len(linear.task_names_) == 12


def test_labels_of_any_kind(tiny):
    tasks = make_classification_tasks(
        n_tasks=8, n_rows=12, n_features=2, n_classes=3, random_state=0
    )
    words = np.array(["lion", "ape", "zebra"])
    named = TaskCollection([(task.X, words[task.y]) for task in tasks])
    estimator = AttentionMetaClassifier(
        "linear", LogisticRegression(), task_attention=False, **tiny
    ).meta_fit(named)
    assert estimator.classes_.tolist() == ["ape", "lion", "zebra"]
    X, y = tasks[0].X, words[tasks[0].y]
    predicted = estimator.fit(X[:6], y[:6]).predict(X)
    assert set(predicted) <= set(words)
    assert (predicted == estimator.classes_[estimator.predict_proba(X).argmax(1)]).all()
    only = estimator.fit(X[:2], ["zebra", "zebra"])  # a support of one class
    assert only.predict_proba(X).shape == (12, 3)
    assert only.classes_.tolist() == ["ape", "lion", "zebra"]


@every
def test_probabilities_and_deviations(name, meta_fitted):
    estimator = meta_fitted(name)
    X, y, X_query = meta_fitted.task(name)
    for state in (estimator, estimator.fit(X, y)):
        if hasattr(state, "predict_proba"):
            p = state.predict_proba(X_query)
            assert p.shape == (len(X_query), len(state.classes_))
            assert (p > 0).all()
            np.testing.assert_allclose(p.sum(1), 1, atol=1e-12)
            expected = state.classes_[p.argmax(1)]
            np.testing.assert_array_equal(state.predict(X_query), expected)
        else:
            mean, std = state.predict(X_query, return_std=True)
            assert std.shape == mean.shape == (len(X_query),)
            assert (std > 0).all()
            np.testing.assert_array_equal(state.predict(X_query), mean)
