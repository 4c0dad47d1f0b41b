"""Regression by the Gaussian process, against brute-force conditioning."""

import numpy as np
import pytest
import torch
from scipy.linalg import block_diag

from skmeta._networks.learners import gp_algebra, gp_regression, robust_noise
from skmeta._networks.learners.gp_algebra import JITTER
from skmeta._networks.learners.gp_regression import GaussianProcessRegression

N_TASKS, N_ROWS, N_QUERY, N_FEATURES = 2, 5, 4, 3
COUNTS = [2, 1, 3, 0, 1]

PROCESSES = {
    "gp": {},
    "no-pooled": {"n_offset": 0},
    "linear": {"linear_only": True},
    "little-noise": {"log_noise": -9.0},
}


def assert_close(a, b, atol=1e-9):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=atol)


@pytest.fixture(params=PROCESSES, ids=PROCESSES)
def learner(request, gp):
    return GaussianProcessRegression(gp.prior(**PROCESSES[request.param])).eval()


@pytest.fixture
def encoding(gp):
    return gp.encoding(N_TASKS, N_FEATURES)


@pytest.fixture
def support(gp):
    return gp.rows(N_TASKS, N_ROWS)


@pytest.fixture
def query(gp):
    return gp.rows(N_TASKS, N_QUERY, seed=5)[0]


@pytest.fixture
def no_jitter(monkeypatch):
    monkeypatch.setattr(gp_algebra, "JITTER", 0.0)


def with_noise(K, noise):
    return K + (noise + JITTER * np.diag(K).mean()) * np.eye(len(K))


def test_posterior_is_the_conditional_of_the_joint_normal(
    learner, encoding, support, query, gp
):
    rows, y = support
    adapted = learner.adapt(rows, y, encoding)
    mean, variance = learner.predict(adapted, query)
    weights = learner.support_weights(adapted, query)
    for task in range(N_TASKS):
        true = gp.formula(learner.prior, encoding, task)
        K = with_noise(true.kernel(rows, rows), true.noise)
        k = true.kernel(query, rows)
        gain = k @ np.linalg.inv(K)
        residual = y[task].numpy() - true.mean(rows)[:, 0]
        assert_close(mean[task], true.mean(query)[:, 0] + gain @ residual, 1e-7)
        covariance = true.kernel(query, query) - gain @ k.T
        assert_close(variance[task], np.diag(covariance) + true.noise, 1e-7)
        assert_close(weights[task], np.abs(gain), 1e-7)


def test_empty_support_gives_the_prior(learner, encoding, query, gp):
    rows, y = gp.rows(N_TASKS, 0)
    adapted = learner.adapt(rows, y, encoding)
    mean, variance = learner.predict(adapted, query)
    for task in range(N_TASKS):
        true = gp.formula(learner.prior, encoding, task)
        assert_close(mean[task], true.mean(query)[:, 0])
        expected = np.diag(true.kernel(query, query)) + true.noise
        assert_close(variance[task], expected)
    assert_close(learner.log_evidence(adapted), [0.0, 0.0])


def test_what_the_encoder_reads_is_the_residual(learner, support):
    rows, y = support
    rows.weight[:, 1] = 0
    expected = y - rows.offset[..., 0]
    expected[:, 1] = 0
    assert_close(learner.targets(rows, y)[..., 0], expected)


def test_features_are_the_kernel_but_for_its_rbf_part(gp, encoding, support):
    rows, y = support
    prior = gp.prior()
    with torch.no_grad():
        prior.signal.fill_(-100.0)
    learner = GaussianProcessRegression(prior).eval()
    features = learner.features(learner.adapt(rows, y, encoding), rows)
    for task in range(N_TASKS):
        K = gp.formula(prior, encoding, task).kernel(rows, rows)
        assert_close(features[task] @ features[task].T, K)


# The linear case


