"""Initialisation of meta-training by classical estimators.

Pooled estimators; experts, which are Gaussian processes and mixed models of their
residuals with hyperparameters that all tasks share; and the weights of the experts, by
what they predict for tasks that they were not fitted to.
"""

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.base import clone

from .._classical.pooled import PooledPredictor, fit_pooled, pooled_outputs
from .._classical.pooled_candidates import (
    on_any_scale,
    polynomial_ridge,
    tuned_boosting,
)
from .._episodes.sampler import Episodes
from .._networks.learners.gp_prior import no_encoding
from .._networks.learners.network import make_unconditioned_gps
from .._preprocessing.column_reduction import ReducedScaler, fit_features_of
from .._preprocessing.scaling import (
    ClassCodec,
    FeatureScaler,
    TargetScaler,
    offset_of,
)
from .config import REGRESSION
from .expert_weights import (
    fit_expert_weights,
    score_experts,
    used_experts,
)
from .experts import experts_of, fit_experts
from .validation import validation_batches

FOLDS, MANY_FOLDS, MAX_MANY = 3, 5, 20
"""Number of folds of the cross-validation, and that for at most `MAX_MANY` tasks."""

MIN_VALIDATION = 20
"""Number of validation tasks from which the weights of the experts are fitted to these
alone; with fewer, also to the other tasks, by cross-validation."""

N_QUERY = 32


@dataclass(frozen=True, eq=False)
class Initialization:
    """Scaled tasks, the pooled estimators, and the fitted experts.

    Attributes
    ----------
    fitting_episodes, val_episodes : Episodes
    features : FeatureScaler or ReducedScaler
    targets : TargetScaler or ClassCodec
    pooled : tuple of PooledPredictor
    learner : BaseLearner
        A base learner with fitted priors, not yet conditioned on an encoding.
    """

    fitting_episodes: Episodes
    val_episodes: Episodes
    features: FeatureScaler | ReducedScaler
    targets: TargetScaler | ClassCodec
    pooled: tuple[PooledPredictor, ...]
    learner: torch.nn.Module

    def without_unused_pooled(self):
        """The initialization without pooled estimators that no expert uses."""
        experts = self.learner.experts
        used = sorted({one.pooled for one in experts} - {None})
        if len(used) == len(self.pooled):
            return self
        renumbered = [
            one if one.pooled is None else one._replace(pooled=used.index(one.pooled))
            for one in experts
        ]
        n_features = len(self.features.mean)
        learner = make_unconditioned_gps(
            renumbered, n_features, self.targets, len(used), seed=0
        )
        learner.copy_shared(self.learner)
        episodes = (
            some.with_pooled(used)
            for some in (self.fitting_episodes, self.val_episodes)
        )
        pooled = tuple(self.pooled[i] for i in used)
        return Initialization(*episodes, self.features, self.targets, pooled, learner)


def prepared(tasks, fitted):
    """Episodes of tasks that the pooled estimators were not fitted to.

    ``fitted`` is an `Initialization` or a `MetaState`.
    """
    offset = pooled_outputs(fitted.pooled, tasks.X) if fitted.pooled else None
    return Episodes(tasks, fitted.features, fitted.targets, offset)


