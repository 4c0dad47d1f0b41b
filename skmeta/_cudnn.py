"""How cuDNN computes on a GPU, while it is inside, and as before after.

Its switches are the process's: the first inside sets them, the last resets them.
"""

import threading
from contextlib import contextmanager

from torch.backends import cudnn

_lock, _held = threading.Lock(), {}


@contextmanager
def _held_at(owner, name, value):
    """An attribute at a value, for as long as anyone is inside."""
    key = owner, name
    with _lock:
        n_inside, before = _held.get(key, (0, None))
        if n_inside == 0:
            before = getattr(owner, name)
            setattr(owner, name, value)
        _held[key] = n_inside + 1, before
    try:
        yield
    finally:
        with _lock:
            n_inside, before = _held.pop(key)
            if n_inside > 1:
                _held[key] = n_inside - 1, before
            else:
                setattr(owner, name, before)


@contextmanager
def full_float32():
    """Convolve in all of float32, so that a GPU says what a CPU says."""
    if hasattr(cudnn, "conv"):  # since PyTorch 2.9
        with (
            _held_at(cudnn.conv, "fp32_precision", "ieee"),
            _held_at(cudnn.rnn, "fp32_precision", "ieee"),
        ):
            yield
    else:
        with _held_at(cudnn, "allow_tf32", False):
            yield


@contextmanager
def repeatable():
    """Convolve by algorithms that give the same bytes each time."""
    with _held_at(cudnn, "deterministic", True), _held_at(cudnn, "benchmark", False):
        yield
