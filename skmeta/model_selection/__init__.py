"""Evaluation and comparison of estimators on tasks that they have not seen."""

from ._compare import compare
from ._comparison import Comparison, ShotComparison
from ._few_shot import few_shot_scores
from ._scores import FewShotScores, ShotSummary
from ._taskwise import TaskwiseEstimator

__all__ = [
    "Comparison",
    "FewShotScores",
    "ShotComparison",
    "ShotSummary",
    "TaskwiseEstimator",
    "compare",
    "few_shot_scores",
]
