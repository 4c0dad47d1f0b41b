"""Networks and embeddings as weights by name; the modules are built when they are read.

A network is built from the parameters of its estimator, as for meta-training, but
without memory for weights (on the device "meta"). It then takes those of the file, each
of which must have the right name, shape and type.
"""

import math
from types import NoneType

import torch

from .._networks.encoders.embedding import make_embedding
from .._networks.learners.gp_prior import Expert
from .._networks.learners.kernel_averaging import KernelAveragingLearner
from .._networks.learners.network import (
    MetaNetwork,
    make_network,
    make_unconditioned_gps,
)
from .._networks.learners.wrapper import LearnerWrapper
from .._networks.nway.network import NWayNetwork, make_nway_learner
from .._networks.relations.memory import RandomFeatureGP, TaskMemory
from .._networks.relations.relations import RelatedLearner, Relations
from .._preprocessing.scaling import ClassCodec
from ..exceptions import SavedFileError

WRAPPERS = {
    KernelAveragingLearner: "OpenLearner",
    RelatedLearner: "RelatedLearner",
}
"""What files call the learners that wrap another after meta-training."""

FORMER_NAMES = {
    "by_size": "calibration_coef",
    "spread": "hyperprior_sd",
    "process": "gp",
    "gp.remembered_noise": "gp.noise_ratio",
    "relations.by_representation": "relations.weights.log_similarity_weight",
    "relations.by_evidence": "relations.weights.log_evidence_weight",
    "relations.none": "relations.weights.null_logit",
    "relations.local": "relations.weights.log_residual_variance",
    "relations.noise": "relations.weights.log_noise_ratio",
}
"""Names of modules and parameters in earlier files, and what these are called now.

A name may have several parts, as in ``{"prior.signal": "prior.log_signal"}``, and is
replaced wherever these parts follow each other in the name of a weight.
"""

NO_MEMORY = TaskMemory(torch.empty(0), torch.empty(0))

PROCESS = {"embed_dim": 1, "column_dim": 1}
"""Sizes in files of the encoding of the GP that all tasks share: it has none."""

EXPERT_TYPES = [str, int, bool], [str, NoneType, bool]
"""Types of the fields of an `Expert` in files."""

MAX_ROW = 2**27
"""Numbers in a row that an embedding takes, at most."""

MAX_STEPS = 10_000
"""Gradient steps that a learner takes on a support, at most."""


def write_network(writer, network, name):
    """JSON of a network, whose weights a `Writer` keeps."""
    node = {"around": [], "weights": write_weights(writer, network, name)}
    learner = network.learner
    if isinstance(network, MetaNetwork):
        node["experts"] = [list(one) for one in network.core().experts]
    while isinstance(learner, LearnerWrapper):
        if not learner.is_meta_trained:
            node["around"].insert(0, WRAPPERS[type(learner)])
        if learner.memory is not None:
            node["memory"] = writer.named(learner.memory._asdict(), f"{name}/memory")
        if isinstance(learner, RelatedLearner):
            node["process"] = PROCESS
            node["process_experts"] = [list(one) for one in learner.gp.learner.experts]
        learner = learner.base
    if isinstance(network, NWayNetwork):
        node["n_class_features"] = learner.n_base_features
    return node


def read_network(reader, node, config, state):
    """The network of its JSON.

    Parameters
    ----------
    reader : Reader
    node : dict
    config : MetaConfig
        What the estimator would train with.
    state : dict
        The other fields of the `MetaState` that it belongs to.
    """
    if config.n_layers > len(reader.arrays):
        raise SavedFileError("it has more layers than arrays")
    build = _nway_network if "n_class_features" in node else _shared_network
    with torch.device("meta"):
        network = build(node, config, state).double()
    weights = {current_name(key): name for key, name in node["weights"].items()}
    _load_weights(reader, weights, network, "the network")
    for key, steps in network.named_buffers():
        if key.endswith("n_steps") and not 0 <= steps <= MAX_STEPS:
            raise SavedFileError(f"it takes {int(steps)} gradient steps")
    if "memory" in node:
        network = network.with_memory(TaskMemory(**reader.named(node["memory"])))
    return network


def current_name(key):
    """The present name of a weight that a file calls ``key``, see `FORMER_NAMES`."""
    key = f".{key}."
    for former, current in FORMER_NAMES.items():
        key = key.replace(f".{former}.", f".{current}.")
    return key[1:-1]


