"""What `compare` returns: the losses of all estimators, and what they say."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ._comparison_text import describe
from ._plot import ShotCurveDisplay
from ._scores import import_pandas
from ._shot_curve import ShotCurve

RELEVANT, RELEVANT_SHARE = 0.01, 0.05
"""A gain is relevant from so much of R2, or this share of the rival's residual loss."""


class ShotComparison(NamedTuple):
    """The candidate and its best rival at one K; see `Comparison.summary`."""

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
    """How much better the candidate is on one task; see `Comparison.task_effects`."""

    task: object
    gain: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Estimators compared on tasks that none of them had seen, made by `compare`.

    Attributes
    ----------
    candidate : str
        The estimator that is evaluated.
    rivals : tuple of str
        Those that it is compared with.
    per_task : tuple of str
        Those rivals that are fitted to one task only.
    n_support : tuple of int, of length n_shots
    task_names : tuple of length n_scored_tasks
    losses : dict of str -> ndarray of shape (n_scored_tasks, n_shots)
        Mean squared error or log loss of each estimator, averaged over episodes; NaN
        where a task has too few rows.
    reference : ndarray of shape (n_scored_tasks, n_shots)
        The loss of predicting the mean of the meta-training targets, or the frequencies
        of their classes.
    learning_curve_losses : dict of int -> ndarray of shape (n_first_fold, n_shots)
        Losses of the candidate on the tasks of the first fold, which are the first of
        ``task_names``, by the number of meta-training tasks.
    metric : {"R2", "D2"}
        What a score is: the relative reduction of the squared error or log loss of the
        reference.
    failures : dict of str -> int
        Episodes that an estimator could not be fitted or scored in; there it counts as
        the reference.
    fit_time : dict of str -> float
        CPU time of one `meta_fit`, in seconds.
    estimator_reprs : dict of str -> str
        The estimators as they are printed.
    n_folds, n_tasks : int
    seed : int
    """

    candidate: str
    rivals: tuple
    per_task: tuple
    n_support: tuple
    task_names: tuple
    losses: dict
    reference: np.ndarray
    learning_curve_losses: dict
    metric: str
    failures: dict
    fit_time: dict
    estimator_reprs: dict
    n_folds: int
    n_tasks: int
    seed: int

    def _curve(self, name, losses):
        """The curve of losses on the first ``len(losses)`` tasks."""
        reference = self.reference[: len(losses)]
        return ShotCurve.from_losses(name, self.n_support, losses, reference, self.seed)

    @cached_property
    def curves(self):
        """Score against the number of support rows, dict of str -> ShotCurve."""
        return {name: self._curve(name, loss) for name, loss in self.losses.items()}

    def summary(self):
        """The candidate relative to its best rival at each K.

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
        ours, best = self.curves[self.candidate], self.best_rival
        gains = zip(*ours.gain(best), strict=True)
        return [
            ShotComparison(
                n_support=self.n_support[j],
                n_tasks=int(ours.n_tasks[j]),
                winner=self.best(self.losses, j),
                score=float(ours.score[j]),
                rival=self.best(self.rivals, j),
                rival_score=float(best.score[j]),
                gain=float(gain),
                low=float(low),
                high=float(high),
                finding=finding(gain, low, high, best.score[j]),
            )
            for j, (gain, low, high) in enumerate(gains)
        ]

    @cached_property
    def best_rival(self):
        """A ShotCurve that is at each K that of the best rival."""
        return ShotCurve.of_best("best rival", [self.curves[r] for r in self.rivals])

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
        """The finding for the mean gain over K; see `summary`."""
        return finding(*self.mean_gain(), self.best_rival.score.mean())

    @property
    def recommended(self):
        """Which estimator to use: the candidate if worth it, or its best rival."""
        if self.worth_it:
            return self.candidate
        return max(self.rivals, key=lambda name: self.curves[name].score.mean())

    def mean_gain(self):
        """The gain of the candidate over its best rivals, mean over K.

        Returns
        -------
        gain, low, high : float
            With its 95% interval over tasks.
        """
        return self.curves[self.candidate].mean_gain(self.best_rival)

    def equivalent_n_support(self, rival=None):
        """Support rows that a rival needs to reach the score of the candidate.

        Parameters
        ----------
        rival : str, default=None
            Name of one of the estimators; None takes the best rival at each K.

            .. versionadded:: 0.2

        Returns
        -------
        n_rows : list of float, of length n_shots
            Interpolated on the rival's curve, linearly in log K; infinite where no K
            was sufficient.
        """
        curve = self.best_rival if rival is None else self.curves[rival]
        return [curve.shots_for(score) for score in self.curves[self.candidate].score]

    def per_task_sufficient_from(self):
        """The number of rows from which a per-task estimator is sufficient.

        Returns
        -------
        n_support : int or None
            The first K from which on no gain over the best per-task estimator matters;
            None if there is none, or no per-task estimator.
        """
        if not self.per_task:
            return None
        best = ShotCurve.of_best("per task", [self.curves[n] for n in self.per_task])
        gain = self.curves[self.candidate].score - best.score
        sufficient = None
        for k, g, score in zip(self.n_support, gain, best.score, strict=True):
            if g >= relevant_gain(score):
                sufficient = None
            elif sufficient is None:
                sufficient = k
        return sufficient

    def task_effects(self):
        """The gain of the candidate on each task.

        Returns
        -------
        effects : list of TaskEffect
            One ``(task, gain)`` a task, in descending order: the loss that the
            candidate saves relative to the best rival, mean over K, in units of the
            score.
        """
        rival = np.column_stack(
            [
                self.losses[self.best(self.rivals, j)][:, j]
                for j in range(len(self.n_support))
            ]
        )
        saved = (rival - self.losses[self.candidate]) / np.nanmean(self.reference, 0)
        saved[~np.isfinite(saved)] = np.nan
        scored = np.flatnonzero(np.isfinite(saved).any(axis=1))
        gain = np.nanmean(saved[scored], axis=1)
        return [
            TaskEffect(self.task_names[scored[i]], float(gain[i]))
            for i in np.argsort(-gain, kind="stable")
        ]

    def learning_curve(self):
        """The candidate's score against the number of meta-training tasks.

        Returns
        -------
        curves : dict of int -> ShotCurve
            By the number of meta-training tasks, all scored on the same tasks.
        """
        return {
            n: self._curve(n, loss) for n, loss in self.learning_curve_losses.items()
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
        pd = import_pandas(
            "Comparison.to_frame",
            "the losses attribute has the same as arrays (n_scored_tasks, n_shots)",
        )
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
            self.curves.values(), score_name=self.metric, highlighted=self.candidate
        )
        return display.plot(ax=ax)

    def __str__(self):
        return describe(self)

    def __repr__(self):
        return (
            f"<Comparison of {self.candidate} with {len(self.rivals)} others on "
            f"{len(self.task_names)} tasks: worth_it={self.worth_it}>"
        )


def relevant_gain(score):
    """The gain over a rival's score that matters.

    A hundredth of the reference's loss, or a twentieth of the rival's residual loss
    where that is less than a fifth of the reference's.
    """
    return min(RELEVANT, RELEVANT_SHARE * max(1 - score, 0.0))


def finding(gain, low, high, score):
    """The finding that an interval of a gain over a rival's score supports."""
    relevant = relevant_gain(score)
    if low > 0 and gain >= relevant:
        return "gain"
    if high < 0 and gain <= -relevant:
        return "loss"
    return "same" if -relevant < low and high < relevant else "unclear"
