"""Parameters that are optimised, and the values with the lowest loss so far."""

import math

import torch


class BestParameters:
    """Keeps the values of some parameters at which a loss was lowest.

    Parameters
    ----------
    parameters : iterable of Parameter
        Require gradients until `restore` is called.
    """

    def __init__(self, parameters):
        self.parameters = list(parameters)
        self.loss, self.first = math.inf, self._values()
        self.best = self.first
        for p in self.parameters:
            p.requires_grad_(True)

    def update(self, loss):
        """Note the loss of the present values."""
        if loss < self.loss:
            self.loss, self.best = loss, self._values()

    @torch.no_grad()
    def restore(self):
        """Set the best values, which require no gradients any more."""
        for p, q in zip(self.parameters, self.best, strict=True):
            p.copy_(q)
            p.requires_grad_(False)

    def _values(self):
        return [p.detach().clone() for p in self.parameters]
