"""Meta-learners in any of their states, as JSON and arrays, and back."""

import math
import warnings

import numpy as np
import torch
from sklearn.utils import assert_all_finite

from .._estimators.parameters import resolve_device
from .._estimators.states import comparable
from .._networks.learners.sklearn_estimator import EstimatorLearner, extra_inputs_of
from .._preprocessing.column_reduction import ReducedScaler
from .._preprocessing.scaling import ClassCodec, TargetScaler
from .._training.config import NWAY, REGRESSION, SHARED_CLASSES
from .._training.state import MetaState
from ..exceptions import SavedFileError
from ..tasks import TaskCollection
from .networks import (
    called,
    read_embedding,
    read_network,
    write_embedding,
    write_network,
)

ONLY_META_FIT = ("callbacks", "augmentation")
"""Parameters that are the user's code, and that nothing but `meta_fit` runs."""

SHOWN = ("task_embedding_", "feature_attention_")
"""Attributes of an adaptation that are not made anew when it is read."""

COLUMNS = ("n_features_in_", "feature_names_in_")

MADE_ANEW = {
    "history_", "task_names_", "task_embeddings_", "task_attention_", "classes_",
    "device_", "_state", "_adapted", "_moved",
}  # fmt: skip
"""Attributes of a meta-learner that come of the others."""

OUTPUT, OUTPUTS = "_sklearn_output_config", ("default", "pandas", "polars")


def write_learner(writer, estimator, name):
    """JSON of a meta-learner, whose arrays a `Writer` keeps."""
    estimator._check_parameters()
    parameters = estimator.get_params(deep=False)
    dropped = [n for n in ONLY_META_FIT if parameters[n] is not None]
    parameters |= dict.fromkeys(dropped)
    known = {*parameters, *COLUMNS, *SHOWN, *MADE_ANEW, OUTPUT,
             "meta_state_", "_support", "base_learner_"}  # fmt: skip
    dropped += sorted(set(vars(estimator)) - known)
    if dropped:
        warnings.warn(
            f"save leaves out {dropped} of this {type(estimator).__name__}: they "
            "may be code, and no prediction hangs on them. Set them again after load.",
            UserWarning,
            stacklevel=4,
        )
    embedding = parameters.pop("embedding")
    node = {
        "embedding": None if embedding is None else called(embedding),
        "parameters": {
            n: writer.parameter(value, f"{name}/{n}") for n, value in parameters.items()
        },
        "output": getattr(estimator, OUTPUT, None),
    }
    if hasattr(estimator, "meta_state_"):
        estimator._check_unchanged()
        node["meta_state"] = _write_state(writer, estimator.meta_state_, name)
    if estimator.__sklearn_is_fitted__():
        node["adapted"] = _write_adaptation(writer, estimator, f"{name}/adapted")
    return node


def _write_state(writer, state, name):
    name = f"{name}/state"
    others = ("problem", "network", "parameters", "embedding", "tasks")
    parameters = {n: v for n, v in state.parameters.items() if n != "embedding"}
    if state.tasks and not writer.include_rows:
        raise ValueError(
            "With an estimator as base learner, rows of the meta-training tasks are "
            "borrowed at every fit, and nothing can be predicted without. Save with "
            'include_rows=True, or meta-fit with base_learner="gp".'
        )
    return {
        "fields": writer.fields(state, name, but=others),
        "parameters": {
            n: writer.parameter(value, f"{name}/{n}") for n, value in parameters.items()
        },
        "network": write_network(writer, state.network, f"{name}/network"),
        "embedding": write_embedding(writer, state.embedding, f"{name}/embedding"),
        "tasks": [
            _write_tasks(writer, some, f"{name}/tasks/{i}")
            for i, some in enumerate(state.tasks)
        ],
    }


def _write_tasks(writer, tasks, name):
    if not isinstance(tasks, TaskCollection):
        raise ValueError(
            f"Rows are borrowed from tasks that are loaded on access ({tasks!r}), "
            "which takes code that a file has not. Pickle the estimator in place of "
            "save, or meta-fit on a TaskCollection of them."
        )
    return writer.named(tasks.__getstate__(), name)


