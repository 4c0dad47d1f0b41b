"""Draws of support and query rows, and the batches that they become."""

import numpy as np
import pytest
import torch

from skmeta._episodes.batch import pad
from skmeta._episodes.sampler import Episodes, draw_rows, log_uniform_sizes
from skmeta._preprocessing.scaling import ClassCodec, FeatureScaler, TargetScaler
from skmeta.tasks import TaskCollection

SIZES = np.array([2, 3, 9, 40, 15])


@pytest.fixture
def tasks():
    """Tasks of SIZES rows; the target is 1000 task + row, and so is the feature 0."""
    rng = np.random.default_rng(0)
    pairs = []
    for task, n in enumerate(SIZES):
        y = 1000.0 * task + np.arange(n)
        pairs.append((np.column_stack([y, rng.normal(size=n)]), y))
    return TaskCollection(pairs)


@pytest.fixture
def offset(tasks):
    """Offsets of rows: their targets plus a half."""
    return (tasks.y + 0.5)[:, None].astype(np.float32)


UNSCALED = FeatureScaler(np.zeros(2), np.full(2, 1e4)), TargetScaler(0.0, 1.0)


@pytest.fixture
def episodes(tasks, offset):
    return Episodes(tasks, *UNSCALED, offset)


def rng(seed=0):
    return np.random.default_rng(seed)


# Sizes


def test_sizes_reach_both_ends():
    quantiles = np.linspace(0, 1, 10_000, endpoint=False)
    for low, high in ((0, 25), (1, 1), (3, 7), (0, 0), (0, 1)):
        sizes = log_uniform_sizes(low, high, quantiles)
        assert sizes.min() == low
        assert sizes.max() == high
        assert set(sizes) == set(range(low, high + 1))


def test_sizes_are_uniform_on_the_scale_of_the_logarithm():
    sizes = log_uniform_sizes(0, 25, np.linspace(0, 1, 100_000, endpoint=False))
    share = np.bincount(sizes) / len(sizes)
    expected = np.diff(np.log(np.arange(1, 28))) / np.log(27)
    np.testing.assert_allclose(share, expected, atol=1e-4)


def test_sizes_rise_with_the_quantile():
    sizes = log_uniform_sizes(2, 60, np.linspace(0, 1, 500, endpoint=False))
    assert (np.diff(sizes) >= 0).all()


# Rows


@pytest.mark.parametrize("n_query", [1, 5, 100])
@pytest.mark.parametrize("k", [0, 1, 4, 39])
def test_drawn_rows_are_disjoint_and_as_many_as_asked_for(k, n_query):
    for seed in range(20):
        support, query = draw_rows(SIZES, np.full(5, k), n_query, rng(seed))
        for task, size in enumerate(SIZES):
            s, q = (side[task][side[task] >= 0] for side in (support, query))
            assert len(s) == min(k, size - 1)
            assert len(q) == min(n_query, size - len(s))
            together = np.concatenate([s, q])
            assert len(set(together)) == len(together)
            assert together.min() >= 0
            assert together.max() < size


def test_each_task_has_a_size_of_its_own():
    k = np.array([1, 2, 5, 0, 14])
    support, query = draw_rows(SIZES, k, 3, rng())
    np.testing.assert_array_equal((support >= 0).sum(1), k)
    np.testing.assert_array_equal((query >= 0).sum(1), [1, 1, 3, 3, 1])
    assert support.shape == (5, 14)
    assert query.shape == (5, 3)


def test_padding_comes_last():
    support, _ = draw_rows(SIZES, np.full(5, 8), 1, rng())
    present = support >= 0
    assert (np.diff(present.astype(int), axis=1) <= 0).all()


@pytest.mark.parametrize("size", [6, 60])
def test_every_row_is_drawn_alike(size):
    """Whether few of the rows are drawn or most of them."""
    n_draws = 4000
    sizes = np.full(n_draws, size)
    support, query = draw_rows(sizes, np.full(n_draws, 2), 2, rng())
    for side in (support, query):
        count = np.bincount(side.ravel(), minlength=size)
        expected = 2 * n_draws / size
        assert np.abs(count - expected).max() < 5 * expected**0.5
    pairs = {tuple(row) for row in np.hstack([support, query])[:, [0, 2]]}
    assert len(pairs) > 0.5 * min(n_draws, size * (size - 1))


def test_seed_decides_the_rows():
    one, same, other = (draw_rows(SIZES, np.full(5, 4), 3, rng(s)) for s in (0, 0, 1))
    np.testing.assert_array_equal(np.hstack(one), np.hstack(same))
    assert (np.hstack(one) != np.hstack(other)).any()


# Batches


