"""Convolutions in all of float32, where a GPU would round their inputs."""

import threading
from contextlib import contextmanager

from torch.backends import cudnn

if hasattr(cudnn, "conv"):  # since PyTorch 2.9
    _SWITCHES = [(part, "fp32_precision", "ieee") for part in (cudnn.conv, cudnn.rnn)]
else:
    _SWITCHES = [(cudnn, "allow_tf32", False)]

_lock, _n_inside, _before = threading.Lock(), 0, None


@contextmanager
def full_float32():
    """Let a GPU say what a CPU says, to float32's precision, and be as before after.

    cuDNN's switches are the process's: the first inside sets them, the last resets
    them.
    """
    global _n_inside, _before
    with _lock:
        if _n_inside == 0:
            _before = [getattr(part, name) for part, name, _ in _SWITCHES]
            for switch in _SWITCHES:
                setattr(*switch)
        _n_inside += 1
    try:
        yield
    finally:
        with _lock:
            _n_inside -= 1
            if _n_inside == 0:
                for (part, name, _), value in zip(_SWITCHES, _before, strict=True):
                    setattr(part, name, value)
