"""Stacks of experts, against each expert on its own and mixtures computed by hand."""

import copy
import pickle
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import norm
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge

from skmeta import AttentionMetaClassifier, AttentionMetaRegressor
from skmeta._episodes.batch import TaskBatch
from skmeta._networks.learners.expert_weights import EVIDENCE_WEIGHT, ExpertWeights
from skmeta._networks.learners.gp_prior import Expert
from skmeta._networks.learners.predictive import (
    Categorical,
    JointGaussian,
    draw,
    marginals,
)
from skmeta._training.empirical_bayes import draw_from_prior

N_TASKS, N_ROWS, N_QUERY, N_FEATURES, N_POOLED = 2, 5, 4, 3, 2
COUNTS = [2, 1, 3, 0, 1]

POOLED = (
    Expert("gp"),
    Expert("gp on second", 1),
    Expert("linear on first", 0, True),
    Expert("gp on first", 0),
)
NOT_POOLED = Expert("gp"), Expert("linear", None, True), Expert("other gp")
STACKS = {"pooled": POOLED, "not pooled": NOT_POOLED}

stacks = pytest.mark.parametrize("experts", STACKS.values(), ids=STACKS)
numbers_and_classes = pytest.mark.parametrize("n_outputs", [1, 2, 3])


def assert_close(a, b, atol=1e-9):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=atol)


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


@pytest.fixture
def encoding(gp):
    return gp.encoding(N_TASKS, N_FEATURES)


def make_case(gp, experts=POOLED, n_outputs=1):
    """A random stack, support rows and their targets, and query rows."""
    n_offset = n_outputs * (N_POOLED if experts is POOLED else 1)
    rows, y = gp.rows(N_TASKS, N_ROWS, N_FEATURES, n_offset)
    if n_outputs > 1:
        y = torch.arange(N_ROWS).expand(N_TASKS, -1) % n_outputs
    return SimpleNamespace(
        learner=gp.stack(N_FEATURES, n_outputs, experts),
        rows=rows, y=y, query=gp.rows(N_TASKS, N_QUERY, N_FEATURES, n_offset, 5)[0],
    )  # fmt: skip


def alone(gp, learner, e):
    """A learner of one expert, with the parameters of an expert of a stack."""
    prior, is_pooled = learner.prior, learner.prior.uses_offset
    n_outputs = prior.n_outputs
    own = gp.prior(
        N_FEATURES, N_POOLED * n_outputs * is_pooled, n_outputs,
        experts=[prior.experts[e]],
    )  # fmt: skip
    for mine, theirs in zip(own.parameters(), prior.parameters(), strict=True):
        mine.copy_(theirs[e : e + 1])
    one = type(learner)(own).double().eval()
    for mine, theirs in zip(one.buffers(), own_buffers(learner), strict=True):
        mine.copy_(theirs)
    return one


def own_buffers(learner):
    """Buffers of how the support trains a learner."""
    return [b for name, b in learner.named_buffers() if "expert_weights" not in name]


def all_alone(gp, learner):
    return [alone(gp, learner, e) for e in range(len(learner.experts))]


def log_shares(learner, weight, evidence):
    """Log weights (B, E) of the experts, by their formula."""
    weights = learner.expert_weights
    logit, slope = weights.logit.numpy(), weights.slope.numpy()
    size = np.log(1 + np.asarray(weight).sum(1))[:, None] - 2.0
    return log_softmax(logit + slope * size + 0.7 * np.asarray(evidence), axis=1)


# A stack of experts is as many learners of one expert


def some_rows(gp, kind, rows, y):
    if kind == "padded":
        return gp.padded(rows, y)
    if kind == "weighted":
        return gp.weighted(rows, COUNTS), y
    if kind == "different":
        rows.weight[1, 3:] = 0
    if kind == "none":
        return rows._replace(weight=0 * rows.weight), y
    return rows, y


ROWS = "plain", "padded", "weighted", "different", "none"


@stacks
@numbers_and_classes
@pytest.mark.parametrize("kind", ROWS)
def test_experts_predict_as_learners_of_their_own(
    experts, n_outputs, kind, gp, encoding
):
    case = make_case(gp, experts, n_outputs)
    support = some_rows(gp, kind, case.rows, case.y)
    args = case.learner, support, case.query, encoding
    check_against_learners_of_their_own(gp, *args)


