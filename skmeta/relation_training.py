"""Learn how tasks relate, once the base learner is meta-trained.

What a related task is worth cannot be judged on the tasks that the base learner was
trained on, where it needs no help. So attention between representations is taught by
the tasks themselves: to foresee, from a support, which of the others explain all rows
of the task. The few scalars that weigh it against evidence and against the base learner
are then fitted to the query loss of held-out tasks.
"""

import numpy as np
import torch

from .base_learner import MetaNetwork, seeded
from .episodes import as_range, log_uniform_sizes
from .held_out import row_losses
from .scaling import LabelEncoder
from .task_relations import RelatedLearner, Relations, without

N_EPISODES, N_JUDGED = 2048, 512
N_SIMILARITY_STEPS, JUDGED_EVERY, SIMILARITY_BATCH = 300, 50, 256
N_SCALAR_STEPS, SCALAR_RATE, N_SCALAR_BATCHES = 30, 0.2, 12
BATCH_SIZE = 32
MAX_MEMORY = 1024
"""Tasks, drawn of those remembered, that relations are learned with."""

N_TAUGHT_ROWS = 64
"""Rows of a task that its relations are taught by, at most."""

UNRELATED = 1e9
"""Logit that lets no task be related."""


def relate(learned, process, memory, sources, settings, seed, device):
    """Let the base learner of a meta-trained network borrow from the tasks remembered.

    Parameters
    ----------
    learned : Learned
    process : SharedProcess
    memory : TaskMemory
    sources : Sources
    settings : dict
        The estimator's parameters.
    seed : int
    device : torch.device

    Returns
    -------
    network : MetaNetwork
    """
    encoder, start = learned.network.encoder, learned.start
    with seeded(seed):
        relations = Relations(encoder.embed_dim)
    n, rng = len(memory.keys), np.random.default_rng(seed)
    some = np.sort(rng.permutation(n)[:MAX_MEMORY])
    learner = RelatedLearner(
        learned.network.learner, process, relations, memory.take(some),
        isinstance(start.targets, LabelEncoder),
    )  # fmt: skip
    network = MetaNetwork(encoder, learner).to(device).eval().requires_grad_(False)
    place = np.full(n + 1, -1)  # its last is where places of -1 look
    place[some] = np.arange(len(some))
    draws = [
        _Draw(episodes, place[places], settings, rng, device)
        for episodes, places in (
            (start.examples, sources.example_places),
            (start.held_out, sources.held_out_places),
        )
    ]
    _learn_similarity(network, *draws, torch.Generator().manual_seed(seed))
    _fit_scalars(network, draws[1])
    return MetaNetwork(encoder, learner.remembering(memory)).cpu()


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


@torch.no_grad()
def _lessons(network, draw, n_episodes):
    """Representations of supports, each with the relations of its whole task.

    Returns
    -------
    task : tensor of shape (n_episodes, embed_dim)
    relations : tensor of shape (n_episodes, n_meta_tasks)
        By the evidence of all rows.
    own : tensor of int, shape (n_episodes,)
        The place of the task in memory, or -1.
    """
    learner, tasks, which = network.learner, [], []
    for _ in range(n_episodes // BATCH_SIZE):
        batch, of = draw()
        support = batch.support()
        target = learner.targets(support, batch.y_support)
        tasks.append(network.encoder(support, target).task)
        which.append(of)
    seen, which = torch.cat(which).unique(return_inverse=True)
    relations = []
    for i in range(0, len(seen), BATCH_SIZE):
        whole = draw.whole(seen[i : i + BATCH_SIZE])
        relations.append(learner.evidence_of_all(*whole))
    own = draw.places[seen]
    relations = without(torch.cat(relations), own).softmax(1).float()
    return torch.cat(tasks), relations[which], own[which]


def _learn_similarity(network, examples, held_out, generator):
    """Teach attention between representations to foresee relations by evidence."""
    relations, keys = network.learner.relations, network.learner.memory.keys
    lessons = _lessons(network, examples, N_EPISODES)
    judged = _lessons(network, held_out, N_JUDGED)

    def foresight(task, taught, own):
        foreseen = without(relations.similarity(task, keys), own).log_softmax(1)
        return -(taught * foreseen).sum(1).mean()

    parameters = [*relations.query.parameters(), *relations.key.parameters()]
    for p in parameters:
        p.requires_grad_(True)
    optimizer = torch.optim.AdamW(parameters, lr=3e-3)
    lowest, best = np.inf, _values(parameters)
    for step in range(N_SIMILARITY_STEPS + 1):
        if step % JUDGED_EVERY == 0:
            loss = float(foresight(*judged).detach())
            if loss < lowest:
                lowest, best = loss, _values(parameters)
        at = torch.randint(len(lessons[0]), (SIMILARITY_BATCH,), generator=generator)
        loss = foresight(*(part[at.to(part.device)] for part in lessons))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    _settle(parameters, best)


def _fit_scalars(network, draw):
    """Fit what weighs relations and base learner to the loss of held-out tasks."""
    learner = network.learner
    relations, parameters = learner.relations, learner.relations.scalars()
    recalled = []
    with torch.no_grad():
        for _ in range(N_SCALAR_BATCHES):
            batch, of = draw()
            support, y = batch.support(), batch.y_support
            encoding = network.encoder(support, learner.targets(support, y))
            found = learner.recall(support, y, encoding, draw.places[of])
            recalled.append((found, batch))

    def query_loss(found, batch):
        prediction = learner.predict(learner.relate(found), batch.query())
        losses = row_losses(prediction, batch.y_query) * batch.weight_query
        return losses.sum() / batch.weight_query.sum() / len(recalled)

    for p in parameters:
        p.requires_grad_(True)
    optimizer = torch.optim.Adam(parameters, lr=SCALAR_RATE)
    lowest, best = np.inf, _values(parameters)
    for _ in range(N_SCALAR_STEPS):
        optimizer.zero_grad()
        total = 0.0
        for found, batch in recalled:
            loss = query_loss(found, batch)
            loss.backward()
            total += float(loss.detach())
        if total < lowest:
            lowest, best = total, _values(parameters)
        optimizer.step()
    _settle(parameters, best)
    related = relations.none.clone()
    with torch.no_grad():
        relations.none.fill_(UNRELATED)
        if lowest < sum(float(query_loss(*one)) for one in recalled):
            relations.none.copy_(related)


def _values(parameters):
    return [p.detach().clone() for p in parameters]


def _settle(parameters, best):
    """Leave the best values in parameters that are not trained any more."""
    with torch.no_grad():
        for p, q in zip(parameters, best, strict=True):
            p.copy_(q)
            p.requires_grad_(False)
