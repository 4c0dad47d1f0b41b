"""Attention to meta-training tasks: those whose targets were shuffled get none."""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from skmeta import AttentionMetaRegressor
from skmeta._episodes.sampler import Episodes
from skmeta._preprocessing.scaling import ClassCodec, FeatureScaler, TargetScaler
from skmeta._training import task_selection
from skmeta._training.initialization import initialize, prepared
from skmeta._training.split import split_tasks
from skmeta._training.task_selection import (
    N_ROUNDS,
    attention_weights,
    informativeness_scores,
    permute_targets,
    select_tasks,
    task_losses,
)
from skmeta.datasets import make_linear_tasks, shuffle_targets
from skmeta.tasks import TaskCollection

pytestmark = pytest.mark.usefixtures("quick_training")


def draw_batch(classification=False, seed=0):
    """A batch of tasks of different sizes, no two targets of which are equal."""
    rng = np.random.default_rng(seed)
    sizes = (2, 3, 9, 14)
    pairs = [(rng.normal(size=(n, 2)), rng.normal(size=n)) for n in sizes]
    targets = TargetScaler(0.0, 1.0)
    if classification:
        pairs = [
            (X, rng.permutation(n)) for (X, _), n in zip(pairs, sizes, strict=True)
        ]
        targets = ClassCodec(np.arange(14))
    tasks = TaskCollection(pairs)
    episodes = Episodes(tasks, FeatureScaler.fit(tasks.X), targets)
    return episodes.draw(np.arange(4), np.array([1, 0, 4, 7]), 6, rng)


def present_targets(batch, task):
    y = torch.cat([batch.y_support[task], batch.y_query[task]])
    weight = torch.cat([batch.weight_support[task], batch.weight_query[task]])
    return y[weight > 0].tolist()


@pytest.mark.parametrize("classification", [False, True])
def test_permuted_targets_are_those_of_the_task(classification):
    batch = draw_batch(classification)
    permuted = permute_targets(batch, np.random.default_rng(0))
    for task in range(4):
        one, other = present_targets(batch, task), present_targets(permuted, task)
        assert sorted(one) == sorted(other)
    assert present_targets(batch, 3) != present_targets(permuted, 3)
    for side in ("support", "query"):
        hidden = getattr(batch, f"weight_{side}") == 0
        assert hidden.any()
        assert not getattr(permuted, f"y_{side}")[hidden].any()
        for part in ("x", "offset", "weight"):
            name = f"{part}_{side}"
            assert getattr(permuted, name) is getattr(batch, name)
    assert permuted.y_query.dtype == batch.y_query.dtype


def test_every_permutation_is_as_likely():
    batch = draw_batch()
    rng = np.random.default_rng(0)
    n_draws = 3000
    draws = [
        tuple(present_targets(permute_targets(batch, rng), 1)) for _ in range(n_draws)
    ]
    orders, count = np.unique(draws, axis=0, return_counts=True)
    assert len(orders) == 6
    assert np.abs(count - n_draws / 6).max() < 5 * (n_draws / 6) ** 0.5


def test_permuting_leaves_the_batch_as_it_is():
    batch = draw_batch()
    before = [present_targets(batch, task) for task in range(4)]
    permute_targets(batch, np.random.default_rng(0))
    assert before == [present_targets(batch, task) for task in range(4)]


# From scores to attention


def draw_scores(n_null, n_informative, seed=0):
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.normal(0, 1, n_null), rng.normal(8, 1, n_informative)])
    return scores, np.arange(n_null + n_informative) >= n_null


@pytest.mark.parametrize(
    ("n_null", "n_informative"), [(100, 300), (240, 160), (30, 50)]
)
def test_attention_separates_uninformative_tasks(n_null, n_informative):
    scores, informative = draw_scores(n_null, n_informative)
    attention = attention_weights(scores)
    assert roc_auc_score(informative, attention) > 0.95
    assert attention.min() >= 0
    assert attention.max() <= 1
    share = n_informative / (n_null + n_informative)
    assert abs(attention.mean() - share) < 0.05
    assert ((attention >= 0.5) == informative).mean() > 0.95