def refuse_support(writer, estimator):
    """Refuse to write what rows of a task are in, where none are to be written."""
    if not writer.include_rows:
        raise ValueError(
            f"This {type(estimator).__name__} is adapted to rows of a task, and cannot "
            "predict for it without them. Save with include_rows=True, or save "
            "sklearn.base.clone(estimator), which is not adapted."
        )


def _write_adaptation(writer, estimator, name):
    refuse_support(writer, estimator)
    X, y, weight = estimator._support
    shown = {attribute: getattr(estimator, attribute) for attribute in SHOWN}
    model = getattr(estimator, "base_learner_", None)
    node = {
        "support": writer.named({"X": X, "y": y, "weight": weight}, name),
        "shown": writer.named(shown, name),
        "model": writer.value(model, f"{name}/base_learner_"),
    }
    if not hasattr(estimator, "meta_state_"):
        node["alone"] = _write_state(writer, estimator._state, name)
        node["columns"] = write_columns(writer, estimator, name)
    return node


def write_columns(writer, estimator, name):
    """JSON of the attributes that tell of columns, those there are."""
    there = [n for n in COLUMNS if hasattr(estimator, n)]
    return writer.named({n: getattr(estimator, n) for n in there}, name)


def read_learner(reader, cls, node, embedding):
    """The meta-learner of class ``cls`` of its JSON."""
    saved_with = node["embedding"]
    if saved_with is not None and embedding is None:
        raise SavedFileError(
            f"it was saved with the embedding {saved_with}, whose code is not in it: "
            f"call load(path, embedding={saved_with.rpartition('.')[2]})"
        )
    if saved_with is None and embedding is not None:
        raise SavedFileError(f"it has no embedding to be {embedding!r}")
    parameters = reader.fields(node["parameters"])
    estimator = cls(embedding=embedding, **parameters)
    estimator._check_parameters()
    if node["output"] is not None:
        container = node["output"]["transform"]
        if container not in OUTPUTS:
            raise SavedFileError(f"it gives its output as {container!r}")
        estimator.set_output(transform=container)
    if "meta_state" in node:
        estimator._take_over(_read_state(reader, node["meta_state"], estimator))
    if "adapted" in node:
        _read_adaptation(reader, node["adapted"], estimator)
    elif "meta_state" in node:
        _check_predicts(estimator.meta_state_)
    return estimator


def _read_state(reader, node, estimator):
    state, embedding = reader.fields(node["fields"]), estimator.embedding
    state["parameters"] = parameters = reader.fields(node["parameters"])
    parameters["embedding"] = embedding
    if {k: comparable(k, v) for k, v in parameters.items()} != {
        k: comparable(k, v) for k, v in estimator._structure().items()
    }:
        raise SavedFileError("its parameters are not those of meta_fit")
    architecture = estimator._architecture
    state["network"] = read_network(reader, node["network"], architecture, state)
    state["problem"] = _problem(state["targets"])
    weights = node["embedding"]
    if weights is not None:
        state["embedding"] = read_embedding(
            reader, weights, embedding, parameters, state["row_shape"]
        )
    state["tasks"] = tuple(
        _read_tasks(reader, some, estimator) for some in node["tasks"]
    )
    state = MetaState(**state)
    _check_state(state)
    return state


def _problem(targets):
    """The problem that tasks with such targets pose."""
    if targets is None:
        return NWAY
    return SHARED_CLASSES if isinstance(targets, ClassCodec) else REGRESSION


def _read_tasks(reader, node, estimator):
    tasks = TaskCollection.__new__(TaskCollection)
    tasks.__setstate__(reader.fields(node))
    sizes, rows = np.diff(tasks.offsets), (len(tasks.X), len(tasks.y))
    names = tasks._names
    if tasks.offsets[0] or sizes.min() < 2 or len(names) != len(sizes):
        raise SavedFileError("its tasks do not lie one after the other")
    weights = tasks.weights
    if weights is not None and (weights.shape != sizes.shape or (weights < 0).any()):
        raise SavedFileError("the weights of its tasks are not one a task, from 0")
    if rows != (tasks.offsets[-1],) * 2:
        raise SavedFileError(f"its tasks have {rows} rows and targets")
    _check_cells(tasks.X, estimator)
    return tasks


