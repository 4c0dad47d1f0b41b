"""GPs of pooled baselines that all tasks share: what they learn, and exactly."""

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from scipy.stats import multivariate_normal

from skmeta._networks.learners import gp_algebra
from skmeta._preprocessing.scaling import ClassCodec, FeatureScaler, TargetScaler
from skmeta.baselines._shared_gp import (
    SharedGaussianProcess,
    SharedKernel,
    SharedLatentProcess,
    fit_shared_gp,
)
from skmeta.tasks import TaskCollection

UNSCALED = FeatureScaler(np.zeros(2), np.ones(2))


def kernel(**values):
    default = {"constant": 1.0, "smooth": 0.5, "noise": 0.1}
    default |= {"linear": [0.3, 0.2], "length_scale": [1.0, 2.0]}
    values = {
        k: torch.tensor(v, dtype=torch.float64) for k, v in (default | values).items()
    }
    return SharedKernel(**values)


def latent_gp(**values):
    return SharedLatentProcess(kernel(**values))


def covariance(kernel, a, b):
    """By its definition."""
    length_scale, linear = kernel.length_scale.numpy(), kernel.linear.numpy()
    distance = (((a[:, None] - b[None]) / length_scale) ** 2).sum(axis=2)
    smooth = kernel.smooth.item() * np.exp(-0.5 * distance)
    return kernel.constant.item() + (a * linear) @ b.T + smooth


# Regression


@pytest.fixture(scope="module")
def slopes():
    """Tasks of two columns, of which the first alone has slopes, and their kernel."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 2))
    slope = np.repeat(2 * rng.normal(size=40), 15)
    y = slope * X[:, 0] + 0.3 * rng.normal(size=600)
    tasks = TaskCollection.from_arrays(X, y, np.arange(600) // 15)
    return tasks, TargetScaler(0.0, 2.0)


def fit(tasks, targets):
    offset = np.zeros((len(tasks.y), 1))
    return fit_shared_gp(tasks, UNSCALED, targets, offset, random_state=0)


def log_likelihood(kernel, tasks, scale):
    noise = kernel.noise.item() * np.eye(15)
    return sum(
        multivariate_normal.logpdf(
            task.y / scale, cov=covariance(kernel, task.X, task.X) + noise
        )
        for task in tasks
    )


def test_fitting_finds_which_column_has_slopes(slopes):
    tasks, targets = slopes
    found = fit(tasks, targets)
    assert found.linear[0] > 20 * found.linear[1]
    np.testing.assert_allclose(found.noise * targets.scale**2, 0.09, rtol=0.3)
    np.testing.assert_allclose(found.linear[0] * targets.scale**2, 4, rtol=0.5)
    truth = kernel(constant=1e-9, smooth=1e-9, noise=0.0225, linear=[1.0, 0.0])
    likelihoods = [log_likelihood(k, tasks, targets.scale) for k in (found, truth)]
    assert likelihoods[0] > likelihoods[1] - 30


def test_fitting_touches_no_global_random_state(slopes):
    tasks, targets = slopes
    state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()
    one, other = fit(tasks, targets), fit(tasks, targets)
    np.testing.assert_array_equal(state, np.random.get_state()[1])
    assert torch.equal(torch_state, torch.get_rng_state())
    for name, value in vars(one).items():
        assert torch.equal(value, getattr(other, name))


def test_posterior_is_the_conditional_of_the_joint_gaussian(monkeypatch):
    monkeypatch.setattr(gp_algebra, "JITTER", 0.0)
    rng, k = np.random.default_rng(0), kernel()
    (x, xq), y = rng.normal(size=(2, 6, 2)), rng.normal(size=6)
    gp, noise = SharedGaussianProcess(3.0, k), k.noise.item()
    gain = np.linalg.solve(
        covariance(k, x, x) + noise * np.eye(6), covariance(k, x, xq)
    ).T
    mean, variance = gp.posterior(x, y).predict(xq)
    np.testing.assert_allclose(mean, gain @ y, rtol=1e-9)
    expected = np.diag(covariance(k, xq, xq) - gain @ covariance(k, x, xq)) + noise
    np.testing.assert_allclose(variance, 9 * expected, rtol=1e-9)
    mean, variance = gp.posterior(x[:0], y[:0]).predict(xq)
    np.testing.assert_allclose(mean, 0)
    prior = np.diag(covariance(k, xq, xq)) + noise
    np.testing.assert_allclose(variance, 9 * prior)


def test_targets_that_are_all_zero():
    X = np.random.default_rng(0).normal(size=(20, 2))
    tasks = TaskCollection.from_arrays(X, np.zeros(20), np.arange(20) // 5)
    targets = TargetScaler.fit(tasks.y)
    gp = SharedGaussianProcess(1.0, fit(tasks, targets))
    mean, variance = gp.posterior(X[:3], np.zeros(3)).predict(X)
    assert (mean == 0).all()
    assert ((variance > 0) & (variance < 1)).all()


# Classification


def test_no_rows_leave_the_given_probabilities_but_for_the_spread():
    rng = np.random.default_rng(0)
    X, mean = rng.normal(size=(5, 2)), rng.normal(size=(5, 3))
    nothing = latent_gp().posterior(X[:0], np.empty(0), mean[:0])
    p = softmax(nothing.predict(X, mean), axis=1)
    given = softmax(mean, axis=1)
    assert (p.argmax(1) == given.argmax(1)).all()
    assert (p.max(1) < given.max(1)).all()
    certain = latent_gp(constant=0.0, smooth=0.0, linear=[0.0, 0.0])
    certain = certain.posterior(X[:0], np.empty(0), mean[:0])
    np.testing.assert_allclose(softmax(certain.predict(X, mean), 1), given)


def test_two_classes_are_the_binary_laplace_approximation():
    """Against Newton's method on the difference of two latents."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, 2)), np.array([0, 1, 1, 0, 1, 1])
    offset = rng.normal(size=6)
    shared = latent_gp()
    K = 2 * covariance(shared.kernel, X, X)
    f = offset.copy()
    for _ in range(100):
        p = expit(f)
        W = np.diag(p * (1 - p))
        f = offset + K @ np.linalg.solve(np.eye(6) + W @ K, W @ (f - offset) + y - p)
    gradient = y - expit(f)
    W = np.diag(expit(f) * expit(-f))
    k = 2 * covariance(shared.kernel, X[:1], X)
    variance = 2 * covariance(shared.kernel, X[:1], X[:1])[0]
    variance = variance - k @ np.linalg.solve(np.linalg.inv(W) + K, k.T)[:, 0]
    expected = (offset[:1] + k @ gradient) / np.sqrt(1 + np.pi / 8 * variance)
    mean = np.column_stack([np.zeros(6), offset])
    logits = shared.posterior(X, y, mean).predict(X[:1], mean[:1])
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], expected, rtol=1e-4)


def test_fitting_finds_what_varies_between_tasks():
    rng = np.random.default_rng(0)
    slope = np.repeat(3 * rng.normal(size=60), 20)
    X = rng.normal(size=(1200, 2))
    y = (slope * X[:, 0] + rng.logistic(size=1200) > 0).astype(int)
    tasks = TaskCollection.from_arrays(X, y, np.arange(1200) // 20)
    codec, offset = ClassCodec(np.arange(2)), np.zeros((1200, 2))
    found = fit_shared_gp(tasks, UNSCALED, codec, offset, 2, random_state=0)
    # a difference of two latents has twice the variance
    assert 2 < 2 * found.linear[0] < 20
    assert found.linear[0] > 20 * found.linear[1]