def test_linear_process_is_bayesian_linear_regression(gp, encoding, support, query):
    rows, y = support
    learner = GaussianProcessRegression(gp.prior(linear_only=True)).eval()
    adapted = learner.adapt(rows, y, encoding)
    mean, variance = learner.predict(adapted, query)
    for task in range(N_TASKS):
        true = gp.formula(learner.prior, encoding, task)
        Z, Zq = (
            np.hstack([np.ones((len(u), 1)), u])
            for u in (true.inputs(rows), true.inputs(query))
        )
        level = np.diag(Z @ true.covariance @ Z.T).mean()
        noise = true.noise + JITTER * level
        residual = y[task].numpy() - true.mean(rows)[:, 0]
        posterior = np.linalg.inv(np.linalg.inv(true.covariance) + Z.T @ Z / noise)
        coefficients = posterior @ Z.T @ residual / noise
        assert_close(mean[task], true.mean(query)[:, 0] + Zq @ coefficients, 1e-8)
        expected = np.diag(Zq @ posterior @ Zq.T) + true.noise
        assert_close(variance[task], expected, 1e-8)


def test_linear_process_is_the_linear_mixed_model(gp, support, query):
    """Best linear unbiased predictions of both tasks by Henderson's equations."""
    rows, y = support
    prior = gp.prior(linear_only=True, n_offset=0)
    for layer in (prior.shift, prior.column_shift):  # nothing depends on the task
        gp.randomise(layer, seed=0, scale=0.0)
    learner = GaussianProcessRegression(prior.requires_grad_(False)).eval()
    encoding = gp.encoding(N_TASKS, N_FEATURES)
    mean, _ = learner.predict(learner.adapt(rows, y, encoding), query)
    true = gp.formula(prior, encoding, 0)
    slopes = prior.coefficients.weight[0].numpy()
    fixed = np.append(prior.coefficients.bias.numpy(), slopes)

    def design(rows, task):
        x = rows.x[task].numpy()
        return np.hstack([np.ones((len(x), 1)), x])

    X = np.vstack([design(rows, t) for t in range(N_TASKS)])
    Z = block_diag(*(design(rows, t) for t in range(N_TASKS)))
    G = block_diag(*[true.covariance] * N_TASKS)
    residual = (y - rows.offset[..., 0]).numpy().ravel() - X @ fixed
    effects = np.linalg.solve(
        Z.T @ Z / true.noise + np.linalg.inv(G), Z.T @ residual / true.noise
    ).reshape(N_TASKS, -1)
    for task in range(N_TASKS):
        expected = query.offset[task, :, 0].numpy()
        expected = expected + design(query, task) @ (fixed + effects[task])
        assert_close(mean[task], expected, 1e-4)  # up to the jitter


# Weights and padding


def outcome(learner, rows, y, encoding, query):
    adapted = learner.adapt(rows, y, encoding)
    mean, variance = learner.predict(adapted, query)
    theta = torch.cat(adapted.theta, 1)
    return mean, variance, learner.log_evidence(adapted), theta


def test_weight_of_a_half_is_a_row_of_twice_the_noise(gp, encoding, support, query):
    rows, y = support
    learner = GaussianProcessRegression(gp.prior()).eval()
    halved = rows._replace(weight=rows.weight / 2)
    mean, _ = learner.predict(learner.adapt(halved, y, encoding), query)
    for task in range(N_TASKS):
        true = gp.formula(learner.prior, encoding, task)
        K = true.kernel(rows, rows) + 2 * true.noise * np.eye(N_ROWS)
        residual = y[task].numpy() - true.mean(rows)[:, 0]
        expected = true.kernel(query, rows) @ np.linalg.solve(K, residual)
        assert_close(mean[task], true.mean(query)[:, 0] + expected, 1e-4)


# Noise with long tails


