"""Probabilistic linear discriminant analysis (PLDA) with diagonal covariances.

The model of Ioffe 2006 (Probabilistic linear discriminant analysis, sec. 2), and, with
a location for each task in place of one for all data,

    z | c ~ N(mu_c, W),    mu_c ~ N(m, B),                                         (1)

with variances W within and B between classes that all tasks share, and the location m
of a task. Given n rows of class c with average a, mu_c has the posterior (Ioffe 2006,
sec. 3.1, where W = I and m = 0)

    mu_c | a ~ N(m + G (a - m), V),    G = B / (B + W / n),    V = G W / n,        (2)

with m estimated by generalised least squares from the averages of the support

    m = sum_c (B + W / n_c)^-1 a_c / sum_c (B + W / n_c)^-1,                       (3)

and a new row of the class is distributed as

    z | a ~ N(m + G (a - m), W + V).                                               (4)

As B grows, (4) becomes the classifier of prototypical networks (Snell et al. 2017,
eq. 2). Shapes: B tasks, C classes, S support rows, Q query rows, D features. Classes
without rows are padding and have no probability.
"""

from typing import NamedTuple

import torch
from torch.nn import functional as F

ABSENT = -1e30
"""Logit of a class without support rows: finite, but of probability 0."""


class ClassMeans(NamedTuple):
    """Posterior of the class means given a support."""

    count: torch.Tensor  # (B, C) total weight of the rows of each class
    mean: torch.Tensor  # (B, C, D)
    variance: torch.Tensor  # (B, C, D)


def class_means(z, responsibility, within, between):
    """Posterior of the mean of each class.

    Parameters
    ----------
    z : tensor of shape (B, S, D)
    responsibility : tensor of shape (B, S, C)
        Weight of each row in each class.
    within, between : tensors of shape (B, D)
        Variances W and B.

    Returns
    -------
    means : ClassMeans
    """
    count = responsibility.sum(1)
    there = (count > 0)[..., None]
    n = torch.where(there, count[..., None], 1.0)
    average = responsibility.transpose(1, 2) @ z / n
    within, between = within[:, None], between[:, None]
    # eq. 3
    precision = there / (between + within / n)
    location = (precision * average).sum(1, keepdim=True) / precision.sum(
        1, keepdim=True
    ).clamp(min=1e-12)
    # eq. 2
    gain = between / (between + within / n)
    mean = location + gain * (average - location)
    return ClassMeans(count, mean, gain * within / n)


def class_logits(means, z, within):
    """Log density (eq. 4) of rows ``z`` (B, Q, D) in each class, (B, Q, C).

    A constant that all classes share is left out.
    """
    variance = within[:, None] + means.variance
    scaled = means.mean / variance
    norm = (means.mean * scaled + variance.log()).sum(-1)
    distance = (z**2) @ (1 / variance).transpose(1, 2) - 2 * z @ scaled.transpose(1, 2)
    return -0.5 * (distance + norm[:, None])


def row_log_densities(z, support, y, responsibility, within):
    """Log of the weighted kernel of each support row at each query row.

    By (1), two rows of a class differ by N(0, 2 W), which is the kernel. The weights of
    the rows of a class sum to 1. A constant that all rows share is left out.

    Parameters
    ----------
    z : tensor of shape (B, Q, D)
    support : tensor of shape (B, S, D)
    y : tensor of int, shape (B, S)
    responsibility : tensor of shape (B, S, C)
    within : tensor of shape (B, D)

    Returns
    -------
    log_density : tensor of shape (B, Q, S)
        `ABSENT` at rows of weight 0.
    """
    weight = responsibility.gather(2, y[..., None])[..., 0]
    total = responsibility.sum(1).gather(1, y)
    there = weight > 0
    log_share = (weight / total.where(there, 1.0)).where(there, 1.0).log()
    scale = (2 * within).rsqrt()[:, None]
    z, support = z * scale, support * scale
    distance = (z**2).sum(-1, keepdim=True) - 2 * z @ support.transpose(1, 2)
    distance = distance + (support**2).sum(-1)[:, None]
    log_density = log_share[:, None] - 0.5 * distance
    return log_density.masked_fill(~there[:, None], ABSENT)


def kernel_logits(log_density, y, n_classes):
    """Log kernel density (B, Q, C) of each class, from `row_log_densities`.

    A softmax over classes gives the attention of matching networks to the rows of each
    class (Vinyals et al. 2016, eq. 1).
    """
    index = y[:, None].expand_as(log_density)
    of_class = F.one_hot(y, n_classes).to(log_density)
    # log-sum-exp over the rows of each class
    top = log_density.new_full((*log_density.shape[:2], n_classes), ABSENT)
    top = top.scatter_reduce(2, index, log_density.detach(), "amax")
    total = (log_density - top.gather(2, index)).exp() @ of_class
    return top + total.clamp(min=1e-30).log()


def mask_absent(logits, means):
    """Logits (B, Q, C) with those of classes without support rows at `ABSENT`."""
    return logits.masked_fill((means.count <= 0)[:, None], ABSENT)


def one_hot(y, weight):
    """Responsibilities (B, S, C) of rows of weight (B, S) and classes (B, S)."""
    return F.one_hot(y).to(weight) * weight[..., None]
