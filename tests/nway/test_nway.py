"""Classifiers of tasks with task-specific labels."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from skmeta import (
    AttentionMetaClassifier,
    SelfAttentionMetaClassifier,
    TaskCollection,
    TransformerMetaClassifier,
)
from skmeta._episodes.shared_rows import NWaySampler
from skmeta._networks.nway.plda import ABSENT
from skmeta._networks.nway.similarity import embed_tasks
from skmeta._training.shared_rows_network import SharedRowsNetwork
from skmeta._training.validation import validation_loss
from skmeta.model_selection import few_shot_scores
from skmeta.tasks import check_tasks
from skmeta.tasks._label_sharing import has_task_specific_labels

pytestmark = pytest.mark.usefixtures("quick_training")

SYSTEMS = {
    "attention": AttentionMetaClassifier,
    "self-attention": SelfAttentionMetaClassifier,
    "transformer": TransformerMetaClassifier,
}
RELATED = ["self-attention", "transformer"]
N_FEATURES = 4


def clusters(n_classes, n_rows, seed, labels=None):
    """Rows about a centre for each class, in the first two columns alone."""
    rng = np.random.default_rng(seed)
    centres = np.zeros((n_classes, N_FEATURES))
    centres[:, :2] = 3 * rng.normal(size=(n_classes, 2))
    y = np.repeat(np.arange(n_classes), n_rows)
    X = centres[y] + rng.normal(size=(len(y), N_FEATURES))
    return X, y if labels is None else np.asarray(labels)[y]


def tuple_of(task):
    return task.X, task.y


def own_tasks(n_tasks=10):
    """Tasks of four classes each, no label being in two of them."""
    labels = [[f"{t}-{c}" for c in "abcd"] for t in range(n_tasks)]
    pairs = [clusters(4, 8, t, labels[t]) for t in range(n_tasks)]
    return TaskCollection({f"task {t}": pair for t, pair in enumerate(pairs)})


class OwnClasses:
    """Meta-fitted estimators by name, each trained once; calling gives a clone."""

    def __init__(self, tiny):
        self.tiny, self.fitted = tiny, {}

    def __call__(self, name, **parameters):
        key = name, *parameters.items()
        if key not in self.fitted:
            model = SYSTEMS[name](**self.tiny, **parameters)
            model.meta_fit(own_tasks())
            state = model.meta_state_
            with torch.no_grad():  # attention has hardly any effect yet
                generator = torch.Generator().manual_seed(0)
                for p in state.network.parameters():
                    p += 0.05 * torch.randn(p.shape, generator=generator)
            embeddings, _ = embed_tasks(state.network.learner, state.rows, own_tasks())
            model._take_over(replace(state, task_embeddings=embeddings))
            self.fitted[key] = model
        return clone(self.fitted[key])


@pytest.fixture(scope="module")
def own(tiny):
    return OwnClasses(tiny)


@pytest.fixture
def support():
    return clusters(3, 4, seed=100, labels=["x", "z", "y"])


@pytest.fixture
def query():
    return clusters(3, 5, seed=100)[0]


# What is predicted


@pytest.mark.parametrize("name", SYSTEMS)
def test_new_classes_are_told_apart(name, own, support):
    model = own(name).fit(*support)
    X, y = clusters(3, 30, seed=100, labels=["x", "z", "y"])
    np.testing.assert_array_equal(model.classes_, ["x", "y", "z"])
    p = model.predict_proba(X)
    assert p.shape == (90, 3)
    np.testing.assert_allclose(p.sum(1), 1)
    assert np.mean(model.predict(X) == y) > 0.7
    assert model.predict(X).dtype == np.asarray(support[1]).dtype


@pytest.mark.parametrize("name", SYSTEMS)
def test_classes_of_two_clumps_are_told_apart_by_their_rows(name, tiny):
    """The clumps of a class lie on either side of 0, where all classes have a mean."""

    def task(seed):
        rng = np.random.default_rng(seed)
        centres = (
            4 * rng.normal(size=(3, 1, 2)) * np.array([[[1.0]], [[-1.0]]])[:, None]
        )
        X = centres.reshape(6, 1, 2) + 0.3 * rng.normal(size=(6, 10, 2))
        return X.reshape(-1, 2), np.repeat([0, 1, 2, 0, 1, 2], 10)

    model = SYSTEMS[name](shared_classes=False, **tiny)
    model.meta_fit([task(t) for t in range(16)])
    scores = []
    for seed in range(50, 60):
        X, y = task(seed)
        model.fit(X[::2], y[::2])
        scores.append(model.score(X[1::2], y[1::2]))
        attention = model.support_attention(X[1::2])
        same_clump = np.repeat(np.arange(6), 5)[:, None] == np.repeat(np.arange(6), 5)
        assert (attention * same_clump).sum(1).mean() > 0.5
    assert np.mean(scores) > 0.9


@pytest.mark.parametrize("name", SYSTEMS)
def test_permuted_labels_permute_probabilities(name, own, support, query):
    X, y = support
    renamed = np.array([{"x": "q", "y": "p", "z": "r"}[label] for label in y])
    p = own(name).fit(X, y).predict_proba(query)
    q = own(name).fit(X, renamed).predict_proba(query)
    np.testing.assert_allclose(p, q[:, [1, 0, 2]], atol=1e-12)


@pytest.mark.parametrize("name", SYSTEMS)
def test_rows_of_the_support_have_no_order(name, own, support, query):
    X, y = support
    order = np.random.default_rng(0).permutation(len(y))
    p = own(name).fit(X, y).predict_proba(query)
    q = own(name).fit(X[order], y[order]).predict_proba(query)
    np.testing.assert_allclose(p, q, atol=1e-12)


@pytest.mark.parametrize("name", SYSTEMS)
def test_integer_weights_are_repeats_and_zero_is_absence(name, own, support, query):
    X, y = support
    weight = np.array([2, 1, 0, 1, 1, 3, 1, 1, 1, 1, 2, 0])
    p = own(name).fit(X, y, sample_weight=weight).predict_proba(query)
    q = own(name).fit(X.repeat(weight, 0), y.repeat(weight)).predict_proba(query)
    np.testing.assert_allclose(p, q, atol=1e-10)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_prediction_depends_on_its_own_row_only(name, own, support, query):
    model = own(name).fit(*support)
    together = model.predict_proba(query)
    alone = np.concatenate([model.predict_proba(row[None]) for row in query])
    np.testing.assert_allclose(together, alone, atol=1e-12)


@pytest.mark.parametrize("name", SYSTEMS)
def test_more_classes_than_in_meta_training_and_unequal_counts(name, own):
    X, y = clusters(30, 3, seed=5)
    some = np.random.default_rng(0).permutation(len(y))[:70]
    model = own(name).fit(X[some], y[some])
    p = model.predict_proba(X)
    assert p.shape == (90, len(np.unique(y[some])))
    assert np.isfinite(p).all()


@pytest.mark.parametrize("name", SYSTEMS)
def test_one_class_alone_is_certain(name, own, query):
    model = own(name).fit(np.ones((2, N_FEATURES)), ["only", "only"])
    np.testing.assert_allclose(model.predict_proba(query), 1)


@pytest.mark.parametrize("name", SYSTEMS)
def test_classes_may_join_later(name, own, support, query):
    X, y = support
    first = y != "z"
    model = own(name).fit(X[first], y[first])
    np.testing.assert_array_equal(model.classes_, ["x", "y"])
    model.partial_fit(X[~first], y[~first])
    np.testing.assert_array_equal(model.classes_, ["x", "y", "z"])
    at_once = own(name).fit(X, y).predict_proba(query)
    np.testing.assert_allclose(model.predict_proba(query), at_once, atol=1e-12)


@pytest.mark.parametrize("name", SYSTEMS)
def test_each_fit_starts_from_what_was_meta_learned(name, own, support, query):
    model = own(name)
    p = model.fit(*support).predict_proba(query)
    model.fit(*clusters(5, 2, seed=3))
    np.testing.assert_array_equal(model.fit(*support).predict_proba(query), p)


@pytest.mark.parametrize("name", SYSTEMS)
def test_episodes_at_once_are_as_one_by_one(name, own):
    model, episodes = own(name), []
    for seed, n_classes in enumerate((2, 5, 1, 3)):
        labels = [f"{seed}{c}" for c in "edcba"[:n_classes]]
        X, y = clusters(n_classes, 3, seed, labels)
        episodes.append((X, y, X + 0.5))
    together = model.predict_episodes(episodes, return_proba=True)
    labels = model.predict_episodes(episodes)
    for (X, y, X_query), p, predicted in zip(episodes, together, labels, strict=True):
        model.fit(X, y)
        np.testing.assert_allclose(p, model.predict_proba(X_query), atol=1e-8)
        np.testing.assert_array_equal(predicted, model.predict(X_query))


# What can be looked at


@pytest.mark.parametrize("name", SYSTEMS)
def test_attributes_of_adaptation(name, own, support, query):
    model = own(name).fit(*support)
    assert model.task_embedding_.shape == (8,)
    assert model.feature_attention_.shape == (N_FEATURES,)
    np.testing.assert_allclose(model.feature_attention_.sum(), 1)
    assert model.feature_attention_[:2].sum() > 0.8
    attention = model.support_attention(query)
    assert attention.shape == (len(query), 12)
    np.testing.assert_allclose(attention.sum(1), 1)
    by_class = attention @ (support[1][:, None] == model.classes_)
    np.testing.assert_allclose(by_class, model.predict_proba(query))
    features = model.transform(query)
    assert features.shape == (len(query), len(model.get_feature_names_out()))
    np.testing.assert_array_equal(model.task_names_, own_tasks().names)
    assert model.task_embeddings_.shape == (10, 8)


@pytest.mark.parametrize("name", RELATED)
def test_contributions_are_those_of_the_support(name, own, support, query):
    model = own(name).set_params(device="cpu").fit(*support)
    given = model.contributions(query)
    assert given.shape == (len(query), 11, 3)
    assert (given[:, :-1] == 0).all()
    np.testing.assert_array_equal(given[:, -1], model.predict_proba(query))


@pytest.mark.parametrize("name", RELATED)
def test_relations_and_more_tasks(name, own, support, query):
    model = own(name)
    before = model.fit(*support).predict_proba(query)
    state = model.meta_state_
    np.testing.assert_allclose(model.familiarity_, model.task_relations_.sum())
    assert 0 < model.familiarity_ < 1
    more = {f"new {t}": clusters(3, 5, 200 + t) for t in range(3)}
    grown = clone(model).add_tasks(more)
    assert list(grown.task_names_[-3:]) == ["new 0", "new 1", "new 2"]
    np.testing.assert_array_equal(grown.task_embeddings_[:10], model.task_embeddings_)
    relations = grown.relations(more)
    assert relations.shape == (3, 13)
    assert ((relations > 0).sum(1) == 8).all()
    assert (relations.sum(1) < 1).all()
    np.testing.assert_array_equal(grown.fit(*support).predict_proba(query), before)
    assert grown.task_relations_.shape == (13,)
    assert model.meta_state_ is state
    assert model.fit(*support).task_relations_.shape == (10,)


def test_a_task_of_meta_training_is_most_related_to_itself(own):
    tasks = own_tasks()
    relations = own("self-attention").relations(tasks)
    np.testing.assert_array_equal(relations.argmax(1), np.arange(10))


def test_related_tasks_are_those_with_a_similar_embedding(tiny):
    """Tasks whose rows lie in one part of feature space, or in another."""

    def task(seed):
        X, y = clusters(6, 8, seed)
        return (X if seed % 2 else X + 5), y

    model = SelfAttentionMetaClassifier(shared_classes=False, **tiny)
    model.meta_fit([task(t) for t in range(24)])
    for seed in (40, 41, 42, 43):
        relations = model.fit(*task(seed)).task_relations_
        assert relations[seed % 2 :: 2].sum() > 0.8 * relations.sum()


def test_an_attention_classifier_has_no_relations(own, support):
    assert not hasattr(own("attention").fit(*support), "task_relations_")


# Any estimator as base learner


@pytest.mark.parametrize(
    "base_learner", [LogisticRegression(), KNeighborsClassifier(2)], ids=str
)
def test_estimator_as_base_learner(base_learner, own, support, query):
    model = own("attention", base_learner=base_learner).fit(*support)
    p = model.predict_proba(query)
    np.testing.assert_allclose(p.sum(1), 1)
    assert model.base_learner_.n_features_in_ == model.transform(query).shape[1]
    features = model.transform(query)
    alone = own("attention").fit(*support).predict_proba(query)
    mixed = (alone + model.base_learner_.predict_proba(features)) / 2
    np.testing.assert_allclose(p, mixed, atol=1e-6)
    assert not hasattr(base_learner, "classes_")


@pytest.mark.parametrize("base_learner", ["linear", "mlp"])
def test_other_base_learners(base_learner, own, support, query):
    p = own("attention", base_learner=base_learner).fit(*support).predict_proba(query)
    np.testing.assert_allclose(p.sum(1), 1)


# How task-specific labels are inferred


def test_auto_tells_task_specific_from_shared_labels():
    own = own_tasks()
    shared = [(X, np.arange(len(X)) % 3) for X, _ in map(tuple_of, own)]
    assert has_task_specific_labels("auto", own)
    assert not has_task_specific_labels("auto", check_tasks(shared))
    assert not has_task_specific_labels(True, own)
    assert has_task_specific_labels(False, check_tasks(shared))
    one = check_tasks([clusters(6, 5, 0)])
    assert has_task_specific_labels("auto", one)


def test_auto_says_what_it_found(tiny, capsys):
    model = AttentionMetaClassifier(**tiny | {"verbose": 1, "max_epochs": 1})
    model.meta_fit(own_tasks())
    assert "the tasks have task-specific labels" in capsys.readouterr().out
    assert not hasattr(model, "classes_")
    shared = [(X, np.arange(len(X)) % 2) for X, _ in map(tuple_of, own_tasks())]
    model.set_params(pooled_estimator=None, task_attention=False).meta_fit(shared)
    assert "the tasks have shared labels" in capsys.readouterr().out
    np.testing.assert_array_equal(model.classes_, [0, 1])


def test_one_task_of_many_classes(tiny):
    X, y = clusters(12, 6, seed=0)
    model = AttentionMetaClassifier(**tiny).meta_fit([(X, y)])
    new = clusters(3, 6, seed=1)
    assert model.fit(new[0][::2], new[1][::2]).score(*new) > 0.7


def test_lazy_tasks_and_distributions(tiny):
    class Lazy:
        def __len__(self):
            return 12

        def __getitem__(self, i):
            return clusters(4, 6, i)

    class Draws:
        def sample(self, n_tasks, random_state):
            return [clusters(4, 6, random_state + i) for i in range(n_tasks)]

    for tasks in (Lazy(), Draws()):
        model = AttentionMetaClassifier(shared_classes=False, **tiny).meta_fit(tasks)
        new = clusters(3, 6, seed=99)
        assert model.fit(new[0][::2], new[1][::2]).score(*new) > 0.7


# States


@pytest.mark.parametrize("name", SYSTEMS)
def test_before_fit_no_class_is_known(name, own, query):
    model = own(name)
    with pytest.raises(NotFittedError, match="task-specific labels: call fit"):
        model.predict_proba(query)
    with pytest.raises(NotFittedError, match="task-specific labels: call fit"):
        model.transform(query)


@pytest.mark.parametrize("name", SYSTEMS)
def test_pickle_and_clone(name, own, support, query):
    model = own(name).fit(*support)
    p = model.predict_proba(query)
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict_proba(query), p)
    copied = clone(model)
    assert copied.meta_state_ is model.meta_state_
    assert not hasattr(copied, "classes_")
    np.testing.assert_array_equal(copied.fit(*support).predict_proba(query), p)


def test_cross_validation_on_one_task(own):
    X, y = clusters(3, 9, seed=7)
    scores = cross_val_score(own("attention"), X, y, cv=3)
    assert scores.mean() > 0.7


def test_same_random_state_gives_the_same_bytes(tiny, support, query):
    p, q = (
        SelfAttentionMetaClassifier(**tiny)
        .meta_fit(own_tasks())
        .fit(*support)
        .predict_proba(query)
        for _ in range(2)
    )
    np.testing.assert_array_equal(p, q)


def test_warm_start_goes_on(tiny):
    model = SelfAttentionMetaClassifier(**tiny | {"warm_start": True})
    model.meta_fit(own_tasks())
    first = model.meta_state_.network.learner
    model.set_params(max_epochs=0).meta_fit(own_tasks())
    learner = model.meta_state_.network.learner
    for p, q in zip(learner.parameters(), first.parameters(), strict=True):
        if p is not learner.calibration_coef:  # calibrated anew
            torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-6)
    shared = [(X, np.arange(len(X)) % 2) for X, _ in map(tuple_of, own_tasks())]
    with pytest.raises(ValueError, match="have shared labels, but those that warm"):
        model.meta_fit(shared)


@pytest.mark.filterwarnings("ignore::skmeta.NotMetaFittedWarning")
def test_without_meta_fit_the_base_learner_learns_alone(support, query):
    model = AttentionMetaClassifier(shared_classes=False).fit(*support)
    assert model.predict_proba(query).shape == (len(query), 3)


def test_meta_training_lowers_the_loss(tiny):
    """Classes lie apart in the product of two columns, which is no linear feature."""

    def task(seed):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(60, 2))
        return X, (X.prod(1) > 0) + 2 * (rng.random() < 0.5)

    settings = {**tiny, "max_epochs": 12, "steps_per_epoch": 20, "lr": 1e-2}
    model = AttentionMetaClassifier(shared_classes=False, **settings)
    model.set_params(patience=12).meta_fit([task(t) for t in range(40)])
    losses = [row["valid_loss"] for row in model.history_]
    assert min(losses) < losses[0] - 0.1
    X, y = task(100)
    assert model.fit(X[:30], y[:30]).score(X[30:], y[30:]) > 0.8


# Errors


def test_errors_name_what_was_given(tiny, own, support):
    with pytest.raises(ValueError, match=r"'n_way' parameter .* Got \(1, 5\)"):
        AttentionMetaClassifier(n_way=(1, 5)).meta_fit(own_tasks())
    few = [(np.zeros((2, 3)), ["a", "b"]), (np.ones((2, 3)), ["c", "d"])] * 3
    with pytest.raises(
        ValueError, match="None of the 5 tasks has two classes of two rows"
    ):
        AttentionMetaClassifier(shared_classes=False, **tiny).meta_fit(few)
    with pytest.raises(ValueError, match="1 task with 3 classes and sets 2 of these"):
        AttentionMetaClassifier(**tiny).meta_fit([clusters(3, 5, 0)])
    model = own("attention")
    with pytest.raises(ValueError, match="at least one"):
        model.fit(*support, sample_weight=np.zeros(12))
    X = support[0]
    with pytest.raises(ValueError, match=r"Episode 1 .*at least one row"):
        model.predict_episodes([(*support, X), (X[:0], [], X)])
    with pytest.raises(ValueError, match="shared_classes=True"):
        model.set_params(shared_classes=True).fit(*support)


def test_scores_of_tasks_with_task_specific_labels(own):
    scores = few_shot_scores(
        own("attention"), own_tasks(), n_support=(1, 5), n_episodes=2, random_state=0
    )
    assert scores.scores.shape == (10, 2, 2)
    assert (scores.scores[:, 0] > 0).all()  # a row of each class is known
    alone = few_shot_scores(
        KNeighborsClassifier(1), own_tasks(), n_support=1, random_state=0
    )
    assert (alone.scores > 0.25).all()


def test_scores_draw_so_many_rows_of_each_class():
    class Counts(KNeighborsClassifier):
        def fit(self, X, y):
            self.counts = np.unique(y, return_counts=True)[1]
            return super().fit(X, y)

    def count(model, X, y):
        return model.counts.min() + model.counts.max() / 100

    scores = few_shot_scores(
        Counts(1), own_tasks(), n_support=(1, 5), scoring=count, random_state=0
    )
    np.testing.assert_allclose(scores.scores[:, 0], 1.01)
    np.testing.assert_allclose(scores.scores[:, 1], 5.05)


def test_validation_loss_is_finite_with_classes_of_some_episodes_only(own):
    state = own("attention").meta_state_
    tasks = own_tasks()
    X = torch.from_numpy(state.features.transform(tasks.X, np.float64))
    sampler = NWaySampler(tasks, X, (2, 4), (1, 4), 8)
    batch = sampler.draw(32, np.random.default_rng(0))
    loss = validation_loss(SharedRowsNetwork(state.network.learner), [batch])
    assert np.isfinite(loss)


@pytest.mark.parametrize("name", SYSTEMS)
def test_an_episode_depends_on_its_support_only(own, name):
    learner = own(name).meta_state_.network.learner
    tasks = own_tasks()
    sampler = NWaySampler(tasks, torch.tensor(tasks.X), (2, 4), (1, 4), 8)
    batch = sampler.draw(32, np.random.default_rng(0))
    with torch.no_grad():
        (logits,) = SharedRowsNetwork(learner).eval()(**batch.inputs())
        episodes = zip(logits, batch.target()[1] > 0, strict=True)
        for i in range(len(batch.x)):
            z = learner.row_features(batch.x[i])[None]
            for support, query in zip(batch.support[i], batch.query[i], strict=True):
                rows = support > 0
                adapted = learner.adapt_features(
                    z[:, rows], batch.y[i, rows][None], support[rows][None].double()
                )
                alone = learner.predict_features(adapted, z[:, query > 0]).logits[0]
                logit, asked = next(episodes)
                found, others = logit[asked].tensor_split([alone.shape[1]], 1)
                torch.testing.assert_close(found, alone, rtol=1e-9, atol=1e-9)
                assert (others == ABSENT).all()
        assert next(episodes, None) is None


def test_one_row_of_each_class_is_no_reason_to_warn(own, recwarn):
    own("attention").fit(*clusters(30, 1, seed=3))
    assert not recwarn.list


def test_lazy_tasks_of_one_class_are_passed_over(tiny):
    class Lazy:
        def __len__(self):
            return 40

        def __getitem__(self, i):
            return clusters(4 if i % 4 == 0 else 1, 6, i)

    settings = {**tiny, "max_epochs": 3}
    model = AttentionMetaClassifier(shared_classes=False, **settings).meta_fit(Lazy())
    assert len(model.history_) == 3


def test_one_task_keeps_its_column_names(tiny):
    X, y = clusters(8, 4, seed=0)
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = AttentionMetaClassifier(**tiny).meta_fit([(frame, y)])
    np.testing.assert_array_equal(model.feature_names_in_, list("abcd"))
