"""Tasks whose rows are turned into columns before anything learns from them."""

from .tasks import LazyTasks, SampledTasks, Task, TaskCollection


def in_columns(tasks, maker):
    """The same tasks, with ``maker.columns(X)`` in place of their rows ``X``.

    Parameters
    ----------
    tasks : TaskCollection, LazyTasks or SampledTasks
    maker : MissingValues, Embedding or MetaState

    Returns
    -------
    tasks : of the same kind
        What is lazy or endless is changed when it is loaded.
    """
    if isinstance(tasks, TaskCollection):
        columns = maker.columns(tasks.X)
        return TaskCollection._of(
            columns, tasks.y, tasks.offsets, tasks._names, None, tasks.weights
        )
    kind = SampledTasks if isinstance(tasks, SampledTasks) else LazyTasks
    return kind(_InColumns(tasks, maker))


class _InColumns:
    """Tasks of a lazy sequence or a distribution, changed when they are loaded."""

    def __init__(self, tasks, maker):
        self.tasks, self.maker = tasks, maker

    def __len__(self):
        return len(self.tasks)

    def __getitem__(self, i):
        task = self.tasks[i]
        return Task(self.maker.columns(task.X), task.y, task.name, task.weight)

    def sample(self, n_tasks, random_state):
        """Draw tasks from the distribution."""
        return in_columns(self.tasks.draw(n_tasks, random_state), self.maker)
