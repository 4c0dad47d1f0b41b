"""What `compare` returns: the losses of all estimators, and what they say."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ._comparison_text import describe
from ._plot import ShotCurveDisplay
from ._shot_curve import ShotCurve

SIZE, SHARE = 0.01, 0.05
"""A gain matters from so much of R2, or such a share of what the rival leaves open."""


class ShotComparison(NamedTuple):
    """The judged estimator and its best rival at one K; see `Comparison.summary`."""

    n_support: int
    n_tasks: int
    winner: str
    score: float
    rival: str
    rival_score: float
    gain: float
    low: float
    high: float
    finding: str


class TaskEffect(NamedTuple):
    """What the judged estimator does to one task; see `Comparison.task_effects`."""

    task: object
    gain: float


class Growth(NamedTuple):
    """Losses of the judged estimator, meta-fitted on more and more tasks.

    Attributes
    ----------
    n_tasks : tuple of int, of length n_sizes
    losses : tuple of ndarray of shape (n_scored_tasks, n_shots), of length n_sizes
    reference : ndarray of shape (n_scored_tasks, n_shots)
    """

    n_tasks: tuple
    losses: tuple
    reference: np.ndarray


@dataclass(frozen=True, eq=False)
class Comparison:
    """Estimators compared on tasks that none of them had seen, made by `compare`.

    Attributes
    ----------
    judged : str
        The estimator that is judged.
    rivals : tuple of str
        Those that it is compared with.
    alone : tuple of str
        Those of them that know one task alone.
    n_support : tuple of int, of length n_shots
    task_names : tuple of length n_scored_tasks
    losses : dict of str -> ndarray of shape (n_scored_tasks, n_shots)
        Mean squared error or log loss of each estimator, averaged over episodes; NaN
        where a task has too few rows.
    reference : ndarray of shape (n_scored_tasks, n_shots)
        That of the mean of the meta-training targets, or of their frequencies.
    growth : Growth
    measure : {"R2", "D2"}
        What a score is: the share of the reference's squared error or log loss that an
        estimator saves.
    failures : dict of str -> int
        Episodes that an estimator could not be fitted or scored in; there it counts as
        the reference.
    seconds : dict of str -> float
        CPU time of one `meta_fit`.
    recipes : dict of str -> str
        The estimators as they are printed.
    n_folds, n_tasks : int
    seed : int
    """

    judged: str
    rivals: tuple
    alone: tuple
    n_support: tuple
    task_names: tuple
    losses: dict
    reference: np.ndarray
    growth: Growth
    measure: str
    failures: dict
    seconds: dict
    recipes: dict
    n_folds: int
    n_tasks: int
    seed: int

    @cached_property
    def curves(self):
        """Score against the number of support rows, dict of str -> ShotCurve."""
        return {
            name: ShotCurve.from_losses(
                name, self.n_support, losses, self.reference, self.seed
            )
            for name, losses in self.losses.items()
        }

    def summary(self):
        """The judged estimator against its best rival at each K.

        Returns
        -------
        rows : list of ShotComparison
            One ``(n_support, n_tasks, winner, score, rival, rival_score, gain, low,
            high, finding)`` for each number of support rows. From `low` to `high` is
            the 95% interval of the gain over tasks. `finding` is "gain" or "loss" where
            the interval excludes zero and the difference is large enough to matter,
            "same" where the interval excludes differences that matter, and else
            "unclear".
        """
        ours, best = self.curves[self.judged], self.best_rival
        rows = []
        for j, (gain, low, high) in enumerate(zip(*ours.gain(best), strict=True)):
            score = float(best.score[j])
            rows.append(
                ShotComparison(
                    self.n_support[j],
                    int(ours.n_tasks[j]),
                    self.best(self.losses, j),
                    float(ours.score[j]),
                    self.best(self.rivals, j),
                    score,
                    float(gain),
                    float(low),
                    float(high),
                    finding(gain, low, high, score),
                )
            )
        return rows

    @cached_property
    def best_rival(self):
        """A ShotCurve that is at each K that of the best rival."""
        rivals = [self.curves[name] for name in self.rivals]
        return ShotCurve.of_best("best rival", rivals)

    def best(self, names, j):
        """Which of the estimators has the highest score at the j-th K."""
        return max(names, key=lambda name: self.curves[name].score[j])

    @property
    def worth_it(self):
        """Whether there is a gain at half of the numbers of support rows, or more."""
        findings = [row.finding for row in self.summary()]
        return 2 * findings.count("gain") >= len(findings)

    @property
    def overall(self):
        """What is found of the gain's mean over K; see `summary`."""
        return finding(*self.mean_gain(), self.best_rival.score.mean())

    @property
    def recommended(self):
        """Which estimator to use: the judged one if worth it, or its best rival."""
        if self.worth_it:
            return self.judged
        return max(self.rivals, key=lambda name: self.curves[name].score.mean())

    def mean_gain(self):
        """How far the judged estimator is ahead of its best rivals, mean over K.

        Returns
        -------
        gain, low, high : float
            With its 95% interval over tasks.
        """
        return self.curves[self.judged].mean_gain(self.best_rival)

    def rows_needed(self):
        """Support rows that the best rival needs to do as well as the judged one.

        Returns
        -------
        n_rows : list of float, of length n_shots
            Read off the best rival's curve, between the K that were compared at on the
            scale of log K; infinite where no K was enough.
        """
        ours = self.curves[self.judged]
        return [self.best_rival.shots_for(score) for score in ours.score]

    def alone_from(self):
        """From how many rows on it is enough to learn each task on its own.

        Returns
        -------
        n_support : int or None
            The first K from which on no gain over the best per-task estimator matters;
            None if there is none, or no per-task estimator.
        """
        if not self.alone:
            return None
        alone = ShotCurve.of_best("alone", [self.curves[name] for name in self.alone])
        gain = self.curves[self.judged].score - alone.score
        enough = None
        for k, g, score in zip(self.n_support, gain, alone.score, strict=True):
            if g >= matters_from(score):
                enough = None
            elif enough is None:
                enough = k
        return enough

    def task_effects(self):
        """What the judged estimator does to each task.

        Returns
        -------
        effects : list of TaskEffect
            One ``(task, gain)`` a task, the most helped first: the loss that it saves
            next to the best rival, mean over K, in units of the score.
        """
        saved = np.zeros(self.reference.shape)
        for j in range(len(self.n_support)):
            rival = self.losses[self.best(self.rivals, j)][:, j]
            scale = np.nanmean(self.reference[:, j])
            saved[:, j] = (rival - self.losses[self.judged][:, j]) / scale
        there = np.isfinite(saved)
        n = there.sum(axis=1)
        gain = np.where(there, saved, 0).sum(axis=1) / np.maximum(n, 1)
        scored = np.flatnonzero(n)
        order = scored[np.argsort(-gain[scored], kind="stable")]
        return [TaskEffect(self.task_names[t], float(gain[t])) for t in order]

    def growth_curves(self):
        """The judged estimator's score, meta-fitted on more and more tasks.

        Returns
        -------
        curves : dict of int -> ShotCurve
            By the number of meta-training tasks, all scored on the same tasks.
        """
        n_tasks, losses, reference = self.growth
        return {
            n: ShotCurve.from_losses(n, self.n_support, loss, reference, self.seed)
            for n, loss in zip(n_tasks, losses, strict=True)
        }

    def to_frame(self):
        """One row for each task, number of support rows and estimator.

        Returns
        -------
        frame : pandas.DataFrame
            With the columns ``task``, ``n_support``, ``estimator``, ``loss`` and
            ``reference``, the loss that scores are relative to.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "Comparison.to_frame needs pandas: pip install pandas. Without it, the "
                "losses attribute has the same as arrays (n_scored_tasks, n_shots)."
            ) from error
        n_tasks, n_shots = self.reference.shape
        frames = [
            pd.DataFrame(
                {
                    "task": [name for name in self.task_names for _ in range(n_shots)],
                    "n_support": np.tile(self.n_support, n_tasks),
                    "estimator": name,
                    "loss": losses.ravel(),
                    "reference": self.reference.ravel(),
                }
            )
            for name, losses in self.losses.items()
        ]
        return pd.concat(frames, ignore_index=True)

    def plot(self, *, ax=None):
        """Draw the scores against the number of support rows.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            To draw on; None makes a figure.

        Returns
        -------
        display : ShotCurveDisplay
        """
        display = ShotCurveDisplay.from_curves(
            self.curves.values(), score_name=self.measure, highlighted=self.judged
        )
        return display.plot(ax=ax)

    def __str__(self):
        return describe(self)

    def __repr__(self):
        return (
            f"<Comparison of {self.judged} with {len(self.rivals)} others on "
            f"{len(self.task_names)} tasks: worth_it={self.worth_it}>"
        )


def matters_from(score):
    """The gain over a rival's score that matters.

    A hundredth of the reference's loss; close to perfect, where no more than a fifth of
    that is left, a twentieth of what is left.
    """
    return min(SIZE, SHARE * max(1 - score, 0.0))


def finding(gain, low, high, score):
    """What an interval says of a gain over a rival's score."""
    size = matters_from(score)
    if low > 0 and gain >= size:
        return "gain"
    if high < 0 and gain <= -size:
        return "loss"
    return "same" if -size < low and high < size else "unclear"
