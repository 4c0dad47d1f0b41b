"""The loop of meta-training: skorch's, over batches of episodes.

A `skorch.NeuralNet` runs the loop, its dataset's items are ready batches of tasks, and
a callback stops it on validation tasks. Any skorch callback of the user's runs with it.
"""

import copy
import math
import warnings

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, GradientNormClipping
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm.auto import tqdm

from .._episodes.sampler import log_uniform_sizes
from .._networks.learners.losses import mean_loss
from ..exceptions import NonFiniteLossError
from .validation import validation_loss

N_WINDOWS, BATCHES_PER_WINDOW = 4, 8
"""Parts of the range of support sizes, and batches of each that are drawn together."""

BOUND = 5.0
"""Errors above this number of standard deviations count linearly in training.

With squared errors, a few overconfident predictions would dominate the loss of a step,
and make the validation loss very noisy.
"""

SHORT_DECAY, LONG_DECAY = 0.97, 0.99
"""Decays of the moving average of the weights, in a training of a few hundred steps and
in others."""

N_WARM_UP, CUT = 50, 0.3
"""Steps in which the learning rate rises, and the factor that cuts it at a plateau."""


class QueryLoss(torch.nn.Module):
    """Mean negative log likelihood of the query rows of a batch, errors bounded.

    Of several predictions, a list, it is the sum of theirs.

    Attributes
    ----------
    joint_share : float
        See `mean_loss`.
    """

    joint_share = 0.0

    def forward(self, prediction, target):
        each = prediction if isinstance(prediction, list) else [prediction]
        return sum(mean_loss(one, *target, BOUND, self.joint_share) for one in each)


class EpisodeBatches(torch.utils.data.Dataset):
    """The batches of an epoch, drawn on access, those of several steps together.

    Parameters
    ----------
    draw : callable
        ``draw(n_support)`` returns a `TaskBatch` with one task for each entry of
        ``n_support`` (batch_size,).
    n_batches, batch_size : int
    n_support : (int, int)
        Range of the support size, drawn log-uniformly for each task; all those of a
        batch from the same quarter, so that little is padding, and as many batches
        from each quarter.
    rng : numpy.random.Generator
    """

    def __init__(self, draw, n_batches, batch_size, n_support, rng):
        self.draw, self.n_batches, self.batch_size = draw, n_batches, batch_size
        self.n_support, self.rng = n_support, rng
        self.drawn = []

    def __len__(self):
        return self.n_batches

    def __getitem__(self, index):
        if not self.drawn:
            for window in range(N_WINDOWS):
                quantiles = self.rng.random(BATCHES_PER_WINDOW * self.batch_size)
                quantiles = (window + quantiles) / N_WINDOWS
                tasks = self.draw(log_uniform_sizes(*self.n_support, quantiles))
                self.drawn += tasks.split(self.batch_size)
            self.rng.shuffle(self.drawn)
        batch = self.drawn.pop()
        return batch.inputs(), batch.target()


class EarlyStopping(Callback):
    """Keep the state with the lowest validation loss; stop if it no longer decreases.

    An exponential moving average of the weights, and of the running statistics of batch
    normalisation, is evaluated and kept.

    Parameters
    ----------
    batches : list of TaskBatch
    patience : int
        Number of epochs without a better state after which training stops.
    decay : float
        Decay of the moving average per step.
    verbose : int
        Above 0 shows a progress bar with the validation loss.
    """

    def __init__(self, batches, patience, decay, verbose=0):
        self.batches, self.patience = batches, patience
        self.decay, self.verbose = decay, verbose
        self.bar = None

    def on_train_begin(self, net, **kwargs):
        self.average = copy.deepcopy(net.module_)
        self.averages, self.current = map(_weights, (self.average, net.module_))
        self.best_loss, self.best_epoch = math.inf, 0
        self.n_steps = 0
        self.bar = tqdm(
            total=net.max_epochs, desc="meta-training", unit="epoch",
            disable=not self.verbose,
        )  # fmt: skip
        self._evaluate(net, 0)

    def on_batch_end(self, net, batch=None, training=False, loss=None, **kwargs):
        if not training:
            return
        if not math.isfinite(net.history[-1, "batches", -1, "train_loss"]):
            raise FloatingPointError
        self.n_steps += 1
        decay = min(self.decay, self.n_steps / (self.n_steps + 9))
        with torch.no_grad():
            get_ema_multi_avg_fn(decay)(self.averages, self.current, None)

    def on_epoch_end(self, net, **kwargs):
        epoch = len(net.history)
        loss = self._evaluate(net, epoch)
        net.history.record("valid_loss", loss)
        self.bar.update()
        self.bar.set_postfix_str(
            f"validation loss {loss:.4f}, best {self.best_loss:.4f}"
        )
        if epoch - self.best_epoch >= self.patience:
            raise KeyboardInterrupt  # skorch's way to end the loop

    def on_train_end(self, net, **kwargs):
        self.bar.close()

    def _evaluate(self, net, epoch):
        loss = validation_loss(self.average, self.batches, net.device, BOUND)
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, epoch
            self.best_state = copy.deepcopy(self.average.state_dict())
        return loss


