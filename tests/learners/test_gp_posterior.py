"""Posterior and likelihood in meta-training, against dense formulas and autograd."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch.autograd import grad, gradcheck
from torch.distributions import MultivariateNormal

from skmeta._episodes.batch import Rows
from skmeta._networks.learners import gp_algebra
from skmeta._networks.learners.gp_algebra import JITTER
from skmeta._networks.learners.gp_posterior import (
    _JointLoss,
    _Posterior,
    gp_posterior,
    joint_loss,
)
from skmeta._networks.learners.gp_prior import LEFT_OUT
from skmeta._networks.learners.gp_regression import GaussianProcessRegression
from skmeta._networks.learners.losses import mean_loss
from skmeta._networks.learners.predictive import Gaussian, JointGaussian

N_TASKS, N_ROWS, N_QUERY, N_FEATURES = 3, 6, 4, 3
BOUND = 5.0

PROCESSES = {
    "gp": {},
    "no-pooled": {"n_offset": 0},
    "linear": {"linear_only": True},
    "little-noise": {"log_noise": -9.0},
}
SIZES = {
    "all": (N_ROWS, N_QUERY),
    "no support": (0, N_QUERY),
    "no query": (N_ROWS, 0),
    "one of each": (1, 1),
}

sizes = pytest.mark.parametrize(("n_rows", "n_query"), SIZES.values(), ids=SIZES)


def assert_close(a, b, atol=1e-9):
    a, b = (np.asarray(t.detach() if torch.is_tensor(t) else t) for t in (a, b))
    np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@pytest.fixture(params=PROCESSES, ids=PROCESSES)
def prior(request, gp):
    return gp.prior(N_FEATURES, **PROCESSES[request.param])


@pytest.fixture
def encoding(gp):
    return gp.encoding(N_TASKS, N_FEATURES)


@pytest.fixture
def no_jitter(monkeypatch):
    monkeypatch.setattr(gp_algebra, "JITTER", 0.0)


def posterior_of(prior, encoding, support, y, query, theta=None):
    """`gp_posterior` of rows, by the hyperparameters of the encoding."""
    theta = prior.hyperparameters(encoding) if theta is None else theta
    rows = prior.expand(support.followed_by(query))
    design = prior.design(rows, encoding, theta)
    return gp_posterior(design, theta, y, support.weight > 0)


def by_hand(true, support, y, query, task):
    """Mean and covariance of the query targets, and the log density of the support."""
    here = support.weight[task].numpy() > 0
    mean, C, evidence = true.mean(query)[:, 0], true.kernel(query, query), 0.0
    if here.any():
        K = true.kernel(support, support)[np.ix_(here, here)]
        K = K + (true.noise + JITTER * np.diag(K).mean()) * np.eye(len(K))
        r = (y[task].numpy() - true.mean(support)[:, 0])[here]
        k = true.kernel(query, support)[:, here]
        gain = k @ np.linalg.inv(K)
        mean, C = mean + gain @ r, C - gain @ k.T
        evidence = multivariate_normal(cov=K).logpdf(r)
    return mean, C + true.noise * np.eye(len(C)), evidence


def check_against_formula(gp, prior, encoding, support, y, query):
    found = posterior_of(prior, encoding, support, y, query)
    Q = query.x.shape[1]
    assert found.mean.shape == (N_TASKS, Q)
    assert found.covariance.shape == (N_TASKS, Q, Q)
    assert found.log_evidence.shape == (N_TASKS,)
    for task in range(N_TASKS):
        true = gp.formula(prior, encoding, task)
        if Q == 0:
            own = gp.rows(N_TASKS, 1, N_FEATURES)[0]  # any: only the evidence counts
            evidence = by_hand(true, support, y, own, task)[2]
        else:
            mean, covariance, evidence = by_hand(true, support, y, query, task)
            assert_close(found.mean[task], mean, 1e-7)
            assert_close(found.covariance[task], covariance, 1e-7)
        assert_close(found.log_evidence[task], evidence, 1e-6)


# Values


def rows_and_query(gp, n_rows=N_ROWS, n_query=N_QUERY):
    support, y = gp.rows(N_TASKS, n_rows, N_FEATURES)
    return support, y, gp.rows(N_TASKS, n_query, N_FEATURES, seed=5)[0]


@sizes
def test_posterior_and_evidence_are_those_of_the_formula(
    prior, encoding, gp, n_rows, n_query
):
    parts = rows_and_query(gp, n_rows, n_query)
    check_against_formula(gp, prior, encoding, *parts)


def test_padding_of_the_support_is_ignored(prior, encoding, gp):
    """Of one task all of it."""
    support, y, query = rows_and_query(gp)
    support.weight[1, 2:] = 0
    support.weight[2] = 0
    check_against_formula(gp, prior, encoding, support, y, query)
    found = posterior_of(prior, encoding, support, y, query)
    assert found.log_evidence[2] == 0
    more, y_more = gp.padded(support, y)
    other = posterior_of(prior, encoding, more, y_more, query)
    for a, b in zip(other, found, strict=True):
        assert_close(a, b, 1e-8)
    wild = Rows(*(t + 1e3 * (more.weight == 0)[..., None] for t in more[:2]), more[2])
    y_wild = y_more + 1e6 * (more.weight == 0)
    again = posterior_of(prior, encoding, wild, y_wild, query)
    for a, b in zip(again, other, strict=True):
        assert torch.equal(a, b)


def test_without_its_rbf_part_the_process_is_the_rest(gp, encoding):
    """Both where dropout leaves it out and where the expert is linear in a stack."""
    prior = gp.prior(N_FEATURES)
    support, y, query = rows_and_query(gp)
    theta = prior.hyperparameters(encoding)
    left_out = torch.tensor([[True], [False], [True]])
    some = theta._replace(signal=theta.signal.masked_fill(left_out, LEFT_OUT))
    found = posterior_of(prior, encoding, support, y, query, some)
    whole = posterior_of(prior, encoding, support, y, query)
    without = gp.prior(N_FEATURES)
    without.signal.fill_(-100.0)
    rest = posterior_of(without, encoding, support, y, query)
    for a, b, c in zip(found, rest, whole, strict=True):
        assert_close(a[[0, 2]], b[[0, 2]], 1e-6)
        assert torch.equal(a[1], c[1])
        assert (a[0] - c[0]).abs().max() > 1e-3


def test_rows_far_away_have_no_rbf_covariance(gp, encoding, no_jitter):
    """Nor does a sum of squares lose its digits."""
    prior = gp.prior(N_FEATURES)
    for p in (prior.factor, prior.to_basis.weight, prior.to_basis.bias):
        p.zero_()
    support, y, query = rows_and_query(gp)
    query.x[:, 0] += 1e3
    found = posterior_of(prior, encoding, support, y, query)
    theta = prior.hyperparameters(encoding)
    design = prior.design(prior.expand(query), encoding, theta)
    assert torch.equal(found.mean[:, 0], design.mean[:, 0, 0])
    expected = torch.zeros(N_TASKS, N_QUERY).double()
    expected[:, :1] = theta.signal.exp() + theta.noise.exp()
    assert_close(found.covariance[:, 0], expected, 1e-8)


def test_posterior_is_symmetric_and_of_the_adapted_learner(prior, encoding, gp):
    support, y, query = rows_and_query(gp)
    support.weight[1, 2:] = 0
    found = posterior_of(prior, encoding, support, y, query)
    assert_close(found.covariance, found.covariance.mT, 1e-12)
    assert (torch.linalg.eigvalsh(found.covariance) > 0).all()
    learner = GaussianProcessRegression(prior).train()
    adapted = learner.adapt(support, y, encoding)
    ((_, mean, covariance),) = learner.components(adapted, query, joint=True)
    assert_close(found.mean, mean[:, 0], 1e-8)
    assert_close(found.covariance, covariance, 1e-8)
    assert_close(found.log_evidence, learner.log_evidence(adapted), 1e-8)


# Gradients


def through_autograd(prior, encoding, support, y, query):
    """The same by autograd, through the algebra of the adapted learner."""
    learner = GaussianProcessRegression(prior)
    theta = prior.hyperparameters(encoding)
    rows = prior.expand(support)
    adapted = learner._condition(rows, y, encoding, theta)
    ones = torch.zeros(len(y), 1).double()
    adapted = adapted._replace(log_share=ones)
    ((_, mean, covariance),) = learner.components(adapted, query, joint=True)
    return mean[:, 0], covariance, learner._evidence(adapted)


OUTPUTS = "mean", "covariance", "log_evidence"


@sizes
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("output", OUTPUTS)
def test_gradients_are_those_of_autograd(
    prior, encoding, gp, no_jitter, n_rows, n_query, padded, output
):
    """Of all parameters, of rows and offsets, and of the encoding; `y` is constant."""
    support, y, query = rows_and_query(gp, n_rows, n_query)
    if padded:
        support.weight[0, n_rows // 2 :] = support.weight[1] = 0
    inputs = dict(prior.requires_grad_(True).named_parameters()) | {
        "x": support.x, "offset": support.offset, "x_query": query.x,
        "offset_query": query.offset, "task": encoding.task,
        "columns": encoding.columns,
    }  # fmt: skip
    for tensor in inputs.values():
        tensor.requires_grad_(True)

    def slopes(compute):
        parts = compute(prior, encoding, support, y, query)
        out = parts[OUTPUTS.index(output)]
        size = torch.linspace(1, 2, out.numel()).to(out).view_as(out)
        if output == "covariance":
            size = size + size.mT
        found = grad(
            (out * size).sum(), list(inputs.values()), allow_unused=True,
            materialize_grads=True,
        )  # fmt: skip
        return dict(zip(inputs, found, strict=True))

    found, expected = slopes(posterior_of), slopes(through_autograd)
    for name, slope in expected.items():
        scale = max(1, slope.abs().max().item()) if slope.numel() else 1
        assert_close(found[name] / scale, slope / scale, 1e-7)
    still = {name for name, slope in found.items() if (slope == 0).all()}
    if min(n_rows, n_query) > 1:
        assert ("x_query" in still) == (output == "log_evidence")
        assert not {"factor", "noise", "task", "columns", "x"} & still


def test_gradients_are_those_of_finite_differences(gp, encoding, no_jitter):
    prior = gp.prior(N_FEATURES)
    support, y, query = rows_and_query(gp, 3, 2)
    present = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 0]]).double()
    theta = prior.hyperparameters(encoding)
    design = prior.design(prior.expand(support.followed_by(query)), encoding, theta)
    parts = design.features, design.columns, design.mean[..., 0]
    parts = [t.clone().requires_grad_() for t in (*parts, theta.signal, theta.noise)]

    def posterior(*parts):
        mean, covariance, evidence = _Posterior.apply(*parts, y, present)
        return mean, covariance.tril(), evidence

    def symmetric(*parts):
        mean, covariance, evidence = _Posterior.apply(*parts, y, present)
        return mean, covariance + covariance.mT, evidence

    assert gradcheck(symmetric, parts)


def test_gradients_are_those_of_the_padded_rows_too(prior, encoding, gp):
    """Which are zero, but for an RBF kernel of the size of FAR."""
    support, y, query = rows_and_query(gp)
    support.weight[0, 4:] = 0
    support.weight[1] = 0
    theta = prior.hyperparameters(encoding)
    rows = prior.expand(support.followed_by(query))
    design = prior.design(rows, encoding, theta)
    parts = design.features, design.columns, design.mean
    parts = [t.clone().requires_grad_() for t in parts]
    features, columns, mean = parts
    design = design._replace(features=features, columns=columns, mean=mean)
    found = gp_posterior(design, theta, y, support.weight > 0)
    out = found.mean.sum() + found.covariance.sum() + found.log_evidence.sum()
    for slope in grad(out, parts):
        hidden = torch.zeros(slope.shape[:2], dtype=bool)
        hidden[:, :N_ROWS] = support.weight == 0
        assert (slope[hidden].abs() < 1e-40).all()
        assert (slope[~hidden] != 0).flatten(1).any(1).sum() > N_QUERY


def test_gradients_without_a_support_are_those_of_the_prior(prior, encoding, gp):
    support, y, query = rows_and_query(gp, 0)
    prior.requires_grad_(True)
    found = posterior_of(prior, encoding, support, y, query)
    assert (found.log_evidence == 0).all()
    of_evidence = grad(
        found.log_evidence.sum(), prior.noise, retain_graph=True, allow_unused=True
    )
    assert (of_evidence[0] == 0).all()
    (of_noise,) = grad(found.covariance.diagonal(dim1=1, dim2=2).sum(), prior.noise)
    noise = prior.hyperparameters(encoding).noise.exp()
    assert_close(of_noise, [[N_QUERY * noise.sum().item()]])


# The joint likelihood of query rows


def joint_case(scale=1.0, seed=0):
    """Means, covariances, targets, and which rows are there: of one task all."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(N_TASKS, N_QUERY, N_QUERY + 2))
    covariance = torch.from_numpy(root @ root.transpose(0, 2, 1))
    mean, y = (torch.from_numpy(rng.normal(size=(N_TASKS, N_QUERY))) for _ in range(2))
    y = mean + scale * y
    present = torch.ones(N_TASKS, N_QUERY, dtype=bool)
    present[1, 1] = present[2, 0] = present[2, 3] = False
    return mean, covariance, y, present