def test_batch_holds_rows_of_the_right_tasks(episodes):
    indices = np.array([3, 0, 4, 3])
    batch = episodes.draw(indices, 5, 6, rng())
    assert len(batch) == 4
    n_support = np.minimum(5, SIZES - 1)
    n_query = np.minimum(6, SIZES - n_support)
    for side, n in (("support", n_support), ("query", n_query)):
        y, weight, x, offset = (
            getattr(batch, f"{part}_{side}").numpy()
            for part in ("y", "weight", "x", "offset")
        )
        for row, task in enumerate(indices):
            present = weight[row] > 0
            assert present.sum() == n[task]
            assert (y[row, present] // 1000 == task).all()
            assert (y[row, present] % 1000 < SIZES[task]).all()
            np.testing.assert_allclose(
                x[row, present, 0] * 1e4, y[row, present], rtol=1e-6
            )
            np.testing.assert_array_equal(
                offset[row, present, 0], y[row, present] + 0.5
            )


def test_support_and_query_are_disjoint(episodes):
    for seed in range(20):
        batch = episodes.draw(np.arange(5), 7, 50, rng(seed))
        support, query = batch.y_support.numpy(), batch.y_query.numpy()
        for task, size in enumerate(SIZES):
            s = support[task][batch.weight_support[task].numpy() > 0]
            q = query[task][batch.weight_query[task].numpy() > 0]
            assert not set(s) & set(q)
            assert len(s) + len(q) == size


def test_padding_is_zero(episodes):
    batch = episodes.draw(np.arange(5), 8, 20, rng())
    for side in ("support", "query"):
        hidden = getattr(batch, f"weight_{side}") == 0
        assert hidden.any()
        for part in ("x", "offset", "y"):
            assert (getattr(batch, f"{part}_{side}")[hidden] == 0).all()
        assert (getattr(batch, f"weight_{side}")[~hidden] == 1).all()


def test_support_of_no_rows_is_all_padding(episodes):
    batch = episodes.draw(np.arange(5), 0, 4, rng())
    assert (batch.weight_support == 0).all()
    assert (batch.weight_query.sum(1) > 0).all()


def test_seed_decides_the_batch(episodes):
    one, same, other = (episodes.draw(np.arange(5), 4, 6, rng(s)) for s in (0, 0, 1))
    for name, tensor in vars(one).items():
        assert torch.equal(tensor, getattr(same, name))
    assert not torch.equal(one.y_support, other.y_support)


def test_values_are_those_of_the_scalers(tasks, offset):
    features = FeatureScaler.fit(tasks.X)
    targets = TargetScaler.fit(tasks.y)
    batch = Episodes(tasks, features, targets, offset).draw(np.arange(5), 8, 20, rng())
    y = batch.y_support.numpy().astype(float) * targets.scale + targets.mean
    present = batch.weight_support.numpy() > 0
    row = np.searchsorted(tasks.y, np.round(y[present]))
    assert (tasks.y[row] == np.round(y[present])).all()
    np.testing.assert_array_equal(
        batch.x_support.numpy()[present], features.transform(tasks.X[row])
    )
    np.testing.assert_array_equal(
        batch.offset_support.numpy()[present], targets.transform_offset(offset[row])
    )
    for name, tensor in vars(batch).items():
        assert tensor.dtype == torch.float32, name


def test_without_a_pooled_estimator_the_prior_is_zero(tasks):
    batch = Episodes(tasks, *UNSCALED).draw(np.arange(5), 3, 3, rng())
    assert batch.offset_support.shape == (5, 3, 1)
    assert not batch.offset_support.any()
    assert not batch.offset_query.any()


def test_labels_are_encoded():
    pairs = [([[0.0], [1.0], [2.0]], ["a", "b", "c"]), ([[3.0], [4.0]], ["c", "c"])]
    tasks = TaskCollection(pairs)
    encoder = ClassCodec(np.array(["a", "b", "c"]))
    scaler = FeatureScaler(np.zeros(1), np.ones(1))
    batch = Episodes(tasks, scaler, encoder).draw(np.arange(2), 2, 1, rng())
    assert batch.y_support.dtype == torch.int64
    assert batch.offset_support.shape == (2, 2, 3)
    np.testing.assert_array_equal(batch.y_support[0], batch.x_support[0, :, 0])
    np.testing.assert_array_equal(batch.y_support[1], [2, 0])  # a row, and padding


def test_drawing_leaves_the_collection_as_it_is(tasks, offset, episodes):
    X, y = tasks.X.copy(), tasks.y.copy()
    before = episodes.offset.copy()
    episodes.draw(np.arange(5), 8, 20, rng())
    np.testing.assert_array_equal(tasks.X, X)
    np.testing.assert_array_equal(tasks.y, y)
    np.testing.assert_array_equal(episodes.offset, before)


def test_parts_of_a_batch(episodes):
    batch = episodes.draw(np.arange(5), 3, 4, rng())
    assert batch.support().x is batch.x_support
    assert torch.equal(batch.query().weight, batch.weight_query)  # each task's is 1
    assert set(batch.inputs()) == {
        "x_support", "offset_support", "weight_support", "y_support",
        "x_query", "offset_query",
    }  # fmt: skip
    y, weight = batch.target()
    assert y is batch.y_query
    assert weight is batch.weight_query


def test_pad():
    padded = pad([np.ones((2, 3)), np.ones((0, 3)), np.ones((4, 3))])
    assert padded.shape == (3, 4, 3)
    np.testing.assert_array_equal(padded.sum((1, 2)), [6, 0, 12])
    assert padded[0, 2:].eq(0).all()
    assert pad([np.ones(0), np.ones(0)]).shape == (2, 1)


# Parts of batches, and their rows


def ragged_batch(episodes):
    return episodes.draw([4, 1, 3, 2, 0], [5, 1, 2, 0, 1], 3, rng())


def test_rows_follow_one_another(episodes):
    batch = ragged_batch(episodes)
    support, query = batch.support(), batch.query()
    n = support.x.shape[1]
    for rows in (support.followed_by(query), batch.rows()[0]):
        assert type(rows) is type(support)
        for part, first, others in zip(rows, support, query, strict=True):
            assert torch.equal(part[:, :n], first)
            assert torch.equal(part[:, n:], others)
    y = batch.rows()[1]
    assert torch.equal(y[:, :n], batch.y_support)
    assert torch.equal(y[:, n:], batch.y_query)


@pytest.mark.parametrize(("n", "sizes"), [(1, [1] * 5), (2, [2, 2, 1]), (5, [5])])
def test_batches_are_split_by_tasks(episodes, n, sizes):
    batch = ragged_batch(episodes)
    parts = batch.split(n)
    assert [len(part) for part in parts] == sizes
    for name, whole in vars(batch).items():
        each = [getattr(part, name) for part in parts]
        assert torch.equal(torch.cat(each), whole)
