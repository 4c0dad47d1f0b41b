"""Stage 3: the learners that predict for one task, conditioned on its encoding.

A base learner is a torch module over a batch of tasks with

=============================  =========================================================
``targets(rows, y)``           what the task encoder reads of each row's target
``adapt(support, y, enc)``     train on the support, from where the encoding starts it
``predict(adapted, query)``    mean and variance, or logits, of query rows
``features(adapted, rows)``    what ``transform`` returns
``support_weights(adapted, query)``  how much each support row decides
``relevance(adapted)``         how much hangs on each column
``adaptation_grid``            settings of the training on the support, taken by
``set_adaptation(*setting)``   and chosen on
                               held-out tasks
``robust_grid``                where it has any, those that take strong evidence
``alone``                      the setting where no other task is known
=============================  =========================================================

Those of numbers have ``components(adapted, query, joint)``, the whole distribution of
the query rows' targets. Those with a prior to start from have
``log_evidence(adapted)``, ``sample(rows, encoding, generator)`` and, of numbers,
``squared_distance(adapted)``, of classes, ``prior_covariance(adapted, rows)``.
"""

from ..._utils.random import seeded
from .gp_classification import GaussianProcessClassification
from .gp_prior import GaussianProcessPrior
from .gp_regression import GaussianProcessRegression
from .mlp import MultilayerPerceptron

BASE_LEARNERS = ("gp", "linear", "mlp")


def base_learner_name(base_learner):
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
        ``n_features``, ``n_offset``, ``n_outputs``, ``embed_dim``, ``column_dim``.
    """
    with seeded(seed):
        if name == "mlp":
            return MultilayerPerceptron(classification=classification, **sizes)
        prior = GaussianProcessPrior(linear_only=name == "linear", **sizes)
    if classification:
        return GaussianProcessClassification(prior)
    return GaussianProcessRegression(prior)
