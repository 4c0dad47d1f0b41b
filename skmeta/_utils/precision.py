"""Convolutions in full float32 precision on GPUs, without TF32."""

from contextlib import contextmanager

from torch.backends import cudnn

from .process_settings import set_once

if hasattr(cudnn, "conv"):  # since PyTorch 2.9
    _SWITCHES = [(part, "fp32_precision", "ieee") for part in (cudnn.conv, cudnn.rnn)]
else:
    _SWITCHES = [(cudnn, "allow_tf32", False)]


@set_once
@contextmanager
def full_float32():
    """Context in which a GPU computes in full float32 precision, as a CPU does."""
    before = [getattr(part, name) for part, name, _ in _SWITCHES]
    for switch in _SWITCHES:
        setattr(*switch)
    yield
    for (part, name, _), value in zip(_SWITCHES, before, strict=True):
        setattr(part, name, value)
