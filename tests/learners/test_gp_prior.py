"""The prior process of a task: its kernel and mean, against their definition."""

import numpy as np
import pytest
import torch

from skmeta._networks.learners.gp_algebra import masked_covariance, representatives
from skmeta._networks.learners.gp_hyperparameters import (
    MAX_LOG_NOISE,
    MIN_LOG_NOISE,
    Hyperparameters,
    ShiftGroups,
)
from skmeta._networks.learners.gp_prior import (
    Expert,
    GaussianProcessPrior,
    RBFDropout,
)

N_TASKS, N_FEATURES = 2, 3

STACK = (Expert("gp"), Expert("linear on second", 1, True), Expert("gp on first", 0))
LINEAR_STACK = [one._replace(linear=True) for one in STACK]
PROCESSES = {
    "gp": {},
    "no-pooled": {"n_offset": 0},
    "linear": {"linear_only": True},
    "two-outputs": {"n_offset": 2, "n_outputs": 2},
    "stack": {"n_offset": 2, "experts": STACK},
    "stack-of-two-outputs": {"n_offset": 4, "n_outputs": 2, "experts": STACK},
    "stack-no-pooled": {"n_offset": 0, "experts": [Expert(), Expert(linear=True)]},
    "linear-stack": {"n_offset": 2, "experts": LINEAR_STACK},
}


def assert_close(a, b, atol=1e-10):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=atol)


@pytest.fixture(params=PROCESSES, ids=PROCESSES)
def process(request):
    return PROCESSES[request.param]


@pytest.fixture
def prior(process, gp):
    return gp.prior(N_FEATURES, **process)


@pytest.fixture
def encoding(gp):
    return gp.encoding(N_TASKS, N_FEATURES)


@pytest.fixture
def draw_rows(gp, process, prior):
    """``draw_rows(n_rows, seed)``, with offsets of all pooled estimators."""
    n_offset = process.get("n_offset", 1) or prior.n_outputs

    def draw_rows(n_rows=5, seed=2):
        return gp.rows(N_TASKS, n_rows, N_FEATURES, n_offset, seed)[0]

    return draw_rows


def each(prior):
    """Expert, task, and the position of both in the batch of all experts."""
    for expert in range(prior.n_experts):
        for task in range(N_TASKS):
            yield expert, task, expert * N_TASKS + task


def atol_of(prior, expert):
    """A linear expert has a vanishing nonlinear part where others are not linear."""
    return 1e-6 if prior.experts[expert].linear and not prior.linear_only else 1e-10


def test_kernel_and_mean_are_those_of_the_definition(prior, encoding, gp, draw_rows):
    a, b = draw_rows(5), draw_rows(4, seed=3)
    theta = prior.hyperparameters(encoding)
    design_a, design_b = (
        prior.design(prior.expand(r), encoding, theta) for r in (a, b)
    )
    kernel = prior.kernel(design_a, design_b, theta)
    variance = prior.variance(design_a, theta)
    assert len(kernel) == prior.n_experts * N_TASKS
    for expert, task, i in each(prior):
        atol = atol_of(prior, expert)
        expected = gp.formula(prior, encoding, task, expert)
        assert_close(design_a.mean[i], expected.mean(a))
        assert_close(kernel[i], expected.kernel(a, b), atol)
        assert_close(variance[i], np.diag(expected.kernel(a, a)), atol)
        assert_close(theta.noise.exp()[i], [expected.noise])


def test_kernel_is_a_covariance(prior, encoding, draw_rows):
    rows = prior.expand(draw_rows(20))
    theta = prior.hyperparameters(encoding)
    design = prior.design(rows, encoding, theta)
    kernel = prior.kernel(design, design, theta)
    assert_close(kernel, kernel.transpose(1, 2))
    assert torch.linalg.eigvalsh(kernel).min() > -1e-10


