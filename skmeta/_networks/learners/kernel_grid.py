"""Kinds of functions, each a correlation of rows, and their evidence.

A function of one kind has some length, smoothness and noise, or repeats itself along a
column; its variance is integrated out.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from .gp_algebra import log_density, masked_covariance

LENGTHS = np.geomspace(0.02, 4.0, 20)
"""Lengths of functions, relative to that of the process which all tasks share."""

NOISE_RATIOS = (5e-4, 5e-3, 0.05, 0.5)
"""Variances of the noise, relative to that of the function."""

SHAPE, RATES = 2.0, (0.03, 0.2, 1.2)
"""Of the inverse gamma priors of the variance, in units of a scaled target."""

MAX_CYCLES, CYCLES_APART = 50, 0.05
PERIODIC_LENGTHS, PERIODIC_NOISE, PERIODIC_RATE = (0.2, 0.5, 1.5), 1e-3, 0.3
"""Cycles within the span of the support, how smooth each is, in radians, and the noise
and variance of a function that repeats itself."""

N_FINER, FINER_LENGTHS = 21, (0.1, 0.15, 0.22, 0.33, 0.5, 0.8, 1.3, 2.0)
"""Cycles, and lengths, about the best of these that are looked at more closely."""

MAX_COLUMNS = 4
"""Columns, those of most relevance, that a function may repeat itself along."""

ENTRIES_AT_ONCE = 4_000_000


class KernelSpec(NamedTuple):
    """Functions of other kinds; each part has the same shape."""

    length: torch.Tensor  # relative to the process; of a periodic one, in radians
    rough: torch.Tensor  # bool: Matern's, once differentiable
    noise: torch.Tensor  # variance, relative to that of the function
    rate: torch.Tensor  # of the inverse gamma prior of the variance
    cycles: torch.Tensor  # within the span of the support; 0 if not periodic
    column: torch.Tensor  # int: what it is periodic in

    def take(self, index):
        """Those at ``index``."""
        return KernelSpec(*(part[index] for part in self))

    def expand(self, n_tasks):
        """The same kinds for each of ``n_tasks``."""
        return KernelSpec(*(part.expand(n_tasks, -1) for part in self))


class InputRange(NamedTuple):
    """Where the supports of B tasks lie."""

    columns: torch.Tensor  # (B, S, n_columns) as the process scales them
    low: torch.Tensor  # (B, n_columns) the least of each column
    span: torch.Tensor  # (B, n_columns) how far each column reaches

    def phases(self, columns):
        """``columns`` (B, N, n_columns) in spans of the support."""
        return (columns - self.low[:, None]) / self.span[:, None]

    def take(self, index):
        """Those of some tasks."""
        return InputRange(*(part[index] for part in self))


def aperiodic_kernels(like):
    """All kinds that are not periodic, (1, n_kinds) each."""
    parts = np.meshgrid(LENGTHS, [False, True], NOISE_RATIOS, RATES, indexing="ij")
    length, rough, noise, rate = (
        torch.from_numpy(part.reshape(1, -1)).to(like.device) for part in parts
    )
    none = torch.zeros_like(length)
    return KernelSpec(length, rough, noise, rate, none, none.long())


def evidence_of_aperiodic(places, residual, weight):
    """Log marginal likelihood (B, n_kinds) of kinds that are not periodic."""
    kinds = aperiodic_kernels(residual)
    n_rates = len(RATES)
    factors = kinds.take((slice(None), slice(None, None, n_rates)))  # of all rates
    n_tasks, n_rows = residual.shape
    at_once = max(1, ENTRIES_AT_ONCE // (factors.length.numel() * n_rows**2))
    parts = []
    for some in torch.arange(n_tasks, device=residual.device).split(at_once):
        at, these = places.take(some), factors.expand(len(some))
        K = correlation(these, at, at.columns)
        marginal = Marginal.of(K, these.noise, residual[some], weight[some])
        rates = kinds.rate.view(1, -1, n_rates)
        parts.append(marginal.log_evidence(rates).flatten(1))
    return torch.cat(parts)


def periodic_kernels(asked, relevance, places, residual, weight):
    """The periodic kinds that explain supports best.

    Parameters
    ----------
    asked : tensor of bool, shape (B,)
        Tasks to look for them.
    relevance : tensor of shape (B, n_features)
        Of columns that a function may repeat itself along.
    places : Places
    residual, weight : tensor of shape (B, S)

    Returns
    -------
    kinds : Kinds of shape (B, G)
    evidence : tensor of shape (B, G)
        Log marginal likelihood, of a function that repeats itself, jointly with its
        kind; minus infinity of tasks that are not asked.
    """
    n_columns = min(MAX_COLUMNS, relevance.shape[1])
    cycles = np.arange(1, MAX_CYCLES + CYCLES_APART / 2, CYCLES_APART)
    parts = np.meshgrid(PERIODIC_LENGTHS, cycles, np.arange(n_columns))
    length, cycles, place = (
        torch.from_numpy(part.reshape(1, -1)).to(residual.device) for part in parts
    )
    columns = relevance.topk(n_columns, 1).indices
    finer = torch.linspace(-CYCLES_APART, CYCLES_APART, N_FINER).to(cycles)
    finer, finer_length = (
        part.reshape(1, -1)
        for part in torch.meshgrid(
            finer, torch.tensor(FINER_LENGTHS).to(finer), indexing="ij"
        )
    )
    more = _periodic(finer_length, finer, finer.long()).expand(len(residual))
    more = KernelSpec(*(part.clone() for part in more))
    found = torch.full_like(more.cycles, -math.inf)
    for task in asked.nonzero()[:, 0].tolist():
        one = slice(task, task + 1)
        of_task = places.take(one), residual[one], weight[one]
        coarse = _periodic(length, cycles, columns[one, place[0]])
        evidence = _periodic_evidence(coarse, *of_task)
        too_fast = coarse.cycles > _fastest(*of_task).gather(1, coarse.column)
        best = evidence.masked_fill(too_fast, -math.inf)[0].argmax()
        more.cycles[one] += coarse.cycles[0, best]
        more.column[one] = coarse.column[0, best]
        found[one] = _periodic_evidence(more.take(one), *of_task)
    # all kinds are as likely beforehand: these share what two steps of the list have
    near = 2 * len(PERIODIC_LENGTHS) / length.shape[1]
    return more, found + math.log(near / found.shape[1])


def _fastest(places, residual, weight):
    """Cycles (1, n_columns) that the rows of one support can tell from slower ones.

    Where rows lie at random these are very many; where they lie regularly, half as many
    as there are steps (Nyquist).
    """
    columns = places.phases(places.columns)[0, weight[0] > 0]
    steps = columns.sort(0).values.diff(dim=0)
    steps = steps.masked_fill(steps < 1e-6, math.inf)  # rows at the same place
    return 0.5 / F.pad(steps, (0, 0, 0, 1), value=math.inf).amin(0, keepdim=True)


def _periodic(length, cycles, column):
    """Periodic kinds of these lengths, cycles and columns, (B, G) each."""
    smooth = torch.zeros_like(column, dtype=torch.bool)
    noise = torch.full_like(length, PERIODIC_NOISE)
    rate = torch.full_like(length, PERIODIC_RATE)
    return KernelSpec(length, smooth, noise, rate, cycles, column)


def _periodic_evidence(kinds, places, residual, weight):
    """Log marginal likelihood (1, G) of one support under periodic kinds."""
    phases = places.phases(places.columns)
    at_once = max(1, ENTRIES_AT_ONCE // residual.shape[1] ** 2)
    parts = []
    for i in range(0, kinds.length.shape[1], at_once):
        these = kinds.take((slice(None), slice(i, i + at_once)))
        K = _smooth(_chord(these, phases, phases) / these.length[..., None, None])
        marginal = Marginal.of(K, these.noise, residual, weight)
        parts.append(marginal.log_evidence(these.rate[..., None])[..., 0])
    return torch.cat(parts, 1)


def input_range(columns, weight):
    """`InputRange` of supports at ``columns`` (B, S, n_columns)."""
    present = (weight > 0)[..., None]
    low = columns.masked_fill(~present, math.inf).amin(1)
    high = columns.masked_fill(~present, -math.inf).amax(1)
    span = (high - low).nan_to_num(nan=1.0).clamp(min=1e-12)
    return InputRange(columns, low.nan_to_num(posinf=0.0), span.nan_to_num(posinf=1.0))


def correlation(kinds, places, columns, others=None):
    """Correlations (B, G, N, M) of rows at ``columns`` and ``others``, or supports."""
    others = places.columns if others is None else others
    length = kinds.length[..., None, None]
    distance = torch.cdist(columns, others)[:, None] / length
    if (kinds.cycles > 0).any():
        phases = places.phases(columns), places.phases(others)
        chord = _chord(kinds, *phases) / length
        distance = torch.where(kinds.cycles[..., None, None] > 0, chord, distance)
    along = 3**0.5 * distance
    rough = (1 + along) * torch.exp(-along)
    return torch.where(kinds.rough[..., None, None], rough, _smooth(distance))


def _smooth(distance):
    return torch.exp(-0.5 * distance**2)


def _chord(kinds, a, b):
    """Distances (B, G, N, M) on the circle that a column is wound around.

    MacKay (1998), Introduction to Gaussian processes, eq. 47.
    """
    index = kinds.column[:, :, None]
    a = a.transpose(1, 2).gather(1, index.expand(-1, -1, a.shape[1]))
    b = b.transpose(1, 2).gather(1, index.expand(-1, -1, b.shape[1]))
    turn = math.pi * kinds.cycles[..., None, None] * (a[..., None] - b[:, :, None])
    return 2 * turn.sin().abs()


def whitened(K, noise, residual, weight):
    """Cholesky factors, whitened residuals (B, G, S), and noise with its jitter."""
    n_tasks, n_kinds = K.shape[:2]

    def spread(t):
        return t[:, None].expand(-1, n_kinds, -1).flatten(0, 1)

    K, noise = masked_covariance(K.flatten(0, 1), spread(weight), noise.reshape(-1, 1))
    factor = torch.linalg.cholesky(K)
    white = torch.linalg.solve_triangular(
        factor, spread(residual)[..., None], upper=False
    )
    shape = (n_tasks, n_kinds)
    return factor.unflatten(0, shape), white[..., 0].unflatten(0, shape), noise


class Marginal(NamedTuple):
    """What the marginal likelihood of B supports under G kinds is made of."""

    at_one: torch.Tensor  # (B, G) log density at a variance of one, but its squares
    squares: torch.Tensor  # (B, G)
    n: torch.Tensor  # (B, 1) rows

    @classmethod
    def of(cls, K, noise, residual, weight):
        """With correlations ``K`` (B, G, S, S) and relative ``noise`` (B, G)."""
        factor, white, noise = whitened(K, noise, residual, weight)
        repeated = weight.repeat_interleave(factor.shape[1], 0)
        none = repeated.new_zeros(len(repeated))
        at_one = log_density(none, factor.flatten(0, 1), repeated, noise)
        at_one = at_one.unflatten(0, factor.shape[:2])
        return cls(at_one, (white**2).sum(2), weight.sum(1, keepdim=True))

    def log_evidence(self, rates):
        """With the variance integrated out, (B, G, n_rates) for ``rates`` (., G, .).

        A normal distribution whose variance is inverse gamma is Student's t
        (Murphy 2012, Machine learning, eq. 4.167).
        """
        at_one, squares, n = (part[..., None] for part in self)
        shape = SHAPE + n / 2
        log_ratio = torch.lgamma(shape) - math.lgamma(SHAPE) + SHAPE * rates.log()
        return at_one + log_ratio - shape * (rates + squares / 2).log()