def test_attention_never_falls_with_the_score():
    for seed in range(5):
        scores, _ = draw_scores(60, 90, seed)
        attention = attention_weights(scores)
        assert (np.diff(attention[np.argsort(scores)]) >= 0).all()
        assert (attention[scores < 0] == 0).all()


@pytest.mark.parametrize(
    "scores",
    [
        np.random.default_rng(0).normal(5, 1, 200).clip(0.1),
        np.append(np.linspace(1, 9, 99), -0.3),  # one negative score is no sample
        np.full(20, 3.0),
        np.full(20, -3.0),
    ],
    ids=["all positive", "one negative", "equal", "equal and negative"],
)
def test_attention_to_all_alike(scores):
    np.testing.assert_array_equal(attention_weights(scores), np.ones(len(scores)))


def test_order_of_tasks_plays_no_part_in_attention():
    scores, _ = draw_scores(60, 90)
    order = np.random.default_rng(1).permutation(150)
    np.testing.assert_allclose(
        attention_weights(scores[order]), attention_weights(scores)[order], atol=1e-12
    )


# Scores of tasks


class Tripled(torch.nn.Module):
    """Predicts 3 x, whatever the support."""

    prior = SimpleNamespace(encoding_sizes=(1, 1))

    def adapt(self, support, y, encoding):
        return None

    def predict(self, adapted, query):
        return 3 * query.x[..., 0], torch.ones_like(query.x[..., 0])


def test_scores_tell_whether_targets_belong_to_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 20, 1))
    y = 3 * X[..., 0]
    for task in range(15):
        rng.shuffle(y[task])
    tasks = TaskCollection(list(zip(X, y, strict=True)))
    scaler = FeatureScaler(np.zeros(1), np.ones(1))
    episodes = Episodes(tasks, scaler, TargetScaler(0.0, 1.0))
    scores = informativeness_scores(
        Tripled(), episodes, 5, 20, np.random.default_rng(1)
    )
    assert scores.shape == (30,)
    assert scores[15:].min() > scores[:15].max() + 1
    assert (scores[15:] > 2).all()
    centre = scores[:15].mean() / (scores[:15].std() / 15**0.5)
    assert abs(centre) < 3  # as likely below zero as above


def test_scores_come_in_batches_of_tasks():
    tasks = make_linear_tasks(n_tasks=7, n_rows=12, n_features=1, random_state=0)
    episodes = Episodes(tasks, FeatureScaler.fit(tasks.X), TargetScaler.fit(tasks.y))
    scores = informativeness_scores(
        Tripled(), episodes, 5, 8, np.random.default_rng(0), batch_size=3
    )
    assert scores.shape == (7,)
    assert np.isfinite(scores).all()


def test_task_losses_are_means_over_rows():
    batch = draw_batch()
    losses = task_losses(Tripled(), batch)
    for task in range(4):
        there = batch.weight_query[task] > 0
        error = batch.y_query[task] - 3 * batch.x_query[task, :, 0]
        expected = 0.5 * (error[there] ** 2).mean() + 0.5 * np.log(2 * np.pi)
        assert losses[task] == pytest.approx(expected.item(), rel=1e-5)


# The initialisation without uninformative tasks


@pytest.fixture(scope="module")
def many():
    """Tasks whose targets depend on their features alike, and which are shuffled."""
    tasks = make_linear_tasks(60, n_rows=20, n_features=2, random_state=0)
    return shuffle_targets(tasks, 0.4, random_state=0)


