"""A prior fitted to all tasks, or to one, and targets drawn from it."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from skmeta._episodes.batch import Rows
from skmeta._episodes.sampler import Episodes
from skmeta._networks.learners.factory import make_base_learner
from skmeta._networks.learners.gp_prior import GP, no_encoding
from skmeta._preprocessing.scaling import ClassCodec, FeatureScaler, TargetScaler
from skmeta._training import empirical_bayes
from skmeta._training.empirical_bayes import (
    LINEAR_SPREAD,
    LOG_SPREAD,
    MAX_ITER,
    draw_from_prior,
    fit_prior,
)
from skmeta.datasets import make_classification_tasks
from skmeta.tasks import TaskCollection

N_SUPPORT = 1, 8


def make_learner(experts=(GP,), n_classes=None, n_features=2, seed=0):
    return make_base_learner(
        experts,
        classification=n_classes is not None,
        n_features=n_features,
        n_pooled=0,
        n_outputs=n_classes or 1,
        embed_dim=1,
        column_dim=1,
        seed=seed,
    )


def known_gp(n_classes=None):
    """A learner far from what a new one is: strong effects, little noise."""
    learner = make_learner(n_classes=n_classes, seed=1)
    prior = learner.prior
    with torch.no_grad():
        prior.factor[0] = torch.tensor([[1.0, 0, 0], [1.0, 0.5, 0], [0, 0, 0.1]])
        prior.coefficients.weight[0, 0] += torch.tensor([1.0, -1.0])
        prior.signal.fill_(-4.0)
        prior.noise.fill_(-3.0)
    return learner


def sampled(learner, n_tasks=60, n_rows=10, seed=0):
    """Rows, and targets drawn from the prior of ``learner``."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n_tasks, n_rows, 2, generator=generator)
    offset = torch.zeros(n_tasks, n_rows, learner.prior.n_outputs)
    rows = Rows(x, offset, torch.ones(n_tasks, n_rows))
    with torch.no_grad():
        return rows, learner.sample(rows, no_encoding(learner, rows), generator)


@torch.no_grad()
def evidence(learner, rows, y):
    """Log marginal likelihood a row."""
    adapted = learner.adapt(rows, y, no_encoding(learner, rows))
    return learner.log_evidence(adapted).sum().item() / y.numel()


def parameters(learner):
    return {k: p.detach().clone() for k, p in learner.named_parameters()}


def distance(one, other):
    return sum(((one[k] - other[k]) ** 2).sum().item() for k in one) ** 0.5


# The marginal likelihood


@pytest.mark.parametrize("n_classes", [None, 2])
def test_marginal_likelihood_rises_to_that_of_what_made_the_data(n_classes):
    truth, learner = known_gp(n_classes), make_learner(n_classes=n_classes)
    rows, y = sampled(truth)
    fresh = sampled(truth, seed=1)
    before, there = evidence(learner, *fresh), evidence(truth, *fresh)
    assert before < there - 0.05
    fit_prior(learner, rows, y, 600)  # so many that the priors hardly count
    after = evidence(learner, *fresh)
    assert before + 0.7 * (there - before) < after < there + 0.02


def test_only_what_all_tasks_share_is_fitted():
    learner = make_learner()
    rows, y = sampled(known_gp())
    before = parameters(learner)
    fit_prior(learner, rows, y, len(y))
    after = parameters(learner)
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        "prior.factor",
        "prior.coefficients.weight",
        "prior.coefficients.bias",
        "prior.signal",
        "prior.length_scale",
        "prior.noise",
    }


@pytest.mark.parametrize(("n_tasks", "max_iter"), [(1, MAX_ITER), (6, 500)])
@pytest.mark.parametrize("n_classes", [None, 2, 3])
def test_prior_moves_to_the_mode(n_classes, n_tasks, max_iter, monkeypatch):
    """Of the evidence and the normal priors: there the gradient is zero.

    Two tasks, or one, stand for all: their evidence counts so many times.
    """
    monkeypatch.setattr(empirical_bayes, "MAX_ITER", max_iter)
    learner = make_learner(n_classes=n_classes).double()
    n_drawn = min(n_tasks, 2)
    rows, y = sampled(known_gp(n_classes), n_drawn, n_rows=40)
    rows = Rows(*(part.double() for part in rows))
    prior = learner.prior
    groups = (
        (prior.linear_parameters(), LINEAR_SPREAD),
        (prior.log_parameters(), LOG_SPREAD),
    )
    spreads = [(p, p.detach().clone(), sd) for group, sd in groups for p in group]
    before = evidence(learner, rows, y)
    fit_prior(learner, rows, y, n_tasks)
    assert evidence(learner, rows, y) > before + 0.01
    learner.requires_grad_(True)
    adapted = learner.adapt(rows, y, no_encoding(learner, rows))
    loss = -learner.log_evidence(adapted).sum() * n_tasks / n_drawn
    loss = loss + sum(((p - q) ** 2).sum() / 2 / sd**2 for p, q, sd in spreads)
    loss.backward()
    for p, _, sd in spreads:
        if p.grad is not None:  # the noise has no part in classes
            assert (p.grad * sd).abs().max() < 0.1


