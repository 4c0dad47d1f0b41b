"""Contexts that limit the number of threads."""

import threading
from contextlib import contextmanager

import torch
from threadpoolctl import ThreadpoolController

from .process_settings import set_once

_lock, _inside = threading.Lock(), threading.local()
_n_inside, _outside = 0, None


@contextmanager
def single_thread():
    """Context in which torch runs on one thread, which is fastest for small tensors.

    The number of threads is thread-local, but its initial value in a thread is that of
    the thread that set it last. The number to restore is therefore the one that the
    first thread inside has found.
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
    """Context in which the thread pools of NumPy and scikit-learn have one thread.

    The number of threads of OpenMP is thread-local, that of BLAS is one per process.
    threadpoolctl lets only one thread at a time set the latter, until the limits of
    that thread end, so that the limits of OpenMP enclose those of BLAS.
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
