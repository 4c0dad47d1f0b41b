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

from .base_learner import make_base_learner
from .episodes import Episodes
from .held_out import held_out_batches
from .mixed_start import candidate_starts
from .pooled import PooledPredictor, fit_pooled
from .pooled_estimators import polynomial_ridge, tuned_boosting
from .prior_fitting import fit_prior, judge
from .scaling import FeatureScaler, LabelEncoder, TargetScaler

N_TASKS = 48
N_ROWS = 32
"""Tasks, and rows of each, that a step of fitting the prior sees at most."""


@dataclass(frozen=True, eq=False)
class Start:
    """Scaled tasks, the pooled estimator, and the base learner's fitted prior.

    Attributes
    ----------
    examples, held_out : Episodes
    features : FeatureScaler
    targets : TargetScaler or LabelEncoder
    pooled : PooledPredictor or None
    learner : module
        A base learner with its prior fitted, its conditioning on the task still idle.
    loss : float
        Its query loss on tasks that the pooled estimator has not seen, in the units of
        the targets.
    """

    examples: Episodes
    held_out: Episodes
    features: FeatureScaler
    targets: TargetScaler | LabelEncoder
    pooled: PooledPredictor | None
    learner: torch.nn.Module
    loss: float


def choose_start(pooled_estimator, base_learner, sources, classes, n_support, seed):
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
    candidates = [
        _Candidate(estimator, base_learner, sources, classes, n_support, seed)
        for estimator in estimators
    ]
    for candidate in candidates:
        candidate.fit_next()
    best = min(candidates, key=_Candidate.loss)
    while best.learners:
        best.fit_next()
    return best.start()


def resume_start(previous, sources, seed):
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
    prior = held_out_prior = None
    if pooled is not None:
        pooled = fit_pooled(
            clone(pooled.estimator), sources.examples, task_type=pooled.task_type,
            classes=pooled.classes, random_state=seed,
        )  # fmt: skip
        prior, held_out_prior = pooled.out_of_fold, pooled.predict(sources.held_out.X)
        pooled = replace(pooled, out_of_fold=None)
    return Start(
        Episodes(sources.examples, features, targets, prior),
        Episodes(sources.held_out, features, targets, held_out_prior),
        features, targets, pooled,
        copy.deepcopy(previous.network.core()).float(), np.nan,
    )  # fmt: skip


def _pooled_estimators(task_type, sources, classes, seed):
    boosting = tuned_boosting(
        task_type, sources.examples, sources.held_out, classes=classes,
        random_state=seed,
    )  # fmt: skip
    ridge = polynomial_ridge(task_type, sources.examples.X)
    both = [("boosting", boosting), ("ridge", ridge)]
    if task_type == "regression":
        return [None, ridge, boosting, VotingRegressor(both)]
    return [None, ridge, boosting, VotingClassifier(both, voting="soft")]


class _Candidate:
    """A pooled estimator, and base learners for what it leaves open.

    Attributes
    ----------
    examples, held_out, features, targets, pooled
        Of `Start`.
    learners : list of module
        Not fitted yet, the most promising last: one that starts as it is, and the more
        promising of those that start at a mixed model.
    best : module
        Of those that are fitted; ``lowest`` is its loss on held-out tasks.
    """

    def __init__(self, estimator, base_learner, sources, classes, n_support, seed):
        pooled = prior = held_out_prior = None
        if estimator is not None:
            task_type = "regression" if classes is None else "classification"
            pooled = fit_pooled(
                estimator, sources.examples, task_type=task_type, classes=classes,
                random_state=seed,
            )  # fmt: skip
            prior = pooled.out_of_fold
            held_out_prior = pooled.predict(sources.held_out.X)
            pooled = replace(pooled, out_of_fold=None)
        weight = sources.examples.row_weights()
        features = FeatureScaler.fit(sources.examples.X, weight)
        if classes is None:
            targets = TargetScaler.fit(sources.examples.y, prior, weight)
        else:
            targets = LabelEncoder(classes)
        self.features, self.targets, self.pooled = features, targets, pooled
        self.examples = Episodes(sources.examples, features, targets, prior)
        self.held_out = Episodes(sources.held_out, features, targets, held_out_prior)
        learner = make_base_learner(
            "linear" if base_learner == "linear" else "gp",
            classification=classes is not None,
            n_features=sources.examples.n_features,
            n_prior=0 if pooled is None else targets.n_outputs,
            n_outputs=targets.n_outputs,
            embed_dim=1,
            column_dim=1,
            seed=seed,
        )
        self._rng = np.random.default_rng(seed)
        # few held-out tasks tell little of the pooled estimator; the others, which it
        # predicts out of fold, tell more
        self._batches, self._out_of_fold = (
            held_out_batches(episodes, n_support, 32, self._rng)
            for episodes in (self.held_out, self.examples)
        )
        learners = candidate_starts(learner, self.examples, self._rng)
        losses = {one: self._judge(one) for one in learners}
        as_it_is, *mixed = learners
        two = [as_it_is, *sorted(mixed, key=losses.get)[:1]]
        self.learners = sorted(two, key=losses.get, reverse=True)
        self.best, self.lowest = None, np.inf

    def fit_next(self):
        """Fit the most promising of the learners that are left."""
        learner = self.learners.pop()
        loss = fit_prior(
            learner, self._draw, len(self.examples), lambda: self._judge(learner)
        )
        if self.best is None or loss < self.lowest:
            self.best, self.lowest = learner, loss

    def loss(self):
        """Of the best that is fitted, in the units of the targets."""
        losses = self.lowest, judge(self.best, self._out_of_fold)
        sizes = len(self.held_out), len(self.examples)
        return np.average(losses, weights=sizes) + math.log(self.targets.unit)

    def start(self):
        """Start at the best that is fitted."""
        return Start(
            self.examples, self.held_out, self.features, self.targets, self.pooled,
            self.best, self.loss(),
        )  # fmt: skip

    def _judge(self, learner):
        return np.nan_to_num(judge(learner, self._batches), nan=np.inf)

    def _draw(self):
        n, weights = len(self.examples), self.examples.tasks.weights
        if weights is None:
            tasks = self._rng.permutation(n)[:N_TASKS]
        else:
            p = weights / weights.sum()
            tasks = self._rng.choice(n, min(n, N_TASKS), p=p)
        batch = self.examples.draw(tasks, N_ROWS, 1, self._rng)
        return batch.support(), batch.y_support
