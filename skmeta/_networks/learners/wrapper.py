"""A base learner that wraps another."""

from .base import BaseLearner


class LearnerWrapper(BaseLearner):
    """A learner that wraps another, ``base``, to which inherited methods delegate.

    Its adaptation has that of the wrapped learner as ``base``. The Gaussian-process
    prior, its evidence and samples are those of the learner that `unwrap` finds.

    Parameters
    ----------
    base : BaseLearner

    Attributes
    ----------
    is_meta_trained : bool
        Whether it is meta-trained together with ``base``, or added afterwards.
    """

    is_meta_trained = False

    def __init__(self, base):
        super().__init__()
        self.base = base

    @property
    def adaptation_grid(self):
        return self.base.adaptation_grid

    @property
    def robust_grid(self):
        return self.base.robust_grid

    @property
    def single_task_setting(self):
        return self.base.single_task_setting

    @property
    def n_base_features(self):
        return self.base.n_base_features

    def set_adaptation(self, *setting):
        self.base.set_adaptation(*setting)

    def targets(self, rows, y):
        return self.base.targets(rows, y)

    def features(self, adapted, rows):
        return self.base.features(adapted.base, rows)

    def support_weights(self, adapted, query):
        return self.base.support_weights(adapted.base, query)

    def relevance(self, adapted):
        return self.base.relevance(adapted.base)

    def expert_share(self, adapted):
        return self.base.expert_share(adapted.base)

    def row_weight(self, adapted, support):
        return self.base.row_weight(adapted.base, support)


def unwrap(learner, adapted=None):
    """The innermost base learner, and its part of an adaptation."""
    while isinstance(learner, LearnerWrapper):
        learner = learner.base
        adapted = None if adapted is None else adapted.base
    return learner, adapted
