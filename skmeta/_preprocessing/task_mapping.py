"""Tasks that are changed before anything learns from them, wherever they come from."""

from ..tasks import LazyTasks, TaskCollection, TaskDistribution


def changed(tasks, change):
    """The same tasks, changed.

    Parameters
    ----------
    tasks : TaskCollection, LazyTasks or SampledTasks
    change : callable
        From a `TaskCollection` to one of as many tasks.

    Returns
    -------
    tasks : of the same kind
        What is lazy or endless is changed when it is loaded.
    """
    if isinstance(tasks, TaskCollection):
        return change(tasks)
    kind = TaskDistribution if isinstance(tasks, TaskDistribution) else LazyTasks
    return kind(_Changed(tasks, change))


def map_features(tasks, maker):
    """The same tasks, with ``maker.columns(X)`` in place of their rows ``X``.

    Parameters
    ----------
    tasks : TaskCollection, LazyTasks or SampledTasks
    maker : MissingValues, Embedding or MetaState

    Returns
    -------
    tasks : of the same kind
    """

    def change(some):
        flat = some.y, some.offsets, some._names, None, some.weights
        return TaskCollection._of(maker.columns(some.X), *flat)

    return changed(tasks, change)


class _Changed:
    """Tasks of a lazy sequence or a distribution, changed when they are loaded."""

    def __init__(self, tasks, change):
        self.tasks, self.change = tasks, change

    def __len__(self):
        return len(self.tasks)

    def __getitem__(self, i):
        return self.change(self.tasks.take([i]))[0]

    def sample(self, n_tasks, random_state):
        """Draw tasks from the distribution."""
        return self.change(self.tasks.draw(n_tasks, random_state))
