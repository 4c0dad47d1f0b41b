"""Values that an estimator holds as JSON and arrays, and back.

A JSON object has one key, which says what it is: a tuple, a dictionary, an array, or
the name of a class in `records`.
"""

import math

import numpy as np
import torch
from sklearn.base import clone

from ..exceptions import SavedFileError
from .records import CLASSES, NAMES, check_fields, field_values
from .scalars import KNOWN, scalar_of, scalar_parts, times
from .skops_io import cannot_be_saved, dumped, holders_of_rows, loaded, unknown_types

MAX_LABELS = 2**28
"""Bytes that an array of labels takes, at most."""


class Writer:
    """Turns values into JSON, and keeps the arrays that the JSON refers to.

    Parameters
    ----------
    include_rows : bool
        Whether estimators may hold training rows.

    Attributes
    ----------
    arrays : dict of str to ndarray
    unknown : dict of str to set of str
        Types that `load` does not trust unless it is told to, by where they are.
    """

    def __init__(self, include_rows):
        self.include_rows, self.arrays, self.unknown = include_rows, {}, {}

    def value(self, value, name, fitted=True):
        """JSON of a value that the file calls ``name``.

        An estimator is written as it was before it was fitted, unless ``fitted``.
        """
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if math.isfinite(value) else {"float": str(value)}
        if kind is list:
            return [self.value(v, f"{name}/{i}") for i, v in enumerate(value)]
        if kind is tuple:
            return {"tuple": self.value(list(value), name)}
        if kind is dict:
            keys = self.value([*value], f"{name}/keys")
            return {"dict": [keys, self.value([*value.values()], name)]}
        if isinstance(value, np.ndarray):
            return self._array(value, name)
        if isinstance(value, str):  # of a subclass, such as a member of a StrEnum
            return str.__str__(value)
        scalar = scalar_parts(value)
        if scalar is not None:
            return {scalar[0]: self.value(scalar[1], name)}
        if isinstance(value, np.bool_ | np.number):
            return {"scalar": self.keep(np.asarray(value), name)}
        if kind is torch.Tensor:
            return {"tensor": self.keep(value.detach().cpu().numpy(), name)}
        if kind is torch.device:
            return {"device": str(value)}
        if kind in NAMES:
            return {NAMES[kind]: self.named(field_values(value), name)}
        return self._object(value, name, fitted)

    def named(self, values, name, fitted=True):
        """JSON of values by their names."""
        return {
            n: self.value(value, f"{name}/{n}", fitted) for n, value in values.items()
        }

    def keep(self, array, name):
        """Keep an array of numbers; returns its name in the file."""
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise ValueError(
                f"{name} is an array of {array.dtype}, which cannot be saved. Use "
                "numbers or strings."
            )
        self.arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
        return name

    def _array(self, array, name):
        if array.dtype.kind in "mM":
            return {"times": [array.dtype.str, self.keep(array.view(np.int64), name)]}
        if array.dtype.kind in "OUS":
            labels = self.value(array.ravel().tolist(), name)
            return {"labels": [array.dtype.str, list(array.shape), labels]}
        if array.flags.f_contiguous and not array.flags.c_contiguous:
            return {"transposed": self.keep(array.T, name)}
        return {"array": self.keep(array, name)}

    def _object(self, value, name, fitted):
        if not fitted and hasattr(value, "get_params") and not isinstance(value, type):
            value = clone(value)
        data = dumped(value, name)
        unknown = unknown_types(data)
        if unknown:
            try:
                loaded(data, unknown)
            except Exception as error:  # that a lambda, or the class's own code, raises
                raise cannot_be_saved(value, name, error) from error
            self.unknown[name] = unknown
        holders = [] if self.include_rows else holders_of_rows(data)
        if holders and (fitted or "FrozenEstimator" in holders):
            raise ValueError(
                f"The fitted {type(value).__name__} ({name}) may hold training rows, "
                f"in {holders}, and cannot predict without. Save with "
                "include_rows=True, or meta-fit with an estimator that is known to "
                "keep none, as linear models and trees are."
            )
        return {"skops": self.keep(np.frombuffer(data, np.uint8), name)}


class Reader:
    """Makes values from what a `Writer` wrote.

    Parameters
    ----------
    arrays : dict of str to ndarray
    trusted : sequence of str
        Types that skops may build in addition to those known to be safe.

    Attributes
    ----------
    unread : set of str
        Names of arrays that nothing has referred to yet.
    """

    def __init__(self, arrays, trusted=()):
        self.arrays, self.trusted, self.unread = arrays, trusted, set(arrays)

    def value(self, node):
        """The value of its JSON."""
        if isinstance(node, list):
            return [self.value(part) for part in node]
        if not isinstance(node, dict):
            return node
        ((kind, content),) = node.items()
        if kind in CLASSES:
            values = self.named(content)
            check_fields(CLASSES[kind], values)
            return CLASSES[kind](**values)
        if kind in KNOWN:
            return scalar_of(kind, self.value(content))
        if kind in self._READ:
            return self._READ[kind](self, content)
        raise SavedFileError(f"it has a {kind!r}, which is not known")

    def named(self, node):
        """Values by name."""
        return {name: self.value(part) for name, part in node.items()}

    def take(self, name, finite=True):
        """The array called ``name``, which nothing else may refer to.

        All its numbers are ``finite``, but for the cells of rows.
        """
        if name not in self.unread:
            raise SavedFileError(f"the array {name!r} is missing, or used twice")
        self.unread.remove(name)
        array = self.arrays[name]
        if finite and not name.endswith("/X") and not np.isfinite(array).all():
            raise SavedFileError(f"the array {name!r} holds NaN or infinity")
        return array

    def _labels(self, content):
        dtype, shape, labels = content
        dtype = np.dtype(dtype)
        if dtype.kind not in "OUS" or dtype.itemsize * len(labels) > MAX_LABELS:
            raise SavedFileError(f"it has {len(labels)} labels of the type {dtype}")
        return np.fromiter(self.value(labels), dtype, len(labels)).reshape(shape)

    def _skops(self, name):
        return loaded(self.take(name).tobytes(), self.trusted)

    _READ = {
        "float": lambda self, content: float(content),
        "tuple": lambda self, content: tuple(self.value(content)),
        "dict": lambda self, content: dict(zip(*self.value(content), strict=True)),
        "array": take,
        "transposed": lambda self, name: self.take(name).T,
        "scalar": lambda self, name: self.take(name)[()],
        "tensor": lambda self, name: torch.from_numpy(self.take(name)),
        "device": lambda self, content: torch.device(content),
        "times": lambda self, content: times(self.take(content[1]), content[0]),
        "labels": _labels,
        "skops": _skops,
    }
