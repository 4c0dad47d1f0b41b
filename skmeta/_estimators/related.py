"""What a meta-learner whose tasks borrow from each other says of relations."""

from dataclasses import replace

import numpy as np
import torch

from .._episodes.batch import Rows
from .._episodes.sampler import prepared
from .._networks.nway.similarity import (
    draw_memory_rows,
    embed_tasks,
    similar_tasks,
)
from .._networks.relations.memory import N_MEMORY_ROWS, TaskMemory, memory_of
from .._preprocessing.task_mapping import map_features
from .._training.config import NWAY
from ..tasks import TaskDistribution, check_tasks
from ..tasks._argument_checks import takes_tasks
from ..tasks._column_names import check_learned
from .classifier import MetaClassifier
from .regressor import MetaRegressor

TASKS_AT_ONCE, RELATED_AT_ONCE = 256, 32


class RelatedTasks:
    """A meta-learner that knows how a task relates to those remembered."""

    @takes_tasks
    def add_tasks(self, tasks):
        """Remember more tasks, to borrow from; nothing else is learned.

        State change: *meta-fitted* or *adapted* -> *meta-fitted*. Clones that share
        the earlier state keep it.

        Parameters
        ----------
        tasks : TaskCollection, list of (X, y), dict or lazy sequence
            With the columns of the meta-training tasks, and no other classes unless
            labels are task-specific. Tasks without a name are numbered on from those
            remembered.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If a task is not valid, or has the name of one remembered; nothing is
            changed.
        """
        state, tasks = self._check_meta_fitted(), self._like_those_known(tasks)
        memories, names = [_memory(state)], []
        with state.running():
            for some in self._chunks(tasks):
                memories.append(_memory_of(state, some))
                names += some.names
        names = _numbered_on(names, state.task_names)
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
        """How sure it is that the task adapted to is like one seen, from 0 to 1."""
        return max(0.0, float(-torch.expm1(self._related().log_relation[0, -1])))

    @takes_tasks
    def relations(self, tasks):
        """Relations of whole tasks to those of meta-training.

        State change: none.

        Parameters
        ----------
        tasks : TaskCollection, list of (X, y), dict or lazy sequence

        Returns
        -------
        relations : ndarray of shape (n_tasks, n_meta_tasks)
            In the order of ``task_names_``. Rows sum to at most 1; the rest is on no
            task. Of a task, at most 65 rows drawn at random are used; with
            task-specific labels, at most four rows of each of 16 classes. A task of
            meta-training is related to itself; with a pooled estimator, which has seen
            its rows, less surely than a new task is.
        """
        state = self._check_meta_fitted().on(self._usable_device())
        tasks = self._like_those_known(tasks)
        with state.running():
            found = [
                self._relations(related)
                for some in self._chunks(tasks)
                for related in _related_to(state, some)
            ]
        return np.concatenate(found)

    def _like_those_known(self, tasks):
        """Tasks with an end, that have the columns of those of meta-training."""
        tasks = check_tasks(tasks)
        if isinstance(tasks, TaskDistribution):
            raise TypeError(
                "A task distribution has no end, and cannot be related or remembered. "
                "Draw tasks from it by sample(n_tasks, random_state), and give these."
            )
        check_learned(tasks._schema, self.meta_state_, self)
        return tasks

    def _chunks(self, tasks):
        """Chunks of tasks, their rows and labels checked."""
        state = self._check_meta_fitted()
        for i in range(0, len(tasks), TASKS_AT_ONCE):
            some = tasks.take(np.arange(i, min(i + TASKS_AT_ONCE, len(tasks))))
            self._check_rows(some.X)
            y = self._check_target(some.y)
            state.for_task(y).targets.transform(y)  # refuses unknown labels
            yield some

    def _related(self):
        """Relations of the task adapted to, see `_relations`."""
        if not self.__sklearn_is_fitted__():
            self._check_meta_fitted()
        if not self._is_meta_fitted():
            raise AttributeError(
                f"This {type(self).__name__} was not meta-fitted and knows of no other "
                "task. Call meta_fit(tasks) first."
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
        """What each task gives to rows, (n_query, n_meta_tasks, n_outputs)."""
        X, adapted, related = self._query(X), self._adapted_task(), self._related()
        if adapted.state.problem == NWAY:  # other tasks do not enter predictions
            return np.zeros((len(X), len(self.task_names_), len(self.classes_)))
        given = adapted.contributions(X)
        all_given = np.zeros((len(given), len(self.task_names_), given.shape[2]))
        all_given[:, related.index[0].cpu().numpy()] = given
        return all_given


class RelatedRegressor(RelatedTasks, MetaRegressor):
    """A meta-learner of numbers whose tasks borrow from each other."""

    def contributions(self, X):
        """What each past task, and the support itself, gives to each prediction.

        State change: none.

        Parameters
        ----------
        X : array-like of shape (n_query, n_features)

        Returns
        -------
        contributions : ndarray of shape (n_query, n_meta_tasks + 1)
            In the order of ``task_names_``: the function of each task, by its relation.
            Last what the support adds to these, and what is predicted without them.
            Rows sum to what `predict` gives.
        """
        given, total = self._task_contributions(X)[..., 0], self.predict(X)
        targets = self._current_state().targets
        given *= targets.scale
        given += targets.inverse_transform(0.0) * self.task_relations_
        return np.column_stack([given, total - given.sum(1)])


class RelatedClassifier(RelatedTasks, MetaClassifier):
    """A meta-learner of classes whose tasks borrow from each other."""

    def contributions(self, X):
        """What each past task, and the support itself, gives to each prediction.

        State change: none.

        Parameters
        ----------
        X : array-like of shape (n_query, n_features)

        Returns
        -------
        contributions : ndarray of shape (n_query, n_meta_tasks + 1)
            In the order of ``task_names_``: what the latent functions of each task say
            of the probability of the second class, by its relation. Last what the
            support adds to these, and what is predicted without them. Rows sum to that
            probability. With more classes of shape (n_query, n_meta_tasks + 1,
            n_classes), summing to what `predict_proba` gives. With task-specific
            labels other tasks do not enter predictions, and contribute 0.
        """
        given, total = self._task_contributions(X), self.predict_proba(X)
        rest = total - given.sum(1)
        both = np.concatenate([given, rest[:, None]], 1)
        return both[..., 1] if len(self.classes_) == 2 else both


def _memory(state):
    """The `TaskMemory` of the meta-training tasks."""
    if state.problem == NWAY:
        return _embeddings_alone(state.task_embeddings)
    return state.network.learner.memory


def _embeddings_alone(embeddings):
    """A `TaskMemory` without functions, for task-specific labels."""
    return TaskMemory(torch.tensor(embeddings), torch.empty(len(embeddings), 0))


def _memory_of(state, tasks):
    """What is remembered of tasks."""
    learner = state.network.learner
    if state.problem == NWAY:
        return _embeddings_alone(embed_tasks(learner, state.rows, tasks)[0])
    episodes = _episodes_of(state, tasks)
    return memory_of(state.network, learner.gp, episodes, np.arange(len(tasks)))


def _related_to(state, tasks):
    """Relations by some rows of each task, a few tasks at once."""
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


def _numbered_on(names, known):
    """Names (n_tasks,) of tasks that come to those of the names ``known``."""
    if names == list(range(len(names))):  # they have none of their own
        names = range(len(known), len(known) + len(names))
    taken = set(known).intersection(names)
    if taken:
        raise ValueError(
            f"Tasks called {sorted(map(str, taken))[:5]} are remembered already. Give "
            "the tasks to add names of their own, as a dict does."
        )
    return np.fromiter(names, object, len(names))
