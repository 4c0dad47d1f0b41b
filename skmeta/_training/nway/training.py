"""Behind `meta_fit` where every task has classes of its own."""

import copy

import numpy as np
import torch
from sklearn.utils.multiclass import check_classification_targets

from ..._episodes.sampler import as_range
from ..._episodes.shared_rows import (
    EpisodeGroupBatches,
    EpisodeGroupStream,
    NWaySampler,
)
from ..._networks.encoders.embedding import as_tensor, start_embedding
from ..._networks.learners.factory import base_learner_name
from ..._networks.learners.wrapper import unwrap
from ..._networks.nway.network import ClassNetwork
from ..._networks.nway.relations import remember_classes
from ..._preprocessing.scaling import CLIP, FeatureScaler
from ..._preprocessing.task_mapping import map_features
from ..._utils.random import seeded
from ...exceptions import NonFiniteLossError
from ..embedding_pretraining import EMBEDDED_LESS
from ..loop import QueryLoss, train
from ..shared_rows_network import SharedRowsNetwork
from ..split import MetaSplit
from ..state import MetaState
from ..validation import interpolate_to_init
from .auxiliary_classifier import AuxiliaryLoss, auxiliary_classifier
from .calibration import calibrate, choose_steps
from .labels import by_classes
from .lda_init import choose_discriminants


def meta_train_classes(settings, structure, system, tasks, validation_tasks, *,
                       seed, device, previous=None):  # fmt: skip
    """Learn across tasks that have classes of their own.

    Arguments and results are those of `meta_train`.
    """
    rng, embeds = np.random.default_rng(seed), settings["embedding"] is not None
    fraction = settings["validation_fraction"]
    sources = _sources(tasks, validation_tasks, fraction, rng, embeds)
    row_shape = sources.examples.X.shape[1:]
    names = sources.examples.feature_names
    missing, seen, sources = sources.filled(previous, embeds)
    embedding = start_embedding(settings, sources.examples.X, seed, previous)
    learned = embedding is not None and (
        embedding.trainable or settings["augmentation"] is not None
    )
    if embedding is not None:
        embedding.to(device)
    if embedding is not None and not learned:
        sources = sources.map(lambda some: map_features(some, embedding))
    features = _scaler(sources, embedding if learned else None, previous)

    def columns(rows):
        """Columns of rows as the learner takes them."""
        rows = features.transform(embedding.columns(rows) if learned else rows)
        return rows.clip(-CLIP, CLIP)

    learner = _learner(settings, system, sources, features, columns, seed, previous)
    network = SharedRowsNetwork(
        learner, embedding if learned else None, settings["augmentation"],
        auxiliary_classifier(sources, embedding), seed,
    ).to(device)  # fmt: skip

    def pools(some):
        """Pools of tasks whose rows the network takes."""
        rows = as_tensor(some.X) if learned else torch.from_numpy(columns(some.X))
        sizes = (as_range(settings[name]) for name in ("n_way", "n_support"))
        return NWaySampler(some, rows, *sizes, settings["n_query"])

    batch_size = settings["batch_size"]
    if learned:
        batch_size = max(1, batch_size // EMBEDDED_LESS)
    stream = EpisodeGroupStream(sources, pools, batch_size, rng)
    returns = not learned or not embedding.trainable
    history, failure = _train(
        network, stream, settings, len(sources.validation) if returns else None, device
    )
    learner = network.cpu().eval().learner.double()
    if embedding is not None:
        embedding.cpu().eval()
    state = MetaState(
        network=ClassNetwork(learner),
        parameters=structure,
        features=features,
        targets=None,
        pooled=None,
        missing=missing,
        embedding=embedding,
        row_shape=row_shape,
        feature_names=names,
        history=history,
        seen=seen,
    )
    return remember_classes(state, system, sources, embeds=learned, seed=seed), failure


def _sources(tasks, validation_tasks, fraction, rng, embeds):
    """Tasks to learn from and tasks held out, their classes checked."""
    tasks, validation_tasks = by_classes(tasks, validation_tasks, fraction, rng)
    sources = MetaSplit.split(
        tasks, validation_tasks, fraction, rng, embeds=embeds, least=1
    )
    for some in (sources.examples, sources.validation):
        check_classification_targets(some.y)
    return sources


def _train(network, stream, settings, n_returned, device):
    """Train a network, from its temperature to its temperature.

    ``n_returned`` is the number of held-out tasks that say how far it then goes back to
    its start, or None where that start is nothing to go back to.

    Returns
    -------
    history : list of dict
    failure : NonFiniteLossError or None
    """
    calibrate(network, stream.validation, device)
    failure, untrained = None, copy.deepcopy(network.state_dict())
    loop = ("max_epochs", "patience", "lr", "callbacks", "fit_tasks", "verbose")
    batches = EpisodeGroupBatches(stream, settings["steps_per_epoch"])
    judged = stream.validation[::2]  # all of them would take a tenth of the time
    try:
        history = train(
            network, batches, judged, device=device,
            criterion=(
                QueryLoss if network.auxiliary_classifier is None else AuxiliaryLoss
            ),
            **{name: settings[name] for name in loop},
        )  # fmt: skip
    except NonFiniteLossError as error:
        failure, history = error, error.history
    if n_returned is not None:
        interpolate_to_init(network, untrained, stream.validation, n_returned, device)
    choose_steps(network, stream.validation, device)
    calibrate(network, stream.validation, device)
    return history, failure


def _scaler(sources, embedding, previous):
    """What scales the columns; those that are learned have one scale already."""
    if previous is not None:
        return previous.features
    if embedding is not None:
        n = embedding.n_columns
        return FeatureScaler(np.zeros(n), np.ones(n))
    return sources.fit_features("own")


def _learner(settings, system, sources, features, columns, seed, previous):
    """The learner at its start: the closed form, where columns are known."""
    if previous is not None:
        learner = copy.deepcopy(unwrap(previous.network.learner)[0])
        return learner.float().requires_grad_(True)
    n_columns = len(features.mean)
    discriminants, n_features = None, n_columns
    if settings["embedding"] is None or not settings["embedding_trainable"]:
        discriminants = choose_discriminants(
            sources.examples, columns, features.scale, seed
        )
        n_features = len(discriminants.between)
    kind = base_learner_name(settings["base_learner"])
    with seeded(seed):
        learner = system.nway(
            n_columns, n_features,
            **{name: settings[name] for name in ("embed_dim", "n_heads", "n_layers")},
            linear_only=kind == "linear", by_gradient=kind == "mlp",
            seed=seed,
        )  # fmt: skip
    if discriminants is not None:
        learner.start_from(discriminants)
    return learner
