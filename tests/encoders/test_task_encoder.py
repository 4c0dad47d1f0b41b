"""Task encoders: a support is a weighted set of rows, whatever their order."""

import numpy as np
import pytest
import torch

from skmeta._episodes.batch import Rows
from skmeta._networks.encoders.attention import Attention
from skmeta._networks.encoders.task_encoder import (
    AttentionPooling,
    ColumnEncoder,
    SelfAttentionPooling,
    TransformerEncoder,
)
from skmeta._utils.random import Dropout

N_TASKS, N_ROWS, N_FEATURES = 3, 6, 4
COUNTS = [2, 1, 3, 0, 1, 2]


def assert_close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


@pytest.fixture
def rows(gp):
    return gp.rows(N_TASKS, N_ROWS, N_FEATURES)[0]


@pytest.fixture
def target(gp):
    return gp.rows(N_TASKS, N_ROWS, N_FEATURES, seed=11)[1][..., None]


@pytest.fixture(params=[AttentionPooling, SelfAttentionPooling, TransformerEncoder])
def pooling(gp, request):
    encoder = request.param(
        N_FEATURES, n_offset=1, n_targets=1, embed_dim=8, n_heads=2, n_layers=2
    )
    return gp.randomise(encoder, seed=3).eval().requires_grad_(False)


@pytest.fixture
def columns(gp):
    encoder = ColumnEncoder(N_FEATURES, n_targets=1, dim=8)
    return gp.randomise(encoder, seed=4).requires_grad_(False)


def assert_same_encoding(a, b):
    assert_close(a.task, b.task)
    assert_close(a.columns, b.columns)


def test_shapes(pooling, rows, target):
    encoding = pooling(rows, target)
    assert encoding.task.shape == (N_TASKS, 8)
    assert encoding.columns.shape == (N_TASKS, N_FEATURES, 16)


def test_order_of_rows_plays_no_part(pooling, rows, target):
    order = [4, 0, 5, 2, 1, 3]
    shuffled = Rows(*(t[:, order] for t in rows))
    assert_same_encoding(pooling(shuffled, target[:, order]), pooling(rows, target))


@pytest.mark.parametrize("part", ["task", "columns"])
def test_which_target_belongs_to_which_row_plays_a_part(pooling, rows, target, part):
    before = getattr(pooling(rows, target), part)
    after = getattr(pooling(rows, target.flip(1)), part)
    assert (before - after).abs().amax((-1,)).min() > 1e-4


def test_padding_plays_no_part(pooling, rows, target, gp):
    more, y = gp.padded(rows, target[..., 0])
    assert_same_encoding(pooling(more, y[..., None]), pooling(rows, target))


def test_weight_is_a_number_of_rows(pooling, rows, target, gp):
    repeated, index = gp.repeated(rows, COUNTS)
    assert_same_encoding(
        pooling(gp.weighted(rows, COUNTS), target),
        pooling(repeated, target[:, index]),
    )
    assert (pooling(repeated, target[:, index]).task - pooling(rows, target).task).any()


def test_empty_support_has_an_embedding(pooling, rows, target):
    none = Rows(*(t[:, :0] for t in rows))
    encoding = pooling(none, target[:, :0])
    assert encoding.task.isfinite().all()
    assert encoding.columns.isfinite().all()
    hidden = rows._replace(weight=torch.zeros_like(rows.weight))
    assert_same_encoding(pooling(hidden, target), encoding)
    assert_close(encoding.task, encoding.task[:1].expand(N_TASKS, -1))


def test_empty_task_among_others_leaves_gradients_finite(pooling, rows, target):
    pooling.requires_grad_(True)
    rows.weight[0] = 0
    encoding = pooling(rows, target)
    (encoding.task.square().sum() + encoding.columns.square().sum()).backward()
    assert all(p.grad.isfinite().all() for p in pooling.parameters())


def test_null_token_weighs_one_row(pooling, rows, target):
    tokens, log_weight = pooling.tokens.rows(rows, target)
    assert tokens.shape == (N_TASKS, 1 + N_ROWS, 8)
    assert_close(tokens[:, 0], pooling.tokens.rows.null[0].expand(N_TASKS, -1))
    assert_close(log_weight, torch.zeros(N_TASKS, 1 + N_ROWS).double())


# Attention


@pytest.fixture
def attention(gp):
    return gp.randomise(Attention(dim=8, n_heads=2), seed=5).requires_grad_(False)