@pytest.mark.parametrize("n_classes", [None, 3])
def test_tasks_stand_for_as_many_as_they_are_said_to(n_classes):
    """Three for six are as these three, and the same again."""
    rows, y = sampled(known_gp(n_classes), n_tasks=3)
    one, other = (make_learner(n_classes=n_classes) for _ in range(2))
    fit_prior(one, rows, y, 6)
    twice = Rows(*(torch.cat([t, t]) for t in rows))
    fit_prior(other, twice, torch.cat([y, y]), 6)
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(p, q, rtol=0, atol=1e-4)


def test_no_hyperparameter_moves_far():
    """At most five standard deviations of its prior, whatever the targets say."""
    rows, y = sampled(known_gp())
    for spread in (1e-3, 1e-2):
        learner = make_learner()
        groups = learner.prior.linear_parameters(), learner.prior.log_parameters()
        before = [[p.detach().clone() for p in group] for group in groups]
        fit_prior(
            learner, rows, 1e3 * y, 1000, linear_spread=spread, log_spread=2 * spread
        )
        for group, first, sd in zip(groups, before, (spread, 2 * spread), strict=True):
            moved = [
                (p - q).abs().max() / sd for p, q in zip(group, first, strict=True)
            ]
            assert max(moved) == pytest.approx(5.0, rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_type_of_the_learner_is_kept_and_it_is_not_trained_further(dtype):
    learner = make_learner((GP, GP)).to(dtype)
    rows, y = sampled(known_gp())
    fit_prior(learner, rows, y, len(y))
    tensors = learner.state_dict().values()
    assert all(t.dtype == dtype for t in tensors if t.is_floating_point())
    assert not any(p.requires_grad for p in learner.parameters())
    assert all(part.dtype == torch.float32 for part in rows)


def test_padding_does_not_move_the_prior():
    rows, y = sampled(known_gp(), n_tasks=10)
    more, y_more = (torch.cat([t, 50 + 0 * t], 1) for t in (rows.x, y))
    padded = Rows(more, rows.offset.repeat(1, 2, 1), rows.weight.repeat(1, 2))
    padded.weight[:, y.shape[1] :] = 0
    one, other = make_learner(), make_learner()
    fit_prior(one, rows, y, 10)
    fit_prior(other, padded, y_more, 10)
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(p, q, rtol=0, atol=1e-4)


def test_few_tasks_move_the_prior_less_than_many():
    """A batch stands for all tasks: the more there are, the less its priors weigh."""
    rows, y = sampled(known_gp(), n_tasks=4)
    moved = []
    for n_tasks in (1, 4, 400):
        learner = make_learner()
        before = parameters(learner)
        fit_prior(learner, rows, y, n_tasks)
        moved.append(distance(before, parameters(learner)))
    assert 0.1 < moved[0] < 0.9 * moved[1]
    assert moved[1] < 0.9 * moved[2]


def test_no_encoding_leaves_the_prior_as_it_is():
    learner = make_learner()
    with torch.no_grad():  # as if it had been conditioned
        learner.prior.shift.weight.normal_(generator=torch.Generator().manual_seed(0))
        learner.prior.column_shift.weight.fill_(1.0)
    rows, _ = sampled(learner, n_tasks=3)
    theta = learner.prior.hyperparameters(no_encoding(learner, rows))
    for name in ("signal", "length_scale", "noise"):
        expected = getattr(learner.prior, name).expand(3, -1)
        assert torch.equal(getattr(theta, name), expected)
    assert (theta.linear == 0).all()
    assert (theta.gate == 0).all()


# Several experts


def test_each_expert_is_fitted_as_it_would_be_alone():
    rows, y = sampled(known_gp())
    both = make_learner((GP, GP))
    with torch.no_grad():
        both.prior.signal[1] -= 1.0
        both.prior.noise[1] += 1.0
    alone = [both.select([e]) for e in range(2)]
    for learner in (both, *alone):
        fit_prior(learner, rows, y, len(y))
    for e, learner in enumerate(alone):
        one = learner.prior.shared_parameters()
        for p, q in zip(both.prior.shared_parameters(), one, strict=True):
            np.testing.assert_allclose(
                p[e].detach(), q[0].detach(), rtol=1e-4, atol=1e-4
            )
    assert (both.prior.factor[0] - both.prior.factor[1]).abs().max() > 0.01


def test_linear_parts_move_within_the_spread_of_their_prior():
    rows, y = sampled(known_gp())
    moved = []
    for spread in (0.01, 0.1):
        learner = make_learner()
        before = [p.detach().clone() for p in learner.prior.linear_parameters()]
        fit_prior(learner, rows, y, len(y), linear_spread=spread)
        pairs = zip(before, learner.prior.linear_parameters(), strict=True)
        moved.append(max((p - q).abs().max().item() for p, q in pairs))
    assert moved[0] < 0.5 * moved[1]


# Targets drawn from the prior


def ragged_tasks():
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n, 2)) for n in (3, 9, 5, 7)]
    return TaskCollection([(x, x @ [2.0, -1] + rng.normal(size=len(x))) for x in X])