def test_new_prior_does_not_depend_on_the_encoding(gp):
    prior = GaussianProcessPrior(N_FEATURES, 1, 1, embed_dim=4, column_dim=3).double()
    prior.requires_grad_(False)
    rows = gp.rows(N_TASKS)[0]
    one, other = (gp.encoding(N_TASKS, N_FEATURES, seed) for seed in (1, 2))

    def all_of(encoding):
        theta = prior.hyperparameters(encoding)
        return [*theta, *prior.design(rows, encoding, theta)]

    for a, b in zip(all_of(one), all_of(other), strict=True):
        assert_close(a, b)
    theta = prior.hyperparameters(one)
    assert_close(theta.noise, np.full((N_TASKS, 1), np.log(0.5)), atol=1e-6)
    assert_close(prior.design(rows, one, theta).mean, rows.offset)


def test_rbf_part_is_left_out_of_some_processes_in_training_alone(gp):
    prior = gp.prior(N_FEATURES, n_offset=1)
    encoding = gp.encoding(n_tasks=200)
    rows = gp.rows(n_tasks=200, n_rows=3)[0]
    whole = prior.hyperparameters(encoding)
    prior.rbf_dropout = RBFDropout(0.25, seed=0)
    some = prior.hyperparameters(encoding)
    left_out = some.signal != whole.signal
    assert 0.15 < left_out.double().mean() < 0.35
    design = prior.design(rows, encoding, whole)
    kernel = prior.kernel(design, design, some)
    rest = design.features @ design.features.transpose(1, 2)
    without = (kernel - rest).abs().amax((1, 2))[:, None] < 1e-6
    np.testing.assert_array_equal(without, left_out)
    prior.eval()
    assert_close(prior.hyperparameters(encoding).signal, whole.signal)


def test_embedding_of_a_column_moves_that_column_alone(gp, encoding):
    prior = gp.prior(N_FEATURES, n_offset=1)
    before = prior.hyperparameters(encoding)
    encoding.columns[:, 1] += 1.0
    after = prior.hyperparameters(encoding)
    expected = {
        "linear": [False, False, True, False, False],
        "signal": [False],
        "length_scale": [False, True, False, False],
        "basis": [False],
        "noise": [False],
        "gate": [False, True, False, False],
    }
    for name, moved in expected.items():
        changed = getattr(before, name) != getattr(after, name)
        np.testing.assert_array_equal(changed, [moved] * N_TASKS)


def test_log_noise_is_bounded(gp, encoding):
    for log_noise, bound in ((-100.0, MIN_LOG_NOISE), (100.0, MAX_LOG_NOISE)):
        prior = gp.prior(N_FEATURES, log_noise=log_noise)
        assert (prior.hyperparameters(encoding).noise == bound).all()


SHIFTED = {  # the number of a shift that moves each part, but for the level
    "linear": 1,
    "signal": 2,
    "length_scale": 3,
    "basis": 4,
    "noise": 5,
}


def groups_of(theta, by_column=False):
    return ShiftGroups.of(theta.length_scale.shape[1], by_column)


def test_shift_moves_all_columns_together(prior, encoding):
    theta = prior.hyperparameters(encoding)
    n, groups = len(theta.noise), groups_of(theta)
    shift = torch.linspace(-0.5, 0.7, 6 * n).double().view(n, 6)
    moved = theta.shifted(shift, groups)
    for name, i in SHIFTED.items():
        expected = getattr(theta, name) + shift[:, [i]]
        if name == "linear":
            expected[:, 0] += shift[:, 0] - shift[:, 1]
        assert_close(getattr(moved, name), expected)
    assert torch.equal(moved.gate, theta.gate)
    for a, b in zip(theta.shifted(0 * shift, groups), theta, strict=True):
        assert torch.equal(a, b)


def test_shift_moves_each_column_on_its_own(prior, encoding):
    theta = prior.hyperparameters(encoding)
    parts, n = theta[:-1], len(theta.noise)
    groups = groups_of(theta, by_column=True)
    assert groups.n_numbers == sum(part.shape[1] for part in parts)
    shift = torch.linspace(-0.5, 0.7, groups.n_numbers * n).double().view(n, -1)
    moved = theta.shifted(shift, groups)
    sizes = [part.shape[1] for part in parts]
    for found, part, by in zip(moved, parts, shift.split(sizes, 1), strict=False):
        assert_close(found, part + by)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shifted_noise_is_bounded(gp, encoding, dtype):
    parts = gp.prior(N_FEATURES).hyperparameters(encoding)
    theta = Hyperparameters(*(t.to(dtype) for t in parts))
    for by, bound in ((-100.0, MIN_LOG_NOISE), (100.0, MAX_LOG_NOISE)):
        shift = torch.full((N_TASKS, 6), by).double()
        moved = theta.shifted(shift, groups_of(theta))
        assert (moved.noise == bound).all()
        assert (moved.signal == theta.signal + by).all()  # that alone is bounded
        assert all(t.dtype == dtype for t in moved)