@pytest.mark.parametrize("counts", [[1, 1, 1, 1, 1], COUNTS])
def test_rows_weigh_what_student_t_noise_expects(
    encoding, support, gp, counts, monkeypatch, no_jitter
):
    monkeypatch.setattr(robust_noise, "N_STEPS", 300)
    rows, y = gp.weighted(support[0], counts), support[1].clone()
    y[:, 2] += 20.0
    learner = GaussianProcessRegression(gp.prior()).eval()
    learner.set_adaptation(0.0, 4.0)
    found = learner.adapt(rows, y, encoding).weight.numpy()
    present = np.array(counts) > 0
    for task in range(N_TASKS):
        true = gp.formula(learner.prior, encoding, task)
        K = true.kernel(rows, rows)[np.ix_(present, present)]
        own = np.diag(true.noise / found[task][present])
        gain = K @ np.linalg.inv(K + own)
        residual = (y[task].numpy() - true.mean(rows)[:, 0])[present]
        error, variance = residual - gain @ residual, np.diag(K - gain @ K)
        expected = 5 / (4 + (error**2 + variance) / true.noise)
        assert_close(found[task][present] / np.array(counts)[present], expected, 1e-6)
        assert (found[task][~present] == 0).all()


def test_wild_target_counts_for_little_where_tails_are_long(
    encoding, support, query, gp
):
    rows, y = support
    wild = y.clone()
    wild[:, 2] += 50.0
    learner = GaussianProcessRegression(gp.prior(log_noise=-2.0)).eval()
    moved = []
    for dof in (np.inf, 4.0):
        learner.set_adaptation(0.0, dof)
        one, other = (outcome(learner, rows, t, encoding, query)[0] for t in (y, wild))
        moved.append((one - other).abs().max())
    assert moved[1] < 0.1 * moved[0]


def test_meta_training_takes_noise_to_be_normal(encoding, support, query, gp):
    rows, y = support
    learner = GaussianProcessRegression(gp.prior()).eval()
    expected = outcome(learner, rows, y, encoding, query)
    learner.set_adaptation(0.0, 4.0)
    assert not torch.allclose(
        outcome(learner, rows, y, encoding, query)[0], expected[0]
    )
    found = outcome(learner.train(), rows, y, encoding, query)
    for a, b in zip(found, expected, strict=True):
        assert_close(a, b)


# Training on the support


def no_shift(n_numbers=6):
    return torch.zeros(N_TASKS, n_numbers).double()


@pytest.fixture(params=[False, True], ids=["together", "by column"])
def trained_learner(learner, request):
    learner.shift_by_column.fill_(request.param)
    return learner


@pytest.mark.parametrize("counts", [[1, 1, 1, 1, 1], COUNTS])
def test_score_is_the_gradient_of_the_evidence(
    trained_learner, encoding, support, gp, no_jitter, counts
):
    learner, (rows, y) = trained_learner, support
    rows = gp.weighted(rows, counts)
    theta = learner.prior.hyperparameters(encoding)
    groups = learner._shift_groups(theta)

    def evidence(shift):
        moved = theta.shifted(shift, groups)
        return learner.log_evidence(learner._condition(rows, y, encoding, moved))

    jacobian = torch.autograd.functional.jacobian(evidence, no_shift(groups.n_numbers))
    expected = torch.stack([jacobian[t, t] for t in range(N_TASKS)])
    adapted = learner._condition(rows, y, encoding, theta)
    score, _ = learner._score(adapted)
    scale = expected.abs().max().item()
    assert_close(score / scale, expected / scale, 1e-8)
    nonlinear = [not learner.prior.linear_only] * (2 + len(groups.columns))
    moves = [*[True] * len(groups.linear), *nonlinear, True]
    assert (expected != 0).all(0).tolist() == moves


def test_information_is_the_expected_square_of_the_score(
    trained_learner, encoding, support, no_jitter
):
    learner, (rows, y) = trained_learner, support
    theta = learner.prior.hyperparameters(encoding)
    groups = learner._shift_groups(theta)
    adapted = learner._condition(rows, y, encoding, theta)
    _, information = learner._score(adapted)
    assert_close(information, information.transpose(1, 2))
    eigenvalues = torch.linalg.eigvalsh(information)
    assert (eigenvalues.amin(1) > -1e-10 * eigenvalues.amax(1)).all()

    def covariance(shift):
        moved = theta.shifted(shift, groups)
        conditioned = learner._condition(rows, y, encoding, moved)
        return conditioned.factor @ conditioned.factor.transpose(1, 2)

    jacobian = torch.autograd.functional.jacobian(
        covariance, no_shift(groups.n_numbers)
    )
    for task in range(N_TASKS):
        inverse = torch.cholesky_inverse(adapted.factor[task])
        parts = torch.einsum("st,tup->psu", inverse, jacobian[task, :, :, task])
        expected = 0.5 * torch.einsum("pst,qts->pq", parts, parts)
        scale = expected.abs().max().item()
        assert_close(information[task] / scale, expected / scale, 1e-8)


