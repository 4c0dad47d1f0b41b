"""What `few_shot_scores` returns: scores over tasks, shots and episodes."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats


class ShotSummary(NamedTuple):
    """The scores at one number of support rows; see `FewShotScores.summary`."""

    n_support: int
    mean: float
    low: float
    high: float
    n_tasks: int


@dataclass(frozen=True, eq=False)
class FewShotScores:
    """The scores of one estimator, made by `few_shot_scores`.

    Attributes
    ----------
    scores : ndarray of shape (n_tasks, n_shots, n_episodes)
        NaN where a task has too few rows, or an episode could not be scored.
    n_support : tuple of int, of length n_shots
        Support rows, the second axis of `scores`.
    task_names : tuple of length n_tasks
    scoring : str
        What a score is; larger is better.
    """

    scores: np.ndarray
    n_support: tuple
    task_names: tuple
    scoring: str

    def task_means(self):
        """Average over episodes.

        Returns
        -------
        means : ndarray of shape (n_tasks, n_shots)
            NaN where a task has no score.
        """
        return np.ma.masked_invalid(self.scores).mean(axis=2).filled(np.nan)

    def summary(self):
        """Average over tasks, each task counting once.

        Returns
        -------
        rows : list of ShotSummary
            One ``(n_support, mean, low, high, n_tasks)`` for each number of support
            rows. From `low` to `high` is the 95% t interval of the mean over tasks,
            NaN with fewer than two; `n_tasks` is how many had a score.

        Examples
        --------
        >>> import numpy as np
        >>> from skmeta.model_selection import FewShotScores
        >>> scores = np.array([[[0.2, 0.4]], [[0.6, 0.8]]])
        >>> row = FewShotScores(scores, (5,), ("a", "b"), "r2").summary()[0]
        >>> row.n_support, row.n_tasks, round(row.mean, 3)
        (5, 2, 0.5)
        """
        rows = []
        for k, means in zip(self.n_support, self.task_means().T, strict=True):
            means = means[np.isfinite(means)]
            n = len(means)
            mean = float(means.mean()) if n else np.nan
            half = np.nan
            if n > 1:
                half = float(stats.t.ppf(0.975, n - 1) * means.std(ddof=1) / np.sqrt(n))
            rows.append(ShotSummary(k, mean, mean - half, mean + half, n))
        return rows

    def to_frame(self):
        """One row for each task, number of support rows and episode.

        Returns
        -------
        frame : pandas.DataFrame
            With the columns ``task``, ``n_support``, ``episode`` and ``score``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pd = import_pandas(
            "FewShotScores.to_frame",
            "the scores attribute is the same as an array (n_tasks, n_shots, "
            "n_episodes)",
        )
        n_tasks, n_shots, n_episodes = self.scores.shape
        per_task = n_shots * n_episodes
        task = [name for name in self.task_names for _ in range(per_task)]
        return pd.DataFrame(
            {
                "task": task,
                "n_support": np.tile(np.repeat(self.n_support, n_episodes), n_tasks),
                "episode": np.tile(np.arange(n_episodes), n_tasks * n_shots),
                "score": self.scores.ravel(),
            }
        )

    def __str__(self):
        lines = [f"{'n_support':>9}  {self.scoring}, mean and 95% interval over tasks"]
        for k, mean, low, high, n in self.summary():
            lines.append(f"{k:>9}  {mean:.3f}  ({low:.3f} to {high:.3f}), {n} tasks")
        return "\n".join(lines)


def import_pandas(method, instead):
    """Pandas, or an error that says which method needs it and what to use instead."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            f"{method} needs pandas: pip install pandas. Without it, {instead}."
        ) from error
    return pandas
