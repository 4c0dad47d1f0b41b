"""Meta-learners that relate tasks to the meta-training tasks."""

from dataclasses import replace

import numpy as np
import torch

from .._episodes.batch import Rows
from .._networks.nway.similarity import (
    draw_memory_rows,
    embed_tasks,
    similar_tasks,
)
from .._networks.relations.memory import N_MEMORY_ROWS, TaskMemory, memory_of
from .._preprocessing.task_mapping import map_features
from .._training.config import NWAY
from .._training.initialization import prepared
from ..tasks import TaskDistribution, check_tasks
from ..tasks._argument_checks import takes_tasks
from ..tasks._column_names import check_learned
from .classifier import MetaClassifier
from .regressor import MetaRegressor

TASKS_AT_ONCE, RELATED_AT_ONCE = 256, 32


class RelatedTasks:
    """Mixin for meta-learners with a memory of tasks and relations to them."""

    @takes_tasks
    def add_tasks(self, tasks):
        """Add tasks to the memory, without any training.

        State change: *meta-fitted* or *adapted* -> *meta-fitted*. Clones that share
        the earlier state keep it.

        Parameters
        ----------
        tasks : TaskCollection, list of (X, y), dict or lazy sequence
            Tasks with the columns of the meta-training tasks, and no other classes
            unless labels are task-specific. The numbers of tasks without a name
            continue those of the tasks in memory.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If a task is not valid, or has the name of a task in memory; nothing is
            changed.
        """
        state, tasks = self._check_meta_fitted(), self._check_finite_tasks(tasks)
        memories, names = [_memory(state)], []
        with state.running():
            for some in self._chunks(tasks):
                memories.append(_memory_of(state, some))
                names += some.names
        names = _new_names(names, state.task_names)
        memory = TaskMemory.joined(memories)
        attention = np.ones(len(memory.keys))
        attention[: len(state.task_attention)] = state.task_attention
        self._forget()
        self._take_over(
            replace(
                state,
                network=state.network.with_memory(memory),
                task_names=np.concatenate([state.task_names, names]),
                task_embeddings=memory.keys.numpy(),
                task_attention=attention / attention.mean(),
                tasks=(*state.tasks, map_features(tasks, state)) if state.tasks else (),
            )
        )
        return self

    @property
    def task_relations_(self):
        """Relations of the task adapted to, (n_meta_tasks,), summing to at most 1."""
        return self._relations(self._related())[0]

    @property
    def familiarity_(self):
        """Probability that the task adapted to is related to one in memory."""
        return max(0.0, float(-torch.expm1(self._related().log_relation[0, -1])))

    @takes_tasks
    def relations(self, tasks):
        """Relations of tasks to the meta-training tasks, computed from all their rows.

        State change: none.

        Parameters
        ----------
        tasks : TaskCollection, list of (X, y), dict or lazy sequence

        Returns
        -------
        relations : ndarray of shape (n_tasks, n_meta_tasks)
            In the order of ``task_names_``. Rows sum to at most 1; the remainder is
            the probability of no related task. At most 65 rows of a task, drawn at
            random, are used; with task-specific labels, at most four rows of each of
            16 classes. A meta-training task is related to itself; with a pooled
            estimator, which was fitted to its rows, less strongly than the same rows
            of a new task would be.
        """
        state = self._check_meta_fitted().on(self._usable_device())
        tasks = self._check_finite_tasks(tasks)
        with state.running():
            found = [
                self._relations(related)
                for some in self._chunks(tasks)
                for related in _related_to(state, some)
            ]
        return np.concatenate(found)

    def _check_finite_tasks(self, tasks):
        """Checked tasks, finitely many, with the columns of the meta-training tasks."""
        tasks = check_tasks(tasks)
        if isinstance(tasks, TaskDistribution):
            raise TypeError(
                "A task distribution has infinitely many tasks; relations and memory "
                "need finitely many. Draw tasks by sample(n_tasks, random_state), and "
                "pass these."
            )
        check_learned(tasks._schema, self.meta_state_, self)
        return tasks

    def _chunks(self, tasks):
        """Yield chunks of tasks whose rows and labels were checked."""
        state = self._check_meta_fitted()
        for i in range(0, len(tasks), TASKS_AT_ONCE):
            some = tasks.take(np.arange(i, min(i + TASKS_AT_ONCE, len(tasks))))
            self._check_rows(some.X)
            y = self._check_target(some.y)
            state.for_task(y).targets.transform(y)  # raises for unknown labels
            yield some

    def _related(self):
        """Relations of the task adapted to, see `_relations`."""
        if not self.__sklearn_is_fitted__():
            self._check_meta_fitted()
        if not self._is_meta_fitted():
            raise AttributeError(
                f"This {type(self).__name__} was not meta-fitted and has no tasks in "
                "memory. Call meta_fit(tasks) first."
            )
        adapted = self._adapted_task()
        if adapted.state.problem == NWAY:
            embedding = adapted.adaptation.encoding.task
            return similar_tasks(embedding, adapted.state.task_embeddings)
        return adapted.adaptation

    def _relations(self, related):
        """Relations (B, n_meta_tasks) of B tasks.

        ``related`` has the logarithms ``log_relation`` (B, T + 1) of the relations to
        the T strongest, the last to no task, and their ``index`` (B, T).
        """
        relations = np.zeros((len(related.index), len(self.task_names_)))
        share = related.log_relation[:, :-1].exp().cpu().numpy()
        np.put_along_axis(relations, related.index.cpu().numpy(), share, 1)
        return relations

    def _task_contributions(self, X):
        """Contribution of each task, (n_query, n_meta_tasks, n_outputs)."""
        X, adapted, related = self._query(X), self._adapted_task(), self._related()
        if adapted.state.problem == NWAY:  # other tasks do not enter predictions
            return np.zeros((len(X), len(self.task_names_), len(self.classes_)))
        given = adapted.contributions(X)
        all_given = np.zeros((len(given), len(self.task_names_), given.shape[2]))
        all_given[:, related.index[0].cpu().numpy()] = given
        return all_given