def test_information_of_a_weight_is_that_of_repeated_rows(
    learner, encoding, support, gp, no_jitter
):
    rows, y = support
    theta = learner.prior.hyperparameters(encoding)
    repeated, index = gp.repeated(rows, COUNTS)
    one = learner._condition(gp.weighted(rows, COUNTS), y, encoding, theta)
    other = learner._condition(repeated, y[:, index], encoding, theta)
    for a, b in zip(learner._score(one), learner._score(other), strict=True):
        assert_close(a / b.abs().max(), b / b.abs().max(), 1e-6)


def penalised(learner, rows, y, encoding, shift, spread):
    theta = learner.prior.hyperparameters(encoding)
    theta = theta.shifted(shift, learner._shift_groups(theta))
    evidence = learner.log_evidence(learner._condition(rows, y, encoding, theta))
    return evidence - 0.5 * (shift**2).sum(1) / spread**2


@pytest.mark.parametrize("n_rows", [2, 12])
def test_training_shifts_all_columns_together(learner, encoding, gp, n_rows):
    rows, y = gp.rows(N_TASKS, n_rows, seed=20)
    learner.set_adaptation(1.0)
    adapted = learner.adapt(rows, 3 * y, encoding)
    assert adapted.shift.shape == (N_TASKS, 6)
    assert (adapted.shift[:, [0, 1, 5]] != 0).all()
    assert ((adapted.shift[:, 2:5] != 0) == (not learner.prior.linear_only)).all()
    start = learner.prior.hyperparameters(encoding)
    moved = start.shifted(adapted.shift, learner._shift_groups(start))
    for a, b in zip(adapted.theta, moved, strict=True):
        assert torch.equal(a, b)
    again = learner._condition(rows, 3 * y, encoding, adapted.theta)
    assert_close(adapted.factor, again.factor)
    assert_close(adapted.alpha, again.alpha)


@pytest.mark.parametrize("spread", [0.1, 1.0])
def test_training_raises_the_penalised_evidence(learner, encoding, gp, spread):
    for seed in range(5):
        rows, y = gp.rows(N_TASKS, 12, seed=20 + seed)
        y = 3 * y  # wilder than the prior expects
        learner.set_adaptation(spread)
        trained = learner.adapt(rows, y, encoding).shift
        before = penalised(learner, rows, y, encoding, no_shift(), spread)
        after = penalised(learner, rows, y, encoding, trained, spread)
        assert (after > before + 0.01).all()


def test_training_never_lowers_the_penalised_evidence(learner, encoding, gp):
    """Not of a single row, nor of targets that no hyperparameters explain."""
    for n_rows, scale in ((1, 1.0), (2, 0.0), (3, 1e4), (20, 1e-3)):
        rows, y = gp.rows(N_TASKS, n_rows, seed=n_rows)
        learner.set_adaptation(1.0)
        trained = learner.adapt(rows, scale * y, encoding).shift
        args = learner, rows, scale * y, encoding
        before, after = (
            penalised(*args, shift, 1.0) for shift in (no_shift(), trained)
        )
        assert (after >= before).all()


def test_step_that_lowers_the_penalised_evidence_is_not_taken(
    learner, encoding, gp, monkeypatch
):
    rows, y = gp.rows(N_TASKS, 12, seed=30)
    uphill = learner._score

    def downhill(adapted):
        score, information = uphill(adapted)
        return -score, information

    monkeypatch.setattr(learner, "_score", downhill)
    learner.set_adaptation(1.0)
    adapted = learner.adapt(rows, 3 * y, encoding)
    assert (adapted.shift == 0).all()
    start = learner.prior.hyperparameters(encoding)
    for a, b in zip(adapted.theta, start, strict=True):
        assert torch.equal(a, b)


