"""The loop of meta-training: what it keeps, when it stops, what it says."""

import random
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import norm
from skorch.callbacks import Callback, EpochTimer, LRScheduler
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from skmeta import AttentionMetaRegressor
from skmeta._episodes.sampler import Episodes
from skmeta._networks.learners.predictive import Categorical
from skmeta._preprocessing.scaling import FeatureScaler, TargetScaler
from skmeta._training.loop import BOUND, EpisodeBatches, QueryLoss, fit_network
from skmeta._training.validation import validation_batches, validation_loss
from skmeta.datasets import make_linear_tasks
from skmeta.exceptions import NonFiniteLossError

N_STEPS = 4


class Line(nn.Module):
    """The same line for every task: enough to see what a loop does to a network."""

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(2))
        self.log_variance = nn.Parameter(torch.zeros(1))

    def forward(self, x_query, **others):
        mean = x_query @ self.slope
        return mean, self.log_variance.exp().expand(mean.shape)


def make_run():
    """Train a line on a few tasks; other settings and the result by name."""
    tasks = make_linear_tasks(n_tasks=8, n_rows=12, n_features=2, random_state=0)
    episodes = Episodes(tasks, FeatureScaler.fit(tasks.X), TargetScaler.fit(tasks.y))

    def draw(n_support):
        index = rng.choice(len(tasks), len(n_support))
        return episodes.draw(index, n_support, 6, rng)

    rng = np.random.default_rng(0)
    batches = EpisodeBatches(draw, N_STEPS, 4, (0, 5), rng)
    validation = validation_batches(
        episodes, (0, 5), 6, np.random.default_rng(1), 8, 24
    )
    network = Line()
    settings = {"max_epochs": 3, "patience": 10, "lr": 0.05, "random_state": 0}

    def run(n_tasks=None, **changes):
        config = AttentionMetaRegressor(**settings | changes)._config("regression")
        loop = config.loop_settings(n_tasks)._replace(steps_per_epoch=N_STEPS)
        result.history = fit_network(network, batches, validation, loop, config)
        return result

    result = SimpleNamespace(network=network, batches=batches, validation=validation)
    run.result = result
    return run


@pytest.fixture
def run():
    return make_run()


def loss_of(result):
    return validation_loss(result.network, result.validation)


class Spoil(Callback):
    """Set all weights to a value at the end of an epoch and of all after it."""

    def __init__(self, value, after=0):
        self.value, self.after = value, after

    def on_batch_end(self, net, training=False, **kwargs):
        if training and len(net.history) > self.after:
            with torch.no_grad():
                for p in net.module_.parameters():
                    p.fill_(self.value)


class Count(Callback):
    """Count the calls of a callback."""

    def on_train_begin(self, net, **kwargs):
        self.counts = {"epochs": 0, "batches": 0, "ends": 0}

    def on_batch_end(self, net, training=False, **kwargs):
        self.counts["batches"] += training

    def on_epoch_end(self, net, **kwargs):
        self.counts["epochs"] += 1

    def on_train_end(self, net, **kwargs):
        self.counts["ends"] += 1