def squares_and_rest(mean, covariance, y, present, task):
    """Squared distance of the targets of a task that are there, and log normaliser."""
    at = present[task].numpy()
    C = covariance[task].numpy()[np.ix_(at, at)]
    r = (y - mean)[task].numpy()[at]
    rest = np.linalg.slogdet(C)[1] + at.sum() * np.log(2 * np.pi)
    return r @ np.linalg.solve(C, r), rest


def test_joint_loss_is_the_negative_log_density(no_jitter):
    mean, covariance, y, present = joint_case()
    found = joint_loss(mean, covariance, y, present, BOUND)
    for task in range(N_TASKS):
        at = present[task]
        density = MultivariateNormal(mean[task, at], covariance[task][at][:, at])
        assert_close(found[task], -density.log_prob(y[task, at]), 1e-6)
        squares, _ = squares_and_rest(mean, covariance, y, present, task)
        assert squares < at.sum() + BOUND**2


def test_joint_loss_of_independent_rows_is_the_sum_of_theirs(no_jitter):
    mean, covariance, y, present = joint_case()
    variance = covariance.diagonal(dim1=1, dim2=2)
    found = joint_loss(mean, torch.diag_embed(variance), y, present, BOUND)
    each = -torch.distributions.Normal(mean, variance.sqrt()).log_prob(y)
    assert_close(found, (each * present).sum(1), 1e-6)


