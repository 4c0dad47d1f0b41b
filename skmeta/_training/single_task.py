"""Training on a single task: `fit` in the state *new*."""

import numpy as np

from .._networks.encoders.embedding import start_embedding
from .._networks.learners.gp_algebra import representatives
from .._networks.learners.network import make_network
from .._preprocessing.column_reduction import fit_features
from .._preprocessing.missing_values import MissingValues
from .._preprocessing.scaling import ClassCodec, TargetScaler
from .empirical_bayes import fit_prior
from .state import MetaState

MAX_ROWS = 64
"""Maximum number of rows for fitting the hyperparameters of a latent GP."""


def train_on_single_task(X, y, weight, classes, config):
    """Train the base learner on one task, without meta-training.

    Its ``single_task_setting`` is the adaptation setting. In classification the
    hyperparameters of the latent GPs are fitted first.

    Parameters
    ----------
    X : ndarray of shape (n_rows, ...)
    y : ndarray of shape (n_rows,)
    weight : ndarray of shape (n_rows,)
    classes : ndarray of shape (n_classes,) or None
        None for regression.
    config : MetaConfig

    Returns
    -------
    state : MetaState
    """
    row_shape, embeds = X.shape[1:], config.embedding is not None
    missing = MissingValues.fit(X, weight, indicates=not embeds, bounds=False)
    X = missing.transform(X)
    embedding = start_embedding(config, X, config.seed)
    if embeds:
        X = embedding.transform(X)
    task = np.zeros(len(X), int)
    features = fit_features(X, y, task, None if classes is None else "shared", weight)
    if classes is None:
        targets = TargetScaler.fit(y, weight=weight)
    else:
        targets = ClassCodec(classes)
    n_columns = len(features.mean)
    network = make_network(config, n_columns, targets)
    network.double()  # float64 is cheap for one task
    learner = network.learner
    learner.set_adaptation(*learner.single_task_setting)
    state = MetaState(
        config.problem, network, config.structure, features, targets, (), missing,
        embedding, row_shape,
    )  # fmt: skip
    if classes is not None and network.core().has_prior:
        rows = representatives(
            state.embedded_rows(X, weight), state.encoded(y), MAX_ROWS
        )
        network.train()
        fit_prior(network.core(), *rows)
        network.eval().requires_grad_(False)
    return state
