"""Meta-training: from tasks to a `MetaState`."""

import copy
import math
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from .._networks.learners.network import MetaNetwork, make_network
from .._networks.learners.wrapper import unwrap
from .._preprocessing.scaling import ClassCodec
from ..exceptions import NonFiniteLossError
from ..tasks import TaskDistribution
from .config import NWAY
from .empirical_bayes import draw_from_prior
from .expert_weights import (
    fit_expert_weights,
    score_experts,
    used_experts,
)
from .initialization import Initialization, initialize, prepared
from .kernel_shares import fit_kernel_shares
from .loop import EpisodeBatches, fit_network
from .nway.training import meta_train_nway
from .preprocessing import fit_preprocessing
from .relations import build_memory_and_relations
from .split import split_tasks
from .state import MetaState
from .task_selection import select_tasks
from .validation import interpolate_to_init, validation_batches, validation_losses

TASKS_PER_PATIENCE = 4
"""Number of training tasks for each epoch of patience: with few tasks meta-training
hardly ever improves on its initialisation."""

EVAL_EVERY = 4
"""Every n-th batch of validation episodes is used if evaluation is expensive."""

STRONG_EVIDENCE = 3.0
"""In nats: "strong" where 2 log B exceeds 6 (Kass and Raftery 1995, sec. 3.2)."""

PRIOR_TASKS, PRIOR_TASKS_OF_CLASSES = 15, 50
"""Number of pseudo-tasks sampled from the initial prior, mixed into training as a
regulariser: no network predicts their targets better than that prior."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network, its initialization, and the history of its training."""

    network: MetaNetwork
    init: Initialization
    history: list
    failure: NonFiniteLossError | None


def meta_train(tasks, validation_tasks, config, previous=None):
    """Meta-train on tasks.

    Parameters
    ----------
    tasks, validation_tasks : as returned by `check_tasks`, or None for the second
    config : MetaConfig
    previous : MetaState, optional
        State to continue from.

    Returns
    -------
    state : MetaState
    failure : NonFiniteLossError or None
        The error, if training diverged; the state is then the best until then.
    """
    rng = np.random.default_rng(config.seed)
    split = split_tasks(tasks, validation_tasks, config, rng)
    raw_validation = split.val_tasks.X, split.val_tasks.y
    preprocessing, split = fit_preprocessing(split, config, previous)
    if config.problem == NWAY:
        return meta_train_nway(split, preprocessing, config, previous, rng)
    if config.monitor is not None:
        config.monitor.rows = raw_validation
    init = initialize(split, config, previous)
    attention = np.ones(len(split.memory_tasks))
    if config.task_attention and previous is None:
        init, split, attention = select_tasks(init, split, config)
    trained = train_network(init, split, preprocessing, config, previous)
    network, names, keys = build_memory_and_relations(trained, split, config, previous)
    state = make_state(
        network,
        trained.init,
        preprocessing,
        config,
        task_names=names,
        task_embeddings=keys.numpy(),
        task_attention=attention,
        history=trained.history,
        tasks=(split.memory_tasks,) if config.keeps_tasks else (),
    )
    return state, trained.failure


def make_state(network, init, preprocessing, config, **learned):
    """The `MetaState` of a network and its initialization."""
    return MetaState(
        problem=config.problem,
        network=network.double(),  # `fit` would amplify rounding errors of float32
        parameters=config.structure,
        features=init.features,
        targets=init.targets,
        pooled=init.pooled,
        missing=preprocessing.missing,
        embedding=preprocessing.embedding,
        row_shape=preprocessing.row_shape,
        feature_names=preprocessing.feature_names,
        seen=preprocessing.seen,
        **learned,
    )


def train_network(init, split, preprocessing, config, previous=None):
    """Train a network from its initialization, and select how it adapts.

    Returns
    -------
    trained : Trained
    """
    rng = np.random.default_rng(config.seed)
    network = build_network(init, config, previous)
    stream = EpisodeStream(split, init, config.n_query, rng)
    settings = config.loop_settings(stream.n_tasks if init.learner.has_prior else None)
    batches = EpisodeBatches(
        stream, settings.steps_per_epoch, settings.batch_size, config.n_support, rng
    )
    validation = validation_batches(
        init.val_episodes, config.n_support, config.n_query, rng
    )
    if config.monitor is not None:
        config.monitor.state_of = lambda network: make_state(
            network.cpu(), init, preprocessing, config
        )
    n_val, device, failure = len(init.val_episodes), config.device, None
    n_train = len(init.fitting_episodes)
    patience = min(settings.patience, math.ceil(n_train / TASKS_PER_PATIENCE))
    settings = settings._replace(patience=patience)
    with conditioned_experts(network):
        untrained = copy.deepcopy(network.state_dict())
        try:
            history = fit_network(network, batches, validation[::2], settings, config)
        except NonFiniteLossError as error:
            failure, history = error, error.history
        interpolate_to_init(network, untrained, validation, n_val, device)
    select_adaptation(network, validation[::2], n_val, device)
    select_experts(network, validation, n_val, device)
    if config.kernel_averaging:
        network = fit_kernel_shares(
            network.eval(), init.fitting_episodes, validation[::EVAL_EVERY],
            config.seed, device,
        )  # fmt: skip
    return Trained(network.cpu().eval(), init, history, failure)


