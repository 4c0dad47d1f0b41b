"""Where meta-training starts: the classical answer.

A pooled estimator, and a Gaussian process on what it leaves open, its hyperparameters
shared by all tasks and fitted to their joint marginal likelihood (empirical Bayes).
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
from .._networks.learners.factory import make_base_learner
from .._preprocessing.column_reduction import ReducedScaler
from .._preprocessing.scaling import (
    ClassCodec,
    FeatureScaler,
    TargetScaler,
    offset_of,
)
from .empirical_bayes import fit_prior, judge, mean_evidence_loss
from .mixed_model_init import MAX_ITER, mixed_model_inits
from .validation import validation_batches

N_TASKS = 48
N_ROWS = 32
"""Tasks, and rows of each, that a step of fitting the prior sees at most."""

FEW_ROWS = 4
"""Rows that half of the tasks must have to tell noise from the rest by predictions.
With fewer, rows are predicted from next to no support, where any noise predicts alike.
The prior is then the mixed model with the fewest parameters, fitted to all tasks, those
for validation among them, and chosen by the likelihood of their rows together."""

LONG_EM = 500
"""Iterations of EM where tasks have few rows, of which small noise takes many."""

PENALTY = 10.0
"""Nats by which a pooled estimator then has to raise the likelihood: 5 of them for the
two hyperparameters more of some hundred rows (Schwarz 1978, BIC), 5 of evidence ("very
strong", Kass and Raftery 1995, sec. 3.2)."""


@dataclass(frozen=True, eq=False)
class Initialization:
    """Scaled tasks, the pooled estimator, and the base learner's fitted prior.

    Attributes
    ----------
    examples, held_out : Episodes
    features : FeatureScaler or ReducedScaler
    targets : TargetScaler or LabelEncoder
    pooled : PooledPredictor or None
    learner : module
        A base learner with its prior fitted, its conditioning on the task still idle.
    loss : float
        Its query loss on tasks that the pooled estimator has not seen, in the units of
        the targets.
    """

    examples: Episodes
    validation: Episodes
    features: FeatureScaler | ReducedScaler
    targets: TargetScaler | ClassCodec
    pooled: PooledPredictor | None
    learner: torch.nn.Module
    loss: float


def select_initialization(
    pooled_estimator, base_learner, sources, classes, n_support, seed
):
    """Fit the start.

    With ``"auto"`` it is that of the pooled estimator which does best, once the process
    has adapted it, on held-out tasks and, out of fold, on the others. Each is judged by
    the base learner that promises most before it is fitted; to the best, both are.

    Parameters
    ----------
    pooled_estimator : None, "auto" or estimator
    base_learner : str
    sources : Sources
    classes : ndarray of shape (n_classes,) or None
        None for regression.
    n_support : (int, int)
    seed : int

    Returns
    -------
    start : Start
    """
    task_type = "regression" if classes is None else "classification"
    estimators = [pooled_estimator]
    if isinstance(pooled_estimator, str):
        estimators = _pooled_estimators(task_type, sources, classes, seed)
    features = sources.fit_features(None if classes is None else "shared")
    candidates = [
        _Candidate(estimator, base_learner, sources, features, classes, n_support, seed)
        for estimator in estimators
    ]
    for candidate in candidates:
        candidate.fit_next()
    best = min(candidates, key=_Candidate.loss)
    while best.learners:
        best.fit_next()
    return best.start()


def resume_initialization(previous, sources, seed):
    """Go on from what was learned before, with its scales and its pooled estimator.

    Parameters
    ----------
    previous : MetaState
    sources : Sources
    seed : int

    Returns
    -------
    start : Start
    """
    features, targets, pooled = previous.features, previous.targets, previous.pooled
    offset = held_out_offset = None
    if pooled is not None:
        pooled = fit_pooled(
            clone(pooled.estimator), sources.examples, task_type=pooled.task_type,
            classes=pooled.classes, random_state=seed,
            offset=0.0 if pooled.classes is not None else targets.offset,
        )  # fmt: skip
        offset = pooled.out_of_fold
        held_out_offset = pooled.predict(sources.validation.X)
        pooled = replace(pooled, out_of_fold=None)
    return Initialization(
        Episodes(sources.examples, features, targets, offset),
        Episodes(sources.validation, features, targets, held_out_offset),
        features, targets, pooled,
        copy.deepcopy(previous.network.core()).float(), np.nan,
    )  # fmt: skip


def _pooled_estimators(task_type, sources, classes, seed):
    boosting = tuned_boosting(
        task_type, sources.examples, sources.validation, classes=classes,
        random_state=seed,
    )  # fmt: skip
    ridge = polynomial_ridge(task_type, sources.examples.X)
    both = [("boosting", boosting), ("ridge", ridge)]
    if task_type == "regression":
        some = ridge, boosting, VotingRegressor(both)
        return [None, *map(on_any_scale, some)]
    return [None, ridge, boosting, VotingClassifier(both, voting="soft")]


class _Candidate:
    """A pooled estimator, and base learners for what it leaves open.

    Attributes
    ----------
    examples, held_out, features, targets, pooled
        Of `Initialization`.
    learners : list of module
        Not fitted yet, the most promising last: one that starts as it is, and the more
        promising of those that start at a mixed model.
    best : module
        Of those that are fitted; ``lowest`` is its loss on held-out tasks.
    """

    def __init__(self, estimator, base_learner, sources, features, classes, n_support,
                 seed):  # fmt: skip
        pooled = offset = held_out_offset = None
        if estimator is not None:
            task_type = "regression" if classes is None else "classification"
            pooled = fit_pooled(
                estimator, sources.examples, task_type=task_type, classes=classes,
                random_state=seed,
                offset=0.0 if classes is not None else offset_of(sources.examples.y),
            )  # fmt: skip
            offset = pooled.out_of_fold
            held_out_offset = pooled.predict(sources.validation.X)
            pooled = replace(pooled, out_of_fold=None)
        weight = sources.examples.row_weights()
        if classes is None:
            targets = TargetScaler.fit(sources.examples.y, offset, weight)
        else:
            targets = ClassCodec(classes)
        self.features, self.targets, self.pooled = features, targets, pooled
        self.examples = Episodes(sources.examples, features, targets, offset)
        self.validation = Episodes(
            sources.validation, features, targets, held_out_offset
        )
        learner = make_base_learner(
            "linear" if base_learner == "linear" else "gp",
            classification=classes is not None,
            n_features=len(features.mean),
            n_offset=0 if pooled is None else targets.n_outputs,
            n_outputs=targets.n_outputs,
            embed_dim=1,
            column_dim=1,
            seed=seed,
        )
        self._rng = np.random.default_rng(seed)
        # few held-out tasks tell little of the pooled estimator; the others, which it
        # predicts out of fold, tell more
        self._batches, self._out_of_fold = (
            validation_batches(episodes, n_support, 32, self._rng)
            for episodes in (self.validation, self.examples)
        )
        self._fitted_to, self._has_few_rows = self.examples, False
        if np.median(self.examples.sizes) < FEW_ROWS:
            self._fitted_to, self._has_few_rows = self.examples + self.validation, True
            self._whole = self._fitted_to.draw(
                np.arange(len(self._fitted_to)), N_ROWS - 1, 1, np.random.default_rng(0)
            ).rows()
        n_iter = LONG_EM if self._has_few_rows else MAX_ITER
        learners = mixed_model_inits(learner, self._fitted_to, self._rng, n_iter)
        losses = {one: self._judge(one) for one in learners}
        as_it_is, *mixed = learners
        two = [as_it_is, *sorted(mixed, key=losses.get)[:1]]
        if self._has_few_rows and mixed:
            two = mixed[-1:]
        self.learners = sorted(two, key=losses.get, reverse=True)
        self.best, self.lowest = None, np.inf

    def fit_next(self):
        """Fit the most promising of the learners that are left."""
        learner = self.learners.pop()
        loss = fit_prior(
            learner, self._draw, len(self._fitted_to), lambda: self._judge(learner)
        )
        if self.best is None or loss < self.lowest:
            self.best, self.lowest = learner, loss

    def loss(self):
        """Of the best that is fitted, in the units of the targets."""
        if self._has_few_rows:
            penalty = 0 if self.pooled is None else PENALTY
            penalty /= len(self._fitted_to.tasks.y)
            return self.lowest + penalty + math.log(self.targets.unit)
        losses = self.lowest, judge(self.best, self._out_of_fold)
        sizes = len(self.validation), len(self.examples)
        return np.average(losses, weights=sizes) + math.log(self.targets.unit)

    def start(self):
        """Start at the best that is fitted."""
        return Initialization(
            self.examples, self.validation, self.features, self.targets, self.pooled,
            self.best, self.loss(),
        )  # fmt: skip

    def _judge(self, learner):
        if self._has_few_rows:
            loss = mean_evidence_loss(learner, *self._whole)
        else:
            loss = judge(learner, self._batches)
        return np.nan_to_num(loss, nan=np.inf)

    def _draw(self):
        n, weights = len(self._fitted_to), self._fitted_to.tasks.weights
        if weights is None:
            tasks = self._rng.permutation(n)[:N_TASKS]
        else:
            p = weights / weights.sum()
            tasks = self._rng.choice(n, min(n, N_TASKS), p=p)
        return self._fitted_to.draw(tasks, N_ROWS - 1, 1, self._rng).rows()
