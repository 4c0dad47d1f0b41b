"""The values of parameters with the lowest loss during an optimisation."""

import math

import torch


class BestParameters:
    """Stores the values of some parameters with the lowest loss.

    Parameters
    ----------
    parameters : iterable of Parameter
        They require gradients until `restore` is called.
    """

    def __init__(self, parameters):
        self.parameters = list(parameters)
        self.loss, self.first = math.inf, self._values()
        self.best = self.first
        for p in self.parameters:
            p.requires_grad_(True)

    def update(self, loss):
        """Record the loss of the current values."""
        if loss < self.loss:
            self.loss, self.best = loss, self._values()

    @torch.no_grad()
    def restore(self):
        """Set the best values, and stop requiring gradients."""
        for p, q in zip(self.parameters, self.best, strict=True):
            p.copy_(q)
            p.requires_grad_(False)

    def _values(self):
        return [p.detach().clone() for p in self.parameters]
