"""Collections of tasks: synthetic and real.

Every ``make_*`` function gives the same tasks for the same `random_state`.
"""

from ._rdatasets import (
    load_gapminder_tasks,
    load_hsb_tasks,
    load_nox_tasks,
    load_yogurt_tasks,
)
from ._suzuki import load_suzuki_tasks
from ._synthetic import (
    make_classification_tasks,
    make_linear_tasks,
    make_sinusoid_tasks,
    shuffle_targets,
)

__all__ = [
    "load_gapminder_tasks",
    "load_hsb_tasks",
    "load_nox_tasks",
    "load_suzuki_tasks",
    "load_yogurt_tasks",
    "make_classification_tasks",
    "make_linear_tasks",
    "make_sinusoid_tasks",
    "shuffle_targets",
]
