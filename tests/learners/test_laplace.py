"""Laplace's approximation, against dense algebra on all classes at once."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax

from skmeta._networks.learners import laplace as module
from skmeta._networks.learners.gp_classification import GaussianProcessClassification
from skmeta._networks.learners.laplace import laplace, predict_logits

N_TASKS, N_ROWS, N_QUERY = 3, 6, 4
COUNTS = [2, 1, 3, 0, 1, 2]

sizes = pytest.mark.parametrize(
    ("n_classes", "scale"), [(2, 1.0), (3, 1.0), (4, 20.0), (3, 400.0)]
)
two_or_more = pytest.mark.parametrize("n_classes", [2, 3])


def problem(n_classes=3, scale=1.0, seed=0):
    """Kernels among and between support and query rows, means, labels, weights."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N_TASKS, N_ROWS + N_QUERY, 2))
    d2 = np.square(x[:, :, None] - x[:, None]).sum(-1)
    K = scale * np.exp(-0.5 * d2) + 1e-6 * scale * np.eye(N_ROWS + N_QUERY)
    mean = rng.normal(size=(N_TASKS, N_ROWS + N_QUERY, n_classes))
    y = rng.integers(n_classes, size=(N_TASKS, N_ROWS))
    parts = {
        "K": K[:, :N_ROWS, :N_ROWS],
        "mean": mean[:, :N_ROWS],
        "y": y,
        "weight": np.ones((N_TASKS, N_ROWS)),
        "k": K[:, N_ROWS:, :N_ROWS],
        "variance": np.full((N_TASKS, N_QUERY), K[0, 0, 0]),
        "mean_query": mean[:, N_ROWS:],
    }
    return {name: torch.from_numpy(np.array(part)) for name, part in parts.items()}


def solve(p):
    """The posterior of a problem, and the logits at its query rows."""
    posterior = laplace(p["K"], p["mean"], p["y"], p["weight"])
    logits = predict_logits(posterior, p["k"], p["variance"], p["mean_query"])
    return posterior, logits


def dense(p, task):
    """Mode, log evidence and logits of one task by matrices over classes and rows."""
    K, k, mean, mean_query, y, w, variance = (
        p[name][task].numpy()
        for name in ("K", "k", "mean", "mean_query", "y", "weight", "variance")
    )
    S, C = mean.shape
    K_all, k_all = np.kron(np.eye(C), K), np.kron(np.eye(C), k)
    m = mean.T.ravel()
    target = (np.eye(C)[y] * w[:, None]).T.ravel()

    def curvature(f):
        probability = softmax(f.reshape(C, S), axis=0)
        W = np.diag((w * probability).ravel())
        for i in range(S):
            rows = i + S * np.arange(C)
            W[np.ix_(rows, rows)] -= w[i] * np.outer(*[probability[:, i]] * 2)
        return W, (w * probability).ravel()

    def log_likelihood(f):
        return np.sum(w * log_softmax(f.reshape(C, S), axis=0)[y, np.arange(S)])

    def value(a):  # f = m + K a
        return -log_likelihood(m + K_all @ a) + 0.5 * a @ K_all @ a

    a = np.zeros(C * S)
    for _ in range(50):
        W, expected = curvature(m + K_all @ a)
        right = W @ (K_all @ a) + target - expected
        step = np.linalg.solve(np.eye(C * S) + W @ K_all, right) - a
        rate = 1.0
        while value(a + rate * step) > value(a) and rate > 1e-8:
            rate /= 2
        a = a + rate * step
    for _ in range(5):  # polished by full steps
        W, expected = curvature(m + K_all @ a)
        right = W @ (K_all @ a) + target - expected
        a = np.linalg.solve(np.eye(C * S) + W @ K_all, right)
    f = m + K_all @ a
    W, expected = curvature(f)
    assert np.abs(K_all @ (target - expected - a)).max() < 1e-9  # it is the mode
    _, log_det = np.linalg.slogdet(np.eye(C * S) + K_all @ W)
    evidence = -value(a) - 0.5 * log_det

    latent = mean_query + (k_all @ a).reshape(C, -1).T
    precision = W @ np.linalg.inv(np.eye(C * S) + K_all @ W)
    centre = np.eye(C) - 1 / C
    logits = []
    for q in range(len(k)):
        rows = k_all[q + len(k) * np.arange(C)]
        covariance = variance[q] * np.eye(C) - rows @ precision @ rows.T
        s2 = np.diag(centre @ covariance @ centre)
        spread = 1 + math.pi / 8 * 2 * C / (C - 1) * s2
        logits.append(centre @ latent[q] / np.sqrt(spread))
    return f.reshape(C, S), evidence, np.array(logits)


