"""scikit-learn's own checks of estimators, in the state new with default parameters."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    SelfAttentionMetaClassifier,
    SelfAttentionMetaRegressor,
    TransformerMetaClassifier,
    TransformerMetaRegressor,
)

ESTIMATORS = [
    AttentionMetaRegressor(),
    AttentionMetaClassifier(),
    SelfAttentionMetaRegressor(),
    SelfAttentionMetaClassifier(),
    TransformerMetaRegressor(),
    TransformerMetaClassifier(),
]


@parametrize_with_checks(ESTIMATORS)
@pytest.mark.filterwarnings("ignore::skmeta.NotMetaFittedWarning")
def test_scikit_learn_check(estimator, check):
    check(estimator)
