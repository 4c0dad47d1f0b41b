"""Initialisation of meta-training by classical estimators.

A pooled estimator, and a Gaussian process on its residuals, with hyperparameters that
all tasks share, fitted to their joint marginal likelihood (empirical Bayes).
"""

import copy
import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier, VotingRegressor

from .._classical.pooled import PooledPredictor, fit_pooled
from .._classical.pooled_candidates import (
    on_any_scale,
    polynomial_ridge,
    tuned_boosting,
)
from .._episodes.sampler import Episodes
from .._networks.learners.network import make_unconditioned_gp
from .._preprocessing.column_reduction import ReducedScaler, fit_features_of
from .._preprocessing.scaling import (
    ClassCodec,
    FeatureScaler,
    TargetScaler,
    offset_of,
)
from .empirical_bayes import fit_prior, mean_evidence_loss, unconditioned_loss
from .mixed_model_init import MAX_ITER, mixed_model_inits
from .validation import validation_batches

N_TASKS = 48
N_ROWS = 32
"""Maximum number of tasks, and of rows of each, in a step of fitting the prior."""

FEW_ROWS = 4
"""Minimum median number of rows for selecting the prior by validation loss. With
fewer, supports are almost empty, and predictions hardly depend on the noise variance.
The prior is then the mixed model with the fewest parameters, fitted to all tasks,
validation tasks included, and selected by the joint likelihood of their rows."""

LONG_EM = 500
"""Iterations of EM if tasks have few rows; with small noise it needs many."""

PENALTY = 10.0
"""Nats by which a pooled estimator then has to raise the log likelihood: 5 for the two
additional hyperparameters with about a hundred rows (Schwarz 1978, BIC), and 5 of
evidence ("very strong", Kass and Raftery 1995, sec. 3.2)."""


@dataclass(frozen=True, eq=False)
class Initialization:
    """Scaled tasks, the pooled estimator, and the base learner's fitted prior.

    Attributes
    ----------
    fitting_episodes, val_episodes : Episodes
    features : FeatureScaler or ReducedScaler
    targets : TargetScaler or ClassCodec
    pooled : PooledPredictor or None
    learner : module
        A base learner with a fitted prior, not yet conditioned on an encoding.
    loss : float
        Its query loss on tasks that the pooled estimator was not fitted to, in the
        units of the targets.
    """

    fitting_episodes: Episodes
    val_episodes: Episodes
    features: FeatureScaler | ReducedScaler
    targets: TargetScaler | ClassCodec
    pooled: PooledPredictor | None
    learner: torch.nn.Module
    loss: float


