"""Batch normalisation that becomes a part of the convolution before it."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from skmeta import AttentionMetaClassifier
from skmeta._networks.encoders.folding import folded

pytestmark = pytest.mark.usefixtures("quick_training")

SHAPE = (6, 6)


class Blocks(nn.Module):
    """Two convolutions with batch normalisation, gone through as ``how`` says."""

    def __init__(self, how="whole", track=True):
        super().__init__()
        self.how = how
        self.blocks = nn.Sequential(
            nn.Conv2d(1, 4, 3, bias=False),
            nn.BatchNorm2d(4, track_running_stats=track),
            nn.ReLU(),
            nn.Sequential(nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )

    def forward(self, rows):
        z = rows[:, None]
        if self.how == "whole":
            return self.blocks(z)
        for layer in self.blocks:  # all layers, but for the first normalisation
            z = z if isinstance(layer, nn.BatchNorm2d) else layer(z)
        return z


def trained(module):
    """``module`` with statistics and scales that are not those of the start."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            positive = "var" in name
            drawn = torch.rand(tensor.shape, generator=generator) - 0.5 * (not positive)
            tensor.copy_(drawn + 0.1 * positive)
    return module.eval()


def n_norms(module):
    return sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())


def test_the_same_comes_out():
    module = trained(Blocks())
    before = copy.deepcopy(module.state_dict())
    other = folded(module, SHAPE)
    assert (n_norms(module), n_norms(other)) == (2, 0)
    rows = torch.randn(20, *SHAPE, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(other(rows), module(rows), rtol=1e-5, atol=1e-5)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_nothing_is_folded_where_it_would_show():
    assert folded(trained(Blocks("one by one")), SHAPE) is None
    assert folded(trained(nn.Sequential(nn.Flatten(), nn.Linear(36, 3))), SHAPE) is None
    by_batch = folded(trained(Blocks(track=False)), SHAPE)
    assert n_norms(by_batch) == 1  # what has no statistics stays


def test_an_estimator_predicts_by_it_and_keeps_its_own(tiny):
    rng = np.random.default_rng(0)
    tasks = [
        (rng.normal(size=(16, *SHAPE)) + np.repeat([0, 1], 8)[:, None, None], y)
        for y in [np.repeat([f"a{t}", f"b{t}"], 8) for t in range(8)]
    ]
    model = AttentionMetaClassifier(embedding=Blocks, warm_start=True, **tiny)
    model.set_params(max_epochs=3, lr=1e-2, device="cpu").meta_fit(tasks)
    embedding = model.meta_state_.embedding
    assert n_norms(embedding.frozen) == 0
    assert n_norms(embedding.module) == 2
    assert not any(name.startswith("frozen") for name in embedding.state_dict())
    rows = torch.tensor(tasks[0][0], dtype=torch.float32)

    def assert_its_own(embedding):
        with torch.no_grad():
            own = embedding.norm(embedding.module(rows))
            torch.testing.assert_close(embedding(rows), own, rtol=1e-4, atol=1e-4)
        return own

    first = assert_its_own(embedding)
    other = copy.deepcopy(embedding)  # as training goes on from it
    assert other.frozen is None
    with torch.no_grad():
        for parameter in other.module.parameters():
            parameter *= 1.1
    other.freeze(SHAPE)
    assert (first - assert_its_own(other)).abs().max() > 1e-2
    loaded = pickle.loads(pickle.dumps(model))
    assert n_norms(loaded.meta_state_.embedding.frozen) == 0
    X, y = tasks[0]
    said = [m.fit(X[::2], y[::2]).predict_proba(X) for m in (model, loaded)]
    np.testing.assert_array_equal(*said)
    model.meta_fit(tasks)  # goes on with what was trained
    assert n_norms(model.meta_state_.embedding.module) == 2
    assert_its_own(model.meta_state_.embedding)
