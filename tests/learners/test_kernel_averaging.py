"""Averages over kernels other than the learned one, against dense formulas."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import invgamma, multivariate_normal, multivariate_t

from skmeta._episodes.batch import Rows
from skmeta._networks.learners import kernel_averaging, kernel_grid
from skmeta._networks.learners.gp_algebra import JITTER
from skmeta._networks.learners.gp_classification import GaussianProcessClassification
from skmeta._networks.learners.gp_regression import GaussianProcessRegression
from skmeta._networks.learners.kernel_averaging import (
    N_KERNELS,
    UNIFORM_SHARE,
    KernelAveragingLearner,
)
from skmeta._networks.learners.mlp import MultilayerPerceptron
from skmeta._networks.learners.network import MetaNetwork
from skmeta._networks.learners.predictive import draw
from skmeta._networks.learners.row_decoder import RowDecodingLearner
from skmeta._networks.learners.wrapper import unwrap
from skmeta._training.kernel_shares import fit_kernel_shares

N_TASKS, N_ROWS, N_QUERY, N_FEATURES = 2, 7, 4, 2
N_KERNELS_IN_GRID = 20 * 2 * 4 * 3  # lengths, smooth or matern32, noises and variances


def assert_close(a, b, atol=1e-9):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=atol)


@pytest.fixture
def all_searched(monkeypatch):
    """Search every support for periods, as if half of them had one."""
    monkeypatch.setattr(kernel_averaging, "SIGNIFICANCE", 1.0)
    monkeypatch.setattr(kernel_grid, "MAX_FREQUENCY", 4)
    monkeypatch.setattr(kernel_averaging, "PERIODIC_SHARE", 0.5)


@pytest.fixture
def smooth(gp):
    """A smooth process of mean 0 and little noise."""

    def make(n_features=N_FEATURES):
        prior = gp.prior(n_features, n_offset=0, log_noise=-3.0)
        for layer in (prior.coefficients, prior.to_mean):
            for parameter in layer.parameters():
                parameter.zero_()
        return KernelAveragingLearner(GaussianProcessRegression(prior)).eval()

    return make


@pytest.fixture
def learner(gp):
    learner = KernelAveragingLearner(
        GaussianProcessRegression(gp.prior(N_FEATURES))
    ).eval()
    learner.base.set_adaptation(0.3)
    return learner


@pytest.fixture
def encoding(gp):
    return gp.encoding(N_TASKS, N_FEATURES)


@pytest.fixture
def support(gp):
    return gp.rows(N_TASKS, N_ROWS, N_FEATURES)


@pytest.fixture
def query(gp):
    return gp.rows(N_TASKS, N_QUERY, N_FEATURES, seed=5)[0]


def one_task(x, y=None):
    """Rows ``x`` (n_rows, n_features) of one task, and their targets."""
    x = torch.as_tensor(x)[None]
    weight = torch.ones(x.shape[:2]).double()
    rows = Rows(x, torch.zeros(*x.shape[:2], 1).double(), weight)
    return rows, None if y is None else torch.as_tensor(y)[None]


class KernelFormula:
    """The i-th other kind of a task, by its definition."""

    def __init__(self, learner, adapted, task, i):
        kernels = adapted.alternatives.kernels
        for name in kernels._fields:
            setattr(self, name, getattr(kernels, name)[task, i].item())
        self.scale = np.exp(-unwrap(learner)[0].prior.length_scale[0].numpy())
        self.process, self.task = adapted.base, task

    def inputs(self, rows):
        parts = (rows.x, rows.offset)[: 1 + (len(self.scale) > rows.x.shape[2])]
        return torch.cat(parts, -1)[self.task].numpy() * self.scale

    def correlation(self, a, b, support):
        """Of rows ``a`` and ``b``, given the support that frequency are counted in."""
        u, v = self.inputs(a), self.inputs(b)
        if self.frequency:
            span = np.ptp(self.inputs(support)[:, self.column])
            turn = 2 * np.pi * self.frequency / span
            u, v = (
                np.stack([np.cos(turn * w), np.sin(turn * w)], 1)
                for w in (u[:, self.column], v[:, self.column])
            )
        distance = np.linalg.norm(u[:, None] - v, axis=2) / self.length
        if self.matern32:
            return (1 + 3**0.5 * distance) * np.exp(-(3**0.5) * distance)
        return np.exp(-0.5 * distance**2)

    def covariance(self, support):
        """Of the targets, for a function of variance 1."""
        K = self.correlation(support, support, support)
        return K + (self.noise + JITTER) * np.eye(len(K))

    def log_evidence(self, support):
        """Student's t, of an inverse gamma prior of shape 2."""
        residual = self.process.residual[self.task].numpy()
        shape = self.rate / 2 * self.covariance(support)
        return multivariate_t.logpdf(residual, shape=shape, df=4)


