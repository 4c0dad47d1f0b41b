"""Attention between task embeddings, trained to predict how tasks are related.

The target is the relation of a whole task to those in memory, by the evidence of
all its rows; the input is the encoding of a small support. The loss is cross-entropy.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from .._networks.encoders.task_encoder import TaskEncoding
from .._networks.relations.relations import MASKED, mask
from .best_parameters import BestParameters

N_EPISODES, N_VALIDATION_EPISODES = 2048, 512
N_STEPS, EVAL_EVERY = 300, 50
RATE, SIMILARITY_BATCH, DECODER_BATCH = 3e-3, 256, 32
N_DECODED = 64
"""Maximum number of tasks in memory in a step of training the decoder."""

N_TARGET_ROWS = 64
"""Maximum number of rows of a task that its target is computed from."""


class SimilarityTargets(NamedTuple):
    """Encoded supports of n episodes, and the relations of their whole tasks."""

    encoding: TaskEncoding
    relations: torch.Tensor  # (n, n_tasks) by the evidence of all rows
    position: torch.Tensor  # (n,) of the episode's task in the memory, or -1

    def take(self, index):
        """The targets at ``index``."""
        encoding = (None if part is None else part[index] for part in self.encoding)
        rest = self.relations[index], self.position[index]
        return SimilarityTargets(TaskEncoding(*encoding), *rest)


def fit_similarity(network, training, validation, generator):
    """Train the similarity of a network with relations, then its decoder.

    Parameters
    ----------
    network : MetaNetwork
        Its learner is a `RelatedLearner`.
    training, validation : EpisodeDraw
    generator : torch.Generator
        Draws batches.
    """
    relations, keys = network.learner.relations, network.learner.memory.keys
    targets = similarity_targets(network, training, N_EPISODES)
    validation = similarity_targets(network, validation, N_VALIDATION_EPISODES)

    def loss(targets):
        logits = relations.similarity(targets.encoding.task, keys)
        return cross_entropy(mask(logits, targets.position), targets.relations)

    def decoder_loss(targets):
        """Loss over some of the tasks, drawn for each episode of the batch."""
        same = torch.Generator().manual_seed(0)  # for every batch
        index = torch.rand(targets.relations.shape, generator=same)
        index = index.topk(min(N_DECODED, index.shape[1]), 1).indices.to(keys.device)
        logits = relations.similarity(targets.encoding.task, keys).gather(1, index)
        logits = relations.decode(logits, targets.encoding, keys[index])
        logits = logits.masked_fill(index == targets.position[:, None], MASKED)
        some = targets.relations.gather(1, index)
        some = some / some.sum(1, keepdim=True).clamp(min=1e-12)
        return cross_entropy(logits, some)

    parameters = [*relations.query.parameters(), *relations.key.parameters()]
    _minimise(loss, parameters, targets, validation, SIMILARITY_BATCH, generator)
    if parameters := relations.decoder_parameters():
        _minimise(
            decoder_loss, parameters, targets, validation, DECODER_BATCH, generator
        )


def cross_entropy(logits, relations):
    """Mean cross-entropy of logits (n, n_tasks) to relations, which sum to 1."""
    return -(relations * logits.log_softmax(1)).sum(1).mean()


def _minimise(loss, parameters, targets, validation, batch_size, generator):
    """Minimise a loss on batches; keep the parameters with the best on validation."""
    best = BestParameters(parameters)
    optimizer = torch.optim.AdamW(best.parameters, lr=RATE)
    for step in range(N_STEPS + 1):
        if step % EVAL_EVERY == 0:
            with torch.no_grad():
                best.update(float(loss(validation)))
        index = torch.randint(len(targets.position), (batch_size,), generator=generator)
        batch = targets.take(index.to(targets.position.device))
        optimizer.zero_grad()
        loss(batch).backward()
        optimizer.step()
    best.restore()


@torch.no_grad()
def similarity_targets(network, draw, n_episodes):
    """Draw `SimilarityTargets` of some tasks."""
    learner, encodings, which = network.learner, [], []
    for batch, tasks in draw(n_episodes // draw.batch_size):
        support = batch.support()
        target = learner.targets(support, batch.y_support)
        encodings.append(network.encoder(support, target))
        which.append(tasks)
    tasks, which = torch.cat(which).unique(return_inverse=True)
    evidence = [
        learner.evidence_of_all(*draw.whole(some, N_TARGET_ROWS))
        for some in tasks.split(draw.batch_size)
    ]
    position = draw.positions[tasks]
    relations = mask(torch.cat(evidence), position).softmax(1).float()
    encoding = concatenate(encodings)
    return SimilarityTargets(encoding, relations[which], position[which])


def concatenate(encodings):
    """The encodings of all batches as one, their tokens padded."""
    task, columns, tokens, log_weight = zip(*encodings, strict=True)
    if tokens[0] is None:
        return TaskEncoding(torch.cat(task), torch.cat(columns))
    longest = max(t.shape[1] for t in tokens)
    tokens = [F.pad(t, (0, 0, 0, longest - t.shape[1])) for t in tokens]
    padded = [F.pad(w, (0, longest - w.shape[1]), value=-np.inf) for w in log_weight]
    return TaskEncoding(*map(torch.cat, (task, columns, tokens, padded)))
