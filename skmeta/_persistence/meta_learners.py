"""Meta-learners in any of their states, as JSON and arrays, and back."""

import copy
import warnings

import numpy as np
from sklearn.base import clone, is_regressor
from sklearn.utils import assert_all_finite

from .._estimators.parameters import resolve_device
from .._estimators.states import comparable
from .._preprocessing.scaling import ClassCodec
from .._training.config import NWAY, REGRESSION, SHARED_CLASSES
from .._training.state import MetaState
from ..exceptions import SavedFileError
from ..tasks import TaskCollection
from .networks import (
    qualified_name,
    read_embedding,
    read_network,
    write_network,
    write_weights,
)
from .records import check_fields, field_values

ONLY_META_FIT = ("callbacks", "augmentation")
"""Parameters that are the user's code, and that only `meta_fit` runs."""

FORMER_PARAMETERS = ("compile",)
"""Parameters in earlier files that no longer exist, and that changed no prediction."""

SHOWN = ("task_embedding_", "feature_attention_", "base_learner_weights_")
"""Attributes of an adaptation that are not computed again when it is read."""

COLUMNS = ("n_features_in_", "feature_names_in_")

OUTPUT, OUTPUTS = "_sklearn_output_config", ("default", "pandas", "polars")

ATTRIBUTES = {
    *SHOWN, *COLUMNS, OUTPUT, "meta_state_", "base_learner_", "_support",
    "history_", "base_learners_", "task_names_", "task_embeddings_", "task_attention_",
    "classes_", "device_", "_state", "_adapted",
}  # fmt: skip
"""Those that a meta-learner sets; a file has them, or what they are computed from."""


def write_meta_learner(writer, estimator, name):
    """JSON of a meta-learner, whose arrays a `Writer` keeps."""
    estimator._check_parameters()
    parameters = estimator.get_params(deep=False)
    dropped = [n for n in ONLY_META_FIT if parameters[n] is not None]
    parameters |= dict.fromkeys(dropped)
    dropped += sorted(set(vars(estimator)) - {*parameters} - ATTRIBUTES)
    if dropped:
        warnings.warn(
            f"save leaves out {dropped} of this {type(estimator).__name__}: they may "
            "be code, and no prediction depends on them. Set them again after load.",
            UserWarning,
            stacklevel=4,
        )
    embedding = parameters.pop("embedding")
    node = {
        "embedding": None if embedding is None else qualified_name(embedding),
        "parameters": writer.named(parameters, name, fitted=False),
        "output": getattr(estimator, OUTPUT, None),
    }
    if estimator._is_meta_fitted():
        estimator._check_unchanged()
        node["meta_state"] = _write_state(writer, estimator.meta_state_, name)
    if estimator.__sklearn_is_fitted__():
        node["adapted"] = _write_adaptation(writer, estimator, f"{name}/adapted")
    return node


def _write_state(writer, state, name):
    name, fields = f"{name}/state", field_values(state)
    network, embedding, tasks = map(fields.pop, ("network", "embedding", "tasks"))
    parameters = dict(fields.pop("parameters"))
    del parameters["embedding"], fields["problem"]
    if tasks and not writer.include_rows:
        raise ValueError(
            "With an estimator as base learner, it is trained on rows of the "
            "meta-training tasks at every fit, and nothing can be predicted without. "
            'Save with include_rows=True, or meta-fit with base_learner="gp".'
        )
    return {
        "fields": writer.named(fields, name),
        "parameters": writer.named(parameters, name, fitted=False),
        "network": write_network(writer, network, f"{name}/network"),
        "embedding": embedding
        and write_weights(writer, embedding, f"{name}/embedding"),
        "tasks": [
            _write_tasks(writer, t, f"{name}/tasks/{i}") for i, t in enumerate(tasks)
        ],
    }


def _write_tasks(writer, tasks, name):
    if not isinstance(tasks, TaskCollection):
        raise ValueError(
            "With an estimator as base learner, rows of the meta-training tasks are "
            f"needed, and these tasks are loaded on access ({tasks!r}) by code that "
            "cannot be in a file. Pickle the estimator in place of save, or meta-fit "
            "on a TaskCollection of them."
        )
    return writer.named(tasks.__getstate__(), name)


