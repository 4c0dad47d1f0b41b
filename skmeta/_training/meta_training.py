"""Behind `meta_fit`: from tasks to what was learned of them."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.utils.multiclass import check_classification_targets

from .._episodes.sampler import as_range, log_uniform_sizes, prepared
from .._networks.learners.factory import base_learner_name
from .._networks.learners.network import MetaNetwork, make_network
from .._networks.learners.wrapper import unwrap
from .._preprocessing.task_mapping import map_features
from ..exceptions import NonFiniteLossError
from ..tasks import LazyTasks, TaskDistribution
from .embedding_pretraining import learn_embedding
from .empirical_bayes import draw_from_prior
from .initialization import Initialization, resume_initialization, select_initialization
from .loop import EpisodeBatches, train
from .relations import build_memory_and_relations
from .split import MetaSplit
from .state import MetaState
from .task_selection import attention_weights, relation_scores, task_losses
from .validation import interpolate_to_init, validation_batches, validation_losses

EVAL_EVERY = 4
"""One of so many batches of held-out episodes is judged on where that takes time."""

STRONG_EVIDENCE = 3.0
"""In nats: "strong" where 2 log B exceeds 6 (Kass and Raftery 1995, sec. 3.2)."""

PRIOR_TASKS = 50
"""Tasks that the fitted prior is worth: so many of all that a batch is drawn from have
their targets drawn anew from that prior. On them nothing beats it, which keeps a
network that has seen few tasks from seeing more in a task than there is."""


@dataclass(frozen=True, eq=False)
class Learned:
    """A trained network, what it started from, and how it went."""

    network: MetaNetwork
    start: Initialization
    history: list
    failure: NonFiniteLossError | None


class EpisodeStream:
    """Draws the batches of meta-training from wherever the tasks come from.

    Parameters
    ----------
    sources : Sources
    start : Start
    n_query : int
    prior_share : float
        Share of each batch whose targets are drawn from the start's prior.
    rng : numpy.random.Generator
    """

    def __init__(self, sources, start, n_query, prior_share, rng):
        self.sources, self.start, self.n_query = sources, start, n_query
        self.prior_share, self.rng = prior_share, rng
        self.generator = torch.Generator().manual_seed(int(rng.integers(2**62)))

    def __call__(self, n_support):
        """Draw one episode for each entry of ``n_support`` (n_tasks,)."""
        episodes, tasks = self._tasks(len(n_support))
        batch = episodes.draw(tasks, n_support, self.n_query, self.rng)
        n = self.rng.binomial(len(batch), self.prior_share)
        if n == 0:
            return batch
        return draw_from_prior(self.start.learner, batch, n, self.generator)

    def _tasks(self, n):
        tasks = self.sources.tasks
        if tasks is self.sources.examples:
            drawn = self.rng.choice(len(tasks), n, p=self.sources.probability)
            return self.start.examples, drawn
        if not isinstance(tasks, TaskDistribution):
            drawn = tasks.take(self.rng.choice(len(tasks), n))
        else:
            drawn = tasks.draw(n, int(self.rng.integers(2**31 - 1)))
        return prepared(drawn, self.start), np.arange(n)


def attend(learned, settings, system, sources, classes, seed, device, state_of):
    """Learn again from the tasks that are worth it, where some are not.

    With ``task_attention="auto"`` that is tried where most tasks are worth it. Where
    the rows of most say nothing of their targets, those of the next will not either,
    and base rates are what there is to learn. The second learning is then kept if it
    has the lower query loss on held-out tasks, by two standard errors.

    Returns
    -------
    learned : Learned
        The one that is kept.
    attention : ndarray of shape (n_tasks,)
        To each task of ``sources.memory``, mean 1; all ones where ``learned`` is
        kept.
    sources : Sources
        The tasks that it was learned from.
    """
    alike = np.ones(len(sources.memory))
    if sources.tasks is not sources.examples:
        return learned, alike, sources
    rng = np.random.default_rng(seed)
    n_support, n_query = as_range(settings["n_support"])[1], settings["n_query"]
    scores = [
        relation_scores(
            learned.network.meta_trained_part(), episodes, n_support, n_query, rng
        )
        for episodes in (learned.start.examples, learned.start.validation)
    ]
    worth = attention_weights(np.concatenate(scores))
    of_tasks, of_held_out = np.split(worth, [len(scores[0])])
    if worth.min() >= 0.5 or (of_tasks >= 0.5).sum() < 2 or of_held_out.max() < 0.5:
        return learned, alike, sources
    cautious = settings["task_attention"] == "auto"
    if cautious and worth.mean() < 0.5:
        return learned, alike, sources
    attended = sources.attended(of_tasks, of_held_out)
    again = learn(settings, system, attended, classes, seed, device, None, state_of)
    if cautious:
        losses = [
            held_out_task_losses(one, attended.validation, n_support, n_query)
            for one in (learned, again)
        ]
        gain = losses[0] - losses[1]
        if gain.mean() <= 2 * gain.std() / len(gain) ** 0.5:
            return learned, alike, sources
    attention = np.empty(len(sources.memory))
    attention[sources.example_places] = of_tasks
    inside = sources.held_out_places >= 0
    attention[sources.held_out_places[inside]] = of_held_out[inside]
    return again, attention / attention.mean(), attended


def held_out_task_losses(learned, tasks, n_support, n_query):
    """Query loss of each task over the same episodes for all that are compared."""
    episodes, rng = prepared(tasks, learned.start), np.random.default_rng(0)
    index = np.arange(len(tasks))
    sizes = log_uniform_sizes(0, n_support, np.linspace(0, 1, 8, endpoint=False))
    losses = [
        task_losses(
            learned.network.meta_trained_part(),
            episodes.draw(index, size, n_query, rng),
        )
        for size in sizes
    ]
    return np.mean(losses, axis=0) + np.log(learned.start.targets.unit)


def meta_train(settings, structure, system, tasks, validation_tasks, *,
               classification, keeps_tasks, seed, device,
               previous=None):  # fmt: skip
    """Learn across tasks.

    Parameters
    ----------
    settings : dict
        The estimator's parameters.
    structure : dict
        Those of them that what is learned cannot do without.
    system : System
    tasks, validation_tasks : as `check_tasks` gives them, or None for the second
    classification : bool
    keeps_tasks : bool
        Whether rows may be borrowed.
    seed : int
    device : torch.device
    previous : MetaState, optional
        Learn on from there.

    Returns
    -------
    state : MetaState
    failure : NonFiniteLossError or None
        Why it stopped, where it broke down; what was learned until then is returned.
    """
    rng, fraction = np.random.default_rng(seed), settings["validation_fraction"]
    embeds = settings["embedding"] is not None
    sources = MetaSplit.split(
        tasks, validation_tasks, fraction, rng, embeds=embeds,
        numbers=not classification,
    )  # fmt: skip
    classes = class_labels(sources) if classification else None
    if not classification:
        sources.check_numbers()
    columns = sources.examples._kind
    judged = sources.validation.X, sources.validation.y
    missing, seen, sources = sources.filled(previous, embeds)
    embedding = learn_embedding(settings, sources, classes, seed, device, previous)
    if embedding is not None:
        sources = sources.map(lambda some: map_features(some, embedding.to(device)))
        embedding.cpu()

    def state_of(network, start, **more):
        """What is known, with a network and what that started from."""
        return MetaState(
            network=network.double(),  # what `fit` does must not amplify rounding
            parameters=structure,
            features=start.features,
            targets=start.targets,
            pooled=start.pooled,
            missing=missing,
            embedding=embedding,
            row_shape=columns.row_shape,
            feature_names=columns.feature_names,
            seen=seen,
            **more,
        )

    if settings["fit_tasks"] is not None:
        settings["fit_tasks"].rows = judged
    learned = learn(
        settings, system, sources, classes, seed, device, previous, state_of
    )
    attention = np.ones(len(sources.memory))
    if settings["task_attention"] and learned.failure is None:
        learned, attention, sources = attend(
            learned, settings, system, sources, classes, seed, device, state_of
        )
    network, names, keys = build_memory_and_relations(
        learned, system, sources, settings, seed, device, previous, keeps_tasks
    )
    state = state_of(
        network,
        learned.start,
        task_names=names,
        task_embeddings=keys.numpy(),
        task_attention=attention,
        history=learned.history,
        tasks=(sources.memory,) if keeps_tasks else (),
    )
    return state, learned.failure


def learn(settings, system, sources, classes, seed, device, previous, state_of):
    """One meta-training from start to end.

    ``state_of(network, start)`` gives a `MetaState`, for callbacks that ask for one.

    Returns
    -------
    learned : Learned
    """
    rng = np.random.default_rng(seed)
    n_support = as_range(settings["n_support"])
    if previous is None:
        start = select_initialization(
            settings["pooled_estimator"], base_learner_name(settings["base_learner"]),
            sources,
            classes, n_support, seed,
        )  # fmt: skip
        network = make_network(
            settings, system, len(start.features.mean), start.targets,
            start.pooled is not None, seed,
        )  # fmt: skip
        share_prior(start.learner, network.learner)
    else:
        start = resume_initialization(previous, sources, seed)
        network = copy.deepcopy(previous.network.meta_trained_part())
        network = network.float().requires_grad_(True)
    n_tasks = (
        np.inf if isinstance(sources.tasks, TaskDistribution) else len(sources.tasks)
    )
    prior_share = PRIOR_TASKS / (PRIOR_TASKS + n_tasks)
    if not start.learner.has_prior:
        prior_share = 0.0
    stream = EpisodeStream(sources, start, settings["n_query"], prior_share, rng)
    batches = EpisodeBatches(
        stream, settings["steps_per_epoch"], settings["batch_size"], n_support, rng
    )
    validation = validation_batches(
        start.validation, n_support, settings["n_query"], rng
    )
    loop = ("max_epochs", "patience", "lr", "callbacks", "fit_tasks", "verbose")
    if settings["fit_tasks"] is not None:
        settings["fit_tasks"].state_of = lambda network: state_of(network.cpu(), start)
    if settings["compile"]:
        network.compile_encoder()
    failure, untrained = None, copy.deepcopy(network.state_dict())
    try:
        history = train(
            network, batches, validation, device=device,
            **{name: settings[name] for name in loop},
        )  # fmt: skip
    except NonFiniteLossError as error:
        failure, history = error, error.history
    network = MetaNetwork(copy.deepcopy(network.encoder), network.learner)  # as it is
    interpolate_to_init(network, untrained, validation, len(start.validation), device)
    select_adaptation(network, validation, len(start.validation), device)
    if system.kernel_averaging is not None:
        network = system.kernel_averaging(
            network.eval(), start.examples, validation[::EVAL_EVERY], seed, device
        )
    return Learned(network.cpu().eval(), start, history, failure)


def class_labels(sources, chunk=256):
    """The sorted labels of all tasks; of a distribution, of those drawn as examples."""
    labels = [sources.examples.y, sources.validation.y]
    if isinstance(sources.tasks, LazyTasks):
        n = len(sources.tasks)
        some = (range(i, min(i + chunk, n)) for i in range(0, n, chunk))
        labels += [np.unique(sources.tasks.take(at).y) for at in some]
    for y in labels:
        check_classification_targets(y)
    return np.unique(np.concatenate(labels))


def share_prior(fitted, learner):
    """Give ``learner`` the hyperparameters of a fitted one, where it has a prior."""
    learner, _ = unwrap(learner)
    if learner.has_prior:
        mine, theirs = learner.prior.shared_parameters(), fitted.prior
        with torch.no_grad():
            for p, q in zip(mine, theirs.shared_parameters(), strict=True):
                p.copy_(q)


def select_adaptation(network, validation, n_tasks, device):
    """Choose how the support trains the base learner, by the loss of held-out tasks.

    A cautious choice has to be more likely by `STRONG_EVIDENCE` over all of them.
    """
    learner = network.learner

    def best(adaptation_grid):
        found = []
        for choice in adaptation_grid:
            learner.set_adaptation(*choice)
            total, n_rows = validation_losses(network, validation, device)
            found.append((total.sum() / n_rows.sum(), choice, total.mean()))
        return min(found, key=lambda one: one[0])[1:]

    chosen, loss = best(learner.adaptation_grid)
    if learner.robust_grid:
        other, of_other = best(learner.robust_grid)
        if n_tasks * (loss - of_other) > STRONG_EVIDENCE:
            chosen = other
    learner.set_adaptation(*chosen)