@stacks
@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("setting", [(1.0,), (0.0, 4.0), (0.5, 4.0)], ids=str)
def test_experts_are_trained_as_learners_of_their_own(
    experts, kind, setting, gp, encoding
):
    case = make_case(gp, experts)
    case.learner.set_adaptation(*setting)
    support = some_rows(gp, kind, case.rows, 2 * case.y)
    args = case.learner, support, case.query, encoding
    check_against_learners_of_their_own(gp, *args)


def check_against_learners_of_their_own(gp, learner, support, query, encoding):
    rows, y = support
    adapted, own = learner.adapt(rows, y, encoding), all_alone(gp, learner)
    of_each = [one.adapt(rows, y, encoding) for one in own]
    pairs = list(zip(own, of_each, strict=True))
    predictions = learner.expert_predictions(adapted, query)
    by_hand = [one.predict(found, query) for one, found in pairs]
    found = predictions if isinstance(predictions, tuple) else (predictions,)
    expected = [np.stack(parts, 1) for parts in zip(*by_hand, strict=True)]
    for a, b in zip(found, expected, strict=True):
        assert_close(a, b, 1e-6)
    evidence = np.stack([found.evidence[:, 0] for found in of_each], 1)
    assert_close(adapted.evidence, evidence, 1e-6)
    after = np.stack([one.log_evidence(found) for one, found in pairs], 1)
    assert_close(learner.expert_evidence(adapted), after, 1e-6)
    of_mixture = after + log_shares(learner, rows.weight[:, :0], 0 * evidence)
    assert_close(learner.log_evidence(adapted), logsumexp(of_mixture, axis=1), 1e-6)

    log_share = log_shares(learner, rows.weight, evidence)
    share = np.exp(log_share)
    assert_close(adapted.log_share, log_share, 1e-6)
    assert_close(learner.expert_share(adapted), share, 1e-6)
    assert share.max() < 0.999
    prediction = learner.predict(adapted, query)
    if len(expected) == 2:
        means, variances = expected
        mean = (share[..., None] * means).sum(1)
        second = (share[..., None] * (variances + means**2)).sum(1)
        assert_close(prediction.mean, mean, 1e-5)
        assert_close(prediction.variance, second - mean**2, 1e-5)
    else:
        p = (share[..., None, None] * softmax(expected[0], axis=-1)).sum(1)
        assert_close(prediction.logits.softmax(-1), p, 1e-6)
        assert_close(prediction.logits.exp().sum(-1), np.ones((N_TASKS, N_QUERY)))


def test_laplace_evidence_is_that_of_the_mixture(gp, encoding):
    case = make_case(gp)
    case.learner.set_adaptation(0.5)
    found = case.learner.laplace_evidence(
        case.learner.adapt(case.rows, case.y, encoding)
    )
    of_each = [
        one.laplace_evidence(one.adapt(case.rows, case.y, encoding))
        for one in all_alone(gp, case.learner)
    ]
    nothing = np.zeros((N_TASKS, 0)), np.zeros((N_TASKS, len(POOLED)))
    expected = np.stack(of_each, 1) + log_shares(case.learner, *nothing)
    assert_close(found, logsumexp(expected, axis=1), 1e-6)


def test_prior_distance_is_that_of_the_nearest_expert(gp, encoding):
    case = make_case(gp)
    weight = gp.weighted(case.rows, [1.0, 0.5, 2.0, 0.0, 1.0]).weight
    of_all = weight.repeat(len(POOLED), 1)
    found, n = case.learner.prior_distance(case.rows, case.y, encoding, of_all)
    each = [
        one.prior_distance(case.rows, case.y, encoding, weight)[0]
        for one in all_alone(gp, case.learner)
    ]
    assert_close(found, np.min(each, 0), 1e-6)
    assert_close(n, [4.5, 4.5])


IN_TRAINING = "plain", "padded", "different", "none"  # weights are 0 or 1


