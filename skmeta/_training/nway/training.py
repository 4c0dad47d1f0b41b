"""Behind `meta_fit` where every task has classes of its own."""

import copy

import numpy as np
import torch

from ..._episodes.shared_rows import (
    EpisodeGroupBatches,
    EpisodeGroupStream,
    NWaySampler,
)
from ..._networks.encoders.embedding import as_tensor
from ..._networks.learners.wrapper import unwrap
from ..._networks.nway.network import ClassNetwork
from ..._networks.nway.relations import remember_classes
from ..._preprocessing.column_reduction import fit_features_of
from ..._preprocessing.scaling import CLIP, FeatureScaler
from ..._utils.random import seeded
from ...exceptions import NonFiniteLossError
from ..config import NWAY
from ..embedding_pretraining import EMBEDDED_LESS
from ..loop import QueryLoss, fit_network
from ..preprocessing import trains_embedding
from ..shared_rows_network import SharedRowsNetwork
from ..state import MetaState
from ..validation import interpolate_to_init
from .auxiliary_classifier import AuxiliaryLoss, auxiliary_classifier
from .calibration import calibrate, choose_steps
from .lda_init import choose_discriminants


def meta_train_nway(split, preprocessing, config, previous, rng):
    """Learn across tasks that have labels of their own.

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
    embeds = trains_embedding(embedding, config)
    if embedding is not None:
        embedding.to(config.device)
    features = _scaler(split, embedding if embeds else None, previous)

    def columns(rows):
        """Columns of rows as the learner takes them."""
        rows = features.transform(embedding.columns(rows) if embeds else rows)
        return rows.clip(-CLIP, CLIP)

    learner = _learner(config, split, features, columns, previous)
    network = SharedRowsNetwork(
        learner, embedding if embeds else None, config.augmentation,
        auxiliary_classifier(split, embedding), config.seed,
    ).to(config.device)  # fmt: skip

    def sampler(some):
        """Groups of rows of tasks, as the network takes them."""
        rows = as_tensor(some.X) if embeds else torch.from_numpy(columns(some.X))
        return NWaySampler(some, rows, config.n_way, config.n_support, config.n_query)

    batch_size = config.batch_size
    if embeds:
        batch_size = max(1, batch_size // EMBEDDED_LESS)
    stream = EpisodeGroupStream(split, sampler, batch_size, rng)
    returns = not embeds or not embedding.trainable
    n_val = len(split.val_tasks) if returns else None
    history, failure = _train(network, stream, config, n_val)
    learner = network.cpu().eval().learner.double()
    if embedding is not None:
        embedding.cpu().eval()
    state = MetaState(
        problem=NWAY,
        network=ClassNetwork(learner),
        parameters=config.structure,
        features=features,
        targets=None,
        pooled=None,
        missing=preprocessing.missing,
        embedding=embedding,
        row_shape=preprocessing.row_shape,
        feature_names=preprocessing.feature_names,
        history=history,
        seen=preprocessing.seen,
    )
    state = remember_classes(
        state, config.architecture, split, embeds=embeds, seed=config.seed
    )
    return state, failure


def _train(network, stream, config, n_val):
    """Calibrate a network, train it, then calibrate again.

    ``n_val`` is the number of validation tasks that say how far it then goes back to
    its start, or None where that start is nothing to go back to.

    Returns
    -------
    history : list of dict
    failure : NonFiniteLossError or None
    """
    device = config.device
    calibrate(network, stream.validation, device)
    failure, untrained = None, copy.deepcopy(network.state_dict())
    batches = EpisodeGroupBatches(stream, config.steps_per_epoch)
    some = stream.validation[::2]  # all of them would take a tenth of the time
    criterion = QueryLoss if network.auxiliary_classifier is None else AuxiliaryLoss
    try:
        history = fit_network(network, batches, some, config, criterion)
    except NonFiniteLossError as error:
        failure, history = error, error.history
    if n_val is not None:
        interpolate_to_init(network, untrained, stream.validation, n_val, device)
    choose_steps(network, stream.validation, device)
    calibrate(network, stream.validation, device)
    return history, failure


def _scaler(split, embedding, previous):
    """What scales the columns; those that are learned have one scale already."""
    if previous is not None:
        return previous.features
    if embedding is not None:
        n = embedding.n_columns
        return FeatureScaler(np.zeros(n), np.ones(n))
    return fit_features_of(
        split.fitting_tasks, "own", split.fitting_tasks.row_weights()
    )


def _learner(config, split, features, columns, previous):
    """The learner at its start: the closed form, where columns are known."""
    if previous is not None:
        learner = copy.deepcopy(unwrap(previous.network.learner)[0])
        return learner.float().requires_grad_(True)
    n_columns = len(features.mean)
    discriminants, n_features = None, n_columns
    if config.embedding is None or not config.embedding_trainable:
        discriminants = choose_discriminants(
            split.fitting_tasks, columns, features.scale, config.seed
        )
        n_features = len(discriminants.between)
    kind = config.base_learner_name
    with seeded(config.seed):
        learner = config.architecture.nway(
            n_columns, n_features,
            embed_dim=config.embed_dim, n_heads=config.n_heads,
            n_layers=config.n_layers,
            linear_only=kind == "linear", by_gradient=kind == "mlp",
            seed=config.seed,
        )  # fmt: skip
    if discriminants is not None:
        learner.start_from(discriminants)
    return learner
