"""Validation of the rows that estimators are given, shared by all of them."""

import warnings

import numpy as np
from sklearn.utils.validation import check_array, check_X_y

from .._utils.sklearn_private import (
    check_feature_names,
    check_n_features,
    check_sample_weight,
)
from .._utils.warnings import level_of_caller
from ._array_likes import labels, numbers
from ._column_names import column_names
from ._input_checks import check_finite

NO_TARGETS = object()
FOR_LABELS = (
    "Labels are for the classifiers; numbers written as text are converted with "
    "y.astype(float)."
)


def validate_rows(
    estimator,
    X,
    y=NO_TARGETS,
    *,
    reset=False,
    dtype,
    numeric=False,
    row_shape=None,
    allow_nd=False,
    allow_nan=False,
):
    """Validate rows, and targets if there are any.

    As scikit-learn's ``validate_data``, but rows without column names are accepted by
    an estimator that knows names: the ``X`` of a task is an array.

    Parameters
    ----------
    estimator : estimator
    X : array-like of shape (n_rows, n_features), or (n_rows, ...)
    y : array-like of shape (n_rows,), optional
    reset : bool
        Learn the columns from ``X``; else check them.
    dtype : type or tuple of types
    numeric : bool
        Whether ``y`` must be numbers.
    row_shape : tuple of int, optional
        Required shape of a row, where rows may have more than one dimension.
    allow_nd : bool
        Whether they may.
    allow_nan : bool
        Whether values of ``X`` may be missing.

    Returns
    -------
    X : ndarray, or (X, y) where ``y`` was given
    """
    given, names = X, column_names(X)
    if not reset and names:
        check_feature_names(estimator, X, reset=False)
    X = numbers(X)
    check_finite(X, np.empty(0), np.array([0, len(X)]), [None], names)
    settings = {
        "dtype": dtype,
        "estimator": estimator,
        "allow_nd": allow_nd,
        "ensure_all_finite": "allow-nan" if allow_nan else True,
    }
    if y is NO_TARGETS:
        X = check_array(X, input_name="X", **settings)
    else:
        y = y if y is None else labels(y)  # None: scikit-learn's message
        if numeric:
            refuse_text(estimator, y)
        X, y = check_X_y(X, y, **settings)
    if allow_nd and row_shape is not None and X.shape[1:] != row_shape:
        raise ValueError(
            f"X has rows of shape {X.shape[1:]}, but {type(estimator).__name__} is "
            f"expecting rows of shape {row_shape}, as in meta_fit or fit."
        )
    check_n_features(estimator, X, reset=reset)
    if reset:
        check_feature_names(estimator, given, reset=True)
    return X if y is NO_TARGETS else (X, y)


def validate_weights(sample_weight, X):
    """Sample weights (n_rows,); unlike in scikit-learn, all may be 0."""
    given = None if sample_weight is None else np.asarray(sample_weight)[()]
    all_zero = given is not None and not np.any(given)
    if all_zero:
        sample_weight = np.ones_like(given, np.float64)[()]
    weight = check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )
    return np.zeros_like(weight) if all_zero else weight


def refuse_text(estimator, y):
    """Raise for targets that are text, in a regressor."""
    if y is not None and y.dtype.kind in "OU":
        raise ValueError(
            f"y holds {np.unique(y)[:3].tolist()}, and {type(estimator).__name__} "
            f"predicts numbers. {FOR_LABELS}"
        )


def refuse_text_tasks(tasks):
    """Raise for tasks whose targets are text, in a regressor."""
    if tasks.y.dtype.kind == "U":
        raise ValueError(
            f"The targets of the tasks are text, as {str(tasks.y[0])!r} in task "
            f"{tasks.names[0]!r}, and a regressor predicts numbers. {FOR_LABELS}"
        )


def check_label_type(y, known):
    """Raise unless labels and known classes are both text, or both numbers."""
    text = [some.dtype.kind in "OU" for some in (y, known)]
    if text[0] != text[1] and len(y) and len(known):
        types = ("numbers", "text")
        raise ValueError(
            f"Labels {np.unique(y)[:5].tolist()} are {types[text[0]]}, and the classes "
            f"are {np.unique(known)[:5].tolist()}, {types[text[1]]}. Give labels of "
            "one type: convert them with y.astype."
        )


def warn_of_one_class(estimator, classes):
    """Warn if all meta-training rows have the same class."""
    if len(classes) == 1:
        warnings.warn(
            f"All rows of all tasks have the one class {classes.tolist()[0]!r}: this "
            f"{type(estimator).__name__} has nothing to distinguish, and predicts it "
            "with probability 1 for every row. Give tasks that show other classes too.",
            UserWarning,
            stacklevel=level_of_caller(),
        )
