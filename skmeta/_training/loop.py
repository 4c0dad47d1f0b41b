"""The loop of meta-training: skorch's, over batches of episodes.

A `skorch.NeuralNet` runs the loop, its dataset's items are ready batches of tasks, and
a callback stops it on held-out tasks. Any skorch callback of the user's runs with it.
"""

import copy
import math
import warnings

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, GradientNormClipping
from tqdm.auto import tqdm

from .._episodes.sampler import log_uniform_sizes
from .._networks.learners.losses import row_losses
from ..exceptions import NonFiniteLossError
from .validation import validation_loss

N_WINDOWS = 4
BOUND = 5.0
"""Standard deviations from which on an error counts in proportion while training.

Squared, the few tasks of a step that are predicted with too much confidence drown all
others, and make what held-out tasks say a matter of luck.
"""

MIN_WEIGHT = 1e-12
"""Of a batch: there is nothing to learn from tasks that all have the weight 0."""


class QueryLoss(torch.nn.Module):
    """Mean negative log likelihood of the query rows of a batch, errors bounded."""

    def forward(self, prediction, target):
        y, weight = target
        return self.mean(row_losses(prediction, y, BOUND), weight)

    @staticmethod
    def mean(losses, weight):
        """Mean of the losses of rows, by their weights."""
        return (losses * weight).sum() / weight.sum().clamp(min=MIN_WEIGHT)


class EpisodeBatches(torch.utils.data.Dataset):
    """As many batches an epoch as asked for, each drawn when it is asked for.

    Parameters
    ----------
    draw : callable
        ``draw(n_support)`` gives a `TaskBatch` of as many tasks as ``n_support``,
        (batch_size,), has entries.
    n_batches, batch_size : int
    n_support : (int, int)
        Range of the support size, drawn log-uniformly for each task; all those of a
        batch from the same quarter, so that little is padding.
    rng : numpy.random.Generator
    """

    def __init__(self, draw, n_batches, batch_size, n_support, rng):
        self.draw, self.n_batches, self.batch_size = draw, n_batches, batch_size
        self.n_support, self.rng = n_support, rng

    def __len__(self):
        return self.n_batches

    def __getitem__(self, index):
        window = self.rng.integers(N_WINDOWS)
        quantiles = (window + self.rng.random(self.batch_size)) / N_WINDOWS
        batch = self.draw(log_uniform_sizes(*self.n_support, quantiles))
        return batch.inputs(), batch.target()


class EarlyStopping(Callback):
    """Keep the state that does best on held-out tasks, and stop when none is better.

    What is judged, and kept, is an exponential moving average of the weights, and of
    the running statistics of batch normalisation.

    Parameters
    ----------
    batches : list of TaskBatch
    patience : int
        Epochs without a better state before it stops.
    decay : float
        Of the moving average, a step.
    verbose : int
        Above 0 shows a progress bar with the held-out loss.
    """

    def __init__(self, batches, patience, decay=0.99, verbose=0):
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
        self._judge(net, 0)

    def on_batch_end(self, net, batch=None, training=False, loss=None, **kwargs):
        if not training:
            return
        if not math.isfinite(net.history[-1, "batches", -1, "train_loss"]):
            raise FloatingPointError
        self.n_steps += 1
        decay = min(self.decay, self.n_steps / (self.n_steps + 9))
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, self.current, 1 - decay)

    def on_epoch_end(self, net, **kwargs):
        epoch = len(net.history)
        loss = self._judge(net, epoch)
        net.history.record("valid_loss", loss)
        net.history.record("valid_loss_best", self.best_epoch == epoch)
        self.bar.update()
        self.bar.set_postfix_str(f"held-out loss {loss:.4f}, best {self.best_loss:.4f}")
        if epoch - self.best_epoch >= self.patience:
            raise KeyboardInterrupt  # skorch's way to end the loop

    def on_train_end(self, net, **kwargs):
        self.bar.close()

    def _judge(self, net, epoch):
        loss = validation_loss(self.average, self.batches, net.device, BOUND)
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, epoch
            self.best_state = copy.deepcopy(self.average.state_dict())
        return loss


class MetaNet(NeuralNet):
    """A step that a compiled network fails at is taken again, not compiled."""

    def train_step_single(self, batch, **fit_params):
        try:
            return super().train_step_single(batch, **fit_params)
        except Exception as error:  # in compiling what goes forward, or backward
            if not getattr(self.module_, "is_compiled", False):
                raise
            self.module_.uncompile(error)
        self.module_.zero_grad()
        return super().train_step_single(batch, **fit_params)


