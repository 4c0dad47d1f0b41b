"""A grid of correlation kernels and their marginal likelihood.

Each has a length scale, a smoothness and a noise variance, and if periodic a frequency
along a column. The variance of the function is integrated out.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from .gp_algebra import log_density, masked_covariance

LENGTHS = np.geomspace(0.02, 4.0, 20)
"""Length scales, relative to those that all tasks share."""

NOISE_RATIOS = (5e-4, 5e-3, 0.05, 0.5)
"""Variances of the noise, relative to that of the function."""

SHAPE, RATES = 2.0, (0.03, 0.2, 1.2)
"""Parameters of the inverse gamma priors of the variance of a scaled target."""

MAX_FREQUENCY, FREQUENCY_STEP = 50, 0.05
PERIODIC_LENGTHS, PERIODIC_NOISE, PERIODIC_RATE = (0.2, 0.5, 1.5), 1e-3, 0.3
"""Maximum number of periods in the range of the support and step of the grid; length
scales in radians, noise and rate of the prior of the variance of periodic kernels."""

N_FINER, FINER_LENGTHS = 21, (0.1, 0.15, 0.22, 0.33, 0.5, 0.8, 1.3, 2.0)
"""Number of frequencies about the best of these, and length scales, when refining."""

MAX_COLUMNS = 4
"""Number of columns, the most relevant ones, that a function may be periodic in."""

ENTRIES_AT_ONCE = 4_000_000


class KernelSpec(NamedTuple):
    """Kernels; each part has the same shape."""

    length: torch.Tensor  # relative to the learned; if periodic, in radians
    matern32: torch.Tensor  # bool: Matern's of order 3/2, else squared exponential
    noise: torch.Tensor  # variance, relative to that of the function
    rate: torch.Tensor  # of the inverse gamma prior of the variance
    frequency: torch.Tensor  # periods in the range of the support; 0: not periodic
    column: torch.Tensor  # int: the column it is periodic in

    def take(self, index):
        """The kernels at ``index``."""
        return KernelSpec(*(part[index] for part in self))

    def expand(self, n_tasks):
        """The same kernels for each of ``n_tasks``."""
        return KernelSpec(*(part.expand(n_tasks, -1) for part in self))


class InputRange(NamedTuple):
    """Ranges of the supports of B tasks."""

    columns: torch.Tensor  # (B, S, n_columns) in units of the shared length scales
    low: torch.Tensor  # (B, n_columns) minimum of each column
    span: torch.Tensor  # (B, n_columns) maximum less minimum

    @classmethod
    def of(cls, columns, weight):
        """Ranges of supports at ``columns`` (B, S, n_columns), with weights (B, S)."""
        present = (weight > 0)[..., None]
        low = columns.masked_fill(~present, math.inf).amin(1)
        high = columns.masked_fill(~present, -math.inf).amax(1)
        span = (high - low).nan_to_num(nan=1.0).clamp(min=1e-12)
        return cls(columns, low.nan_to_num(posinf=0.0), span.nan_to_num(posinf=1.0))

    def phases(self, columns):
        """``columns`` (B, N, n_columns), 0 to 1 within the range of the support."""
        return (columns - self.low[:, None]) / self.span[:, None]

    def take(self, index):
        """The ranges of some tasks."""
        return InputRange(*(part[index] for part in self))


def aperiodic_kernels(like):
    """All kernels that are not periodic, (1, n_kernels) each."""
    parts = np.meshgrid(LENGTHS, [False, True], NOISE_RATIOS, RATES, indexing="ij")
    length, matern32, noise, rate = (
        torch.from_numpy(part.reshape(1, -1)).to(like.device) for part in parts
    )
    zero = torch.zeros_like(length)
    return KernelSpec(length, matern32, noise, rate, zero, zero.long())


def evidence_of_aperiodic(input_range, residual, weight):
    """Log marginal likelihood (B, n_kernels) of the aperiodic kernels."""
    kernels = aperiodic_kernels(residual).expand(len(residual))
    return log_evidence(kernels, input_range, residual, weight, len(RATES))


def log_evidence(kernels, input_range, residual, weight, n_rates=1):
    """Log marginal likelihood (B, G) of supports under kernels (B, G).

    ``n_rates`` consecutive kernels differ only in their rate, and share a Cholesky
    factor. The variance is integrated out: a normal distribution whose variance is
    inverse gamma is Student's t (Murphy 2012, Machine learning, eq. 4.167).
    """
    n_tasks, n_rows = residual.shape
    at_once = n_rates * max(1, ENTRIES_AT_ONCE // (n_tasks * n_rows**2))
    shape = SHAPE + weight.sum(1)[:, None, None] / 2
    parts = []
    for i in range(0, kernels.length.shape[1], at_once):
        some = kernels.take((slice(None), slice(i, i + at_once)))
        of_all_rates = some.take((slice(None), slice(None, None, n_rates)))
        K = correlation(of_all_rates, input_range, input_range.columns)
        factor, white, noise = whitened(K, of_all_rates.noise, residual, weight)
        repeated = weight.repeat_interleave(factor.shape[1], 0)
        zero = repeated.new_zeros(len(repeated))
        # log density at a variance of 1, without the squares of the residuals
        at_one = log_density(zero, factor.flatten(0, 1), repeated, noise)
        at_one = at_one.unflatten(0, factor.shape[:2])[..., None]
        rates = some.rate.unflatten(1, (-1, n_rates))
        log_ratio = torch.lgamma(shape) - math.lgamma(SHAPE) + SHAPE * rates.log()
        squares = (white**2).sum(2)[..., None]
        evidence = at_one + log_ratio - shape * (rates + squares / 2).log()
        parts.append(evidence.flatten(1))
    return torch.cat(parts, 1)


def periodic_kernels(searched, relevance, input_range, residual, weight):
    """The periodic kernels with the most evidence.

    The best of a coarse grid of frequencies and columns is refined.

    Parameters
    ----------
    searched : tensor of bool, shape (B,)
        Tasks to search for them.
    relevance : tensor of shape (B, n_features)
        Relevance of the columns that a function may be periodic in.
    input_range : InputRange
    residual, weight : tensor of shape (B, S)

    Returns
    -------
    kernels : KernelSpec of shape (B, G)
    evidence : tensor of shape (B, G)
        Log probability, given that the function is periodic, of the support and the
        kernel; minus infinity for tasks that are not searched.
    """
    n_columns = min(MAX_COLUMNS, relevance.shape[1])
    frequency = np.arange(1, MAX_FREQUENCY + FREQUENCY_STEP / 2, FREQUENCY_STEP)
    parts = np.meshgrid(PERIODIC_LENGTHS, frequency, np.arange(n_columns))
    length, frequency, rank = (
        torch.from_numpy(part.reshape(1, -1)).to(residual.device) for part in parts
    )
    columns = relevance.topk(n_columns, 1).indices
    step = torch.linspace(-FREQUENCY_STEP, FREQUENCY_STEP, N_FINER).to(frequency)
    finer_lengths = torch.tensor(FINER_LENGTHS).to(step)
    step, finer_length = (
        part.reshape(1, -1)
        for part in torch.meshgrid(step, finer_lengths, indexing="ij")
    )
    finer = _periodic(finer_length, step, step.long()).expand(len(residual))
    finer = KernelSpec(*(part.clone() for part in finer))
    found = torch.full_like(finer.frequency, -math.inf)
    for task in searched.nonzero()[:, 0].tolist():
        one = slice(task, task + 1)
        of_task = input_range.take(one), residual[one], weight[one]
        coarse = _periodic(length, frequency, columns[one, rank[0]])
        evidence = log_evidence(coarse, *of_task)
        highest = _highest_frequency(input_range.take(one), weight[one])
        too_fast = coarse.frequency > highest.gather(1, coarse.column)
        best = evidence.masked_fill(too_fast, -math.inf)[0].argmax()
        finer.frequency[one] += coarse.frequency[0, best]
        finer.column[one] = coarse.column[0, best]
        found[one] = log_evidence(finer.take(one), *of_task)
    # uniform prior: these share the probability of two steps of the coarse grid
    share = 2 * len(PERIODIC_LENGTHS) / length.shape[1]
    return finer, found + math.log(share / found.shape[1])


def _highest_frequency(input_range, weight):
    """Highest frequencies (1, n_columns) that a support distinguishes from lower ones.

    For rows at random positions they are very high; for rows on a grid they are half
    the number of steps (Nyquist).
    """
    columns = input_range.phases(input_range.columns)[0, weight[0] > 0]
    steps = columns.sort(0).values.diff(dim=0)
    steps = steps.masked_fill(steps < 1e-6, math.inf)  # rows at the same position
    return 0.5 / F.pad(steps, (0, 0, 0, 1), value=math.inf).amin(0, keepdim=True)


def _periodic(length, frequency, column):
    """Periodic kernels of these lengths, frequencies and columns, (B, G) each."""
    smooth = torch.zeros_like(column, dtype=torch.bool)
    noise = torch.full_like(length, PERIODIC_NOISE)
    rate = torch.full_like(length, PERIODIC_RATE)
    return KernelSpec(length, smooth, noise, rate, frequency, column)


def correlation(kernels, input_range, columns, others=None):
    """Correlations (B, G, N, M) of rows at ``columns`` and ``others``, or supports."""
    others = input_range.columns if others is None else others
    length = kernels.length[..., None, None]
    distance = torch.cdist(columns, others)[:, None] / length
    if (kernels.frequency > 0).any():
        phases = input_range.phases(columns), input_range.phases(others)
        chord = _chord(kernels, *phases) / length
        periodic = kernels.frequency[..., None, None] > 0
        distance = torch.where(periodic, chord, distance)
    smooth = torch.exp(-0.5 * distance**2)
    if not kernels.matern32.any():
        return smooth
    along = 3**0.5 * distance
    matern32 = (1 + along) * torch.exp(-along)
    return torch.where(kernels.matern32[..., None, None], matern32, smooth)


def _chord(kernels, a, b):
    """Distances (B, G, N, M) on the circle that a column is mapped to.

    MacKay (1998), Introduction to Gaussian processes, eq. 47.
    """
    index = kernels.column[:, :, None]
    a = a.transpose(1, 2).gather(1, index.expand(-1, -1, a.shape[1]))
    b = b.transpose(1, 2).gather(1, index.expand(-1, -1, b.shape[1]))
    turn = math.pi * kernels.frequency[..., None, None] * (a[..., None] - b[:, :, None])
    return 2 * turn.sin().abs()


def whitened(K, noise, residual, weight):
    """Cholesky factors, whitened residuals (B, G, S), and noise with its jitter."""
    n_tasks, n_kernels = K.shape[:2]

    def repeated(t):
        return t[:, None].expand(-1, n_kernels, -1).flatten(0, 1)

    noise = noise.reshape(-1, 1)
    K, noise = masked_covariance(K.flatten(0, 1), repeated(weight), noise)
    factor = torch.linalg.cholesky(K)
    white = torch.linalg.solve_triangular(
        factor, repeated(residual)[..., None], upper=False
    )
    shape = (n_tasks, n_kernels)
    return factor.unflatten(0, shape), white[..., 0].unflatten(0, shape), noise
