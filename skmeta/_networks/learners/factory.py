"""Base learners by their names."""

from ..._utils.random import seeded
from .gp_classification import GaussianProcessClassification
from .gp_prior import GaussianProcessPrior
from .gp_regression import GaussianProcessRegression
from .mlp import MultilayerPerceptron

BASE_LEARNERS = ("gp", "linear", "mlp")


def base_learner_name(base_learner):
    """Name of the base learner to meta-train; "gp" for a scikit-learn estimator."""
    return base_learner if isinstance(base_learner, str) else "gp"


def make_base_learner(name, *, classification, seed, **sizes):
    """Build the base learner called ``name``.

    Parameters
    ----------
    name : {"gp", "linear", "mlp"}
    classification : bool
    seed : int
        Seed of its initial parameters.
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
