"""Conversion of rows and targets, of any array-like, to arrays of numbers or text.

Used by tasks, and by `fit` and `predict` of all estimators. Numeric arrays are not
copied. Every error begins with `where`, which names the task, or is empty.
"""

from decimal import Decimal
from numbers import Real

import numpy as np
from scipy.sparse import issparse

NUMERIC = "biuf"
ENCODE = "Encode it (pandas.get_dummies, sklearn's OneHotEncoder)"


class NotNumericError(TypeError, ValueError):
    """An object among the values of X is neither a number nor text.

    scikit-learn's estimator checks want a `TypeError`; other columns that are not
    numeric give a `ValueError`.
    """


def named(name):
    """The beginning of a message about the task called `name`."""
    return "" if name is None else f"Task {name!r}: "


def is_frame(X):
    """Whether `X` is a pandas or polars DataFrame (or one that looks the same)."""
    return hasattr(X, "to_numpy") and hasattr(X, "columns")


def frame_columns(frame):
    """The name and the values of each column of a frame, of either library."""
    for j, name in enumerate(frame.columns):
        yield name, frame.iloc[:, j] if hasattr(frame, "iloc") else frame[:, j]


def float_dtype(dtypes):
    """The dtype that numbers are stored in: the widest of float32 and float64."""
    kept = (np.dtype(np.float32), np.dtype(np.float64))
    return np.result_type(*(d if d in kept else np.float64 for d in dtypes))


def to_array(values, what, where=""):
    """`values`, a Series or any array-like, as an ndarray; missing numbers are NaN."""
    if isinstance(values, list | tuple) and any(map(np.ma.isMaskedArray, values)):
        values = np.ma.array(values)
    if np.ma.isMaskedArray(values):
        return _unmasked(values)
    if not hasattr(values, "to_numpy"):
        try:
            array = np.asarray(values)
        except ValueError as error:
            raise ValueError(f"{where}{what} is not an array: {error}") from error
        if array.dtype.kind == "U" and isinstance(values, list | tuple):
            return np.asarray(values, dtype=object)  # keeps a NaN among strings a NaN
        return array
    array = values.to_numpy()
    kind = getattr(getattr(values, "dtype", None), "kind", "O")
    if array.dtype == object and kind in NUMERIC:  # a nullable pandas Series
        array = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return array


def _unmasked(values):
    """A masked array as one whose masked cells are missing: NaN, or None."""
    if not np.ma.is_masked(values):
        return values.data
    if values.dtype.kind in NUMERIC:
        return values.astype(float_dtype([values.dtype])).filled(np.nan)
    objects = values.data.astype(object)
    objects[np.ma.getmaskarray(values)] = None
    return objects


def first_missing(values):
    """The position of the first None, NaN, NaT or NA in `values` (n,), or None."""
    if values.dtype == object:
        absent = _where(_is_missing, values)
    elif values.dtype.kind in "fmM":
        absent = np.isnan(values)
    else:
        return None
    return int(np.argmax(absent)) if absent.any() else None


def _where(holds, values):
    """Mask of the objects (n,) that ``holds`` is true of."""
    return np.fromiter(map(holds, values), dtype=bool, count=len(values))


def _is_missing(value):
    if isinstance(value, float | np.floating | Decimal):
        return value != value
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def _is_number(value):
    if isinstance(value, np.timedelta64):  # which numpy counts among the integers
        return False
    return isinstance(value, Real | Decimal | np.bool_)


def _may_be_number(value):
    return _is_number(value) or value is None or type(value).__name__ == "NAType"


def refuse_sparse(X, where):
    """Raise for a sparse matrix."""
    if issparse(X):
        raise TypeError(f"{where}X is sparse ({X!r}). Make it dense with X.toarray().")


def numbers(X, where=""):
    """Rows as numbers, NaN where missing.

    Objects that are numbers, booleans, None or NA are numbers.

    Parameters
    ----------
    X : array-like of shape (n_rows, ...) or DataFrame

    Returns
    -------
    X : ndarray of shape (n_rows, ...)
        Of a bool, integer or float dtype.
    """
    refuse_sparse(X, where)
    if is_frame(X):
        columns = [_column(*column, where) for column in frame_columns(X)]
        return np.column_stack(columns) if columns else np.empty((len(X), 0))
    X = _from_objects(to_array(X, "X", where))
    if X.dtype.kind not in NUMERIC:
        raise _not_numeric(X, where)
    return X