def test_jitter_of_the_joint_loss_is_small():
    mean, covariance, y, present = joint_case()
    found = joint_loss(mean, covariance, y, present, BOUND)
    for task in range(N_TASKS):
        squares, rest = squares_and_rest(mean, covariance, y, present, task)
        assert found[task] == pytest.approx(0.5 * (squares + rest), abs=1e-4)
    singular = torch.ones_like(covariance)
    assert joint_loss(mean, singular, mean, present, BOUND).isfinite().all()


@pytest.mark.parametrize("bound", [0.5, 2.0, BOUND])
def test_distances_beyond_the_bound_count_linearly(no_jitter, bound):
    mean, covariance, y, present = joint_case()
    for task in range(N_TASKS):
        squares, rest = squares_and_rest(mean, covariance, y, present, task)
        limit = present[task].sum().item() + bound**2
        for times in (0.0, 0.5, 0.99, 1.01, 2.0, 30.0):
            by = times * math.sqrt(limit / squares)  # of the limit of the distance
            moved = mean + by * (y - mean)
            found = joint_loss(mean, covariance, moved, present, bound)[task]
            expected = times**2 if times <= 1 else 2 * times - 1
            assert_close(found, 0.5 * (expected * limit + rest), 1e-6)


def test_slope_does_not_jump_at_the_bound(no_jitter):
    mean, covariance, y, present = joint_case()
    squares, _ = squares_and_rest(mean, covariance, y, present, 1)
    limit = present[1].sum().item() + BOUND**2

    def value_and_slopes(times):
        by = times * math.sqrt(limit / squares)
        parts = [t.clone().requires_grad_() for t in (mean, covariance)]
        moved = mean + by * (y - mean)
        loss = joint_loss(*parts, moved, present, BOUND)[1]
        return loss, *grad(loss, parts)

    below, above = map(value_and_slopes, (1 - 1e-6, 1 + 1e-6))
    for a, b in zip(below, above, strict=True):
        assert_close(a, b, 1e-3)
    _, one, _ = value_and_slopes(3.0)
    _, other, _ = value_and_slopes(300.0)
    assert_close(one, other)  # the slope no longer grows
    assert_close(one, above[1], 1e-4)


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_gradients_of_the_joint_loss(scale, no_jitter):
    """Below the bound and above it, against finite differences."""
    mean, covariance, y, present = joint_case(scale)
    seen = [squares_and_rest(mean, covariance, y, present, t)[0] for t in range(3)]
    assert (np.array(seen) > 4 + BOUND**2).all() == (scale > 1)
    parts = [t.clone().requires_grad_() for t in (mean, covariance)]

    def loss(mean, covariance):
        symmetric = 0.5 * (covariance + covariance.mT)
        return _JointLoss.apply(mean, symmetric, y, present.double(), BOUND)

    assert gradcheck(loss, parts)


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_rows_that_are_not_there_have_no_part_in_the_joint_loss(scale):
    mean, covariance, y, present = joint_case(scale)
    mean, covariance = (t.clone().requires_grad_() for t in (mean, covariance))
    found = joint_loss(mean, covariance, y, present, BOUND)
    of_mean, of_covariance = grad(found.sum(), (mean, covariance))
    both = present[:, None] & present[..., None]
    assert ((of_mean != 0) == present).all()
    assert (of_covariance[~both] == 0).all()
    assert (of_covariance[both] != 0).all()
    wild = y.masked_fill(~present, 1e9)
    other = covariance.detach().masked_fill(~both, 1e3)
    assert torch.equal(joint_loss(mean, other, wild, present, BOUND), found)
    none = torch.zeros_like(present)
    nothing = joint_loss(mean, covariance, y, none, BOUND)
    assert (nothing == 0).all()
    assert all((slope == 0).all() for slope in grad(nothing.sum(), (mean, covariance)))


