import torch

from skmeta._networks.nway.encoder import ClassEncoder, EncodingDropout
from skmeta._networks.nway.plda import class_means, one_hot
from skmeta._utils.random import seeded


def test_encodings_are_left_out_whole():
    with seeded(0):
        task, tokens = torch.rand(400, 3) + 1, torch.rand(400, 5, 3) + 1
    state = torch.get_rng_state()
    left_out = EncodingDropout(0.25, seed=0)
    some, others = left_out(task, tokens)
    out = (some == 0).all(1)
    assert 60 < out.sum() < 140
    assert (others[out] == 0).all()
    torch.testing.assert_close(some[~out], task[~out])
    torch.testing.assert_close(others[~out], tokens[~out])
    again, _ = EncodingDropout(0.25, seed=0)(task, tokens)
    torch.testing.assert_close(some, again)
    assert torch.equal(torch.get_rng_state(), state)
    whole, of_rows = left_out.eval()(task, tokens)
    assert torch.equal(whole, task)
    assert torch.equal(of_rows, tokens)


def test_encoder_leaves_out_episodes_while_training_alone():
    with seeded(0):
        encoder = ClassEncoder(4, 8, n_heads=2, n_layers=1, n_among=1, seed=0)
        z = torch.randn(64, 6, 4)
    y = torch.arange(6).remainder(3).expand(64, -1)
    weight, variance = torch.ones(64, 6), torch.ones(64, 4)
    means = class_means(z, one_hot(y, weight), variance, variance)
    said = encoder(z, y, weight, means)
    out = (said.task == 0).all(1)
    assert 16 < out.sum() < 48
    for part in (said.rows, said.classes, said.tokens):
        assert torch.equal((part == 0).flatten(1).all(1), out)
    said = encoder.eval()(z, y, weight, means)
    assert not (said.task == 0).all(1).any()
