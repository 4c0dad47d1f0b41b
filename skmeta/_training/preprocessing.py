"""Preprocessing: from the users' rows to columns of numbers."""

from dataclasses import dataclass

from .._networks.encoders.embedding import Embedding, start_embedding
from .._preprocessing.missing_values import MissingValues
from .._preprocessing.outliers import warn_feature_outliers
from .._preprocessing.row_uncertainty import FeatureRange
from .._preprocessing.task_mapping import map_features
from ..tasks._column_names import check_columns
from .config import NWAY
from .embedding_pretraining import pretrain_embedding

CONTINUES = "the tasks have", "what warm_start=True continues from has"


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """Fitted preprocessing of rows.

    Attributes
    ----------
    row_shape : tuple of int
        Shape of an input row.
    feature_names : tuple of str or None
    missing : MissingValues
        Replaces missing values.
    seen : FeatureRange or None
        Range of the features in meta-training; None with an embedding.
    embedding : Embedding or None
        Maps rows to columns; on the CPU.
    """

    row_shape: tuple
    feature_names: tuple | None
    missing: MissingValues
    seen: FeatureRange | None
    embedding: Embedding | None


def fit_preprocessing(split, config, previous):
    """Fit the preprocessing, and apply it to all tasks.

    If labels are task-specific, a trainable embedding is trained with the network, and
    rows are not embedded here.

    Parameters
    ----------
    split : MetaSplit
    config : MetaConfig
    previous : MetaState or None
        The state that training continues from.

    Returns
    -------
    preprocessing : Preprocessing
    split : MetaSplit
        With preprocessed rows.

    Raises
    ------
    ValueError
        If the columns differ from those of ``previous``.
    """
    columns, embeds = split.fitting_tasks._schema, config.embedding is not None
    if previous is None:
        missing = MissingValues.fit(split.fitting_tasks.X, indicates=not embeds)
        if missing.low is not None:
            marked = missing.mask_outliers(split.fitting_tasks.X)
            warn_feature_outliers(split.fitting_tasks, marked)
    else:
        check_columns(
            columns, previous, CONTINUES,
            otherwise=", or set warm_start=False to train from scratch",
        )  # fmt: skip
        missing = previous.missing
    split, seen = split.map(lambda some: map_features(some, missing)), None
    if not embeds:
        seen = FeatureRange.fit(split.fitting_tasks.X[:, : len(missing.fill)])
    X = split.fitting_tasks.X
    embedding = start_embedding(config, X, config.seed, previous)
    if embedding is not None:
        if config.problem != NWAY and embedding.trainable:
            pretrain_embedding(embedding, split, config)
        if config.problem != NWAY or not trains_embedding(embedding, config):
            on_device = embedding.to(config.device)
            split = split.map(lambda some: map_features(some, on_device))
            embedding.cpu()
    shape, names = columns.row_shape, columns.feature_names
    return Preprocessing(shape, names, missing, seen, embedding), split


def trains_embedding(embedding, config):
    """Whether the embedding is trained together with the network."""
    return embedding is not None and (
        embedding.trainable or config.augmentation is not None
    )
