import numpy as np
import torch
from scipy.spatial.distance import cdist

from skmeta._networks.nway.similarity import MAX_RELATED, similar_tasks


def relations_of(embeddings, memory):
    """The formula for a memory of at most `MAX_RELATED` tasks."""
    among = cdist(memory, memory)
    h = np.median(np.where(among > 0, among, np.inf).min(1))
    weights = np.exp(-(cdist(embeddings, memory) ** 2) / 2 / h**2)
    null = np.median(np.exp(-(among**2) / 2 / h**2).sum(1))
    return weights / (null + weights.sum(1, keepdims=True))


def test_relations_are_attention_weights_with_a_null_option():
    rng = np.random.default_rng(0)
    memory, embeddings = rng.normal(size=(7, 4)), rng.normal(size=(3, 4))
    found = similar_tasks(torch.from_numpy(embeddings), memory)
    p = found.log_relation.exp().numpy()
    np.testing.assert_allclose(p.sum(1), 1)
    expected = relations_of(embeddings, memory)
    np.testing.assert_allclose(
        p[:, :-1], np.take_along_axis(expected, found.index.numpy(), 1)
    )
    assert (np.diff(p[:, :-1], axis=1) <= 0).all()


def test_the_most_similar_tasks_take_the_share_of_all():
    rng = np.random.default_rng(0)
    memory, embeddings = rng.normal(size=(41, 4)), rng.normal(size=(3, 4))
    found = similar_tasks(torch.from_numpy(embeddings), memory)
    expected = relations_of(embeddings, memory)
    assert found.index.shape == (3, MAX_RELATED)
    strongest = np.argsort(-expected, 1)[:, :MAX_RELATED]
    np.testing.assert_array_equal(found.index, strongest)
    p = found.log_relation.exp().numpy()[:, :-1]
    np.testing.assert_allclose(p.sum(1), expected.sum(1))
    kept = np.take_along_axis(expected, strongest, 1)
    np.testing.assert_allclose(p / p[:, :1], kept / kept[:, :1])


def test_a_typical_task_has_a_half_and_one_unlike_all_nothing():
    memory = np.full((5, 16), 2.0)
    typical, unlike = memory[:1], -memory[:1]
    found = similar_tasks(torch.from_numpy(np.vstack([typical, unlike])), memory)
    familiarity = 1 - found.log_relation[:, -1].exp()
    np.testing.assert_allclose(familiarity, [0.5, 0.0], atol=1e-12)


def test_one_task_in_memory():
    memory = np.ones((1, 4))
    for embedding in memory, -memory:
        found = similar_tasks(torch.from_numpy(embedding), memory)
        np.testing.assert_allclose(found.log_relation.exp(), [[0.5, 0.5]])
