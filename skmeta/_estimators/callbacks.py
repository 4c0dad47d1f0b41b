"""Scikit-learn's callbacks on `meta_fit`, where scikit-learn has them (1.9)."""

import copy

from skorch.callbacks import Callback

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:
        """In place of scikit-learn's, which there is none of."""

    def with_callbacks(method):
        """In place of scikit-learn's, which there is none of."""
        return method


class FitTasks(Callback):
    """What scikit-learn's callbacks see of a meta-training: its epochs, as fit tasks.

    Each training of a network is one fit task, and each of its epochs one within.

    Parameters
    ----------
    estimator : MetaLearner
    context : sklearn.callback.CallbackContext
        Of its `meta_fit`.

    Attributes
    ----------
    rows : (X, y)
        Of the validation tasks, for callbacks that score what there is after an epoch;
        ``(None, None)`` where no prediction can be had yet.
    """

    @classmethod
    def begin(cls, estimator):
        """Those of an estimator, the first begun; None without callbacks."""
        if not hasattr(estimator, "_skl_callbacks"):
            return None
        context = estimator._init_callback_context("meta_fit", max_subtasks=None)
        return cls(estimator, context.call_on_fit_task_begin(estimator=estimator))

    def __init__(self, estimator, context):
        self.estimator, self.context = estimator, context
        self.rows, self.state_of, self.epoch = (None, None), None, None

    def on_train_begin(self, net, **kwargs):
        self.training = self.context.subcontext("training", max_subtasks=net.max_epochs)
        self.training.call_on_fit_task_begin(estimator=self.estimator)

    def on_epoch_begin(self, net, **kwargs):
        self.epoch = self.training.subcontext("epoch")
        self._call(self.epoch.call_on_fit_task_begin, net)

    def on_epoch_end(self, net, **kwargs):
        if self._end_epoch(net):
            raise KeyboardInterrupt  # skorch's way to end the loop

    def on_train_end(self, net, **kwargs):
        if self.epoch is not None:  # another callback has ended the loop
            self._end_epoch(net)
        self.training.call_on_fit_task_end(estimator=self.estimator)

    def _end_epoch(self, net):
        epoch, self.epoch = self.epoch, None
        return self._call(epoch.call_on_fit_task_end, net)

    def _call(self, hook, net):
        X, y = self.rows
        return hook(
            estimator=self.estimator, X=X, y=y,
            reconstruction_attributes=lambda: self._attributes(net),
        )  # fmt: skip

    def _attributes(self, net):
        """What an estimator has when meta-training stops here; None before it has."""
        if self.state_of is None:
            return None
        return self.estimator._attributes_of(self.state_of(copy.deepcopy(net.module_)))
