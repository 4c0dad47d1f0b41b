"""Stage 2: how a task relates to those remembered, and what it borrows from them.

The function of a new task is that of a remembered task j and a small departure, or it
is none of these:

    p(f) = sum_j p_j N(f_j, K_local) + p_0 N(base learner's prior).

The relation to task j is the posterior probability of j given the support: the prior
from attention between the tasks' representations, times the marginal likelihood of the
support under j. It sharpens as the support grows, and is the prior without one.
"""

from typing import Any, NamedTuple

import torch
from torch import nn

from ..encoders.task_encoder import TaskEncoding
from ..learners.gp_prior import no_encoding
from ..learners.wrapper import LearnerWrapper, unwrap
from .likelihoods import CategoricalLikelihood, GaussianLikelihood
from .memory import TaskMemory

KEY_DIM = 32
HIDDEN = -1e30
"""Logit of a task that is not seen."""

MAX_CANDIDATES = 1024
"""Tasks, nearest by representation, whose evidence is looked at."""


class MemoryLookup(NamedTuple):
    """What B supports meet in memory, whatever weighs it: L candidates for each."""

    encoding: TaskEncoding
    base: Any  # the base learner, adapted
    evidence_of_none: torch.Tensor  # (B,)
    index: torch.Tensor  # (B, L) of the candidates
    similarity: torch.Tensor  # (B, L) by representation
    at_rows: torch.Tensor  # (B, L, S, C) their functions at the support
    support: "SupportView"


class SupportView(NamedTuple):
    """B supports, as the shared process sees them."""

    y: torch.Tensor  # (B, S)
    features: torch.Tensor  # (B, S, D), 0 where hidden
    columns: torch.Tensor  # (B, S, n_linear), 0 where hidden
    mean: torch.Tensor  # (B, S, C)
    weight: torch.Tensor  # (B, S)
    noise: torch.Tensor  # (B, 1) variance


class Related(NamedTuple):
    """A base learner adapted to B tasks, and what it borrows from T tasks for each."""

    encoding: TaskEncoding
    base: Any
    log_relation: torch.Tensor  # (B, T + 1), the last to no task
    index: torch.Tensor  # (B, T) into the memory
    departures: Any  # what the support says of the departures from each


class Relations(nn.Module):
    """Logits of a task's relations to those remembered, and how near related ones are.

    Attributes
    ----------
    by_representation, by_evidence : tensor of shape ()
        Logarithms of the weights of the two kinds of evidence.
    none : tensor of shape ()
        Logit of being related to none.
    local : tensor of shape (3,)
        Logarithms of the variances in which related tasks differ: of the linear part,
        relative to that of all tasks; of its coefficients, each alike; and of the RBF
        part, relative to that of all tasks.
    noise : tensor of shape ()
        Logarithm of the noise about a related task, relative to that of all tasks.
    """

    def __init__(self, embed_dim):
        super().__init__()
        self.query = nn.Linear(embed_dim, KEY_DIM)
        self.key = nn.Linear(embed_dim, KEY_DIM, bias=False)
        self.by_representation = nn.Parameter(torch.tensor(-2.0))
        self.by_evidence = nn.Parameter(torch.tensor(0.0))
        self.none = nn.Parameter(torch.tensor(1.0))
        self.local = nn.Parameter(torch.tensor([-3.0, -3.0, -1.0]))
        self.noise = nn.Parameter(torch.tensor(0.0))

    def scalars(self):
        """What is fitted to held-out tasks."""
        return [
            self.by_representation, self.by_evidence, self.none, self.local, self.noise
        ]  # fmt: skip

    def similarity(self, task, keys):
        """Logits by representation alone, (B, n_tasks).

        The keys, of which there may be many, are left as they are: q' (W k) is
        computed as (W' q)' k.
        """
        query = self.query(task) @ self.key.weight / KEY_DIM**0.5
        return query.to(keys) @ keys.T

    def decoder_parameters(self):
        """What is trained once the similarity is: here there is no decoder."""
        return []

    def decode(self, similarity, encoding, keys):
        """Refine logits (B, L) of tasks of the given ``keys`` (B, L, embed_dim)."""
        return similarity