@pytest.fixture
def batch():
    """Of tasks of several sizes: support and query rows with padding."""
    tasks = ragged_tasks()
    episodes = Episodes(tasks, FeatureScaler.fit(tasks.X), TargetScaler.fit(tasks.y))
    return episodes.draw(np.arange(4), 4, 3, np.random.default_rng(0))


def drawn_from_prior(learner, batch, chosen, seed=0):
    chosen, generator = torch.tensor(chosen), torch.Generator().manual_seed(seed)
    return draw_from_prior(learner, batch, chosen, generator)


YES, NO = True, False


@pytest.mark.parametrize(
    "chosen", [[YES, NO, NO, NO], [NO, YES, NO, YES], [YES] * 4], ids=str
)
def test_targets_of_the_chosen_tasks_alone_are_drawn(batch, chosen):
    before = {f.name: getattr(batch, f.name).clone() for f in fields(batch)}
    drawn, chosen = drawn_from_prior(make_learner(), batch, chosen), np.array(chosen)
    for name, value in before.items():
        assert torch.equal(getattr(batch, name), value)
        after = getattr(drawn, name)
        assert after.dtype == value.dtype
        if not name.startswith("y_"):
            assert torch.equal(after, value)
            continue
        there = getattr(batch, name.replace("y_", "weight_")) > 0
        assert torch.equal(after[~chosen], value[~chosen])
        assert (after != value)[chosen][there[chosen]].all()
        assert (after[~there] == 0).all()


def test_drawn_targets_are_those_of_the_generator(batch):
    learner = make_learner()
    chosen = [YES, NO, YES, NO]
    one, same, other = (
        drawn_from_prior(learner, batch, chosen, seed) for seed in (0, 0, 1)
    )
    state = torch.get_rng_state()
    for name in ("y_support", "y_query"):
        assert torch.equal(getattr(one, name), getattr(same, name))
        assert not torch.equal(getattr(one, name), getattr(other, name))
    assert torch.equal(torch.get_rng_state(), state)


def test_drawn_support_and_query_belong_to_one_function(batch):
    """The same row in both, with next to no noise, has the same target."""
    learner = known_gp()
    with torch.no_grad():
        learner.prior.noise.fill_(-14.0)
    batch.x_query[:, 0] = batch.x_support[:, 0]
    drawn = drawn_from_prior(learner, batch, [YES] * 4)
    np.testing.assert_allclose(drawn.y_query[:, 0], drawn.y_support[:, 0], atol=0.02)
    assert drawn.y_support[:, 0].std() > 0.2


def test_drawn_labels_are_labels():
    tasks = make_classification_tasks(
        n_tasks=6, n_rows=9, n_features=2, n_classes=3, random_state=0
    )
    targets = ClassCodec(np.arange(3))
    episodes = Episodes(tasks, FeatureScaler.fit(tasks.X), targets)
    batch = episodes.draw(np.arange(6), 4, 5, np.random.default_rng(0))
    drawn = drawn_from_prior(make_learner(n_classes=3), batch, [YES] * 5 + [NO])
    labels = torch.cat([drawn.y_support, drawn.y_query], 1)
    assert labels.dtype == batch.y_query.dtype
    assert set(labels[:5].unique().tolist()) == {0, 1, 2}
    assert torch.equal(drawn.y_query[5], batch.y_query[5])
    assert not torch.equal(drawn.y_query[:5], batch.y_query[:5])