class RelatedRegressor(RelatedTasks, MetaRegressor):
    """A meta-learner for regression with relations between tasks."""

    def contributions(self, X):
        """Contribution of each meta-training task and of the support to predictions.

        State change: none.

        Parameters
        ----------
        X : array-like of shape (n_query, n_features)

        Returns
        -------
        contributions : ndarray of shape (n_query, n_meta_tasks + 1)
            In the order of ``task_names_``, the function of each task times its
            relation. The last column is the remainder: what the support adds to these,
            and the prediction without related tasks. Rows sum to the output of
            `predict`.
        """
        given, total = self._task_contributions(X)[..., 0], self.predict(X)
        targets = self._current_state().targets
        given *= targets.scale
        given += targets.inverse_transform(0.0) * self.task_relations_
        return np.column_stack([given, total - given.sum(1)])


class RelatedClassifier(RelatedTasks, MetaClassifier):
    """A meta-learner for classification with relations between tasks."""

    def contributions(self, X):
        """Contribution of each meta-training task and of the support to predictions.

        State change: none.

        Parameters
        ----------
        X : array-like of shape (n_query, n_features)

        Returns
        -------
        contributions : ndarray of shape (n_query, n_meta_tasks + 1)
            In the order of ``task_names_``, the probability of the second class under
            the latent functions of each task, times its relation. The last column is
            the remainder: what the support adds to these, and the prediction without
            related tasks. Rows sum to the probability of the second class. With more
            than two classes, the shape is (n_query, n_meta_tasks + 1, n_classes), and
            the sum is the output of `predict_proba`. With task-specific labels other
            tasks do not enter predictions, and their contributions are 0.
        """
        given, total = self._task_contributions(X), self.predict_proba(X)
        rest = total - given.sum(1)
        both = np.concatenate([given, rest[:, None]], 1)
        return both[..., 1] if len(self.classes_) == 2 else both


def _memory(state):
    """The `TaskMemory` of the meta-training tasks."""
    if state.problem == NWAY:
        return _embeddings_only(state.task_embeddings)
    return state.network.learner.memory


def _embeddings_only(embeddings):
    """A `TaskMemory` without functions, for task-specific labels."""
    return TaskMemory(torch.tensor(embeddings), torch.empty(len(embeddings), 0))


def _memory_of(state, tasks):
    """The `TaskMemory` of tasks."""
    learner = state.network.learner
    if state.problem == NWAY:
        return _embeddings_only(embed_tasks(learner, state.rows, tasks)[0])
    episodes = _episodes_of(state, tasks)
    return memory_of(state.network, learner.gp, episodes, np.arange(len(tasks)))


def _related_to(state, tasks):
    """Yield the relations of a few tasks at a time, from some rows of each."""
    rng = np.random.default_rng(0)
    if state.problem == NWAY:
        for task in tasks:
            X, y = draw_memory_rows(task, rng)
            rows = state.rows(X)
            y = torch.from_numpy(y)[None].to(rows.x.device)
            encoding = state.network.adapt(rows, y).encoding
            yield similar_tasks(encoding.task, state.task_embeddings)
        return
    episodes, network = _episodes_of(state, tasks), state.network
    device = next(network.parameters()).device
    for i in range(0, len(tasks), RELATED_AT_ONCE):
        index = np.arange(i, min(i + RELATED_AT_ONCE, len(tasks)))
        rows, y = episodes.draw(index, N_MEMORY_ROWS, 1, rng).to(device).rows()
        yield network.adapt(Rows(*(part.double() for part in rows)), y)


def _episodes_of(state, tasks):
    return prepared(map_features(tasks, state), state)


def _new_names(names, known):
    """Names (n_tasks,) of tasks that are added to those of the names ``known``."""
    if names == list(range(len(names))):  # tasks without names
        names = range(len(known), len(known) + len(names))
    taken = set(known).intersection(names)
    if taken:
        raise ValueError(
            f"Tasks called {sorted(map(str, taken))[:5]} are in memory already. Pass "
            "the tasks to add with unique names, in a dict for example."
        )
    return np.fromiter(names, object, len(names))