def test_training_ends_where_the_penalised_evidence_is_flat(
    learner, encoding, gp, monkeypatch
):
    monkeypatch.setattr(gp_regression, "N_TRAINING_STEPS", 300)
    rows, y = gp.rows(N_TASKS, 12, seed=30)
    spread = 0.05
    learner.set_adaptation(spread)
    adapted = learner.adapt(rows, 3 * y, encoding)
    score, _ = learner._score(adapted)
    pull = adapted.shift / spread**2
    assert_close((score - pull) / score.abs().max(), torch.zeros_like(score), 1e-3)


def test_smaller_spread_moves_less(learner, encoding, gp):
    rows, y = gp.rows(N_TASKS, 12, seed=30)
    moved = []
    for spread in (1e-3, 0.1, 1.0):
        learner.set_adaptation(spread)
        moved.append(learner.adapt(rows, 3 * y, encoding).shift.norm(dim=1))
    assert (moved[0] < 0.01).all()
    assert (moved[0] < moved[1]).all()
    assert (moved[1] < moved[2]).all()


def test_spread_of_zero_changes_nothing(learner, encoding, support):
    rows, y = support
    start = learner.prior.hyperparameters(encoding)
    learner.set_adaptation(0.0)
    for a, b in zip(learner.adapt(rows, y, encoding).theta, start, strict=True):
        assert torch.equal(a, b)


def test_meta_training_leaves_hyperparameters_where_they_start(
    learner, encoding, support
):
    rows, y = support
    start = learner.prior.hyperparameters(encoding)
    learner.set_adaptation(1.0)
    for a, b in zip(learner.train().adapt(rows, y, encoding).theta, start, strict=True):
        assert torch.equal(a, b)


def test_training_on_representatives_of_a_padded_batch(
    learner, encoding, gp, monkeypatch
):
    monkeypatch.setattr(gp_regression, "MAX_TRAINING_ROWS", 8)
    rows, y = gp.rows(N_TASKS, 5, seed=40)
    learner.set_adaptation(1.0)
    more, y_more = gp.padded(rows, y, n_more=9)
    one = learner.adapt(more, y_more, encoding).theta
    other = learner.adapt(rows, y, encoding).theta
    for a, b in zip(one, other, strict=True):
        assert_close(a, b, 1e-6)


def test_order_of_many_rows_plays_no_part_in_training(
    learner, encoding, gp, monkeypatch
):
    monkeypatch.setattr(gp_regression, "MAX_TRAINING_ROWS", 8)
    rows, y = gp.rows(N_TASKS, 30, seed=41)
    learner.set_adaptation(1.0)
    one = learner.adapt(rows, y, encoding).theta
    flipped = type(rows)(*(t.flip(1) for t in rows))
    other = learner.adapt(flipped, y.flip(1), encoding).theta
    for a, b in zip(one, other, strict=True):
        assert_close(a, b, 1e-6)


# Hyperparameters integrated out


def test_laplace_evidence_without_training_is_the_evidence(learner, encoding, support):
    rows, y = support
    learner.set_adaptation(0.0)
    adapted = learner.adapt(rows, y, encoding)
    assert torch.equal(learner.laplace_evidence(adapted), learner.log_evidence(adapted))


@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_laplace_evidence_is_made_of_penalty_and_information(
    learner, encoding, support, no_jitter, spread
):
    rows, y = support
    learner.set_adaptation(spread)
    adapted = learner.adapt(rows, 2 * y, encoding)
    moved = adapted.shift
    _, information = learner._score(adapted)
    found = learner.laplace_evidence(adapted) - learner.log_evidence(adapted)
    for task in range(N_TASKS):
        # Of a posterior whose precision is the prior's and the information.
        precision = information[task].numpy() + np.eye(len(moved[task])) / spread**2
        _, log_det = np.linalg.slogdet(precision)
        expected = -0.5 * float((moved[task] ** 2).sum()) / spread**2
        expected -= 0.5 * (log_det + len(precision) * np.log(spread**2))
        assert_close(found[task], expected, 1e-5)