def selected(tasks, validation_tasks=None, base_learner="linear", **changes):
    """What `select_tasks` returns, and what it is given."""
    model = AttentionMetaRegressor(base_learner, None, n_support=(0, 8), **changes)
    config = replace(model._config("regression"), seed=0)
    split = split_tasks(tasks, validation_tasks, config, np.random.default_rng(0))
    init = initialize(split, config)
    found = SimpleNamespace(config=config, first=init, first_split=split)
    found.init, found.split, found.attention = select_tasks(init, split, config)
    return found


def state(init):
    return init.learner.state_dict()


def assert_same_state(one, other):
    assert state(one).keys() == state(other).keys()
    for name, value in state(one).items():
        assert torch.equal(value, state(other)[name]), name


def positions(split):
    """Of the training and validation tasks among all."""
    return np.concatenate([split.fitting_index, split.val_index])


@pytest.mark.parametrize("base_learner", ["linear", "auto"])
def test_initialization_without_shuffled_tasks_is_kept(base_learner, many):
    tasks, shuffled = many
    found = selected(tasks, base_learner=base_learner)
    assert found.attention.mean() == pytest.approx(1)
    share = found.attention * (~shuffled).mean()
    assert share[shuffled].mean() < 0.1
    assert share[~shuffled].mean() > 0.85
    kept = positions(found.split)
    assert (~shuffled[kept]).mean() > 0.9
    assert np.isin(np.flatnonzero(~shuffled), kept).mean() > 0.9
    assert len(found.init.fitting_episodes) == len(found.split.fitting_index)
    assert len(found.init.val_episodes) == len(found.split.val_index)
    assert found.split.train_tasks is found.split.fitting_tasks
    used = found.split.fitting_tasks.weights  # attention is what they are learned with
    attention = found.attention[found.split.fitting_index]
    np.testing.assert_allclose(attention / attention[0], used / used[0])
    assert_same_state(found.init, initialize(found.split, found.config))


def clean_alone(tasks, shuffled, found):
    """The initialisation of the split without its shuffled tasks."""
    split = found.first_split
    train, val = (
        (~shuffled[index]) * 1.0 for index in (split.fitting_index, split.val_index)
    )
    clean = split.weighted(train, val)
    clean = clean.map(lambda some: some._replace(weights=None))
    return initialize(clean, found.config)


def test_initialization_is_that_of_the_clean_tasks_alone(many, monkeypatch):
    """If these are separated for certain; else, nearly."""
    tasks, shuffled = many
    found = selected(tasks)
    alone = clean_alone(tasks, shuffled, found)
    known = tasks[~shuffled]
    of_init, of_alone, of_first = (
        task_selection._losses(one, prepared(known, one), found.config).mean()
        for one in (found.init, alone, found.first)
    )
    assert of_first - of_alone > 0.1
    assert abs(of_init - of_alone) < 0.2 * (of_first - of_alone)
    order = positions(found.first_split)
    monkeypatch.setattr(
        task_selection, "attention_weights", lambda _: 1.0 - shuffled[order]
    )
    found = selected(tasks)
    assert_same_state(found.init, alone)
    np.testing.assert_array_equal(found.attention > 0, ~shuffled)
    assert np.ptp(found.attention[~shuffled]) == 0


@pytest.mark.parametrize("task_attention", ["auto", True])
def test_nothing_changes_if_all_tasks_are_informative(task_attention):
    tasks = make_linear_tasks(40, n_rows=20, n_features=2, random_state=1)
    found = selected(tasks, task_attention=task_attention)
    assert found.init is found.first
    assert found.split is found.first_split
    np.testing.assert_array_equal(found.attention, np.ones(40))


def test_given_validation_tasks_are_selected_too(many):
    tasks, shuffled = many
    found = selected(tasks[:40], tasks[40:], task_attention=True)
    assert found.attention.shape == (40,)
    assert found.attention.mean() == pytest.approx(1)
    assert roc_auc_score(~shuffled[:40], found.attention) > 0.9
    of_val = identities(found.split.val_tasks)
    clean = identities(tasks[40:][~shuffled[40:]])
    assert 0.8 * len(clean) < len(of_val) < 20
    assert np.isin(of_val, clean).mean() > 0.8
    assert identities(found.init.val_episodes.tasks) == of_val