@stacks
@numbers_and_classes
@pytest.mark.parametrize("kind", IN_TRAINING)
def test_training_predictions_are_those_of_each_expert(
    experts, n_outputs, kind, gp, encoding
):
    case = make_case(gp, experts, n_outputs)
    rows, y = some_rows(gp, kind, case.rows, case.y)
    learner, query = case.learner.train(), case.query
    found, mixture = learner.training_predictions(rows, y, encoding, query)
    assert len(found) == len(experts)
    for prediction, one in zip(found, all_alone(gp, learner), strict=True):
        adapted = one.adapt(rows, y, encoding)
        if n_outputs == 1:
            ((_, means, covariance),) = one.components(adapted, query, joint=True)
            assert type(prediction) is JointGaussian
            assert_close(prediction.mean, means[:, 0], 1e-6)
            assert_close(prediction.covariance, covariance, 1e-6)
        else:
            assert type(prediction) is Categorical
            assert_close(prediction.logits, one.predict(adapted, query).logits, 1e-6)
    expected = learner.predict(learner.adapt(rows, y, encoding), query)
    assert type(mixture) is type(expected)
    for a, b in zip(mixture, expected, strict=True):
        assert_close(a, b, 1e-6)


@stacks
@numbers_and_classes
@pytest.mark.parametrize("kind", IN_TRAINING)
def test_marginal_likelihood_is_the_evidence_of_each_expert(
    experts, n_outputs, kind, gp, encoding
):
    case = make_case(gp, experts, n_outputs)
    rows, y = some_rows(gp, kind, case.rows, case.y)
    found = case.learner.marginal_likelihood(rows, y, encoding)
    expected = [
        one.log_evidence(one.adapt(rows, y, encoding))
        for one in all_alone(gp, case.learner)
    ]
    assert_close(found, np.stack(expected, 1), 1e-6)
    assert ((found == 0) == (kind == "none")).all()


@numbers_and_classes
def test_targets_of_the_encoder_are_residuals_of_the_mean_offset(n_outputs, gp):
    case = make_case(gp, n_outputs=n_outputs)
    case.rows.weight[:, 1] = 0
    found = case.learner.targets(case.rows, case.y).numpy()
    offset = case.rows.offset.numpy().reshape(N_TASKS, N_ROWS, N_POOLED, n_outputs)
    if n_outputs == 1:
        expected = case.y.numpy()[..., None] - offset.mean(2)
    else:
        expected = np.eye(n_outputs)[case.y] - softmax(offset.mean(2), axis=-1)
    expected[:, 1] = 0
    assert_close(found, expected)


# The weights of the experts


def test_weights_are_those_of_model_averaging_to_a_power():
    weights, rng = ExpertWeights(3).double(), np.random.default_rng(0)
    evidence = rng.normal(size=(4, 3))
    found = weights(torch.arange(4.0), torch.from_numpy(evidence))
    expected = np.exp(evidence) ** EVIDENCE_WEIGHT
    assert_close(found.exp(), expected / expected.sum(1, keepdims=True))


def test_slope_has_no_effect_at_the_central_size():
    weights, evidence = ExpertWeights(2).double(), torch.zeros(3, 2).double()
    n_rows = torch.tensor([0.0, np.expm1(2.0), 100.0]).double()
    weights.set(torch.tensor([0.5, -0.5]), torch.tensor([1.0, -1.0]))
    few, central, many = weights(n_rows, evidence)
    assert_close(central, log_softmax([0.5, -0.5]))
    assert few[0] < central[0] < many[0]


def test_number_of_rows_is_that_of_given_rows(gp, encoding):
    """Not of those that robust noise leaves, which differ between experts."""
    case = make_case(gp)
    case.learner.set_adaptation(0.0, 4.0)
    case.y[:, 2] += 30.0
    case.learner.expert_weights.set(torch.zeros(4), torch.tensor([3.0, 0.0, -3.0, 0.0]))
    adapted = case.learner.adapt(case.rows, case.y, encoding)
    assert (adapted.weight.sum(1) - N_ROWS).abs().max() > 0.5
    expected = log_shares(case.learner, case.rows.weight, adapted.evidence)
    assert_close(adapted.log_share, expected, 1e-6)


def test_main_expert_is_the_nonlinear_one_of_largest_weight(gp):
    learner = gp.stack(experts=POOLED)
    learner.expert_weights.set(torch.tensor([0.0, 2.0, 9.0, 1.0]), torch.zeros(4))
    assert learner.main_expert == 1
    assert learner.select([2, 3]).main_expert == 1
    assert learner.select([2]).main_expert == 0


# Some of the experts, and copies


