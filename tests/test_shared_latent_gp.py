"""Latent processes of classes that all tasks share: what they learn, and exactly."""

import numpy as np
import torch
from scipy.special import expit, softmax

from skmeta.baselines._shared_gp import SharedKernel
from skmeta.baselines._shared_latent_gp import (
    SharedLatentProcess,
    fit_shared_latent_process,
)


def process(**values):
    kernel = {"constant": 1.0, "smooth": 0.5, "noise": 0.0}
    kernel |= {"linear": [0.3, 0.2], "length_scale": [1.0, 2.0]} | values
    kernel = {k: torch.tensor(v, dtype=torch.float64) for k, v in kernel.items()}
    return SharedLatentProcess(SharedKernel(**kernel), np.empty(0))


def test_no_rows_leave_the_given_probabilities_but_for_the_spread():
    rng = np.random.default_rng(0)
    X, mean = rng.normal(size=(5, 2)), rng.normal(size=(5, 3))
    nothing = process().posterior(X[:0], np.empty(0), mean[:0])
    p = softmax(nothing.predict(X, mean), axis=1)
    given = softmax(mean, axis=1)
    assert (p.argmax(1) == given.argmax(1)).all()
    assert (p.max(1) < given.max(1)).all()
    certain = process(constant=0.0, smooth=0.0, linear=[0.0, 0.0])
    certain = certain.posterior(X[:0], np.empty(0), mean[:0])
    np.testing.assert_allclose(softmax(certain.predict(X, mean), 1), given)


def test_two_classes_are_the_binary_laplace_approximation():
    """Against Newton's method on the difference of two latents."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, 2)), np.array([0, 1, 1, 0, 1, 1])
    offset = rng.normal(size=6)
    shared = process()
    K = 2 * shared.kernel(torch.tensor(X), torch.tensor(X)).numpy()
    f = offset.copy()
    for _ in range(100):
        p = expit(f)
        W = np.diag(p * (1 - p))
        f = offset + K @ np.linalg.solve(np.eye(6) + W @ K, W @ (f - offset) + y - p)
    gradient = y - expit(f)
    W = np.diag(expit(f) * expit(-f))
    k = 2 * shared.kernel(torch.tensor(X[:1]), torch.tensor(X)).numpy()
    variance = 2 * shared.kernel.diagonal(torch.tensor(X[:1])).numpy()
    variance = variance - k @ np.linalg.solve(np.linalg.inv(W) + K, k.T)[:, 0]
    expected = (offset[:1] + k @ gradient) / np.sqrt(1 + np.pi / 8 * variance)
    mean = np.column_stack([np.zeros(6), offset])
    logits = shared.posterior(X, y, mean).predict(X[:1], mean[:1])
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], expected, rtol=1e-4)


def test_fitting_finds_what_varies_between_tasks():
    rng = np.random.default_rng(0)
    offsets = np.arange(0, 1201, 20)
    slope = np.repeat(3 * rng.normal(size=60), 20)
    X = rng.normal(size=(1200, 2))
    y = (slope * X[:, 0] + rng.logistic(size=1200) > 0).astype(int)
    fitted = fit_shared_latent_process(
        X, y, np.zeros((1200, 2)), offsets, random_state=0
    )
    likelihoods = fitted.log_likelihoods
    assert likelihoods[-10:].mean() > likelihoods[:10].mean()
    assert fitted.kernel.linear[0] > 5 * fitted.kernel.linear[1]
    again = fit_shared_latent_process(
        X, y, np.zeros((1200, 2)), offsets, random_state=0
    )
    np.testing.assert_array_equal(again.log_likelihoods, likelihoods)