@pytest.mark.parametrize(
    ("by_column", "spread", "gap", "atol"),
    [(True, 0.3, 0.5, 0.15), (False, 0.1, 0.15, 0.05), (False, 0.2, 0.45, 0.12)],
)
def test_laplace_evidence_is_about_the_average_over_hyperparameters(
    gp, by_column, spread, gap, atol
):
    n_draws = 20_000
    learner = GaussianProcessRegression(gp.prior()).eval()
    learner.shift_by_column.fill_(by_column)
    rows, y = gp.rows(1, 12)
    encoding, y = gp.encoding(1), 2 * y
    learner.set_adaptation(spread)
    adapted = learner.adapt(rows, y, encoding)
    found = float(learner.laplace_evidence(adapted))
    trained = float(learner.log_evidence(adapted))
    theta = learner.prior.hyperparameters(encoding)
    groups = learner._shift_groups(theta)
    draws = np.random.default_rng(0).normal(size=(n_draws, groups.n_numbers))
    many = type(theta)(*(t.expand(n_draws, -1) for t in theta))
    shift = spread * torch.from_numpy(draws)
    moved = many.shifted(shift, groups)
    rows = type(rows)(*(t.expand(n_draws, *t.shape[1:]) for t in rows))
    parts = (t.expand(n_draws, *t.shape[1:]) for t in (encoding[0], encoding[1]))
    encoding, y = type(encoding)(*parts), y.expand(n_draws, -1)
    each = learner.log_evidence(learner._condition(rows, y, encoding, moved))
    expected = float(each.logsumexp(0)) - np.log(n_draws)
    learner.set_adaptation(0.0)
    one = learner.adapt(gp.rows(1, 12)[0], y[:1], gp.encoding(1))
    at_start = float(learner.log_evidence(one))
    assert at_start + gap < expected < trained - gap
    assert found == pytest.approx(expected, abs=atol)


def test_what_is_expected_is_so_before_the_support_trains(learner, encoding, support):
    rows, y = support
    weight = torch.tensor([1.0, 0.5, 2.0, 0.0, 1.0]).double().expand(N_TASKS, -1)
    learner.set_adaptation(0.0)
    untrained = learner.adapt(rows._replace(weight=weight), y, encoding)
    learner.set_adaptation(1.0, 4.0)
    squares, n_rows = learner.prior_distance(rows, y, encoding, weight)
    assert_close(squares, learner.squared_distances(untrained)[:, 0])
    assert_close(n_rows, [4.5, 4.5])


# Draws from the prior


def test_sample_has_the_covariance_of_the_prior(gp):
    n_draws = 20_000
    prior = gp.prior()
    learner = GaussianProcessRegression(prior)
    rows, _ = gp.rows(1, 4)
    encoding = gp.encoding(1)
    many = type(rows)(*(t.expand(n_draws, *t.shape[1:]) for t in rows))
    parts = encoding.task, encoding.columns
    encodings = type(encoding)(*(t.expand(n_draws, *t.shape[1:]) for t in parts))
    state = torch.get_rng_state()
    y = learner.sample(many, encodings, torch.Generator().manual_seed(0)).numpy()
    assert torch.equal(torch.get_rng_state(), state)
    true = gp.formula(prior, encoding, 0)
    C = true.kernel(rows, rows) + true.noise * np.eye(4)
    sd = np.sqrt(np.diag(C))
    error = (y.mean(0) - true.mean(rows)[:, 0]) / (sd / n_draws**0.5)
    assert np.abs(error).max() < 4.5
    # The variance of a sample covariance is (C_ij^2 + C_ii C_jj) / n.
    error = np.cov(y.T) - C
    error /= np.sqrt((C**2 + np.outer(sd, sd) ** 2) / n_draws)
    assert np.abs(error).max() < 4.5


def test_sample_is_seeded_and_zero_on_padding(gp, support):
    rows, y = support
    learner = GaussianProcessRegression(gp.prior())
    encoding = gp.encoding(N_TASKS)
    rows, _ = gp.padded(rows, y)
    one, same, other = (
        learner.sample(rows, encoding, torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert ((one == 0) == (rows.weight == 0)).all()