class LinearDecay(Callback):
    """Learning rate: a linear rise, and in the second half of all steps a linear fall.

    The share of the joint likelihood in the loss falls to zero in the first half. That
    likelihood has gradients with less noise, but it is about tasks with more rows than
    their supports have.

    Parameters
    ----------
    n_steps : int
        Number of steps of the training, if it is not stopped early.
    """

    def __init__(self, n_steps):
        self.n_steps = max(n_steps, 1)

    def on_train_begin(self, net, **kwargs):
        def rate(step):
            return min((step + 1) / N_WARM_UP, 1.0, 2 * (1 - step / self.n_steps))

        self.rate = torch.optim.lr_scheduler.LambdaLR(net.optimizer_, rate)
        self.step, net.criterion_.joint_share = 0, 1.0

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self.rate.step()
            self.step += 1
            net.criterion_.joint_share = max(0.0, 1 - 2 * self.step / self.n_steps)


class CutAtPlateaus(Callback):
    """Learning rate: a linear rise, then a cut at every plateau of the validation loss.

    Parameters
    ----------
    stopping : EarlyStopping
        Evaluates the loss before the first epoch; precedes this in the callbacks.
    patience : int
        Number of epochs without a lower loss before a cut, and between cuts.
    """

    def __init__(self, stopping, patience):
        self.stopping, self.patience = stopping, patience

    def on_train_begin(self, net, **kwargs):
        self.rise = torch.optim.lr_scheduler.LinearLR(
            net.optimizer_, start_factor=1 / N_WARM_UP, total_iters=N_WARM_UP - 1
        )
        self.cuts = torch.optim.lr_scheduler.ReduceLROnPlateau(
            net.optimizer_,
            factor=CUT,
            patience=self.patience - 1,  # torch cuts after patience + 1
            threshold=0.0,
            eps=0.0,
        )
        self.cuts.step(self.stopping.best_loss)

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self.rise.step()

    def on_epoch_end(self, net, **kwargs):
        self.cuts.step(net.history[-1, "valid_loss"])


def fit_network(network, batches, validation, settings, config, criterion=QueryLoss):
    """Train ``network`` in place on batches of episodes; leave the best state in it.

    Parameters
    ----------
    network : MetaNetwork
    batches : EpisodeBatches
    validation : list of TaskBatch
    settings : LoopSettings
    config : MetaConfig
    criterion : class of module
        Computes the loss of the output of the network in training mode.

    Returns
    -------
    history : list of dict
        One entry per epoch: epoch, train_loss, valid_loss, dur.

    Raises
    ------
    NonFiniteLossError
        If the loss is not finite, or a matrix factorisation fails; the network then
        has the best state so far.

    Warns
    -----
    UserWarning
        If it was interrupted; the network then has the best state so far.
    """
    n_epochs, patience = settings.max_epochs, settings.patience
    decay = SHORT_DECAY if settings.decays else LONG_DECAY
    stopping = EarlyStopping(validation, patience, decay, config.verbose)
    if settings.decays:
        learning_rate = LinearDecay(n_epochs * settings.steps_per_epoch)
    else:
        learning_rate = CutAtPlateaus(stopping, math.ceil(patience / 3))
    callbacks = [
        ("early_stopping", stopping),
        ("learning_rate", learning_rate),
        ("clip", GradientNormClipping(1.0)),
    ]
    if config.monitor is not None:
        callbacks.append(("monitor", config.monitor))
    for i, given in enumerate(config.callbacks or []):
        callbacks.append(given if isinstance(given, tuple) else (f"user_{i}", given))
    net = NeuralNet(
        network,
        criterion=criterion,
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=1e-2,
        optimizer__fused=True,
        lr=settings.lr,
        max_epochs=n_epochs,
        iterator_train__batch_size=None,
        iterator_train__generator=torch.Generator(),
        train_split=None,
        callbacks=callbacks,
        callbacks__print_log=None,
        device=config.device,
        verbose=0,
    )
    try:
        net.fit(batches, None)
    except (FloatingPointError, torch.linalg.LinAlgError) as error:
        network.load_state_dict(stopping.best_state)
        raise NonFiniteLossError(
            f"Meta-training broke down in epoch {len(net.history)}, step "
            f"{stopping.n_steps + 1}, with a loss that is not finite "
            f"(lr={settings.lr}). The state of epoch {stopping.best_epoch}, the best "
            f"on validation tasks ({stopping.best_loss:.4f}), is kept. Try a smaller "
            "lr, or look for extreme values in the tasks.",
            _history(net),
        ) from error
    finally:
        if stopping.bar is not None:
            stopping.bar.close()
    network.load_state_dict(stopping.best_state)
    epoch = len(net.history)
    if epoch and "valid_loss" not in net.history[-1]:  # the last was interrupted
        warnings.warn(
            f"Meta-training was interrupted in epoch {epoch} of {n_epochs}; the state "
            f"of epoch {stopping.best_epoch}, the best on validation tasks "
            f"({stopping.best_loss:.4f}), is kept.",
            UserWarning,
            stacklevel=2,
        )
    return _history(net)


def _weights(network):
    """Parameters, and the running statistics of batch normalisation."""
    running = ("running_mean", "running_var")
    buffers = [b for n, b in network.named_buffers() if n.endswith(running)]
    return [*network.parameters(), *buffers]


def _history(net):
    keys = ("epoch", "train_loss", "valid_loss", "dur")
    return [{k: row[k] for k in keys if k in row} for row in net.history.to_list()]