def log_odds(learner, adapted, task):
    """Log odds of the kept kernels against the GP, without its evidence."""
    own = float(learner.base.laplace_evidence(adapted.base)[task])
    log_share = adapted.alternatives.log_share[task].numpy()
    return log_share[:-1] - log_share[-1] + own + np.log(1 - float(learner.share))


# Evidence


def test_t_is_the_normal_of_a_variance_that_is_integrated_out(learner, encoding, gp):
    rows, y = gp.rows(N_TASKS, 3, N_FEATURES)
    adapted = learner.adapt(rows, y, encoding)
    for i in (0, 5):
        kind = KernelFormula(learner, adapted, 0, i)
        residual, C = adapted.base.residual[0].numpy(), kind.covariance(rows)

        def density(log_variance, kind=kind, C=C, residual=residual):
            v = np.exp(log_variance)
            likelihood = multivariate_normal.pdf(residual, cov=v * C)
            return likelihood * invgamma.pdf(v, 2.0, scale=kind.rate) * v

        expected = np.log(quad(density, -12, 12, epsrel=1e-10)[0])
        assert kind.log_evidence(rows) == pytest.approx(expected, rel=1e-6)


def test_odds_of_aperiodic_kernels(learner, encoding, support):
    learner.share.fill_(0.2)
    adapted = learner.adapt(*support, encoding)
    for task in range(N_TASKS):
        found = log_odds(learner, adapted, task)
        kernels = [KernelFormula(learner, adapted, task, i) for i in range(len(found))]
        assert {kind.matern32 for kind in kernels} == {False, True}
        assert not any(kind.frequency for kind in kernels)
        expected = [kind.log_evidence(support[0]) for kind in kernels]
        assert_close(found, np.log(0.2 / N_KERNELS_IN_GRID) + expected, 1e-6)


def test_odds_of_periodic_kernels(
    learner, encoding, support, all_searched, monkeypatch
):
    n_finer = kernel_grid.N_FINER * len(kernel_grid.FINER_LENGTHS)
    monkeypatch.setattr(kernel_averaging, "N_KERNELS", N_KERNELS_IN_GRID + n_finer)
    adapted = learner.adapt(*support, encoding)
    for task in range(N_TASKS):
        found = log_odds(learner, adapted, task)
        kernels = [KernelFormula(learner, adapted, task, i) for i in range(len(found))]
        periodic = [i for i, kind in enumerate(kernels) if kind.frequency]
        assert len(periodic) == n_finer
        assert len({kernels[i].column for i in periodic}) == 1
        assert np.ptp([kernels[i].frequency for i in periodic]) == pytest.approx(
            2 * 0.05
        )
        near = 2 / (61 * 2)  # of frequency in two columns, all as likely
        expected = [kernels[i].log_evidence(support[0]) for i in periodic]
        assert_close(found[periodic], np.log(0.5 * near / n_finer) + expected, 1e-6)


