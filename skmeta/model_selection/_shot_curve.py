"""The score of one method against the number of support rows."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats

N_RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class ShotCurve:
    """1 - loss / loss of a reference, both over all tasks, for each number of rows.

    With squared errors and the mean as reference this is R2, with log losses and the
    class frequencies D2.

    Attributes
    ----------
    name : str
    n_support : tuple of int, of length n_shots
    score : ndarray of shape (n_shots,)
    resampled : ndarray of shape (n_resamples, n_shots)
        The scores of bootstrap samples of the tasks, the same samples for every curve.
    n_tasks : ndarray of shape (n_shots,)
    low, high : ndarray of shape (n_shots,)
        The 95% interval over tasks.
    """

    name: str
    n_support: tuple
    score: np.ndarray
    resampled: np.ndarray
    n_tasks: np.ndarray

    @classmethod
    def from_losses(cls, name, n_support, losses, reference, seed):
        """The curve of mean losses (n_tasks, n_shots), NaN where rows are too few."""
        there = np.isfinite(losses)
        losses, reference = (np.where(there, a, 0.0) for a in (losses, reference))
        n_tasks = len(losses)
        rng = np.random.default_rng(seed)
        # Paired percentile bootstrap: how often each task is in each resample.
        drawn = rng.integers(n_tasks, size=(N_RESAMPLES, n_tasks))
        times = np.zeros(drawn.shape)
        np.add.at(times, (np.arange(N_RESAMPLES)[:, None], drawn), 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            score = 1 - losses.sum(0) / reference.sum(0)
            resampled = 1 - (times @ losses) / (times @ reference)
        return cls(name, tuple(n_support), score, resampled, there.sum(0))

    @classmethod
    def of_best(cls, name, curves):
        """At each number of support rows, the best of several on the same tasks."""
        best = np.argmax([curve.score for curve in curves], axis=0)
        at = list(enumerate(best))
        return cls(
            name,
            curves[0].n_support,
            np.array([curves[b].score[j] for j, b in at]),
            np.transpose([curves[b].resampled[:, j] for j, b in at]),
            curves[0].n_tasks,
        )

    @cached_property
    def low(self):
        return self._interval[0]

    @cached_property
    def high(self):
        return self._interval[1]

    @cached_property
    def _interval(self):
        return interval(self.resampled, self.n_tasks)

    def cells(self):
        """The score and its interval at each K, as they print."""
        values = zip(self.score, self.low, self.high, strict=True)
        return [f"{score:.2f} [{low:.2f}, {high:.2f}]" for score, low, high in values]

    def gain(self, other):
        """How far this curve is above another, on the same tasks.

        Returns
        -------
        gain, low, high : ndarray of shape (n_shots,)
            With its 95% interval over tasks.
        """
        low, high = interval(self.resampled - other.resampled, self.n_tasks)
        return self.score - other.score, low, high

    def mean_gain(self, other):
        """The same for the mean over numbers of support rows: three floats."""
        resampled = (self.resampled - other.resampled).mean(axis=1, keepdims=True)
        low, high = interval(resampled, [self.n_tasks.min()])
        return float(np.mean(self.score - other.score)), float(low[0]), float(high[0])

    def shots_for(self, score):
        """Support rows that reach `score`, interpolated linearly in their logarithm.

        Infinite if it is not reached.
        """
        reached = np.flatnonzero(self.score >= score)
        if len(reached) == 0:
            return math.inf
        i = reached[0]
        if i == 0:
            return float(self.n_support[0])
        log_k = np.log(self.n_support[i - 1 : i + 1])
        return float(np.exp(np.interp(score, self.score[i - 1 : i + 1], log_k)))


def interval(resampled, n_tasks):
    """95% interval of a bootstrap distribution over tasks.

    Percentiles, expanded as Student's t is for few tasks (Hesterberg 2015, What
    teachers should know about the bootstrap, section 3.3). Resamples without any task
    that has enough rows are NaN, and ignored.

    Parameters
    ----------
    resampled : ndarray of shape (n_resamples, n_shots)
    n_tasks : ndarray of shape (n_shots,)

    Returns
    -------
    low, high : ndarray of shape (n_shots,)
        NaN with fewer than two tasks.
    """
    bounds = np.full((2, len(n_tasks)), np.nan)
    for j in np.flatnonzero(np.asarray(n_tasks) > 1):
        n = n_tasks[j]
        tail = stats.norm.cdf(-stats.t.ppf(0.975, n - 1) * np.sqrt(n / (n - 1)))
        bounds[:, j] = np.nanquantile(resampled[:, j], [tail, 1 - tail])
    return bounds
