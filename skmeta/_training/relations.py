"""Learn how tasks relate, once the base learner is meta-trained.

What a related task is worth cannot be judged on the tasks that the base learner was
trained on, where it needs no help. So attention between representations is taught by
the tasks themselves: to foresee, from a support, which of the others explain all rows
of the task. The few scalars that weigh it against evidence and against the base learner
are then fitted to the query loss of held-out tasks.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from .._episodes.batch import TaskBatch
from .._episodes.sampler import log_uniform_sizes
from .._networks.encoders.task_encoder import TaskEncoding
from .._networks.learners.losses import row_losses
from .._networks.learners.network import MetaNetwork
from .._networks.relations.memory import build_memory, random_feature_gp
from .._networks.relations.relations import HIDDEN, RelatedLearner, Relations, without
from .._networks.relations.weights import fit_scalars, settle, values
from .._preprocessing.scaling import ClassCodec
from .._utils.random import seeded

N_EPISODES, N_JUDGED = 2048, 512
N_SIMILARITY_STEPS, EVAL_EVERY = 300, 50
SIMILARITY_BATCH, DECODER_BATCH = 256, 32
N_DECODED = 64
"""Tasks remembered that a lesson of the decoder speaks of, at most."""

N_TRIAL_STEPS = 10
BATCH_SIZE, MAX_SCALAR_BATCHES = 32, 12
N_SCALAR_EPISODES = 20
"""Of each held-out task, that scalars are fitted to."""

MAX_MEMORY = 1024
"""Tasks, drawn of those remembered, that relations are learned with."""

MEMORY_NOISES = (1.0, 0.1, 0.01)
"""Choices of `RandomFeatureGP.remembered_noise`, of which held-out tasks take one."""

N_TARGET_ROWS = 64
"""Rows of a task that its relations are taught by, at most."""


def build_memory_and_relations(trained, split, config, previous):
    """Remember the tasks, and let the network share strength with them.

    Parameters
    ----------
    trained : Trained
    split : MetaSplit
    config : MetaConfig
    previous : MetaState or None

    Returns
    -------
    network : MetaNetwork
    names : ndarray of shape (n_tasks,)
    keys : tensor of shape (n_tasks, embed_dim)
    """
    kind = config.architecture.relations or (Relations if config.keeps_tasks else None)
    if kind is None:
        names, memory = build_memory(trained, split, None)
        return trained.network, names, memory.keys
    known = None if previous is None else previous.network.learner.process
    process = random_feature_gp(trained.init.learner, known, config.seed)
    learner = relate(trained, kind, process, split, config)
    names, memory = build_memory(trained, split, process)
    network = MetaNetwork(trained.network.encoder, learner.with_memory(memory))
    return network.cpu(), names, memory.keys


def relate(trained, kind, process, split, config):
    """Let the base learner of a meta-trained network share strength with past tasks.

    Parameters
    ----------
    trained : Trained
    kind : type
        `Relations`, or what is used in their place.
    process : RandomFeatureGP
        Its ``remembered_noise`` is selected.
    split : MetaSplit
    config : MetaConfig

    Returns
    -------
    learner : RelatedLearner
        With some of the tasks in memory, at most `MAX_MEMORY`.
    """
    seed, device = config.seed, config.device
    base, init = trained.network, trained.init
    n = len(split.memory_tasks)
    some = np.sort(np.random.default_rng(seed).permutation(n)[:MAX_MEMORY])
    place = np.full(n + 1, -1)  # its last is where places of -1 look
    place[some] = np.arange(len(some))
    of_classes = isinstance(init.targets, ClassCodec)
    rng = np.random.default_rng(seed)
    examples, validation = (
        _Draw(episodes, place[places], config, rng)
        for episodes, places in (
            (init.fitting_episodes, split.fitting_index),
            (init.val_episodes, split.val_index),
        )
    )
    adapted = _adapted(base.to(device).eval(), validation)
    n_rows = len(validation.episodes) * config.n_query

    def network():
        """A network whose relations are not learned yet."""
        with seeded(seed):
            relations = kind(base.encoder.embed_dim)
        _, memory = build_memory(trained, split, process, some)
        learner = RelatedLearner(base.learner, process, relations, memory, of_classes)
        related = MetaNetwork(base.encoder, learner)
        return related.to(device).eval().requires_grad_(False)

    def loss(noise):
        process.remembered_noise.fill_(noise)
        return _fit_scalars(network().learner, adapted, n_rows, N_TRIAL_STEPS)

    if not of_classes:
        process.remembered_noise.fill_(min(MEMORY_NOISES, key=loss))
    related = network()
    _learn_similarity(
        related, examples, validation, torch.Generator().manual_seed(seed)
    )
    _fit_scalars(related.learner, adapted, n_rows)
    return related.learner


class _Draw:
    """Draws episodes of some tasks, and knows their places in the memory."""

    def __init__(self, episodes, places, config, rng):
        self.episodes, self.places = (
            episodes,
            torch.from_numpy(places).to(config.device),
        )
        self.sizes = config.n_support
        self.n_query, self.rng, self.device = config.n_query, rng, config.device

    def __call__(self, n_batches):
        """Batches of episodes, and which task (batch_size,) each is of.

        Episodes with supports of like size share a batch, which pads them the less.
        """
        n = n_batches * BATCH_SIZE
        drawn = self.rng.integers(len(self.episodes), size=n)
        sizes = np.sort(log_uniform_sizes(*self.sizes, self.rng.random(n)))
        for i in range(0, n, BATCH_SIZE):
            tasks, size = drawn[i : i + BATCH_SIZE], sizes[i : i + BATCH_SIZE]
            batch = self.episodes.draw(tasks, size, self.n_query, self.rng)
            yield batch.to(self.device), torch.from_numpy(tasks).to(self.device)

    def whole(self, tasks):
        """All rows of tasks, and their targets."""
        batch = self.episodes.draw(tasks.cpu().numpy(), N_TARGET_ROWS, 1, self.rng)
        return batch.to(self.device).rows()


class _Adapted(NamedTuple):
    """Episodes that the base learner has adapted to, and predicted."""

    batch: TaskBatch
    place: torch.Tensor  # (BATCH_SIZE,) of the tasks in memory, or -1
    encoding: TaskEncoding
    base: Any
    predicted: Any


@torch.no_grad()
def _adapted(network, draw):
    """Batches of episodes, `_Adapted`, the more the more tasks they are drawn of."""
    n = math.ceil(N_SCALAR_EPISODES * len(draw.episodes) / BATCH_SIZE)
    found = []
    for batch, of in draw(min(n, MAX_SCALAR_BATCHES)):
        support, y = batch.support(), batch.y_support
        encoding = network.encoder(support, network.learner.targets(support, y))
        base = network.learner.adapt(support, y, encoding)
        predicted = network.learner.predict(base, batch.query())
        found.append(_Adapted(batch, draw.places[of], encoding, base, predicted))
    return found


class _Lessons(NamedTuple):
    """Encoded supports, each with the relations of its whole task."""

    encoding: TaskEncoding
    relations: torch.Tensor  # (n_lessons, n_meta_tasks) by the evidence of all rows
    own: torch.Tensor  # (n_lessons,) place of the task in memory, or -1

    def take(self, index):
        """The lessons at ``index``."""
        encoding = (None if part is None else part[index] for part in self.encoding)
        return _Lessons(TaskEncoding(*encoding), self.relations[index], self.own[index])


@torch.no_grad()
def _lessons(network, draw, n_episodes):
    """Draw `_Lessons` of some tasks."""
    learner, encodings, which = network.learner, [], []
    for batch, of in draw(n_episodes // BATCH_SIZE):
        support = batch.support()
        target = learner.targets(support, batch.y_support)
        encodings.append(network.encoder(support, target))
        which.append(of)
    seen, which = torch.cat(which).unique(return_inverse=True)
    relations = []
    for i in range(0, len(seen), BATCH_SIZE):
        whole = draw.whole(seen[i : i + BATCH_SIZE])
        relations.append(learner.evidence_of_all(*whole))
    own = draw.places[seen]
    relations = without(torch.cat(relations), own).softmax(1).float()
    return _Lessons(_joined(encodings), relations[which], own[which])


def _joined(encodings):
    """The encodings of all batches as one, tokens padded by hidden ones."""
    task, columns, tokens, log_weight = zip(*encodings, strict=True)
    if tokens[0] is None:
        return TaskEncoding(torch.cat(task), torch.cat(columns))
    longest = max(t.shape[1] for t in tokens)
    tokens = [F.pad(t, (0, 0, 0, longest - t.shape[1])) for t in tokens]
    hidden = [F.pad(w, (0, longest - w.shape[1]), value=-np.inf) for w in log_weight]
    return TaskEncoding(*map(torch.cat, (task, columns, tokens, hidden)))


def _learn_similarity(network, examples, validation, generator):
    """Teach attention between representations to foresee relations by evidence."""
    relations, keys = network.learner.relations, network.learner.memory.keys
    lessons = _lessons(network, examples, N_EPISODES)
    judged = _lessons(network, validation, N_JUDGED)

    def foresight(lessons):
        similarity = relations.similarity(lessons.encoding.task, keys)
        foreseen = without(similarity, lessons.own).log_softmax(1)
        return -(lessons.relations * foreseen).sum(1).mean()

    parameters = [*relations.query.parameters(), *relations.key.parameters()]
    _teach(parameters, foresight, lessons, judged, SIMILARITY_BATCH, generator)
    parameters = relations.decoder_parameters()
    if not parameters:
        return

    def decoded_foresight(lessons):
        """Of some of the tasks remembered, each lesson of a batch of others."""
        same = torch.Generator().manual_seed(0)  # for every batch
        index = torch.rand(lessons.relations.shape, generator=same)
        index = index.topk(min(N_DECODED, index.shape[1]), 1).indices.to(keys.device)
        own = (index == lessons.own[:, None]).nonzero()
        similarity = relations.similarity(lessons.encoding.task, keys)
        similarity = relations.decode(
            similarity.gather(1, index), lessons.encoding, keys[index]
        )
        similarity[own[:, 0], own[:, 1]] = HIDDEN
        taught = lessons.relations.gather(1, index)
        taught = taught / taught.sum(1, keepdim=True).clamp(min=1e-12)
        return -(taught * similarity.log_softmax(1)).sum(1).mean()

    _teach(parameters, decoded_foresight, lessons, judged, DECODER_BATCH, generator)


def _teach(parameters, foresight, lessons, judged, batch_size, generator):
    """Minimise what is not foreseen; leave the values that judged lessons favour."""
    for p in parameters:
        p.requires_grad_(True)
    optimizer = torch.optim.AdamW(parameters, lr=3e-3)
    lowest, best = np.inf, values(parameters)
    for step in range(N_SIMILARITY_STEPS + 1):
        if step % EVAL_EVERY == 0:
            with torch.no_grad():
                loss = float(foresight(judged))
            if loss < lowest:
                lowest, best = loss, values(parameters)
        at = torch.randint(len(lessons.own), (batch_size,), generator=generator)
        loss = foresight(lessons.take(at.to(lessons.own.device)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    settle(parameters, best)


def _fit_scalars(learner, adapted, n_rows, n_steps=None):
    """Fit what weighs relations and base learner to the loss of held-out tasks.

    Parameters
    ----------
    learner : RelatedLearner
    adapted : list of _Adapted
    n_rows, n_steps : as of `fit_scalars`

    Returns
    -------
    loss : float
        The least.
    """
    with torch.no_grad():
        recalled = [
            (one, learner.lookup(one.batch.support(), one.batch.y_support,
                                 one.encoding, one.place, one.base))
            for one in adapted
        ]  # fmt: skip

    def query_loss(one, found):
        batch, related = one.batch, learner.relate(found)
        prediction = learner.predict(related, batch.query(), one.predicted)
        losses = row_losses(prediction, batch.y_query) * batch.weight_query
        return losses.sum() / batch.weight_query.sum() / len(recalled)

    return fit_scalars(learner.relations, recalled, query_loss, n_rows, n_steps)
