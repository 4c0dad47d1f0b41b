"""Dataclasses and named tuples that files hold: their names there, and their fields.

Which classes a file may hold, and which values their fields may have, is read from the
annotations of the fields. Their objects hold data and do nothing when they are made.
"""

import math
from dataclasses import is_dataclass
from functools import cache
from numbers import Integral, Real
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
from sklearn.base import BaseEstimator

from .._classical.linear_mixed_model import RandomEffects
from .._networks.learners.laplace import Posterior
from .._preprocessing.scaling import ClassCodec
from .._training.state import MetaState
from ..baselines._priors import MixedPrior, PooledPrior
from ..baselines._shared_gp import GaussianProcessPosterior, LatentPosterior
from ..exceptions import SavedFileError

FORMAT_NAMES = {
    ClassCodec: "LabelEncoder",
    Posterior: "LaplacePosterior",
}
"""What files call a class, if that is not its present name."""

ACCEPTED = {Any: object, BaseEstimator: object, float: Real, int: Integral}
"""Types that are accepted for an annotation, if they are not itself."""


@cache
def field_types(kind):
    """The annotation of each field of a dataclass or named tuple."""
    return get_type_hints(kind)


def _alternatives(annotation):
    return get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)


def _types_in(annotation):
    """The annotation, and those that it is made of."""
    return [annotation, *(kind for a in get_args(annotation) for kind in _types_in(a))]


def _records_in(annotations):
    """Dataclasses and named tuples in annotations, and in those of their fields."""
    found = set()
    for kind in (kind for some in annotations for kind in _types_in(some)):
        if is_dataclass(kind) or (isinstance(kind, type) and "_fields" in vars(kind)):
            found |= {kind} | _records_in(field_types(kind).values())
    return found


NAMES = {
    kind: FORMAT_NAMES.get(kind, kind.__name__)
    for kind in _records_in(
        [
            *field_types(MetaState).values(),
            MixedPrior | PooledPrior,
            RandomEffects | GaussianProcessPosterior | LatentPosterior,
        ]
    )
}
CLASSES = {name: kind for kind, name in NAMES.items()}


def field_values(record):
    """The values of the fields, by name."""
    return {name: getattr(record, name) for name in field_types(type(record))}


def check_fields(kind, values):
    """Refuse values that cannot be those of the fields of a class.

    Raises
    ------
    SavedFileError
        If a value has not the type of its field, is a float that is not finite, or is
        a scale that is not positive.
    """
    for name, value in values.items():
        what = f"the {name} of its {NAMES.get(kind, 'state')}"
        accepted = tuple(
            ACCEPTED.get(one, get_origin(one) or one)
            for one in _alternatives(field_types(kind)[name])
        )
        if not isinstance(value, accepted):
            wanted = " or ".join(one.__name__ for one in accepted)
            raise SavedFileError(f"{what} is a {type(value).__name__}, not a {wanted}")
        element, *more = get_args(field_types(kind)[name]) or (object,)
        if more == [...] and not all(isinstance(one, element) for one in value):
            raise SavedFileError(f"{what} holds what is not a {element.__name__}")
        if isinstance(value, float) and not math.isfinite(value):
            raise SavedFileError(f"{what} is {value}, not finite")
        if name == "scale" and not np.all(value > 0):
            raise SavedFileError(f"{what} is not positive")
