"""A decoder of query rows that corrects what a base learner predicts of them."""

import numpy as np
import pytest
import torch

from skmeta._networks.encoders.task_encoder import TransformerEncoder
from skmeta._networks.learners.gp_classification import GaussianProcessClassification
from skmeta._networks.learners.gp_regression import GaussianProcessRegression
from skmeta._networks.learners.predictive import Categorical, Gaussian
from skmeta._networks.learners.row_decoder import MAX_CORRECTION, RowDecodingLearner
from skmeta._networks.learners.wrapper import unwrap

N_TASKS, N_ROWS, N_QUERY, N_FEATURES = 2, 5, 7, 3
COUNTS = [2, 1, 3, 0, 1]
N_OUTPUTS = {"numbers": 1, "two classes": 2, "three classes": 3}

every = pytest.mark.parametrize("kind", N_OUTPUTS)


def assert_close(a, b, atol=1e-9):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=atol)


def make_base(gp, kind):
    n = N_OUTPUTS[kind]
    prior = gp.prior(N_FEATURES, n_offset=n, n_outputs=n)
    kind = GaussianProcessRegression if n == 1 else GaussianProcessClassification
    return kind(prior).eval()


def untrained(base, kind):
    learner = RowDecodingLearner(
        base,
        N_FEATURES + N_OUTPUTS[kind],
        max(2, N_OUTPUTS[kind]),
        embed_dim=4,
        n_heads=2,
        n_layers=2,
    )
    return learner.double().eval().requires_grad_(False)


@pytest.fixture
def kind():
    return "numbers"


@pytest.fixture
def base(gp, kind):
    return make_base(gp, kind)


@pytest.fixture
def learner(gp, base, kind):
    """A learner whose decoder corrects much."""
    learner = untrained(base, kind)
    gp.randomise(learner.decoder, seed=13, scale=1.0).requires_grad_(False)
    return learner.eval()


@pytest.fixture
def support(gp, kind):
    n = N_OUTPUTS[kind]
    rows, y = gp.rows(N_TASKS, N_ROWS, N_FEATURES, n)
    return rows, y if n == 1 else torch.arange(N_ROWS).expand(N_TASKS, -1) % n


@pytest.fixture
def query(gp, kind):
    return gp.rows(N_TASKS, N_QUERY, N_FEATURES, N_OUTPUTS[kind], seed=5)[0]


@pytest.fixture
def encode(gp, kind, base):
    """``encode(rows, y)`` encodes, by a random Transformer."""
    n = N_OUTPUTS[kind]
    encoder = TransformerEncoder(
        N_FEATURES, n, n, embed_dim=4, n_heads=2, n_layers=1, column_dim=4
    )
    gp.randomise(encoder, seed=3).eval().requires_grad_(False)

    def encode(rows, y):
        encoding = encoder(rows, base.targets(rows, y))
        return encoding._replace(columns=encoding.columns[..., :3])

    return encode


@pytest.fixture
def adapted(learner, encode, support):
    return learner.adapt(*support, encode(*support))


def parts(prediction):
    return tuple(prediction)


def assert_same_prediction(a, b, atol=1e-9):
    for one, other in zip(parts(a), parts(b), strict=True):
        assert_close(one, other, atol)


@every
def test_untrained_decoder_corrects_nothing(base, kind, encode, support, query):
    learner, encoding = untrained(base, kind), encode(*support)
    adapted = learner.adapt(*support, encoding)
    expected = base.predict(base.adapt(*support, encoding), query)
    assert_same_prediction(learner.predict(adapted, query), expected, 0)


@every
def test_trained_decoder_corrects(base, learner, adapted, query):
    corrected = parts(learner.predict(adapted, query))
    before = parts(base.predict(adapted.base, query))
    for one, other in zip(corrected, before, strict=True):
        assert (one - other).abs().median() > 0.05


# What plays no part


@every
def test_rows_are_decoded_each_by_itself(gp, learner, adapted, query):
    together = parts(learner.predict(adapted, query))
    order = [3, 0, 6]
    some = type(query)(*(t[:, order] for t in query))
    some.x[:, 1:] *= 100.0
    for one, whole in zip(parts(learner.predict(adapted, some)), together, strict=True):
        assert_close(one[:, 0], whole[:, 3])


@every
def test_order_of_the_support_plays_no_part(learner, adapted, encode, support, query):
    order = [4, 0, 2, 1, 3]
    rows, y = support
    rows, y = type(rows)(*(t[:, order] for t in rows)), y[:, order]
    other = learner.adapt(rows, y, encode(rows, y))
    expected = learner.predict(adapted, query)
    assert_same_prediction(learner.predict(other, query), expected)


@every
def test_padding_plays_no_part(gp, learner, adapted, encode, support, query):
    rows, y = gp.padded(*support)
    other = learner.adapt(rows, y, encode(rows, y))
    expected = learner.predict(adapted, query)
    assert_same_prediction(learner.predict(other, query), expected)


@every
def test_weight_is_a_number_of_rows_to_the_decoder(gp, learner, encode, support, query):
    """What the base learner makes of weights is tested with it."""
    rows, y = support
    repeated, index = gp.repeated(rows, COUNTS)
    weighted = learner.adapt(
        gp.weighted(rows, COUNTS), y, encode(gp.weighted(rows, COUNTS), y)
    )
    other = learner.adapt(repeated, y[:, index], encode(repeated, y[:, index]))
    other = other._replace(base=weighted.base)
    plain = learner.adapt(rows, y, encode(rows, y))._replace(base=weighted.base)
    found = learner.predict(weighted, query)
    assert_same_prediction(found, learner.predict(other, query))
    before = parts(learner.predict(plain, query))[0]
    assert (parts(found)[0] - before).abs().max() > 1e-3


