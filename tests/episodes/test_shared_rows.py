import numpy as np
import pytest
import torch

from skmeta import TaskCollection
from skmeta._episodes.shared_rows import (
    EPISODES_PER_GROUP,
    MAX_GROUP_ROWS,
    NWaySampler,
    SharedRowSampler,
)

SIZES = {"a": [5, 9, 2, 1], "b": [3, 3, 30], "none": [1, 1, 4]}


@pytest.fixture
def tasks():
    """Tasks with so many rows a class; a row is its own place in all of them."""
    counts = np.concatenate([*SIZES.values()])
    y = np.repeat(np.arange(len(counts)), counts)
    groups = np.repeat([*SIZES], [sum(sizes) for sizes in SIZES.values()])
    return TaskCollection.from_arrays(np.arange(len(y))[:, None], y, groups)


def draw(tasks, n_way=(2, 4), n_support=(1, 5), n_episodes=64, n_query=8):
    sampler = NWaySampler(tasks, torch.tensor(tasks.X), n_way, n_support, n_query)
    return sampler, sampler.draw(n_episodes, np.random.default_rng(0))


def test_rows_of_a_group_are_of_one_task_and_carry_its_classes(tasks):
    _, batch = draw(tasks)
    starts = tasks.offsets
    for g, task in enumerate(batch.task):
        there = batch.present[g]
        rows = batch.x[g][there, 0].long().numpy()
        assert len(set(rows)) == len(rows)
        assert (rows >= starts[task]).all()
        assert (rows < starts[task + 1]).all()
        labels, code = tasks.y[rows], batch.y[g][there].numpy()
        assert len(set(zip(labels, code, strict=True))) == len(set(labels))


def test_each_class_of_an_episode_has_support_and_query_rows(tasks):
    _, batch = draw(tasks)
    n_classes = int(batch.y.max()) + 1
    y = torch.nn.functional.one_hot(batch.y, n_classes).float()
    support, query = batch.support @ y, batch.query @ y
    assert ((support > 0) == (query > 0)).all()
    ways = (support > 0).sum(-1)
    assert ways.min() == 2
    assert ways.max() == 3  # of two rows or more there are three classes
    assert support.max() <= 5
    assert not (batch.support * batch.query).any()
    assert not (batch.support + batch.query)[~batch.present[:, None].expand(
        batch.support.shape)].any()  # fmt: skip


def test_ways_and_shots_differ_between_episodes_of_a_group(tasks):
    _, batch = draw(tasks)
    assert batch.support.shape[1] == EPISODES_PER_GROUP
    sizes = batch.support.sum(-1)
    assert (sizes.std(1) > 0).any()


def test_tasks_without_two_classes_of_two_rows_are_never_drawn(tasks):
    sampler, batch = draw(tasks)
    assert [tasks.names[t] for t in sampler.drawable] == ["a", "b"]
    assert "none" not in {tasks.names[t] for t in batch.task}


def test_groups_have_bounded_rows():
    y = np.repeat(np.arange(30), 40)
    tasks = TaskCollection({"all": (np.zeros((len(y), 1)), y)})
    _, batch = draw(tasks, n_way=(20, 20), n_support=(1, 25), n_query=32)
    assert batch.present.sum(1).max() <= MAX_GROUP_ROWS


def test_same_seed_same_draw(tasks):
    first, again = draw(tasks)[1], draw(tasks)[1]
    for name, value in vars(first).items():
        torch.testing.assert_close(value, getattr(again, name))


def test_groups_of_tasks_with_shared_targets(tasks):
    y = np.linspace(0, 1, len(tasks.y), dtype=np.float32)
    sampler = SharedRowSampler(tasks, torch.tensor(tasks.X), y, (0, 6), 4)
    batch = sampler.draw(64, np.random.default_rng(0))
    rows = batch.x[batch.present][:, 0].long().numpy()
    np.testing.assert_array_equal(batch.y[batch.present], y[rows])
    n_support = batch.support.sum(-1)
    assert n_support.min() == 0
    assert n_support.max() <= 6
    assert (batch.query.sum(-1) >= 1).all()
    total = (batch.support + batch.query).bool()
    assert (total == batch.present[:, None]).all()
