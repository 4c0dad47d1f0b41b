"""The memory of the meta-training tasks: an embedding and a function of each.

A task's function is kept as its weights on features that all tasks share: those of the
GP fitted to all tasks, its linear part and random Fourier features of its RBF part
(Rahimi and Recht 2007, Random features for large-scale kernel machines, algorithm 1).
A task with d columns takes about 4 (d + 100) bytes per output.
"""

import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from ..._episodes.batch import Rows
from ..learners.gp_algebra import masked_covariance
from ..learners.gp_prior import no_encoding
from ..learners.laplace import laplace

N_FREQUENCIES = 32

N_MEMORY_ROWS = 64
"""Maximum number of rows of a task that its memory is computed from."""

MEMORY_CHUNK = 256


class TaskMemory(NamedTuple):
    """Embeddings and functions of tasks.

    ``keys`` (n_tasks, embed_dim) their embeddings; ``functions`` (n_tasks, n_outputs,
    n_features) the weights of each on the features of a `RandomFeatureGP`.
    """

    keys: torch.Tensor
    functions: torch.Tensor

    @classmethod
    def joined(cls, memories):
        """Concatenate the memories of several collections of tasks."""
        return cls(*(torch.cat(part) for part in zip(*memories, strict=True)))

    def take(self, index):
        """The memory of some of the tasks."""
        return TaskMemory(*(part[index] for part in self))


class RowFeatures(NamedTuple):
    """Features of the rows of B tasks in a `RandomFeatureGP`."""

    phi: torch.Tensor  # (B, N, D), inner products approximate the kernel
    linear: torch.Tensor  # (B, N, n_linear) a constant and the scaled columns
    mean: torch.Tensor  # (B, N, n_outputs)

    def values(self, functions):
        """Values (B, L, N, n_outputs) of functions in memory at the rows.

        Parameters
        ----------
        functions : tensor of shape (L, n_outputs, D) or (B, L, n_outputs, D)
            The same for all tasks, or L for each.
        """
        axes = "lcd" if functions.ndim == 3 else "blcd"
        functions = functions.to(self.phi)
        return self.mean[:, None] + torch.einsum(
            f"bnd,{axes}->blnc", self.phi, functions
        )


class RandomFeatureGP(nn.Module):
    """The GP prior shared by all tasks, as a linear model of finitely many features.

    Parameters
    ----------
    learner : module
        A GP base learner of one expert, whose prior was fitted to all tasks.
    seed : int
        Draws the frequencies.

    Attributes
    ----------
    noise_ratio : tensor of shape ()
        Noise variance with which functions are fitted, relative to that of the prior.
        It is small where the noise of the prior is structure that it cannot explain,
        and that related tasks share.
    """

    def __init__(self, learner, seed):
        super().__init__()
        self.learner = learner
        n = learner.prior.length_scale.shape[1]
        generator = torch.Generator().manual_seed(seed)
        frequencies = torch.randn(n, N_FREQUENCIES, generator=generator)
        self.register_buffer("frequencies", frequencies)
        self.register_buffer("noise_ratio", torch.tensor(1.0))

    @classmethod
    def of(cls, learner, previous, seed):
        """The frozen GP of a copy of the main expert of ``learner``.

        A learner without a prior continues from earlier meta-training; it takes a copy
        of the GP of then, ``previous``.
        """
        if learner.has_prior:
            gp = cls(learner.select([learner.main_expert]), seed)
        else:
            gp = copy.deepcopy(previous).float()
        return gp.eval().requires_grad_(False)

    @property
    def n_linear(self):
        """Number of features of the linear part; they come first."""
        return self.learner.prior.n_linear

    def features(self, rows):
        """Compute the `RowFeatures` of rows."""
        prior = self.learner.prior
        encoding = no_encoding(self.learner, rows)
        theta = prior.hyperparameters(encoding)
        design = prior.design(prior.expand(rows), encoding, theta)
        linear = design.features[..., : self.n_linear]
        if prior.linear_only:
            return RowFeatures(linear, design.linear, design.mean)
        # Rahimi and Recht (2007), alg. 1: cos and sin of random projections
        angles = design.columns @ self.frequencies.to(design.columns)
        level = (theta.signal.double().exp() / N_FREQUENCIES).sqrt()[..., None]
        waves = torch.cat([angles.cos(), angles.sin()], -1) * level
        return RowFeatures(torch.cat([linear, waves], -1), design.linear, design.mean)

    def noise(self, rows):
        """Noise variance of each task, (B, 1)."""
        encoding = no_encoding(self.learner, rows)
        return self.learner.prior.hyperparameters(encoding).noise.double().exp()

    @torch.no_grad()
    def functions(self, rows, y):
        """Fit each task: weights (B, n_outputs, D) of the posterior mean."""
        phi, _, mean = self.features(rows)
        phi = phi * (rows.weight > 0)[..., None]
        K = phi @ phi.transpose(1, 2)
        weight = rows.weight.double()
        if y.is_floating_point():
            K, _ = masked_covariance(K, weight, self.noise(rows) * self.noise_ratio)
            residual = (y - mean[..., 0]) * (weight > 0)
            alpha = torch.linalg.solve(K, residual[..., None]).transpose(1, 2)
        else:
            alpha = laplace(K, mean, y, weight).alpha
        return (alpha @ phi).float()


@torch.no_grad()
def memory_of(network, gp, episodes, index):
    """`TaskMemory` of the tasks ``index`` (n_tasks,) of ``episodes``.

    Without ``gp`` functions are not kept.
    """
    rng, parts = np.random.default_rng(0), []
    dtype = next(network.parameters()).dtype
    for i in range(0, len(index), MEMORY_CHUNK):
        batch = episodes.draw(index[i : i + MEMORY_CHUNK], N_MEMORY_ROWS, 1, rng)
        rows, y = batch.rows()
        rows = Rows(*(part.to(dtype) for part in rows))
        keys = network.encoder(rows, network.learner.targets(rows, y)).task.float()
        functions = keys[:, :0] if gp is None else gp.functions(rows, y)
        parts.append(TaskMemory(keys, functions))
    return TaskMemory.joined(parts)