def _shared_network(node, config, state):
    """A network for regression, or for classes that all tasks share."""
    targets, n_pooled = state["targets"], len(state["pooled"])
    n_features, former = len(state["features"].mean), _former_experts(config, n_pooled)
    experts = _experts(node.get("experts", former), n_pooled)
    network = make_network(config, n_features, targets, n_pooled, experts)
    learner = network.learner
    for name in node["around"]:
        if name == WRAPPERS[KernelAveragingLearner]:
            learner = KernelAveragingLearner(learner)
            continue
        _check_wrapper(name, RelatedLearner)
        experts = _experts(node.get("process_experts", former), n_pooled)
        gp = RandomFeatureGP(
            make_unconditioned_gps(experts, n_features, targets, n_pooled, seed=0), 0
        )
        kind = config.architecture.relations or Relations
        parts = gp, kind(network.encoder.embed_dim), NO_MEMORY
        learner = RelatedLearner(learner, *parts, isinstance(targets, ClassCodec))
    return MetaNetwork(network.encoder, learner)


def _former_experts(config, n_pooled):
    """The one expert of files of 0.1.0."""
    linear = config.base_learner == "linear"
    return [["linear" if linear else "gp", 0 if n_pooled else None, linear]]


def _experts(entries, n_pooled):
    """A list of `Expert`, from their entries in a file."""
    for entry in entries:
        fine = isinstance(entry, list) and [*map(type, entry)] in EXPERT_TYPES
        if not fine or not (entry[1] is None or 0 <= entry[1] < n_pooled):
            raise SavedFileError(f"it has an expert {entry}, which cannot be")
    return [Expert(*entry) for entry in entries]


def _nway_network(node, config, state):
    """A network for tasks with task-specific labels."""
    if node["around"]:  # self-attention and Transformer classifiers of 0.1.0
        raise SavedFileError(
            f"it has task-specific labels and parts, {node['around']}, that exist in "
            "version 0.1.0 alone. Load it with skmeta 0.1.0, or call meta_fit again "
            "and save the estimator with this version"
        )
    n_columns, n_features = len(state["features"].mean), node["n_class_features"]
    self_attention = "learner.class_shift.weight" in node["weights"]  # not in 0.1.0
    return NWayNetwork(make_nway_learner(config, n_columns, n_features, self_attention))


def _check_wrapper(name, kind):
    if name != WRAPPERS[kind]:
        raise SavedFileError(f"it has a {name!r}, which is not known")


def qualified_name(embedding):
    """Full name of the class, or of the callable, that a user gave as embedding."""
    kind = embedding if hasattr(embedding, "__qualname__") else type(embedding)
    return f"{kind.__module__}.{kind.__qualname__}"


def read_embedding(reader, names, config, row_shape):
    """The `Embedding` of the user's module, with weights of the file.

    Parameters
    ----------
    reader : Reader
    names : dict of str to str
        Of the arrays, by the names of the weights.
    config : MetaConfig
    row_shape : tuple of int
    """
    if math.prod(row_shape) > MAX_ROW:
        raise SavedFileError(f"its embedding takes rows of shape {row_shape}")
    given = config.embedding
    try:
        embedding = make_embedding(
            given, config.embedding_parameters, config.embedding_trainable, row_shape,
            seed=0,
        )  # fmt: skip
    except ValueError as error:
        raise SavedFileError(
            f"the embedding given is not that of it: {error}"
        ) from error
    _load_weights(reader, names, embedding, f"the embedding {qualified_name(given)}")
    return embedding


def write_weights(writer, module, name):
    """Keep what a module's ``state_dict`` has; returns names of arrays by its keys."""
    weights = module.state_dict()
    other = [key for key, value in weights.items() if not torch.is_tensor(value)]
    if other:
        raise ValueError(
            f"{type(module).__name__} keeps {other}, which are no tensors and cannot "
            "be saved. Pickle the estimator in place of save."
        )
    return {
        key: writer.keep(tensor.cpu().numpy(), f"{name}/{key}")
        for key, tensor in weights.items()
    }


def _load_weights(reader, names, module, what):
    """Give a module its weights, if they have the names, shapes and types of its own.

    ``names`` of the arrays are by the keys of its ``state_dict``.
    """
    weights, own = {}, module.state_dict()
    for key, name in names.items():
        infinite = key.endswith("dof")  # of Student-t noise that is Gaussian
        weights[key] = torch.from_numpy(reader.take(name, finite=not infinite))
        if key in own and (1, *weights[key].shape) == own[key].shape:
            weights[key] = weights[key][None]  # 0.1.0 had no dimension of experts
        if infinite and not weights[key] > 0:
            raise SavedFileError(f"the array {name!r} is not positive")
    for key in own.keys() - weights.keys():
        if key.endswith("shift_by_column"):  # so it was in 0.1.0
            weights[key] = torch.tensor(True)
    found, wanted = (
        {(key, tuple(t.shape), str(t.dtype)) for key, t in some.items()}
        for some in (weights, own)
    )
    if found != wanted:
        raise SavedFileError(
            f"its weights are not those of {what}: it has "
            f"{sorted(found - wanted)[:3] or 'none'} where "
            f"{sorted(wanted - found)[:3] or 'none'} should be"
        )
    module.load_state_dict(weights, assign=True)
