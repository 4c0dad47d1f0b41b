"""The meta-trained network: a task encoder and the base learner that it conditions."""

from typing import NamedTuple

from torch import nn

from ..._episodes.batch import Rows
from ..._preprocessing.scaling import ClassCodec
from ..._utils.random import seeded
from ..encoders.task_encoder import COLUMN_DIM
from .factory import make_base_learner
from .gp_prior import Expert, RBFDropout
from .wrapper import LearnerWrapper, unwrap

RBF_DROPOUT = 0.1
"""Share of the tasks of a step without the RBF part of their GPs.

Regression only: labels never determine a function, so that in classification it has no
effect.
"""


class Architecture(NamedTuple):
    """The parts of a network that differ between meta-learners.

    ``encoder`` the class of its task encoder; ``relations`` the class that relates a
    task to those in memory, or None; ``row_decoder`` the class of the learner that
    decodes each query row, or None. With task-specific labels all have one network,
    with an encoder of its own.

    An encoder is a torch module that is made with the keywords ``n_features``,
    ``n_offset``, ``n_targets``, ``embed_dim``, ``column_dim``, ``n_heads``,
    ``n_layers`` and ``seed``, and keeps ``embed_dim`` as an attribute. Called with
    ``(rows, target)`` it gives a `TaskEncoding`, whose ``tokens`` and ``log_weight``
    the `RowDecodingLearner` and `DecodedRelations` need.
    """

    encoder: type
    relations: type | None = None
    row_decoder: type | None = None


class MetaNetwork(nn.Module):
    """A task encoder and the base learner that it conditions.

    Parameters
    ----------
    encoder : module
        ``encoder(rows, target)`` returns a `TaskEncoding`.
    learner : module
        A base learner.
    """

    def __init__(self, encoder, learner):
        super().__init__()
        self.encoder, self.learner = encoder, learner

    def meta_trained_part(self):
        """The meta-trained network, without later wrappers of its learner."""
        learner = self.learner
        while isinstance(learner, LearnerWrapper) and not learner.is_meta_trained:
            learner = learner.base
        return MetaNetwork(self.encoder, learner)

    def with_memory(self, memory):
        """The same network with another memory; all else is shared."""
        return MetaNetwork(self.encoder, self.learner.with_memory(memory))

    def core(self):
        """The innermost base learner."""
        return unwrap(self.learner)[0]

    def replace_core(self, core):
        """Replace the innermost base learner, in place."""
        if not isinstance(self.learner, LearnerWrapper):
            self.learner = core
            return
        wrapper = self.learner
        while isinstance(wrapper.base, LearnerWrapper):
            wrapper = wrapper.base
        wrapper.base = core

    def encode(self, support, y):
        """Encode the support of each task, a `TaskEncoding`."""
        return self.encoder(support, self.learner.targets(support, y))

    def adapt(self, support, y):
        """Encode the support of each task and train the base learner on it."""
        return self.learner.adapt(support, y, self.encode(support, y))

    def forward(self, x_support, offset_support, weight_support, y_support,
                x_query, offset_query):  # fmt: skip
        """Adapt to the support of each task and predict its query rows.

        During training, these are the predictions of
        `BaseLearner.training_predictions`, a list.
        """
        support = Rows(x_support, offset_support, weight_support)
        weight = x_query.new_ones(x_query.shape[:2])
        query = Rows(x_query, offset_query, weight)
        encoding = self.encode(support, y_support)
        if self.learner.training:
            return self.learner.training_predictions(
                support, y_support, encoding, query
            )[0]
        adapted = self.learner.adapt(support, y_support, encoding)
        return self.learner.predict(adapted, query)


def make_network(config, n_features, targets, n_pooled=0, experts=None):
    """Build a network whose encoder does not affect its base learner before training.

    Parameters
    ----------
    config : MetaConfig
    n_features : int
    targets : TargetScaler or ClassCodec
    n_pooled : int
        Number of pooled estimators.
    experts : sequence of Expert, optional
        By default one without pooled estimator. Not used if the base learner is an MLP.
    """
    seed, architecture = config.seed, config.architecture
    n_outputs = targets.n_outputs
    classification = isinstance(targets, ClassCodec)
    n_offset = n_outputs * max(1, n_pooled)
    sizes = {"embed_dim": config.embed_dim, "column_dim": COLUMN_DIM}
    layers = {"n_heads": config.n_heads, "n_layers": config.n_layers}
    with seeded(seed):
        encoder = architecture.encoder(
            n_features=n_features,
            n_offset=n_offset,
            n_targets=n_outputs,
            seed=seed,
            **layers,
            **sizes,
        )
    if config.base_learner == "mlp":
        experts = "mlp"
    elif experts is None:
        experts = [Expert(linear=config.base_learner == "linear")]
    learner = make_base_learner(
        experts,
        classification=classification,
        seed=seed,
        n_features=n_features,
        n_pooled=n_pooled,
        n_outputs=n_outputs,
        **sizes,
    )
    if learner.has_prior and not classification:
        learner.prior.rbf_dropout = RBFDropout(RBF_DROPOUT, seed)
    if architecture.row_decoder is not None:
        with seeded(seed):
            learner = architecture.row_decoder(
                learner,
                n_inputs=n_features + n_offset,
                n_base_outputs=n_outputs if classification else 2,
                embed_dim=config.embed_dim,
                **layers,
            )
    return MetaNetwork(encoder, learner)


def make_unconditioned_gps(experts, n_features, targets, n_pooled, seed):
    """Build the GPs that all tasks share, which are not conditioned on an encoding.

    Parameters are those of `make_network`.
    """
    return make_base_learner(
        experts,
        classification=isinstance(targets, ClassCodec),
        n_features=n_features,
        n_pooled=n_pooled,
        n_outputs=targets.n_outputs,
        embed_dim=1,
        column_dim=1,
        seed=seed,
    )
