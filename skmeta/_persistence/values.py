"""What an estimator holds as JSON and arrays, and back.

JSON that is an object has one key, which says what it is: of a tuple, a dictionary, an
array; or the name of a class of the package, of those that are listed here.
"""

import math
from dataclasses import fields, is_dataclass

import numpy as np
import torch
from sklearn.base import clone

from .._classical.linear_mixed_model import LinearMixedModel, RandomEffects
from .._classical.logistic_mixed_model import LogisticMixedModel
from .._classical.pooled import PooledPredictor
from .._networks.learners.laplace import Posterior
from .._preprocessing.column_reduction import ReducedScaler
from .._preprocessing.missing_values import MissingValues
from .._preprocessing.row_uncertainty import FeatureRange
from .._preprocessing.scaling import ClassCodec, FeatureScaler, TargetScaler
from ..baselines import _mixed_effects
from ..baselines import _pooled as _pooled_baselines
from ..baselines._shared_gp import (
    GaussianProcessPosterior,
    SharedGaussianProcess,
    SharedKernel,
)
from ..baselines._shared_latent_gp import LatentPosterior, SharedLatentProcess
from ..exceptions import SavedFileError
from .scalars import KNOWN, scalar_of, scalar_parts, times
from .skops_io import cannot_be_saved, dumped, holders_of_rows, loaded, unknown_types

CLASSES = {
    kind.__name__: kind
    for kind in (
        FeatureRange,
        FeatureScaler,
        GaussianProcessPosterior,
        LatentPosterior,
        LinearMixedModel,
        LogisticMixedModel,
        MissingValues,
        PooledPredictor,
        RandomEffects,
        ReducedScaler,
        SharedGaussianProcess,
        SharedKernel,
        SharedLatentProcess,
        TargetScaler,
    )
} | {
    "LabelEncoder": ClassCodec,
    "MixedPrior": _mixed_effects._Prior,
    "PooledPrior": _pooled_baselines._Prior,
    "LaplacePosterior": Posterior,
}
NAMES = {kind: name for name, kind in CLASSES.items()}

MAX_LABELS = 2**28
"""Bytes that an array of labels takes, at most."""


class Writer:
    """Turns values into JSON, and keeps the arrays that it speaks of.

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

    def value(self, value, name):
        """JSON of a value that the file calls ``name``."""
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
            keys, values = [*value], [*value.values()]
            return {
                "dict": [self.value(keys, f"{name}/keys"), self.value(values, name)]
            }
        if isinstance(value, np.ndarray):
            return self._array(value, name)
        if isinstance(value, str):  # of a class of its own, as members of StrEnum are
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
            return {NAMES[kind]: self.fields(value, name)}
        return self._object(value, name, fitted=True)

    def fields(self, value, name, but=()):
        """JSON of the fields of a dataclass, or a named tuple, without some."""
        if is_dataclass(value):
            names = [field.name for field in fields(value)]
        else:
            names = value._fields
        values = {n: getattr(value, n) for n in names if n not in but}
        return self.named(values, name)

    def named(self, values, name):
        """JSON of values by their names."""
        return {n: self.value(value, f"{name}/{n}") for n, value in values.items()}

    def parameter(self, value, name):
        """JSON of a parameter; of an estimator, as it was before it was fitted."""
        if hasattr(value, "get_params") and not isinstance(value, type):
            return self._object(clone(value), name, fitted=False)
        return self.value(value, name)

    def keep(self, array, name):
        """Keep an array of numbers, and say what it is called."""
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
        data = dumped(value, name)
        unknown = unknown_types(data)
        if unknown:
            self._check_loads(value, name, data, unknown)
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

    @staticmethod
    def _check_loads(value, name, data, trusted):
        """Refuse what cannot be read again whatever is trusted, such as a lambda."""
        try:
            loaded(data, trusted)
        except Exception as error:  # whatever a class does that is made anew
            raise cannot_be_saved(value, name, error) from error


class Reader:
    """Makes values of what a `Writer` wrote.

    Parameters
    ----------
    arrays : dict of str to ndarray
    trusted : sequence of str
        Types that skops may build next to those known to be safe.

    Attributes
    ----------
    unread : set of str
        Names of arrays that nothing has spoken of yet.
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
            return CLASSES[kind](**self.fields(content))
        if kind in KNOWN:
            return scalar_of(kind, self.value(content))
        match kind:
            case "float":
                return float(content)
            case "tuple":
                return tuple(self.value(content))
            case "dict":
                return dict(zip(*map(self.value, content), strict=True))
            case "array":
                return self.take(content)
            case "transposed":
                return self.take(content).T
            case "scalar":
                return self.take(content)[()]
            case "tensor":
                return torch.from_numpy(self.take(content))
            case "device":
                return torch.device(content)
            case "times":
                return times(self.take(content[1]), content[0])
            case "labels":
                return self._labels(*content)
            case "skops":
                return loaded(self.take(content).tobytes(), self.trusted)
        raise SavedFileError(f"it has a {kind!r}, which is nothing known")

    def fields(self, node):
        """Values by name."""
        return {name: self.value(part) for name, part in node.items()}

    def take(self, name, finite=True):
        """The array of a name, which nothing else may speak of.

        All its numbers are ``finite``, but for the cells of rows.
        """
        if name not in self.unread:
            raise SavedFileError(f"the array {name!r} is missing, or used twice")
        self.unread.remove(name)
        array = self.arrays[name]
        if finite and not name.endswith("/X") and not np.isfinite(array).all():
            raise SavedFileError(f"the array {name!r} holds NaN or infinity")
        return array

    def _labels(self, dtype, shape, labels):
        dtype = np.dtype(dtype)
        if dtype.kind not in "OUS" or dtype.itemsize * len(labels) > MAX_LABELS:
            raise SavedFileError(f"it has {len(labels)} labels of the type {dtype}")
        return np.fromiter(self.value(labels), dtype, len(labels)).reshape(shape)