def test_gradients_of_the_whole_loss_are_those_of_autograd(
    prior, encoding, gp, no_jitter
):
    """Of the joint likelihood of the query rows, with padding everywhere."""
    support, y, query = rows_and_query(gp)
    support.weight[0, 3:] = support.weight[2] = 0
    targets = torch.from_numpy(np.random.default_rng(3).normal(size=(3, N_QUERY)))
    targets[1] *= 30  # beyond the bound
    present = joint_case()[3]
    parameters = list(prior.requires_grad_(True).parameters())
    mean, covariance, _ = posterior_of(prior, encoding, support, y, query)
    losses = joint_loss(mean, covariance, targets, present, BOUND)
    found = grad(losses.sum(), parameters, allow_unused=True, materialize_grads=True)
    mean, covariance, _ = through_autograd(prior, encoding, support, y, query)
    total = 0
    for task, at in enumerate(present):
        C, r = covariance[task][at][:, at], (targets - mean)[task, at]
        squares = r @ torch.linalg.solve(C, r)
        limit = at.sum() + BOUND**2
        if squares > limit:
            squares = 2 * (squares * limit).sqrt() - limit
        total = total + 0.5 * (squares + torch.logdet(C))
    expected = grad(total, parameters, allow_unused=True, materialize_grads=True)
    for a, b in zip(found, expected, strict=True):
        scale = max(1, b.abs().max().item())
        assert_close(a / scale, b / scale, 1e-6)