def assert_close(a, b, atol=1e-6):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=atol)


def mode(p, posterior):
    return p["mean"].transpose(1, 2) + posterior.alpha @ p["K"]


@sizes
def test_mode_evidence_and_logits_are_those_of_dense_algebra(n_classes, scale):
    p = problem(n_classes, scale)
    posterior, logits = solve(p)
    for task in range(N_TASKS):
        f, evidence, expected = dense(p, task)
        assert_close(mode(p, posterior)[task], f)
        assert_close(posterior.log_evidence[task], evidence)
        assert_close(logits[task], expected)


def test_converged_mode_is_exact(monkeypatch):
    monkeypatch.setattr(module, "TOLERANCE", 1e-13)
    p = problem(3, 5.0)
    posterior, logits = solve(p)
    for task in range(N_TASKS):
        f, evidence, expected = dense(p, task)
        assert_close(mode(p, posterior)[task], f, 1e-8)
        assert_close(posterior.log_evidence[task], evidence, 1e-8)
        assert_close(logits[task], expected, 1e-8)


@pytest.mark.parametrize("seed", range(4))
@two_or_more
def test_mode_of_hard_problems(n_classes, seed):
    """Labels far more certain than the prior mean, which wants other ones."""
    p = problem(n_classes, 1e4, seed)
    p["mean"] = 30 * p["mean"]
    posterior, _ = solve(p)
    f = mode(p, posterior)
    gradient = torch.nn.functional.one_hot(p["y"]).transpose(1, 2) - f.softmax(1)
    residual = p["K"][:, None] @ (gradient - posterior.alpha)[..., None]
    assert_close(residual / 1e4, torch.zeros_like(residual), 1e-4)


def test_one_task_of_a_batch_does_not_hold_up_another():
    p, hard = problem(3, 1.0), problem(3, 1e4, seed=1)
    together = {name: torch.cat([p[name], hard[name]]) for name in p}
    posterior, logits = solve(together)
    alone, logits_alone = solve(p)
    assert_close(logits[:N_TASKS], logits_alone)
    assert_close(posterior.log_evidence[:N_TASKS], alone.log_evidence)


def binary_laplace(K, mean, y, w, k, mean_query, variance):
    """The usual one-function logistic Laplace: mean and variance at query rows."""
    sign = 2 * y - 1

    def loss(a):
        f = mean + K @ a
        return np.sum(w * np.logaddexp(0, -sign * f)) + 0.5 * a @ K @ a

    def slope(a):
        f = mean + K @ a
        return K @ (a - w * sign * expit(-sign * f))

    a = minimize(loss, np.zeros(len(y)), jac=slope, tol=1e-14).x
    for _ in range(20):  # Newton's method polishes
        p = expit(mean + K @ a)
        W = np.diag(w * p * (1 - p))
        right = W @ (K @ a) + w * (y - p)
        a = np.linalg.solve(np.eye(len(y)) + W @ K, right)
    p = expit(mean + K @ a)
    W = np.diag(w * p * (1 - p))
    posterior = variance - np.diag(k @ W @ np.linalg.inv(np.eye(len(y)) + K @ W) @ k.T)
    return mean_query + k @ a, posterior


def test_two_classes_are_the_logistic_laplace_of_their_difference():
    p = problem(2, 2.0)
    _, logits = solve(p)
    for task in range(N_TASKS):
        K, k, mean, mean_query, y, w, variance = (
            p[name][task].numpy()
            for name in ("K", "k", "mean", "mean_query", "y", "weight", "variance")
        )
        mu, var = binary_laplace(
            2 * K, mean[:, 1] - mean[:, 0], y, w, 2 * k,
            mean_query[:, 1] - mean_query[:, 0], 2 * variance,
        )  # fmt: skip
        expected = expit(mu / np.sqrt(1 + math.pi * var / 8))
        assert_close(logits.softmax(-1)[task, :, 1], expected)


def test_permuting_classes_permutes_logits():
    p = problem(4, 3.0)
    order = [2, 0, 3, 1]
    permuted = dict(
        p, mean=p["mean"][..., order], mean_query=p["mean_query"][..., order]
    )
    permuted["y"] = torch.tensor(order).argsort()[p["y"]]
    one, logits = solve(p)
    other, permuted_logits = solve(permuted)
    assert_close(permuted_logits, logits[..., order], 1e-9)
    assert_close(other.log_evidence, one.log_evidence, 1e-9)


