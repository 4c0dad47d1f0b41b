"""Scikit-learn's callbacks on `meta_fit`, from scikit-learn 1.9 on."""

import copy

from skorch.callbacks import Callback

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:
        """Placeholder for older versions of scikit-learn."""

    def with_callbacks(method):
        """Placeholder for older versions of scikit-learn."""
        return method


class FitTasks(Callback):
    """Reports the epochs of a meta-training to scikit-learn's callbacks, as fit tasks.

    Each training of a network is a fit task, and each of its epochs a subtask.

    Parameters
    ----------
    estimator : MetaLearner
    context : sklearn.callback.CallbackContext
        The context of its `meta_fit`.

    Attributes
    ----------
    rows : (X, y)
        Rows of the validation tasks, for callbacks that compute scores after an epoch;
        ``(None, None)`` while no prediction is possible.
    """

    @classmethod
    def begin(cls, estimator):
        """Begin the fit task of an estimator; None without callbacks."""
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
        """Fitted attributes if meta-training stopped now; None before there are any."""
        if self.state_of is None:
            return None
        return self.estimator._attributes_of(self.state_of(copy.deepcopy(net.module_)))
