"""What is remembered of the meta-training tasks: where each lies, and its function.

A task's function is kept as the weights of features that all tasks share: those of the
process fitted to all tasks, its linear part and random Fourier features of its RBF part
(Rahimi and Recht 2007, Random features for large-scale kernel machines, algorithm 1).
A task with d columns then costs some 4 (d + 100) bytes an output.
"""

import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from ..._episodes.batch import Rows
from ..._episodes.sampler import prepared
from ..learners.gp_algebra import masked_covariance
from ..learners.gp_prior import no_encoding
from ..learners.laplace import laplace

N_FREQUENCIES = 32

N_MEMORY_ROWS = 64
"""Rows of a meta-training task that what is remembered of it is made of, at most."""

MEMORY_CHUNK = 256


class TaskMemory(NamedTuple):
    """Tasks remembered.

    ``keys`` (n_tasks, embed_dim) their embeddings; ``functions`` (n_tasks, n_outputs,
    n_features) the weights of each on the features of a `RandomFeatureGP`.
    """

    keys: torch.Tensor
    functions: torch.Tensor

    @classmethod
    def joined(cls, memories):
        """One memory of those of several collections of tasks."""
        return cls(*(torch.cat(part) for part in zip(*memories, strict=True)))

    def take(self, index):
        """The memory of some of the tasks."""
        return TaskMemory(*(part[index] for part in self))


class RandomFeatureGP(nn.Module):
    """The process that all tasks share, as a linear model of finitely many features.

    Parameters
    ----------
    learner : module
        A Gaussian-process base learner whose prior was fitted to all tasks.
    seed : int
        Draws the frequencies.

    Attributes
    ----------
    remembered_noise : tensor of shape ()
        Noise of the rows that a function is remembered by, relative to that of all
        tasks. Where that is not noise, but what the process cannot explain and related
        tasks share, it is small.
    """

    def __init__(self, learner, seed):
        super().__init__()
        self.learner = learner
        n = learner.prior.length_scale.numel()
        generator = torch.Generator().manual_seed(seed)
        frequencies = torch.randn(n, N_FREQUENCIES, generator=generator)
        self.register_buffer("frequencies", frequencies)
        self.register_buffer("remembered_noise", torch.tensor(1.0))

    @property
    def n_linear(self):
        """How many of the features are of the linear part; they come first."""
        return self.learner.prior.n_linear

    def features(self, rows):
        """See rows as all tasks do.

        Returns
        -------
        features : tensor of shape (B, N, D)
            Their inner products are about the kernel.
        columns : tensor of shape (B, N, n_linear)
            What the linear features are made of: a constant, and the scaled columns.
        mean : tensor of shape (B, N, n_outputs)
        """
        prior = self.learner.prior
        encoding = no_encoding(self.learner, rows)
        theta = prior.hyperparameters(encoding)
        design = prior.design(rows, encoding, theta)
        linear = design.features[..., : self.n_linear]
        if prior.linear_only:
            return linear, design.linear, design.mean
        angles = design.columns @ self.frequencies.to(design.columns)
        level = (theta.signal.double().exp() / N_FREQUENCIES).sqrt()[..., None]
        waves = torch.cat([angles.cos(), angles.sin()], -1) * level
        return torch.cat([linear, waves], -1), design.linear, design.mean

    def noise(self, rows):
        """Variance of the noise of each task, (B, 1)."""
        encoding = no_encoding(self.learner, rows)
        return self.learner.prior.hyperparameters(encoding).noise.double().exp()

    @torch.no_grad()
    def functions(self, rows, y):
        """Fit each task: weights (B, n_outputs, D) of the posterior mean."""
        features, _, mean = self.features(rows)
        features = features * (rows.weight > 0)[..., None]
        K = features @ features.transpose(1, 2)
        weight = rows.weight.double()
        if y.is_floating_point():
            noise = self.noise(rows) * self.remembered_noise
            K, _ = masked_covariance(K, weight, noise)
            residual = (y - mean[..., 0]) * (weight > 0)
            alpha = torch.linalg.solve(K, residual[..., None]).transpose(1, 2)
        else:
            alpha = laplace(K, mean, y, weight).alpha
        return (alpha @ features).float()


def random_feature_gp(learner, known, seed):
    """The `RandomFeatureGP` of a fitted learner, which it does not share or change.

    A learner without a prior has gone on from what was ``known``, and so does this.
    """
    if learner.has_prior:
        process = RandomFeatureGP(copy.deepcopy(learner), seed)
    else:
        process = copy.deepcopy(known).float()
    return process.eval().requires_grad_(False)


def build_memory(trained, split, process=None, some=None):
    """Names (n_tasks,) and memory of the tasks that meta-learning was given.

    Of tasks that the pooled estimator was fitted to, what it left open is taken out
    of fold. Without ``process`` their functions are not kept. ``some`` are the places
    of the tasks that are wanted, in order; by default all. Network and process are
    moved to the CPU.
    """
    init = trained.init
    for part in (trained.network, process):
        if part is not None:
            part.cpu()
    some = np.arange(len(split.memory_tasks)) if some is None else some
    parts, rest = [], some
    for places, episodes in (
        (split.fitting_index, init.fitting_episodes),
        (split.val_index, init.val_episodes),
    ):
        index = np.flatnonzero(np.isin(places, some))
        parts.append((places[index], episodes, index))
        rest = np.setdiff1d(rest, places)
    for at in np.split(rest, range(MEMORY_CHUNK, len(rest), MEMORY_CHUNK)):
        parts.append((at, None, np.arange(len(at))))
    names, memories, order = [], [], []
    for places, episodes, index in parts:
        if len(places) == 0:
            continue
        if episodes is None:
            episodes = prepared(split.memory_tasks.take(places), init)
        known = episodes.tasks.names
        names += [known[i] for i in index]
        memories.append(memory_of(trained.network, process, episodes, index))
        order.append(places)
    back = np.argsort(np.concatenate(order))
    memory = TaskMemory.joined(memories).take(torch.from_numpy(back))
    return np.fromiter(names, object, len(names))[back], memory


@torch.no_grad()
def memory_of(network, process, episodes, index):
    """`TaskMemory` of the tasks ``index`` (n_tasks,) of ``episodes``."""
    rng, parts = np.random.default_rng(0), []
    dtype = next(network.parameters()).dtype
    for i in range(0, len(index), MEMORY_CHUNK):
        chunk = index[i : i + MEMORY_CHUNK]
        batch = episodes.draw(chunk, N_MEMORY_ROWS, 1, rng)
        rows, y = batch.rows()
        rows = Rows(*(part.to(dtype) for part in rows))
        keys = network.encoder(rows, network.learner.targets(rows, y)).task.float()
        functions = keys[:, :0] if process is None else process.functions(rows, y)
        parts.append(TaskMemory(keys, functions))
    return TaskMemory.joined(parts)