def refuse_support(writer, estimator):
    """Refuse to write the rows of a task if no rows are to be written."""
    if not writer.include_rows:
        raise ValueError(
            f"This {type(estimator).__name__} is adapted to rows of a task, and cannot "
            "predict for it without them. Save with include_rows=True, or save "
            "sklearn.base.clone(estimator), which is not adapted."
        )


def _write_adaptation(writer, estimator, name):
    refuse_support(writer, estimator)
    attributes = vars(estimator)
    support = dict(zip(("X", "y", "weight"), estimator._support, strict=True))
    node = {
        "support": writer.named(support, name),
        "shown": writer.named({n: attributes[n] for n in SHOWN}, name),
        "model": writer.value(attributes.get("base_learner_"), f"{name}/base_learner_"),
    }
    if not estimator._is_meta_fitted():
        node["alone"] = _write_state(writer, estimator._state, name)
        node["columns"] = write_columns(writer, estimator, name)
    return node


def write_columns(writer, estimator, name):
    """JSON of the attributes that describe columns, those that there are."""
    there = {n: vars(estimator)[n] for n in COLUMNS if n in vars(estimator)}
    return writer.named(there, name)


def read_columns(reader, node):
    """What `write_columns` wrote, by name."""
    columns = reader.named(node)
    return {n: columns[n] for n in COLUMNS if n in columns}


def read_meta_learner(reader, cls, node, embedding):
    """The meta-learner of class ``cls`` of its JSON."""
    saved_with = node["embedding"]
    if saved_with is not None and embedding is None:
        raise SavedFileError(
            f"it was saved with the embedding {saved_with}, whose code is not in it: "
            f"call load(path, embedding={saved_with.rpartition('.')[2]})"
        )
    if saved_with is None and embedding is not None:
        raise SavedFileError(f"it has no embedding to be {embedding!r}")
    parameters = reader.named(node["parameters"])
    for name in FORMER_PARAMETERS:
        parameters.pop(name, None)
    estimator = cls(embedding=embedding, **parameters)
    estimator._check_parameters()
    if node["output"] is not None:
        container = node["output"]["transform"]
        if container not in OUTPUTS:
            raise SavedFileError(f"it gives its output as {container!r}")
        estimator.set_output(transform=container)
    state = None
    if "meta_state" in node:
        state = _read_state(reader, node["meta_state"], estimator)
        estimator._take_over(state)
    if "adapted" in node:
        _read_adaptation(reader, node["adapted"], estimator, state)
    elif state is not None:
        _check_predicts_new_task(estimator, state)
    return estimator


def _read_state(reader, node, estimator):
    state, parameters = reader.named(node["fields"]), reader.named(node["parameters"])
    parameters["embedding"] = estimator.embedding
    check_unchanged(estimator, printed(parameters))
    state |= {"problem": _problem(state["targets"]), "parameters": parameters}
    if not isinstance(state["pooled"], tuple):  # 0.1.0 had at most one
        state["pooled"] = () if state["pooled"] is None else (state["pooled"],)
    check_fields(MetaState, state)
    seeded = copy.copy(estimator).set_params(random_state=0)  # draws from no generator
    config = seeded._config(state["problem"])
    network = read_network(reader, node["network"], config, state)
    embedding = node["embedding"]
    if embedding is not None:
        embedding = read_embedding(reader, embedding, config, state["row_shape"])
    tasks = tuple(_read_tasks(reader, some) for some in node["tasks"])
    state = MetaState(**state, network=network, embedding=embedding, tasks=tasks)
    _check_state(state)
    return state


def printed(parameters):
    """What of parameters is compared, by name."""
    return {name: comparable(name, value) for name, value in parameters.items()}


def check_unchanged(estimator, then):
    """Refuse parameters that, printed, are not those of `meta_fit`."""
    differences = then.items() ^ printed(estimator._structure()).items()
    if differences:
        names = sorted(f"{name}={value}" for name, value in differences)
        raise SavedFileError(f"its parameters and those of meta_fit differ: {names}")


def _problem(targets):
    """The problem that tasks with such targets pose."""
    if targets is None:
        return NWAY
    return SHARED_CLASSES if isinstance(targets, ClassCodec) else REGRESSION


