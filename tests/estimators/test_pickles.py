"""Pickles: small, of this version, and no dearer for a hundred clones."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.linear_model import Ridge
from skorch.callbacks import LRScheduler

from skmeta import AttentionMetaRegressor, TransformerMetaClassifier
from skmeta.baselines import MixedEffectsRegressor, PooledRegressor
from skmeta.datasets import make_linear_tasks

pytestmark = pytest.mark.usefixtures("quick_training")

ESTIMATORS = [
    AttentionMetaRegressor(),
    TransformerMetaClassifier(),
    PooledRegressor(),
    MixedEffectsRegressor(),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_pickle_of_another_version_warns(estimator, monkeypatch, recwarn):
    name, data = type(estimator).__name__, pickle.dumps(estimator)
    assert repr(pickle.loads(data)) == repr(copy.deepcopy(estimator)) == repr(estimator)
    assert not recwarn.list
    monkeypatch.setattr("skmeta._utils.versioning.__version__", "9.0")
    words = rf"{name} from version 0\.\S+ when using version 9\.0"
    with pytest.warns(InconsistentVersionWarning, match=words):
        loaded = pickle.loads(data)
    assert "_skmeta_version" not in vars(loaded)


def test_pickle_without_a_version_warns():
    state = AttentionMetaRegressor().__getstate__()
    del state["_skmeta_version"]
    with pytest.warns(InconsistentVersionWarning, match="from version unknown"):
        AttentionMetaRegressor().__setstate__(state)


def test_a_hundred_clones_cost_less_than_one_percent_each(meta_fitted):
    estimator = meta_fitted("regressor")
    clones = [clone(estimator) for _ in range(100)]
    states = {id(one.meta_state_) for one in clones}
    assert states == {id(estimator.meta_state_)}
    assert len({id(one.meta_state_) for one in pickle.loads(pickle.dumps(clones))}) == 1
    state = len(pickle.dumps(estimator.meta_state_))
    more = len(pickle.dumps([estimator, *clones])) - len(pickle.dumps([estimator]))
    assert more < 0.01 * 100 * state


def test_no_optimizer_and_no_rows_but_those_of_the_support(meta_fitted, tiny):
    """Some callbacks hold the optimizer that they had to do with."""
    tasks = meta_fitted.tasks("regressor")
    X, y, X_query = meta_fitted.task("regressor")
    estimator = AttentionMetaRegressor("linear", None, **tiny)
    plain = len(pickle.dumps(estimator.meta_fit(tasks)))
    callback = LRScheduler()
    estimator.set_params(callbacks=[callback]).meta_fit(tasks)
    data = pickle.dumps(estimator)
    assert b"torch.optim" in pickle.dumps(callback)
    assert b"torch.optim" not in data
    assert len(data) < plain + 1000
    loaded = pickle.loads(data)
    assert isinstance(loaded.callbacks[0], LRScheduler)
    assert not any(row.tobytes() in data for row in tasks.X)
    adapted = pickle.dumps(estimator.fit(X, y))
    assert all(row.tobytes() in adapted for row in X)
    assert len(adapted) < len(data) + X.nbytes + y.nbytes + 1500
    expected = estimator.predict(X_query).tobytes()
    assert pickle.loads(adapted).predict(X_query).tobytes() == expected


def test_baselines_keep_nothing_a_row():
    """Out-of-fold predictions of the pooled estimator are not kept."""
    few, many = (
        PooledRegressor(Ridge(), "gp", random_state=0).meta_fit(
            make_linear_tasks(n_tasks=5, n_rows=n, n_features=2, random_state=0)
        )
        for n in (10, 200)
    )
    sizes = [len(pickle.dumps(one)) for one in (few, many)]
    assert abs(np.diff(sizes)[0]) < 100
