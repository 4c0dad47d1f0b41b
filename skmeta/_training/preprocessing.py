"""From the rows that users have to columns of numbers, before anything is trained."""

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
    """What is done to rows first.

    Attributes
    ----------
    row_shape : tuple of int
        Of the rows that it is given.
    feature_names : tuple of str or None
    missing : MissingValues
        What takes the place of missing values.
    seen : FeatureRange or None
        Where the rows lie; None with an embedding.
    embedding : Embedding or None
        What turns rows into columns; on the CPU.
    """

    row_shape: tuple
    feature_names: tuple | None
    missing: MissingValues
    seen: FeatureRange | None
    embedding: Embedding | None


def fit_preprocessing(split, config, previous):
    """Fit what is done to rows first, and do it.

    Where every task has labels of its own, a trainable embedding is trained with the
    network, and rows are left for it.

    Parameters
    ----------
    split : MetaSplit
    config : MetaConfig
    previous : MetaState or None
        What training continues from.

    Returns
    -------
    preprocessing : Preprocessing
    split : MetaSplit
        Every array of it is final.

    Raises
    ------
    ValueError
        If what training continues from has learned of other columns.
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
            otherwise=", or set warm_start=False to start anew",
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
    """Whether rows are embedded while the network is trained."""
    return embedding is not None and (
        embedding.trainable or config.augmentation is not None
    )
