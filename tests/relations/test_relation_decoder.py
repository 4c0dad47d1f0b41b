"""Relations that a decoder reads off the rows of a task."""

import math

import pytest
import torch

from skmeta._networks.encoders.task_encoder import TaskEncoding
from skmeta._networks.relations.decoder import DecodedRelations
from skmeta._networks.relations.relations import MASKED
from skmeta._training.similarity import concatenate

N_TASKS, N_REMEMBERED, N_TOKENS, EMBED_DIM = 3, 5, 6, 8


def assert_close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


def normal(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture
def relations(gp):
    """Relations whose decoder refines much."""
    relations = gp.randomise(DecodedRelations(EMBED_DIM), seed=3)
    return relations.requires_grad_(False)


def make_encoding(n_tokens=N_TOKENS, seed=1):
    log_weight = normal(N_TASKS, n_tokens, seed=seed + 2)
    return TaskEncoding(
        normal(N_TASKS, EMBED_DIM, seed=seed),
        normal(N_TASKS, 2, 3, seed=seed + 1),
        normal(N_TASKS, n_tokens, EMBED_DIM, seed=seed + 3),
        log_weight,
    )


@pytest.fixture
def encoding():
    return make_encoding()


@pytest.fixture
def keys():
    return normal(N_TASKS, N_REMEMBERED, EMBED_DIM, seed=7)


@pytest.fixture
def similarity():
    return normal(N_TASKS, N_REMEMBERED, seed=8)


def test_untrained_decoder_refines_nothing(encoding, keys, similarity):
    relations = DecodedRelations(EMBED_DIM).double()
    assert torch.equal(relations.decode(similarity, encoding, keys), similarity)


def test_refinement_is_added_to_the_similarity(relations, encoding, keys, similarity):
    refined = relations.decode(similarity, encoding, keys)
    refinement = relations.decode(0 * similarity, encoding, keys)
    assert_close(refined, similarity + refinement)
    assert refinement.std(1).min() > 1e-3


def test_similarity_is_that_of_the_embeddings(relations, encoding, keys):
    """The decoder has no part in it."""
    before = relations.similarity(encoding.task, keys[0])
    assert before.shape == (N_TASKS, N_REMEMBERED)
    for p in relations.decoder_parameters():
        p.zero_()
    assert torch.equal(relations.similarity(encoding.task, keys[0]), before)


def test_decoder_parameters_are_all_that_refines(relations, encoding, keys, similarity):
    parameters = relations.decoder_parameters()
    for p in relations.parameters():
        p.requires_grad_(True)
    relations.decode(similarity, encoding, keys).square().sum().backward()
    moved = [p for p in relations.parameters() if p.grad is not None]
    assert {id(p) for p in moved} == {id(p) for p in parameters}


# What plays no part


def test_tasks_remembered_do_not_meet(relations, encoding, keys, similarity):
    """Not in whatever order, nor if some are dropped or others put in their place."""
    together = relations.decode(similarity, encoding, keys)
    some = [3, 0, 4]
    found = relations.decode(similarity[:, some], encoding, keys[:, some])
    assert_close(found, together[:, some])
    keys = torch.cat([keys[:, :2], 100 * keys[:, 2:]], 1)
    found = relations.decode(similarity, encoding, keys)
    assert_close(found[:, :2], together[:, :2])
    assert (found[:, 2:] - together[:, 2:]).abs().max() > 1e-3


def test_tasks_of_a_batch_do_not_meet(relations, encoding, keys, similarity, gp):
    together = relations.decode(similarity, encoding, keys)
    for task in range(N_TASKS):
        one, alone = slice(task, task + 1), gp.encoding_of(encoding, task)
        found = relations.decode(similarity[one], alone, keys[one])
        assert_close(found, together[one])


def test_order_of_the_tokens_plays_no_part(relations, encoding, keys, similarity):
    order = [2, 5, 0, 1, 4, 3]
    shuffled = encoding._replace(
        tokens=encoding.tokens[:, order], log_weight=encoding.log_weight[:, order]
    )
    found = relations.decode(similarity, shuffled, keys)
    assert_close(found, relations.decode(similarity, encoding, keys))


def test_hidden_tokens_play_no_part(relations, encoding, keys, similarity):
    hidden = encoding.log_weight.clone()
    hidden[:, 2:4] = -torch.inf
    hidden = encoding._replace(log_weight=hidden)
    kept = [0, 1, 4, 5]
    fewer = encoding._replace(
        tokens=encoding.tokens[:, kept], log_weight=encoding.log_weight[:, kept]
    )
    expected = relations.decode(similarity, fewer, keys)
    assert_close(relations.decode(similarity, hidden, keys), expected)
    whole = relations.decode(similarity, encoding, keys)
    assert (whole - expected).abs().max() > 1e-4


def test_weight_of_a_token_is_a_number_of_them(relations, encoding, keys, similarity):
    twice = encoding.log_weight.clone()
    twice[:, 1] += math.log(2)
    expected = relations.decode(similarity, encoding._replace(log_weight=twice), keys)
    order = [0, 1, 1, 2, 3, 4, 5]
    repeated = encoding._replace(
        tokens=encoding.tokens[:, order], log_weight=encoding.log_weight[:, order]
    )
    assert_close(relations.decode(similarity, repeated, keys), expected)


def test_task_that_is_hidden_stays_hidden(relations, encoding, keys, similarity):
    similarity = similarity.clone()
    similarity[:, 2] = MASKED
    share = relations.decode(similarity, encoding, keys).softmax(1)
    assert (share[:, 2] == 0).all()


# Training


def test_encodings_of_several_batches_are_concatenated(relations, keys, similarity):
    """Those of fewer rows are padded, and nothing is read of the padding."""
    batches = [make_encoding(n, seed) for n, seed in ((4, 20), (6, 30), (3, 40))]
    joined = concatenate(batches)
    assert joined.tokens.shape == (3 * N_TASKS, 6, EMBED_DIM)
    found = relations.decode(similarity.repeat(3, 1), joined, keys.repeat(3, 1, 1))
    expected = [relations.decode(similarity, one, keys) for one in batches]
    assert_close(found, torch.cat(expected))
    assert_close(joined.task, torch.cat([one.task for one in batches]))


def test_encodings_without_tokens_are_concatenated():
    batches = [make_encoding()._replace(tokens=None, log_weight=None)] * 2
    joined = concatenate(batches)
    assert joined.tokens is joined.log_weight is None
    assert joined.columns.shape == (2 * N_TASKS, 2, 3)


@pytest.mark.parametrize("name", ["regressor-transformer", "binary-transformer"])
def test_transformer_has_decoded_relations(name, meta_fitted):
    learner = meta_fitted.original(name).meta_state_.network.learner
    assert isinstance(learner.relations, DecodedRelations)


def test_relations_are_decoded_from_the_rows(meta_fitted):
    name = "regressor-transformer"
    estimator = meta_fitted(name)
    X, y, _ = meta_fitted.task(name)
    state = estimator.meta_state_
    learner, rows, y = state.network.learner, state.rows(X), state.encoded(y)
    encoding = state.network.encoder(rows, learner.targets(rows, y))
    relations = learner.relations
    found = learner.lookup(rows, y, encoding, exclude=torch.tensor([5])).similarity
    keys = learner.memory.keys
    similarity = relations.similarity(encoding.task, keys)
    expected = relations.decode(similarity, encoding, keys[None])
    assert found[0, 5] == MASKED
    others = torch.arange(len(keys)) != 5
    torch.testing.assert_close(found[:, others], expected[:, others])
