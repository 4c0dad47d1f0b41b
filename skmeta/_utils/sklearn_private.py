"""The one module that imports scikit-learn's private names.

None of them has a public counterpart, and each may change with a release of
scikit-learn; adapt this module then.
"""

from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import _check_feature_names as check_feature_names
from sklearn.utils.validation import _check_n_features as check_n_features
from sklearn.utils.validation import _check_sample_weight as check_sample_weight

__all__ = [
    "HasMethods",
    "Interval",
    "StrOptions",
    "check_feature_names",
    "check_n_features",
    "check_sample_weight",
    "ensemble_types",
    "safe_indexing",
    "tree_types",
]


def tree_types():
    """The types of fitted trees: ``(Tree, TreePredictor)``.

    Imported on call, since they import all of `sklearn.tree` and `sklearn.ensemble`.
    """
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
    from sklearn.tree._tree import Tree

    return Tree, TreePredictor


def ensemble_types():
    """The base classes of forests, gradient boosting and histogram boosting.

    Imported on call, since they import all of `sklearn.ensemble`.
    """
    from sklearn.ensemble._forest import BaseForest
    from sklearn.ensemble._gb import BaseGradientBoosting
    from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import (
        BaseHistGradientBoosting,
    )

    return BaseForest, BaseGradientBoosting, BaseHistGradientBoosting
