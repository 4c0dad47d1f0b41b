"""A base learner around another."""

from torch import nn


class LearnerWrapper(nn.Module):
    """A learner around another, ``base``, which does all that this one does not.

    Its adaptation holds that of the base learner as ``base``. One that
    ``is_meta_trained`` is trained with it, others are put around it later.

    Parameters
    ----------
    base : module
        A base learner.
    """

    is_meta_trained = False

    def __init__(self, base):
        super().__init__()
        self.base = base

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("base"), name)

    def features(self, adapted, rows):
        """Features of the base learner."""
        return self.base.features(adapted.base, rows)

    def relevance(self, adapted):
        """How much hangs on each column, (B, n_columns)."""
        return self.base.relevance(adapted.base)

    def support_weights(self, adapted, query):
        """Weights of the base learner on the support rows, (B, Q, S)."""
        return self.base.support_weights(adapted.base, query)


def unwrap(learner, adapted=None):
    """The base learner at the core of all those around it, and its adaptation."""
    while isinstance(learner, LearnerWrapper):
        learner = learner.base
        adapted = None if adapted is None else adapted.base
    return learner, adapted
