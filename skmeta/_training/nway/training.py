"""Behind `meta_fit` if labels are task-specific (N-way classification).

The steps are those of `meta_train`, with another initialization and network.
"""

import copy
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from ..._episodes.shared_rows import GroupBatches, NWaySampler
from ..._networks.encoders.embedding import Embedding, as_tensor
from ..._networks.nway.network import NWayNetwork, make_nway_learner
from ..._networks.nway.similarity import embed_tasks
from ..._preprocessing.column_reduction import fit_features_of
from ..._preprocessing.scaling import CLIP, FeatureScaler
from ...exceptions import NonFiniteLossError
from ..config import NWAY
from ..embedding_pretraining import EMBEDDED_LESS
from ..loop import QueryLoss, fit_network
from ..preprocessing import trains_embedding
from ..shared_rows_network import SharedRowsNetwork
from ..state import MetaState
from ..validation import interpolate_to_init
from .auxiliary_classifier import AuxiliaryLoss, auxiliary_classifier
from .calibration import calibrate, select_adaptation
from .lda_init import Discriminants, select_discriminants


class Initialization(NamedTuple):
    """What the network starts from: column scales and the prior of PLDA.

    ``embedding`` is the one trained with the network; None if columns are final.
    ``discriminants`` is None if the columns are not known yet.
    """

    features: FeatureScaler
    embedding: Embedding | None
    discriminants: Discriminants | None = None

    def columns(self, rows):
        """Columns (n_rows, n_columns) of rows, inputs of the learner."""
        if self.embedding is not None:
            rows = self.embedding.transform(rows)
        return self.features.transform(rows).clip(-CLIP, CLIP)

    def sampler(self, tasks, config):
        """The `NWaySampler` of tasks, with rows as inputs of the network."""
        if self.embedding is None:
            rows = torch.from_numpy(self.columns(tasks.X))
        else:
            rows = as_tensor(tasks.X)
        return NWaySampler(tasks, rows, config.n_way, config.n_support, config.n_query)


def meta_train_nway(split, preprocessing, config, previous, rng):
    """Meta-train on tasks with task-specific labels.

    All architectures have the same network.

    Parameters
    ----------
    split : MetaSplit
    preprocessing : Preprocessing
    config : MetaConfig
    previous : MetaState or None
    rng : numpy.random.Generator

    Returns
    -------
    state : MetaState
    failure : NonFiniteLossError or None
    """
    embedding = preprocessing.embedding
    trains_rows = trains_embedding(embedding, config)
    if embedding is not None:
        embedding.to(config.device)
    init = initialize(split, embedding if trains_rows else None, config, previous)
    network = build_network(split, init, config, previous)
    history, failure = fit(network, split, init, config, rng)
    if embedding is not None:
        embedding.cpu().eval()
    state = MetaState(
        problem=NWAY,
        network=NWayNetwork(network.cpu().eval().learner.double()),
        parameters=config.structure,
        features=init.features,
        targets=None,
        pooled=(),
        missing=preprocessing.missing,
        embedding=embedding,
        row_shape=preprocessing.row_shape,
        feature_names=preprocessing.feature_names,
        history=history,
        seen=preprocessing.seen,
    )
    read = state.rows if trains_rows else state.embedded_rows
    return remember(state, read, split.memory_tasks, config.seed), failure


def initialize(split, embedding, config, previous):
    """Scales of the columns, and the linear discriminants of the training classes.

    ``embedding`` is the one trained with the network, or None.

    Returns
    -------
    init : Initialization
    """
    if previous is not None:
        return Initialization(previous.features, embedding)
    tasks = split.fitting_tasks
    if embedding is None:
        features = fit_features_of(tasks, "own", tasks.row_weights())
    else:  # learned columns have one scale already
        n = embedding.n_columns
        features = FeatureScaler(np.zeros(n), np.ones(n))
    init = Initialization(features, embedding)
    if embedding is not None and embedding.trainable:
        return init
    found = select_discriminants(tasks, init.columns, features.scale, config.seed)
    return init._replace(discriminants=found)


def build_network(split, init, config, previous):
    """The `SharedRowsNetwork` to train, with a new learner or the previous one."""
    if previous is not None:
        learner = copy.deepcopy(previous.network.learner).float().requires_grad_(True)
    else:
        n_columns = n_features = len(init.features.mean)
        if init.discriminants is not None:
            n_features = len(init.discriminants.between)
        learner = make_nway_learner(config, n_columns, n_features)
        if init.discriminants is not None:
            learner.start_from(init.discriminants)
    auxiliary = auxiliary_classifier(split, init.embedding)
    return SharedRowsNetwork(
        learner, init.embedding, config.augmentation, auxiliary, config.seed
    )


def fit(network, split, init, config, rng):
    """Calibrate, train, select the adaptation, and calibrate again.

    A network whose columns are final is interpolated towards its initialization.

    Returns
    -------
    history : list of dict
    failure : NonFiniteLossError or None
    """
    device, embedding, settings = config.device, init.embedding, config.loop_settings()
    batch_size = settings.batch_size
    if embedding is not None:
        batch_size = max(1, batch_size // EMBEDDED_LESS)
    batches = GroupBatches(
        split, lambda tasks: init.sampler(tasks, config), batch_size,
        settings.steps_per_epoch, rng,
    )  # fmt: skip
    validation = batches.validation
    calibrate(network.to(device), validation, device)
    failure, untrained = None, copy.deepcopy(network.state_dict())
    criterion = QueryLoss if network.auxiliary_classifier is None else AuxiliaryLoss
    some = validation[::2]  # all would take 10% of the training time
    try:
        history = fit_network(network, batches, some, settings, config, criterion)
    except NonFiniteLossError as error:
        failure, history = error, error.history
    if embedding is None or not embedding.trainable:
        n_val = len(split.val_tasks)
        interpolate_to_init(network, untrained, validation, n_val, device)
    select_adaptation(network, validation, device)
    calibrate(network, validation, device)
    return history, failure


def remember(state, read, tasks, seed):
    """The same state with the embeddings of the meta-training tasks.

    ``read`` turns rows of the tasks into `Rows`.
    """
    embeddings, names = embed_tasks(state.network.learner, read, tasks, seed)
    return replace(
        state,
        task_names=np.fromiter(names, object, len(names)),
        task_embeddings=embeddings,
        task_attention=np.ones(len(names)),
    )
