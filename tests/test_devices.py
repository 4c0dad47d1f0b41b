"""A GPU says what a CPU says; cuDNN's switches are as before in the end."""

import pickle
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from torch import nn
from torch.backends import cudnn

from skmeta import (
    AttentionMetaClassifier,
    SelfAttentionMetaClassifier,
    TransformerMetaClassifier,
)
from skmeta._cudnn import full_float32, repeatable
from skmeta._parameters import resolve_device

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
NAMES = [
    "regressor", "regressor-auto", "regressor-linear", "regressor-mlp",
    "regressor-related", "regressor-transformer", "regressor-estimator", "binary",
    "binary-transformer", "three-related", "three-mlp", "three-estimator",
]  # fmt: skip
CLASSIFIERS = [
    AttentionMetaClassifier,
    SelfAttentionMetaClassifier,
    TransformerMetaClassifier,
]


def pictures(seed=0):
    """Four classes of 12 pictures, noise about one of the class."""
    rng, y = np.random.default_rng(seed), np.arange(48) % 4
    return rng.normal(size=(4, 12, 12))[y] + rng.normal(size=(48, 12, 12)), y


def convolutions():
    return nn.Sequential(
        nn.Unflatten(1, (1, 12)),
        nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
    )  # fmt: skip


@gpu
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_predicts_what_a_cpu_does(name, meta_fitted):
    X, y, X_query = meta_fitted.task(name)
    there = meta_fitted(name).set_params(device="cuda").fit(X[:-1], y[:-1])
    here = meta_fitted(name).set_params(device="cpu").fit(X[:-1], y[:-1])
    for _ in range(2):
        found, expected = (meta_fitted.predict(e, X_query) for e in (there, here))
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.ptp(y))
        there.partial_fit(X[-1:], y[-1:]), here.partial_fit(X[-1:], y[-1:])


@gpu
@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_drawings_learned_on_a_gpu(cls, tiny):
    """The same bytes each time, and on a CPU the same but for rounding."""
    train, (X, y) = [pictures(seed) for seed in range(4)], pictures(9)

    def learned():
        model = cls(
            shared_classes=False, embedding=convolutions(), device="cuda", **tiny
        )
        return model.meta_fit(train).fit(X[:8], y[:8])

    model = learned()
    found = model.predict_proba(X)
    np.testing.assert_array_equal(learned().predict_proba(X), found)
    loaded = pickle.loads(pickle.dumps(model))
    for moved in (model, loaded):
        moved.set_params(device="cpu")
        np.testing.assert_allclose(moved.predict_proba(X), found, atol=1e-4)
        assert moved.device_ == resolve_device("cpu")


def switches():
    parts = [cudnn.conv, cudnn.rnn] if hasattr(cudnn, "conv") else []
    precision = [part.fp32_precision for part in parts] or [cudnn.allow_tf32]
    return [*precision, cudnn.deterministic, cudnn.benchmark]


def test_switches_of_cudnn_are_as_before():
    """Also where the first to come in is the first to leave."""
    before = switches()
    first, second = ExitStack(), ExitStack()
    for stack in (first, second):
        stack.enter_context(full_float32())
        stack.enter_context(repeatable())
    inside = switches()
    assert inside[-2:] == [True, False]
    assert set(inside[:-2]) in ({"ieee"}, {False})
    first.close()
    assert switches() == inside
    second.close()
    assert switches() == before
    with pytest.raises(KeyError), full_float32(), repeatable():
        raise KeyError
    assert switches() == before


def test_switches_during_meta_training(tiny):
    seen = []

    class Watching(nn.Flatten):
        def forward(self, rows):
            seen.append((self.training, *switches()))
            return super().forward(rows)

    before = switches()
    model = AttentionMetaClassifier(shared_classes=False, embedding=Watching(), **tiny)
    model.meta_fit([pictures(seed) for seed in range(3)])
    trained = [seen_ for training, *seen_ in seen if training]
    assert trained
    assert all(seen_[-2:] == [True, False] for seen_ in trained)
    seen.clear()
    X, y = pictures(9)
    model.fit(X, y).predict(X)
    assert seen
    assert all(set(precision) in ({"ieee"}, {False}) for _, *precision, _, _ in seen)
    assert switches() == before
