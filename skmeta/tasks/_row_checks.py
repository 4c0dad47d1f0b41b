"""Validation of the rows that estimators are given, shared by all of them."""

import warnings

import numpy as np
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _check_sample_weight,
    _get_feature_names,
    check_array,
    check_X_y,
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
    """Validate rows, and targets where there are any.

    As scikit-learn's ``validate_data``, but for rows without column names, which are
    as good as rows with them: what a task of a named collection gives as ``X`` is an
    array.

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
        That rows must have, where they may have more than one dimension.
    allow_nd : bool
        Whether they may.
    allow_nan : bool
        Whether values of ``X`` may be missing.

    Returns
    -------
    X : ndarray, or (X, y) where ``y`` was given
    """
    given, names = X, column_names(X)
    if not reset and _get_feature_names(X) is not None:
        _check_feature_names(estimator, X, reset=False)
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
        y = y if y is None else labels(y)  # None is refused in scikit-learn's words
        if numeric:
            refuse_text(estimator, y)
        X, y = check_X_y(X, y, **settings)
    if allow_nd and row_shape is not None and X.shape[1:] != row_shape:
        raise ValueError(
            f"X has rows of shape {X.shape[1:]}, but {type(estimator).__name__} is "
            f"expecting rows of shape {row_shape}, as in meta_fit or fit."
        )
    _check_n_features(estimator, X, reset=reset)
    if reset:
        _check_feature_names(estimator, given, reset=True)
    return X if y is NO_TARGETS else (X, y)


def validate_weights(sample_weight, X):
    """Weights of rows, (n_rows,); all may be 0, which scikit-learn's check refuses."""
    given = None if sample_weight is None else np.asarray(sample_weight)[()]
    none_counts = given is not None and not np.any(given)
    if none_counts:
        sample_weight = np.ones_like(given, np.float64)[()]
    weight = _check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )
    return np.zeros_like(weight) if none_counts else weight


def refuse_text(estimator, y):
    """Raise for targets that are text where numbers are predicted."""
    if y is not None and y.dtype.kind in "OU":
        raise ValueError(
            f"y holds {np.unique(y)[:3].tolist()}, and {type(estimator).__name__} "
            f"predicts numbers. {FOR_LABELS}"
        )


def refuse_text_tasks(tasks):
    """Raise for tasks whose targets are text where numbers are predicted."""
    if tasks.y.dtype.kind == "U":
        raise ValueError(
            f"The targets of the tasks are text, as {str(tasks.y[0])!r} in task "
            f"{tasks.names[0]!r}, and a regressor predicts numbers. {FOR_LABELS}"
        )


def check_label_type(y, known):
    """Raise for labels that are text where those known are numbers, or the reverse."""
    text = [some.dtype.kind in "OU" for some in (y, known)]
    if text[0] != text[1] and len(y) and len(known):
        sorts = ("numbers", "text")
        raise ValueError(
            f"Labels {np.unique(y)[:5].tolist()} are {sorts[text[0]]}, and the classes "
            f"are {np.unique(known)[:5].tolist()}, {sorts[text[1]]}. Give labels of "
            "one type: convert them with y.astype."
        )


def warn_of_one_class(estimator, classes):
    """Warn of a meta-training that has seen one class."""
    if len(classes) == 1:
        warnings.warn(
            f"All rows of all tasks have the one class {classes.tolist()[0]!r}: this "
            f"{type(estimator).__name__} has nothing to distinguish, and predicts it "
            "with probability 1 for every row. Give tasks that show other classes too.",
            UserWarning,
            stacklevel=level_of_caller(),
        )