@numbers_and_classes
@pytest.mark.parametrize("chosen", [[3, 1], [0, 2, 3], [2], [1]], ids=str)
def test_selected_experts_are_those_that_were_chosen(chosen, n_outputs, gp, encoding):
    case = make_case(gp, n_outputs=n_outputs)
    if n_outputs == 1:
        case.learner.set_adaptation(0.5, 4.0)
    learner, some = case.learner, case.learner.select(chosen)
    assert some.experts == tuple(POOLED[e] for e in chosen)
    assert some.prior.linear_only == (chosen == [2])
    assert (some.expert_weights is None) == (len(chosen) == 1)
    assert some.n_base_features == len(chosen) * some.prior.n_base_features
    adapted, found = (one.adapt(case.rows, case.y, encoding) for one in (learner, some))
    parts, some_parts = (
        one.expert_predictions(a, case.query)
        for one, a in ((learner, adapted), (some, found))
    )
    if n_outputs > 1:
        parts, some_parts = (parts,), (some_parts,)
    for all_of_them, of_some in zip(parts, some_parts, strict=True):
        assert_close(of_some, all_of_them[:, chosen], 1e-6)
    expected = adapted.log_share[:, chosen].log_softmax(1)
    assert_close(found.log_share, expected, 1e-6)


def test_selection_shares_nothing_with_the_stack(gp, encoding):
    case = make_case(gp)
    case.learner.set_adaptation(0.5, 4.0)
    before = {k: v.clone() for k, v in case.learner.state_dict().items()}
    some = case.learner.select([1, 2])
    for value in some.state_dict().values():
        value.fill_(7.0)
    some.set_adaptation(0.0)
    after = case.learner.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[k], before[k]) for k in before)
    assert case.learner.experts == POOLED
    assert case.learner.expert_weights is not None
    one = case.learner.select([1])
    assert one.select([0]).expert_weights is None


def test_copied_experts_take_their_places(gp, encoding):
    case = make_case(gp)
    learner, before = case.learner, copy.deepcopy(case.learner)
    other = gp.stack(experts=[POOLED[3], POOLED[1]], seed=9)
    learner.copy_experts(other, [3, 1])
    for name, found in learner.prior.named_parameters():
        expected = before.prior.get_parameter(name).clone()
        assert not torch.equal(found, expected)
        expected[[3, 1]] = other.prior.get_parameter(name)
        assert torch.equal(found, expected)
    assert learner.experts == POOLED
    assert torch.equal(learner.expert_weights.logit, before.expert_weights.logit)
    parts = [
        one.expert_predictions(one.adapt(case.rows, case.y, encoding), case.query)
        for one in (learner, before, other)
    ]
    for found, first, theirs in zip(*parts, strict=True):
        assert_close(found[:, [3, 1]], theirs)
        assert_close(found[:, [0, 2]], first[:, [0, 2]])


@pytest.mark.parametrize("n_pooled", [2, 0])
def test_shared_parameters_are_copied_alone(n_pooled, gp):
    """Also to a learner without columns for an offset."""
    other = gp.stack(experts=POOLED[:3], seed=9)
    experts = POOLED[:3] if n_pooled else [Expert(one.name) for one in POOLED[:3]]
    learner = gp.stack(experts=experts)
    own = [p.clone() for p in learner.prior.parameters()]
    learner.copy_shared(other)
    n = N_FEATURES + (n_pooled > 0)
    expected = {
        "factor": other.prior.factor[:, : n + 1, : n + 1],
        "signal": other.prior.signal,
        "noise": other.prior.noise,
        "length_scale": other.prior.length_scale[:, :n],
        "coefficients.weight": other.prior.coefficients.weight[..., :n],
        "coefficients.bias": other.prior.coefficients.bias,
    }
    for (name, found), before in zip(
        learner.prior.named_parameters(), own, strict=True
    ):
        assert torch.equal(found, expected.get(name, before)), name
        assert torch.equal(found, before) == (name not in expected), name
    for name in ("logit", "slope"):
        weights = (getattr(one.expert_weights, name) for one in (learner, other))
        assert torch.equal(*weights)


# Distributions


@stacks
def test_components_are_one_for_each_expert(experts, gp, encoding):
    case = make_case(gp, experts)
    adapted = case.learner.adapt(case.rows, case.y, encoding)
    means, variances = case.learner.expert_predictions(adapted, case.query)
    components = case.learner.components(adapted, case.query)
    assert len(components) == len(experts)
    log_share, mean, sd = marginals(components)
    assert_close(log_share.transpose(1, 2)[..., 0], adapted.log_share)
    assert_close(mean.transpose(1, 2), means)
    assert_close(sd.transpose(1, 2) ** 2, variances)
    share = log_share.exp()
    predicted = case.learner.predict(adapted, case.query)
    assert_close((share * mean).sum(-1), predicted.mean)
    second = (share * (sd**2 + mean**2)).sum(-1)
    assert_close(second - predicted.mean**2, predicted.variance)


