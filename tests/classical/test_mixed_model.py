"""The numerics of the baselines, against statsmodels and against brute force."""

from importlib.resources import files
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import multivariate_normal
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from skmeta._classical.linear_mixed_model import (
    LinearMixedModel,
    fit_linear_mixed_model,
)
from skmeta._classical.logistic_mixed_model import fit_logistic_mixed_model


@pytest.fixture
def grouped():
    """Design, target and offsets of 40 tasks of 3 to 9 rows, slopes correlated."""
    rng = np.random.default_rng(0)
    offsets = np.r_[0, np.cumsum(rng.integers(3, 10, size=40))]
    n_rows = offsets[-1]
    X = np.column_stack([np.ones(n_rows), rng.normal(size=(n_rows, 2))])
    task = np.repeat(np.arange(40), np.diff(offsets))
    root = np.array([[1.0, 0, 0], [0.5, 0.4, 0], [-0.3, 0.1, 0.3]])
    effects = rng.normal(size=(40, 3)) @ root.T
    y = X @ [0.5, -1.0, 2.0] + (X * effects[task]).sum(axis=1)
    return X, y + 0.5 * rng.normal(size=n_rows), offsets


def log_likelihood(model, X, Z, y, offsets):
    """Sum over tasks of the log density of the joint Gaussian."""
    total = 0
    for i, j in pairwise(offsets):
        cov = Z[i:j] @ model.random_cov @ Z[i:j].T
        cov += model.noise_variance * np.eye(j - i)
        total += multivariate_normal(X[i:j] @ model.coef, cov).logpdf(y[i:j])
    return total


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("penalty", [0.0, 3.0])
def test_em_never_lowers_the_likelihood(grouped, diagonal, penalty):
    X, y, offsets = grouped
    model = fit_linear_mixed_model(
        X, X, y, offsets, diagonal=diagonal, penalty=penalty, tol=1e-10
    )
    assert len(model.log_likelihoods) > 5
    assert np.diff(model.log_likelihoods).min() > -1e-8
    expected = log_likelihood(model, X, X, y, offsets)
    expected -= 0.5 * penalty * np.sum(model.coef**2)
    np.testing.assert_allclose(model.log_likelihoods[-1], expected)


def test_em_ends_at_a_maximum(grouped):
    X, y, offsets = grouped
    model = fit_linear_mixed_model(X, X, y, offsets, diagonal=False, tol=1e-12)
    best = log_likelihood(model, X, X, y, offsets)
    rng = np.random.default_rng(0)
    for _ in range(20):
        A = np.eye(3) + 0.03 * rng.normal(size=(3, 3))
        other = LinearMixedModel(
            model.coef + 0.03 * rng.normal(size=3),
            A @ model.random_cov @ A.T,
            model.noise_variance * np.exp(0.03 * rng.normal()),
            None,
        )
        assert log_likelihood(other, X, X, y, offsets) < best


@pytest.mark.parametrize("diagonal", [True, False])
def test_em_is_the_same_above_the_full_expansion(grouped, diagonal, monkeypatch):
    X, y, offsets = grouped
    fit = {"diagonal": diagonal, "tol": 1e-13, "max_iter": 5000}
    fast = fit_linear_mixed_model(X, X, y, offsets, **fit)
    monkeypatch.setattr("skmeta._classical.linear_mixed_model.MAX_FULL_EXPANSION", 1)
    slow = fit_linear_mixed_model(X, X, y, offsets, **fit)
    np.testing.assert_allclose(fast.random_cov, slow.random_cov, atol=1e-4)


def test_posterior_is_the_conditional_of_the_joint_gaussian():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(3, 2))  # singular: two directions of three
    cov, noise = root @ root.T, 0.3
    Z, y, Zq = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=(5, 3))
    model = LinearMixedModel(np.empty(0), cov, noise, np.empty(0))
    mean, variance = model.posterior(Z, y).predict(Zq)
    observed = Z @ cov @ Z.T + noise * np.eye(4)
    gain = np.linalg.solve(observed, Z @ cov @ Zq.T).T
    np.testing.assert_allclose(mean, gain @ y)
    expected = np.diag(Zq @ cov @ Zq.T - gain @ Z @ cov @ Zq.T) + noise
    np.testing.assert_allclose(variance, expected)
    mean, variance = model.posterior(Z[:0], y[:0]).predict(Zq)
    np.testing.assert_allclose(mean, 0)
    np.testing.assert_allclose(variance, np.diag(Zq @ cov @ Zq.T) + noise)


def test_no_random_effects_is_least_squares(grouped):
    X, y, offsets = grouped
    model = fit_linear_mixed_model(X, np.empty((len(y), 0)), y, offsets)
    coef, (squares,) = np.linalg.lstsq(X, y)[:2]
    np.testing.assert_allclose(model.coef, coef)
    np.testing.assert_allclose(model.noise_variance, squares / len(y))


