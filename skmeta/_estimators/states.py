"""The state machine of all estimators that learn across tasks.

*new* -> ``meta_fit`` -> *meta-fitted* -> ``fit`` -> *adapted*. Clones share
``meta_state_``, and each ``fit`` starts from it.
"""

import re
import warnings

import numpy as np
from sklearn.base import BaseEstimator, clone

from .._utils.versioning import Versioned
from .._utils.warnings import level_of_caller
from ..exceptions import NotMetaFittedWarning


class MetaFitted(Versioned):
    """An estimator with the states *new*, *meta-fitted* and *adapted*.

    `meta_fit` sets ``meta_state_``, an immutable object with the attributes

    - ``parameters``: the parameters it depends on, as `_structure` returns them;
    - ``row_shape``, ``feature_names``: shape and column names of a row.

    ``_adaptation`` lists the private attributes that `fit` sets.
    """

    _adaptation = ()

    def _structure(self):
        """The parameters that ``meta_state_`` depends on, as a dict."""
        raise NotImplementedError

    def _publish(self, state):
        """Set the public attributes that are read from a ``meta_state_``."""

    def _take_over(self, state):
        """Change to *meta-fitted* with the given ``meta_state_``."""
        self.meta_state_ = state
        self.n_features_in_ = state.row_shape[0]
        if state.feature_names is not None:
            self.feature_names_in_ = np.array(state.feature_names, dtype=object)
        self._publish(state)

    def _is_meta_fitted(self):
        return "meta_state_" in vars(self)

    def _learned(self):
        """Names of the attributes that `meta_fit` and `fit` set."""
        learned = {name for name in vars(self) if name.endswith("_")} - {"_"}
        learned -= set(self.get_params(deep=False))
        return [*learned, *(n for n in self._adaptation if n in vars(self))]

    def _forget(self):
        """Change to *new*."""
        for name in self._learned():
            delattr(self, name)

    def _parametrized_clone(self):
        """A *new* estimator with the same parameters."""
        return BaseEstimator.__sklearn_clone__(self)

    def __sklearn_clone__(self):
        copy = self._parametrized_clone()
        if self._is_meta_fitted():
            copy._take_over(self.meta_state_)
        return copy

    def _warn_not_meta_fitted(self):
        warnings.warn(
            f"This {type(self).__name__} was not meta-fitted: it learns from these "
            "rows only. Call meta_fit(tasks) first to learn from other tasks.",
            NotMetaFittedWarning,
            stacklevel=level_of_caller(),
        )

    def _check_unchanged(self):
        """Raise if structural parameters were changed after `meta_fit`."""
        then, now = self.meta_state_.parameters, self._structure()
        absent = dict.fromkeys([*then, *now], "not given")
        changed = [
            f"{name}={(absent | now)[name]!r} (meta_fit had {value!r})"
            for name, value in (absent | then).items()
            if comparable(name, (absent | now)[name]) != comparable(name, value)
        ]
        if changed:
            raise ValueError(
                f"Parameters of {type(self).__name__} were changed after meta_fit: "
                f"{'; '.join(changed)}. Set them back, or call meta_fit again."
            )


def comparable(name, value):
    """A comparable form of a parameter; random states of estimators are ignored.

    Base learners that are estimators are all equal, since `fit` trains them.
    """
    if name == "base_learner" and not isinstance(value, str):
        return "an estimator"
    if name == "random_state":  # set by ensembles such as bagging
        value = None
    if hasattr(value, "get_params"):
        value = clone(value)
        names = [n for n in value.get_params() if n.split("__")[-1] == "random_state"]
        value.set_params(**dict.fromkeys(names))
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))  # ignore addresses
