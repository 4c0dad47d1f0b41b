"""Stage 2 where every task has classes of its own: what it borrows from others.

Tasks with other classes can still tell what matters: how much rows of one class differ,
and classes among themselves, in each feature. A new task is like a remembered task j in
these variances, or is none of them and has what its own encoding says:

    p(c | x) = p_0 p(c | x; learner) + sum_j p_j p(c | x; W_j, B_j).

The relation p_j is the posterior probability of j given the support, from attention
between the tasks' representations and from the marginal likelihood of the support's
rows and classes under W_j and B_j.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from ..._episodes.shared_rows import NWaySampler, select_role
from ..learners.losses import row_losses
from ..learners.predictive import Categorical
from ..learners.wrapper import LearnerWrapper
from ..relations.memory import TaskMemory
from ..relations.relations import without
from ..relations.weights import fit_scalars
from .encoder import ClassEncoding
from .network import ClassNetwork
from .plda import (
    ClassMeans,
    class_evidence,
    class_logits,
    class_means,
    class_scatter,
    one_hot,
    only_present,
)

REMEMBERED_WAY, REMEMBERED_SHOTS = (2, 16), 4
"""Classes of a task, and rows of each, that it is remembered by, at most."""

PRIOR_ROWS = 10.0
"""Rows that the variances which all tasks share are worth next to those of one task."""

MAX_CANDIDATES, MAX_RELATED = 64, 8
"""Remembered tasks, nearest by representation, whose evidence is looked at, and those
that are borrowed from."""

N_BATCHES, N_EPISODES, N_QUERY = 8, 16, 32


class ClassRecollection(NamedTuple):
    """What B supports meet in memory, whatever weighs it: L candidates for each."""

    base: Any  # the learner, adapted
    z: torch.Tensor  # (B, S, D)
    share: torch.Tensor  # (B, S, C)
    index: torch.Tensor  # (B, L) of the candidates
    similarity: torch.Tensor  # (B, L) by representation
    evidence: torch.Tensor  # (B, L) next to that under what all tasks share
    within: torch.Tensor  # (B, L, D)
    between: torch.Tensor  # (B, L, D)


class RelatedToClasses(NamedTuple):
    """A learner adapted to B tasks, and T remembered tasks that each is like."""

    encoding: ClassEncoding
    base: Any
    log_relation: torch.Tensor  # (B, T + 1), the last to no task
    index: torch.Tensor  # (B, T) into the memory
    within: torch.Tensor  # (B * T, D)
    means: ClassMeans  # of B * T tasks


class ClassRelations(nn.Module):
    """What weighs relations: logarithms of weights, and the logit of none."""

    def __init__(self):
        super().__init__()
        self.by_representation = nn.Parameter(torch.tensor(-2.0))
        self.by_evidence = nn.Parameter(torch.tensor(-1.0))
        self.none = nn.Parameter(torch.tensor(1.0))

    def scalars(self):
        """What is fitted to held-out tasks."""
        return [self.by_representation, self.by_evidence, self.none]


class RelatedClasses(LearnerWrapper):
    """A `ClassLearner` that borrows from the tasks remembered.

    Parameters
    ----------
    base : ClassLearner
    relations : ClassRelations
    memory : TaskMemory
        Its ``functions`` (n_tasks, 2, D) are logarithms of the variances within and
        between classes.
    """

    def __init__(self, base, relations, memory):
        super().__init__(base)
        self.relations, self.memory = relations, memory

    def _apply(self, fn, recurse=True):
        """Move to a device or type; the memory keeps its type."""
        super()._apply(fn, recurse)
        device = self.relations.none.device
        self.memory = TaskMemory(*(part.to(device) for part in self.memory))
        return self

    def with_memory(self, memory):
        """The same learner with other tasks remembered; all else is shared."""
        return RelatedClasses(self.base, self.relations, memory)

    def adapt(self, x, y, weight):
        """Adapt the learner, and relate each task to those remembered.

        Parameters are those of `ClassLearner.adapt`.
        """
        return self.relate(self.lookup(self.base.row_features(x), y, weight))

    def lookup(self, z, y, weight, exclude=None):
        """Adapt the learner to features (B, S, D), and look up what they meet.

        ``exclude`` (B,) is the place of each task in the memory, which it then does
        not see; -1 for a task that is not there.
        """
        base = self.base.adapt_features(z, y, weight)
        similarity = base.encoding.task @ self.memory.keys.to(z).T
        similarity = without(similarity / similarity.shape[1] ** 0.5, exclude)
        similarity, index = similarity.topk(min(MAX_CANDIDATES, similarity.shape[1]), 1)
        within, between = self.memory.functions[index].to(z).exp().unbind(2)
        share = one_hot(y, weight)
        scatter = class_scatter(z, share)
        evidence = class_evidence(scatter, within, between)
        shared = (p.exp()[None, None] for p in self._shared())
        evidence = evidence - class_evidence(scatter, *shared)
        return ClassRecollection(
            base, z, share, index, similarity, evidence, within, between
        )

    def relate(self, found):
        """Weigh what was recalled, and take the variances of what weighs most."""
        by_representation = self.relations.by_representation.exp()
        prior = (by_representation * found.similarity).log_softmax(1)
        logits = prior + self.relations.by_evidence.exp() * found.evidence
        none = self.relations.none.to(logits).expand(len(logits), 1)
        total = logits.logsumexp(1, keepdim=True)
        logits, chosen = logits.topk(min(MAX_RELATED, logits.shape[1]), 1)
        logits = logits.log_softmax(1) + total  # those chosen stand for the others
        log_relation = torch.cat([logits, none], 1).log_softmax(1)
        within, between = (
            v.gather(1, chosen[..., None].expand(-1, -1, v.shape[2])).flatten(0, 1)
            for v in (found.within, found.between)
        )
        t = chosen.shape[1]
        z, share = (v.repeat_interleave(t, 0) for v in (found.z, found.share))
        means = class_means(z, share, within, between)
        index = found.index.gather(1, chosen)
        base = found.base
        return RelatedToClasses(base.encoding, base, log_relation, index, within, means)

    def predict(self, adapted, query):
        """Logits of the classes at query rows, (B, Q, C)."""
        return self.predict_features(adapted, self.base.row_features(query.x))

    def by_base(self, base, z):
        """What the adapted learner says of rows (B, Q, D), without any task related.

        Logits by the rows of the support, and log probabilities, both (B, Q, C).
        """
        by_row = base.by_row(z)
        logits = self.base.predict_features(base, z, by_row).logits
        return by_row, logits.log_softmax(-1)

    def predict_features(self, adapted, z, by_base=None):
        """Logits of the classes of rows of features (B, Q, D).

        ``by_base`` is what `by_base` says of them, where that is known.
        """
        by_row, own = by_base or self.by_base(adapted.base, z)
        log_share = adapted.log_relation[..., None, None]
        both = torch.cat([self._related(adapted, z, by_row), own[:, None]], 1)
        return Categorical((both + log_share).logsumexp(1))

    def support_weights(self, adapted, query):
        """Probability of each support row's class, shared among its rows, (B, Q, S)."""
        z = self.base.row_features(query.x)
        probability = self.predict_features(adapted, z).logits.softmax(-1)
        return adapted.base.among_rows(probability, z)

    def contributions(self, adapted, query):
        """What each related task gives to the probabilities, (B, T, Q, C)."""
        z = self.base.row_features(query.x)
        related = self._related(adapted, z, adapted.base.by_row(z))
        return (related + adapted.log_relation[:, :-1, None, None]).exp()

    def _related(self, adapted, z, by_row):
        """Log probabilities (B, T, Q, C) under each related task.

        It tells the variances of the means; what rows say is the task's own.
        """
        base, t = adapted.base, adapted.index.shape[1]
        by_class = class_logits(
            adapted.means, z.repeat_interleave(t, 0), adapted.within
        )
        by_class = by_class.unflatten(0, (-1, t)).flatten(1, 2)
        logits = base.mixed(by_class, by_row.repeat(1, t, 1))
        return only_present(logits, base.means).log_softmax(-1).unflatten(1, (t, -1))

    def _shared(self):
        return self.base.log_within, self.base.log_between