# Means over tasks


def test_weights_of_tasks_in_the_mean_loss():
    mean, covariance, y, present = joint_case()
    of_task = torch.tensor([0.5, 2.0, 0.0]).double()
    weight = present * of_task[:, None]
    prediction = JointGaussian(mean, covariance)
    found = mean_loss(prediction, y, weight, BOUND, 1.0)
    each = joint_loss(mean, covariance, y, present, BOUND)
    expected = (0.5 * each[0] + 2.0 * each[1]) / (0.5 * 4 + 2.0 * 3)
    assert_close(found, expected)
    y[2] += 1e3  # of a task that does not count
    assert_close(mean_loss(prediction, y, weight, BOUND, 1.0), expected)
    assert mean_loss(prediction, y, 0 * weight, BOUND, 1.0) == 0


@pytest.mark.parametrize("bound", [BOUND, None])
def test_share_of_the_joint_likelihood_in_the_mean_loss(bound):
    mean, covariance, y, present = joint_case()
    prediction, weight = JointGaussian(mean, covariance), present.double()
    marginal = Gaussian(mean, covariance.diagonal(dim1=1, dim2=2))
    of_rows = mean_loss(marginal, y, weight, bound)
    none, some, all_of_it = (
        mean_loss(prediction, y, weight, bound, share) for share in (0.0, 0.25, 1.0)
    )
    assert_close(none, of_rows)
    assert_close(some, 0.25 * all_of_it + 0.75 * of_rows)
    assert abs(all_of_it - of_rows) > 0.01
    assert_close(mean_loss(marginal, y, weight, bound, 0.25), of_rows)


def test_mean_loss_of_independent_rows_is_that_of_each(no_jitter):
    mean, covariance, y, present = joint_case()
    variance = covariance.diagonal(dim1=1, dim2=2)
    weight = present * torch.tensor([[1.0], [0.3], [2.0]]).double()
    one = JointGaussian(mean, torch.diag_embed(variance))
    found = mean_loss(one, y, weight, 100.0)
    assert_close(found, mean_loss(Gaussian(mean, variance), y, weight), 1e-6)


def test_a_batch_whose_tasks_all_count_nothing_has_no_gradient():
    mean, covariance, y, present = joint_case()
    mean, covariance = (t.clone().requires_grad_() for t in (mean, covariance))
    loss = mean_loss(JointGaussian(mean, covariance), y, 0.0 * present, BOUND)
    assert all((slope == 0).all() for slope in grad(loss, (mean, covariance)))