@pytest.mark.parametrize("what", ["logits", "evidence"])
@two_or_more
def test_gradient_is_implicit(n_classes, what, monkeypatch):
    monkeypatch.setattr(module, "TOLERANCE", 1e-13)
    p = problem(n_classes, 2.0)
    p["weight"] = torch.tensor(COUNTS).double().expand(N_TASKS, -1)
    rng = np.random.default_rng(1)
    direction = torch.from_numpy(rng.normal(size=(N_TASKS, N_ROWS + N_QUERY, 2)))
    mean_direction = torch.from_numpy(rng.normal(size=p["mean"].shape))
    readout = torch.from_numpy(rng.normal(size=(N_TASKS, N_QUERY, n_classes)))

    def value(t):
        outer = direction @ direction.transpose(1, 2) * t[0]
        moved = dict(
            p,
            K=p["K"] * t[1].exp() + outer[:, :N_ROWS, :N_ROWS],
            k=p["k"] * t[1].exp() + outer[:, N_ROWS:, :N_ROWS],
            variance=p["variance"] * t[1].exp()
            + outer.diagonal(dim1=1, dim2=2)[:, N_ROWS:],
            mean=p["mean"] + t[2] * mean_direction,
        )
        posterior, logits = solve(moved)
        if what == "evidence":
            return posterior.log_evidence.sum()
        return (logits * readout).sum()

    t = torch.tensor([0.3, 0.1, -0.2], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(value(t), t)
    step = 1e-5
    for i in range(3):
        move = step * torch.eye(3, dtype=torch.float64)[i]
        with torch.no_grad():
            expected = (value(t + move) - value(t - move)) / (2 * step)
        assert abs(gradient[i].item() - expected.item()) < 1e-6 * max(
            1, abs(expected.item())
        )


def test_gradient_at_the_default_tolerance_is_close_to_the_converged(monkeypatch):
    p = problem(3, 2.0)
    gradients = []
    for tolerance in (module.TOLERANCE, 1e-13):
        monkeypatch.setattr(module, "TOLERANCE", tolerance)
        K = p["K"].clone().requires_grad_()
        posterior, logits = solve(dict(p, K=K))
        value = (logits.softmax(-1)[..., 0].sum() + posterior.log_evidence).sum()
        gradients.append(torch.autograd.grad(value, K)[0])
    assert_close(*gradients)


# Weights


@two_or_more
def test_weight_is_a_number_of_rows(n_classes):
    p = problem(n_classes, 2.0)
    index = torch.arange(N_ROWS).repeat_interleave(torch.tensor(COUNTS))
    repeated = dict(
        p,
        K=p["K"][:, index][:, :, index],
        k=p["k"][:, :, index],
        mean=p["mean"][:, index],
        y=p["y"][:, index],
        weight=p["weight"][:, index],
    )
    weighted = dict(p, weight=torch.tensor(COUNTS).double().expand(N_TASKS, -1))
    one, logits = solve(weighted)
    other, logits_repeated = solve(repeated)
    assert_close(logits, logits_repeated)
    assert_close(one.log_evidence, other.log_evidence)
    _, plain = solve(p)
    assert (plain - logits).abs().max() > 1e-2


@two_or_more
def test_weights_enter_the_dense_algebra(n_classes):
    p = problem(n_classes, 2.0)
    weight = torch.tensor([0.5, 2.0, 0.0, 1.0, 3.7, 0.0]).double()
    p["weight"] = weight.expand(N_TASKS, -1)
    posterior, logits = solve(p)
    for task in range(N_TASKS):
        _, evidence, expected = dense(p, task)
        assert_close(posterior.log_evidence[task], evidence)
        assert_close(logits[task], expected)


@two_or_more
def test_weight_of_zero_is_absence(n_classes):
    p = problem(n_classes, 2.0)
    kept = [0, 2, 3, 5]
    absent = dict(
        p,
        K=p["K"][:, kept][:, :, kept],
        k=p["k"][..., kept],
        mean=p["mean"][:, kept],
        y=p["y"][:, kept],
        weight=p["weight"][:, kept],
    )
    p["weight"][:, [1, 4]] = 0
    one, logits = solve(p)
    other, logits_absent = solve(absent)
    assert_close(logits, logits_absent, 1e-8)
    assert_close(one.log_evidence, other.log_evidence, 1e-8)
    assert (one.alpha[:, :, [1, 4]] == 0).all()


@two_or_more
def test_no_rows_give_the_prior(n_classes):
    p = problem(n_classes, 2.0)
    p["weight"] = 0 * p["weight"]
    posterior, logits = solve(p)
    assert_close(posterior.log_evidence, np.zeros(N_TASKS), 1e-10)
    centred = p["mean_query"] - p["mean_query"].mean(-1, keepdim=True)
    s2 = 2.0 * (1 + 1e-6) * (1 - 1 / n_classes)
    factor = 2 * n_classes / (n_classes - 1)
    assert_close(logits, centred / math.sqrt(1 + math.pi / 8 * factor * s2), 1e-8)


# The base learner on top of it


@pytest.fixture(params=[{}, {"linear_only": True}], ids=["gp", "linear"])
def learner(request, gp):
    prior = gp.prior(n_offset=3, n_outputs=3, **request.param)
    return GaussianProcessClassification(prior).eval()


@pytest.fixture
def support(gp):
    rows, y = gp.rows(N_TASKS, N_ROWS, n_outputs=3)
    return rows, (y > 0).long() + (y > 1).long()


@pytest.fixture
def query(gp):
    return gp.rows(N_TASKS, N_QUERY, n_outputs=3, seed=5)[0]


@pytest.fixture
def encoding(gp):
    return gp.encoding(N_TASKS)


def test_learner_is_laplace_of_its_process(learner, support, query, encoding, gp):
    rows, y = support
    adapted = learner.adapt(rows, y, encoding)
    (logits,) = learner.predict(adapted, query)
    evidence = learner.log_evidence(adapted)
    for task in range(N_TASKS):
        true = gp.formula(learner.prior, encoding, task)
        K = true.kernel(rows, rows)
        p = {
            "K": K,
            "k": true.kernel(query, rows),
            "mean": true.mean(rows),
            "mean_query": true.mean(query),
            "y": y[task].numpy(),
            "weight": np.ones(N_ROWS),
            "variance": np.diag(true.kernel(query, query)),
        }
        p = {name: torch.tensor(part)[None] for name, part in p.items()}
        _, expected_evidence, expected = dense(p, 0)
        assert_close(logits[task], expected)
        assert_close(evidence[task], expected_evidence)


def test_support_weights_are_the_linearised_weights(learner, support, query, encoding):
    """How latents of the mode move with a unit of each row's working target."""
    rows, y = support
    adapted = learner.adapt(rows, y, encoding)
    weights = learner.support_weights(adapted, query)
    design = learner.prior.design(query, encoding, adapted.theta)
    k = learner._cross_covariance(adapted, design)
    for task in range(N_TASKS):
        expected = (k[task] @ adapted.posterior.precision[task]).abs().sum(0)
        assert_close(weights[task], expected, 1e-10)


def test_what_the_encoder_reads_is_the_label_less_the_prior(learner, support):
    rows, y = support
    expected = np.eye(3)[y] - softmax(rows.offset.numpy(), axis=-1)
    assert_close(learner.targets(rows, y), expected, 1e-12)


def test_sample_draws_labels_from_the_prior(gp):
    n_draws = 20_000
    prior = gp.prior(n_offset=3, n_outputs=3)
    learner = GaussianProcessClassification(prior)
    rows, _ = gp.rows(1, 2, n_outputs=3)
    encoding = gp.encoding(1)
    many = type(rows)(*(t.expand(n_draws, *t.shape[1:]) for t in rows))
    encodings = type(encoding)(*(t.expand(n_draws, *t.shape[1:]) for t in encoding[:2]))
    state = torch.get_rng_state()
    y = learner.sample(many, encodings, torch.Generator().manual_seed(0)).numpy()
    assert torch.equal(torch.get_rng_state(), state)
    true = gp.formula(prior, encoding, 0)
    root = np.linalg.cholesky(true.kernel(rows, rows))
    white = np.random.default_rng(0).normal(size=(n_draws, 2, 3))
    p = softmax(true.mean(rows) + root @ white, axis=-1)
    expected = np.einsum("ni,nj->ij", p[:, 0], p[:, 1]) / n_draws
    found = np.einsum("ni,nj->ij", np.eye(3)[y[:, 0]], np.eye(3)[y[:, 1]]) / n_draws
    # Both are means of n_draws values in [0, 1].
    error = (found - expected) / np.sqrt(2 * expected * (1 - expected) / n_draws)
    assert np.abs(error).max() < 4.5