class Interrupt(Callback):
    """Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, training=False, **kwargs):
        if len(net.history) == self.epoch and len(net.history[-1, "batches"]) == 2:
            raise KeyboardInterrupt


# The loss


def test_a_confident_mistake_does_not_drown_the_rest():
    y, weight = torch.tensor([[0.0], [1000.0]]), torch.ones(2, 1)
    mean = torch.ones(2, 1, requires_grad=True)
    QueryLoss()((mean, torch.ones(2, 1)), (y, weight)).backward()
    of_one, of_mistake = mean.grad[:, 0].tolist()
    assert (of_one, of_mistake) == (0.5, -0.5 * BOUND)


def test_query_loss_is_the_mean_over_rows_that_are_there():
    y = torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]])
    weight = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    prediction = torch.zeros(2, 3), torch.ones(2, 3)
    loss = QueryLoss()(prediction, (y, weight))
    expected = -norm.logpdf([0, 1, 2, 3]).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_query_loss_of_several_predictions_is_the_sum_of_theirs():
    rng = np.random.default_rng(0)
    y, weight = (torch.from_numpy(rng.random((3, 4))) for _ in range(2))
    target = y, weight.round()
    each = [
        tuple(torch.from_numpy(1 + rng.random((3, 4))) for _ in range(2))
        for _ in range(3)
    ]
    losses = [QueryLoss()(one, target).item() for one in each]
    assert len(set(losses)) == 3
    assert QueryLoss()(each, target).item() == pytest.approx(sum(losses))
    assert QueryLoss()(each[:1], target).item() == losses[0]
    labels = torch.from_numpy(rng.integers(2, size=(3, 4)))
    each = [Categorical(torch.from_numpy(rng.normal(size=(3, 4, 2)))) for _ in range(2)]
    losses = [QueryLoss()(one, (labels, weight)).item() for one in each]
    assert QueryLoss()(each, (labels, weight)).item() == pytest.approx(sum(losses))


def test_support_sizes_of_batches_are_in_range(run):
    sizes = []
    run.result.batches.n_support = (1, 4)
    for _ in range(60):
        inputs, (_, weight) = run.result.batches[0]
        assert inputs["x_support"].shape[0] == 4
        assert (weight.sum(1) > 0).all()
        sizes += inputs["weight_support"].sum(1).int().tolist()
    assert set(sizes) == {1, 2, 3, 4}
    assert len(run.result.batches) == N_STEPS


# What is kept


def test_training_learns(run):
    before = loss_of(run.result)
    result = run(max_epochs=20)
    assert loss_of(result) < before - 0.2


def test_best_state_is_kept(run):
    result = run(max_epochs=8, callbacks=[Spoil(50.0, after=4)])
    losses = [row["valid_loss"] for row in result.history]
    assert losses[-1] > min(losses) + 1  # it was spoilt
    assert loss_of(result) == pytest.approx(min(losses), rel=1e-6)
    assert min(losses) == min(losses[:5])


def test_start_is_kept_where_nothing_is_better(run):
    result = run(callbacks=[Spoil(50.0)])
    assert all((p == 0).all() for p in result.network.parameters())


def test_training_stops_by_patience(run):
    result = run(max_epochs=50, patience=3, callbacks=[Spoil(50.0, after=2)])
    losses = [row["valid_loss"] for row in result.history]
    assert len(losses) == np.argmin(losses) + 1 + 3 < 50


def test_stopping_by_patience_is_no_interruption(run):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = run(max_epochs=50, patience=2, callbacks=[Spoil(50.0)])
    assert len(result.history) == 2


def test_no_epochs_leave_the_network_as_it_is(run):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = run(max_epochs=0)
    assert result.history == []
    assert all((p == 0).all() for p in result.network.parameters())


def test_history_has_an_entry_an_epoch(run):
    history = run().history
    assert [row["epoch"] for row in history] == [1, 2, 3]
    for row in history:
        assert {"epoch", "train_loss", "valid_loss", "dur"} <= set(row)
        assert np.isfinite([row["train_loss"], row["valid_loss"]]).all()
        assert row["dur"] > 0
    assert type(history) is list
    assert all(type(row) is dict for row in history)


def test_same_seed_gives_the_same_weights():
    one, same = (list(make_run()().network.parameters()) for _ in range(2))
    for a, b in zip(one, same, strict=True):
        assert torch.equal(a, b)
        assert a.any()


# Callbacks


def test_callbacks_are_called(run):
    count = Count()
    run(callbacks=[count])
    assert count.counts == {"epochs": 3, "batches": 3 * N_STEPS, "ends": 1}


def test_named_and_several_callbacks(run):
    counts = [Count(), Count(), Count()]
    run(callbacks=[("mine", counts[0]), counts[1], counts[2], EpochTimer()])
    assert all(count.counts["epochs"] == 3 for count in counts)


def test_list_of_callbacks_stays_as_it_is(run):
    callbacks = [Count()]
    before = list(callbacks)
    run(callbacks=callbacks)
    assert callbacks == before


def test_learning_rate_schedule_of_a_callback_is_followed(run):
    """A schedule of rate zero from some epoch on: nothing moves any more."""

    class Weights(Callback):
        def on_train_begin(self, net, **kwargs):
            self.seen = []

        def on_epoch_end(self, net, **kwargs):
            self.seen.append(net.module_.slope.detach().clone())

    weights = Weights()
    schedule = LRScheduler("LambdaLR", lr_lambda=lambda epoch: float(epoch < 20))
    run(max_epochs=23, patience=50, callbacks=[schedule, weights])
    assert not torch.equal(weights.seen[18], weights.seen[19])
    for seen in weights.seen[20:]:
        assert torch.equal(seen, weights.seen[19])


class Rates(Callback):
    """Remember the learning rate that every step is taken with."""

    def on_train_begin(self, net, **kwargs):
        self.seen = []

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self.seen += [group["lr"] for group in net.optimizer_.param_groups]


def test_learning_rate_rises_linearly_and_is_then_left_alone(run):
    rates = Rates()
    run(max_epochs=16, patience=50, lr=0.02, callbacks=[rates])
    steps = np.arange(1, 16 * N_STEPS + 1)
    assert steps[-1] > 50  # the rise is over
    np.testing.assert_allclose(rates.seen, 0.02 * np.minimum(steps / 50, 1))


def test_schedule_of_a_callback_acts_from_the_first_step_on(run):
    rates = Rates()
    schedule = LRScheduler("StepLR", step_size=3, gamma=0.5, step_every="batch")
    run(max_epochs=16, patience=50, lr=0.02, callbacks=[rates, schedule])
    step = np.arange(16 * N_STEPS)
    rise = np.minimum((step + 1) / 50, 1)
    np.testing.assert_allclose(rates.seen, 0.02 * rise * 0.5 ** (step // 3))


def test_learning_rate_is_cut_where_nothing_is_better(run):
    """A third of the patience without a better state is a plateau."""
    rates = Rates()
    run(max_epochs=20, patience=6, lr=0.02, callbacks=[rates, Spoil(50.0)])
    by_epoch = np.array(rates.seen).reshape(-1, N_STEPS)
    assert len(by_epoch) == 6
    rise = (np.arange(6 * N_STEPS) + 1).reshape(-1, N_STEPS) / 50
    cut = np.array([1, 1, 0.3, 0.3, 0.09, 0.09])[:, None]
    np.testing.assert_allclose(by_epoch, 0.02 * rise * cut)


def test_better_state_begins_the_waiting_anew(run):
    """Weights that are spoilt again and again, and right in between."""

    class SpoilSome(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            spoilt = len(net.history) not in (1, 3, 8)
            with torch.no_grad():
                net.module_.slope.fill_(50.0 if spoilt else 1e-3 * len(net.history))

    rates, average = Rates(), "skmeta._training.loop.get_ema_multi_avg_fn"
    with pytest.MonkeyPatch.context() as patch:  # no average: each epoch for itself
        patch.setattr(average, lambda decay: get_ema_multi_avg_fn(0.0))
        run(max_epochs=9, patience=6, lr=1e-5, callbacks=[SpoilSome(), rates])
    by_epoch = np.array(rates.seen).reshape(-1, N_STEPS)
    rise = (np.arange(9 * N_STEPS) + 1).reshape(-1, N_STEPS) / 50
    cuts = np.array([0, 0, 0, 0, 0, 1, 1, 2, 2])[: len(by_epoch), None]
    np.testing.assert_allclose(by_epoch, 1e-5 * rise * 0.3**cuts)


def test_learning_rate_falls_to_zero_in_the_second_half(run):
    """Where training starts from an initialisation."""
    rates = Rates()
    run(n_tasks=8, max_epochs=30, patience=50, lr=0.02, callbacks=[rates])
    step, n_steps = np.arange(30 * N_STEPS), 30 * N_STEPS
    fall = np.minimum(1, 2 * (1 - step / n_steps))
    expected = 0.02 * np.minimum(fall, (step + 1) / 50)
    np.testing.assert_allclose(rates.seen, expected)
    assert expected.max() == 0.02


@pytest.mark.parametrize("n_tasks", [None, 8])
def test_share_of_the_joint_likelihood_falls_to_zero_in_the_first_half(run, n_tasks):
    class Shares(Callback):
        def on_train_begin(self, net, **kwargs):
            self.seen = []

        def on_batch_begin(self, net, training=False, **kwargs):
            if training:
                self.seen.append(net.criterion_.joint_share)

    shares = Shares()
    run(n_tasks=n_tasks, max_epochs=5, callbacks=[shares])
    step = np.arange(5 * N_STEPS)
    expected = np.maximum(0, 1 - step / (2.5 * N_STEPS)) * (n_tasks is not None)
    np.testing.assert_allclose(shares.seen, expected, atol=1e-12)


def settings_of(n_tasks, problem="regression", **given):
    return AttentionMetaRegressor(**given)._config(problem).loop_settings(n_tasks)


@pytest.mark.parametrize("n_tasks", [None, 10, 10_000, np.inf])
def test_settings_that_are_given_are_followed(n_tasks):
    given = {"max_epochs": 3, "steps_per_epoch": 4, "batch_size": 5, "lr": 0.5}
    found = settings_of(n_tasks, **given, patience=6)
    assert found == (3, 4, 5, 0.5, 6, n_tasks is not None)
    only_one = settings_of(n_tasks, batch_size=7)
    assert only_one == settings_of(n_tasks)._replace(batch_size=7)


def test_length_of_training_grows_with_the_number_of_tasks():
    epochs = [settings_of(n).max_epochs for n in (2, 100, 600, 10_000, np.inf)]
    assert epochs == [16, 16, 50, 200, 200]
    assert settings_of(None).max_epochs == 200
    sizes = [settings_of(9, p).batch_size for p in ("regression", "shared_classes")]
    assert sizes == [64, 32]


@pytest.mark.parametrize(
    ("problem", "embedding", "expected"),
    [
        ("regression", None, 20),
        ("shared_classes", None, 20),
        ("nway", None, 32),
        ("regression", nn.Flatten, 32),
    ],
)
def test_number_of_query_rows(problem, embedding, expected):
    model = AttentionMetaRegressor(embedding=embedding)
    assert model._config(problem).n_query == expected
    assert model.set_params(n_query=7)._config(problem).n_query == 7


def test_error_of_a_callback_is_not_swallowed(run):
    class Broken(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise RuntimeError("broken callback")

    with pytest.raises(RuntimeError, match="broken callback"):
        run(callbacks=[Broken()])


# Interruption and breakdown


def test_interruption_keeps_the_best_state_and_warns(run):
    with pytest.warns(UserWarning, match="interrupted in epoch 3 of 9.*state of epoch"):
        result = run(max_epochs=9, callbacks=[Interrupt(epoch=3)])
    losses = [row["valid_loss"] for row in result.history if "valid_loss" in row]
    assert len(losses) == 2
    assert loss_of(result) == pytest.approx(min(losses), rel=1e-6)


def test_interruption_of_the_first_epoch_keeps_the_start(run):
    with pytest.warns(
        UserWarning, match="interrupted in epoch 1 of 9.*state of epoch 0"
    ):
        result = run(max_epochs=9, callbacks=[Interrupt(epoch=1)])
    assert all((p == 0).all() for p in result.network.parameters())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_loss_that_is_not_finite(run, value):
    with pytest.raises(NonFiniteLossError) as caught:
        run(max_epochs=9, lr=0.025, callbacks=[Spoil(value, after=2)])
    message = str(caught.value)
    assert "epoch 3, step 10" in message  # the step after that which is spoilt
    assert "lr=0.025" in message
    losses = [r["valid_loss"] for r in caught.value.history if "valid_loss" in r]
    assert len(losses) == 2
    assert loss_of(run.result) == pytest.approx(min(losses), rel=1e-6)
    assert f"state of epoch {np.argmin(losses) + 1}" in message
    assert f"{min(losses):.4f}" in message


def test_factorisation_that_breaks_down(run):
    class Singular(Callback):
        def on_batch_begin(self, net, training=False, **kwargs):
            if len(net.history) == 2:
                torch.linalg.cholesky(-torch.eye(2))

    with pytest.raises(NonFiniteLossError, match=r"epoch 2, step 5.*lr=0\.05"):
        run(callbacks=[Singular()])
    assert all(p.isfinite().all() for p in run.result.network.parameters())


# What it says, and what it leaves alone


def test_silence(run, capfd):
    run(verbose=0)
    out, err = capfd.readouterr()
    assert out == ""
    assert err == ""


def test_progress_bar(run, capfd):
    run(verbose=1)
    out, err = capfd.readouterr()
    assert out == ""
    assert "meta-training" in err
    assert "3/3" in err
    assert f"validation loss {run.result.history[-1]['valid_loss']:.4f}" in err


def test_global_random_states_are_left_alone(run):
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    n_threads = torch.get_num_threads()
    run()
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_equal(np.random.get_state(), before[1])
    assert random.getstate() == before[2]
    assert torch.get_num_threads() == n_threads