def _read_tasks(reader, node):
    tasks = TaskCollection.__new__(TaskCollection)
    tasks.__setstate__(reader.named(node))
    sizes, weights = np.diff(tasks.offsets), tasks.weights
    fine = (
        tasks.offsets[0] == 0
        and sizes.min() >= 2
        and len(tasks.X) == len(tasks.y) == tasks.offsets[-1]
        and len(tasks._names) == len(sizes)
        and (weights is None or (weights.shape == sizes.shape and weights.min() >= 0))
    )
    if not fine:
        raise SavedFileError("its tasks do not have the rows, names and weights of all")
    assert_all_finite(tasks.X, allow_nan=True)
    return tasks


def _read_adaptation(reader, node, estimator, state):
    if state is None:
        state = _read_state(reader, node["alone"], estimator)
        vars(estimator).update(read_columns(reader, node["columns"]))
    support, shown = reader.named(node["support"]), reader.named(node["shown"])
    X, y, weight = (support[n] for n in ("X", "y", "weight"))
    if X.shape[1:] != state.row_shape or not y.shape == weight.shape == (len(X),):
        raise SavedFileError(f"its support has shapes {X.shape}, {y.shape} and more")
    if (weight < 0).any():
        raise SavedFileError("its support has weights below zero")
    assert_all_finite(X, allow_nan=True)
    shown.setdefault("base_learner_weights_", np.ones(1))  # 0.1.0 had one
    sizes = [
        (state.parameters["embed_dim"],), (_n_features(state),),
        (len(state.base_learners),),
    ]  # fmt: skip
    if [shown[n].shape for n in SHOWN] != sizes:
        raise SavedFileError(f"its {SHOWN} are not of the shapes {sizes}")
    vars(estimator).update({n: shown[n] for n in SHOWN})
    estimator.base_learners_ = state.base_learners
    model = reader.value(node["model"])
    if model is not None:
        estimator.base_learner_ = model
    state = state.for_task(estimator._check_target(y))
    _set_support(estimator, state, (X, y, weight))
    check_predicts(estimator, state.row_shape)


def _set_support(estimator, state, support):
    """Adapt to a support, as `fit` does; what it says is computed on first use."""
    estimator._state, estimator._support = state, support
    estimator._publish_targets(state.targets)
    estimator.device_ = resolve_device(estimator.device)


def _n_features(state):
    """Number of features: of an embedding, its columns."""
    return state.embedding.n_columns if state.embedding else state.row_shape[0]


def _check_state(state):
    """Refuse a `MetaState` of other tasks or columns in one part than in another.

    Sizes that do not fit in a computation are left to `check_predicts`.
    """
    n_tasks, names, targets = len(state.task_names), state.feature_names, state.targets
    of_tasks = [state.task_embeddings, state.task_attention]
    memory = state.network.learner.memory
    if memory is not None:
        of_tasks += memory
    fine = (
        (names is None or (len(names),) == state.row_shape)
        and state.missing.fill.shape == state.row_shape
        and np.isin(state.missing.indicated, np.arange(_n_features(state))).all()
        and state.features.mean.shape == state.features.scale.shape
        and all(len(a) == n_tasks for a in of_tasks if a is not None)
        and (not state.tasks or sum(map(len, state.tasks)) == n_tasks)
    )
    if not fine:
        raise SavedFileError("its parts are not of the same tasks, or the same columns")
    classes = targets.classes.tolist() if isinstance(targets, ClassCodec) else []
    if classes != sorted(set(classes)):
        raise SavedFileError("its classes are not sorted, or not distinct")


def _check_predicts_new_task(estimator, state):
    """Refuse a meta-fitted estimator that does not predict numbers for a task.

    If labels are task-specific, it is adapted to one row of each of two classes.
    """
    if state.targets is None:
        estimator, y = clone(estimator), np.arange(2)
        support = np.zeros((2, *state.row_shape)), y, np.ones(2)
        _set_support(estimator, state.for_task(y), support)
    check_predicts(estimator, state.row_shape)


def check_predicts(estimator, row_shape):
    """Refuse an estimator that does not predict numbers.

    It is asked for a row of zeros, and for one of missing values if it takes them.
    """
    X = np.zeros((2, *row_shape))
    if estimator.__sklearn_tags__().input_tags.allow_nan:
        X[1] = np.nan
    if is_regressor(estimator):
        outputs = estimator.predict(X, return_std=True)
    else:
        outputs = estimator.predict_proba(X)
    if not np.isfinite(outputs).all():
        raise SavedFileError("it predicts what is not finite")