@torch.no_grad()
def class_memory(learner, read, tasks, seed=0):
    """Remember tasks, each by some rows of some of its classes.

    Parameters
    ----------
    learner : ClassLearner
    read : callable
        ``read(X)`` gives the rows ``X`` (n_rows, ...) of a task as the learner takes
        them (`Rows`).
    tasks : TaskCollection
    seed : int

    Returns
    -------
    memory : TaskMemory
    """
    rng, parts = np.random.default_rng(seed), []
    for t in range(len(tasks)):
        rows, y = remembered_rows(tasks, t, rng)
        x = read(rows).x
        y, weight = torch.from_numpy(y)[None].to(x.device), x.new_ones(x.shape[:2])
        adapted = learner.adapt(x, y, weight)
        scatter = class_scatter(learner.row_features(x), one_hot(y, weight))
        functions = torch.stack(_variances(scatter, learner), 1)
        parts.append(TaskMemory(adapted.encoding.task.float(), functions.float()))
    return TaskMemory.joined(parts)


def remembered_rows(tasks, t, rng):
    """Some rows (n, ...) of task ``t``, and the codes (n,) of their classes."""
    task = tasks[t]
    _, code = np.unique(task.y, return_inverse=True)
    n_classes = code.max() + 1
    chosen = rng.permutation(n_classes)[: REMEMBERED_WAY[1]]
    at = [rng.permutation(np.flatnonzero(code == c))[:REMEMBERED_SHOTS] for c in chosen]
    y = np.repeat(np.arange(len(at)), [*map(len, at)])
    return task.X[np.concatenate(at)], y