class RelatedLearner(LearnerWrapper):
    """A base learner that borrows from the tasks remembered.

    Parameters
    ----------
    base : module
        The base learner.
    process : SharedProcess
    relations : Relations
    memory : TaskMemory
    classification : bool
    """

    def __init__(self, base, process, relations, memory, classification):
        super().__init__(base)
        self.process, self.relations = process, relations
        self.memory, self.classification = memory, classification
        self.likelihood = (
            CategoricalLikelihood() if classification else GaussianLikelihood()
        )

    def _apply(self, fn, recurse=True):
        """Move to a device or type; the memory, which is large, keeps its type."""
        super()._apply(fn, recurse)
        device = self.relations.none.device
        self.memory = TaskMemory(*(part.to(device) for part in self.memory))
        return self

    def with_memory(self, memory):
        """The same learner with other tasks remembered; all else is shared."""
        parts = self.base, self.process, self.relations
        return RelatedLearner(*parts, memory, self.classification)

    def adapt(self, support, y, encoding):
        """Adapt the base learner, and relate each task to those remembered.

        Parameters
        ----------
        support : Rows of B tasks with S rows
        y : tensor of shape (B, S)
        encoding : TaskEncoding

        Returns
        -------
        adapted : Related
        """
        return self.relate(self.lookup(support, y, encoding))

    def lookup(self, support, y, encoding, exclude=None, base=None):
        """Adapt the base learner, and look up what the support meets in memory.

        Parameters
        ----------
        support, y, encoding : as of `adapt`
        exclude : tensor of int, shape (B,), optional
            The place of each task in the memory, which it then does not see; -1 for
            a task that is not there.
        base : optional
            The base learner, where it has adapted to the support before.

        Returns
        -------
        found : Recollection
        """
        if base is None:
            base = self.base.adapt(support, y, encoding)
        # wild targets count for little here, too
        support = support._replace(weight=self.base.row_weight(base, support))
        view = self.view(support, y)
        similarity = self.relations.similarity(encoding.task, self.memory.keys)
        similarity = without(similarity, exclude)
        if similarity.shape[1] > MAX_CANDIDATES:
            index = similarity.topk(MAX_CANDIDATES, 1).indices
        else:
            place = torch.arange(similarity.shape[1], device=y.device)
            index = place.expand(len(similarity), -1)
        keys, similarity = self.memory.keys[index], similarity.gather(1, index)
        similarity = self.relations.decode(similarity, encoding, keys)
        at_rows = self._values(view.features, view.mean, index)
        none = self._evidence_of_none(base, view, support)
        return MemoryLookup(encoding, base, none, index, similarity, at_rows, view)

    def relate(self, found):
        """Weigh what was recalled, and depart from the tasks of most weight."""
        by_representation = self.relations.by_representation.exp()
        prior = (by_representation * found.similarity).log_softmax(1).double()
        by_evidence = self.relations.by_evidence.double()
        by_evidence = by_evidence.clamp(max=self.likelihood.max_log_weight).exp()
        evidence = self.evidence(found.support, found.at_rows)
        logits = prior + by_evidence * evidence
        none = self.relations.none + by_evidence * found.evidence_of_none
        n = min(self.likelihood.max_related, logits.shape[1])
        total = logits.logsumexp(1, keepdim=True)
        logits, chosen = logits.topk(n, 1)
        logits = logits.log_softmax(1) + total  # those chosen stand for the others
        log_relation = torch.cat([logits, none[:, None]], 1).log_softmax(1)
        rows = chosen[:, :, None, None].expand(-1, -1, *found.at_rows.shape[2:])
        departures = self.likelihood.depart(
            *self._local_support(found.support, found.at_rows.gather(1, rows))
        )
        index = found.index.gather(1, chosen)
        return Related(found.encoding, found.base, log_relation, index, departures)

    def predict(self, adapted, query, base=None):
        """Prediction of the query rows by the mixture.

        ``base`` is what the base learner predicts, where that is known.
        """
        if base is None:
            base = self.base.predict(adapted.base, query)
        return self.likelihood.mixture(*self._met(adapted, query), base)

    def components(self, adapted, query, joint=False):
        """The distribution of the query rows' targets, ``joint`` with covariances."""
        base = self.base.components(adapted.base, query, joint)
        return self.likelihood.components(*self._met(adapted, query), base, joint)

    def _met(self, adapted, query):
        """What a likelihood takes of query rows."""
        features, columns, mean = self.process.features(query)
        values = self._values(features, mean, adapted.index)
        local = self._local(features, columns)
        return adapted.departures, adapted.log_relation, values, local

    def contributions(self, adapted, query):
        """What the function of each task that it borrows from gives, (B, T, Q, C).

        Of the mean, or of the probabilities; the rest is of the support.
        """
        features, _, mean = self.process.features(query)
        values = self._values(features, mean, adapted.index)
        share = adapted.log_relation[:, :-1, None, None].exp()
        return share * self.likelihood.shares(values)

    def view(self, rows, y):
        """`SupportView` of rows and their targets."""
        features, columns, mean = self.process.features(rows)
        weight = rows.weight.double()
        there, noise = (weight > 0)[..., None], self.process.noise(rows)
        return SupportView(y, features * there, columns * there, mean, weight, noise)

    def evidence(self, view, at_rows):
        """Log marginal likelihood of supports under candidates, (B, L)."""
        return self.likelihood.evidence(*self._local_support(view, at_rows))

    def evidence_of_all(self, rows, y):
        """Log marginal likelihood of rows under all tasks remembered, (B, n_tasks)."""
        view = self.view(rows, y)
        everything = torch.arange(len(self.memory.keys), device=y.device)
        index = everything.expand(len(y), -1)
        return self.evidence(view, self._values(view.features, view.mean, index))

    def _local_support(self, view, at_rows):
        """What a likelihood takes of a support and candidates."""
        noise = view.noise * self.relations.noise.double().exp()
        return (
            view.y,
            at_rows,
            self._local(view.features, view.columns),
            view.weight,
            noise,
        )

    def _values(self, features, mean, index):
        """Functions (B, L, S, C) of remembered tasks at rows."""
        functions = self.memory.functions
        if index.stride(0) == 0:  # the same for every task: all of them
            values = torch.einsum("bsd,lcd->blsc", features, functions.to(features))
        else:
            functions = functions[index].to(features)
            values = torch.einsum("bsd,blcd->blsc", features, functions)
        return mean[:, None] + values

    def _local(self, features, columns):
        """Features of a departure from those of a function, and its columns."""
        n = self.process.n_linear
        linear, each, rest = (0.5 * self.relations.local.double()).exp()
        parts = features[..., :n] * linear, features[..., n:] * rest, columns * each
        return torch.cat(parts, -1)

    def _evidence_of_none(self, base, view, support):
        """Log marginal likelihood of the support if related to none, (B,)."""
        learner, adapted = unwrap(self.base, base)
        if not learner.has_prior:
            learner = self.process.learner
            adapted = learner.adapt(support, view.y, no_encoding(learner, support))
        return self.likelihood.evidence_of_none(learner, adapted, view.weight)


def without(logits, exclude):
    """Logits (B, n_tasks) with each task's own place hidden."""
    if exclude is None:
        return logits
    place = torch.arange(logits.shape[1], device=logits.device)
    return logits.masked_fill(place == exclude[:, None], HIDDEN)
