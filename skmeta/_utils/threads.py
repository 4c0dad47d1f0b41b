"""As few threads as pay, and as many as before in the end."""

import threading
from contextlib import contextmanager

import torch
from threadpoolctl import ThreadpoolController

from .process_settings import set_once

_lock, _inside = threading.Lock(), threading.local()
_n_inside, _outside = 0, None


@contextmanager
def single_thread():
    """Run torch on one thread, fastest for small tensors, and as before after.

    The number of threads is a thread's own, but one that asks for the first time takes
    that of the thread that set it last. So what was before is what the first of those
    inside has seen.
    """
    global _n_inside, _outside
    if getattr(_inside, "here", False):
        yield
        return
    with _lock:
        found = torch.get_num_threads()
        if _n_inside == 0:
            _outside = found
        _n_inside += 1
        _inside.here, before = True, _outside
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _n_inside -= 1
            _inside.here = False
            torch.set_num_threads(before)


@contextmanager
def single_pool_thread():
    """Run what numpy and scikit-learn compute with on one thread, as before after.

    OpenMP's number is a thread's own, that of BLAS the process's. threadpoolctl lets
    only one thread at a time set it, until the limits of that thread end, so those of
    OpenMP are around those of BLAS.
    """
    pools = ThreadpoolController()
    with pools.select(user_api="openmp").limit(limits=1), _single_blas_thread(pools):
        yield


@set_once
@contextmanager
def _single_blas_thread(pools):
    limits = pools.select(user_api="blas").limit(limits=1)
    yield
    limits.restore_original_limits()
