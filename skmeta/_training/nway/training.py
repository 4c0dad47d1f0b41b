"""Behind `meta_fit` if labels are task-specific (N-way classification).

The steps are those of `meta_train`, with another initialisation and network.
"""

import copy
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.utils.multiclass import check_classification_targets

from ..._episodes.sampler import as_range
from ..._episodes.shared_rows import GroupBatches, NWaySampler
from ..._networks.encoders.embedding import as_tensor, start_embedding
from ..._networks.nway.network import NWayNetwork, make_nway_learner
from ..._networks.nway.similarity import embed_tasks
from ..._preprocessing.scaling import CLIP, FeatureScaler
from ..._preprocessing.task_mapping import map_features
from ...exceptions import NonFiniteLossError
from ..embedding_pretraining import EMBEDDED_LESS
from ..loop import QueryLoss, train
from ..shared_rows_network import SharedRowsNetwork
from ..split import MetaSplit
from ..state import MetaState
from ..validation import interpolate_to_init
from .auxiliary_classifier import AuxiliaryLoss, auxiliary_classifier
from .calibration import calibrate, select_adaptation
from .labels import split_single_task
from .lda_init import Discriminants, select_discriminants


class Initialization(NamedTuple):
    """What the network starts from: column scales and the prior of PLDA.

    ``embedding`` is the one trained with the network, or None if there is none or its
    columns are final. ``discriminants`` is None if the columns are not known yet.
    """

    features: FeatureScaler
    embedding: Any
    discriminants: Discriminants | None

    def columns(self, rows):
        """Columns (n_rows, n_columns) of rows as the learner takes them."""
        if self.embedding is not None:
            rows = self.embedding.columns(rows)
        return self.features.transform(rows).clip(-CLIP, CLIP)

    def sampler(self, tasks, settings):
        """The `NWaySampler` of tasks, with rows as the network takes them."""
        if self.embedding is None:
            rows = torch.from_numpy(self.columns(tasks.X))
        else:
            rows = as_tensor(tasks.X)
        sizes = (as_range(settings[name]) for name in ("n_way", "n_support"))
        return NWaySampler(tasks, rows, *sizes, settings["n_query"])


def meta_train_nway(settings, structure, system, tasks, validation_tasks, *,
                    seed, device, previous=None):  # fmt: skip
    """Meta-train on tasks with task-specific labels.

    Arguments and results are those of `meta_train`. All systems have the same network.
    """
    rng = np.random.default_rng(seed)
    embeds = settings["embedding"] is not None
    split = split_tasks(settings, tasks, validation_tasks, rng)
    schema = split.examples._kind
    missing, seen, split = split.filled(previous, embeds)
    embedding = start_embedding(settings, split.examples.X, seed, previous)
    trains_rows = embedding is not None and (
        embedding.trainable or settings["augmentation"] is not None
    )
    if embedding is not None:
        embedding.to(device)
        if not trains_rows:
            split = split.map(lambda some: map_features(some, embedding))
    initialization = initialize(
        split, settings, embedding if trains_rows else None, seed, previous
    )
    network = build_network(split, settings, initialization, seed, previous)
    history, failure = fit(
        network.to(device), split, settings, initialization, rng, device
    )
    network = NWayNetwork(network.cpu().eval().learner.double())
    if embedding is not None:
        embedding.cpu().eval()
    state = MetaState(
        network=network,
        parameters=structure,
        features=initialization.features,
        targets=None,
        pooled=None,
        missing=missing,
        embedding=embedding,
        row_shape=schema.row_shape,
        feature_names=schema.feature_names,
        history=history,
        seen=seen,
    )
    read = state.rows if trains_rows else state.embedded_rows
    return remember(state, read, split, seed), failure


def split_tasks(settings, tasks, validation_tasks, rng):
    """Training and validation tasks, their labels checked."""
    fraction = settings["validation_fraction"]
    tasks, validation_tasks = split_single_task(tasks, validation_tasks, fraction, rng)
    embeds = settings["embedding"] is not None
    split = MetaSplit.split(
        tasks, validation_tasks, fraction, rng, embeds=embeds, least=1
    )
    for some in (split.examples, split.validation):
        check_classification_targets(some.y)
    return split


def initialize(split, settings, embedding, seed, previous):
    """Scales of the columns, and the linear discriminants of the training classes.

    Parameters
    ----------
    split : MetaSplit
    settings : dict
    embedding : Embedding or None
        Trained with the network.
    seed : int
    previous : MetaState or None

    Returns
    -------
    initialization : Initialization
    """
    if previous is not None:
        return Initialization(previous.features, embedding, None)
    if embedding is None:
        features = split.fit_features("own")
    else:  # learned columns have one scale already
        n = embedding.n_columns
        features = FeatureScaler(np.zeros(n), np.ones(n))
    initialization = Initialization(features, embedding, None)
    if settings["embedding"] is not None and settings["embedding_trainable"]:
        return initialization
    return initialization._replace(
        discriminants=select_discriminants(
            split.examples, initialization.columns, features.scale, seed
        )
    )


def build_network(split, settings, initialization, seed, previous):
    """The `SharedRowsNetwork` to train, with a new learner or the previous one."""
    features, embedding, discriminants = initialization
    if previous is not None:
        learner = copy.deepcopy(previous.network.learner).float().requires_grad_(True)
    else:
        n_columns = n_features = len(features.mean)
        if discriminants is not None:
            n_features = len(discriminants.between)
        learner = make_nway_learner(settings, n_columns, n_features, seed)
        if discriminants is not None:
            learner.start_from(discriminants)
    auxiliary = auxiliary_classifier(split, embedding)
    return SharedRowsNetwork(
        learner, embedding, settings["augmentation"], auxiliary, seed
    )


def fit(network, split, settings, initialization, rng, device):
    """Calibrate, train, select the adaptation, and calibrate again.

    A network whose columns are final is interpolated towards its initialisation.

    Returns
    -------
    history : list of dict
    failure : NonFiniteLossError or None
    """
    embedding, batch_size = initialization.embedding, settings["batch_size"]
    if embedding is not None:
        batch_size = max(1, batch_size // EMBEDDED_LESS)
    batches = GroupBatches(
        split, lambda tasks: initialization.sampler(tasks, settings), batch_size,
        settings["steps_per_epoch"], rng,
    )  # fmt: skip
    validation = batches.validation
    calibrate(network, validation, device)
    failure, untrained = None, copy.deepcopy(network.state_dict())
    loop = ("max_epochs", "patience", "lr", "callbacks", "fit_tasks", "verbose")
    auxiliary = network.auxiliary_classifier is not None
    try:
        history = train(
            network, batches, validation[::2], device=device,  # half takes half as long
            criterion=AuxiliaryLoss if auxiliary else QueryLoss,
            **{name: settings[name] for name in loop},
        )  # fmt: skip
    except NonFiniteLossError as error:
        failure, history = error, error.history
    if embedding is None or not embedding.trainable:
        interpolate_to_init(
            network, untrained, validation, len(split.validation), device
        )
    select_adaptation(network, validation, device)
    calibrate(network, validation, device)
    return history, failure


def remember(state, read, split, seed):
    """The same state with the embeddings of the meta-training tasks.

    ``read`` turns rows of the tasks of ``split`` into `Rows`.
    """
    embeddings, names = embed_tasks(state.network.learner, read, split.memory, seed)
    return replace(
        state,
        task_names=np.fromiter(names, object, len(names)),
        task_embeddings=embeddings,
        task_attention=np.ones(len(names)),
    )