def _column(name, column, where):
    """One column of a frame as numbers (n_rows,)."""
    values = _from_objects(to_array(column, f"column {name!r} of X", where))
    if values.dtype.kind in NUMERIC:
        return values
    error, holds, why = ValueError, "", ""
    if values.dtype == object:
        row = int(np.argmin(_where(_may_be_number, values)))
        error, why = _why_not(values[row])
        holds = f" and holds {values[row]!r} in row {row}"
    raise error(
        f"{where}column {name!r} of X has dtype {column.dtype}{holds}; X must be "
        f"numeric{why}. {ENCODE}, convert it with astype(float) if it holds numbers, "
        "or leave it out (features=[...] in TaskCollection.from_frame)."
    )


def _from_objects(array):
    """Objects that are all numbers or missing as float64; others unchanged."""
    if array.dtype != object:
        return array
    flat = array.ravel()
    if not _where(_may_be_number, flat).all():
        return array
    absent = _where(_is_missing, flat)
    return np.where(absent, np.nan, flat).astype(np.float64).reshape(array.shape)


def _not_numeric(X, where):
    """The error for an X of dtype object, string, datetime, complex..."""
    error, culprit, why = ValueError, "", ""
    if X.dtype == object and X.ndim:
        at = np.argmin(_where(_may_be_number, X.ravel()))
        row, *column = (int(i) for i in np.unravel_index(at, X.shape))
        value = X[(row, *column)]
        error, why = _why_not(value)
        place = f"column {column[0]}" if len(column) == 1 else f"position {column}"
        culprit = f" ({place} holds {[value]}) in row {row}"
    if X.dtype.kind == "c":
        why = ": Complex data not supported"
    return error(
        f"{where}X has dtype {X.dtype}{culprit}; it must be numeric{why}. Convert it "
        f"with X.astype(float) if it holds numbers. {ENCODE} if it holds categories."
    )


def _why_not(value):
    """The type of error for a value that is no number, and Python's reason."""
    try:
        float(value)
    except TypeError as error:
        return NotNumericError, f": {error}"
    except ValueError:
        pass
    return ValueError, ""


def labels(y, where="", groups=None):
    """Targets as numbers or text, none of them missing.

    Parameters
    ----------
    y : array-like of shape (n_rows,), or (n_rows, 1)
    where : str, default=""
    groups : ndarray of shape (n_rows,), default=None
        The task of each row, if `y` holds the targets of many.

    Returns
    -------
    y : ndarray of the same shape
        Of a bool, integer, float32, float64 or string dtype.
    """
    y = to_array(y, "y", where)
    row = first_missing(y.ravel()) if y.dtype.kind in "Of" else None
    if row is not None:
        if groups is not None and len(groups) == len(y):
            where = named(groups[row : row + 1].tolist()[0])
            at = np.count_nonzero(groups[:row] == groups[row])
        else:
            at = row
        value = y.ravel()[row]
        said = "nan" if y.dtype.kind == "f" else f"missing ({value})"
        raise ValueError(f"{where}y is {said} in row {at}. Drop such rows.")
    if y.dtype == object:
        y = _text_or_numbers(y, where)
    if y.dtype.kind not in NUMERIC + "U":
        raise _no_target(f"dtype {y.dtype}", where)
    return y.astype(float_dtype([y.dtype]), copy=False) if y.dtype.kind == "f" else y


def _text_or_numbers(y, where):
    """Objects that are all text, or all numbers, as an array of these."""
    values = y.ravel().tolist()
    if all(isinstance(value, str) for value in values):
        return y.astype(str)
    if not all(map(_is_number, values)):
        types = sorted({type(value).__name__ for value in values})
        raise _no_target(f"dtype object, values of the types {types}", where)
    found = np.array(values)
    return (found if found.dtype.kind in NUMERIC else y.astype(float)).reshape(y.shape)


def _no_target(what, where):
    way_out = "Convert it with y.astype(float), y.astype(int) or y.astype(str)."
    if any(name in what for name in ("datetime", "date'", "Timestamp")):
        way_out = "Predict a duration, (y - start) / numpy.timedelta64(1, 'D')."
    elif any(name in what for name in ("timedelta", "Timedelta")):
        way_out = "Say in which unit: y / numpy.timedelta64(1, 'D') for days."
    return ValueError(
        f"{where}y has {what}; it must hold numbers or strings. {way_out}"
    )
