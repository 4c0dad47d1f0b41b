"""Loss on validation tasks, and interpolation towards the initialisation."""

import copy
import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import nn

from skmeta._episodes.sampler import Episodes
from skmeta._networks.learners.losses import row_losses
from skmeta._networks.learners.predictive import Categorical, Gaussian
from skmeta._preprocessing.scaling import FeatureScaler, TargetScaler
from skmeta._training.validation import (
    MAX_EPISODES,
    interpolate_to_init,
    validation_batches,
    validation_loss,
    validation_losses,
)
from skmeta.datasets import make_linear_tasks

N_TASKS = 8


class Spread(nn.Module):
    """Says the same of every row: a mean of zero and a variance to be learned."""

    def __init__(self):
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(()))

    def forward(self, x_query, **others):
        mean = torch.zeros(x_query.shape[:2])
        return mean, self.log_variance.exp().expand(mean.shape)


@pytest.fixture
def episodes():
    tasks = make_linear_tasks(N_TASKS, n_rows=12, n_features=2, random_state=0)
    return Episodes(tasks, FeatureScaler.fit(tasks.X), TargetScaler.fit(tasks.y))


@pytest.fixture
def validation(episodes):
    return validation_batches(episodes, (0, 5), 6, np.random.default_rng(1), 8, 24)


def with_targets(validation, scale):
    """The episodes with targets drawn again, normal with a standard deviation."""
    generator = torch.Generator().manual_seed(0)
    for batch in validation:
        batch.y_query.normal_(0, scale, generator=generator)
    return validation


def returned(validation, log_variance):
    """Log variance after training from 0 to ``log_variance`` was evaluated."""
    network = Spread()
    start = copy.deepcopy(network.state_dict())
    nn.init.constant_(network.log_variance, log_variance)
    interpolate_to_init(network, start, validation, N_TASKS)
    return float(network.log_variance.detach())


def test_row_losses_are_negative_log_densities():
    rng = np.random.default_rng(0)
    mean, y = rng.normal(size=(2, 3, 4))
    variance = rng.uniform(0.1, 2, size=(3, 4))
    prediction = Gaussian(*map(torch.from_numpy, (mean, variance)))
    losses = row_losses(prediction, torch.tensor(y))
    expected = -norm.logpdf(y, mean, np.sqrt(variance))
    np.testing.assert_allclose(losses, expected, atol=1e-12)
    bounded = row_losses(prediction, torch.tensor(y), 0.5)
    size = np.abs(y - mean) / np.sqrt(variance)
    assert 0 < (size > 0.5).sum() < size.size
    excess = np.where(size > 0.5, 0.5 * (size - 0.5) ** 2, 0)
    np.testing.assert_allclose(bounded, expected - excess, atol=1e-12)
    logits, label = torch.from_numpy(rng.normal(size=(3, 4, 2))), torch.tensor(y > 0)
    losses = row_losses(Categorical(logits), label.long())
    p = logits.softmax(-1)
    expected = -torch.where(label, p[..., 1], p[..., 0]).log()
    np.testing.assert_allclose(losses, expected, atol=1e-12)


def test_validation_batches_are_the_same_for_the_same_seed(episodes):
    one, same = (
        validation_batches(episodes, (0, 9), 6, np.random.default_rng(0), 4, 40)
        for _ in range(2)
    )
    assert len(one) == 10
    assert sum(map(len, one)) == 40
    for a, b in zip(one, same, strict=True):
        assert torch.equal(a.x_support, b.x_support)
        assert torch.equal(a.y_query, b.y_query)
    sizes = [int(b.weight_support.sum(1).max()) for b in one]
    assert sizes == sorted(sizes)
    assert sizes[0] == 0
    assert sizes[-1] >= 8


def test_few_validation_tasks_give_no_more_episodes_than_they_have_to(episodes):
    some = validation_batches(episodes, (0, 9), 6, np.random.default_rng(0), 8, 800)
    assert sum(map(len, some)) == MAX_EPISODES * len(episodes)
    assert len(some) == 50
    sizes = [int(b.weight_support.sum(1).max()) for b in some]
    assert sizes == sorted(sizes)
    assert sizes[0] == 0
    assert sizes[-1] >= 8


def test_validation_loss_is_over_all_rows_in_evaluation_mode(validation):
    class Doubtful(Spread):
        def forward(self, x_query, **others):
            assert not self.training
            return super().forward(x_query)

    network = Doubtful().train()
    loss = validation_loss(network, validation)
    y = np.concatenate([b.y_query[b.weight_query > 0] for b in validation])
    assert loss == pytest.approx(-norm.logpdf(y).mean(), rel=1e-6)
    assert network.training


def test_losses_of_episodes_add_up_to_the_validation_loss(validation):
    total, n_rows = validation_losses(Spread(), validation)
    assert total.shape == n_rows.shape == (24,)
    assert validation_loss(Spread(), validation) == pytest.approx(
        total.sum() / n_rows.sum()
    )
    first = validation[0]
    y = first.y_query[0, first.weight_query[0] > 0]
    assert total[0] == pytest.approx(-norm.logpdf(y).sum(), rel=1e-6)


def test_what_harms_validation_tasks_is_unlearned(validation):
    assert returned(with_targets(validation, 1.0), 3.0) == 0.0


def test_what_makes_no_difference_is_unlearned(validation):
    assert returned(with_targets(validation, 1.0), 0.01) == 0.0


def test_what_helps_validation_tasks_is_kept(validation):
    learned = 2 * math.log(10)
    assert returned(with_targets(validation, 10.0), learned) == pytest.approx(learned)


def test_too_much_is_half_unlearned(validation):
    assert returned(with_targets(validation, math.e), 4.0) == pytest.approx(2.0)
