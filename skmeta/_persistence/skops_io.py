"""Any scikit-learn estimator as bytes, by skops, and back: no code is in them.

skops builds objects only of types that it trusts. It does not trust the trees of
scikit-learn: their code follows the indices in the nodes without a check, so that a
tree made on purpose could read the memory of the process. They are trusted here, where
every node is checked.

skops imports all of scikit-learn, which takes a second, and so is imported where a file
is written or read.
"""

import json
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from sklearn.gaussian_process import kernels

from .._utils.sklearn_private import ensemble_types, tree_types
from ..exceptions import SavedFileError

Tree, TreePredictor = tree_types()
BaseForest, BaseGradientBoosting, BaseHistGradientBoosting = ensemble_types()

TRUSTED = (
    "numpy.dot",  # enlarges very small columns
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.compose._column_transformer._RemainderColsList",  # of scikit-learn 1.6
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
"""Types that hold data only, in addition to those that skops trusts."""

MAX_EXPANSION = 50
"""How many times larger than in the file an estimator may be when it is unpacked."""

N_WORDS = 8
"""Words of 32 bits in which a tree keeps a set of at most 256 categories."""

WITHOUT_ROWS = (
    "builtins", "numpy", "scipy.sparse",
    "_loss",  # as scikit-learn 1.6 calls the next
    "sklearn._loss", "sklearn.calibration", "sklearn.compose",
    "sklearn.decomposition._pca", "sklearn.discriminant_analysis", "sklearn.dummy",
    "sklearn.ensemble", "sklearn.feature_selection", "sklearn.frozen",
    "sklearn.impute._base", "sklearn.linear_model", "sklearn.multiclass",
    "sklearn.naive_bayes", "sklearn.neural_network", "sklearn.pipeline",
    "sklearn.preprocessing._data", "sklearn.preprocessing._encoders",
    "sklearn.preprocessing._label", "sklearn.preprocessing._function_transformer",
    "sklearn.preprocessing._polynomial", "sklearn.svm._classes.LinearSVC",
    "sklearn.svm._classes.LinearSVR", "sklearn.tree", "sklearn.utils._bunch",
)  # fmt: skip
"""Modules, and classes, whose objects are known to keep no row that they saw."""

WITH_ROWS = ("QuantileTransformer",)
"""Classes in them that keep rows, or nearly."""


def dumped(value, what):
    """Bytes of an estimator, or of any other object that skops can write.

    ``what`` names it in errors.

    Raises
    ------
    ValueError
        If skops cannot write it.
    """
    import skops.io

    try:
        return skops.io.dumps(value, compression=ZIP_DEFLATED)
    except Exception as error:  # whatever an object raises when asked for its state
        raise cannot_be_saved(value, what, error) from error


def cannot_be_saved(value, what, error):
    """The error for a value that is code, or that only code can make again."""
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
    """The object of bytes that `dumped` made, after its trees are checked.

    Raises
    ------
    SavedFileError
        If it has a type that is not trusted, or is damaged.
    """
    import skops.io

    with ZipFile(BytesIO(data)) as parts:
        size = sum(part.file_size for part in parts.infolist())
    if size > MAX_EXPANSION * len(data):
        raise SavedFileError(f"an estimator in it would take {size} bytes")
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
    classes = set()

    def note(node):
        if "__class__" in node:
            classes.add((node["__module__"], node["__class__"]))

    with ZipFile(BytesIO(data)) as parts:
        json.loads(parts.read("schema.json"), object_hook=note)
    known = tuple(f"{place}." for place in WITHOUT_ROWS)
    return sorted(
        name
        for module, name in classes
        if name in WITH_ROWS or not f"{module}.{name}.".startswith(known)
    )


def _check_trees(value, n_features, seen):
    """Check all trees in an object, whose owner takes ``n_features`` columns."""
    n_features = getattr(value, "n_features_in_", n_features)
    if (id(value), n_features) in seen:
        return
    seen.add((id(value), n_features))
    if isinstance(value, Tree):
        sides, features = (value.children_left, value.children_right), value.feature
        inner = sides[0] != -1
        _check_nodes(sides, features, inner, min(value.n_features, n_features))
        return
    if isinstance(value, TreePredictor):
        nodes = value.nodes
        sides, inner = (nodes["left"], nodes["right"]), nodes["is_leaf"] == 0
        _check_nodes(sides, nodes["feature_idx"], inner, n_features)
        index = nodes["bitset_idx"][inner & (nodes["is_categorical"] != 0)]
        for bits in (value.raw_left_cat_bitsets, value.binned_left_cat_bitsets):
            if bits.shape[1:] != (N_WORDS,) or (index >= len(bits)).any():
                raise SavedFileError("a tree in it has categories that are not there")
        return
    if isinstance(value, BaseForest | BaseGradientBoosting):
        # These do not check the columns of their rows again for each tree.
        trees = np.ravel(getattr(value, "estimators_", []))
        if any(tree.n_features_in_ != n_features for tree in trees):
            raise SavedFileError("a tree in it has features that are not there")
    if isinstance(value, BaseHistGradientBoosting):
        mapper = vars(value).get("_bin_mapper")
        if mapper is not None and len(mapper.is_categorical_) != n_features:
            raise SavedFileError("a tree in it has features that are not there")
    for part in _parts(value):
        _check_trees(part, n_features, seen)


def _parts(value):
    """The objects that an object holds."""
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, list | tuple | set):
        return value
    if isinstance(value, np.ndarray):
        return value.ravel().tolist() if value.dtype == object else ()
    if hasattr(value, "__dict__") and not isinstance(value, type):
        return vars(value).values()
    return ()


def _check_nodes(sides, features, inner, n_features):
    """Children come after their parents and exist, and so do the features."""
    n = len(inner)
    place, features = np.flatnonzero(inner), features[inner]
    if not (
        n > 0
        and all(((side[inner] > place) & (side[inner] < n)).all() for side in sides)
        and ((features >= 0) & (features < n_features)).all()
    ):
        raise SavedFileError("a tree in it has nodes, or features, that are not there")
