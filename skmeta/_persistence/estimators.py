"""Estimators in any of their states, as JSON and arrays, and back."""

from functools import partial

from sklearn.pipeline import Pipeline

from .. import baselines
from .._estimators import attention, self_attention, transformer
from .._estimators.base import MetaLearner
from ..baselines._base import Baseline, BaselineState
from ..baselines._shared_gp import GaussianProcessPosterior, LatentPosterior
from ..exceptions import SavedFileError
from .meta_learners import (
    check_predicts,
    check_unchanged,
    printed,
    read_columns,
    read_meta_learner,
    refuse_support,
    write_columns,
    write_meta_learner,
)

ESTIMATORS = {
    kind.__name__: kind
    for kind in (
        attention.AttentionMetaClassifier, attention.AttentionMetaRegressor,
        self_attention.SelfAttentionMetaClassifier,
        self_attention.SelfAttentionMetaRegressor,
        transformer.TransformerMetaClassifier, transformer.TransformerMetaRegressor,
        baselines.MixedEffectsClassifier, baselines.MixedEffectsRegressor,
        baselines.PooledClassifier, baselines.PooledRegressor,
    )
}  # fmt: skip


def write_estimator(writer, estimator, name="estimator"):
    """JSON of an estimator, whose arrays a `Writer` keeps."""
    if type(estimator) is Pipeline:
        return {"Pipeline": _write_pipeline(writer, estimator, name)}
    kind = type(estimator).__name__
    if type(estimator) is not ESTIMATORS.get(kind):
        raise ValueError(
            f"save knows the estimators {sorted(ESTIMATORS)} and pipelines of them. "
            f"Got {estimator!r}; pickle it in place of save, or save the part of it "
            "that is one of these."
        )
    is_meta_learner = isinstance(estimator, MetaLearner)
    write = write_meta_learner if is_meta_learner else _write_baseline
    return {kind: write(writer, estimator, name)}


def read_estimator(reader, node, embedding):
    """The estimator of its JSON, with ``embedding`` as the user's module, or None."""
    ((kind, content),) = node.items()
    if kind == "Pipeline":
        return _read_pipeline(reader, content, embedding)
    if kind not in ESTIMATORS:
        raise SavedFileError(f"it has an estimator {kind!r}, which is not known")
    cls = ESTIMATORS[kind]
    read = read_meta_learner if issubclass(cls, MetaLearner) else _read_baseline
    return read(reader, cls, content, embedding)


def _write_pipeline(writer, pipeline, name):
    settings, steps = pipeline.get_params(deep=False), []
    for label, step in settings.pop("steps"):
        is_own = isinstance(step, MetaLearner | Baseline)
        write = partial(write_estimator, writer) if is_own else writer.value
        node = {"own" if is_own else "other": write(step, f"{name}/{label}")}
        steps.append([label, node])
    return {"steps": steps, "settings": writer.named(settings, name)}


def _read_pipeline(reader, node, embedding):
    steps = []
    for label, step in node["steps"]:
        if "own" in step:
            steps.append((label, read_estimator(reader, step["own"], embedding)))
        else:
            steps.append((label, reader.value(step["other"])))
    return Pipeline(steps, **reader.named(node["settings"]))


def _write_baseline(writer, estimator, name):
    estimator._check_params()
    node = {
        "parameters": writer.named(
            estimator.get_params(deep=False), name, fitted=False
        ),
        "columns": write_columns(writer, estimator, name),
    }
    known = vars(estimator)
    if estimator._is_meta_fitted():
        estimator._check_unchanged()
        node["printed"] = printed(estimator._structure())
        node["known"] = writer.value(estimator.meta_state_.known, f"{name}/known")
    if isinstance(known.get("_task"), GaussianProcessPosterior | LatentPosterior):
        refuse_support(writer, estimator)
    parts = {n: known[f"_{n}"] for n in ("prior", "task") if f"_{n}" in known}
    return node | writer.named(parts, name)


def _read_baseline(reader, cls, node, embedding):
    if embedding is not None:
        raise SavedFileError(f"it has no embedding to be {embedding!r}")
    estimator = cls(**reader.named(node["parameters"]))
    estimator._check_params()
    if "prior" not in node:
        return estimator
    prior, columns = reader.value(node["prior"]), read_columns(reader, node["columns"])
    n_features, names = columns["n_features_in_"], columns.get("feature_names_in_")
    if "printed" in node:
        check_unchanged(estimator, node["printed"])
        names = None if names is None else tuple(names)
        rest = n_features, names, reader.value(node.get("known"))
        estimator._take_over(BaselineState(prior, estimator._structure(), *rest))
    else:
        vars(estimator).update(columns, _prior=prior)
        estimator._publish_prior(prior)
    if "task" in node:
        estimator._task = reader.value(node["task"])
    check_predicts(estimator, (n_features,))
    return estimator