@pytest.mark.parametrize("by_column", [False, True])
def test_kernel_gradients_are_those_of_autograd(prior, encoding, draw_rows, by_column):
    rows = prior.expand(draw_rows(4))
    theta = prior.hyperparameters(encoding)
    groups = groups_of(theta, by_column)

    def kernel(shift):
        moved = theta.shifted(shift, groups)
        design = prior.design(rows, encoding, moved)
        return prior.kernel(design, design, moved)

    none = torch.zeros(len(theta.noise), groups.n_numbers).double()
    jacobian = torch.autograd.functional.jacobian(kernel, none)
    own = torch.stack([jacobian[t, :, :, t] for t in range(len(jacobian))])
    expected = own.permute(0, 3, 1, 2)
    assert (expected[:, -1] == 0).all()  # the noise is no part of the kernel
    design = prior.design(rows, encoding, theta)
    assert_close(prior.kernel_gradients(design, theta, groups), expected[:, :-1])
    n_linear, n = len(groups.linear), len(groups.columns)
    for expert, _, i in each(prior):
        if by_column:  # those of an offset are 0 where an expert has none
            break
        of_part = expected[i].abs().amax((1, 2)) > 1e-3
        nonlinear = not prior.experts[expert].linear
        expected_parts = [True] * n_linear + [nonlinear] * (n + 2) + [False]
        assert of_part.tolist() == expected_parts


def test_rows_of_a_design_are_split(prior, encoding, draw_rows):
    rows = prior.expand(draw_rows(5))
    theta = prior.hyperparameters(encoding)
    design = prior.design(rows, encoding, theta)
    first, others = (
        type(rows)(*part)
        for part in zip(*(t.split([2, 3], 1) for t in rows), strict=True)
    )
    for found, some in zip(design.split(2), (first, others), strict=True):
        for a, b in zip(found, prior.design(some, encoding, theta), strict=True):
            assert_close(a, b)


def test_relevance_is_the_expected_squared_slope(prior, encoding, gp, draw_rows):
    with torch.no_grad():  # of the linear and RBF parts alone
        prior.to_basis.weight.zero_()
        prior.to_basis.bias.zero_()
    rows = draw_rows(1)
    relevance = prior.relevance(prior.hyperparameters(encoding))
    assert len(relevance) == prior.n_experts * N_TASKS
    step = 1e-4
    for expert, task, i in each(prior):
        kernel = gp.formula(prior, encoding, task, expert).kernel
        pooled = prior.experts[expert].pooled
        n_columns = N_FEATURES if pooled is None else relevance.shape[1]
        for j in range(n_columns):

            def moved(by, j=j, pooled=pooled):
                x, p = rows.x.clone(), rows.offset.clone()
                if j < N_FEATURES:
                    x[..., j] += by
                else:
                    p[..., pooled * prior.n_outputs + j - N_FEATURES] += by
                return rows._replace(x=x, offset=p)

            ahead, behind = moved(step), moved(-step)
            slope = kernel(ahead, ahead) - kernel(ahead, behind)
            slope = slope - kernel(behind, ahead) + kernel(behind, behind)
            expected = slope.item() / (2 * step) ** 2
            assert abs(relevance[i, j].item() - expected) < 1e-6 * max(1, expected)


# The covariance of targets


def test_masked_covariance():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(2, 4, 4))
    K = torch.from_numpy(root @ root.transpose(0, 2, 1))
    weight = torch.tensor([[1.0, 2.0, 0.0, 4.0], [1.0, 1.0, 1.0, 1.0]]).double()
    noise = torch.tensor([[0.3], [0.7]]).double()
    C, total_noise = masked_covariance(K, weight, noise)
    assert_close(total_noise, noise, atol=1e-4)
    assert (total_noise > noise).all()
    assert_close(C[0, 2], [0, 0, 1, 0])
    assert_close(C[0, :, 2], [0, 0, 1, 0])
    there = [0, 1, 3]
    added = (C - K)[0][there][:, there]
    assert_close(added, np.diag([0.3, 0.15, 0.075]), atol=1e-4)
    assert_close((C - K)[1], 0.7 * np.eye(4), atol=1e-4)


