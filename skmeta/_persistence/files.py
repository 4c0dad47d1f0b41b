"""`save` and `load`: an estimator as one file that no code is in."""

import hashlib
import json
import os
import secrets
import warnings
from contextlib import contextmanager
from pathlib import Path

import sklearn
import torch
from safetensors import safe_open
from safetensors.numpy import save as to_bytes

from .._utils.torch_state import own_torch
from .._utils.versioning import warn_of_version
from .._version import __version__
from ..exceptions import SavedFileError
from .estimators import read_estimator, write_estimator
from .values import Reader, Writer

FORMAT = 1
"""Format of the files that are written, and the newest that can be read."""


def save(estimator, path, *, include_rows=True):
    """Save an estimator as one file that no code is in.

    State change: none. The file has the safetensors format: arrays, and JSON that says
    what they are. Estimators of scikit-learn inside are written by skops. It is written
    next to ``path`` and takes its place when it is complete; if anything fails, what
    was there stays.

    Parameters
    ----------
    estimator : estimator
        New, meta-fitted or adapted: any of the meta-learners, of `skmeta.baselines`, or
        a pipeline with such steps.
    path : str or path-like
        Of the file; one that is there is replaced.
    include_rows : bool, default=True
        Whether rows of tasks may be in the file. Those of the task adapted to are
        needed to predict for it, unless the estimator is a mixed-effects model; those
        of the meta-training tasks, if the base learner is an estimator, which is
        trained on some of them, or if the pooled estimator keeps them (neighbours,
        kernel machines).

    Raises
    ------
    ValueError
        If ``include_rows=False`` and the estimator cannot predict without its rows; if
        it has parts that cannot be written without code; or if its parameters are not
        valid, or not those that it was meta-fitted with.
    OSError
        If the file cannot be written.

    Warns
    -----
    UserWarning
        If ``callbacks``, ``augmentation`` or attributes that the user has set are left
        out; or if an estimator inside is made of types that `load` takes only as
        ``trusted``.

    See Also
    --------
    load : The way back.

    Notes
    -----
    Names of tasks, columns and classes are in the file, and so is what was learned:
    weights, the fitted pooled estimator, an embedding of each meta-training task. Names
    may be dates, times, UUIDs or decimals; times of pandas come back as Python's, which
    are equal to them. Of a torch module as ``embedding`` only the weights are saved,
    and `load` asks for the module.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skmeta import AttentionMetaRegressor, load, save
    >>> path = Path(tempfile.mkdtemp()) / "learner.safetensors"
    >>> save(AttentionMetaRegressor(n_layers=1), path)
    >>> load(path)
    AttentionMetaRegressor(n_layers=1)
    """
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"There is no folder {path.parent} to save {path.name} in; make it first."
        )
    writer = Writer(include_rows)
    node = write_estimator(writer, estimator)
    if writer.unknown:
        _warn_of_unknown(writer.unknown)
    metadata = {
        "format": "skmeta",
        "format_version": str(FORMAT),
        "skmeta": __version__,
        "scikit-learn": sklearn.__version__,
        "torch": torch.__version__,
        "estimator": json.dumps(node),
    }
    metadata["sha256"] = digest(metadata, writer.arrays)
    data = to_bytes(writer.arrays, metadata)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _warn_of_unknown(parts):
    """Say which types `load` has to be told of, and in which parts they are."""
    first, *others = parts
    types = sorted(set().union(*parts.values()))
    more = f" and {len(others)} other parts" if others else ""
    warnings.warn(
        f"The file holds objects of the types {types}, in {first}{more}, which are not "
        f"known to be safe. Load it by load(path, trusted={types}), where these can be "
        "imported. Tasks named by strings, numbers or dates need none.",
        UserWarning,
        stacklevel=3,
    )


def load(path, *, embedding=None, trusted=()):
    """Load an estimator that `save` has written; no code of the file is run.

    Parameters
    ----------
    path : str or path-like
    embedding : torch module, class of one, or callable that makes one, default=None
        Where the estimator was saved with an ``embedding``: what that was. Its weights
        come from the file.
    trusted : sequence of str, default=()
        Full names of types, in addition to those known to be safe, that may be
        imported and built for an estimator inside. Give none that you do not know.

    Returns
    -------
    estimator : estimator
        In the state that it was saved in. It predicts the same, bit for bit, with the
        same versions on the same kind of machine.

    Raises
    ------
    SavedFileError
        A `ValueError`, nothing being changed: if the file is damaged, is none of
        `save`, is of a newer format, needs ``embedding`` or ``trusted``, or its parts
        do not belong together.
    OSError
        If there is no such file, or it cannot be read.

    Warns
    -----
    InconsistentVersionWarning
        If another version of skmeta, or of scikit-learn, has saved it.

    See Also
    --------
    save : The way there.

    Notes
    -----
    A file may still hold any model: that no code is run says nothing of its
    predictions. Load files of those whose predictions you would trust.
    """
    if embedding is not None and not callable(embedding):
        raise ValueError(
            "embedding must be a torch module, a class of one, or a callable that "
            f"makes one. Got {embedding!r}."
        )
    path = Path(path)
    if path.exists() and not path.is_file():
        raise SavedFileError(f"{path} is no file.")
    path.open("rb").close()  # an OSError says why it cannot be read
    with _errors_as_saved_file_errors(path):
        metadata, arrays = _read(path)
        reader = Reader(arrays, trusted)
        with own_torch():
            node = json.loads(metadata["estimator"])
            estimator = read_estimator(reader, node, embedding)
        if reader.unread:
            raise SavedFileError(
                f"it has arrays of no use, {sorted(reader.unread)[:3]}"
            )
    warn_of_version(type(estimator).__name__, metadata["skmeta"], stacklevel=3)
    return estimator


@contextmanager
def _errors_as_saved_file_errors(path):
    try:
        yield
    except SavedFileError as error:
        message = f"{path} cannot be loaded: {error}".rstrip(".") + "."
        raise SavedFileError(message) from error
    except Exception as error:  # that wrong values raise wherever they are used
        why = f"{type(error).__name__}: {error}"
        raise SavedFileError(
            f"{path} is damaged, or was not written by skmeta.save: {why}"
        ) from error


def _read(path):
    """Metadata and arrays of a file that `save` wrote and that is not damaged."""
    with safe_open(path, "numpy") as file:
        names, metadata = file.keys(), file.metadata() or {}
        arrays = {name: file.get_tensor(name).copy() for name in names}
    if metadata.get("format") != "skmeta":
        raise SavedFileError("it was not written by skmeta.save")
    version = metadata["format_version"]
    if int(version) > FORMAT:
        raise SavedFileError(
            f"it was written by skmeta {metadata['skmeta']}, in the format {version}; "
            f"this is skmeta {__version__}, which knows formats up to {FORMAT}. "
            "Install a newer version"
        )
    if metadata.pop("sha256") != digest(metadata, arrays):
        raise ValueError("its content is not what was written. Get a new copy")
    return metadata, arrays


def digest(metadata, arrays):
    """SHA-256 of all that a file holds."""
    found = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        found.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        found.update(array.tobytes())
    return found.hexdigest()
