"""Missing values: the same as columns that say where they were, made by hand."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils import get_tags

from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    SelfAttentionMetaClassifier,
    SelfAttentionMetaRegressor,
    TaskCollection,
    TransformerMetaClassifier,
    TransformerMetaRegressor,
)
from skmeta._preprocessing.missing_values import MissingValues
from skmeta.datasets import make_classification_tasks, make_linear_tasks
from skmeta.exceptions import NotMetaFittedWarning

REGRESSORS = [
    AttentionMetaRegressor,
    SelfAttentionMetaRegressor,
    TransformerMetaRegressor,
]
CLASSIFIERS = [
    AttentionMetaClassifier,
    SelfAttentionMetaClassifier,
    TransformerMetaClassifier,
]
HOLEY = [0, 2]
"""Columns with holes; the one between them has none."""


def with_holes(tasks, seed=0):
    """Pairs (X, y) of which a fifth of the cells of some columns is missing."""
    rng, pairs = np.random.default_rng(seed), []
    for task in tasks:
        X = np.array(task.X)
        for j in HOLEY:
            X[rng.random(len(X)) < 0.2, j] = np.nan
        pairs.append((X, task.y))
    return pairs


pytestmark = pytest.mark.usefixtures("quick_training")


@pytest.fixture
def tiny(tiny):
    """One step of training."""
    return tiny | {"max_epochs": 1, "steps_per_epoch": 1, "task_attention": False}


@pytest.fixture(scope="module")
def linear_tasks():
    return with_holes(make_linear_tasks(14, n_rows=15, n_features=3, random_state=0))


@pytest.fixture(scope="module")
def class_tasks():
    return with_holes(
        make_classification_tasks(14, n_rows=15, n_features=3, random_state=0)
    )


@pytest.fixture
def tasks_of(linear_tasks, class_tasks):
    return lambda cls: linear_tasks if cls in REGRESSORS else class_tasks


def by_hand(X, fill):
    """Filled rows, and columns that say where there were holes."""
    return np.hstack([np.where(np.isnan(X), fill, X), np.isnan(X[:, HOLEY])])


def outputs(estimator, X):
    if hasattr(estimator, "predict_proba"):
        return estimator.predict_proba(X)
    return np.column_stack(estimator.predict(X, return_std=True))


def assert_unsure_of_holes(found, known, X):
    """Rows with holes are predicted as filled, but less surely; others the same."""
    holey = np.isnan(X).any(1)
    assert holey.any()
    np.testing.assert_allclose(found[~holey], known[~holey], atol=1e-9)
    if found.shape[1] == 2 and np.allclose(found.sum(1), 1):  # of two classes
        sure, unsure = (np.abs(p[holey, 0] - 0.5) for p in (known, found))
        assert (np.sign(known - 0.5) == np.sign(found - 0.5)).all()
        assert (unsure < sure).all()
        return
    np.testing.assert_allclose(found[holey, 0], known[holey, 0], atol=1e-9)
    assert (found[holey, 1] > known[holey, 1]).all()


def test_columns_by_hand(linear_tasks):
    X = np.concatenate([X for X, _ in linear_tasks])
    missing = MissingValues.fit(X)
    np.testing.assert_allclose(missing.fill, np.nanmean(X, 0))
    np.testing.assert_array_equal(missing.transform(X), by_hand(X, missing.fill))
    assert missing.by_feature(np.arange(1.0, 6.0)).tolist() == [1 + 4, 2, 3 + 5]


def test_weight_is_repetition():
    X = np.array([[1.0, np.nan], [2.0, 5.0], [np.nan, 7.0]])
    weight = np.array([2.0, 0.0, 3.0])
    once = MissingValues.fit(X, weight)
    often = MissingValues.fit(X[[0, 0, 2, 2, 2]])
    np.testing.assert_allclose(once.fill, often.fill)


def test_where_nothing_is_missing_nothing_is_copied():
    X = np.arange(6.0).reshape(3, 2)
    missing = MissingValues.fit(X)
    assert missing.transform(X) is X
    later = missing.transform(np.array([[np.nan, 3.0]]))
    assert later.tolist() == [[2.0, 3.0]]


def test_column_without_any_value():
    X = np.array([[1.0, np.nan], [2.0, np.nan]])
    assert MissingValues.fit(X).transform(X).tolist() == [[1, 0, 1], [2, 0, 1]]


def test_pictures_are_filled_and_keep_their_shape():
    X = np.ones((4, 3, 2))
    X[0, 1, 1] = np.nan
    assert (
        MissingValues.fit(X, indicates=False).transform(X).tolist()
        == [[[1] * 2] * 3] * 4
    )


@pytest.mark.parametrize("cls", REGRESSORS + CLASSIFIERS)
def test_as_with_columns_made_by_hand(cls, tasks_of, tiny):
    tasks = tasks_of(cls)
    known, (X, y) = tasks[:12], tasks[13]
    validation = tasks[12:13] * 2  # so that all of the others are learned from
    fill = MissingValues.fit(np.concatenate([X for X, _ in known])).fill  # to the bit

    def filled(some):
        return [(by_hand(X, fill), y) for X, y in some]

    learner = cls(pooled_estimator=None, **tiny)
    holes = clone(learner).meta_fit(known, validation_tasks=validation)
    hand = clone(learner).meta_fit(filled(known), validation_tasks=filled(validation))
    holes.fit(X[:6], y[:6])
    hand.fit(by_hand(X[:6], fill), y[:6])
    assert_unsure_of_holes(
        outputs(holes, X[6:]), outputs(hand, by_hand(X[6:], fill)), X[6:]
    )
    assert holes.n_features_in_ == len(holes.feature_attention_) == 3
    attention = hand.feature_attention_
    np.testing.assert_allclose(
        holes.feature_attention_,
        attention[:3] + np.array([attention[3], 0, attention[4]]),
    )


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_classes_of_their_own(cls, class_tasks, tiny):
    learner = cls(shared_classes=False, **tiny).meta_fit(class_tasks[:12])
    X, y = class_tasks[13]
    learner.fit(X[:8], y[:8])
    assert np.isfinite(learner.predict_proba(X[8:])).all()
    # what is missing is not what happens to be the mean
    full = learner.meta_state_.missing.fill
    known = np.where(np.isnan(X), full, X)
    assert np.abs(learner.predict_proba(X) - learner.predict_proba(known)).max() > 1e-6


@pytest.mark.parametrize("cls", REGRESSORS + CLASSIFIERS)
def test_never_missing_before(cls, tasks_of, tiny):
    """A value of a query row, for the first time, is as its mean, but less sure."""
    tasks = [(np.nan_to_num(X), y) for X, y in tasks_of(cls)]
    learner = cls(pooled_estimator=None, **tiny).meta_fit(tasks[:12])
    X, y = np.array(tasks[13][0]), tasks[13][1]
    filled, fill = X.copy(), learner.meta_state_.missing.fill
    X[6::3, 1], filled[6::3, 1] = np.nan, fill[1]
    learner.fit(X[:6], y[:6])
    holes, known = outputs(learner, X[6:]), outputs(learner, filled[6:])
    assert_unsure_of_holes(holes, known, X[6:])


@pytest.mark.parametrize("cls", REGRESSORS + CLASSIFIERS)
def test_alone(cls, tasks_of):
    """In the state new as well, where weights are repetitions."""
    X, y = tasks_of(cls)[0]
    weight = np.arange(len(y)) % 3
    often = np.repeat(np.arange(len(y)), weight)
    with pytest.warns(NotMetaFittedWarning):
        once = cls(random_state=0).fit(X, y, sample_weight=weight)
    with pytest.warns(NotMetaFittedWarning):
        repeated = cls(random_state=0).fit(X[often], y[often])
    np.testing.assert_allclose(outputs(once, X), outputs(repeated, X), atol=1e-6)


def test_tag_and_partial_fit(linear_tasks, tiny):
    learner = AttentionMetaRegressor(pooled_estimator=None, **tiny)
    assert get_tags(learner).input_tags.allow_nan
    learner.meta_fit(linear_tasks)
    X, y = linear_tasks[0]
    together = outputs(clone(learner).fit(X, y), X)
    parts = clone(learner).fit(X[:4], y[:4]).partial_fit(X[4:], y[4:])
    np.testing.assert_array_equal(outputs(parts, X), together)


def test_memory_and_more_tasks(linear_tasks, tiny):
    """What is remembered, and borrowed, has holes too."""
    from sklearn.linear_model import Ridge

    learner = SelfAttentionMetaRegressor(Ridge(), None, **tiny).meta_fit(linear_tasks)
    learner.add_tasks({"new": linear_tasks[0], "newer": linear_tasks[1]})
    X, y = linear_tasks[2]
    learner.fit(X[:6], y[:6])
    assert np.isfinite(learner.predict(X)).all()
    assert len(learner.task_relations_) == len(linear_tasks) + 2
    assert learner.relations(linear_tasks[:3]).shape == (3, len(linear_tasks) + 2)


def test_lazy_tasks(linear_tasks, tiny, lazy):
    learner = AttentionMetaRegressor(pooled_estimator=None, **tiny)
    learner.meta_fit(lazy(linear_tasks))
    X, y = linear_tasks[0]
    assert np.isfinite(learner.fit(X, y).predict(X)).all()


def test_warm_start_keeps_what_is_indicated(linear_tasks, tiny):
    learner = AttentionMetaRegressor(pooled_estimator=None, warm_start=True, **tiny)
    first = learner.meta_fit(linear_tasks).meta_state_.missing
    full = [(np.nan_to_num(X), y) for X, y in linear_tasks]
    assert learner.meta_fit(full).meta_state_.missing is first


def test_embedding_sees_rows_without_holes(class_tasks, tiny):
    from torch import nn

    learner = AttentionMetaClassifier(embedding=nn.Linear(3, 4), **tiny)
    learner.meta_fit(TaskCollection(class_tasks))
    X, y = class_tasks[0]
    assert np.isfinite(learner.fit(X[:8], y[:8]).predict_proba(X)).all()