def test_masked_covariance_of_a_singular_kernel_can_be_factorised():
    for scale in (1e-8, 1.0, 1e8):
        K = torch.full((1, 30, 30), scale).double()
        weight, noise = torch.ones(1, 30).double(), torch.zeros(1, 1).double()
        C, _ = masked_covariance(K, weight, noise)
        factor = torch.linalg.cholesky(C)
        assert_close((factor @ factor.transpose(1, 2) / scale)[0], C[0] / scale)


# Representatives of many rows


def chosen(rows, y, task):
    """The rows of one task as a sorted list."""
    parts = (
        rows.x[task],
        rows.offset[task],
        rows.weight[task][:, None],
        y[task][:, None],
    )
    return sorted(map(tuple, torch.cat(parts, 1).tolist()))


def test_few_rows_represent_themselves(gp):
    rows, y = gp.rows(N_TASKS, 6)
    some, y_some = representatives(rows, y, 6)
    for task in range(N_TASKS):
        assert chosen(some, y_some, task) == chosen(rows, y, task)


def test_representatives_are_spread_over_the_targets(gp):
    rows, y = gp.rows(N_TASKS, 41)
    some, y_some = representatives(rows, y, 11)
    assert some.x.shape == (N_TASKS, 11, 3)
    assert y_some.shape == (N_TASKS, 11)
    for task in range(N_TASKS):
        np.testing.assert_array_equal(
            y_some[task].sort().values, y[task].sort().values[::4]
        )
        assert set(chosen(some, y_some, task)) <= set(chosen(rows, y, task))


def shuffled_rows(rows, y, seed=0):
    order = np.random.default_rng(seed).permutation(y.shape[1])
    return type(rows)(*(t[:, order] for t in rows)), y[:, order]


def test_order_of_rows_does_not_choose_representatives(gp):
    rows, y = gp.rows(N_TASKS, 40)
    one = representatives(rows, y, 7)
    other = representatives(*shuffled_rows(rows, y), 7)
    for task in range(N_TASKS):
        assert chosen(*one, task) == chosen(*other, task)


def test_order_of_rows_does_not_choose_representatives_of_tied_targets(gp):
    rows, y = gp.rows(N_TASKS, 40)
    y = (y > 0).double()
    one = representatives(rows, y, 7)
    other = representatives(*shuffled_rows(rows, y), 7)
    for task in range(N_TASKS):
        assert chosen(*one, task) == chosen(*other, task)


def test_padding_represents_nobody(gp):
    rows, y = gp.rows(N_TASKS, 12)
    more, y_more = gp.padded(rows, y, n_more=9)
    some, y_some = representatives(more, y_more, 7)
    expected, y_expected = representatives(rows, y, 7)
    for task in range(N_TASKS):
        assert chosen(some, y_some, task) == chosen(expected, y_expected, task)


def test_few_rows_among_much_padding_represent_themselves_once(gp):
    rows, y = gp.rows(N_TASKS, 4)
    more, y_more = gp.padded(rows, y, n_more=9)
    some, y_some = representatives(more, y_more, 7)
    for task in range(N_TASKS):
        present = [r for r in chosen(some, y_some, task) if r[-2] > 0]
        assert present == chosen(rows, y, task)


def test_weight_is_a_number_of_rows_among_representatives(gp):
    rows, y = gp.rows(N_TASKS, 9)
    counts = [3, 1, 2, 5, 1, 4, 2, 1, 2]
    repeated, index = gp.repeated(rows, counts)
    one = representatives(gp.weighted(rows, counts), y, 7)
    other = representatives(repeated, y[:, index], 7)
    for task in range(N_TASKS):
        totals = [
            {v: weight[task][of[task] == v].sum().item() for v in of[task].tolist()}
            for weight, of in ((s.weight, t) for s, t in (one, other))
        ]
        assert totals[0] == totals[1]
