"""What is meta-trained, what is put around it, and its compilation."""

import pickle

import numpy as np
import pytest
import torch

from skmeta import TransformerMetaRegressor
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


class Choosy(torch.nn.Module):
    """A learner whose validation loss per row is its setting."""

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


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.usefixtures("quick_training")
def test_kernels_are_averaged_where_that_is_asked_for(asked, tiny, meta_fitted):
    estimator = TransformerMetaRegressor(
        pooled_estimator=None, kernel_averaging=asked, **tiny
    ).meta_fit(meta_fitted.tasks("regressor"))
    learner = estimator.meta_state_.network.learner.base
    assert isinstance(learner, KernelAveragingLearner) == asked


def test_kernels_are_not_averaged_by_default():
    assert TransformerMetaRegressor().kernel_averaging is False