def _read_adaptation(reader, node, estimator):
    if "alone" in node:
        state = _read_state(reader, node["alone"], estimator)
        columns = reader.fields(node["columns"])
        vars(estimator).update({n: columns[n] for n in COLUMNS if n in columns})
    else:
        state = estimator.meta_state_
    support = reader.fields(node["support"])
    X, y, weight = support["X"], support["y"], support["weight"]
    n = len(X)
    if X.shape[1:] != state.row_shape or not y.shape == weight.shape == (n,):
        raise SavedFileError(f"its support has shapes {X.shape}, {y.shape} and more")
    if (weight < 0).any():
        raise SavedFileError("its support has weights below zero")
    _check_cells(X, estimator)
    state = state.for_task(estimator._check_target(y))
    state.targets.transform(y)  # refuses labels not known
    shown = reader.fields(node["shown"])
    sizes = state.parameters["embed_dim"], _n_features(state)
    if [a.shape for a in (shown[n] for n in SHOWN)] != [(size,) for size in sizes]:
        raise SavedFileError(f"its {SHOWN} are not of the sizes {sizes}")
    model = reader.value(node["model"])
    _check_predicts(state, model)
    vars(estimator).update({n: shown[n] for n in SHOWN})
    if model is not None:
        estimator.base_learner_ = model
    estimator._state, estimator._support = state, (X, y, weight)
    estimator._publish_targets(state.targets)
    estimator.device_ = resolve_device(estimator.device)


def _check_cells(X, estimator):
    """Refuse rows that the estimator would not take."""
    allow_nan = estimator.__sklearn_tags__().input_tags.allow_nan
    assert_all_finite(X, allow_nan=allow_nan)


def _n_features(state):
    """How many features there are; those of an embedding are its columns."""
    return state.embedding.n_columns if state.embedding else state.row_shape[0]


def _check_state(state):
    """Refuse a `MetaState` whose parts do not belong together."""
    scales, targets = (state.features.mean, state.features.scale), state.targets
    n, names = len(state.task_names), state.feature_names
    if isinstance(targets, TargetScaler):
        finite = math.isfinite(targets.mean) and math.isfinite(targets.offset)
        of_targets = finite and 0 < targets.scale < math.inf
    else:
        of_targets = targets is None or np.array_equal(
            np.unique(targets.classes), targets.classes
        )
    of_tasks = [
        a for a in (state.task_embeddings, state.task_attention) if a is not None
    ]
    memory = state.network.learner.memory
    if memory is not None:
        of_tasks += [memory.keys, memory.functions]
    indicated = state.missing.indicated
    n_columns = _n_features(state) + len(indicated)
    if isinstance(state.features, ReducedScaler):
        many, kept = state.features.many, state.features.kept
        of_many = many.mean.shape == many.scale.shape == (n_columns,)
        if not of_many or not np.isin(kept, np.arange(n_columns)).all():
            raise SavedFileError("its columns are not made of those that there are")
        n_columns = len(kept) + len(state.features.components)
    fine = (
        of_targets
        and (names is None or (len(names),) == state.row_shape)
        and state.missing.fill.shape == state.row_shape
        and np.isin(indicated, np.arange(_n_features(state))).all()
        and scales[0].shape == scales[1].shape == (n_columns,)
        and (scales[1] > 0).all()
        and all(len(a) == n for a in of_tasks)
        and (not state.tasks or sum(map(len, state.tasks)) == n)
    )
    if not fine:
        raise SavedFileError("its parts are not of the same tasks, or the same columns")


@torch.no_grad()
def _check_predicts(state, model=None):
    """Refuse what does not predict a number for a row of zeros."""
    row = np.zeros((1, *state.row_shape))
    if state.problem == NWAY:  # which needs a row of each class
        n = 1 if state.targets is None else state.targets.n_outputs
        y = torch.arange(n)[None]
    else:
        y = state.encoded(np.empty(0, dtype=state.targets.dtype))
    support = state.rows(row.repeat(y.shape[1], 0))
    adapted = state.network.adapt(support, y)
    learner = state.network.learner
    if model is not None:
        learner = EstimatorLearner(learner, model, extra_inputs_of(state))
    prediction = learner.predict(adapted, state.rows(row))
    if not all(part.isfinite().all() for part in prediction):
        raise SavedFileError("it predicts what is not finite")
