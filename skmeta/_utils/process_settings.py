"""Settings that a process has one of, which its threads set together."""

import threading
from contextlib import ExitStack, contextmanager
from functools import wraps


def set_once(setting):
    """Let any number of threads be inside a setting of the process.

    The first inside sets it, the last resets it.

    Parameters
    ----------
    setting : function that makes a context manager

    Returns
    -------
    shared : function that makes a context manager
        Of the same arguments.
    """
    lock, n_inside, outermost = threading.Lock(), 0, ExitStack()

    @contextmanager
    @wraps(setting)
    def shared(*args):
        nonlocal n_inside
        with lock:
            if n_inside == 0:
                outermost.enter_context(setting(*args))
            n_inside += 1
        try:
            yield
        finally:
            with lock:
                n_inside -= 1
                if n_inside == 0:
                    outermost.close()

    return shared
