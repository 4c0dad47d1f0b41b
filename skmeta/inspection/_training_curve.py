"""The picture of the losses of meta-training."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

LOSSES = ("train_loss", "valid_loss")


class MetaTrainingDisplay:
    """Losses of meta-training, epoch by epoch.

    The loss on the validation tasks stops meta-training, and the state of its lowest
    point is kept. It is best made by `from_estimator`.

    Parameters
    ----------
    train_loss : array-like of shape (n_epochs,)
        On the training tasks.
    valid_loss : array-like of shape (n_epochs,)
        On the validation tasks.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        Of the training and the validation loss.
    best_epoch_ : int
        Counted from 1.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skmeta.inspection import MetaTrainingDisplay
    >>> display = MetaTrainingDisplay([3.0, 2.0, 1.5], [3.1, 2.4, 2.6]).plot()
    >>> display.best_epoch_
    2
    >>> plt.close(display.figure_)
    """

    def __init__(self, train_loss, valid_loss):
        self.train_loss = train_loss
        self.valid_loss = valid_loss

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
        """Draw the meta-training of a meta-learner.

        Parameters
        ----------
        estimator : meta-learner
            Meta-fitted, for an epoch or more.
        ax : matplotlib Axes, default=None
            To draw on; None makes a figure.

        Returns
        -------
        display : MetaTrainingDisplay

        Raises
        ------
        ValueError
            If meta-training had no epochs.
        """
        history = estimator.history_
        if not history:
            raise ValueError(
                f"Meta-training of this {type(estimator).__name__} had no epochs "
                f"(max_epochs={estimator.max_epochs}): there is nothing to draw."
            )
        losses = ([epoch[name] for epoch in history] for name in LOSSES)
        return cls(*losses).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            To draw on; None makes a figure.

        Returns
        -------
        self : MetaTrainingDisplay
        """
        if ax is None:
            _, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
        epochs = np.arange(1, len(self.valid_loss) + 1)
        mark = {"marker": "." if len(epochs) < 60 else None}
        train = {"color": "#c2571a", "linestyle": "--", "label": "training tasks"}
        valid = {"color": "#0b3c8c", "linewidth": 2.2, "label": "validation tasks"}
        self.lines_ = [
            *ax.plot(epochs, self.train_loss, **train, **mark),
            *ax.plot(epochs, self.valid_loss, **valid, **mark),
        ]
        best = int(np.nanargmin(self.valid_loss))
        self.best_epoch_ = best + 1
        ax.plot(
            self.best_epoch_,
            self.valid_loss[best],
            marker="o",
            markersize=10,
            fillstyle="none",
            color="#222222",
            linestyle="none",
            label=f"kept: epoch {self.best_epoch_}",
        )
        ax.set_xlabel("epoch")
        ax.set_ylabel("query loss")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False)
        self.ax_, self.figure_ = ax, ax.figure
        return self
