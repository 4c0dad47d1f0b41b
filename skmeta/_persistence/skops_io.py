"""Any scikit-learn estimator as bytes, by skops, and back: no code is in them.

skops builds objects of types that it trusts alone. It does not trust the trees of
scikit-learn, which follow the places of their nodes without a look, so that a tree made
with intent could read the memory of the process. They are trusted here, where every
node is looked at.

skops imports all of scikit-learn, which takes a second, and so is imported where a file
is written or read.
"""

import json
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from sklearn.gaussian_process import kernels

from .._utils.sklearn_private import tree_types
from ..exceptions import SavedFileError

Tree, TreePredictor = tree_types()

TRUSTED = (
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.utils._bunch.Bunch",
    *(
        f"{kernels.__name__}.{name}"
        for name, kind in vars(kernels).items()
        if isinstance(kind, type) and issubclass(kind, kernels.Kernel)
    ),
)
"""Types that are data and no more, next to those that skops trusts."""

MAX_EXPANSION = 50
"""Times that an estimator in a file is smaller than when it is unpacked, at most."""

WITHOUT_ROWS = (
    "builtins",
    "numpy",
    "scipy.sparse",
    "_loss",  # as scikit-learn 1.6 calls the next
    "sklearn._loss",
    "sklearn.calibration",
    "sklearn.compose",
    "sklearn.decomposition._pca",
    "sklearn.discriminant_analysis",
    "sklearn.dummy",
    "sklearn.ensemble",
    "sklearn.feature_selection",
    "sklearn.frozen",
    "sklearn.impute._base",
    "sklearn.linear_model",
    "sklearn.multiclass",
    "sklearn.naive_bayes",
    "sklearn.neural_network",
    "sklearn.pipeline",
    "sklearn.preprocessing._data",
    "sklearn.preprocessing._encoders",
    "sklearn.preprocessing._label",
    "sklearn.preprocessing._function_transformer",
    "sklearn.preprocessing._polynomial",
    "sklearn.svm._classes.LinearSVC",
    "sklearn.svm._classes.LinearSVR",
    "sklearn.tree",
    "sklearn.utils._bunch",
)
"""Modules, and classes, whose objects are known to keep no row that they saw."""

WITH_ROWS = ("QuantileTransformer",)
"""Those of them that do, or all but do."""


def dumped(value, what):
    """Bytes of an estimator, or of whatever else skops knows; ``what`` it is called.

    Raises
    ------
    ValueError
        If skops cannot write it.
    """
    import skops.io

    try:
        return skops.io.dumps(value, compression=ZIP_DEFLATED)
    except Exception as error:  # whatever an object does that is asked for its state
        raise cannot_be_saved(value, what, error) from error


def cannot_be_saved(value, what, error):
    """The error for a value that is code, or is made again by code alone."""
    why = f"{type(error).__name__}: {error}".splitlines()[0]
    way_out = "Pickle the estimator in place of save, or use another"
    if not hasattr(value, "get_params"):
        way_out += "; where it is the name of a task or class, name it by a string"
    return ValueError(
        f"{what}={value!r} cannot be saved without code ({why}). {way_out}."
    )


def unknown_types(data, trusted=()):
    """Names of types in bytes of `dumped` that are not known to be safe."""
    import skops.io

    found = skops.io.get_untrusted_types(data=data)
    return set(found).difference(TRUSTED, trusted)


def loaded(data, trusted):
    """The object of bytes that `dumped` made, once its trees are looked at.

    Raises
    ------
    SavedFileError
        If it has a type that is not trusted, or is damaged.
    """
    import skops.io

    with ZipFile(BytesIO(data)) as parts:
        sizes = [part.file_size for part in parts.infolist()]
    if sum(sizes) > MAX_EXPANSION * len(data):
        raise SavedFileError(f"an estimator in it would take {sum(sizes)} bytes")
    unknown = unknown_types(data, trusted)
    if unknown:
        raise SavedFileError(
            f"it has objects of the types {sorted(unknown)}, which are not known to be "
            "safe. If you trust whoever made the file, call "
            f"load(path, trusted={sorted(unknown)})"
        )
    value = skops.io.loads(data, trusted=[*TRUSTED, *trusted])
    _check_trees(value, None, set())
    return value


def holders_of_rows(data):
    """Names of the classes that may hold training rows, in bytes of `dumped`."""
    with ZipFile(BytesIO(data)) as parts:
        schema = json.loads(parts.read("schema.json"))
    return sorted(
        name
        for module, name in _classes(schema)
        if name in WITH_ROWS
        or not any(
            f"{module}.{name}.".startswith(f"{known}.") for known in WITHOUT_ROWS
        )
    )


def _classes(schema):
    """Pairs (module, name) of all classes in what skops writes of an object."""
    if isinstance(schema, list):
        return set().union(*map(_classes, schema))
    if not isinstance(schema, dict):
        return set()
    found = set().union(*map(_classes, schema.values()))
    if "__class__" in schema:
        found.add((schema["__module__"], schema["__class__"]))
    return found


def _check_trees(value, n_features, seen):
    """Look at all trees in an object, whose owner has seen ``n_features`` columns."""
    if id(value) in seen or isinstance(value, str | bytes | int | float | None):
        return
    seen.add(id(value))
    n_features = getattr(value, "n_features_in_", n_features)
    if isinstance(value, Tree):
        sides, features = (value.children_left, value.children_right), value.feature
        inner = sides[0] != -1
        _check_nodes(sides, features, inner, min(value.n_features, n_features))
    elif isinstance(value, TreePredictor):
        nodes = value.nodes
        inner = nodes["is_leaf"] == 0
        _check_nodes((nodes["left"], nodes["right"]), nodes["feature_idx"], inner,
                     n_features)  # fmt: skip
        bits = nodes["bitset_idx"][inner & (nodes["is_categorical"] != 0)]
        sets = value.raw_left_cat_bitsets, value.binned_left_cat_bitsets
        if any(len(bits) and bits.max() >= len(some) for some in sets):
            raise SavedFileError("a tree in it has categories that are not there")
    elif isinstance(value, dict):
        for part in value.values():
            _check_trees(part, n_features, seen)
    elif isinstance(value, list | tuple | set):
        for part in value:
            _check_trees(part, n_features, seen)
    elif isinstance(value, np.ndarray):
        if value.dtype == object:
            _check_trees(value.ravel().tolist(), n_features, seen)
    elif hasattr(value, "__dict__") and not isinstance(value, type):
        _check_trees(vars(value), n_features, seen)


def _check_nodes(sides, features, inner, n_features):
    """Children come after their node, and are there; and so are the features."""
    n = len(inner)
    place = np.arange(n)[inner]
    fine = n > 0 and all(
        ((side[inner] > place) & (side[inner] < n)).all() for side in sides
    )
    features = features[inner]
    if not fine or not ((features >= 0) & (features < n_features)).all():
        raise SavedFileError("a tree in it has nodes, or features, that are not there")
