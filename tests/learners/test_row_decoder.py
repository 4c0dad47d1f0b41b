"""A decoder of query rows that corrects what a base learner predicts of them."""

import numpy as np
import pytest
import torch

from skmeta._networks.encoders.task_encoder import TransformerEncoder
from skmeta._networks.learners.gp_classification import GaussianProcessClassification
from skmeta._networks.learners.gp_regression import GaussianProcessRegression
from skmeta._networks.learners.predictive import Categorical, Gaussian
from skmeta._networks.learners.row_decoder import MAX_CORRECTION, RowDecodingLearner

N_TASKS, N_ROWS, N_QUERY, N_FEATURES = 2, 5, 7, 3
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


def test_what_is_known_of_the_tokens_is_computed_once(learner, adapted, query):
    """Against the attention of every block to the tokens themselves."""
    decoder, encoding = learner.decoder, adapted.encoding
    inputs = torch.randn(N_TASKS, 4, N_FEATURES + 3, dtype=torch.float64)
    rows = decoder.embed(inputs)
    for block in decoder.blocks:
        known = block.attention.keys_values(block.norm_keys(encoding.tokens))
        queries = block.norm_queries(rows)
        rows = rows + block.attention(queries, known, encoding.log_weight)
        rows = rows + block.feed_forward(rows)
    found = decoder(inputs, adapted.keys_values, encoding.log_weight)
    assert_close(found, decoder.out(rows), 1e-12)


# What the corrections are


def decoded(learner, adapted, query, base_prediction):
    """What the decoder says of rows, given what the base learner says of them."""
    inputs = torch.cat([query.x, query.offset, base_prediction], -1)
    out = learner.decoder(inputs, adapted.keys_values, adapted.encoding.log_weight)
    return 3 * (out / 3).tanh()


def test_mean_is_shifted_in_deviations_and_these_are_widened(
    base, learner, adapted, query
):
    mean, variance = base.predict(adapted.base, query)
    sd = variance.sqrt()
    base_prediction = torch.stack([mean, sd.log()], -1)
    a, b = decoded(learner, adapted, query, base_prediction).unbind(-1)
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


# Meta-training


@every
def test_training_adds_what_is_corrected_to_the_predictions_of_the_base(
    base, learner, encode, support, query
):
    learner.train()
    encoding = encode(*support)
    found, corrected = learner.training_predictions(*support, encoding, query)
    expected, _ = base.training_predictions(*support, encoding, query)
    assert len(found) == len(expected) + 1
    for one, other in zip(found, expected, strict=False):
        assert type(one) is type(other)
        assert_same_prediction(one, other, 0)
    assert found[-1] is corrected
    adapted = learner.adapt(*support, encoding)
    assert_same_prediction(corrected, learner.predict(adapted, query), 1e-7)


@every
def test_correction_does_not_train_the_base(base, learner, encode, support, query):
    """Which its own predictions do; the decoder is trained by the correction alone."""
    learner.train().requires_grad_(True)
    predictions, _ = learner.training_predictions(*support, encode(*support), query)
    of_base = list(base.parameters())
    of_decoder = list(learner.decoder.parameters())
    for i, prediction in enumerate(predictions):
        total = sum(
            part.flatten() @ torch.linspace(1, 2, part.numel()).to(part)
            for part in parts(prediction)
        )
        slopes = torch.autograd.grad(
            total, of_base + of_decoder, allow_unused=True, retain_graph=True
        )
        moved = [slope is not None and slope.abs().max() > 1e-6 for slope in slopes]
        corrects = i == len(predictions) - 1
        assert any(moved[: len(of_base)]) != corrects
        assert any(moved[len(of_base) :]) == corrects


# Distributions


def test_covariance_is_widened_on_both_sides(base, learner, adapted, query):
    (before,) = base.components(adapted.base, query, joint=True)
    (after,) = learner.components(adapted, query, joint=True)
    mean, variance = base.predict(adapted.base, query)
    base_prediction = torch.stack([mean, 0.5 * variance.log()], -1)
    widening = decoded(learner, adapted, query, base_prediction)[..., 1].exp()
    for task in range(N_TASKS):
        D = np.diag(widening[task].numpy())
        assert_close(after.spread[task], D @ before.spread[task].numpy() @ D)
    assert (widening.log().abs() > 0.1).any()
