"""Sources of tasks: a collection, a sequence that loads on access, a distribution.

A `TaskCollection` stores the rows of all its tasks in one flat array, so that 100,000
tasks take little more memory than their rows; a `Task` is a view made on access.
"""

from ._collection import TaskCollection
from ._lazy import LazyTasks, TaskDistribution, check_tasks
from ._task import Task

__all__ = [
    "LazyTasks",
    "Task",
    "TaskCollection",
    "TaskDistribution",
    "check_tasks",
]
