"""Stage 2: how a task relates to tasks in memory, and a prediction that uses it.

The function of a new task is that of task j in memory plus a small residual, or is
related to none of them:

    p(f) = sum_j p_j GP(f_j, k_local) + p_0 GP(base learner's prior).

The relation to task j is the posterior probability of j given the support: its prior,
from attention between the embeddings of the tasks, times the marginal likelihood of the
support under j. It sharpens as the support grows; without a support it is the prior.
"""

from typing import Any, NamedTuple

import torch
from torch import nn

from ..encoders.task_encoder import TaskEncoding
from ..learners.gp_prior import no_encoding
from ..learners.wrapper import LearnerWrapper, unwrap
from .likelihoods import CategoricalLikelihood, GaussianLikelihood, SupportResidual
from .memory import RowFeatures, TaskMemory

KEY_DIM = 32
MASKED = -1e30
"""Logit of a task in memory that a task must not be related to."""

MAX_CANDIDATES = 1024
"""Maximum number of tasks in memory, nearest by embedding, with their evidence."""


class SupportView(NamedTuple):
    """Features of B supports in the shared GP."""

    y: torch.Tensor  # (B, S)
    features: RowFeatures  # phi and linear 0 for padding
    weight: torch.Tensor  # (B, S)
    noise: torch.Tensor  # (B, 1) variance


class MemoryLookup(NamedTuple):
    """L candidates for each of B supports, independent of the mixture weights."""

    encoding: TaskEncoding
    base: Any  # the base learner, adapted
    null_evidence: torch.Tensor  # (B,)
    index: torch.Tensor  # (B, L) of the candidates in the memory
    similarity: torch.Tensor  # (B, L) logits, by embedding
    values: torch.Tensor  # (B, L, S, C) functions of the candidates at the support
    support: SupportView


class Related(NamedTuple):
    """A base learner adapted to B tasks, and the T tasks in memory related to each."""

    encoding: TaskEncoding
    base: Any
    log_relation: torch.Tensor  # (B, T + 1), the last to no task
    index: torch.Tensor  # (B, T) into the memory
    residual: Any  # posterior of the residual from each


class MixtureWeights(nn.Module):
    """Weights of similarity, evidence and base learner, and prior of the residual.

    Attributes
    ----------
    log_similarity_weight, log_evidence_weight : tensor of shape ()
    null_logit : tensor of shape ()
        Logit of being related to no task.
    log_residual_variance : tensor of shape (3,)
        Log variances of the residual: of the linear part, relative to the shared GP;
        of its coefficients, the same for each; and of the RBF part, relative to the
        shared GP.
    log_noise_ratio : tensor of shape ()
        Log noise variance about a related task, relative to the shared GP.
    """

    def __init__(self):
        super().__init__()
        self.log_similarity_weight = nn.Parameter(torch.tensor(-2.0))
        self.log_evidence_weight = nn.Parameter(torch.tensor(0.0))
        self.null_logit = nn.Parameter(torch.tensor(1.0))
        self.log_residual_variance = nn.Parameter(torch.tensor([-3.0, -3.0, -1.0]))
        self.log_noise_ratio = nn.Parameter(torch.tensor(0.0))


class Relations(nn.Module):
    """Similarity of tasks by attention between their embeddings, and its weight."""

    def __init__(self, embed_dim):
        super().__init__()
        self.query = nn.Linear(embed_dim, KEY_DIM)
        self.key = nn.Linear(embed_dim, KEY_DIM, bias=False)
        self.weights = MixtureWeights()

    def similarity(self, task, keys):
        """Logits by embedding alone, (B, n_tasks).

        q' (W k) is computed as (W' q)' k, since there may be many keys.
        """
        query = self.query(task) @ self.key.weight / KEY_DIM**0.5
        return query.to(keys) @ keys.T

    def decoder_parameters(self):
        """Parameters trained after the similarity: none without a decoder."""
        return []

    def decode(self, similarity, encoding, keys):
        """Refine logits (B, L) of tasks with the given ``keys`` (B, L, embed_dim)."""
        return similarity


