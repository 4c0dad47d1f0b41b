"""Weights of experts, fitted to what these predict for tasks that they do not know."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp
from scipy.stats import norm

from skmeta._episodes.batch import Rows
from skmeta._episodes.sampler import Episodes
from skmeta._networks.learners.expert_weights import (
    EVIDENCE_WEIGHT,
    SIZE_CENTER,
    ExpertWeights,
)
from skmeta._networks.learners.gp_prior import Expert, no_encoding
from skmeta._networks.learners.network import make_unconditioned_gps
from skmeta._preprocessing.scaling import ClassCodec, FeatureScaler, TargetScaler
from skmeta._training.expert_weights import (
    MIN_SHARE,
    PENALTY,
    SLOPE_SD,
    ExpertScores,
    fit_expert_weights,
    mixture,
    score_experts,
    used_experts,
)
from skmeta._training.loop import BOUND
from skmeta.tasks import TaskCollection


class Stack:
    """The part of a learner that the fit of the weights uses."""

    def __init__(self, n_experts):
        self.expert_weights = ExpertWeights(n_experts)

    @property
    def logit(self):
        return self.expert_weights.logit.numpy()

    @property
    def slope(self):
        return self.expert_weights.slope.numpy()

    def share(self, n_rows, n_experts):
        """Weights at a number of support rows, if the evidence is equal."""
        weights = self.expert_weights
        evidence = torch.zeros(1, n_experts, dtype=torch.float64)
        return weights(torch.tensor([float(n_rows)]), evidence).exp()[0].numpy()


def regression_scores(errors, n_rows=(0, 8), n_episodes=30, common=0.0, seed=0):
    """Scores of experts whose errors have these deviations; all say 1.

    ``errors`` are (n_experts,), or one row for each number of support rows. All experts
    have another error, of the deviation ``common``.
    """
    rng = np.random.default_rng(seed)
    errors = np.broadcast_to(errors, (len(n_rows), np.shape(errors)[-1]))
    scores = []
    for n, sd in zip(n_rows, errors, strict=True):
        shape = n_episodes, len(sd), 6
        y = rng.normal(size=(n_episodes, 6))
        centre = y + common * rng.normal(size=y.shape)
        mean = centre[:, None] + sd[:, None] * rng.normal(size=shape)
        weight = (rng.random((n_episodes, 6)) < 0.8) * 1.0
        weight[:, 0] = 1.0
        evidence = 0.3 * rng.normal(size=shape[:2])
        parts = [np.full(n_episodes, float(n)), evidence, mean, np.ones(shape)]
        n_of, evidence, mean, variance = map(torch.from_numpy, parts)
        target = torch.from_numpy(y), torch.from_numpy(weight)
        scores.append(ExpertScores(n_of, evidence, (mean, variance), *target))
    return scores


def class_scores(sharpness, n_episodes=30, seed=0):
    """Scores of experts whose logits point to the label as strongly as this."""
    rng = np.random.default_rng(seed)
    scores = []
    for n in (0, 8):
        y = rng.integers(3, size=(n_episodes, 6))
        right = np.eye(3)[y][:, None] * np.reshape(sharpness, (-1, 1, 1))
        logits = right + rng.normal(size=right.shape)
        evidence = 0.3 * rng.normal(size=logits.shape[:2])
        parts = np.full(n_episodes, float(n)), evidence, logits, y, np.ones(y.shape)
        scores.append(ExpertScores(*map(torch.from_numpy, parts)))
    return scores


def objective(scores, n_tasks):
    """Penalised loss as a function of logits and slopes (2 * n_experts,)."""

    def loss(parameters):
        logit, slope = np.split(parameters, 2)
        total = n = 0.0
        for one in scores:
            size = np.log1p(one.n_rows.numpy())[:, None] - SIZE_CENTER
            evidence = EVIDENCE_WEIGHT * one.evidence.numpy()
            log_share = log_softmax(logit + slope * size + evidence, axis=1)
            y, weight = one.y.numpy(), one.weight.numpy()
            if isinstance(one.predictions, tuple):
                mean, variance = (part.numpy() for part in one.predictions)
                share = np.exp(log_share)[..., None]
                of_mixture = (share * mean).sum(1)
                spread = variance + (mean - of_mixture[:, None]) ** 2
                spread = (share * spread).sum(1)
                z = np.abs(y - of_mixture) / np.sqrt(spread)
                huber = np.where(z < BOUND, z**2 / 2, BOUND * (z - BOUND / 2))
                losses = huber + 0.5 * np.log(2 * np.pi * spread)
            else:
                log_p = log_softmax(one.predictions.numpy(), axis=-1)
                log_p = logsumexp(log_p + log_share[..., None, None], axis=1)
                losses = -np.take_along_axis(log_p, y[..., None], -1)[..., 0]
            total, n = total + (losses * weight).sum(), n + weight.sum()
        sd = np.repeat([1.0, SLOPE_SD], len(logit))
        return total / n + PENALTY / n_tasks**2 * ((parameters / sd) ** 2).sum()

    return loss


SCORES = {
    "numbers": regression_scores([0.5, 1.0, 2.0]),
    "classes": class_scores([2.0, 1.0, 0.5]),
}


@pytest.mark.parametrize("n_tasks", [1, 3, 10])
@pytest.mark.parametrize("kind", SCORES)
def test_weights_minimise_the_penalised_loss(kind, n_tasks):
    scores, stack = SCORES[kind], Stack(3)
    fit_expert_weights(stack, scores, n_tasks)
    loss = objective(scores, n_tasks)
    best = minimize(loss, np.zeros(6), method="BFGS", options={"gtol": 1e-8})
    found = np.concatenate([stack.logit, stack.slope]).astype(float)
    assert loss(found) < best.fun + 1e-6
    assert loss(found) < loss(np.zeros(6)) - 1e-4
    step = 1e-4 * np.eye(6)
    gradient = [(loss(found + s) - loss(found - s)) / 2e-4 for s in step]
    np.testing.assert_allclose(gradient, 0, atol=1e-4)
    np.testing.assert_allclose(found, best.x, atol=0.01)


def test_weights_before_have_no_effect():
    """Of two experts that were alike either may have had the weight, by chance."""
    scores, stacks = SCORES["numbers"], [Stack(3), Stack(3)]
    first = torch.tensor([0.0, 2.0, -1.0, 0.1, 0.0, -0.2])
    stacks[0].expert_weights.set(*first.split(3))
    for stack in stacks:
        fit_expert_weights(stack, scores, 1)
    one, other = (np.concatenate([s.logit, s.slope]) for s in stacks)
    np.testing.assert_array_equal(one, other)


def test_weights_remain_buffers_in_single_precision():
    stack = Stack(3)
    fit_expert_weights(stack, SCORES["numbers"], 10)
    assert list(stack.expert_weights.parameters()) == []
    for name in ("logit", "slope"):
        value = dict(stack.expert_weights.named_buffers())[name]
        assert value.dtype == torch.float32
        assert not value.requires_grad


@pytest.mark.parametrize("scores", SCORES.values(), ids=SCORES)
def test_best_expert_dominates_with_many_tasks_alone(scores):
    """With three tasks the weights stay near those of a plain mean."""
    shares = []
    for n_tasks in (3, 100):
        stack = Stack(3)
        fit_expert_weights(stack, scores, n_tasks)
        shares.append([stack.share(n, 3) for n in (0, 8)])
    few, many = np.array(shares)
    assert many[:, 0].min() > 0.75
    assert many[:, 0].min() > few[:, 0].max()


def test_three_tasks_leave_weights_of_alike_experts_nearly_equal():
    stack = Stack(3)
    scores = regression_scores([0.05, 0.1, 0.2], common=1.0)
    fit_expert_weights(stack, scores, 3)
    for n_rows in (0, 8):
        np.testing.assert_allclose(stack.share(n_rows, 3), 1 / 3, atol=0.1)


def test_weights_move_with_the_number_of_support_rows():
    """If one expert is right without a support, and the other with one."""
    scores = regression_scores([[0.2, 2.0], [2.0, 0.2]], n_rows=(0, 30))
    stack = Stack(2)
    fit_expert_weights(stack, scores, 100)
    assert stack.share(0, 2)[0] > 0.8
    assert stack.share(30, 2)[1] > 0.8
    assert stack.slope[0] < -0.5 < 0.5 < stack.slope[1]
    scores = regression_scores([0.2, 2.0], n_rows=(0, 30))
    stack = Stack(2)
    fit_expert_weights(stack, scores, 100)
    assert min(stack.share(0, 2)[0], stack.share(30, 2)[0]) > 0.8


# Experts that are not used


def test_experts_with_small_weights_in_all_episodes_are_dropped():
    stack = Stack(4)
    scores = regression_scores(np.ones(4), n_rows=(0, 100))
    stack.expert_weights.set(
        torch.tensor([0.0, 0.0, -9.0, -5.0]), torch.tensor([0.0, 0.0, 0.0, 2.5])
    )
    shares = [stack.expert_weights(s.n_rows, s.evidence).exp() for s in scores]
    largest = [share.amax(0) for share in shares]
    assert largest[0][3] < MIN_SHARE < largest[1][3]  # used with many rows alone
    assert used_experts(stack, scores) == [0, 1, 3]


def test_one_expert_remains(monkeypatch):
    monkeypatch.setattr("skmeta._training.expert_weights.MIN_SHARE", 1.1)
    stack = Stack(3)
    stack.expert_weights.set(torch.tensor([0.0, 3.0, 0.0]), torch.zeros(3))
    assert used_experts(stack, regression_scores(np.ones(3))) == [1]


# Scores of experts that are Gaussian processes


def ragged_tasks(classes):
    rng = np.random.default_rng(0)
    tasks = []
    for n in (3, 9, 5, 7):
        X = rng.normal(size=(n, 2))
        y = X @ [2.0, -1] + rng.normal(size=n)
        tasks.append((X, np.arange(n) % 3 if classes else y))
    return TaskCollection(tasks)


def make_stack(classes=False):
    """Two experts that differ, and batches of tasks of several sizes."""
    tasks = ragged_tasks(classes)
    targets = ClassCodec(np.arange(3)) if classes else TargetScaler.fit(tasks.y)
    offset = np.random.default_rng(1).normal(size=(24, targets.n_outputs))
    features = FeatureScaler.fit(tasks.X)
    episodes = Episodes(tasks, features, targets, offset)
    kinds = [Expert("a"), Expert("b", 0, True), Expert("c", 0)]
    learner = make_unconditioned_gps(kinds, 2, targets, 1, 0)
    learner.expert_weights.set(torch.tensor([0.0, 1.0, -9.0]), torch.ones(3))
    rng = np.random.default_rng(0)
    batches = [episodes.draw(np.array(i), 2, 6, rng) for i in ([1, 0, 3], [2])]
    assert any((batch.weight_query == 0).any() for batch in batches)
    return learner, batches


def scores_of(learner, batches):
    return score_experts(learner, lambda rows, y: no_encoding(learner, rows), batches)


@pytest.mark.parametrize("classes", [False, True])
def test_mixture_of_scores_is_the_prediction_of_the_learner(classes):
    learner, batches = make_stack(classes)
    for batch, one in zip(batches, scores_of(learner, batches), strict=True):
        support = batch.support()
        with torch.no_grad():
            adapted = learner.adapt(
                support, batch.y_support, no_encoding(learner, support)
            )
            expected = learner.predict(adapted, batch.query())
        found = mixture(learner.expert_weights, one)
        assert type(found) is type(expected)
        if classes:
            found, expected = ([p.logits.log_softmax(-1)] for p in (found, expected))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        assert torch.equal(one.n_rows, batch.weight_support.sum(1))
        assert torch.equal(one.y, batch.y_query)
        assert torch.equal(one.weight, batch.weight_query)


def test_scores_of_an_expert_are_those_of_rows_that_are_present():
    learner, batches = make_stack()
    scores = scores_of(learner, batches)
    for batch, one in zip(batches, scores, strict=True):
        for task in range(len(batch)):
            s, q = batch.weight_support[task] > 0, batch.weight_query[task] > 0
            support, query = (
                Rows(*(t[task : task + 1, kept] for t in rows))
                for rows, kept in ((batch.support(), s), (batch.query(), q))
            )
            y = batch.y_support[task : task + 1, s]
            for e in range(3):
                alone = learner.select([e])
                with torch.no_grad():
                    adapted = alone.adapt(support, y, no_encoding(alone, support))
                    mean, variance = alone.predict(adapted, query)
                found = [part[task, e, q] for part in one.predictions]
                expected = -norm.logpdf(
                    batch.y_query[task, q], mean[0], variance[0].sqrt()
                )
                losses = -norm.logpdf(one.y[task, q], found[0], found[1].sqrt())
                np.testing.assert_allclose(losses, expected, rtol=1e-5)
                evidence = alone.log_evidence(adapted).item()
                assert one.evidence[task, e].item() == pytest.approx(evidence, rel=1e-5)


@pytest.mark.parametrize("classes", [False, True])
def test_predictions_hardly_change_without_unused_experts(classes):
    learner, batches = make_stack(classes)
    scores = scores_of(learner, batches)
    used = used_experts(learner, scores)
    assert used == [0, 1]
    some = learner.select(used)
    before, after = (
        [mixture(one.expert_weights, s) for s in scores_of(one, batches)]
        for one in (learner, some)
    )
    for one, other in zip(before, after, strict=True):
        if classes:
            one, other = ([p.logits.softmax(-1)] for p in (one, other))
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, atol=0.02)
            assert not torch.equal(a, b)