def posterior(gp, learner, encoding, rows, y, query, task, e):
    """Mean and covariance of the targets of query rows under one expert."""
    true = gp.formula(learner.prior, encoding, task, e)
    K, k = true.kernel(rows, rows), true.kernel(query, rows)
    K = K + true.noise * np.eye(len(K))
    residual = y[task].numpy() - true.mean(rows)[:, 0]
    mean = true.mean(query)[:, 0] + k @ np.linalg.solve(K, residual)
    C = true.kernel(query, query) - k @ np.linalg.solve(K, k.T)
    return mean, C + true.noise * np.eye(len(C))


def test_joint_draws_have_mean_and_covariance_of_the_mixture(gp):
    n_draws, encoding = 20_000, gp.encoding(1, N_FEATURES)
    case = make_case(gp)
    rows, query = (gp.rows_of(some, 0) for some in (case.rows, case.query))
    adapted = case.learner.adapt(rows, case.y[:1], encoding)
    share = case.learner.expert_share(adapted)[0].numpy()
    args = gp, case.learner, encoding, rows, case.y, query, 0
    means, covariances = zip(*(posterior(*args, e) for e in range(4)), strict=True)
    mean = share @ means
    away = np.array(means) - mean
    covariance = np.einsum("e,eij->ij", share, covariances)
    covariance += np.einsum("e,ei,ej->ij", share, away, away)
    components = case.learner.components(adapted, query, joint=True)
    draws = draw(components, n_draws, np.random.RandomState(0))
    sd = np.sqrt(np.diag(covariance))
    assert np.abs((draws.mean(1) - mean) / sd).max() < 4.5 / n_draws**0.5
    products = (draws - mean[:, None])[:, None] * (draws - mean[:, None])
    error = (products.mean(-1) - covariance) / products.std(-1) * n_draws**0.5
    assert np.abs(error).max() < 4.5


@pytest.mark.parametrize("name", ["regressor", "regressor-auto"])
def test_quantiles_and_density_of_an_estimator_are_those_of_the_mixture(
    name, meta_fitted
):
    estimator = meta_fitted(name).set_params(device="cpu")
    X, y, X_query = meta_fitted.task(name)
    estimator.fit(X, y)
    assert len(estimator.base_learners_) > 1
    task = estimator._adapted_task()
    state, query = task.state, task.state.rows(X_query)
    learner, scale = state.network.core(), state.targets.scale
    means, variances = (
        t[0].T.numpy() for t in learner.expert_predictions(task.adaptation, query)
    )
    share = np.broadcast_to(estimator.base_learner_weights_, means.shape)
    means = state.targets.mean + scale * means
    sds = scale * np.sqrt(variances + task.row_variance(X_query))
    mean = (share * means).sum(1)
    variance = (share * (sds**2 + means**2)).sum(1) - mean**2
    found_mean, found_std = estimator.predict(X_query, return_std=True)
    np.testing.assert_allclose(found_mean, mean, rtol=1e-6)
    np.testing.assert_allclose(found_std, np.sqrt(variance), rtol=1e-6)
    at = found_mean + np.linspace(-2, 2, len(X_query)) * found_std
    density = (share * norm.pdf(at[:, None], means, sds)).sum(1)
    np.testing.assert_allclose(
        estimator.log_prob(X_query, at), np.log(density), rtol=1e-6, atol=1e-9
    )
    levels = [0.05, 0.5, 0.9]
    for q, found in zip(
        levels, estimator.predict_quantiles(X_query, levels).T, strict=True
    ):
        below = (share * norm.cdf(found[:, None], means, sds)).sum(1)
        np.testing.assert_allclose(below, q, atol=1e-6)


# Weighted means over the experts