def test_tasks_of_a_batch_do_not_meet(gp, learner, encode, support, query):
    rows, y = support
    encoding = encode(rows, y)
    together = learner.predict(learner.adapt(rows, y, encoding), query)
    for task in range(N_TASKS):
        alone = learner.adapt(
            gp.rows_of(rows, task), y[task : task + 1], gp.encoding_of(encoding, task)
        )
        found = learner.predict(alone, gp.rows_of(query, task))
        for one, other in zip(found, together, strict=True):
            assert_close(one[0], other[task])


def test_what_is_known_of_the_tokens_is_computed_once(learner, adapted, query):
    """Against the attention of every block to the tokens themselves."""
    decoder, encoding = learner.decoder, adapted.encoding
    inputs = torch.randn(N_TASKS, 4, N_FEATURES + 3, dtype=torch.float64)
    rows = decoder.embed(inputs)
    for block in decoder.blocks:
        known = block.attention.known(block.norm_keys(encoding.tokens))
        queries = block.norm_queries(rows)
        rows = rows + block.attention(queries, known, encoding.log_weight)
        rows = rows + block.feed_forward(rows)
    found = decoder(inputs, adapted.known, encoding.log_weight)
    assert_close(found, decoder.out(rows), 1e-12)


# What the corrections are


def decoded(learner, adapted, query, said):
    """What the decoder says of rows, given what the base learner says of them."""
    inputs = torch.cat([query.x, query.offset, said], -1)
    out = learner.decoder(inputs, adapted.known, adapted.encoding.log_weight)
    return 3 * (out / 3).tanh()


def test_mean_is_shifted_in_deviations_and_these_are_widened(
    base, learner, adapted, query
):
    mean, variance = base.predict(adapted.base, query)
    sd = variance.sqrt()
    said = torch.stack([mean, sd.log()], -1)
    a, b = decoded(learner, adapted, query, said).unbind(-1)
    found_mean, found_variance = learner.predict(adapted, query)
    assert_close(found_mean, mean + sd * a)
    assert_close(found_variance.sqrt(), sd * b.exp())


@pytest.mark.parametrize("kind", ["two classes", "three classes"])
def test_correction_adds_to_the_logits(base, learner, adapted, query):
    (logits,) = base.predict(adapted.base, query)
    expected = logits + decoded(learner, adapted, query, logits.log_softmax(-1))
    assert_close(learner.predict(adapted, query).logits, expected)


@pytest.mark.parametrize("kind", ["two classes"])
def test_level_of_the_logits_is_not_seen(learner, adapted, query, monkeypatch):
    """It says nothing of the probabilities."""
    before = learner.predict(adapted, query).logits
    predict = learner.base.predict

    def shifted(*args):
        return Categorical(predict(*args).logits + 7.0)

    monkeypatch.setattr(learner.base, "predict", shifted)
    assert_close(learner.predict(adapted, query).logits, before + 7.0)


@every
def test_corrections_are_bounded(base, learner, adapted, query):
    learner.decoder.out[1].weight.mul_(1e6)
    before = base.predict(adapted.base, query)
    after = learner.predict(adapted, query)
    if isinstance(before, Gaussian):
        (mean, variance), (new_mean, new_variance) = before, after
        moved = [
            (new_mean - mean) / variance.sqrt(),
            0.5 * (new_variance / variance).log(),
        ]
    else:
        moved = [after.logits - before.logits]
    for correction in moved:
        assert correction.abs().max() <= MAX_CORRECTION + 1e-9
        assert correction.abs().max() > MAX_CORRECTION - 1e-3


# Distributions


def test_components_have_the_moments_that_are_predicted(learner, adapted, query):
    mean, variance = learner.predict(adapted, query)
    (apart,) = learner.components(adapted, query)
    (joint,) = learner.components(adapted, query, joint=True)
    for component in (apart, joint):
        assert_close(component.log_share, np.zeros((N_TASKS, 1)))
        assert_close(component.mean[:, 0], mean)
    assert_close(apart.spread, variance)
    assert_close(joint.spread.diagonal(dim1=1, dim2=2), variance)


def test_covariance_is_widened_on_both_sides(base, learner, adapted, query):
    (before,) = base.components(adapted.base, query, joint=True)
    (after,) = learner.components(adapted, query, joint=True)
    mean, variance = base.predict(adapted.base, query)
    said = torch.stack([mean, 0.5 * variance.log()], -1)
    widening = decoded(learner, adapted, query, said)[..., 1].exp()
    for task in range(N_TASKS):
        D = np.diag(widening[task].numpy())
        assert_close(after.spread[task], D @ before.spread[task].numpy() @ D)
    assert (widening.log().abs() > 0.1).any()


def test_base_learner_does_the_rest(base, learner, adapted, query):
    assert learner.adaptation_grid == base.adaptation_grid
    assert unwrap(learner, adapted) == (base, adapted.base)
    learner.set_adaptation(0.3)
    assert float(base.spread) == pytest.approx(0.3)
    for found, expected in (
        (learner.features(adapted, query), base.features(adapted.base, query)),
        (learner.relevance(adapted), base.relevance(adapted.base)),
        (
            learner.support_weights(adapted, query),
            base.support_weights(adapted.base, query),
        ),
    ):
        assert torch.equal(found, expected)
