"""Networks, and embeddings, as weights; their parts are built anew when they are read.

What is read is put together as meta-training does, from the estimator's parameters, but
without memory for weights, and then takes those of the file, each of the right name,
type and shape.
"""

import math
import re
from types import SimpleNamespace

import torch

from .._networks.encoders.embedding import make_embedding
from .._networks.learners.base import BaseLearner
from .._networks.learners.factory import base_learner_name, make_base_learner
from .._networks.learners.kernel_averaging import KernelAveragingLearner
from .._networks.learners.network import MetaNetwork, make_network
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
"""What files call them."""

FORMER_NAMES = {
    "by_size": "calibration_coef",
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

MAX_ROW = 2**27
"""Numbers in a row that an embedding takes, at most."""


def write_network(writer, network, name):
    """JSON of a `MetaNetwork` or `NWayNetwork`, whose weights a `Writer` keeps."""
    node = {"around": [], "weights": _keep_weights(writer, network, name)}
    learner = network.learner
    while isinstance(learner, LearnerWrapper):
        if not learner.is_meta_trained:
            node["around"].insert(0, WRAPPERS[type(learner)])
        if learner.memory is not None:
            node["memory"] = writer.named(learner.memory._asdict(), f"{name}/memory")
        if isinstance(learner, RelatedLearner):
            prior = learner.gp.learner.prior
            embed_dim, column_dim = prior.encoding_sizes
            node["process"] = {"embed_dim": embed_dim, "column_dim": column_dim}
        learner = learner.base
    if isinstance(network, NWayNetwork):
        node["n_class_features"] = learner.n_base_features
    return node


def read_network(reader, node, system, state):
    """The network of its JSON.

    Parameters
    ----------
    reader : Reader
    node : dict
    system : System
    state : dict
        The other fields of the `MetaState` that it belongs to.
    """
    if state["parameters"]["n_layers"] > len(reader.arrays):
        raise SavedFileError("it has more layers than arrays")
    with torch.device("meta"):
        own = "n_class_features" in node
        make = _nway_network if own else _shared_network
        network = make(node, system, state).double()
    names = {current_name(key): name for key, name in node["weights"].items()}
    weights = _read_weights(reader, names)
    _check_alike(weights, network.state_dict(), "the network")
    network.load_state_dict(weights, assign=True)
    _check_steps(network)
    if "memory" in node:
        network = network.with_memory(TaskMemory(**reader.fields(node["memory"])))
    return network


def current_name(key):
    """The present name of a weight that a file calls ``key``, see `FORMER_NAMES`."""
    key = f".{key}."
    for former, current in FORMER_NAMES.items():
        key = key.replace(f".{former}.", f".{current}.")
    return key[1:-1]


def _shared_network(node, system, state):
    """A network of numbers, or of classes that tasks share."""
    parameters, targets = state["parameters"], state["targets"]
    n_features, has_pooled = len(state["features"].mean), state["pooled"] is not None
    config = SimpleNamespace(**parameters, architecture=system, seed=0)
    network = make_network(config, n_features, targets, has_pooled)
    learner = network.learner
    for name in node["around"]:
        if name == "OpenLearner":
            learner = KernelAveragingLearner(learner)
            continue
        _check_name(name, "RelatedLearner")
        classification = isinstance(targets, ClassCodec)
        process = make_base_learner(
            "linear"
            if base_learner_name(parameters["base_learner"]) == "linear"
            else "gp",
            classification=classification,
            n_features=n_features,
            n_offset=targets.n_outputs if has_pooled else 0,
            n_outputs=targets.n_outputs,
            seed=0,
            **node["process"],
        )
        relations = (system.relations or Relations)(network.encoder.embed_dim)
        parts = RandomFeatureGP(process, seed=0), relations, _empty_memory()
        learner = RelatedLearner(learner, *parts, classification)
    return MetaNetwork(network.encoder, learner)


def _nway_network(node, system, state):
    """The network of task-specific labels."""
    if node["around"]:  # self-attention and Transformer classifiers of 0.1.0
        raise SavedFileError(
            f"it has task-specific labels and parts, {node['around']}, that exist in "
            "version 0.1.0 alone. Load it with skmeta 0.1.0, or call meta_fit again "
            "and save the estimator with this version"
        )
    n_columns, n_features = len(state["features"].mean), node["n_class_features"]
    self_attention = "learner.class_shift.weight" in node["weights"]  # not in 0.1.0
    config = SimpleNamespace(**state["parameters"], seed=0)
    learner = make_nway_learner(config, n_columns, n_features, self_attention)
    return NWayNetwork(learner)


def _check_name(name, known):
    if name != known:
        raise SavedFileError(f"it has a {name!r}, which is nothing known")


def _empty_memory():
    return TaskMemory(torch.empty(0), torch.empty(0))


def _check_steps(network):
    """Gradient steps are as many as can be chosen: others might have no end."""
    for part in network.modules():
        if not isinstance(part, BaseLearner):
            continue
        known = *part.adaptation_grid, part.single_task_setting
        steps = dict(part.named_buffers(recurse=False)).get("n_steps")
        if steps is not None and (int(steps),) not in known:
            raise SavedFileError(f"it takes {int(steps)} gradient steps, not {known}")


def called(embedding):
    """Full name of the class, or of the callable, of a user's embedding."""
    kind = embedding if hasattr(embedding, "__qualname__") else type(embedding)
    return f"{kind.__module__}.{kind.__qualname__}"


def write_embedding(writer, embedding, name):
    """JSON of an `Embedding`, whose weights a `Writer` keeps; None of None."""
    return None if embedding is None else _keep_weights(writer, embedding, name)


def read_embedding(reader, names, given, parameters, row_shape):
    """The `Embedding` of the user's module, with weights of the file.

    Parameters
    ----------
    reader : Reader
    names : dict
    given : module, class of one, or callable that makes one
    parameters : dict
        Of the estimator.
    row_shape : tuple of int
    """
    if math.prod(row_shape) > MAX_ROW:
        raise SavedFileError(f"its embedding takes rows of shape {row_shape}")
    made_with = {
        name.removeprefix("embedding__"): value
        for name, value in parameters.items()
        if name.startswith("embedding__")
    }
    trainable = parameters["embedding_trainable"]
    try:
        embedding = make_embedding(given, made_with, trainable, row_shape, seed=0)
    except ValueError as error:
        raise SavedFileError(
            f"the embedding given is not that of it: {error}"
        ) from error
    weights = _read_weights(reader, names)
    _check_alike(weights, embedding.state_dict(), f"the embedding {called(given)}")
    embedding.load_state_dict(weights)
    return embedding


def _keep_weights(writer, module, name):
    """Keep what a module's ``state_dict`` has; names there to names of arrays."""
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


_EARLIER = re.compile(r"\bspread$")
"""What files of 0.1.0 call ``hyperprior_sd``."""


def _read_weights(reader, names):
    weights = {}
    for key, name in names.items():
        infinite = key.endswith("dof")  # of normal noise
        array = reader.take(name, finite=not infinite)
        if infinite and not array > 0:
            raise SavedFileError(f"the array {name!r} is not positive")
        weights[_EARLIER.sub("hyperprior_sd", key)] = torch.from_numpy(array)
    return weights


def _check_alike(found, wanted, what):
    """Weights ``found`` have the names, shapes and types ``wanted``."""
    kinds = [
        {key: (tuple(t.shape), str(t.dtype)) for key, t in some.items()}
        for some in (found, wanted)
    ]
    if kinds[0] == kinds[1]:
        return
    of_file, of_module = (
        sorted(set(one.items()) - set(other.items()))
        for one, other in (kinds, kinds[::-1])
    )
    raise SavedFileError(
        f"its weights are not those of {what}: it has {of_file[:3] or 'none'} where "
        f"{of_module[:3] or 'none'} should be"
    )