def test_kernels_of_most_evidence_are_kept(learner, encoding, support, monkeypatch):
    few = learner.adapt(*support, encoding).alternatives
    monkeypatch.setattr(kernel_averaging, "N_KERNELS", N_KERNELS_IN_GRID)
    every = learner.adapt(*support, encoding).alternatives
    assert few.log_share.shape == (N_TASKS, 1 + N_KERNELS)
    assert every.log_share.shape == (N_TASKS, 1 + N_KERNELS_IN_GRID)
    odds = [o.log_share[:, :-1] - o.log_share[:, -1:] for o in (few, every)]
    assert_close(odds[0], odds[1].sort(1, descending=True).values[:, :N_KERNELS])


@pytest.mark.parametrize("share", [0.9, 0.0005])
def test_share_moves_the_odds(learner, encoding, support, share):
    odds = []
    for one in (0.05, share):
        learner.share.fill_(one)
        log_share = learner.adapt(*support, encoding).alternatives.log_share
        odds.append(log_share[:, :-1] - log_share[:, -1:])
    expected = np.log(share / (1 - share)) - np.log(0.05 / 0.95)
    assert_close(odds[1] - odds[0], np.full(odds[0].shape, expected), 1e-6)


def test_kernels_of_larger_share_are_likelier(learner, encoding, support, monkeypatch):
    monkeypatch.setattr(kernel_averaging, "N_KERNELS", N_KERNELS_IN_GRID)
    before = learner.adapt(*support, encoding).alternatives
    likelier = before.kernels.length[0, 3], before.kernels.matern32[0, 3]
    lengths = kernel_grid.aperiodic_kernels(before.log_share).length[0]
    met = lengths == likelier[0]
    learner.log_shares[met] += 2.0
    after = learner.adapt(*support, encoding).alternatives
    for alternatives in (before, after):
        assert alternatives.log_share.shape == (N_TASKS, 1 + N_KERNELS_IN_GRID)
    order = [
        sorted(zip(*(part[0].tolist() for part in o.kernels[:4]),
                   (o.log_share[0, :-1] - o.log_share[0, -1]).tolist(), strict=True))
        for o in (before, after)
    ]  # fmt: skip
    for (*kind, one), (*same, other) in zip(*order, strict=True):
        assert kind == same
        gain = 2.0 if kind[0] == likelier[0] else 0.0
        assert other - one == pytest.approx(gain, abs=1e-5)


def test_shares_sum_to_1(learner, encoding, support, all_searched):
    share = learner.adapt(*support, encoding).alternatives.log_share.exp()
    assert_close(share.sum(1), [1.0, 1.0])


# Posterior


def test_posterior_of_each_kernel(
    learner, encoding, support, query, gp, all_searched, monkeypatch
):
    n_kept = N_KERNELS_IN_GRID + kernel_grid.N_FINER * len(kernel_grid.FINER_LENGTHS)
    monkeypatch.setattr(kernel_averaging, "N_KERNELS", n_kept)
    rows, _ = support
    adapted = learner.adapt(*support, encoding)
    parts = learner.components(adapted, query)
    joint = learner.components(adapted, query, joint=True)
    n_periodic = 0
    for task in range(N_TASKS):
        process = gp.formula(unwrap(learner)[0].prior, encoding, task)
        residual = adapted.base.residual[task].numpy()
        for i in range(0, n_kept, 17):
            kind = KernelFormula(learner, adapted, task, i)
            n_periodic += kind.frequency > 0
            C = kind.covariance(rows)
            gain = np.linalg.solve(C, kind.correlation(rows, query, rows)).T
            mean = process.mean(query)[:, 0] + gain @ residual
            posterior = kind.correlation(query, query, rows)
            posterior -= gain @ kind.correlation(rows, query, rows)
            posterior += kind.noise * np.eye(N_QUERY)
            squares = residual @ np.linalg.solve(C, residual)
            variance = (kind.rate + squares / 2) / (2 + N_ROWS / 2 - 1)
            for found in (parts, joint):
                found = found[1 + i]
                assert_close(found.mean[task, 0], mean, 1e-8)
                log_share = adapted.alternatives.log_share[task, i]
                assert_close(found.log_share[task], [log_share])
            assert_close(joint[1 + i].spread[task], variance * posterior, 1e-8)
            assert_close(parts[1 + i].spread[task], variance * np.diag(posterior), 1e-8)
    assert 0 < n_periodic < n_kept / 17


