"""Classes of a task's own, as Gaussians: the closed form that a classifier starts from.

The rows of class c are drawn around a mean of their own, and the means of the classes
of a task around its location,

    z | c ~ N(mu_c, W),    mu_c ~ N(m, B),

with variances W within and B between classes that all tasks share: probabilistic linear
discriminant analysis (Ioffe 2006, Probabilistic linear discriminant analysis, sec. 2;
Prince and Elder 2007). Given the support, the mean of each class has a posterior, so
that any number of classes, of any numbers of rows, has probabilities. Where B grows
without bound these are those of prototypical networks (Snell et al. 2017, eq. 2).
Shapes: B tasks, C classes, S support rows, Q query rows, D features. Classes without a
row, which pad tasks of fewer classes, have no probability.
"""

from typing import NamedTuple

import torch
from torch.nn import functional as F

ABSENT = -1e30
"""Logit of a class that is not there: of no probability, and finite."""


class ClassMeans(NamedTuple):
    """What a support says of the means of its classes."""

    count: torch.Tensor  # (B, C) weight of the rows of each
    mean: torch.Tensor  # (B, C, D)
    variance: torch.Tensor  # (B, C, D)


def class_means(z, share, within, between):
    """Posterior of the mean of each class.

    Parameters
    ----------
    z : tensor of shape (B, S, D)
    share : tensor of shape (B, S, C)
        How much each row counts for each class.
    within, between : tensors of shape (B, D)
        Variances.

    Returns
    -------
    means : ClassMeans
    """
    count = share.sum(1)
    there = (count > 0)[..., None]
    n = torch.where(there, count[..., None], 1.0)
    average = share.transpose(1, 2) @ z / n
    within, between = within[:, None], between[:, None]
    precision = there / (between + within / n)
    location = (precision * average).sum(1, keepdim=True) / precision.sum(
        1, keepdim=True
    ).clamp(min=1e-12)
    pull = between / (between + within / n)
    mean = location + pull * (average - location)
    return ClassMeans(count, mean, pull * within / n)


def class_logits(means, z, within):
    """Log density of rows ``z`` (B, Q, D) in each class, (B, Q, C), but for a constant.

    It is that of N(mean, W + variance of the mean), summed over features.
    """
    spread = within[:, None] + means.variance
    scaled = means.mean / spread
    norm = (means.mean * scaled + spread.log()).sum(-1)
    distance = (z**2) @ (1 / spread).transpose(1, 2) - 2 * z @ scaled.transpose(1, 2)
    return -0.5 * (distance + norm[:, None])


def row_log_densities(z, support, y, share, within):
    """Log density that each row of its class gives a query row, but for a constant.

    Two rows of a class differ by N(0, 2 W): a kernel about every row of the support,
    of which those of a class share its weight.

    Parameters
    ----------
    z : tensor of shape (B, Q, D)
    support : tensor of shape (B, S, D)
    y : tensor of int, shape (B, S)
    share : tensor of shape (B, S, C)
    within : tensor of shape (B, D)

    Returns
    -------
    log_density : tensor of shape (B, Q, S)
        `ABSENT` at rows of no weight.
    """
    weight = share.gather(2, y[..., None])[..., 0]
    total = share.sum(1).gather(1, y)
    there = weight > 0
    log_share = (weight / total.where(there, 1.0)).where(there, 1.0).log()
    scale = (2 * within).rsqrt()[:, None]
    z, support = z * scale, support * scale
    distance = (z**2).sum(-1, keepdim=True) - 2 * z @ support.transpose(1, 2)
    distance = distance + (support**2).sum(-1)[:, None]
    log_density = log_share[:, None] - 0.5 * distance
    return log_density.masked_fill(~there[:, None], ABSENT)


def row_logits(log_density, y, n_classes):
    """Log density (B, Q, C) of the classes as mixtures of their rows.

    In logarithms, what matching networks add up (Vinyals et al. 2016, eq. 1).
    """
    index = y[:, None].expand_as(log_density)
    of_class = F.one_hot(y, n_classes).to(log_density)
    top = log_density.new_full((*log_density.shape[:2], n_classes), ABSENT)
    top = top.scatter_reduce(2, index, log_density.detach(), "amax")
    near = (log_density - top.gather(2, index)).exp() @ of_class
    return top + near.clamp(min=1e-30).log()


def only_present(logits, means):
    """Logits (B, Q, C) with those of classes without a row at `ABSENT`."""
    return logits.masked_fill((means.count <= 0)[:, None], ABSENT)


class ClassScatter(NamedTuple):
    """How the rows of a support lie about the average of their class."""

    count: torch.Tensor  # (B, C) weight of the rows of each
    average: torch.Tensor  # (B, C, D)
    square: torch.Tensor  # (B, C, D) sum of the squared distances


def class_scatter(z, share):
    """`ClassScatter` of rows (B, S, D) with shares (B, S, C) in the classes."""
    count = share.sum(1)
    n = torch.where(count > 0, count, 1.0)[..., None]
    average = share.transpose(1, 2) @ z / n
    square = share.transpose(1, 2) @ z**2 - n * average**2
    return ClassScatter(count, average, square.clamp(min=0))


def class_evidence(scatter, within, between):
    """Log marginal likelihood of rows and their classes, but for a constant.

    Parameters
    ----------
    scatter : ClassScatter
        Of B tasks.
    within, between : tensors of shape (B, L, D)
        Variances, L kinds of them.

    Returns
    -------
    evidence : tensor of shape (B, L)
    """
    count = scatter.count[:, None, :, None]
    there = count > 0
    n = torch.where(there, count, 1.0)
    average, within = scatter.average[:, None], within[:, :, None]
    total = within + n * between[:, :, None]
    precision = there * n / total
    location = (precision * average).sum(2, keepdim=True)
    location = location / precision.sum(2, keepdim=True).clamp(min=1e-12)
    each = (
        (n - 1) * within.log()
        + total.log()
        + scatter.square[:, None] / within
        + n * (average - location) ** 2 / total
    )
    return -0.5 * (each * there).sum((2, 3))


def one_hot(y, weight):
    """Share (B, S, C) of rows of weight (B, S) in the classes ``y`` (B, S)."""
    return F.one_hot(y).to(weight) * weight[..., None]
