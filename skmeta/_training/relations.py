"""The memory of the meta-training tasks, and relations, after meta-training.

Two things are fitted, in this order: the similarity of task embeddings, on episodes of
the meta-training tasks; and the mixture weights, on episodes of validation tasks.
"""

import numpy as np
import torch

from .._episodes.sampler import log_uniform_sizes
from .._networks.learners.network import MetaNetwork
from .._networks.relations.memory import (
    MEMORY_CHUNK,
    RandomFeatureGP,
    TaskMemory,
    memory_of,
)
from .._networks.relations.relations import RelatedLearner, Relations
from .._utils.random import seeded
from .config import REGRESSION
from .initialization import prepared
from .mixture_weights import adapt_episodes, fit_weights_of
from .similarity import fit_similarity

BATCH_SIZE = 32
N_TRIAL_STEPS = 10

MAX_MEMORY = 1024
"""Maximum number of tasks, drawn of those in memory, that relations are fitted with."""

NOISE_RATIOS = (1.0, 0.1, 0.01)
"""Values of `RandomFeatureGP.noise_ratio`, one of which validation tasks select."""


def build_memory_and_relations(trained, split, config, previous):
    """Build the memory of the tasks, and fit relations where the network has them.

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
    relations_class = config.architecture.relations
    if relations_class is None and config.keeps_tasks:
        relations_class = Relations
    if relations_class is None:
        names, memory = build_memory(trained, split)
        return trained.network, names, memory.keys
    known = None if previous is None else previous.network.learner.gp
    gp = RandomFeatureGP.of(trained.init.learner, known, config.seed)
    learner = fit_relations(trained, relations_class, gp, split, config)
    names, memory = build_memory(trained, split, gp)
    network = MetaNetwork(trained.network.encoder, learner.with_memory(memory))
    return network.cpu(), names, memory.keys


def fit_relations(trained, relations_class, gp, split, config):
    """Fit relations to the tasks in memory.

    Parameters
    ----------
    trained : Trained
    relations_class : type
        `Relations` or a subclass.
    gp : RandomFeatureGP
        Its ``noise_ratio`` is selected.
    split : MetaSplit
    config : MetaConfig

    Returns
    -------
    learner : RelatedLearner
        With at most `MAX_MEMORY` of the tasks in its memory.
    """
    base, init, seed = trained.network, trained.init, config.seed
    classification = config.problem != REGRESSION
    n = len(split.memory_tasks)
    some = np.sort(np.random.default_rng(seed).permutation(n)[:MAX_MEMORY])
    position = np.full(n + 1, -1)  # the last is that of tasks not in the memory
    position[some] = np.arange(len(some))
    rng = np.random.default_rng(seed)
    training, validation = (
        EpisodeDraw(episodes, position[index], config, rng)
        for episodes, index in (
            (init.fitting_episodes, split.fitting_index),
            (init.val_episodes, split.val_index),
        )
    )
    adapted = adapt_episodes(base.to(config.device).eval(), validation)
    n_rows = len(validation.episodes) * config.n_query

    def related_network():
        """The network with relations that are not fitted yet."""
        with seeded(seed):
            relations = relations_class(base.encoder.embed_dim)
        _, memory = build_memory(trained, split, gp, some)
        learner = RelatedLearner(base.learner, gp, relations, memory, classification)
        network = MetaNetwork(base.encoder, learner)
        return network.to(config.device).eval().requires_grad_(False)

    def loss(noise_ratio):
        gp.noise_ratio.fill_(noise_ratio)
        return fit_weights_of(related_network().learner, adapted, n_rows, N_TRIAL_STEPS)

    if not classification:
        gp.noise_ratio.fill_(min(NOISE_RATIOS, key=loss))
    network = related_network()
    generator = torch.Generator().manual_seed(seed)
    fit_similarity(network, training, validation, generator)
    fit_weights_of(network.learner, adapted, n_rows)
    return network.learner


class EpisodeDraw:
    """Draws episodes of some tasks, whose positions in the memory are known."""

    batch_size = BATCH_SIZE

    def __init__(self, episodes, positions, config, rng):
        self.episodes, self.rng, self.device = episodes, rng, config.device
        self.positions = torch.from_numpy(positions).to(config.device)
        self.sizes, self.n_query = config.n_support, config.n_query

    def __call__(self, n_batches):
        """Yield batches of episodes, and the task (batch_size,) of each.

        Episodes with supports of similar size share a batch, which saves padding.
        """
        n = n_batches * BATCH_SIZE
        drawn = self.rng.integers(len(self.episodes), size=n)
        sizes = np.sort(log_uniform_sizes(*self.sizes, self.rng.random(n)))
        for i in range(0, n, BATCH_SIZE):
            tasks, size = drawn[i : i + BATCH_SIZE], sizes[i : i + BATCH_SIZE]
            batch = self.episodes.draw(tasks, size, self.n_query, self.rng)
            yield batch.to(self.device), torch.from_numpy(tasks).to(self.device)

    def whole(self, tasks, n_rows):
        """Rows and targets of tasks, at most ``n_rows`` + 1 of each."""
        batch = self.episodes.draw(tasks.cpu().numpy(), n_rows, 1, self.rng)
        return batch.to(self.device).rows()


def build_memory(trained, split, gp=None, some=None):
    """Names (n_tasks,) and memory of the meta-training tasks.

    Offsets of tasks that the pooled estimator was fitted to are out-of-fold. Network
    and GP are moved to the CPU.

    Parameters
    ----------
    trained : Trained
    split : MetaSplit
    gp : RandomFeatureGP, optional
        Without it functions are not kept.
    some : ndarray of int, optional
        Sorted positions of the tasks; all by default.
    """
    for module in (trained.network, gp):
        if module is not None:
            module.cpu()
    some = np.arange(len(split.memory_tasks)) if some is None else some
    names, memories, order = [], [], []
    for positions, episodes, index in _episodes_of(trained.init, split, some):
        if len(index):
            names += [episodes.tasks.names[i] for i in index]
            memories.append(memory_of(trained.network, gp, episodes, index))
            order.append(positions)
    order = np.argsort(np.concatenate(order))
    memory = TaskMemory.joined(memories).take(torch.from_numpy(order))
    return np.fromiter(names, object, len(names))[order], memory


def _episodes_of(init, split, some):
    """Yield positions in the memory, episodes, and the index of the tasks in these."""
    rest = some
    for positions, episodes in (
        (split.fitting_index, init.fitting_episodes),
        (split.val_index, init.val_episodes),
    ):
        index = np.flatnonzero(np.isin(positions, some))
        yield positions[index], episodes, index
        rest = np.setdiff1d(rest, positions)
    for chunk in np.split(rest, range(MEMORY_CHUNK, len(rest), MEMORY_CHUNK)):
        if len(chunk):
            episodes = prepared(split.memory_tasks.take(chunk), init)
            yield chunk, episodes, np.arange(len(chunk))
