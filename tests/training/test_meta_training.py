"""From the initialisation to the trained network: which experts are conditioned."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    TransformerMetaRegressor,
)
from skmeta._networks.learners.network import RBFDropout
from skmeta._training import meta_training
from skmeta._training.expert_weights import MIN_SHARE, mixture, score_experts
from skmeta._training.initialization import initialize
from skmeta._training.loop import QueryLoss
from skmeta._training.meta_training import (
    build_network,
    conditioned_experts,
    select_experts,
)
from skmeta._training.preprocessing import fit_preprocessing
from skmeta._training.split import split_tasks
from skmeta._training.validation import validation_batches
from skmeta.datasets import make_classification_tasks, make_linear_tasks

pytestmark = pytest.mark.usefixtures("quick_training")


def start(tiny, cls=AttentionMetaRegressor, base_learner="auto"):
    """The initialisation, a new network, and what it is trained with."""
    problem = "regression"
    tasks = make_linear_tasks(8, n_rows=12, n_features=2, random_state=0)
    if cls is AttentionMetaClassifier:
        problem = "shared_classes"
        tasks = make_classification_tasks(8, 12, 2, random_state=0)
    model = cls(base_learner, None, n_support=(0, 8), **tiny)
    config = replace(model._config(problem), seed=0)
    split = split_tasks(tasks, None, config, np.random.default_rng(0))
    preprocessing, split = fit_preprocessing(split, config, None)
    init = initialize(split, config)
    return init, build_network(init, config, None), (split, preprocessing, config)


def parameters_of(learner):
    """Of each expert by its name, all in one tensor."""
    return {
        one.name: torch.cat(
            [p[e].detach().flatten().clone() for p in learner.prior.parameters()]
        )
        for e, one in enumerate(learner.experts)
    }


def batches_of(init, n=4):
    rng = np.random.default_rng(0)
    return validation_batches(init.val_episodes, (0, 8), 6, rng, n_episodes=n)


MODELS = AttentionMetaRegressor, AttentionMetaClassifier, TransformerMetaRegressor


@pytest.mark.parametrize("cls", MODELS)
def test_network_begins_with_the_experts_of_the_initialisation(cls, tiny):
    init, network, _ = start(tiny, cls)
    core = network.core()
    assert core.experts == init.learner.experts
    pairs = core.prior.shared_parameters(), init.learner.prior.shared_parameters()
    for one, other in zip(*pairs, strict=True):
        assert torch.equal(one, other)
    weights, others = core.expert_weights, init.learner.expert_weights
    assert torch.equal(weights.logit, others.logit)
    assert torch.equal(weights.slope, others.slope)


@pytest.mark.parametrize("cls", MODELS)
def test_nonlinear_experts_alone_are_conditioned(cls, tiny):
    _, network, _ = start(tiny, cls)
    core = network.core()
    before, weights = parameters_of(core), core.expert_weights.logit.clone()
    linear = {one.name for one in core.experts if one.linear}
    assert 0 < len(linear) < len(core.experts)
    with conditioned_experts(network):
        conditioned = network.core()
        assert conditioned is not core
        nonlinear = tuple(one for one in core.experts if not one.linear)
        assert conditioned.experts == nonlinear
        trained = {id(p) for p in network.parameters()}
        assert not trained & {id(p) for p in core.parameters()}
        assert {id(p) for p in conditioned.parameters()} <= trained
        with torch.no_grad():
            for p in conditioned.parameters():
                p += 1.0
    assert network.core() is core
    assert torch.equal(core.expert_weights.logit, weights)
    for name, after in parameters_of(core).items():
        moved = 0.0 if name in linear else 1.0
        torch.testing.assert_close(after, before[name] + moved)


@pytest.mark.parametrize("base_learner", ["gp", "linear", "mlp"])
def test_experts_of_one_kind_are_conditioned_as_they_are(base_learner, tiny):
    _, network, _ = start(tiny, base_learner=base_learner)
    core = network.core()
    with conditioned_experts(network):
        assert network.core() is core
    assert network.core() is core


@pytest.mark.parametrize("cls", MODELS)
def test_training_changes_the_nonlinear_experts_alone(cls, tiny, monkeypatch):
    init, network, rest = start(tiny, cls)
    predicted = []

    def steps(network, batches, validation, settings, config):
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-2)
        for _ in range(2):
            inputs, target = batches[0]
            predicted.append(network(**inputs))
            optimizer.zero_grad()
            QueryLoss()(predicted[-1], target).backward()
            optimizer.step()
        return []

    def all_of_them(learner, scores):
        return list(range(len(learner.experts)))

    monkeypatch.setattr(meta_training, "fit_network", steps)
    monkeypatch.setattr(meta_training, "interpolate_to_init", lambda *args: None)
    monkeypatch.setattr(meta_training, "used_experts", all_of_them)
    monkeypatch.setattr(meta_training, "build_network", lambda *args: network)
    before = parameters_of(network.core())
    trained = meta_training.train_network(init, *rest)
    assert trained.network.core().experts == init.learner.experts
    after = parameters_of(trained.network.core())
    for one in init.learner.experts:
        assert torch.equal(before[one.name], after[one.name]) == one.linear
    if cls is not TransformerMetaRegressor:
        n_nonlinear = sum(not one.linear for one in init.learner.experts)
        assert all(len(one) == n_nonlinear for one in predicted)


# Weights after training


def largest_shares(core, network, batches):
    """The largest weight of each expert in any episode."""
    scores = score_experts(core, network.encode, batches)
    shares = [core.expert_weights(s.n_rows, s.evidence).exp() for s in scores]
    return torch.cat(shares).amax(0)


@pytest.mark.parametrize("training", [True, False])
def test_experts_are_scored_as_they_will_predict(training, tiny, monkeypatch):
    """With hyperparameters trained on the support, and nothing dropped out."""
    init, network, _ = start(tiny)
    network.train(training)
    network.learner.set_adaptation(1.0)
    assert isinstance(network.core().prior.rbf_dropout, RBFDropout)
    batches, seen = batches_of(init, 64), []
    fit = meta_training.fit_expert_weights

    def fit_expert_weights(learner, scores, n_tasks):
        seen.append(scores)
        fit(learner, scores, n_tasks)

    monkeypatch.setattr(meta_training, "fit_expert_weights", fit_expert_weights)
    weights = network.core().expert_weights
    select_experts(network, batches, 3, torch.device("cpu"))
    network.eval()
    (scores,) = seen
    core = network.core()
    kept = [one.name for one in core.experts]
    chosen = [e for e, one in enumerate(init.learner.experts) if one.name in kept]
    for batch, one in zip(batches, scores, strict=True):
        with torch.no_grad():
            adapted = network.adapt(batch.support(), batch.y_support)
            expected = core.expert_predictions(adapted, batch.query())
        for found, part in zip(one.predictions, expected, strict=True):
            np.testing.assert_allclose(found[:, chosen], part, rtol=1e-4, atol=1e-6)
    assert len(core.experts) > 1
    assert torch.equal(weights.logit[chosen], core.expert_weights.logit)


def test_weights_are_fitted_again_to_validation_tasks(tiny):
    init, network, _ = start(tiny)
    core, batches = network.core(), batches_of(init, 64)

    def loss(learner):
        scores = score_experts(learner, network.encode, batches)
        parts = [
            QueryLoss()(mixture(learner.expert_weights, s), (s.y, s.weight))
            for s in scores
        ]
        return np.mean([part.item() for part in parts])

    network.eval()
    before = loss(core)
    select_experts(network, batches, 100, torch.device("cpu"))
    assert loss(core) < before
    largest = largest_shares(core, network, batches)
    used = [
        one
        for one, share in zip(core.experts, largest, strict=True)
        if share >= MIN_SHARE
    ]
    assert list(network.core().experts) == used


@pytest.mark.parametrize("base_learner", ["gp", "mlp"])
def test_one_expert_has_no_weights(base_learner, tiny):
    init, network, _ = start(tiny, base_learner=base_learner)
    core = network.core()
    select_experts(network, batches_of(init), 3, torch.device("cpu"))
    assert network.core() is core
