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
``alone``                      the setting where no other task is known
=============================  =========================================================

Those of numbers have ``components(adapted, query, joint)``, the whole distribution of
the query rows' targets. Those with a prior to start from have
``log_evidence(adapted)``, ``sample(rows, encoding, generator)`` and, of numbers,
``squared_distance(adapted)``.
"""

from contextlib import contextmanager

import torch
from torch import nn

from .gaussian_process import GaussianProcessPrior
from .gp_classification import GaussianProcessClassification
from .gp_regression import GaussianProcessRegression
from .mlp import MultilayerPerceptron
from .task_encoder import Rows

BASE_LEARNERS = ("gp", "linear", "mlp")


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
    """Draw torch's random numbers from ``seed`` inside, and as before after."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


class MetaNetwork(nn.Module):
    """A task encoder and the base learner that it conditions.

    Parameters
    ----------
    encoder : module
        ``encoder(rows, target)`` gives a `TaskEncoding`.
    learner : module
        A base learner.
    """

    def __init__(self, encoder, learner):
        super().__init__()
        self.encoder, self.learner = encoder, learner

    def unrelated(self):
        """The network of a base learner that borrows from no task."""
        return MetaNetwork(self.encoder, getattr(self.learner, "base", self.learner))

    def adapt(self, support, y):
        """Encode the support of each task and train the base learner on it."""
        encoding = self.encoder(support, self.learner.targets(support, y))
        return self.learner.adapt(support, y, encoding)

    def forward(self, x_support, prior_support, weight_support, y_support,
                x_query, prior_query):  # fmt: skip
        """Adapt to the support of each task and predict its query rows."""
        support = Rows(x_support, prior_support, weight_support)
        weight = torch.ones_like(x_query[..., 0])
        query = Rows(x_query, prior_query, weight)
        return self.learner.predict(self.adapt(support, y_support), query)
