import torch

from skmeta._networks.nway.encoder import EncodingDropout, NWayEncoder
from skmeta._networks.nway.plda import class_means, one_hot
from skmeta._utils.random import seeded


def test_encodings_are_dropped_whole():
    with seeded(0):
        task, rows = torch.rand(400, 3) + 1, torch.rand(400, 5, 3) + 1
    state = torch.get_rng_state()
    dropout = EncodingDropout(0.25, seed=0)
    some, others = dropout(task, rows)
    out = (some == 0).all(1)
    assert 60 < out.sum() < 140
    assert (others[out] == 0).all()
    torch.testing.assert_close(some[~out], task[~out])
    torch.testing.assert_close(others[~out], rows[~out])
    again, _ = EncodingDropout(0.25, seed=0)(task, rows)
    torch.testing.assert_close(some, again)
    assert torch.equal(torch.get_rng_state(), state)
    whole, of_rows = dropout.eval()(task, rows)
    assert torch.equal(whole, task)
    assert torch.equal(of_rows, rows)


def test_encoder_drops_encodings_in_training_only():
    with seeded(0):
        encoder = NWayEncoder(4, 8, n_heads=2, n_layers=1, self_attention=True, seed=0)
        z = torch.randn(64, 6, 4)
    y = torch.arange(6).remainder(3).expand(64, -1)
    weight, variance = torch.ones(64, 6), torch.ones(64, 4)
    means = class_means(z, one_hot(y, weight), variance, variance)
    encoding = encoder(z, y, weight, means)
    out = (encoding.task == 0).all(1)
    assert 16 < out.sum() < 48
    for part in (encoding.rows, encoding.classes):
        assert torch.equal((part == 0).flatten(1).all(1), out)
    encoding = encoder.eval()(z, y, weight, means)
    assert not (encoding.task == 0).all(1).any()
