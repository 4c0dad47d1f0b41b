"""What is meta-trained: a task encoder, and the base learner that it conditions."""

import warnings
from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from ..._episodes.batch import Rows
from ..._preprocessing.scaling import ClassCodec
from ..._utils.random import seeded
from ..encoders.task_encoder import COLUMN_DIM
from .base import base_learner_name, make_base_learner
from .gp_prior import RBFDropout
from .wrapper import LearnerWrapper, unwrap

RBF_DROPOUT = 0.1
"""Share of the tasks of a step whose processes are left without their RBF part.

Labels never say all of a function, so that of classes it has nothing to add.
"""


class Architecture(NamedTuple):
    """What tells one meta-learner from another.

    ``encoder`` the class of its task encoder; ``relations`` the class of what relates
    a task to those remembered, or None; ``row_decoder`` the class of the learner that
    decodes each query row, or None; ``kernel_averaging`` what makes a learner reckon
    with
    functions of other kinds than those of meta-training, or None. With
    task-specific labels all have one learner, `NWayLearner`.
    """

    encoder: type
    relations: type | None = None
    row_decoder: type | None = None
    kernel_averaging: Callable | None = None


class MetaNetwork(nn.Module):
    """A task encoder and the base learner that it conditions.

    Parameters
    ----------
    encoder : module
        ``encoder(rows, target)`` gives a `TaskEncoding`.
    learner : module
        A base learner.

    Attributes
    ----------
    is_compiled : bool
        Whether the encoder is run as `torch.compile` made it.
    """

    is_compiled = False
    has_task_specific_labels = False

    def __init__(self, encoder, learner):
        super().__init__()
        self.encoder, self.learner = encoder, learner

    def meta_trained_part(self):
        """The network that is meta-trained, without what is put around it later."""
        learner = self.learner
        while isinstance(learner, LearnerWrapper) and not learner.is_meta_trained:
            learner = learner.base
        return MetaNetwork(self.encoder, learner)

    def with_memory(self, memory):
        """The same network with other tasks remembered; all else is shared."""
        return MetaNetwork(self.encoder, self.learner.with_memory(memory))

    def core(self):
        """The base learner, without what is around it."""
        return unwrap(self.learner)[0]

    def compile_encoder(self):
        """Compile the encoder where that works; copies are not compiled."""
        try:
            self.encoder.compile()
            self.is_compiled = True
        except Exception as error:  # whatever a compiler is missing
            _warn_of_compilation(error)

    def uncompile(self, error):
        """Run the encoder as it is from now on, and say why."""
        self.is_compiled = False
        _warn_of_compilation(error)

    def adapt(self, support, y):
        """Encode the support of each task and train the base learner on it."""
        encode = self.encoder if self.is_compiled else self.encoder.forward
        encoding = encode(support, self.learner.targets(support, y))
        return self.learner.adapt(support, y, encoding)

    def forward(self, x_support, prior_support, weight_support, y_support,
                x_query, prior_query):  # fmt: skip
        """Adapt to the support of each task and predict its query rows."""
        support = Rows(x_support, prior_support, weight_support)
        weight = x_query.new_ones(x_query.shape[:2])
        query = Rows(x_query, prior_query, weight)
        return self.learner.predict(self.adapt(support, y_support), query)


def _warn_of_compilation(error):
    why = f"{type(error).__name__}: {error}".splitlines()[0]
    warnings.warn(
        f"torch.compile failed ({why}); meta-training goes on without it. It needs a "
        "C++ compiler, or Triton on a GPU.",
        UserWarning,
        stacklevel=3,
    )


def make_network(settings, system, n_features, targets, has_pooled, seed):
    """Build a network whose base learner its encoder does not move yet.

    Parameters
    ----------
    settings : dict
        The estimator's parameters.
    system : System
    n_features : int
    targets : TargetScaler or LabelEncoder
    has_pooled : bool
    seed : int
    """
    n_outputs = targets.n_outputs
    n_offset = n_outputs if has_pooled else 0
    classification = isinstance(targets, ClassCodec)
    sizes = {"embed_dim": settings["embed_dim"], "column_dim": COLUMN_DIM}
    layers = {"n_heads": settings["n_heads"], "n_layers": settings["n_layers"]}
    with seeded(seed):
        encoder = system.encoder(
            n_features=n_features,
            n_offset=n_outputs,
            n_targets=n_outputs,
            seed=seed,
            **layers,
            **sizes,
        )
    learner = make_base_learner(
        base_learner_name(settings["base_learner"]),
        classification=classification,
        seed=seed,
        n_features=n_features,
        n_offset=n_offset,
        n_outputs=n_outputs,
        **sizes,
    )
    if hasattr(learner, "prior") and not classification:
        learner.prior.rbf_dropout = RBFDropout(RBF_DROPOUT, seed)
    if system.row_decoder is not None:
        with seeded(seed):
            learner = system.row_decoder(
                learner,
                n_inputs=n_features + n_outputs,
                n_said=n_outputs if classification else 2,
                embed_dim=settings["embed_dim"],
                **layers,
            )
    return MetaNetwork(encoder, learner)
