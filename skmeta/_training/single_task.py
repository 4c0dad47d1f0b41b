"""Behind `fit` in the state new: the base learner alone, on the rows of one task."""

import numpy as np

from .._networks.encoders.embedding import start_embedding
from .._networks.learners.gp_algebra import representatives
from .._networks.learners.network import make_network
from .._preprocessing.column_reduction import fit_features
from .._preprocessing.missing_values import MissingValues
from .._preprocessing.scaling import ClassCodec, TargetScaler
from .empirical_bayes import fit_prior_to_task
from .state import MetaState

MAX_ROWS = 64
"""Rows that the hyperparameters of a latent process are fitted to."""


def train_alone(settings, structure, system, X, y, weight, classes, seed):
    """Learn from one task alone: the base learner without anything to start from.

    Its ``single_task_setting`` says how the rows train it; a latent GP of classes has
    its hyperparameters fitted first.

    Parameters
    ----------
    settings : dict
        The estimator's parameters.
    structure : dict
        Those of them that what is learned cannot do without.
    system : System
    X : ndarray of shape (n_rows, ...)
    y : ndarray of shape (n_rows,)
    weight : ndarray of shape (n_rows,) or None
    classes : ndarray of shape (n_classes,) or None
        None for regression.
    seed : int

    Returns
    -------
    state : MetaState
    """
    row_shape, embeds = X.shape[1:], settings["embedding"] is not None
    missing = MissingValues.fit(X, weight, indicates=not embeds, bounds=False)
    X = missing.columns(X)
    embedding = start_embedding(settings, X, seed)
    if embeds:
        X = embedding.columns(X)
    task = np.zeros(len(X), int)
    features = fit_features(X, y, task, None if classes is None else "shared", weight)
    if classes is None:
        targets = TargetScaler.fit(y, weight=weight)
    else:
        targets = ClassCodec(classes)
    n_columns = len(features.mean)
    network = make_network(settings, system, n_columns, targets, False, seed)
    network.double()  # one small task: exact where it costs nothing
    learner = network.learner
    learner.set_adaptation(*learner.single_task_setting)
    state = MetaState(
        network, structure, features, targets, None, missing, embedding, row_shape
    )
    if classes is not None and network.core().has_prior:
        rows = representatives(
            state.embedded_rows(X, weight), state.encoded(y), MAX_ROWS
        )
        network.train()
        fit_prior_to_task(network.core(), *rows)
        network.eval().requires_grad_(False)
    return state
