"""What the caller has set of torch plays no part here, and is as before after."""

import threading
from contextlib import ExitStack, contextmanager

import torch

from ._threads import single_thread

_lock, _n_inside, _before = threading.Lock(), 0, None


@contextmanager
def own_torch(*, grad=False, one_thread=False):
    """Run torch with its own defaults, and as before after.

    Inference mode and autocast are off, new tensors are of float32 on the CPU.

    Parameters
    ----------
    grad : bool, default=False
        Whether gradients are computed.
    one_thread : bool, default=False
        Whether to compute on one thread.
    """
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(_float32_by_default())
        stack.enter_context(torch.set_grad_enabled(grad))
        if one_thread:
            stack.enter_context(single_thread())
        yield


@contextmanager
def _float32_by_default():
    """The default type is the process's: the first inside sets it, the last resets."""
    global _n_inside, _before
    with _lock:
        if _n_inside == 0:
            _before = torch.get_default_dtype()
            torch.set_default_dtype(torch.float32)
        _n_inside += 1
    try:
        yield
    finally:
        with _lock:
            _n_inside -= 1
            if _n_inside == 0:
                torch.set_default_dtype(_before)