def test_redundant_columns_share_their_effect(grouped):
    X, y, offsets = grouped
    once = fit_linear_mixed_model(X, X[:, :1], y, offsets)
    twice = fit_linear_mixed_model(X[:, [0, 1, 2, 2]], X[:, :1], y, offsets)
    np.testing.assert_allclose(twice.coef[2:], once.coef[2] / 2, rtol=1e-5)


def test_running_out_of_iterations_warns(grouped):
    X, y, offsets = grouped
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        fit_linear_mixed_model(X, X, y, offsets, max_iter=2)
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        fit_logistic_mixed_model(X, X, (y > 0) * 1.0, 0 * y, offsets, max_iter=1)


@pytest.mark.parametrize("n_random", [1, 2])
def test_agrees_with_statsmodels_on_growing_pigs(n_random):
    path = files("statsmodels.regression.tests.results") / "dietox.csv"
    pigs = pd.read_csv(path).dropna(subset=["Weight", "Time", "Pig"])
    pigs = pigs.sort_values("Pig", kind="stable")
    y = pigs["Weight"].to_numpy(float)
    X = np.column_stack([np.ones(len(y)), pigs["Time"].to_numpy(float)])
    offsets = np.r_[0, np.cumsum(pigs.groupby("Pig").size())]
    theirs = sm.MixedLM(y, X, groups=pigs["Pig"].to_numpy(), exog_re=X[:, :n_random])
    theirs = theirs.fit(reml=False, method="powell", ftol=1e-13)
    ours = fit_linear_mixed_model(X, X[:, :n_random], y, offsets, diagonal=False)
    np.testing.assert_allclose(ours.coef, theirs.fe_params, rtol=1e-3)
    np.testing.assert_allclose(ours.random_cov, theirs.cov_re, rtol=1e-3)
    np.testing.assert_allclose(ours.noise_variance, theirs.scale, rtol=1e-3)
    np.testing.assert_allclose(ours.log_likelihoods[-1], theirs.llf, rtol=1e-6)


def binary_tasks(n_tasks=200, n_rows=30, seed=0):
    rng = np.random.default_rng(seed)
    offsets = n_rows * np.arange(n_tasks + 1)
    X = np.column_stack([np.ones(offsets[-1]), rng.normal(size=offsets[-1])])
    effects = rng.normal(size=(n_tasks, 2)) * [1.5, 0.5]
    logit = X @ [0.3, 1.0] + (X * np.repeat(effects, n_rows, axis=0)).sum(axis=1)
    y = (rng.logistic(size=len(X)) < logit).astype(float)
    return X, y, offsets


def test_logistic_model_recovers_what_made_the_data():
    X, y, offsets = binary_tasks()
    model = fit_logistic_mixed_model(X, X, y, 0 * y, offsets, diagonal=False)
    np.testing.assert_allclose(model.coef, [0.3, 1.0], atol=0.2)
    np.testing.assert_allclose(np.diag(model.random_cov), [2.25, 0.25], rtol=0.3)
    assert model.log_likelihoods[-1] > model.log_likelihoods[0]


def test_logistic_model_without_random_effects_is_logistic_regression():
    X, y, offsets = binary_tasks(20)
    none = np.empty((len(y), 0))
    model = fit_logistic_mixed_model(X, none, y, 0 * y, offsets, penalty=[0.0, 2.0])
    theirs = LogisticRegression(C=0.5, tol=1e-10).fit(X[:, 1:], y)
    expected = np.r_[theirs.intercept_, theirs.coef_[0]]
    np.testing.assert_allclose(model.coef, expected, rtol=1e-4)


def test_laplace_posterior_is_near_the_exact_one():
    X, y, offsets = binary_tasks(50)
    model = fit_logistic_mixed_model(X[:, :1], X[:, :1], y, 0 * y, offsets)
    logit = np.full(8, 0.4)
    target = np.array([1.0, 1, 0, 1, 1, 0, 1, 1])
    posterior = model.posterior(np.ones((8, 1)), target, logit)
    u = np.linspace(-8, 8, 4001)
    log_density = -0.5 * u**2 / model.random_cov[0, 0]
    log_density -= np.logaddexp(0, (1 - 2 * target[:, None]) * (0.4 + u)).sum(axis=0)
    density = np.exp(log_density - log_density.max())
    np.testing.assert_allclose(posterior.mean[0], u[density.argmax()], atol=1e-2)
    density /= density.sum()
    spread = density @ u**2 - (density @ u) ** 2
    np.testing.assert_allclose(posterior.covariance[0, 0], spread, rtol=0.1)
    prior = model.posterior(np.empty((0, 1)), np.empty(0), np.empty(0))
    np.testing.assert_allclose(prior.mean, 0)
    np.testing.assert_allclose(prior.covariance, model.random_cov)


def test_certain_offsets_do_not_break_newton():
    X, y, offsets = binary_tasks(10)
    logit = np.where(np.arange(len(y)) % 3, 40.0, -40.0)
    model = fit_logistic_mixed_model(X, X, y, logit, offsets, penalty=1.0)
    assert np.isfinite(model.coef).all()
    assert np.isfinite(model.log_likelihoods).all()
