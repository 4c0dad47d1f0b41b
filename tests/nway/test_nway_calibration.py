import numpy as np
import torch

from skmeta import TaskCollection
from skmeta._episodes.shared_rows import NWaySampler
from skmeta._networks.nway.learner import NWayLearner
from skmeta._training.nway.calibration import calibrate, select_adaptation
from skmeta._training.shared_rows_network import SharedRowsNetwork
from skmeta._training.validation import validation_loss


def network_and_batches(spread):
    """A learner that takes rows of deviation ``spread`` for rows of deviation 1."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 6, 1, 3))
    X = centres + spread * rng.normal(size=(40, 6, 12, 3))
    y = np.broadcast_to(np.arange(6)[:, None], (6, 12)).ravel()
    tasks = TaskCollection([(x.reshape(-1, 3), y) for x in X])
    sampler = NWaySampler(tasks, torch.tensor(tasks.X).float(), (2, 6), (1, 5), 16)
    learner = NWayLearner(3, 3, embed_dim=8, n_heads=2, n_layers=1)
    batches = [sampler.draw(64, rng) for _ in range(3)]
    return SharedRowsNetwork(learner).eval(), batches


def test_calibration_finds_how_sure_to_be():
    network, batches = network_and_batches(spread=3.0)
    learner = network.learner
    learner.set_adaptation(0)
    before = validation_loss(network, batches)
    calibrate(network, batches, "cpu")
    after = validation_loss(network, batches)
    assert after < before - 0.1
    kept = learner.calibration_coef.detach().clone()
    for step in 0.1 * torch.eye(6).unflatten(1, (2, 3)):  # nothing near is better
        for sign in (-1, 1):
            learner.calibration_coef.data.copy_(kept + sign * step)
            assert validation_loss(network, batches) >= after - 1e-4
    assert not network.training


def test_calibration_keeps_what_is_better_already():
    network, batches = network_and_batches(spread=1.0)
    calibrate(network, batches, "cpu")
    first = network.learner.calibration_coef.detach().clone()
    calibrate(network, batches, "cpu")
    torch.testing.assert_close(
        network.learner.calibration_coef, first, rtol=1e-3, atol=1e-3
    )


def test_steps_are_those_of_the_lowest_loss():
    network, batches = network_and_batches(spread=0.7)
    learner = network.learner
    select_adaptation(network, batches, "cpu")
    chosen = int(learner.n_steps)
    losses = {}
    for (n_steps,) in learner.adaptation_grid:
        learner.set_adaptation(n_steps)
        losses[n_steps] = validation_loss(network, batches)
    assert chosen == min(losses, key=losses.get)
