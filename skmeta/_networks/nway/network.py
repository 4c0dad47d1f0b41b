"""The network for N-way classification."""

from torch import nn

from ..._episodes.batch import Rows
from ..._utils.random import seeded
from ..learners.factory import base_learner_name
from .learner import NWayLearner


def make_nway_learner(config, n_columns, n_features, self_attention=True):
    """The `NWayLearner` of a `MetaConfig`, untrained."""
    name = base_learner_name(config.base_learner)
    with seeded(config.seed):
        return NWayLearner(
            n_columns, n_features, config.embed_dim, config.n_heads, config.n_layers,
            linear_only=name == "linear", by_gradient=name == "mlp",
            self_attention=self_attention, seed=config.seed,
        )  # fmt: skip


class NWayNetwork(nn.Module):
    """The meta-trained network if labels are task-specific."""

    def __init__(self, learner):
        super().__init__()
        self.learner = learner

    def with_memory(self, memory):
        """The same network: only the `MetaState` has the embeddings of tasks."""
        return self

    def adapt(self, support, y):
        """Adapt to the support rows (`Rows`) of each task, and their classes."""
        return self.learner.adapt(support.x, y, support.weight)

    def forward(self, x_support, offset_support, weight_support, y_support,
                x_query, offset_query):  # fmt: skip
        """Adapt to the support of each task and return the logits of its query rows."""
        support = Rows(x_support, offset_support, weight_support)
        query = Rows(x_query, offset_query, x_query.new_ones(x_query.shape[:2]))
        return self.learner.predict(self.adapt(support, y_support), query)
