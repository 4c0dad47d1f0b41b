"""A linear layer for each expert, in one operation."""

import torch
from torch import nn


class ExpertLinear(nn.Module):
    """A linear layer for each of E experts.

    Parameters
    ----------
    n_experts, n_inputs, n_outputs : int
    bias, zero : bool
        ``zero`` initialises it at zero.
    """

    def __init__(self, n_experts, n_inputs, n_outputs, bias=True, zero=False):
        super().__init__()
        layers = [nn.Linear(n_inputs, n_outputs, bias=bias) for _ in range(n_experts)]
        self.weight = nn.Parameter(torch.stack([one.weight for one in layers]).detach())
        self.bias = None
        if bias:
            self.bias = nn.Parameter(torch.stack([one.bias for one in layers]).detach())
        if zero:
            for parameter in self.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x):
        """Outputs (E * B, ..., n_outputs) of inputs (E * B, ..., n_inputs)."""
        n_experts, n_rows = len(self.weight), x.shape[:-1].numel()
        flat = x.reshape(n_experts, n_rows // n_experts, x.shape[-1])
        if self.bias is None:
            out = flat @ self.weight.mT
        else:
            out = torch.baddbmm(self.bias[:, None], flat, self.weight.mT)
        return out.view(*x.shape[:-1], out.shape[-1])
