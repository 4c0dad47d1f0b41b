"""Batch normalisation after a convolution, as a part of it: faster, and the same."""

import copy
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..._utils.precision import full_float32

NORMS = {
    nn.Conv1d: nn.BatchNorm1d,
    nn.Conv2d: nn.BatchNorm2d,
    nn.Conv3d: nn.BatchNorm3d,
}


@full_float32()
@torch.no_grad()
def folded(module, row_shape):
    """A module that computes the same in fewer steps, or None.

    Convolutions that a batch normalisation follows in an `nn.Sequential` take it over
    (Jacob et al. 2018, Quantization and training of neural networks, sec. 3.2).

    Parameters
    ----------
    module : module
        In evaluation mode, from rows (n, ...) to (n, n_columns); not changed.
    row_shape : tuple of int

    Returns
    -------
    module : module or None
        None where there is nothing to fold, or where rows then come out otherwise:
        the code of ``module`` may go through its layers one by one.
    """
    if not list(_foldable(module)):
        return None
    other = copy.deepcopy(module)
    for layers, i in list(_foldable(other)):
        layers[i] = fuse_conv_bn_eval(layers[i], layers[i + 1])
        layers[i + 1] = nn.Identity()
    drawn = torch.rand(2, *row_shape, generator=torch.Generator().manual_seed(0))
    rows = drawn.to(next(module.parameters()).device)
    same = torch.allclose(other(rows), module(rows), rtol=1e-3, atol=1e-4)
    return other if same else None


def _foldable(module):
    """Each `nn.Sequential`, and place in it, of a convolution that can take over."""
    for layers in module.modules():
        if type(layers) is nn.Sequential:
            for i, (layer, norm) in enumerate(pairwise(layers)):
                follows = type(norm) is NORMS.get(type(layer), ())
                if follows and norm.track_running_stats:
                    yield layers, i