def test_first_component_is_of_the_base_learner(learner, encoding, support, query):
    adapted = learner.adapt(*support, encoding)
    for joint in (False, True):
        found = learner.components(adapted, query, joint)[0]
        (expected,) = learner.base.components(adapted.base, query, joint)
        assert torch.equal(found.mean, expected.mean)
        assert torch.equal(found.spread, expected.spread)
        assert_close(found.log_share[:, 0], adapted.alternatives.log_share[:, -1])


def test_draws_have_the_moments_that_are_predicted(smooth, encoding, support, query):
    learner = smooth()
    rows, y = support
    encoding = type(encoding)(encoding.task[:1], encoding.columns[:1])
    adapted = learner.adapt(Rows(*(t[:1] for t in rows)), 2 * y[:1], encoding)
    query = Rows(*(t[:1] for t in query))
    mean, variance = learner.predict(adapted, query)
    rng = np.random.RandomState(0)
    draws = draw(learner.components(adapted, query, joint=True), 20_000, rng)
    sd = variance[0].sqrt().numpy()
    assert (np.abs(draws.mean(1) - mean[0].numpy()) < 5 * sd / 20_000**0.5).all()
    np.testing.assert_allclose(draws.std(1), sd, rtol=0.05)


# What plays no part


def outcome(learner, rows, y, encoding, query):
    adapted = learner.adapt(rows, y, encoding)
    return *learner.predict(adapted, query), adapted.alternatives.log_share


def test_limits_are_of_rows_that_are_there(
    learner, encoding, support, query, gp, all_searched, monkeypatch
):
    """A small task beside a large one is what it is alone."""
    monkeypatch.setattr(kernel_averaging, "MAX_ROWS", N_ROWS)
    alone = outcome(learner, *support, encoding, query)
    beside = outcome(learner, *gp.padded(*support), encoding, query)
    for a, b in zip(beside, alone, strict=True):
        assert_close(a, b)


def test_one_row_that_weighs_as_many_is_enough(
    learner, encoding, support, all_searched
):
    """To be searched for periods, of which it cannot tell."""
    rows, y = support
    weight = torch.zeros_like(rows.weight)
    weight[:, 0] = 8.0
    adapted = learner.adapt(rows._replace(weight=weight), 30 * y, encoding)
    assert adapted.alternatives.log_share.isfinite().all()


def test_large_task_is_left_to_the_process_beside_a_small_one(
    learner, encoding, support, query, all_searched, monkeypatch
):
    monkeypatch.setattr(kernel_averaging, "MAX_ROWS", N_ROWS - 2)
    rows, y = support
    rows.weight[1, :3] = 0.0
    adapted = learner.adapt(rows, 30 * y, encoding)
    own = adapted.alternatives.log_share.exp()[:, -1]
    assert own[0] == 1.0
    assert own[1] < 1.0
    expected = learner.base.predict(adapted.base, query)
    for a, b in zip(learner.predict(adapted, query), expected, strict=True):
        assert_close(a[0], b[0])


def test_tasks_of_a_batch_do_not_meet(
    learner, encoding, support, query, gp, monkeypatch
):
    """Not where one of them alone is searched for periods."""
    monkeypatch.setattr(kernel_averaging, "PERIODIC_SHARE", 1e4)
    rows, y = support
    x = rows.x[1, :, 0]
    y[1] = 30 * torch.sin(12 * x)
    together = outcome(learner, rows, y, encoding, query)
    n_periodic = (
        learner.adapt(rows, y, encoding).alternatives.kernels.frequency > 0
    ).sum(1)
    assert n_periodic[1] > n_periodic[0] == 0
    for task in range(N_TASKS):
        alone = outcome(
            learner, gp.rows_of(rows, task), y[task : task + 1],
            gp.encoding_of(encoding, task), gp.rows_of(query, task),
        )  # fmt: skip
        for a, b in zip(together, alone, strict=True):
            assert_close(a[task], b[0])


