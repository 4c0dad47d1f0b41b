"""Warnings for estimators that were written by another version of the package."""

import warnings

from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning

from .._version import __version__


class Versioned(BaseEstimator):
    """An estimator whose pickles contain the version of the package."""

    def __getstate__(self):
        return super().__getstate__() | {"_skmeta_version": __version__}

    def __setstate__(self, state):
        state = dict(state)
        written_by = state.pop("_skmeta_version", "unknown")
        warn_of_version(type(self).__name__, written_by, stacklevel=3)
        super().__setstate__(state)


def warn_of_version(name, written_by, stacklevel=2):
    """Warn, as scikit-learn does, if another version has written an estimator."""
    if written_by != __version__:
        warnings.warn(
            InconsistentVersionWarning(
                estimator_name=name,
                current_sklearn_version=__version__,
                original_sklearn_version=written_by,
            ),
            stacklevel=stacklevel,
        )
