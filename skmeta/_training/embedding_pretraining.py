"""Training of the embedding before the other networks, if tasks share their labels.

The embedding is trained so that ridge regressions adapt to tasks: for each task one is
fitted to support rows, in closed form, and evaluated on query rows (Bertinetto et al.
2019, Meta-learning with differentiable closed-form solvers, sec. 3.2: R2-D2). The
embedding is then frozen, and later steps use its columns in place of the rows.
"""

import warnings

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .._episodes.shared_rows import GroupBatches, SharedRowSampler
from .._networks.encoders.embedding import as_tensor
from .._networks.learners.predictive import Categorical, Gaussian
from .._preprocessing.scaling import ClassCodec, TargetScaler
from ..exceptions import NonFiniteLossError
from .loop import fit_network
from .shared_rows_network import SharedRowsNetwork

EMBEDDED_LESS = 4
"""Factor by which the batch size is reduced while an embedding is trained: many steps
on few rows are better than few steps on many."""


class RidgeHead(nn.Module):
    """Ridge regressions with shared mean coefficients.

    The coefficients of a task have a normal prior around those that all tasks share. In
    classification they are fitted to one-hot labels, and predictions are scaled to
    logits.

    Parameters
    ----------
    n_columns : int
    n_classes : int or None
        None for regression.
    """

    def __init__(self, n_columns, n_classes):
        super().__init__()
        self.n_classes, n_outputs = n_classes, n_classes or 1
        self.common = nn.Parameter(torch.zeros(n_columns + 1, n_outputs))
        self.log_ridge = nn.Parameter(torch.zeros(()))
        self.log_variance = nn.Parameter(torch.zeros(()))

    def row_features(self, columns):
        """Columns (..., n_columns), and a constant."""
        return F.pad(columns / columns.shape[-1] ** 0.5, (0, 1), value=1.0)

    def adapt_features(self, z, y, weight):
        """Coefficients (B, n_columns + 1, n_outputs) from rows (B, S, n_columns + 1).

        In the dual form, (B, S, S).
        """
        there = (weight > 0)[..., None]
        z = z * there
        if self.n_classes is None:
            target = y[..., None]
        else:
            target = F.one_hot(y, self.n_classes).to(z) - 1 / self.n_classes
        residual = (target - z @ self.common) * there
        eye = torch.eye(z.shape[1], device=z.device)
        kernel = z @ z.transpose(1, 2) + self.log_ridge.exp() * eye
        return self.common + z.transpose(1, 2) @ torch.linalg.solve(kernel, residual)

    def predict_features(self, coefficients, z):
        """Prediction of rows (B, Q, n_columns + 1)."""
        output = z @ coefficients
        if self.n_classes is not None:
            return Categorical(output * (-self.log_variance).exp() * self.n_classes)
        variance = self.log_variance.exp().expand(output.shape[:-1])
        return Gaussian(output[..., 0], variance)


def pretrain_embedding(embedding, split, config):
    """Train an embedding in place, and move it to the CPU.

    Parameters
    ----------
    embedding : Embedding
    split : MetaSplit
        With rows that are not embedded.
    config : MetaConfig

    Warns
    -----
    UserWarning
        If training diverges; the best state so far is kept.
    """
    classes, seed = split.classes, config.seed
    if classes is None:
        targets = TargetScaler.fit(split.fitting_tasks.y)
    else:
        targets = ClassCodec(classes)
    head = RidgeHead(embedding.n_columns, None if classes is None else len(classes))
    network = SharedRowsNetwork(head, embedding, config.augmentation, seed=seed)
    network.to(config.device)

    def sampler(tasks):
        y = targets.transform(tasks.y)
        sizes = config.n_support, config.n_query
        return SharedRowSampler(tasks, as_tensor(tasks.X), y, *sizes)

    rng = np.random.default_rng(seed)
    settings = config.loop_settings()
    batch_size = max(1, settings.batch_size // EMBEDDED_LESS)
    batches = GroupBatches(split, sampler, batch_size, settings.steps_per_epoch, rng)
    try:
        fit_network(network, batches, batches.validation, settings, config)
    except NonFiniteLossError as error:
        warnings.warn(f"Training of the embedding: {error}", UserWarning, stacklevel=2)
    embedding.cpu().eval()