@pytest.mark.parametrize("n_at_once", [1, 50 * N_ROWS**2])
def test_kernels_that_are_too_many_at_once(
    learner, encoding, support, query, all_searched, monkeypatch, n_at_once
):
    whole = outcome(learner, *support, encoding, query)
    monkeypatch.setattr(kernel_grid, "ENTRIES_AT_ONCE", n_at_once)
    for a, b in zip(outcome(learner, *support, encoding, query), whole, strict=True):
        assert_close(a, b)


@pytest.mark.parametrize("hidden", [False, True])
def test_without_rows_the_process_is_all_there_is(
    learner, encoding, query, gp, all_searched, hidden
):
    rows, y = gp.rows(N_TASKS, 3 if hidden else 0, N_FEATURES)
    if hidden:
        rows = rows._replace(weight=0 * rows.weight)
    adapted = learner.adapt(rows, y, encoding)
    assert_close(adapted.alternatives.log_share.exp()[:, -1], [1.0, 1.0])
    expected = learner.base.predict(adapted.base, query)
    for a, b in zip(learner.predict(adapted, query), expected, strict=True):
        assert_close(a, b)
    for joint in (False, True):
        for component in learner.components(adapted, query, joint):
            assert component.mean.isfinite().all()
            assert component.spread.isfinite().all()


def test_large_supports_are_left_to_the_process(
    learner, encoding, support, query, monkeypatch
):
    monkeypatch.setattr(kernel_averaging, "MAX_ROWS", N_ROWS - 1)
    adapted = learner.adapt(*support, encoding)
    expected = learner.base.predict(adapted.base, query)
    for a, b in zip(learner.predict(adapted, query), expected, strict=True):
        assert torch.equal(a, b)
    (found,) = learner.components(adapted, query, joint=True)
    (expected,) = learner.base.components(adapted.base, query, joint=True)
    assert torch.equal(found.spread, expected.spread)


# What it is for


def share_of(adapted, chosen):
    return float(adapted.alternatives.log_share[0, :-1][chosen].exp().sum())


def error(prediction, y):
    return float(((prediction[0][0] - torch.as_tensor(y)) ** 2).mean() ** 0.5)


@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("frequency", [4, 7, 13])
def test_periodic_task_is_found_to_be(smooth, gp, column, frequency):
    rng = np.random.default_rng(frequency)
    X, X_query = rng.uniform(-2, 2, size=(2, 30, 2))

    def f(X_of):
        phase = (X_of[:, column] - X[:, column].min()) / np.ptp(X[:, column])
        return 3 * np.sin(2 * np.pi * frequency * phase)

    learner, encoding = smooth(), gp.encoding(1, 2)
    rows, y = one_task(X, f(X) + 0.03 * rng.normal(size=30))
    adapted, query = learner.adapt(rows, y, encoding), one_task(X_query)[0]
    likeliest = KernelFormula(learner, adapted, 0, 0)
    assert likeliest.column == column
    assert likeliest.frequency == pytest.approx(frequency, abs=0.06)
    kernels = adapted.alternatives.kernels
    turns = frequency / kernels.frequency[0]  # a period is one of twice its length, too
    right = (kernels.frequency[0] > 0) & ((turns - turns.round()).abs() < 0.05)
    assert share_of(adapted, right & (kernels.column[0] == column)) > 0.9
    found = error(learner.predict(adapted, query), f(X_query))
    alone = error(learner.base.predict(adapted.base, query), f(X_query))
    assert alone > 1.5
    assert found < 0.1 * alone