def identities(tasks):
    """Something that no two tasks have in common, in order."""
    return tasks.y[tasks.offsets[:-1]].tolist()


@pytest.mark.parametrize(
    "gains", [[0.0] * 3, [0.5] * 3, [5.0] * 3, [5.0, 0.5, 5.0]], ids=str
)
@pytest.mark.parametrize("task_attention", ["auto", True])
def test_gain_of_two_standard_errors_is_asked_for(
    task_attention, gains, many, monkeypatch
):
    """In each round, with "auto" alone, on its informative validation tasks."""
    tasks, _ = many
    seen, fitted, chosen = [], [], np.random.default_rng(0)

    def losses(init, episodes, config):
        seen.append((init, identities(episodes.tasks)))
        spread = np.resize([-1.0, 1.0], len(episodes))
        gain = gains[(len(seen) - 1) // 2]  # in units of two standard errors
        mean = gain * 2 / len(episodes) ** 0.5
        return mean + spread - spread.mean() if len(seen) % 2 else 0 * spread

    def counted(split, config):
        fitted.append(initialize(split, config))
        return fitted[-1]

    def some_tasks(scores):  # others in every round
        return (chosen.permutation(len(scores)) % 3 > 0) * 1.0

    monkeypatch.setattr(task_selection, "_losses", losses)
    monkeypatch.setattr(task_selection, "attention_weights", some_tasks)
    monkeypatch.setattr(task_selection, "initialize", counted)
    found = selected(tasks, task_attention=task_attention)
    if task_attention is True:
        assert seen == []
        assert found.init is fitted[-1]
        assert len(fitted) == N_ROUNDS
        return
    refused = [i for i, gain in enumerate(gains) if gain < 1]
    assert len(fitted) == (refused[0] + 1 if refused else N_ROUNDS)
    assert (np.ptp(found.attention) > 0) == (found.init is not found.first)
    if refused:  # that round and those after it have no part
        assert found.init is not fitted[-1]
    else:
        assert found.init is fitted[-1]
    assert len(seen) == 2 * len(fitted)
    for again, one, other in zip(fitted, seen[::2], seen[1::2], strict=True):
        assert one[0] is found.first
        assert other[0] is again
        assert one[1] == other[1] == identities(again.val_episodes.tasks)
        assert len(one[1]) < len(found.first.val_episodes)


def test_rounds_end_when_the_same_tasks_are_selected(many, monkeypatch):
    fitted = []

    def counted(split, config):
        fitted.append(positions(split))
        return initialize(split, config)

    monkeypatch.setattr(task_selection, "initialize", counted)
    tasks, _ = many
    selected(tasks)
    assert 1 <= len(fitted) <= N_ROUNDS
    for one, other in pairwise(fitted):
        assert not np.array_equal(one, other)
    fitted.clear()
    draw = np.random.default_rng(0)

    def other_tasks(scores):
        order = draw.permutation(len(scores))
        return (order % 3 > 0) * 1.0

    monkeypatch.setattr(task_selection, "attention_weights", other_tasks)
    found = selected(tasks, task_attention=True)
    assert len(fitted) == N_ROUNDS
    np.testing.assert_array_equal(positions(found.split), fitted[-1])
    chosen = np.flatnonzero(found.attention)
    np.testing.assert_array_equal(chosen, np.sort(fitted[-1]))


def test_dropped_tasks_are_tested_again(many, monkeypatch):
    """In the second round by the initialisation that they are not part of."""
    sizes = []
    scored = informativeness_scores

    def counted(learner, episodes, *args):
        sizes.append((learner, len(episodes)))
        return scored(learner, episodes, *args)

    monkeypatch.setattr(task_selection, "informativeness_scores", counted)
    tasks, _ = many
    found = selected(tasks, task_attention=True)
    by_learner = {}
    for learner, n in sizes:
        by_learner[learner] = by_learner.get(learner, 0) + n
    assert len(by_learner) >= 2
    assert set(by_learner.values()) == {60}
    assert next(iter(by_learner)) is found.first.learner


def test_losses_of_tasks_are_in_the_units_of_the_targets():
    tasks = make_linear_tasks(12, n_rows=12, n_features=2, random_state=0)
    scaled = TaskCollection([(task.X, 1000 * task.y) for task in tasks])
    of_each = []
    for some in (tasks, scaled):
        found = selected(some)
        losses = task_selection._losses(
            found.first, found.first.val_episodes, found.config
        )
        assert losses.shape == (len(found.first.val_episodes),)
        of_each.append(losses)
    np.testing.assert_allclose(of_each[1] - of_each[0], np.log(1000), atol=1e-3)


# End to end


@pytest.fixture(scope="module")
def spoilt():
    tasks = make_linear_tasks(n_tasks=40, n_rows=24, n_features=3, random_state=0)
    return shuffle_targets(tasks, 0.4, random_state=0)


def fitted(tasks, tiny, validation_tasks=None, **changes):
    parameters = tiny | {"max_epochs": 3, "steps_per_epoch": 8, "batch_size": 16}
    estimator = AttentionMetaRegressor(pooled_estimator=None, **parameters | changes)
    return estimator.meta_fit(tasks, validation_tasks=validation_tasks)


def test_shuffled_tasks_get_no_attention(spoilt, tiny):
    """Whatever their order and names."""
    tasks, shuffled = spoilt
    order = np.random.default_rng(3).permutation(40)
    named = {f"task {t}": (tasks[t].X, tasks[t].y) for t in order.tolist()}
    estimator = fitted(named, tiny)
    attention = estimator.task_attention_
    assert attention.shape == (40,)
    assert estimator.task_names_.tolist() == list(named)
    assert roc_auc_score(~shuffled[order], attention) >= 0.9
    assert attention.mean() == pytest.approx(1)
    assert (attention >= 0).all()
    assert attention[~shuffled[order]].mean() > 3 * attention[shuffled[order]].mean()


def test_without_task_attention_all_tasks_are_alike(spoilt, tiny):
    parameters = {"max_epochs": 1, "steps_per_epoch": 1, "task_attention": False}
    estimator = fitted(spoilt[0], tiny, **parameters)
    np.testing.assert_array_equal(estimator.task_attention_, np.ones(40))


@pytest.mark.parametrize(("asked_for", "attends"), [("auto", False), (True, True)])
def test_where_most_tasks_are_uninformative_all_are_kept(asked_for, attends, tiny):
    tasks = make_linear_tasks(n_tasks=40, n_rows=24, n_features=3, random_state=0)
    tasks, _ = shuffle_targets(tasks, 0.7, random_state=0)
    estimator = fitted(tasks, tiny, task_attention=asked_for)
    assert (np.ptp(estimator.task_attention_) > 0) == attends


def test_sound_tasks_are_all_attended_to(tiny):
    tasks = make_linear_tasks(n_tasks=40, n_rows=24, n_features=3, random_state=0)
    estimator = fitted(tasks, tiny, task_attention=True)
    np.testing.assert_array_equal(estimator.task_attention_, np.ones(40))


def test_given_validation_tasks_take_no_attention(spoilt, tiny):
    tasks, shuffled = spoilt
    estimator = fitted(tasks[:30], tiny, tasks[30:], task_attention=True)
    assert estimator.task_attention_.shape == (30,)
    assert estimator.task_attention_.mean() == pytest.approx(1)
    assert roc_auc_score(~shuffled[:30], estimator.task_attention_) >= 0.9