def _variances(scatter, learner):
    """Logarithms of the variances (1, D) of a task, drawn towards those of all."""
    within, between = learner.log_within.exp(), learner.log_between.exp()
    count = scatter.count[..., None]
    n_classes = count.shape[1]
    found = scatter.square.sum(1) + PRIOR_ROWS * within
    found = found / (count.sum(1) - n_classes + PRIOR_ROWS)
    centre = scatter.average.mean(1, keepdim=True)
    apart = ((scatter.average - centre) ** 2).sum(1)
    apart = apart - (n_classes - 1) * found * (1 / count).mean(1)
    apart = apart.clamp(min=0) + PRIOR_ROWS * between
    return found.log(), (apart / (n_classes - 1 + PRIOR_ROWS)).log()


def remember_classes(state, system, sources, *, embeds, seed):
    """The same state, with the tasks of meta-training remembered.

    Parameters
    ----------
    state : MetaState
    system : System
        Relations are learned where it has any.
    sources : Sources
    embeds : bool
        Whether its tasks are rows that ``state`` embeds; else they are columns.
    seed : int

    Returns
    -------
    state : MetaState
    """
    read = state.rows if embeds else state.embedded_rows
    learner, tasks = state.network.learner, sources.memory_tasks
    chunks = [
        tasks.take(at)
        for at in np.array_split(np.arange(len(tasks)), -(-len(tasks) // 256))
    ]
    memory = TaskMemory.joined([class_memory(learner, read, c, seed) for c in chunks])
    names = [name for chunk in chunks for name in chunk.names]
    network = state.network
    if system.relations is not None:
        learner = RelatedClasses(learner, ClassRelations().to(memory.keys), memory)
        learner = learner.double()
        _learn_relations(learner, read, sources, seed)
        network = ClassNetwork(learner)
    return replace(
        state,
        network=network,
        task_names=np.fromiter(names, object, len(names)),
        task_embeddings=memory.keys.numpy(),
        task_attention=np.ones(len(names)),
    )


def _learn_relations(learner, read, sources, seed):
    """Fit what weighs relations to episodes of held-out tasks."""
    rng, episodes = np.random.default_rng(seed), []
    tasks = sources.val_tasks
    rows = torch.arange(len(tasks.y))
    pools = NWaySampler(tasks, rows, REMEMBERED_WAY, (1, 10), N_QUERY)
    with torch.no_grad():
        for _ in range(N_BATCHES):
            batch = pools.draw(N_EPISODES, rng)
            x = read(tasks.X[batch.x.flatten().numpy()]).x
            z = learner.base.row_features(x)[0].unflatten(0, batch.x.shape)
            weight, *support = select_role(batch.support.to(z), z, batch.y)
            place = torch.from_numpy(sources.val_index[batch.task.numpy()])
            support += weight, place.repeat_interleave(batch.support.shape[1])
            found = learner.lookup(*support)
            _, query = select_role(batch.query, z)
            by_base = learner.by_base(found.base, query)
            episodes.append((found, query, by_base, *batch.target()))

    def loss(found, query, by_base, y, weight):
        related = learner.relate(found)
        prediction = learner.predict_features(related, query, by_base)
        losses = row_losses(prediction, y) * weight
        return losses.sum() / weight.sum() / len(episodes)

    learner.requires_grad_(False)
    fit_scalars(learner.relations, episodes, loss, len(tasks) * N_QUERY)