def test_fast_task_is_found_to_be(smooth, gp):
    x = np.random.default_rng(0).uniform(-2, 2, size=40)
    x_query = np.linspace(-1.9, 1.9, 27)
    learner, encoding = smooth(1), gp.encoding(1, 1)
    rows, y = one_task(x[:, None], np.sin(2 * x**2) * np.exp(x))
    adapted, query = learner.adapt(rows, y, encoding), one_task(x_query[:, None])[0]
    fast = (adapted.alternatives.kernels.frequency == 0) & (
        adapted.alternatives.kernels.length < 1
    )
    assert share_of(adapted, fast[0]) > 0.9
    expected = np.sin(2 * x_query**2) * np.exp(x_query)
    found = error(learner.predict(adapted, query), expected)
    assert found < 0.3 * error(learner.base.predict(adapted.base, query), expected)


@pytest.mark.parametrize("frequency", [5, 6, 8])
def test_faster_cycles_are_not_read_into_rows_that_lie_regularly(smooth, gp, frequency):
    """On a grid of 30 rows, 5 frequency look like 24, and like 34."""
    x = np.linspace(0, 1, 30)
    between = (x[1:] + x[:-1]) / 2
    learner, encoding = smooth(1), gp.encoding(1, 1)
    rows, y = one_task(4 * x[:, None] - 2, np.sin(2 * np.pi * frequency * x))
    adapted = learner.adapt(rows, y, encoding)
    query = one_task(4 * between[:, None] - 2)[0]
    expected = np.sin(2 * np.pi * frequency * between)
    found = error(learner.predict(adapted, query), expected)
    assert found < error(learner.base.predict(adapted.base, query), expected)


def test_task_of_the_process_is_left_to_it(smooth, gp):
    learner, encoding = smooth(), gp.encoding(1, 2)
    own = []
    for seed in range(8):
        X = np.random.default_rng(seed).uniform(-2, 2, size=(30, 2))
        rows, _ = one_task(X)
        generator = torch.Generator().manual_seed(seed)
        y = learner.base.sample(rows, encoding, generator).double()
        own.append(
            float(learner.adapt(rows, y, encoding).alternatives.log_share[0, -1])
        )
    assert np.exp(own).mean() > 0.95


def test_support_is_compared_with_what_is_expected_before_it_trains(smooth, gp):
    """Hyperparameters that it has trained make every support an expected one."""
    X = np.random.default_rng(0).uniform(-2, 2, size=(20, 2))
    learner, encoding = smooth(), gp.encoding(1, 2)
    learner.base.set_adaptation(2.0)
    rows, y = one_task(X, 3 * np.sin(15 * X[:, 0]))
    adapted = learner.adapt(rows, y, encoding)
    n = torch.tensor([20.0]).double()
    trained = learner.base.squared_distances(adapted.base)[:, 0]
    assert not kernel_averaging._is_unlikely(trained, n, 0 * n)
    assert (adapted.alternatives.kernels.frequency > 0).any()


def test_only_unexpected_tasks_are_asked_whether_they_repeat_themselves(smooth, gp):
    """Of the process, one in a hundred is."""
    n_tasks = 2000
    learner, encoding = smooth().base, gp.encoding(1, N_FEATURES)
    rows, _ = gp.rows(n_tasks, 8, N_FEATURES)
    parts = (t.expand(n_tasks, *t.shape[1:]) for t in (encoding[0], encoding[1]))
    encoding = type(encoding)(*parts)
    y = learner.sample(rows, encoding, torch.Generator().manual_seed(0)).double()
    squares, n = learner.prior_distance(rows, y, encoding, rows.weight.double())
    all_searched = kernel_averaging._is_unlikely(squares, n, 0 * n).double().mean()
    assert abs(all_searched - 0.01) < 4 * (0.01 * 0.99 / n_tasks) ** 0.5
    few = torch.full_like(n, 5)
    assert not kernel_averaging._is_unlikely(1e9 * squares, few, 0 * n).any()
    assert kernel_averaging._is_unlikely(0 * squares, n, 0 * n - 5).all()  # by evidence


