"""Stage 3: the interface of base learners, which predict for one task.

A base learner is a torch module over a batch of B tasks, conditioned on their encodings
(stage 1). `BaseLearner.adapt` conditions it on support rows; its output is an argument
of all methods for query rows.
"""

import torch.nn.functional as F
from torch import nn


class BaseLearner(nn.Module):
    """Interface of the base learners.

    Every learner implements `targets`, `adapt`, `predict`, `features`,
    `support_weights` and `relevance`; a regression learner also `components`. A
    learner with a Gaussian-process prior (``has_prior``) has the attribute ``prior``
    and implements `log_evidence` and `sample`; see `GaussianProcessLearner`.

    Attributes
    ----------
    adaptation_grid : tuple of tuple
        Settings of the training on the support, arguments of `set_adaptation`; the
        one with the lowest loss on validation tasks is selected.
    robust_grid : tuple of tuple
        Settings that are selected only on strong evidence.
    single_task_setting : tuple
        The setting for training on a single task.
    has_prior : bool
        Whether it has a Gaussian-process prior.
    supports_kernel_averaging : bool
        Whether `KernelAveragingLearner` can wrap it.
    n_base_features : int
        Number of `features` of a row.
    experts : tuple of Expert
        What its experts are, if it has a Gaussian-process prior.
    memory : TaskMemory or None
        The memory, if the learner relates tasks to those in memory.
    """

    adaptation_grid = ((),)
    robust_grid = ()
    single_task_setting = ()
    has_prior = False
    supports_kernel_averaging = False
    n_base_features = 0
    memory = None
    experts = ()

    def set_adaptation(self):
        """Set how the support trains the learner, a row of ``adaptation_grid``."""

    def targets(self, rows, y):
        """Encoded targets, inputs of the task encoder, (B, N, n_outputs)."""
        raise NotImplementedError

    def adapt(self, support, y, encoding):
        """Condition each task on its support.

        Parameters
        ----------
        support : Rows of B tasks with S rows
        y : tensor of shape (B, S)
        encoding : TaskEncoding

        Returns
        -------
        adapted : NamedTuple
            Has the ``encoding``; other fields are specific to the learner.
        """
        raise NotImplementedError

    def predict(self, adapted, query):
        """`Gaussian` or `Categorical` prediction of the query rows."""
        raise NotImplementedError

    def training_predictions(self, support, y, encoding, query):
        """Adapt and predict in meta-training.

        Returns
        -------
        predictions : list of Gaussian, JointGaussian or Categorical
            The loss is the sum of their losses.
        prediction : Gaussian or Categorical
            That of `predict`; gradients may be left out.
        """
        prediction = self.predict(self.adapt(support, y, encoding), query)
        return [prediction], prediction

    def components(self, adapted, query, joint=False):
        """Predictive distribution of query rows, a list of `Components`.

        Their variances are covariances of all query rows of a task where ``joint``.
        Regression only.
        """
        raise NotImplementedError

    def features(self, adapted, rows):
        """What ``transform`` returns, (B, N, n_base_features)."""
        raise NotImplementedError

    def support_weights(self, adapted, query):
        """Weight of each support row in the prediction of each query row, (B, Q, S)."""
        raise NotImplementedError

    def relevance(self, adapted):
        """How much the prediction depends on each column, (B, n_columns)."""
        raise NotImplementedError

    def expert_share(self, adapted):
        """Weights (B, E) of the experts in the prediction."""
        return adapted.encoding.task.new_ones(len(adapted.encoding.task), 1)

    def row_weight(self, adapted, support):
        """Weights (B, S) that the support rows had in the adaptation."""
        return support.weight

    def log_evidence(self, adapted):
        """Log marginal likelihood of each task's support, (B,)."""
        raise NotImplementedError

    def sample(self, rows, encoding, generator):
        """Draw targets (B, N) of ``rows`` from the prior."""
        raise NotImplementedError


def residual_targets(rows, y):
    """Targets (B, N, 1) minus the mean of the pooled predictions, 0 for padding."""
    return ((y - rows.offset.mean(-1)) * (rows.weight > 0))[..., None]


def residual_labels(rows, y, n_classes):
    """One-hot labels (B, N, n_classes) minus pooled probabilities, 0 for padding."""
    one_hot = F.one_hot(y, n_classes).to(rows.offset)
    pooled = rows.offset.unflatten(-1, (-1, n_classes)).mean(-2).softmax(-1)
    return (one_hot - pooled) * (rows.weight > 0)[..., None]
