"""What is meta-trained, what is put around it, and its compilation."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from skmeta import AttentionMetaRegressor
from skmeta._networks.encoders.task_encoder import TransformerEncoder
from skmeta._networks.learners.gp_regression import GaussianProcessRegression
from skmeta._networks.learners.kernel_averaging import KernelAveragingLearner
from skmeta._networks.learners.row_decoder import RowDecodingLearner
from skmeta._networks.relations.relations import RelatedLearner
from skmeta._training import validation as validation
from skmeta._training.meta_training import select_adaptation

pytestmark = pytest.mark.usefixtures("quick_training")

TRANSFORMERS = ["regressor-transformer", "binary-transformer"]
transformers = pytest.mark.parametrize("name", TRANSFORMERS)


# What is around the base learner


def test_learners_around_the_process(meta_fitted):
    network = meta_fitted.original("regressor-transformer").meta_state_.network
    assert isinstance(network.encoder, TransformerEncoder)
    learners, learner = [], network.learner
    while hasattr(learner, "base"):
        learners.append(type(learner))
        learner = learner.base
    assert learners == [RelatedLearner, KernelAveragingLearner, RowDecodingLearner]
    assert type(learner) is GaussianProcessRegression
    assert network.core() is learner


@transformers
def test_network_as_trained_keeps_the_row_decoder_alone(name, meta_fitted):
    network = meta_fitted.original(name).meta_state_.network
    trained = network.meta_trained_part()
    assert type(trained.learner) is RowDecodingLearner
    assert trained.learner.base is trained.core() is network.core()
    assert trained.encoder is network.encoder
    again = trained.meta_trained_part()
    assert again.learner is trained.learner


@pytest.mark.parametrize("name", ["regressor", "three", "regressor-related"])
def test_network_as_trained_of_other_systems(name, meta_fitted):
    network = meta_fitted.original(name).meta_state_.network
    assert network.meta_trained_part().learner is network.core()


# An adaptation that is made again


@transformers
def test_adaptation_after_pickling_is_the_same(name, meta_fitted):
    estimator = meta_fitted(name)
    X, y, X_query = meta_fitted.task(name, n_support=8)
    before = meta_fitted.predict(estimator.fit(X, y), X_query)
    loaded = pickle.loads(pickle.dumps(estimator))
    assert not hasattr(loaded, "_adapted")
    after = meta_fitted.predict(loaded, X_query)
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-6)


# Compilation


class Compiler:
    """Stands for ``torch.compile``; an eager backend does nothing."""

    def __init__(self, breaks=None):
        self.breaks, self.n_calls = breaks, 0

    def __call__(self, function, *args, backend="inductor", **kwargs):
        if self.breaks == "at once":
            raise RuntimeError("torch.compile is not supported\non this machine")
        if backend == "eager":
            return function

        def compiled(*args, **kwargs):
            self.n_calls += 1
            if self.breaks == "in use" or self.n_calls == self.breaks:
                raise RuntimeError("no C++ compiler found\nby anyone")
            result = function(*args, **kwargs)
            if self.breaks == "backward":
                result.task.register_hook(self.fail)
            return result

        return compiled

    def fail(self, gradient):
        raise RuntimeError("no C++ compiler found\nby anyone")


@pytest.fixture
def linear(tiny):
    return AttentionMetaRegressor("linear", Ridge(), task_attention=False, **tiny)


@pytest.mark.parametrize("breaks", ["at once", "in use", 3, "backward"])
def test_meta_training_goes_on_where_compilation_fails(
    breaks, linear, meta_fitted, monkeypatch
):
    tasks = meta_fitted.tasks("regressor")
    X, y, X_query = meta_fitted.task("regressor")
    before = linear.meta_fit(tasks).fit(X, y).predict(X_query)
    monkeypatch.setattr(torch, "compile", Compiler(breaks))
    linear.set_params(compile=True)
    with pytest.warns(UserWarning, match=r"torch.compile failed \(RuntimeError"):
        linear.meta_fit(tasks)
    assert linear.fit(X, y).predict(X_query).tobytes() == before.tobytes()


def test_compiled_encoder_is_trained_with_and_not_kept(
    linear, meta_fitted, monkeypatch
):
    compiler = Compiler()
    monkeypatch.setattr(torch, "compile", compiler)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linear.set_params(compile=True).meta_fit(meta_fitted.tasks("regressor"))
    n_steps = linear.max_epochs * linear.steps_per_epoch
    n_calls = compiler.n_calls
    assert n_calls == n_steps
    X, y, X_query = meta_fitted.task("regressor")
    assert np.isfinite(linear.fit(X, y).predict(X_query)).all()
    assert compiler.n_calls == n_calls
    pickle.dumps(linear)


def test_nothing_is_compiled_unless_asked_for(linear, meta_fitted, monkeypatch):
    monkeypatch.setattr(torch, "compile", Compiler("at once"))
    linear.meta_fit(meta_fitted.tasks("regressor"))


class Choosy(torch.nn.Module):
    """A learner whose held-out loss a row is what its setting says."""

    adaptation_grid, robust_grid = ((1.0,), (0.5,)), ((0.7,), (0.4,))

    def set_adaptation(self, loss):
        self.loss = loss


class Episode:
    """A batch of four episodes of five query rows."""

    def inputs(self):
        return {}

    def target(self):
        return torch.zeros(4, 5), torch.ones(4, 5)


@pytest.mark.parametrize(("n_tasks", "chosen"), [(5, 0.5), (7, 0.4)])
def test_cautious_choices_take_strong_evidence(n_tasks, chosen, monkeypatch):
    """A gain of .1 a row is .5 a task: of five tasks 2.5 nats, of seven 3.5."""

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.learner = Choosy()

        def forward(self):
            loss = torch.tensor(self.learner.loss).expand(4, 5)
            return loss, torch.ones(4, 5)

    monkeypatch.setattr(
        validation, "row_losses", lambda prediction, *others: prediction[0]
    )
    network = Network()
    select_adaptation(network, [Episode()], n_tasks, "cpu")
    assert network.learner.loss == chosen
    network.learner.robust_grid = ()
    select_adaptation(network, [Episode()], n_tasks, "cpu")
    assert network.learner.loss == 0.5
