"""How well an estimator does on tasks it has not seen, and the choice of the best."""

from ._shot_scores import FewShotScores, ShotSummary
from .few_shot import few_shot_scores
from .taskwise import TaskwiseEstimator

__all__ = ["FewShotScores", "ShotSummary", "TaskwiseEstimator", "few_shot_scores"]