@stacks
@numbers_and_classes
def test_inner_products_of_features_are_the_weighted_kernels(
    experts, n_outputs, gp, encoding
):
    """But for their RBF parts."""
    case = make_case(gp, experts, n_outputs)
    case.learner.prior.signal.fill_(-100.0)
    adapted = case.learner.adapt(case.rows, case.y, encoding)
    features = case.learner.features(adapted, case.query).numpy()
    assert features.shape[2] == case.learner.n_base_features
    share = case.learner.expert_share(adapted).numpy()
    for task in range(N_TASKS):
        expected = sum(
            share[task, e]
            * gp.formula(case.learner.prior, encoding, task, e).kernel(
                case.query, case.query
            )
            for e in range(len(experts))
        )
        assert_close(features[task] @ features[task].T, expected, 1e-6)


def test_learned_features_are_the_nonlinear_ones(gp, encoding):
    case = make_case(gp)
    adapted = case.learner.adapt(case.rows, case.y, encoding)
    prior, all_of_them = case.learner.prior, case.learner.features(adapted, case.query)
    n, n_linear = prior.n_base_features, prior.n_linear
    expected = [all_of_them[..., e * n + n_linear : (e + 1) * n] for e in range(4)]
    found = case.learner.learned_features(adapted, case.query)
    assert_close(found, torch.cat(expected, -1), 0)


@stacks
@numbers_and_classes
def test_weights_of_rows_and_columns_are_weighted_means(
    experts, n_outputs, gp, encoding
):
    case = make_case(gp, experts, n_outputs)
    if n_outputs == 1:
        case.learner.set_adaptation(0.5, 4.0)
    rows = gp.weighted(case.rows, COUNTS)
    adapted = case.learner.adapt(rows, case.y, encoding)
    share = case.learner.expert_share(adapted).numpy()
    of_each = []
    for one in all_alone(gp, case.learner):
        own = one.adapt(rows, case.y, encoding)
        of_each.append([
            one.support_weights(own, case.query), one.relevance(own),
            one.row_weight(own, rows), one.prior_covariance(own, case.query),
        ])  # fmt: skip
    found = [
        case.learner.support_weights(adapted, case.query),
        case.learner.relevance(adapted),
        case.learner.row_weight(adapted, rows),
        case.learner.prior_covariance(adapted, case.query),
    ]
    for value, each in zip(found, zip(*of_each, strict=True), strict=True):
        expected = np.einsum("be,eb...->b...", share, np.stack(each))
        assert_close(value, expected, 1e-6)
    if n_outputs == 1:  # they have robust weights of their own
        assert np.ptp(np.stack([each[2] for each in of_each]), axis=0).max() > 0.01


# A linear expert in a stack


@numbers_and_classes
def test_linear_expert_has_a_linear_kernel(n_outputs, gp, encoding):
    case = make_case(gp, n_outputs=n_outputs)
    prior = case.learner.prior
    theta = prior.hyperparameters(encoding)
    of_linear = slice(2 * N_TASKS, 3 * N_TASKS)
    for part in (theta.signal, theta.basis):
        assert (part.exp()[of_linear] < 1e-8).all()
        assert (part.exp()[: 2 * N_TASKS] > 1e-3).all()
    design = prior.design(prior.expand(case.query), encoding, theta)
    K = prior.kernel(design, design, theta)[of_linear]
    features = design.features[of_linear, :, : prior.n_linear]
    assert_close(K, features @ features.mT, 1e-6)
    for task in range(N_TASKS):
        true = gp.formula(prior, encoding, task, 2)
        z = np.hstack([np.ones((N_QUERY, 1)), true.inputs(case.query)])
        assert_close(K[task], z @ true.covariance @ z.T, 1e-6)
        u, coefficients = z[:, 1:], prior.coefficients
        mean = u @ coefficients.weight[2].numpy().T + coefficients.bias[2].numpy()
        mean += case.query.offset[task, :, :n_outputs].numpy()  # of the first
        assert_close(design.mean[of_linear][task], mean)


def test_linear_expert_in_a_stack_predicts_as_a_linear_learner(gp, encoding):
    case = make_case(gp)
    case.learner.set_adaptation(1.0)
    one = alone(gp, case.learner, 2)
    assert one.prior.linear_only
    adapted = case.learner.adapt(case.rows, 3 * case.y, encoding)
    means, variances = case.learner.expert_predictions(adapted, case.query)
    mean, variance = one.predict(one.adapt(case.rows, 3 * case.y, encoding), case.query)
    assert_close(means[:, 2], mean, 1e-6)
    assert_close(variances[:, 2], variance, 1e-6)


