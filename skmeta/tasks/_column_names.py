"""Comparison of columns between tasks and estimators.

If both sides have column names, names and order must be the same; if one has none, such
as an array, only the number of columns is compared.
"""

from collections import Counter
from typing import NamedTuple

from ._array_likes import is_frame

MAX_LISTED = 20
"""Names that a message lists, at most."""


class Columns(NamedTuple):
    """The shape of a row, and what its columns are called, or None."""

    row_shape: tuple
    feature_names: tuple | None


def column_names(X, where=""):
    """The column names of a frame as a tuple if all are strings, else None.

    Raises
    ------
    TypeError
        If only some of the names are strings (as scikit-learn does).
    ValueError
        If a name is there twice.
    """
    if not is_frame(X):
        return None
    names = list(X.columns)
    refuse_duplicates(names, f"{where}X")
    strings = [isinstance(name, str) for name in names]
    if all(strings):
        return tuple(str(name) for name in names)
    if any(strings):
        raise TypeError(
            f"Column names must all be strings or none of them; got {names}. Convert "
            "them with X.columns = X.columns.astype(str)."
        )
    return None


def refuse_duplicates(names, what):
    """Raise if a column is there more than once."""
    counts = Counter(names)
    if len(counts) == len(names):
        return
    name, count = counts.most_common(1)[0]
    times = "twice" if count == 2 else f"{count} times"
    raise ValueError(
        f"{what} has the column {name!r} {times} (its columns are {_listed(names)}). "
        "Names must differ: drop or rename one of them; "
        "frame.loc[:, ~frame.columns.duplicated()] keeps the first."
    )


def check_columns(found, known, words, *, alike=False, otherwise=""):
    """Raise unless the columns found are those known.

    Parameters
    ----------
    found, known : Columns, or others with `row_shape` and `feature_names`
    words : pair of str
        Whose columns they are: "task 3 has" and "the tasks have".
    alike : bool, default=False
        Whether both must have names, or neither.
    otherwise : str, default=""
        Another way to solve it, for the message.
    """
    names = found.feature_names, known.feature_names
    unnamed = None in names
    if names[0] == names[1] or (unnamed and not alike):
        if found.row_shape == known.row_shape:
            return
        of_found, of_known = _shaped(found.row_shape), _shaped(known.row_shape)
        way_out = "the same features"
    else:
        of_found, of_known = map(_named, names)
        way_out = "the same columns in the same order, X[names]"
    one = words[0][0].upper() + words[0][1:]
    difference = "" if unnamed else _difference(*names)
    raise ValueError(
        f"{one} {of_found}, but {words[1]} {of_known}.{difference} Give {way_out}"
        f"{otherwise}."
    )


def check_learned(found, known, estimator):
    """Raise unless tasks have the columns that an estimator was meta-fitted on.

    Parameters
    ----------
    found : Columns
    known : Columns or None
        None where it was not meta-fitted.
    estimator : estimator
    """
    if known is None:
        return
    name, shapes = type(estimator).__name__, (found.row_shape, known.row_shape)
    unnamed = None in (found.feature_names, known.feature_names)
    if unnamed and shapes[0] != shapes[1] and len(shapes[0]) == len(shapes[1]) == 1:
        raise ValueError(  # as scikit-learn says it
            f"X has {shapes[0][0]} features, but {name} is expecting {shapes[1][0]} "
            "features, as in meta_fit."
        )
    check_columns(found, known, ("the tasks have", f"{name} was meta-fitted on"))


def width(row_shape):
    """How many features a row has, in words."""
    if len(row_shape) == 1:
        return f"n_features={row_shape[0]}"
    return f"row_shape={row_shape}"


def _shaped(row_shape):
    return width(row_shape) if len(row_shape) == 1 else f"rows of shape {row_shape}"


def _named(names):
    return "no column names" if names is None else f"the columns {_listed(names)}"


def _listed(names):
    """A list of names, the first of them where they are many."""
    if len(names) <= MAX_LISTED:
        return f"{list(names)}"
    shown = ", ".join(map(repr, names[:MAX_LISTED]))
    return f"[{shown}, ...] ({len(names)} columns)"


def _difference(found, known):
    """Where two tuples of names differ first, in words."""
    if found == known:
        return ""
    shorter = min(len(found), len(known))
    at = next((i for i in range(shorter) if found[i] != known[i]), shorter)
    one, other = (
        repr(names[at]) if at < len(names) else "nothing" for names in (found, known)
    )
    said = f"at position {at} is {one} in place of {other}"
    if sorted(map(str, found)) == sorted(map(str, known)):
        return f" The names are the same in another order: {said}."
    return f" The first difference: {said}."
