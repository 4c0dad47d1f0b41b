"""Random numbers of torch that do not change its global state."""

import threading
from contextlib import contextmanager

import torch
from torch import nn


class Dropout(nn.Module):
    """Dropout with its own generator, so that the global state is not changed."""

    def __init__(self, p, seed):
        super().__init__()
        self.p = p
        self.generator = torch.Generator().manual_seed(seed)

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        keep = torch.rand(x.shape, generator=self.generator).to(x.device) >= self.p
        return x * keep / (1 - self.p)


_source_of_all = threading.RLock()


@contextmanager
def seeded(seed):
    """Context in which torch's global generator is seeded; its state is restored.

    One thread at a time, since torch has one global generator.
    """
    with _source_of_all, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