@pytest.fixture
def queries():
    return torch.from_numpy(np.random.default_rng(6).normal(size=(N_TASKS, 2, 8)))


@pytest.fixture
def keys():
    return torch.from_numpy(np.random.default_rng(7).normal(size=(N_TASKS, 5, 8)))


def log_weights():
    return torch.tensor([1.0, 0.0, 2.0, 0.5, 3.0]).double().log().expand(N_TASKS, -1)


@pytest.mark.parametrize("log_weight", [None, log_weights()])
def test_attention_averages_values_by_the_softmax_of_scaled_products(
    attention, queries, keys, log_weight
):
    key, value = attention.key_value(keys).chunk(2, -1)
    heads = []
    for h in (slice(0, 4), slice(4, 8)):
        logits = attention.query(queries)[..., h] @ key[..., h].transpose(1, 2) / 2
        if log_weight is not None:
            logits = logits + log_weight[:, None]
        weights = logits.softmax(-1)
        assert (weights[..., 1] == 0).all() == (log_weight is not None)
        heads.append(weights @ value[..., h])
    expected = attention.out(torch.cat(heads, -1))
    found = attention(queries, attention.keys_values(keys), log_weight)
    assert_close(found, expected)


# Columns


def test_columns_are_equivariant(columns, rows, target):
    order = [2, 0, 3, 1]
    expected = columns(rows, target)[:, order]
    assert (expected - columns(rows, target)).abs().max() > 1e-3
    with torch.no_grad():
        columns.identity.copy_(columns.identity[order].clone())
    permuted = columns(rows._replace(x=rows.x[..., order]), target)
    assert_close(permuted, expected)


def test_identity_tells_columns_apart(columns, rows, target):
    same = rows._replace(x=rows.x[..., :1].expand(-1, -1, N_FEATURES))
    told_apart = columns(same, target)
    assert (told_apart[:, 0] - told_apart[:, 1]).abs().max() > 1e-3
    with torch.no_grad():
        columns.identity.zero_()
    alike = columns(same, target)
    assert_close(alike[:, 0], alike[:, 1])


# Self-attention


def test_rows_are_compared_with_one_another(gp, rows, target):
    """What one row says of the task depends on the others, but for the pooling."""
    encoder = SelfAttentionPooling(
        N_FEATURES, n_offset=1, n_targets=1, embed_dim=8, n_heads=2, n_layers=1
    )
    gp.randomise(encoder, seed=3).eval().requires_grad_(False)
    tokens, log_weight, _ = encoder.tokens(rows, target)
    mixed = encoder.among_rows.among(tokens, log_weight)
    moved = rows.x.clone()
    moved[:, 0] += 1.0
    tokens, log_weight, _ = encoder.tokens(rows._replace(x=moved), target)
    others = encoder.among_rows.among(tokens, log_weight)[:, 2:7]
    assert (others - mixed[:, 2:7]).abs().amax((1, 2)).min() > 1e-3


# Dropout


def test_dropout_draws_from_its_own_generator():
    x = torch.ones(50, 40)
    before = torch.get_rng_state()
    a, b = Dropout(0.25, seed=0), Dropout(0.25, seed=0)
    first, second = a(x), a(x)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)  # the global state has no influence either
    assert torch.equal(b(x), first)
    assert torch.equal(b(x), second)
    assert not torch.equal(first, second)
    assert not torch.equal(Dropout(0.25, seed=1)(x), first)


def test_dropout_keeps_the_mean_and_does_nothing_in_evaluation():
    x = torch.ones(200, 200)
    dropout = Dropout(0.25, seed=0)
    dropped = dropout(x)
    assert set(dropped.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    share = (dropped == 0).float().mean().item()
    assert abs(share - 0.25) < 5 * (0.25 * 0.75 / 40_000) ** 0.5
    assert torch.equal(dropout.eval()(x), x)
    assert torch.equal(Dropout(0.0, seed=0)(x), x)


def test_embedding_is_dropped_out_in_training_alone(pooling, rows, target):
    whole = pooling(rows, target)
    before = torch.get_rng_state()
    dropped = pooling.train()(rows, target)
    assert torch.equal(torch.get_rng_state(), before)
    kept = dropped.task != 0
    assert 0 < (~kept).sum() < kept.numel() / 2
    assert_close(dropped.task[kept], whole.task[kept] / 0.9)
    assert_close(dropped.columns, whole.columns)