def test_columns_of_most_relevance_may_be_periodic(gp, all_searched, monkeypatch):
    monkeypatch.setattr(kernel_averaging, "PERIODIC_SHARE", 1e4)
    learner = KernelAveragingLearner(GaussianProcessRegression(gp.prior(6))).eval()
    rows, y = gp.rows(1, 9, 6)
    adapted = learner.adapt(rows, 30 * y, gp.encoding(1, 6))
    relevance = learner.relevance(adapted)[0, :6]
    allowed = set(relevance.topk(4).indices.tolist())
    kernels = adapted.alternatives.kernels
    used = set(kernels.column[kernels.frequency > 0].tolist())
    assert used
    assert used <= allowed


# How often kernels are met


def test_evidence_of_every_kernel(learner, encoding, support):
    rows, _ = support
    adapted = learner.adapt(*support, encoding)
    found = learner.evidence_of_kernels(adapted.base, rows)
    assert found.shape == (N_TASKS, N_KERNELS_IN_GRID)
    for i in range(0, N_KERNELS_IN_GRID, 53):
        kernels = kernel_grid.aperiodic_kernels(found).expand(N_TASKS)
        some = adapted._replace(
            alternatives=adapted.alternatives._replace(kernels=kernels)
        )
        for task in range(N_TASKS):
            expected = KernelFormula(learner, some, task, i).log_evidence(rows)
            assert_close(found[task, i], expected, 1e-6)


def test_shares_of_kernels_are_those_of_the_tasks(learner):
    """Where each task is of one kind for sure."""
    evidence = torch.full((10, N_KERNELS_IN_GRID), -1e4).double()
    met = [3, 3, 3, 7, 7, 20, 20, 20, 20, 20]
    evidence[range(10), met] = 0.0
    learner.fit_shares(evidence)
    expected = np.full(N_KERNELS_IN_GRID, UNIFORM_SHARE / N_KERNELS_IN_GRID)
    expected[[3, 7, 20]] += (1 - UNIFORM_SHARE) * np.array([0.3, 0.2, 0.5])
    assert_close(learner.log_shares.exp(), expected, 1e-6)


def test_shares_of_kernels_are_the_likeliest(learner, monkeypatch):
    """No share can be moved to another kind to the evidence's good."""
    monkeypatch.setattr(kernel_averaging, "N_EM_STEPS", 2000)
    monkeypatch.setattr(kernel_averaging, "UNIFORM_SHARE", 0.0)
    rng = np.random.default_rng(0)
    evidence = torch.from_numpy(3 * rng.normal(size=(30, N_KERNELS_IN_GRID)))
    learner.fit_shares(evidence)
    share = learner.log_shares.exp().double()
    gain = (evidence - (evidence + share.log()).logsumexp(1, keepdim=True)).exp()
    gain = gain.mean(0)  # of the mean log evidence, by a kind's share
    assert_close(share.sum(), 1.0, 1e-5)
    assert gain.max() < 1.01
    assert_close(gain[share > 0.01], np.ones(int((share > 0.01).sum())), 0.01)


# What it is put around


def test_learners_without_such_a_process_are_left_alone(gp):
    linear = GaussianProcessRegression(gp.prior(linear_only=True))
    classes = GaussianProcessClassification(gp.prior(n_outputs=2))
    sizes = {"n_features": 3, "n_pooled": 1, "embed_dim": 4, "column_dim": 3}
    perceptron = MultilayerPerceptron(classification=False, n_outputs=1, **sizes)
    for learner in (linear, classes, perceptron):
        for one in (learner, RowDecodingLearner(learner, 3, 1, 4, 2, 1)):
            network = MetaNetwork(None, one)
            assert fit_kernel_shares(network, None, [], 0, "cpu") is network
