"""Validation of the rows that estimators are given, shared by all of them."""

import numpy as np
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _get_feature_names,
    check_array,
    check_X_y,
)

from ._task_arrays import frame_columns, is_frame, not_numeric_column

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
    if reset or _get_feature_names(X) is not None:
        _check_feature_names(estimator, X, reset=reset)
    settings = {
        "dtype": dtype,
        "estimator": estimator,
        "allow_nd": allow_nd,
        "ensure_all_finite": "allow-nan" if allow_nan else True,
    }
    try:
        if y is NO_TARGETS:
            X = check_array(X, input_name="X", **settings)
        else:
            X, y = check_X_y(X, y, y_numeric=numeric, **settings)
    except (TypeError, ValueError) as error:
        found = _column_of_others(X)
        if found is None and numeric and y is not NO_TARGETS and _texts(y):
            found = not_numbers(estimator, y)
        if found is None:
            raise
        raise found from error
    if allow_nd and row_shape is not None and X.shape[1:] != row_shape:
        raise ValueError(
            f"X has rows of shape {X.shape[1:]}, but {type(estimator).__name__} is "
            f"expecting rows of shape {row_shape}, as in meta_fit or fit."
        )
    _check_n_features(estimator, X, reset=reset)
    return X if y is NO_TARGETS else (X, y)


def _column_of_others(X):
    """The error for a frame with a column that holds no numbers, or None."""
    if not is_frame(X):
        return None
    for name, column in frame_columns(X):
        values = np.asarray(column)
        if values.dtype.kind in "mM" or not _are_numbers(values):
            return not_numeric_column(name, column.dtype)
    return None


def _are_numbers(values):
    try:
        values.astype(np.float64)
    except (TypeError, ValueError):
        return False
    return True


def not_numbers(estimator, y):
    """The error for targets that hold text where numbers are predicted."""
    return ValueError(
        f"y holds {_texts(y)[:3]}, and {type(estimator).__name__} predicts numbers. "
        + FOR_LABELS
    )


def _texts(y):
    """The texts that ``y`` holds, sorted."""
    values = np.ravel(np.asarray(y, dtype=object))
    return sorted({str(value) for value in values if isinstance(value, str)})