def initialize(split, config, previous=None):
    """Fit the initialisation of meta-training, or take it from ``previous``.

    With ``pooled_estimator="auto"`` the pooled estimator with the lowest loss is
    selected, with the GP on its residuals adapted to each support, on validation tasks
    and, out of fold, on the others. Each is evaluated with the most promising of the
    base learners, before these are fitted; for the best, all of them are fitted.

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
    features = fit_features_of(
        split.fitting_tasks, None if split.classes is None else "shared",
        split.fitting_tasks.row_weights(),
    )  # fmt: skip
    estimators = [config.pooled_estimator]
    if isinstance(config.pooled_estimator, str):
        estimators = _pooled_estimators(split, config)
    candidates = [_Candidate(one, split, features, config) for one in estimators]
    for candidate in candidates:
        candidate.fit_next()
    best = min(candidates, key=_Candidate.loss)
    while best.learners:
        best.fit_next()
    return best.initialization()


def _resume(previous, split, seed):
    """Initialise from the previous state, with its scales and pooled estimator."""
    features, targets, pooled = previous.features, previous.targets, previous.pooled
    offset = val_offset = None
    if pooled is not None:
        pooled, offset, val_offset = _fit_pooled(
            clone(pooled.estimator), split, pooled.task_type, pooled.classes, seed,
            0.0 if pooled.classes is not None else targets.offset,
        )  # fmt: skip
    return Initialization(
        Episodes(split.fitting_tasks, features, targets, offset),
        Episodes(split.val_tasks, features, targets, val_offset),
        features, targets, pooled,
        copy.deepcopy(previous.network.core()).float(), np.nan,
    )  # fmt: skip


def _fit_pooled(estimator, split, task_type, classes, seed, target_offset):
    """A pooled estimator, and its predictions: out of fold, and of validation tasks."""
    pooled = fit_pooled(
        estimator, split.fitting_tasks, task_type=task_type, classes=classes,
        random_state=seed, offset=target_offset,
    )  # fmt: skip
    offsets = pooled.out_of_fold, pooled.predict(split.val_tasks.X)
    return replace(pooled, out_of_fold=None), *offsets


def _pooled_estimators(split, config):
    """The candidates of ``pooled_estimator="auto"``."""
    task_type = _task_type(split)
    boosting = tuned_boosting(
        task_type, split.fitting_tasks, split.val_tasks, classes=split.classes,
        random_state=config.seed,
    )  # fmt: skip
    ridge = polynomial_ridge(task_type, split.fitting_tasks.X)
    both = [("boosting", boosting), ("ridge", ridge)]
    if task_type == "regression":
        some = ridge, boosting, VotingRegressor(both)
        return [None, *map(on_any_scale, some)]
    return [None, ridge, boosting, VotingClassifier(both, voting="soft")]


def _task_type(split):
    return "regression" if split.classes is None else "classification"


class _Candidate:
    """A pooled estimator, and base learners for its residuals.

    Attributes
    ----------
    fitting_episodes, val_episodes, features, targets, pooled
        Of `Initialization`.
    learners : list of module
        Learners that are not fitted yet, the most promising last: one with the default
        initialisation, and the better of those initialised at a mixed model.
    best : module
        The best of the fitted learners; ``lowest`` is its loss on validation tasks.
    """

    def __init__(self, estimator, split, features, config):
        classes = split.classes
        pooled = offset = val_offset = None
        if estimator is not None:
            pooled, offset, val_offset = _fit_pooled(
                estimator, split, _task_type(split), classes, config.seed,
                0.0 if classes is not None else offset_of(split.fitting_tasks.y),
            )  # fmt: skip
        if classes is None:
            weight = split.fitting_tasks.row_weights()
            targets = TargetScaler.fit(split.fitting_tasks.y, offset, weight)
        else:
            targets = ClassCodec(classes)
        self.features, self.targets, self.pooled = features, targets, pooled
        fitting = Episodes(split.fitting_tasks, features, targets, offset)
        val = Episodes(split.val_tasks, features, targets, val_offset)
        self.fitting_episodes, self.val_episodes = fitting, val
        learner = make_unconditioned_gp(
            config, len(features.mean), targets, has_pooled=pooled is not None
        )
        self._rng = np.random.default_rng(config.seed)
        # validation tasks may be too few to evaluate the pooled estimator, so that its
        # out-of-fold predictions of the other tasks are evaluated as well
        self._val_batches, self._out_of_fold_batches = (
            validation_batches(episodes, config.n_support, 32, self._rng)
            for episodes in (val, fitting)
        )
        self._fitted_to, self._has_few_rows = fitting, False
        if np.median(fitting.sizes) < FEW_ROWS:
            self._fitted_to, self._has_few_rows = fitting + val, True
            self._whole = self._fitted_to.draw(
                np.arange(len(self._fitted_to)), N_ROWS - 1, 1, np.random.default_rng(0)
            ).rows()
        n_iter = LONG_EM if self._has_few_rows else MAX_ITER
        learners = mixed_model_inits(learner, self._fitted_to, self._rng, n_iter)
        losses = {one: self._evaluate(one) for one in learners}
        default, *mixed = learners
        two = [default, *sorted(mixed, key=losses.get)[:1]]
        if self._has_few_rows and mixed:
            two = mixed[-1:]
        self.learners = sorted(two, key=losses.get, reverse=True)
        self.best, self.lowest = None, np.inf

    def fit_next(self):
        """Fit the most promising of the learners that are not fitted."""
        learner = self.learners.pop()
        loss = fit_prior(
            learner, self._draw, len(self._fitted_to), lambda: self._evaluate(learner)
        )
        if self.best is None or loss < self.lowest:
            self.best, self.lowest = learner, loss

    def loss(self):
        """Loss of the best fitted learner, in the units of the targets."""
        if self._has_few_rows:
            penalty = 0 if self.pooled is None else PENALTY
            penalty /= len(self._fitted_to.tasks.y)
            return self.lowest + penalty + math.log(self.targets.unit)
        losses = self.lowest, unconditioned_loss(self.best, self._out_of_fold_batches)
        sizes = len(self.val_episodes), len(self.fitting_episodes)
        return np.average(losses, weights=sizes) + math.log(self.targets.unit)

    def initialization(self):
        """The `Initialization` with the best fitted learner."""
        return Initialization(
            self.fitting_episodes, self.val_episodes, self.features, self.targets,
            self.pooled, self.best, self.loss(),
        )  # fmt: skip

    def _evaluate(self, learner):
        if self._has_few_rows:
            loss = mean_evidence_loss(learner, *self._whole)
        else:
            loss = unconditioned_loss(learner, self._val_batches)
        return np.nan_to_num(loss, nan=np.inf)

    def _draw(self):
        n, weights = len(self._fitted_to), self._fitted_to.tasks.weights
        if weights is None:
            tasks = self._rng.permutation(n)[:N_TASKS]
        else:
            p = weights / weights.sum()
            tasks = self._rng.choice(n, min(n, N_TASKS), p=p)
        return self._fitted_to.draw(tasks, N_ROWS - 1, 1, self._rng).rows()
