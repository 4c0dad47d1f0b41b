"""System 2: tasks that borrow from each other.

Self-attention among the rows of a task gives its representation. The relation of a new
task to every task of meta-training comes from attention between their representations
and from the evidence of its rows, and what is known of related tasks improves the base
learner by their relation.
"""

from dataclasses import replace

import numpy as np
import torch

from ._docstrings import documented
from .base import single_thread
from .base_learner import MetaNetwork
from .episodes import prepared
from .predictors import MetaClassifier, MetaRegressor
from .task_encoder import Rows, SelfAttentionPooling
from .task_memory import N_REMEMBERED_ROWS, TaskMemory, memory_of
from .task_relations import Related
from .tasks import SampledTasks, check_tasks

TASKS_AT_ONCE, RELATED_AT_ONCE = 256, 32


class _SelfAttentionSystem:
    _make_encoder = staticmethod(SelfAttentionPooling)
    _relates = True

    def add_tasks(self, tasks):
        """Remember more tasks, to borrow from; nothing else is learned.

        State change: *meta-fitted* or *adapted* -> *meta-fitted*. Clones that share
        the earlier state keep it.

        Parameters
        ----------
        tasks : TaskCollection, list of (X, y), dict or lazy sequence
            With the columns of the meta-training tasks, and no other classes. Tasks
            without a name are numbered on from those remembered.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If a task is not valid, or has the name of one remembered; nothing is
            changed.
        """
        state, tasks = self._check_meta_fitted(), check_tasks(tasks)
        learner = state.network.learner
        memories, names = [learner.memory], []
        with single_thread():
            for some, episodes in self._episodes_of(tasks):
                index = np.arange(len(some))
                memories.append(
                    memory_of(state.network, learner.process, episodes, index)
                )
                names += some.names
        names = _numbered_on(names, state.task_names)
        memory = TaskMemory.joined(memories)
        attention = np.ones(len(memory.keys))
        attention[: len(state.task_attention)] = state.task_attention
        self._forget()
        self._take_over(
            replace(
                state,
                network=MetaNetwork(state.network.encoder, learner.remembering(memory)),
                task_names=np.concatenate([state.task_names, names]),
                task_embeddings=memory.keys.numpy(),
                task_attention=attention / attention.mean(),
                tasks=(*state.tasks, tasks) if state.tasks else (),
            )
        )
        return self

    @property
    def task_relations_(self):
        """Relations of the task adapted to, (n_meta_tasks,), summing to at most 1."""
        adapted = self._related()
        return self._relations(adapted)[0]

    @property
    def familiarity_(self):
        """How sure it is that the task adapted to is like one seen, from 0 to 1."""
        adapted = self._related()
        return max(0.0, float(-torch.expm1(adapted.log_relation[0, -1])))

    @torch.no_grad()
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
            task. Of a task, 65 rows drawn at random are looked at, at most. One of
            meta-training is related to itself; with a pooled estimator, which has seen
            its rows, less surely than a new task is.
        """
        network, found = self._network(self._check_meta_fitted()), []
        tasks = check_tasks(tasks)
        device = next(network.parameters()).device
        with single_thread():
            for some, episodes in self._episodes_of(tasks):
                rng = np.random.default_rng(0)
                for i in range(0, len(some), RELATED_AT_ONCE):
                    index = np.arange(i, min(i + RELATED_AT_ONCE, len(some)))
                    batch = episodes.draw(index, N_REMEMBERED_ROWS, 1, rng)
                    rows, y = batch.to(device).rows()
                    rows = Rows(*(part.double() for part in rows))
                    found.append(self._relations(network.adapt(rows, y)))
        return np.concatenate(found)

    def _episodes_of(self, tasks):
        """Chunks of tasks like those of meta-training, and their episodes."""
        state = self._check_meta_fitted()
        if isinstance(tasks, SampledTasks):
            raise TypeError(
                "A task distribution has no end, and cannot be related or remembered. "
                "Draw tasks from it by sample(n_tasks, random_state), and give these."
            )
        for i in range(0, len(tasks), TASKS_AT_ONCE):
            some = tasks.take(np.arange(i, min(i + TASKS_AT_ONCE, len(tasks))))
            known, given = state.feature_names, some.feature_names
            if known is not None and given is not None and known != given:
                raise ValueError(
                    f"The tasks have the columns {list(given)}, those of meta-training "
                    f"{list(known)}. Give the same columns, in the same order."
                )
            self._check_rows(some.X)
            state.targets.transform(self._check_target(some.y))
            yield some, prepared(some, state)

    def _related(self):
        """The adaptation, which meta-training alone lets know of other tasks."""
        if not hasattr(self, "_support"):
            self._check_meta_fitted()
        _, adapted = self._adaptation()
        if not isinstance(adapted, Related):
            raise AttributeError(
                f"This {type(self).__name__} was not meta-fitted and knows of no other "
                "task. Call meta_fit(tasks) first."
            )
        return adapted

    def _relations(self, adapted):
        """Relations (B, n_meta_tasks) of B tasks adapted to."""
        relations = np.zeros((len(adapted.index), len(self.task_names_)))
        share = adapted.log_relation[:, :-1].exp().cpu().numpy()
        np.put_along_axis(relations, adapted.index.cpu().numpy(), share, 1)
        return relations

    def _borrowed(self, X):
        """What each task gives to rows, (n_query, n_meta_tasks, n_outputs)."""
        index = self._related().index[0].cpu().numpy()
        (given,) = self._per_query(
            X, lambda m, a, rows: (m.contributions(a, rows).transpose(1, 2),)
        )
        all_given = np.zeros((len(given), len(self.task_names_), given.shape[2]))
        all_given[:, index] = given
        return all_given


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


@documented
class SelfAttentionMetaRegressor(_SelfAttentionSystem, MetaRegressor):
    """Self-attention meta-learner for regression tasks that borrow from each other.

    A task's function is one that resembles a task j of meta-training, or is none of
    these and drawn from the process that an `AttentionMetaRegressor` has:

        p(f) = sum_j p_j N(f_j, K_local) + p_0 N(m(z), K(z)).

    Here z is the task's representation, by self-attention among its rows; f_j is the
    function of task j, kept as weights of features that all tasks share; and the
    relation p_j is the posterior probability of j, from attention between the
    representations and from the marginal likelihood of the support under j. What
    weighs these is fitted to held-out tasks, and relations are let go of altogether
    where these fare no better with them.

    {parameters}

    Attributes
    ----------
    {attributes}
    {relations}

    See Also
    --------
    SelfAttentionMetaClassifier : The same for classes.
    AttentionMetaRegressor : Learns each task on its own.

    Notes
    -----
    A task of low ``familiarity_`` is predicted by the process alone, and more of its
    rows are worth labelling than of others; one that stays at 0 with many rows is of a
    kind not seen, and belongs into the next `meta_fit` or into `add_tasks`.

    References
    ----------
    .. [1] Lee et al. (2019). Set Transformer. ICML. (Self-attention among rows, eq. 8;
       attention pooling, eq. 11.)
    .. [2] Vinyals et al. (2016). Matching networks for one shot learning. NeurIPS.
       (Attention to a memory, eq. 1; here over tasks in place of rows.)
    .. [3] Rahimi, Recht (2007). Random features for large-scale kernel machines.
       NeurIPS. (The features of the functions, algorithm 1.)

    Examples
    --------
    >>> from skmeta import SelfAttentionMetaRegressor
    >>> from skmeta.datasets import make_linear_tasks
    >>> tasks = make_linear_tasks(40, n_features=2, random_state=0)
    >>> learner = SelfAttentionMetaRegressor(
    ...     pooled_estimator=None, max_epochs=2, random_state=0
    ... )
    >>> learner = learner.meta_fit(tasks[:30])
    >>> new = tasks[30]
    >>> learner = learner.fit(new.X[:5], new.y[:5])
    >>> learner.task_relations_.shape, learner.contributions(new.X).shape
    ((30,), (40, 31))
    """

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
        given, total = self._borrowed(X)[..., 0], self.predict(X)
        targets = self._current_state().targets
        given *= targets.scale
        given += targets.mean * self.task_relations_
        return np.column_stack([given, total - given.sum(1)])


@documented
class SelfAttentionMetaClassifier(_SelfAttentionSystem, MetaClassifier):
    """Self-attention meta-learner for classification tasks that borrow from each other.

    As `SelfAttentionMetaRegressor`, with a latent function for every class: a task's
    latents resemble those of a task of meta-training, by its relation, or are drawn
    from the process that an `AttentionMetaClassifier` has. The likelihood of the
    support under a task is taken row by row, and the departure from it by a Laplace
    approximation. A label means the same in every task.

    {parameters}

    Attributes
    ----------
    {attributes}
    classes_ : ndarray of shape (n_classes,)
        Of the meta-training tasks.
    {relations}

    See Also
    --------
    SelfAttentionMetaRegressor : The same for numbers.
    AttentionMetaClassifier : Learns each task on its own.

    Notes
    -----
    What to do about a task of low ``familiarity_`` is said at
    `SelfAttentionMetaRegressor`.

    References
    ----------
    .. [1] Lee et al. (2019). Set Transformer. ICML. (Self-attention among rows, eq. 8;
       attention pooling, eq. 11.)
    .. [2] MacKay (1992). The evidence framework applied to classification networks.
       Neural Computation. (The likelihood of a row with an uncertain latent, eq. 10.)

    Examples
    --------
    >>> from skmeta import SelfAttentionMetaClassifier
    >>> from skmeta.datasets import make_classification_tasks
    >>> tasks = make_classification_tasks(40, n_features=2, random_state=0)
    >>> learner = SelfAttentionMetaClassifier(
    ...     pooled_estimator=None, max_epochs=2, random_state=0
    ... )
    >>> learner = learner.meta_fit(tasks[:30])
    >>> new = tasks[30]
    >>> learner = learner.fit(new.X[:5], new.y[:5])
    >>> learner.task_relations_.shape, learner.contributions(new.X).shape
    ((30,), (40, 31))
    """

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
            n_classes), summing to what `predict_proba` gives.
        """
        given, total = self._borrowed(X), self.predict_proba(X)
        rest = total - given.sum(1)
        both = np.concatenate([given, rest[:, None]], 1)
        return both[..., 1] if len(self.classes_) == 2 else both