def initialize(split, config, previous=None):
    """Fit the initialisation of meta-training, or take it from ``previous``.

    Parameters
    ----------
    split : MetaSplit
    config : MetaConfig
    previous : MetaState, optional

    Returns
    -------
    init : Initialization
    """
    if previous is not None:
        return _resume(previous, split, config.seed)
    tasks, classes = split.fitting_tasks, split.classes
    n_fitting, has_few = len(tasks), len(split.val_tasks) < MIN_VALIDATION
    learns_from_all = has_few and (split.val_index >= 0).all()
    if learns_from_all:
        tasks = tasks.followed_by(split.val_tasks)
    features = fit_features_of(
        tasks, None if classes is None else "shared", tasks.row_weights()
    )
    names, estimators = _pooled_estimators(split, config)
    target_offset = offset_of(tasks.y) if classes is None else 0.0
    pooled, outputs = _fit_pooled(
        estimators, tasks, classes, config.seed, target_offset
    )
    if classes is None:
        mean = outputs if outputs is None else outputs.mean(1, keepdims=True)
        targets = TargetScaler.fit(tasks.y, mean, tasks.row_weights())
    else:
        targets = ClassCodec(classes)
    fitting = Episodes(tasks, features, targets, outputs)
    if learns_from_all:
        val = fitting.take(np.arange(n_fitting, len(tasks)))
    else:
        val_outputs = pooled_outputs(pooled, split.val_tasks.X) if pooled else None
        val = Episodes(split.val_tasks, features, targets, val_outputs)
    experts, covariances = experts_of(config, names)
    rng = np.random.default_rng(config.seed)

    def fit(episodes):
        return fit_experts(experts, covariances, episodes, rng, config.seed)

    learner = fit(fitting)
    if len(experts) > 1:
        scores, n_tasks = [], 0
        if not learns_from_all:
            scores, n_tasks = _scores(learner, val, config, rng), len(val)
        if has_few:
            for fold, rest in _folds(len(fitting), rng):
                of_rest = fit(fitting.take(rest))
                scores += _scores(of_rest, fitting.take(fold), config, rng)
            n_tasks += len(fitting)
        fit_expert_weights(learner, scores, n_tasks)
        learner = learner.select(used_experts(learner, scores))
    if config.base_learner == "mlp":
        learner = learner.select([learner.main_expert])
    fitting = fitting.take(np.arange(n_fitting)) if learns_from_all else fitting
    init = Initialization(fitting, val, features, targets, pooled, learner)
    return init.without_unused_pooled()


def _scores(learner, episodes, config, rng):
    """Scores of unconditioned experts in episodes of tasks."""
    batches = validation_batches(episodes, config.n_support, N_QUERY, rng)
    return score_experts(learner, lambda rows, y: no_encoding(learner, rows), batches)


def _folds(n_tasks, rng):
    """Tasks of each fold, and the others."""
    n_folds = min(n_tasks, MANY_FOLDS if n_tasks <= MAX_MANY else FOLDS)
    fold_of_task = rng.permutation(n_tasks) % n_folds
    for fold in range(fold_of_task.max() + 1):
        yield np.flatnonzero(fold_of_task == fold), np.flatnonzero(fold_of_task != fold)


def _resume(previous, split, seed):
    """Initialise from the previous state, with its scales and pooled estimators."""
    features, targets = previous.features, previous.targets
    classes = targets.classes if isinstance(targets, ClassCodec) else None
    pooled, outputs = _fit_pooled(
        [clone(one.estimator) for one in previous.pooled], split.fitting_tasks,
        classes, seed, 0.0 if classes is not None else targets.offset,
    )  # fmt: skip
    val_outputs = pooled_outputs(pooled, split.val_tasks.X) if pooled else None
    return Initialization(
        Episodes(split.fitting_tasks, features, targets, outputs),
        Episodes(split.val_tasks, features, targets, val_outputs),
        features, targets, pooled,
        copy.deepcopy(previous.network.core()).float(),
    )  # fmt: skip


def _fit_pooled(estimators, tasks, classes, seed, target_offset):
    """Pooled estimators, and their out-of-fold predictions.

    Returns
    -------
    pooled : tuple of PooledPredictor
    outputs : ndarray of shape (n_rows, n_pooled * n_outputs) or None
        None without pooled estimators.
    """
    fitted = [
        fit_pooled(
            estimator, tasks, task_type=_task_type(classes),
            classes=classes, random_state=seed, offset=target_offset,
        )
        for estimator in estimators
    ]  # fmt: skip
    if not fitted:
        return (), None
    outputs = np.concatenate([one.out_of_fold for one in fitted], axis=1)
    pooled = tuple(replace(one, out_of_fold=None) for one in fitted)
    return pooled, outputs


def _pooled_estimators(split, config):
    """Names and estimators; with "auto", a ridge on polynomials, and boosting."""
    given, task_type = config.pooled_estimator, _task_type(split.classes)
    if given is None:
        return [], []
    if given != "auto":
        return [type(given).__name__], [given]
    boosting = tuned_boosting(
        task_type, split.fitting_tasks, split.val_tasks, classes=split.classes,
        random_state=config.seed,
    )  # fmt: skip
    both = [polynomial_ridge(task_type, split.fitting_tasks.X), boosting]
    if config.problem == REGRESSION:
        both = [*map(on_any_scale, both)]
    return ["ridge", "boosting"], both


def _task_type(classes):
    return "regression" if classes is None else "classification"
