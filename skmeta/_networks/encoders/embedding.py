"""The user's torch module that maps rows to vectors: `embedding`.

Its output is standardised, by batch statistics while it is trained and by their running
averages afterwards, so that all columns have the same scale, and the prediction of a
row does not depend on other rows.
"""

import copy

import numpy as np
import torch
from torch import nn

from ..._preprocessing.scaling import CLIP
from ..._utils.precision import full_float32
from ..._utils.random import seeded

ROWS_AT_ONCE, ON_CPU = 512, 64
"""Maximum number of rows that are embedded at once, except in training. Larger outputs
are slower on a CPU, whose allocator returns such memory to the system each time."""

MAX_STANDARDISED = 4096
"""Maximum number of rows for the initial standardisation of columns."""


class Embedding(nn.Module):
    """A module from rows of any shape to standardised columns.

    Parameters
    ----------
    module : module
        From rows (n, ...) to (n, n_columns).
    n_columns : int
    trainable : bool
        Whether the module is trained; otherwise it is frozen.
    """

    def __init__(self, module, n_columns, trainable):
        super().__init__()
        self.module, self.n_columns, self.trainable = module, n_columns, trainable
        self.norm = nn.BatchNorm1d(n_columns, affine=False)
        if not trainable:
            module.requires_grad_(False)
        named = module.named_parameters()
        self.trained = [name for name, p in named if p.requires_grad]

    def train(self, mode=True):
        """Set the mode; a frozen module stays in evaluation mode."""
        return super().train(mode and self.trainable)

    def forward(self, rows):
        """Columns (n, n_columns) of ``rows`` (n, ...)."""
        if self.training:
            return self._columns(rows)
        with full_float32():
            return torch.cat([self._columns(p) for p in rows.split(self._at_once)])

    def _columns(self, rows):
        return self.norm(self.module(rows)).clamp(-CLIP, CLIP)

    def fit_norm(self, X):
        """Standardise by the mean and variance of the rows ``X`` (n, ...)."""
        out = self._chunks(X, self.module).double()
        self.norm.running_mean.copy_(out.mean(0))
        self.norm.running_var.copy_(out.var(0, unbiased=False).clamp(min=1e-12))

    def transform(self, X):
        """Columns, float64 (n, n_columns), of an array of rows ``X`` (n, ...)."""
        return self._chunks(X, self).double().cpu().numpy()

    @property
    def _at_once(self):
        on_cpu = self.norm.running_mean.device.type == "cpu"
        return ON_CPU if on_cpu else ROWS_AT_ONCE

    @torch.no_grad()
    @full_float32()
    def _chunks(self, X, compute):
        device, n = self.norm.running_mean.device, self._at_once
        self.eval()
        chunks = [
            compute(as_tensor(X[i : i + n]).to(device)) for i in range(0, len(X), n)
        ]
        return torch.cat(chunks) if chunks else torch.empty(0, self.n_columns)


def as_tensor(X):
    """Rows (n, ...) as a float32 tensor, copied only if necessary."""
    return torch.from_numpy(np.require(X, np.float32, ["C", "W"]))


def start_embedding(config, X, seed, previous=None):
    """The `Embedding` that is set by the parameters of an estimator, or None.

    Parameters
    ----------
    config : MetaConfig
    X : ndarray of shape (n_rows, ...)
        Rows for the initial standardisation of columns.
    seed : int
    previous : MetaState, optional
        State whose embedding is copied, to continue its training.
    """
    if previous is not None:
        return _resumed(previous)
    if config.embedding is None:
        return None
    embedding = make_embedding(
        config.embedding, config.embedding_parameters, config.embedding_trainable,
        X.shape[1:], seed,
    )  # fmt: skip
    some = np.random.default_rng(seed).permutation(len(X))[:MAX_STANDARDISED]
    embedding.fit_norm(X[np.sort(some)])
    return embedding


def _resumed(previous):
    """A copy of the embedding of a `MetaState`, for further training; or None."""
    embedding = copy.deepcopy(previous.embedding)
    if embedding is not None:
        for name, parameter in embedding.module.named_parameters():
            parameter.requires_grad_(name in embedding.trained)
    return embedding


def make_embedding(embedding, parameters, trainable, row_shape, seed):
    """Make an `Embedding` from the user's module, which is not changed.

    Parameters
    ----------
    embedding : module, class of one, or callable that makes one
    parameters : dict
        Arguments of its constructor.
    trainable : bool
    row_shape : tuple of int
    seed : int
        Seed of the initial parameters of a module that is created here.

    Raises
    ------
    ValueError
        If it does not map rows of that shape to vectors.
    """
    with seeded(seed):
        module = _made(embedding, parameters).cpu().float()
        name = type(module).__name__
        try:
            with torch.no_grad():  # initialises lazy modules
                out = module.eval()(torch.zeros(2, *row_shape))
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise ValueError(
                f"The embedding {name} cannot take rows of shape {tuple(row_shape)}, "
                f"as the tasks have: {error}"
            ) from error
    shape = tuple(getattr(out, "shape", ()))
    if len(shape) != 2 or shape[0] != 2:
        raise ValueError(
            f"The embedding {name} turned 2 rows of shape {tuple(row_shape)} into "
            f"{'shape ' + str(shape) if shape else type(out).__name__}; it must give "
            "(2, n_columns), one vector a row. End it with torch.nn.Flatten()."
        )
    # convolutions are faster in this memory format, on CPUs and GPUs
    module.to(memory_format=torch.channels_last)
    return Embedding(module, shape[1], trainable)


def _made(embedding, parameters):
    """A module of the user's, or a copy of it."""
    if not isinstance(embedding, nn.Module):
        try:
            made = copy.deepcopy(embedding(**parameters))
        except TypeError as error:
            raise ValueError(
                f"embedding={embedding!r} cannot be made with "
                f"{_named(parameters) or 'no parameters'}: {error}"
            ) from error
        if not isinstance(made, nn.Module):
            raise ValueError(
                f"embedding={embedding!r} made a {type(made).__name__}; it must be, or "
                "make, a torch.nn.Module."
            )
        return made
    if parameters:
        raise ValueError(
            f"embedding={type(embedding).__name__}(...) is made already, and cannot "
            f"take {_named(parameters)}. Give the class in place of an instance."
        )
    return copy.deepcopy(embedding)


def _named(parameters):
    return ", ".join(f"embedding__{k}={v!r}" for k, v in parameters.items())
