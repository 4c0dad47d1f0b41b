import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from skmeta._networks.nway.plda import (
    ABSENT,
    class_logits,
    class_means,
    kernel_logits,
    mask_absent,
    one_hot,
    row_log_densities,
)

WITHIN, BETWEEN = np.array([0.5, 2.0]), np.array([3.0, 0.1])
CLASSES = np.array([0, 0, 2, 1, 2, 2])


@pytest.fixture
def rows():
    """Rows (1, 6, 2) of three classes, and their responsibilitys (1, 6, 3)."""
    z = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 6, 2)))
    y = torch.from_numpy(CLASSES)[None]
    return z, one_hot(y, torch.ones_like(z[..., 0]))


def variances():
    return torch.from_numpy(WITHIN)[None], torch.from_numpy(BETWEEN)[None]


def covariance(n, d):
    return WITHIN[d] * np.eye(n) + BETWEEN[d]


def location(z, d):
    """The location of the means of classes that makes the rows most likely."""
    ones = [np.ones((c == CLASSES).sum()) for c in range(3)]
    solved = [np.linalg.solve(covariance(len(o), d), o) for o in ones]
    total = sum(
        s @ z[0, c == CLASSES, d].numpy() for c, s in enumerate(solved)
    )  # fmt: skip
    return total / sum(o @ s for o, s in zip(ones, solved, strict=True))


def test_means_are_the_posterior_of_normal_rows(rows):
    z, responsibility = rows
    means = class_means(z, responsibility, *variances())
    for c in range(3):
        for d in range(2):
            x, centre = z[0, c == CLASSES, d].numpy(), location(z, d)
            gain = np.linalg.solve(covariance(len(x), d), np.full(len(x), BETWEEN[d]))
            mean = centre + gain @ (x - centre)
            variance = BETWEEN[d] - gain.sum() * BETWEEN[d]
            np.testing.assert_allclose(means.mean[0, c, d], mean)
            np.testing.assert_allclose(means.variance[0, c, d], variance)


def test_logits_are_the_log_density_of_a_row(rows):
    z, responsibility = rows
    within, between = variances()
    means = class_means(z, responsibility, within, between)
    query = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 4, 2)))
    found = class_logits(means, query, within)[0].numpy()
    expected = np.array([
        [
            multivariate_normal.logpdf(
                row, means.mean[0, c], np.diag(WITHIN + means.variance[0, c].numpy())
            )
            for c in range(3)
        ]
        for row in query[0].numpy()
    ])  # fmt: skip
    np.testing.assert_allclose(found - expected, found[0, 0] - expected[0, 0])


def kernel(query, z, y, responsibility, within):
    return kernel_logits(
        row_log_densities(query, z, y, responsibility, within),
        y,
        responsibility.shape[2],
    )


def test_kernel_logits_are_a_kernel_density_of_each_class(rows):
    z, responsibility = rows
    responsibility = responsibility * torch.tensor([1, 2, 0.5, 1, 1, 3])[:, None]
    y, (within, _) = torch.from_numpy(CLASSES)[None], variances()
    query = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 4, 2)))
    found = kernel(query, z, y, responsibility, within)[0]
    weight = responsibility[0].numpy()
    expected = np.array([
        [
            sum(
                w * multivariate_normal.pdf(row, centre, np.diag(2 * WITHIN))
                for w, centre in zip(weight[:, c], z[0].numpy(), strict=True)
            ) / weight[:, c].sum()
            for c in range(3)
        ]
        for row in query[0].numpy()
    ])  # fmt: skip
    constant = -0.5 * np.linalg.slogdet(4 * np.pi * np.diag(WITHIN))[1]
    np.testing.assert_allclose(found, np.log(expected) - constant)


def test_one_row_a_class_says_what_its_mean_says():
    z = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 3, 2)))
    y = torch.arange(3)[None]
    responsibility, within = one_hot(y, torch.ones(1, 3).double()), variances()[0]
    means = class_means(z, responsibility, within, 1e9 * within)
    query = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 4, 2)))
    expected = class_logits(means, query, within).softmax(-1)
    torch.testing.assert_close(
        kernel(query, z, y, responsibility, within).softmax(-1),
        expected,
        rtol=1e-6,
        atol=1e-6,
    )


def test_far_rows_and_rows_of_no_weight_say_nothing_that_is_not_finite(rows):
    z, responsibility = rows
    y, (within, _) = torch.from_numpy(CLASSES)[None], variances()
    left_out = torch.tensor([1, 0, 1, 1, 1, 1])
    far = (1e4 + z).requires_grad_(True)
    found = kernel(far, z, y, responsibility * left_out[:, None], within)
    kept = [0, 2, 3, 4, 5]
    expected = kernel(far, z[:, kept], y[:, kept], responsibility[:, kept], within)
    torch.testing.assert_close(found, expected)
    (slope,) = torch.autograd.grad(found.sum(), far)
    assert torch.isfinite(slope).all()


def test_weights_are_repeats_and_padding_is_nothing(rows):
    z, responsibility = rows
    count = torch.tensor([2, 1, 1, 3, 0, 1])
    index = torch.arange(6).repeat_interleave(count)
    within, between = variances()
    weighed = class_means(z, responsibility * count[:, None], within, between)
    repeated = class_means(z[:, index], responsibility[:, index], within, between)
    torch.testing.assert_close(weighed, repeated)


def test_classes_without_a_row_have_no_probability(rows):
    z, responsibility = rows
    within, between = variances()
    fewer, more = responsibility, torch.cat([responsibility, torch.zeros(1, 6, 2)], 2)
    means = [class_means(z, s, within, between) for s in (fewer, more)]
    logits = [mask_absent(class_logits(m, z, within), m) for m in means]
    torch.testing.assert_close(logits[1][..., :3], logits[0])
    assert (logits[1][..., 3:] == ABSENT).all()
    assert (logits[1].softmax(-1)[..., 3:] == 0).all()


def test_prototypes_are_the_limit_of_wide_means(rows):
    z, responsibility = rows
    within = torch.ones(1, 2, dtype=torch.float64)
    means = class_means(z, responsibility, within, 1e9 * within)
    average = responsibility.transpose(1, 2) @ z / responsibility.sum(1)[..., None]
    torch.testing.assert_close(means.mean, average, rtol=1e-6, atol=1e-6)