class RelatedLearner(LearnerWrapper):
    """A base learner, and its mixture with the functions of tasks in memory.

    Parameters
    ----------
    base : module
        The base learner.
    gp : RandomFeatureGP
        Shared by all tasks.
    relations : Relations
    memory : TaskMemory
    classification : bool
    """

    def __init__(self, base, gp, relations, memory, classification):
        super().__init__(base)
        self.gp, self.relations = gp, relations
        self.memory, self.classification = memory, classification
        self.likelihood = (
            CategoricalLikelihood() if classification else GaussianLikelihood()
        )

    def _apply(self, fn, recurse=True):
        """Move to a device or dtype; the memory, which is large, keeps its dtype."""
        super()._apply(fn, recurse)
        device = self.relations.weights.null_logit.device
        self.memory = TaskMemory(*(part.to(device) for part in self.memory))
        return self

    def with_memory(self, memory):
        """The same learner with another memory; all else is shared."""
        parts = self.base, self.gp, self.relations
        return RelatedLearner(*parts, memory, self.classification)

    def adapt(self, support, y, encoding):
        """Adapt the base learner, and relate each task to those in memory.

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
        """Adapt the base learner, and look up candidates in the memory.

        Parameters
        ----------
        support, y, encoding : as of `adapt`
        exclude : tensor of int, shape (B,), optional
            A position in the memory for each task, which is masked; -1 for none.
        base : optional
            The base learner, where it has been adapted to the support already.

        Returns
        -------
        found : MemoryLookup
        """
        if base is None:
            base = self.base.adapt(support, y, encoding)
        weight = self.base.row_weight(base, support)  # outliers have less weight
        support = support._replace(weight=weight)
        view, memory = self.view(support, y), self.memory
        similarity = self.relations.similarity(encoding.task, memory.keys)
        similarity = mask(similarity, exclude)
        if similarity.shape[1] > MAX_CANDIDATES:
            similarity, index = similarity.topk(MAX_CANDIDATES, 1)
            memory = memory.take(index)
            keys = memory.keys
        else:
            index = torch.arange(similarity.shape[1], device=y.device)
            index = index.expand(similarity.shape)
            keys = memory.keys.expand(len(similarity), -1, -1)
        similarity = self.relations.decode(similarity, encoding, keys)
        values = view.features.values(memory.functions)
        null = self._null_evidence(base, view, support)
        return MemoryLookup(encoding, base, null, index, similarity, values, view)

    def relate(self, found):
        """Weigh the candidates, and condition on the support about the likeliest."""
        weights = self.relations.weights
        # p_j p(y | j), both factors tempered by their weight
        prior = weights.log_similarity_weight.exp() * found.similarity
        evidence_weight = weights.log_evidence_weight.double()
        evidence_weight = evidence_weight.clamp(max=self.likelihood.max_log_weight)
        evidence_weight = evidence_weight.exp()
        evidence = self.evidence(found.support, found.values)
        logits = prior.log_softmax(1).double() + evidence_weight * evidence
        null = weights.null_logit + evidence_weight * found.null_evidence
        total = logits.logsumexp(1, keepdim=True)
        n = min(self.likelihood.max_related, logits.shape[1])
        logits, chosen = logits.topk(n, 1)
        logits = logits.log_softmax(1) + total  # renormalised
        log_relation = torch.cat([logits, null[:, None]], 1).log_softmax(1)
        rows = chosen[:, :, None, None].expand(-1, -1, *found.values.shape[2:])
        residual = self.likelihood.condition(
            self._residual(found.support, found.values.gather(1, rows))
        )
        index = found.index.gather(1, chosen)
        return Related(found.encoding, found.base, log_relation, index, residual)

    def predict(self, adapted, query, base=None):
        """Prediction of the query rows by the mixture.

        ``base`` is the prediction of the base learner, where that is known already.
        """
        if base is None:
            base = self.base.predict(adapted.base, query)
        return self.likelihood.mixture(*self._query(adapted, query), base)

    def components(self, adapted, query, joint=False):
        """The distribution of the query rows' targets, ``joint`` with covariances."""
        base = self.base.components(adapted.base, query, joint)
        return self.likelihood.components(*self._query(adapted, query), base, joint)

    def contributions(self, adapted, query):
        """The functions of the related tasks, by their relations, (B, T, Q, C).

        On the scale of the prediction; the rest of it comes from the support.
        """
        _, log_relation, values, _ = self._query(adapted, query)
        share = log_relation[:, :-1, None, None].exp()
        return share * self.likelihood.response(values)

    def _query(self, adapted, query):
        """Inputs of a likelihood for query rows."""
        features = self.gp.features(query)
        values = features.values(self.memory.functions[adapted.index])
        local = self._local(features)
        return adapted.residual, adapted.log_relation, values, local

    def view(self, rows, y):
        """`SupportView` of rows and their targets."""
        phi, linear, mean = self.gp.features(rows)
        weight = rows.weight.double()
        present = (weight > 0)[..., None]
        features = RowFeatures(phi * present, linear * present, mean)
        return SupportView(y, features, weight, self.gp.noise(rows))

    def evidence(self, view, values):
        """Log marginal likelihood of supports under candidates, (B, L)."""
        return self.likelihood.evidence(self._residual(view, values))

    def evidence_of_all(self, rows, y):
        """Log marginal likelihood of rows under all tasks in memory, (B, n_tasks)."""
        view = self.view(rows, y)
        return self.evidence(view, view.features.values(self.memory.functions))

    def _residual(self, view, values):
        """`SupportResidual` of supports relative to candidates."""
        noise = view.noise * self.relations.weights.log_noise_ratio.double().exp()
        local = self._local(view.features)
        return SupportResidual(view.y, values, local, view.weight, noise)

    def _local(self, features):
        """Features of the residual, whose inner products are its covariance."""
        n, log_variance = self.gp.n_linear, self.relations.weights.log_residual_variance
        linear, each, rest = (0.5 * log_variance.double()).exp()
        phi = features.phi
        parts = phi[..., :n] * linear, phi[..., n:] * rest, features.linear * each
        return torch.cat(parts, -1)

    def _null_evidence(self, base, view, support):
        """Log marginal likelihood of the support if related to none, (B,)."""
        learner, adapted = unwrap(self.base, base)
        if not learner.has_prior:
            learner = self.gp.learner
            adapted = learner.adapt(support, view.y, no_encoding(learner, support))
        return self.likelihood.null_evidence(learner, adapted, view.weight)


def mask(logits, exclude):
    """Logits (B, n_tasks) with one position of each row masked; -1 for none."""
    if exclude is None:
        return logits
    position = torch.arange(logits.shape[1], device=logits.device)
    return logits.masked_fill(position == exclude[:, None], MASKED)