# Draws from the prior


N_DRAWS = 3000


def far_apart(gp, n_outputs, experts=POOLED):  # one for each class
    """A stack whose experts have means so far apart that a target tells its expert."""
    learner = gp.stack(N_FEATURES, n_outputs, experts, log_noise=-5.0)
    for p in (learner.prior.factor, *learner.prior.coefficients.parameters()):
        p.zero_()
    learner.prior.signal.fill_(-10.0)
    learner.prior.basis.fill_(-10.0)
    learner.prior.to_mean.weight.zero_()
    learner.prior.to_mean.bias.zero_()
    n = len(experts)
    if n_outputs == 1:
        learner.prior.coefficients.bias.copy_(100.0 * torch.arange(n)[:, None])
    else:
        learner.prior.coefficients.bias.copy_(100.0 * torch.eye(n, n_outputs))
    return learner


def shares_of_draws(learner, y):
    """Share of each expert among the tasks with targets ``y`` (n_tasks, n_rows)."""
    drawn = y if learner.prior.n_outputs > 1 else (y / 100).round().long()
    assert (drawn == drawn[:, :1]).all()  # one expert for all rows of a task
    return np.bincount(drawn[:, 0], minlength=len(learner.experts)) / len(y)


def assert_shares(found, learner):
    weights = learner.expert_weights
    expected = softmax((weights.logit - 2 * weights.slope).numpy())  # of no row
    sd = np.sqrt(expected * (1 - expected) / N_DRAWS)
    assert (np.abs(found - expected) < 4.5 * sd).all()
    assert np.sort(expected)[-2] > 0.05


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_prior_draws_are_of_experts_by_their_weights(n_outputs, gp):
    experts = POOLED[:3]
    learner = far_apart(gp, n_outputs, experts)
    rows, _ = gp.rows(N_DRAWS, 2, N_FEATURES, N_POOLED * n_outputs)
    encoding = gp.encoding(N_DRAWS, N_FEATURES)
    one, same, other = (
        learner.sample(rows, encoding, torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert_shares(shares_of_draws(learner, one), learner)


def test_pseudo_tasks_are_of_experts_by_their_weights(gp):
    learner = far_apart(gp, 1)
    parts = [gp.rows(N_DRAWS + 5, n, N_FEATURES, N_POOLED, seed=n) for n in (3, 2)]
    (support, y_support), (query, y_query) = parts
    y_support, y_query = y_support.float(), y_query.float()
    batch = TaskBatch(*support, y_support, *query, y_query)
    chosen = torch.arange(N_DRAWS + 5) % 600 != 7
    assert chosen.sum() == N_DRAWS
    found = draw_from_prior(learner, batch, chosen, torch.Generator().manual_seed(0))
    y = torch.cat([found.y_support, found.y_query], 1)
    assert y.shape == (N_DRAWS + 5, 5)
    assert_shares(shares_of_draws(learner, y[chosen]), learner)
    assert torch.equal(y[~chosen, :3], y_support[~chosen])
    assert torch.equal(y[~chosen, 3:], y_query[~chosen])
    for field in fields(batch):
        if not field.name.startswith("y"):
            before, after = (getattr(one, field.name) for one in (batch, found))
            assert torch.equal(before, after)


def test_draws_of_a_stack_have_the_moments_of_its_prior(gp):
    learner, encoding = gp.stack(experts=POOLED), gp.encoding(1)
    rows, _ = gp.rows(1, 3, N_FEATURES, N_POOLED)
    n = 8000
    many = type(rows)(*(t.expand(n, *t.shape[1:]) for t in rows))
    parts = (t.expand(n, *t.shape[1:]) for t in (encoding.task, encoding.columns))
    y = learner.sample(
        many, type(encoding)(*parts), torch.Generator().manual_seed(0)
    ).numpy()
    share = np.exp(log_shares(learner, np.zeros((1, 0)), np.zeros((1, 4))))[0]
    trues = [gp.formula(learner.prior, encoding, 0, e) for e in range(4)]
    means = np.array([true.mean(rows)[:, 0] for true in trues])
    mean = share @ means
    covariance = sum(
        w * (true.kernel(rows, rows) + true.noise * np.eye(3) + np.outer(m, m))
        for w, true, m in zip(share, trues, means - mean, strict=True)
    )
    products = (y - mean)[:, :, None] * (y - mean)[:, None]
    for found, expected in ((y, mean), (products, covariance)):
        error = (found.mean(0) - expected) / found.std(0) * n**0.5
        assert np.abs(error).max() < 4.5


# Estimators


SYSTEMS = [
    "regressor", "regressor-auto", "binary", "regressor-related", "three-related",
    "binary-transformer",
]  # fmt: skip


@pytest.mark.parametrize("name", SYSTEMS)
def test_weights_of_base_learners(name, meta_fitted):
    estimator, (X, y, X_query) = meta_fitted(name), meta_fitted.task(name)
    names = estimator.base_learners_
    assert len(names) > 1
    assert names == [one.name for one in estimator.meta_state_.network.core().experts]
    assert len(set(names)) == len(names)
    assert not hasattr(estimator, "base_learner_weights_")
    weights = estimator.fit(X, y).base_learner_weights_
    assert weights.shape == (len(names),)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    expected = estimator._adapted_task().expert_share()
    np.testing.assert_array_equal(weights, expected)
    loaded = pickle.loads(pickle.dumps(estimator))
    assert loaded.base_learners_ == names
    np.testing.assert_array_equal(loaded.base_learner_weights_, weights)
    before, after = (meta_fitted.predict(one, X_query) for one in (estimator, loaded))
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-6)
    copied = clone(estimator)
    assert copied.base_learners_ == names
    assert not hasattr(copied, "base_learner_weights_")
    np.testing.assert_allclose(copied.fit(X, y).base_learner_weights_, weights)
    other = meta_fitted.task(name, 1)
    assert not np.allclose(copied.fit(*other[:2]).base_learner_weights_, weights)


@pytest.mark.parametrize("name", ["regressor-mlp", "three-mlp", "regressor-gp"])
def test_one_base_learner_has_all_the_weight(name, meta_fitted):
    X, y, _ = meta_fitted.task(name)
    estimator = meta_fitted(name).fit(X, y)
    assert len(estimator.base_learners_) == 1
    np.testing.assert_array_equal(estimator.base_learner_weights_, [1.0])


@pytest.mark.parametrize(
    ("cls", "base_learner", "pooled", "expected"),
    [
        (AttentionMetaRegressor, "gp", Ridge(), ["gp on Ridge"]),
        (AttentionMetaRegressor, "gp", None, ["gp"]),
        (AttentionMetaRegressor, "linear", Ridge(), ["linear on Ridge"]),
        (AttentionMetaRegressor, "linear", None, ["linear"]),
        (AttentionMetaRegressor, Ridge(), Ridge(), ["gp on Ridge"]),
        (AttentionMetaRegressor, "mlp", Ridge(), ["mlp"]),
        (
            AttentionMetaClassifier, "gp", LogisticRegression(),
            ["gp on LogisticRegression"],
        ),
    ],
)  # fmt: skip
def test_names_of_given_base_learners(
    cls, base_learner, pooled, expected, meta_fitted, tiny, quick_training
):
    kind = "regressor" if cls is AttentionMetaRegressor else "binary"
    estimator = cls(base_learner, pooled, **tiny | {"max_epochs": 1})
    if kind == "binary":
        estimator.set_params(task_attention=False)
    estimator.meta_fit(meta_fitted.tasks(kind))
    assert estimator.base_learners_ == expected
    learner = estimator.meta_state_.network.core()
    assert len(estimator.meta_state_.pooled) == (pooled is not None)
    if base_learner != "mlp":
        (one,) = learner.experts
        index = None if pooled is None else 0
        assert one == (expected[0], index, base_learner == "linear")
        assert learner.expert_weights is None


@pytest.mark.parametrize("name", ["regressor", "regressor-auto"])
def test_prediction_without_rows_is_the_mixture_by_the_prior_weights(name, meta_fitted):
    estimator = meta_fitted(name).set_params(device="cpu")
    _, _, X_query = meta_fitted.task(name)
    task = estimator._adapted_task()
    learner, query = task.state.network.core(), task.state.rows(X_query)
    means, _ = learner.expert_predictions(task.adaptation, query)
    weights = learner.expert_weights
    share = softmax((weights.logit - 2 * weights.slope).numpy())
    targets = task.state.targets
    expected = targets.mean + targets.scale * (share @ means[0].numpy())
    np.testing.assert_allclose(estimator.predict(X_query), expected, rtol=1e-6)
