"""Estimators in any of their states, as JSON and arrays, and back."""

import numpy as np
from sklearn.pipeline import Pipeline

from .._estimators.attention import AttentionMetaClassifier, AttentionMetaRegressor
from .._estimators.base import MetaLearner
from .._estimators.self_attention import (
    SelfAttentionMetaClassifier,
    SelfAttentionMetaRegressor,
)
from .._estimators.states import comparable
from .._estimators.transformer import (
    TransformerMetaClassifier,
    TransformerMetaRegressor,
)
from ..baselines import (
    MixedEffectsClassifier,
    MixedEffectsRegressor,
    PooledClassifier,
    PooledRegressor,
)
from ..baselines._base import Baseline, BaselineState, RegressorBaseline
from ..baselines._shared_gp import GaussianProcessPosterior
from ..baselines._shared_latent_gp import LatentPosterior
from ..exceptions import SavedFileError
from .learners import read_learner, refuse_support, write_columns, write_learner

ESTIMATORS = {
    kind.__name__: kind
    for kind in (
        AttentionMetaClassifier,
        AttentionMetaRegressor,
        MixedEffectsClassifier,
        MixedEffectsRegressor,
        PooledClassifier,
        PooledRegressor,
        SelfAttentionMetaClassifier,
        SelfAttentionMetaRegressor,
        TransformerMetaClassifier,
        TransformerMetaRegressor,
    )
}


def write_estimator(writer, estimator, name="estimator"):
    """JSON of an estimator, whose arrays a `Writer` keeps."""
    if type(estimator) is Pipeline:
        return {"Pipeline": _write_pipeline(writer, estimator, name)}
    kind = type(estimator).__name__
    if type(estimator) is not ESTIMATORS.get(kind):
        raise ValueError(
            f"save knows the estimators {sorted(ESTIMATORS)} and pipelines of them. "
            f"Got {estimator!r}; pickle it in place of save, or save what of it is one "
            "of these."
        )
    write = _write_baseline if isinstance(estimator, Baseline) else write_learner
    return {kind: write(writer, estimator, name)}


def read_estimator(reader, node, embedding):
    """The estimator of its JSON, with ``embedding`` as the user's module, or None."""
    ((kind, content),) = node.items()
    if kind == "Pipeline":
        return _read_pipeline(reader, content, embedding)
    if kind not in ESTIMATORS:
        raise SavedFileError(f"it has an estimator {kind!r}, which is nothing known")
    cls = ESTIMATORS[kind]
    read = _read_baseline if issubclass(cls, Baseline) else read_learner
    return read(reader, cls, content, embedding)


# Pipelines


def _write_pipeline(writer, pipeline, name):
    settings = pipeline.get_params(deep=False)
    steps = []
    for label, step in settings.pop("steps"):
        if isinstance(step, MetaLearner | Baseline):
            node = {"own": write_estimator(writer, step, f"{name}/{label}")}
        else:
            node = {"other": writer.value(step, f"{name}/{label}")}
        steps.append([label, node])
    return {"steps": steps, "settings": writer.named(settings, name)}


def _read_pipeline(reader, node, embedding):
    steps = []
    for label, step in node["steps"]:
        ((whose, content),) = step.items()
        if whose == "own":
            steps.append((label, read_estimator(reader, content, embedding)))
        else:
            steps.append((label, reader.value(content)))
    return Pipeline(steps, **reader.fields(node["settings"]))


# Baselines


def _write_baseline(writer, estimator, name):
    estimator._check_params()
    parameters = estimator.get_params(deep=False)
    node = {
        "parameters": {
            n: writer.parameter(value, f"{name}/{n}") for n, value in parameters.items()
        },
        "columns": write_columns(writer, estimator, name),
    }
    if hasattr(estimator, "meta_state_"):
        estimator._check_unchanged()
        node["printed"] = _printed(estimator)
        node["known"] = writer.value(estimator.meta_state_.known, f"{name}/known")
    if hasattr(estimator, "_prior"):
        node["prior"] = writer.value(estimator._prior, f"{name}/prior")
    if hasattr(estimator, "_task"):
        if isinstance(estimator._task, GaussianProcessPosterior | LatentPosterior):
            refuse_support(writer, estimator)
        node["task"] = writer.value(estimator._task, f"{name}/task")
    return node


def _read_baseline(reader, cls, node, embedding):
    if embedding is not None:
        raise SavedFileError(f"it has no embedding to be {embedding!r}")
    estimator = cls(**reader.fields(node["parameters"]))
    estimator._check_params()
    if "prior" not in node:
        return estimator
    prior, columns = reader.value(node["prior"]), reader.fields(node["columns"])
    n_features = columns["n_features_in_"]
    if "printed" in node:
        names = columns.get("feature_names_in_")
        names = None if names is None else tuple(names)
        known = reader.value(node.get("known"))
        if node["printed"] != _printed(estimator):
            raise SavedFileError("its parameters are not those of meta_fit")
        parameters = estimator.get_params(deep=False)
        estimator._take_over(BaselineState(prior, parameters, n_features, names, known))
    else:
        vars(estimator).update(columns)
        estimator._prior = prior
        estimator._publish_prior(prior)
    if "task" in node:
        estimator._task = reader.value(node["task"])
    _check_predicts(estimator, n_features)
    return estimator


def _printed(baseline):
    """What is compared of the parameters of a baseline."""
    return {k: comparable(k, v) for k, v in baseline._structure().items()}


def _check_predicts(baseline, n_features):
    """Refuse what does not predict a number for a row of zeros."""
    prior, X = baseline._prior, np.zeros((1, n_features))
    task = getattr(baseline, "_task", None)
    if task is None:
        task = baseline._condition(prior, X[:0], np.empty(0))
    regression = isinstance(baseline, RegressorBaseline)
    predict = baseline._mean_and_variance if regression else baseline._probabilities
    if not np.isfinite(predict(X, prior, task)).all():
        raise SavedFileError("it predicts what is not finite")
