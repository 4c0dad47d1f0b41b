"""What the caller has set of torch plays no part, and is as it was after each call."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge

from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    SelfAttentionMetaRegressor,
    TransformerMetaClassifier,
    TransformerMetaRegressor,
    load,
    save,
)
from skmeta._utils.torch_state import own_torch
from skmeta.baselines import PooledClassifier, PooledRegressor
from skmeta.datasets import make_classification_tasks, make_linear_tasks

pytestmark = pytest.mark.usefixtures("quick_training")

MODELS = {
    "attention": AttentionMetaRegressor(pooled_estimator=None),
    "mlp": AttentionMetaRegressor("mlp", None),
    "forest": AttentionMetaRegressor(RandomForestRegressor(5, random_state=0), None),
    "self-attention": SelfAttentionMetaRegressor(pooled_estimator=None),
    "transformer": TransformerMetaRegressor(pooled_estimator=Ridge()),
    "classes": TransformerMetaClassifier(pooled_estimator=None),
    "own classes": AttentionMetaClassifier(shared_classes=False),
    "gp baseline": PooledRegressor(Ridge(), adapt="gp", random_state=0),
    "latent gp baseline": PooledClassifier(adapt="gp", random_state=0),
}
SETTINGS = {
    "default type": lambda: default_type(torch.float64),
    "default half": lambda: default_type(torch.bfloat16),
    "default device": lambda: torch.device("meta"),
    "no gradients": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
}


@contextmanager
def default_type(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def state():
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_num_threads(),
        torch.get_rng_state().device.type != "meta" and torch.initial_seed(),
    )


def run(model, tiny):
    """All that a model predicts, of a task adapted to and before."""
    model = clone(model)
    if hasattr(model, "max_epochs"):
        model.set_params(**tiny | {"task_attention": False})
    has_classes = hasattr(model, "predict_proba")
    make = make_classification_tasks if has_classes else make_linear_tasks
    tasks = make(16, 20, 3, random_state=0)
    model.meta_fit(tasks[:15])
    X, y = tasks[15].X, tasks[15].y
    model.fit(X[:8], y[:8])
    holey = X.copy()
    if hasattr(model, "max_epochs"):
        holey[::2, 0] = np.nan
    if has_classes:
        return [model.predict_proba(holey)]
    found = [*model.predict(holey, return_std=True)]
    if hasattr(model, "sample_y"):
        episode = (X[:8], y[:8], holey)
        found += [model.sample_y(holey, 2), model.transform(holey)]
        found += [model.support_attention(holey), model.task_embedding_]
        found += model.predict_episodes([episode])
    if hasattr(model, "add_tasks"):
        found += [model.contributions(holey), model.relations(tasks[:2])]
        found += [model.add_tasks({"more": tasks[15]}).task_embeddings_]
    return found


@pytest.fixture(scope="module")
def expected():
    return {}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_what_is_set_plays_no_part(name, setting, tiny, expected):
    if name not in expected:
        expected[name] = run(MODELS[name], tiny)
    with SETTINGS[setting]():
        before = state()
        found = run(MODELS[name], tiny)
        assert state() == before
    for one, other in zip(found, expected[name], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("setting", SETTINGS)
def test_files(setting, tiny, tmp_path):
    tasks = make_linear_tasks(12, 12, 3, random_state=0)
    model = SelfAttentionMetaRegressor(pooled_estimator=None, **tiny).meta_fit(tasks)
    model.fit(tasks[0].X, tasks[0].y)
    with SETTINGS[setting]():
        before = state()
        save(model, tmp_path / "model")
        found = load(tmp_path / "model").predict(tasks[0].X)
        assert state() == before
    np.testing.assert_array_equal(found, model.predict(tasks[0].X))


@pytest.mark.parametrize("setting", SETTINGS)
def test_as_before_after_an_error(setting, tiny):
    tasks = make_linear_tasks(12, 12, 3, random_state=0)

    class Broken(RandomForestRegressor):
        def fit(self, X, y, sample_weight=None):
            assert torch.get_default_dtype() == torch.float32
            raise RuntimeError("on purpose")

    model = AttentionMetaRegressor(Broken(), None, **tiny).meta_fit(tasks)
    pooled = AttentionMetaRegressor(pooled_estimator=Broken(), **tiny)
    with SETTINGS[setting]():
        before = state()
        with pytest.raises(RuntimeError, match="on purpose"):
            model.fit(tasks[0].X, tasks[0].y)
        with pytest.raises(RuntimeError, match="on purpose"):
            pooled.meta_fit(tasks)
        assert state() == before


def test_inside_torch_is_as_it_comes():
    with default_type(torch.float64), torch.device("meta"), torch.inference_mode():
        with own_torch(grad=True, one_thread=True):
            one = torch.ones(1)
            assert (one.dtype, one.device.type) == (torch.float32, "cpu")
            assert torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()
            assert torch.get_num_threads() == 1
        assert torch.get_default_dtype() == torch.float64
