"""Independence from torch's global settings, which are restored afterwards."""

from contextlib import ExitStack, contextmanager

import torch

from .process_settings import set_once
from .threads import single_thread


@contextmanager
def own_torch(*, grad=False, one_thread=False):
    """Context with torch's default settings; those of the caller are restored.

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


@set_once
@contextmanager
def _float32_by_default():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_default_dtype(before)
