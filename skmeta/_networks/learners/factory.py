"""Base learners by their names."""

from ..._utils.random import seeded
from .gp_classification import GaussianProcessClassification
from .gp_prior import GaussianProcessPrior
from .gp_regression import GaussianProcessRegression
from .mlp import MultilayerPerceptron

BASE_LEARNERS = ("auto", "gp", "linear", "mlp")


def base_learner_name(base_learner):
    """Name of the base learner to meta-train; "gp" for a scikit-learn estimator."""
    return base_learner if base_learner in ("linear", "mlp") else "gp"


def make_base_learner(experts, *, classification, seed, **sizes):
    """Build a base learner.

    Parameters
    ----------
    experts : "mlp" or sequence of Expert
    classification : bool
    seed : int
        Seed of its initial parameters.
    **sizes : int
        ``n_features``, ``n_pooled``, ``n_outputs``, ``embed_dim``, ``column_dim``.
    """
    with seeded(seed):
        if experts == "mlp":
            return MultilayerPerceptron(classification=classification, **sizes)
        prior = GaussianProcessPrior(experts=experts, **sizes)
    if classification:
        return GaussianProcessClassification(prior)
    return GaussianProcessRegression(prior)
