"""Settings of the whole process that several threads change at the same time."""

import threading
from contextlib import ExitStack, contextmanager
from functools import wraps


def set_once(setting):
    """Make a context manager that sets a setting of the process safe for threads.

    The first thread that enters sets it, the last one that exits resets it.

    Parameters
    ----------
    setting : function that returns a context manager

    Returns
    -------
    shared : function that returns a context manager
        With the same arguments.
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
