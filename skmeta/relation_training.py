"""Learn how tasks relate, once the base learner is meta-trained.

What a related task is worth cannot be judged on the tasks that the base learner was
trained on, where it needs no help. So attention between representations is taught by
the tasks themselves: to foresee, from a support, which of the others explain all rows
of the task. The few scalars that weigh it against evidence and against the base learner
are then fitted to the query loss of held-out tasks.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from .base_learner import seeded
from .episodes import as_range, log_uniform_sizes
from .held_out import row_losses
from .meta_network import MetaNetwork
from .scaling import LabelEncoder
from .task_encoder import TaskEncoding
from .task_memory import remember, shared_process
from .task_relations import HIDDEN, RelatedLearner, Relations, without

N_EPISODES, N_JUDGED = 2048, 512
N_SIMILARITY_STEPS, JUDGED_EVERY = 300, 50
SIMILARITY_BATCH, DECODER_BATCH = 256, 32
N_DECODED = 64
"""Tasks remembered that a lesson of the decoder speaks of, at most."""

N_SCALAR_STEPS, N_TRIAL_STEPS, SCALAR_RATE, N_SCALAR_BATCHES = 30, 10, 0.2, 12
BATCH_SIZE = 32
MAX_MEMORY = 1024
"""Tasks, drawn of those remembered, that relations are learned with."""

REMEMBERED_NOISES = (1.0, 0.1, 0.01)
"""Choices of `SharedProcess.remembered_noise`, of which held-out tasks take one."""

N_TAUGHT_ROWS = 64
"""Rows of a task that its relations are taught by, at most."""

UNRELATED = 1e9
"""Logit that lets no task be related."""


def remember_and_relate(
    learned, system, sources, settings, seed, device, previous, keeps_tasks
):
    """Remember the tasks, and let the network borrow from them where it is to.

    ``keeps_tasks``: rows may be borrowed from them; other arguments are those of
    `meta_train`.

    Returns
    -------
    network : MetaNetwork
    names : ndarray of shape (n_tasks,)
    keys : tensor of shape (n_tasks, embed_dim)
    """
    relations = system.relations or (Relations if keeps_tasks else None)
    if relations is None:
        names, memory = remember(learned, sources, None)
        return learned.network, names, memory.keys
    known = None if previous is None else previous.network.learner.process
    process = shared_process(learned.start.learner, known, seed)
    learner = relate(learned, relations, process, sources, settings, seed, device)
    names, memory = remember(learned, sources, process)
    network = MetaNetwork(learned.network.encoder, learner.remembering(memory))
    return network.cpu(), names, memory.keys


def relate(learned, kind, process, sources, settings, seed, device):
    """Let the base learner of a meta-trained network borrow from tasks remembered.

    Parameters
    ----------
    learned : Learned
    kind : type
        `Relations`, or what is used in their place.
    process : SharedProcess
        Its ``remembered_noise`` is chosen.
    sources : Sources
    settings : dict
        The estimator's parameters.
    seed : int
    device : torch.device

    Returns
    -------
    learner : RelatedLearner
        With some of the tasks remembered, at most `MAX_MEMORY`.
    """
    encoder, start = learned.network.encoder, learned.start
    n = len(sources.memory)
    some = np.sort(np.random.default_rng(seed).permutation(n)[:MAX_MEMORY])
    place = np.full(n + 1, -1)  # its last is where places of -1 look
    place[some] = np.arange(len(some))
    of_classes = isinstance(start.targets, LabelEncoder)

    def network():
        """A network whose relations are not learned yet."""
        with seeded(seed):
            relations = kind(encoder.embed_dim)
        _, memory = remember(learned, sources, process, some)
        learner = RelatedLearner(
            learned.network.learner, process, relations, memory, of_classes
        )
        return MetaNetwork(encoder, learner).to(device).eval().requires_grad_(False)

    def draws():
        """Of tasks learned from, and of held-out ones, each time the same."""
        rng = np.random.default_rng(seed)
        return [
            _Draw(episodes, place[places], settings, rng, device)
            for episodes, places in (
                (start.examples, sources.example_places),
                (start.held_out, sources.held_out_places),
            )
        ]

    def loss(noise):
        process.remembered_noise.fill_(noise)
        return _fit_scalars(network(), draws()[1], N_TRIAL_STEPS)

    if not of_classes:
        process.remembered_noise.fill_(min(REMEMBERED_NOISES, key=loss))
    related, (examples, held_out) = network(), draws()
    generator = torch.Generator().manual_seed(seed)
    _learn_similarity(related, examples, held_out, generator)
    _fit_scalars(related, held_out)
    return related.learner


class _Draw:
    """Draws episodes of some tasks, and knows their places in the memory."""

    def __init__(self, episodes, places, settings, rng, device):
        self.episodes, self.places = episodes, torch.from_numpy(places).to(device)
        self.sizes = as_range(settings["n_support"])
        self.n_query, self.rng, self.device = settings["n_query"], rng, device

    def __call__(self):
        """A batch of episodes, and which task (batch_size,) each is of."""
        tasks = self.rng.integers(len(self.episodes), size=BATCH_SIZE)
        sizes = log_uniform_sizes(*self.sizes, self.rng.random(BATCH_SIZE))
        batch = self.episodes.draw(tasks, sizes, self.n_query, self.rng)
        return batch.to(self.device), torch.from_numpy(tasks).to(self.device)

    def whole(self, tasks):
        """All rows of tasks, and their targets."""
        batch = self.episodes.draw(tasks.cpu().numpy(), N_TAUGHT_ROWS, 1, self.rng)
        return batch.to(self.device).rows()


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
    for _ in range(n_episodes // BATCH_SIZE):
        batch, of = draw()
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


def _learn_similarity(network, examples, held_out, generator):
    """Teach attention between representations to foresee relations by evidence."""
    relations, keys = network.learner.relations, network.learner.memory.keys
    lessons = _lessons(network, examples, N_EPISODES)
    judged = _lessons(network, held_out, N_JUDGED)

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
    lowest, best = np.inf, _values(parameters)
    for step in range(N_SIMILARITY_STEPS + 1):
        if step % JUDGED_EVERY == 0:
            with torch.no_grad():
                loss = float(foresight(judged))
            if loss < lowest:
                lowest, best = loss, _values(parameters)
        at = torch.randint(len(lessons.own), (batch_size,), generator=generator)
        loss = foresight(lessons.take(at.to(lessons.own.device)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    _settle(parameters, best)


def _fit_scalars(network, draw, n_steps=None):
    """Fit what weighs relations and base learner to the loss of held-out tasks.

    Returns
    -------
    loss : float
        The least.
    """
    learner, recalled = network.learner, []
    with torch.no_grad():
        for _ in range(N_SCALAR_BATCHES):
            batch, of = draw()
            support, y = batch.support(), batch.y_support
            encoding = network.encoder(support, learner.targets(support, y))
            found = learner.recall(support, y, encoding, draw.places[of])
            base = learner.base.predict(found.base, batch.query())
            recalled.append((found, base, batch))

    def query_loss(found, base, batch):
        prediction = learner.predict(learner.relate(found), batch.query(), base)
        losses = row_losses(prediction, batch.y_query) * batch.weight_query
        return losses.sum() / batch.weight_query.sum() / len(recalled)

    return fit_scalars(learner.relations, recalled, query_loss, n_steps)


def fit_scalars(relations, episodes, query_loss, n_steps=None):
    """Fit the scalars of relations; where nothing is gained, let no task be related.

    Parameters
    ----------
    relations : module
        Its ``scalars()`` are fitted; its logit ``none`` may let go of all relations.
    episodes : list
        Of what ``query_loss`` takes.
    query_loss : callable
        ``query_loss(*one)`` gives what one of the episodes adds to the loss.
    n_steps : int, optional
        By default `N_SCALAR_STEPS`.

    Returns
    -------
    loss : float
        The least.
    """
    parameters = relations.scalars()
    for p in parameters:
        p.requires_grad_(True)
    optimizer = torch.optim.Adam(parameters, lr=SCALAR_RATE)
    lowest, best = np.inf, _values(parameters)
    for _ in range(n_steps or N_SCALAR_STEPS):
        optimizer.zero_grad()
        total = 0.0
        for one in episodes:
            loss = query_loss(*one)
            loss.backward()
            total += float(loss.detach())
        if total < lowest:
            lowest, best = total, _values(parameters)
        optimizer.step()
    _settle(parameters, best)
    related = relations.none.clone()
    with torch.no_grad():
        relations.none.fill_(UNRELATED)
        alone = sum(float(query_loss(*one)) for one in episodes)
        if lowest < alone:
            relations.none.copy_(related)
    return min(lowest, alone)


def _values(parameters):
    return [p.detach().clone() for p in parameters]


def _settle(parameters, best):
    """Leave the best values in parameters that are not trained any more."""
    with torch.no_grad():
        for p, q in zip(parameters, best, strict=True):
            p.copy_(q)
            p.requires_grad_(False)
