"""How well an estimator does on tasks it has not seen, and the choice of the best."""

from ._comparison import Comparison, ShotComparison
from ._shot_scores import FewShotScores, ShotSummary
from .comparison import compare
from .few_shot import few_shot_scores
from .taskwise import TaskwiseEstimator

__all__ = [
    "Comparison",
    "FewShotScores",
    "ShotComparison",
    "ShotSummary",
    "TaskwiseEstimator",
    "compare",
    "few_shot_scores",
]