def build_network(init, config, previous):
    """A network that predicts as its initialization, or a copy of the previous one."""
    if previous is not None:
        network = copy.deepcopy(previous.network.meta_trained_part())
        return network.float().requires_grad_(True)
    network = make_network(
        config, len(init.features.mean), init.targets, len(init.pooled),
        init.learner.experts,
    )  # fmt: skip
    core, _ = unwrap(network.learner)
    if core.has_prior:
        core.copy_shared(init.learner)
    return network


@contextmanager
def conditioned_experts(network):
    """Context in which a network has only the experts that meta-training conditions.

    These are the nonlinear ones, if there are any: mixed models gain nothing from it,
    and remain as they are fitted to all tasks.
    """
    core = network.core()
    chosen = [e for e, one in enumerate(core.experts) if not one.linear]
    if len(chosen) in (0, len(core.experts)):
        yield
        return
    conditioned = core.select(chosen)
    network.replace_core(conditioned)
    yield
    core.to(next(conditioned.parameters()).device)
    core.copy_experts(conditioned, chosen)
    network.replace_core(core)


class EpisodeStream:
    """Draws the batches of meta-training from tasks of any kind.

    Parameters
    ----------
    split : MetaSplit
    init : Initialization
    n_query : int
    rng : numpy.random.Generator
    """

    def __init__(self, split, init, n_query, rng):
        self.split, self.init, self.n_query, self.rng = split, init, n_query, rng
        self.generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        tasks = split.train_tasks
        self.n_tasks = np.inf if isinstance(tasks, TaskDistribution) else len(tasks)
        has_classes = isinstance(init.targets, ClassCodec)
        n = PRIOR_TASKS_OF_CLASSES if has_classes else PRIOR_TASKS
        self.prior_share = n / (n + self.n_tasks) if init.learner.has_prior else 0.0

    def __call__(self, n_support):
        """Draw one episode for each entry of ``n_support`` (n_tasks,)."""
        episodes, tasks = self._tasks(len(n_support))
        batch = episodes.draw(tasks, n_support, self.n_query, self.rng)
        of_prior = torch.from_numpy(self.rng.random(len(batch)) < self.prior_share)
        if not of_prior.any():
            return batch
        return draw_from_prior(self.init.learner, batch, of_prior, self.generator)

    def _tasks(self, n):
        tasks = self.split.train_tasks
        if self.split.in_memory:
            return self.init.fitting_episodes, self.rng.choice(len(tasks), n)
        if not isinstance(tasks, TaskDistribution):
            drawn = tasks.take(self.rng.choice(len(tasks), n))
        else:
            drawn = tasks.draw(n, int(self.rng.integers(2**31 - 1)))
        return prepared(drawn, self.init), np.arange(n)


def select_adaptation(network, validation, n_tasks, device):
    """Select the adaptation setting of the base learner by validation loss.

    A setting of the robust grid is selected only if the total log likelihood of the
    validation tasks is higher by `STRONG_EVIDENCE`.
    """
    learner = network.learner

    def best(grid):
        found = []
        for setting in grid:
            learner.set_adaptation(*setting)
            total, n_rows = validation_losses(network, validation, device)
            found.append((total.sum() / n_rows.sum(), setting, total.mean()))
        return min(found, key=lambda one: one[0])[1:]

    selected, loss = best(learner.adaptation_grid)
    if learner.robust_grid:
        robust, robust_loss = best(learner.robust_grid)
        if n_tasks * (loss - robust_loss) > STRONG_EVIDENCE:
            selected = robust
    learner.set_adaptation(*selected)


def select_experts(network, validation, n_tasks, device):
    """Fit the weights of the experts to validation episodes, and drop unused ones."""
    core = network.core()
    if not core.has_prior or core.expert_weights is None:
        return
    network.eval()
    scores = score_experts(core, network.encode, [b.to(device) for b in validation])
    fit_expert_weights(core, scores, n_tasks)
    network.replace_core(core.select(used_experts(core, scores)))
