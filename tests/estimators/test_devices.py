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
from skmeta._utils.precision import full_float32

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
NAMES = [
    "regressor", "regressor-auto", "regressor-linear", "regressor-mlp",
    "regressor-related", "regressor-transformer", "regressor-estimator", "binary",
    "binary-transformer", "three-related", "three-mlp", "three-estimator",
]  # fmt: skip
FULL = ["ieee", "ieee"] if hasattr(cudnn, "conv") else [False]
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
    """On a CPU the same but for rounding, whether moved or loaded."""
    model = cls(
        shared_classes=False, embedding=convolutions(), device="cuda", **tiny
    ).meta_fit([pictures(seed) for seed in range(4)])
    X, y = pictures(9)
    found = model.fit(X[:8], y[:8]).predict_proba(X)
    loaded = pickle.loads(pickle.dumps(model))
    for moved in (model, loaded):
        moved.set_params(device="cpu")
        np.testing.assert_allclose(moved.predict_proba(X), found, atol=1e-4)
        assert moved.device_ == torch.device("cpu")


def precision():
    parts = [cudnn.conv, cudnn.rnn] if hasattr(cudnn, "conv") else []
    return [part.fp32_precision for part in parts] or [cudnn.allow_tf32]


def test_switches_of_cudnn_are_as_before():
    """Also where the first to come in is the first to leave."""
    before = precision()
    first, second = ExitStack(), ExitStack()
    for stack in (first, second):
        stack.enter_context(full_float32())
    first.close()
    assert precision() == FULL
    second.close()
    assert precision() == before
    with pytest.raises(KeyError), full_float32():
        raise KeyError
    assert precision() == before


@pytest.mark.parametrize("trainable", [True, False])
def test_predictions_are_in_full_float32(trainable, tiny):
    seen = []

    class Watching(nn.Flatten):
        def forward(self, rows):
            seen.append(precision())
            return super().forward(rows)

    before = precision()
    model = AttentionMetaClassifier(
        shared_classes=False, embedding=Watching(), embedding_trainable=trainable,
        **tiny,
    ).meta_fit([pictures(seed) for seed in range(3)])  # fmt: skip
    seen.clear()
    X, y = pictures(9)
    model.fit(X, y).predict(X)
    assert seen
    assert all(found == FULL for found in seen)
    assert precision() == before
