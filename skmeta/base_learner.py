"""Stage 3: the learners that predict for one task, conditioned on its encoding.

A base learner is a torch module over a batch of tasks with

=============================  =========================================================
``targets(rows, y)``           what the task encoder reads of each row's target
``adapt(support, y, enc)``     train on the support, from where the encoding starts it
``predict(adapted, query)``    mean and variance, or logits, of query rows
``features(adapted, rows)``    what ``transform`` returns
``support_weights(adapted, query)``  how much each support row decides
``relevance(adapted)``         how much hangs on each column
``choices``, ``configure``     settings of the training on the support, chosen on
                               held-out tasks
``cautious_choices``           where it has any, those that take strong evidence
``alone``                      the setting where no other task is known
=============================  =========================================================

Those of numbers have ``components(adapted, query, joint)``, the whole distribution of
the query rows' targets. Those with a prior to start from have
``log_evidence(adapted)``, ``sample(rows, encoding, generator)`` and, of numbers,
``squared_distance(adapted)``, of classes, ``prior_covariance(adapted, rows)``.
"""

import threading
from contextlib import contextmanager

import torch
from torch import nn

from .gaussian_process import GaussianProcessPrior
from .gp_classification import GaussianProcessClassification
from .gp_regression import GaussianProcessRegression
from .mlp import MultilayerPerceptron

BASE_LEARNERS = ("gp", "linear", "mlp")

_source_of_all = threading.RLock()


def kind_of(base_learner):
    """Which of `BASE_LEARNERS` a base learner is; an estimator is helped by "gp"."""
    return base_learner if isinstance(base_learner, str) else "gp"


def make_base_learner(name, *, classification, seed, **sizes):
    """Build the base learner called ``name``.

    Parameters
    ----------
    name : {"gp", "linear", "mlp"}
    classification : bool
    seed : int
        Draws its first parameters.
    **sizes : int
        ``n_features``, ``n_prior``, ``n_outputs``, ``embed_dim``, ``column_dim``.
    """
    with seeded(seed):
        if name == "mlp":
            return MultilayerPerceptron(classification=classification, **sizes)
        prior = GaussianProcessPrior(linear_only=name == "linear", **sizes)
    if classification:
        return GaussianProcessClassification(prior)
    return GaussianProcessRegression(prior)


@contextmanager
def seeded(seed):
    """Draw torch's random numbers from ``seed`` inside, and as before after.

    One thread at a time, since torch has one source of them for all.
    """
    with _source_of_all, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


class LearnerAround(nn.Module):
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


def innermost(learner, adapted=None):
    """The base learner at the core of all those around it, and its adaptation."""
    while isinstance(learner, LearnerAround):
        learner = learner.base
        adapted = None if adapted is None else adapted.base
    return learner, adapted
