"""Predictions of numbers as distributions: quantiles, densities and draws."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.base import clone
from sklearn.linear_model import Ridge

from skmeta import SelfAttentionMetaRegressor
from skmeta._networks.learners.predictive import log_density, quantiles

NAMES = [
    "regressor", "regressor-gp", "regressor-mlp", "regressor-related",
    "regressor-transformer", "regressor-estimator",
]  # fmt: skip
every = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def adapted(meta_fitted):
    """An adapted estimator by name, with relations if it has them, and query rows."""

    def make(name):
        estimator = meta_fitted(name)
        if hasattr(estimator.meta_state_.network.learner, "relations"):
            network = copy.deepcopy(estimator.meta_state_.network)
            network.learner.relations.weights.null_logit.fill_(-1.0)
            estimator._take_over(replace(estimator.meta_state_, network=network))
        X, y, X_query = meta_fitted.task("regressor")
        return estimator.fit(X, y), X_query

    return make


def random_mixtures(n_rows=5, n_components=4):
    rng = np.random.default_rng(0)
    log_share = np.log(rng.dirichlet(np.ones(n_components), size=n_rows))
    mean = rng.normal(scale=3, size=(n_rows, n_components))
    return log_share, mean, rng.uniform(0.1, 1, size=(n_rows, n_components))


@pytest.mark.parametrize("q", [0.001, 0.3, 0.5, 0.99])
def test_quantile_of_a_mixture_has_its_probability_below_it(q):
    log_share, mean, sd = random_mixtures()
    at = quantiles(log_share, mean, sd, q)
    below = (np.exp(log_share) * norm.cdf(at[:, None], mean, sd)).sum(1)
    np.testing.assert_allclose(below, q, atol=1e-10)


def test_density_of_a_mixture_is_that_of_its_components():
    log_share, mean, sd = random_mixtures()
    y = np.linspace(-3, 3, 5)
    expected = (np.exp(log_share) * norm.pdf(y[:, None], mean, sd)).sum(1)
    np.testing.assert_allclose(log_density(log_share, mean, sd, y), np.log(expected))


@pytest.mark.parametrize("name", ["regressor-gp", "regressor-mlp"])
def test_one_process_is_normal(name, adapted):
    estimator, X = adapted(name)
    mean, std = estimator.predict(X, return_std=True)
    q = [0.05, 0.5, 0.9]
    expected = norm.ppf(q, mean[:, None], std[:, None])
    np.testing.assert_allclose(estimator.predict_quantiles(X, q), expected, rtol=1e-6)
    y = mean + np.linspace(-2, 2, len(X)) * std
    expected = norm.logpdf(y, mean, std)
    np.testing.assert_allclose(estimator.log_prob(X, y), expected, rtol=1e-6)


@every
def test_density_has_the_moments_that_are_predicted(name, adapted):
    estimator, X = adapted(name)
    mean, std = estimator.predict(X, return_std=True)
    for i in range(3):
        y = np.linspace(mean[i] - 12 * std[i], mean[i] + 12 * std[i], 4001)
        density = np.exp(estimator.log_prob(np.repeat(X[[i]], len(y), 0), y))
        step = y[1] - y[0]
        assert density.sum() * step == pytest.approx(1, rel=1e-6)
        assert (y * density).sum() * step == pytest.approx(mean[i], rel=1e-5)
        variance = ((y - mean[i]) ** 2 * density).sum() * step
        assert variance == pytest.approx(std[i] ** 2, rel=1e-4)


@every
def test_quantiles_are_those_of_the_density(name, adapted):
    estimator, X = adapted(name)
    low, median, high = estimator.predict_quantiles(X).T
    assert (low < median).all()
    assert (median < high).all()
    np.testing.assert_array_equal(estimator.predict_quantiles(X, 0.5), median)
    y = np.linspace(low[0], high[0], 4001)
    density = np.exp(estimator.log_prob(np.repeat(X[[0]], len(y), 0), y))
    inside = (density[1:] + density[:-1]).sum() / 2 * (y[1] - y[0])
    assert inside == pytest.approx(0.9, rel=1e-5)


@every
def test_draws_have_the_moments_that_are_predicted(name, adapted):
    estimator, X = adapted(name)
    mean, std = estimator.predict(X, return_std=True)
    draws = estimator.sample_y(X, 4000)
    assert draws.shape == (len(X), 4000)
    assert (np.abs(draws.mean(1) - mean) < 5 * std / 4000**0.5).all()
    np.testing.assert_allclose(draws.std(1), std, rtol=0.15)


@every
def test_draws_are_of_the_random_state(name, adapted):
    estimator, X = adapted(name)
    state = np.random.get_state()[1].copy()
    one, same = (estimator.sample_y(X, 3, random_state=1) for _ in range(2))
    assert one.tobytes() == same.tobytes()
    assert not np.allclose(one, estimator.sample_y(X, 3, random_state=2))
    assert (np.random.get_state()[1] == state).all()


@pytest.mark.parametrize(
    "name", ["regressor", "regressor-related", "regressor-transformer"]
)
def test_draws_are_coherent_over_rows(name, adapted):
    """Equal rows differ in their noise alone, and near rows in little more."""
    estimator, X = adapted(name)
    far = X[0] + 4 * (X[1] - X[0])
    pair = np.stack([far, far])
    draws = estimator.sample_y(pair, 4000)
    noise = estimator.sample_y(pair, 4000)
    assert np.corrcoef(draws)[0, 1] > 0.5
    np.testing.assert_array_equal(draws, noise)
    _, std = estimator.predict(pair, return_std=True)
    assert (draws[0] - draws[1]).std() < std[0]


def test_covariance_is_that_of_the_posterior(adapted, meta_fitted):
    """Against a process conditioned on one more row, by the rule of products."""
    estimator, X = adapted("regressor")
    task = estimator.set_params(device="cpu")._adapted_task()
    state, one = task.state, task.adaptation
    learner, rows = state.network.learner, state.rows(X)
    joint = learner.components(one, rows, joint=True)
    apart = learner.components(one, rows)
    theta, prior = one.theta, learner.prior
    assert len(joint) == len(apart) == prior.n_experts > 1
    design = prior.design(prior.expand(rows), one.encoding, theta)
    both = prior.kernel(design, design, theta).numpy()
    k_of_all = prior.kernel(design, one.design, theta).numpy()
    K_of_all = (one.factor @ one.factor.transpose(1, 2)).numpy()
    for e, (k, K) in enumerate(zip(k_of_all, K_of_all, strict=True)):
        covariance = joint[e].spread[0].numpy()
        np.testing.assert_allclose(covariance.diagonal(), apart[e].spread[0], rtol=1e-8)
        expected = both[e] - k @ np.linalg.solve(K, k.T)
        expected += float(theta.noise[e].exp()) * np.eye(len(X))
        np.testing.assert_allclose(covariance, expected, atol=1e-9)


@every
def test_before_any_row_the_prior_is_drawn_from(name, adapted):
    estimator, X = adapted(name)
    zero_shot = clone(estimator)
    mean, std = zero_shot.predict(X, return_std=True)
    draws = zero_shot.sample_y(X, 3000)
    assert (np.abs(draws.mean(1) - mean) < 5 * std / 3000**0.5).all()
    assert (zero_shot.predict_quantiles(X, 0.9) > mean - std).all()


@pytest.mark.filterwarnings("ignore::skmeta.NotMetaFittedWarning")
@pytest.mark.parametrize("base_learner", ["gp", "mlp", Ridge()], ids=str)
def test_new_estimators_have_distributions_too(base_learner, meta_fitted):
    X, y, X_query = meta_fitted.task("regressor", n_support=10)
    estimator = SelfAttentionMetaRegressor(base_learner, random_state=0).fit(X, y)
    mean, std = estimator.predict(X_query, return_std=True)
    expected = norm.logpdf(mean + std, mean, std)
    np.testing.assert_allclose(estimator.log_prob(X_query, mean + std), expected)
    assert np.isfinite(estimator.sample_y(X_query, 2)).all()


@pytest.mark.parametrize("q", [0.0, 1.0, [0.5, 2.0], np.nan, [[0.5]]])
def test_quantiles_outside_of_0_and_1_are_refused(q, adapted):
    estimator, X = adapted("regressor")
    with pytest.raises(ValueError, match="q must be a number between 0 and 1"):
        estimator.predict_quantiles(X, q)


def test_targets_of_another_number_are_refused(adapted):
    estimator, X = adapted("regressor")
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        estimator.log_prob(X, np.zeros(len(X) + 1))
