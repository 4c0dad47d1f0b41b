"""Apply a function to every task of a collection, a lazy sequence or a distribution."""

from ..tasks import LazyTasks, TaskCollection, TaskDistribution


def map_tasks(tasks, function):
    """Apply a function to tasks; those not in memory when they are loaded.

    Parameters
    ----------
    tasks : TaskCollection, LazyTasks or TaskDistribution
    function : callable
        From a `TaskCollection` to one with as many tasks.

    Returns
    -------
    tasks : TaskCollection, LazyTasks or TaskDistribution
        Of the same type as ``tasks``.
    """
    if isinstance(tasks, TaskCollection):
        return function(tasks)
    source = TaskDistribution if isinstance(tasks, TaskDistribution) else LazyTasks
    return source(_MappedTasks(tasks, function))


def map_features(tasks, transformer):
    """Replace the rows ``X`` of tasks with ``transformer.transform(X)``.

    Parameters
    ----------
    tasks : TaskCollection, LazyTasks or TaskDistribution
    transformer : object with ``transform(X)``
        `MissingValues`, `Embedding` or `MetaState`.

    Returns
    -------
    tasks : TaskCollection, LazyTasks or TaskDistribution
        Of the same type as ``tasks``; without feature names.
    """
    return map_tasks(
        tasks,
        lambda some: some._replace(X=transformer.transform(some.X), feature_names=None),
    )


class _MappedTasks:
    """A lazy sequence, or a distribution, whose tasks are mapped when loaded."""

    def __init__(self, tasks, function):
        self.tasks, self.function = tasks, function

    def __len__(self):
        return len(self.tasks)

    def __getitem__(self, i):
        return self.function(self.tasks.take([i]))[0]

    def sample(self, n_tasks, random_state):
        """Draw tasks from the distribution."""
        return self.function(self.tasks.draw(n_tasks, random_state))