class LearningRate(Callback):
    """Learning rate: a short rise, then a cut at every plateau of the held-out loss.

    Parameters
    ----------
    patience : int
        Epochs without a better state before a cut, and between cuts.
    factor : float
        Of a cut.
    warm_up : int
        Steps of the rise.
    """

    def __init__(self, patience, factor=0.3, warm_up=50):
        self.patience, self.factor, self.warm_up = patience, factor, warm_up

    def on_train_begin(self, net, **kwargs):
        self.n_steps = self.n_waited = 0
        self.full_rates = None

    def on_batch_begin(self, net, training=False, **kwargs):
        if training and self.n_steps < self.warm_up:
            self.n_steps += 1
            groups = net.optimizer_.param_groups
            self.full_rates = [group["lr"] for group in groups]
            for group in groups:
                group["lr"] *= self.n_steps / self.warm_up

    def on_batch_end(self, net, training=False, **kwargs):
        if training and self.full_rates is not None:
            for group, rate in zip(
                net.optimizer_.param_groups, self.full_rates, strict=True
            ):
                group["lr"] = rate
            self.full_rates = None

    def on_epoch_end(self, net, **kwargs):
        better = net.history[-1, "valid_loss_best"]
        self.n_waited = 0 if better else self.n_waited + 1
        if self.n_waited and self.n_waited % self.patience == 0:
            for group in net.optimizer_.param_groups:
                group["lr"] *= self.factor


def train(network, batches, validation, *, max_epochs, patience, lr, callbacks,
          fit_tasks, device, verbose, criterion=QueryLoss):  # fmt: skip
    """Train ``network`` in place on batches of episodes; leave the best state in it.

    Parameters
    ----------
    network : MetaNetwork
    batches : EpisodeBatches
    held_out : list of TaskBatch
    max_epochs, patience, lr, callbacks, device, verbose
        As the estimators' parameters of these names.
    fit_tasks : FitTasks or None
        A callback more, for those of scikit-learn.
    criterion : class of module
        From what the network gives while it is trained, and targets, to the loss.

    Returns
    -------
    history : list of dict
        One entry an epoch: epoch, train_loss, valid_loss, dur.

    Raises
    ------
    NonFiniteLossError
        If the loss, or a matrix factorisation, breaks down; the network then holds
        the best state so far.

    Warns
    -----
    UserWarning
        If it was interrupted; the network then holds the best state so far.
    """
    stop = EarlyStopping(validation, patience, verbose=verbose)
    own = [
        ("stop_on_held_out", stop),
        ("learning_rate", LearningRate(math.ceil(patience / 3))),
        ("clip", GradientNormClipping(1.0)),
    ]
    if fit_tasks is not None:
        own.append(("fit_tasks", fit_tasks))
    given = [c if isinstance(c, tuple) else (f"user_{i}", c)
             for i, c in enumerate(callbacks or [])]  # fmt: skip
    net = MetaNet(
        network,
        criterion=criterion,
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=1e-2,
        optimizer__fused=True,
        lr=lr,
        max_epochs=max_epochs,
        iterator_train__batch_size=None,
        iterator_train__generator=torch.Generator(),
        train_split=None,
        callbacks=own + given,
        callbacks__print_log=None,
        device=device,
        verbose=0,
    )
    try:
        net.fit(batches, None)
    except (FloatingPointError, torch.linalg.LinAlgError) as error:
        network.load_state_dict(stop.best_state)
        raise NonFiniteLossError(
            f"Meta-training broke down in epoch {len(net.history)}, step "
            f"{stop.n_steps + 1}, with a loss that is not finite (lr={lr}). The state "
            f"of epoch {stop.best_epoch}, the best on held-out tasks "
            f"({stop.best_loss:.4f}), is kept. Try a smaller lr, or look for extreme "
            "values in the tasks.",
            _history(net),
        ) from error
    finally:
        if stop.bar is not None:
            stop.bar.close()
    network.load_state_dict(stop.best_state)
    n_epochs = len(net.history)
    if (
        n_epochs and "valid_loss" not in net.history[-1]
    ):  # the last epoch never came to its end
        warnings.warn(
            f"Meta-training was interrupted in epoch {n_epochs} of {max_epochs}; the "
            f"state of epoch {stop.best_epoch}, the best on held-out tasks "
            f"({stop.best_loss:.4f}), is kept.",
            UserWarning,
            stacklevel=2,
        )
    return _history(net)


def _weights(network):
    """Parameters, and what batch normalisation has seen of its inputs."""
    running = ("running_mean", "running_var")
    buffers = [b for n, b in network.named_buffers() if n.endswith(running)]
    return [*network.parameters(), *buffers]


def _history(net):
    keys = ("epoch", "train_loss", "valid_loss", "dur")
    return [{k: row[k] for k in keys if k in row} for row in net.history.to_list()]
