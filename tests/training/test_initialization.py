"""Where meta-training starts: a pooled estimator, and a prior fitted to all tasks."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor, VotingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline

from skmeta import AttentionMetaClassifier, AttentionMetaRegressor
from skmeta._training import initialization, mixed_model_init
from skmeta._training.empirical_bayes import unconditioned_loss
from skmeta._training.initialization import initialize
from skmeta._training.split import split_tasks
from skmeta._training.validation import validation_batches
from skmeta.baselines import MixedEffectsRegressor
from skmeta.datasets import make_classification_tasks, make_linear_tasks
from skmeta.tasks import TaskCollection

N_SUPPORT = 1, 8


def initialized(tasks, pooled=None, validation_tasks=None, problem="regression"):
    """What meta-training starts from."""
    kind = AttentionMetaRegressor
    if problem != "regression":
        kind = AttentionMetaClassifier
    learner = kind("linear", pooled, n_support=N_SUPPORT)
    config = replace(learner._config(problem), seed=0)
    split = split_tasks(tasks, validation_tasks, config, np.random.default_rng(0))
    return initialize(split, config)


@pytest.mark.parametrize("pooled", [None, Ridge()], ids=str)
def test_loss_is_in_the_units_of_the_targets(pooled):
    tasks = make_linear_tasks(n_tasks=12, n_rows=12, n_features=2, random_state=0)
    scaled = TaskCollection([(task.X, 1000 * task.y) for task in tasks])
    one, other = (initialized(t, pooled) for t in (tasks, scaled))
    assert other.loss - one.loss == pytest.approx(np.log(1000), abs=1e-3)
    assert other.targets.scale == pytest.approx(1000 * one.targets.scale)


def test_loss_is_that_of_validation_and_of_other_tasks():
    """Each task counts the same."""
    tasks = make_linear_tasks(n_tasks=15, n_rows=12, n_features=2, random_state=0)
    noise = np.random.default_rng(1).normal(size=(5, 12))
    harder = [
        (task.X, task.y + 2 * e) for task, e in zip(tasks[:5], noise, strict=True)
    ]
    found = initialized(tasks, validation_tasks=TaskCollection(harder))
    rng = np.random.default_rng(2)
    losses = [
        unconditioned_loss(
            found.learner, validation_batches(episodes, N_SUPPORT, 32, rng)
        )
        for episodes in (found.val_episodes, found.fitting_episodes)
    ]
    assert losses[0] > losses[1] + 1
    expected = np.average(losses, weights=[5, 15]) + np.log(found.targets.scale)
    assert found.loss == pytest.approx(expected, abs=0.05)


def test_loss_of_classes_is_below_that_of_guessing():
    tasks = make_classification_tasks(
        n_tasks=12, n_rows=12, n_features=2, random_state=0
    )
    found = initialized(tasks, problem="shared_classes")
    assert 0 < found.loss < np.log(2)
    one_class = TaskCollection([(task.X, np.zeros(12, int)) for task in tasks])
    found = initialized(one_class, problem="shared_classes")
    assert found.loss == pytest.approx(0, abs=1e-6)


FAMILIES = {
    "steps": (lambda x: 3 * np.sign(np.sin(4 * x)), HistGradientBoostingRegressor),
    "squares": (lambda x: 2 * x**2, Pipeline),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_pooled_estimator_is_the_one_that_fits_the_tasks(family, monkeypatch):
    function, kind = FAMILIES[family]
    boosting = HistGradientBoostingRegressor(max_iter=30, random_state=0)
    monkeypatch.setattr(initialization, "tuned_boosting", lambda *_, **__: boosting)
    rng = np.random.default_rng(0)
    tasks = TaskCollection(
        [
            (x, function(x[:, 0]) + rng.normal() + 0.3 * rng.normal(size=25))
            for x in rng.uniform(-2, 2, size=(20, 25, 2))
        ]
    )
    auto, alone = (initialized(tasks, pooled) for pooled in ("auto", None))
    assert isinstance(auto.pooled.estimator.regressor_, kind | VotingRegressor)
    assert auto.loss < alone.loss - 0.5
    assert alone.pooled is None


def test_two_base_learners_are_fitted_to_the_best_pooled_estimator(monkeypatch):
    """To the others only the one that promises most, and the best fitted is taken."""
    fitted, gains, candidates = [], (0, 0, 5, 0, 7), []

    def fit_prior(learner, draw, n_tasks, evaluate):
        fitted.append((learner, evaluate()))
        return fitted[-1][1] - gains[len(fitted) - 1]

    def mixed_model_inits(*args):
        candidates.append(mixed_model_init.mixed_model_inits(*args))
        return candidates[-1]

    monkeypatch.setattr(initialization, "fit_prior", fit_prior)
    monkeypatch.setattr(initialization, "mixed_model_inits", mixed_model_inits)
    losses = {}

    def evaluated(learner, batches):
        loss = unconditioned_loss(learner, batches)
        losses.setdefault(learner, loss)
        return loss

    monkeypatch.setattr(initialization, "unconditioned_loss", evaluated)
    tasks = make_linear_tasks(n_tasks=30, n_rows=12, n_features=2, random_state=0)
    found = initialized(tasks, "auto")
    assert len(fitted) == 4 + 1
    promise = [fitted[i][1] for i in (2, 4)]
    assert promise == sorted(promise)
    as_it_is, *mixed = candidates[2]
    assert len(mixed) == 2
    both = {fitted[2][0], fitted[4][0]}
    assert both == {as_it_is, min(mixed, key=losses.get)}
    assert found.learner is fitted[4][0]
    pooled = found.pooled.estimator.regressor_
    assert isinstance(pooled, HistGradientBoostingRegressor)


def test_tasks_of_two_rows_start_at_the_mixed_model_of_all(monkeypatch):
    """Validation tasks tell nothing of noise there, and are learned from as well."""
    seen = []

    def mixed_model_inits(learner, episodes, rng, max_iter):
        seen.append((len(episodes), max_iter))
        return mixed_model_init.mixed_model_inits(learner, episodes, rng, max_iter)

    monkeypatch.setattr(initialization, "mixed_model_inits", mixed_model_inits)
    tasks = make_linear_tasks(60, n_rows=2, n_features=3, noise=0.1, random_state=0)
    found = initialized(tasks)
    assert seen == [(60, initialization.LONG_EM)]
    assert len(found.fitting_episodes) < 60
    mixed = MixedEffectsRegressor().meta_fit(tasks)
    noise = found.learner.prior.noise.exp().item() * found.targets.scale**2
    assert 0.2 < noise / mixed.noise_variance_ < 5


@pytest.mark.parametrize("n_rows", [2, 3])
def test_tasks_of_few_rows_teach_as_much_as_a_mixed_model(n_rows, tiny):
    differences = []
    for seed in range(3):
        tasks = make_linear_tasks(
            70, n_rows=20, n_features=3, within=0.5, noise=0.1, random_state=seed
        )
        known = [(task.X[:n_rows], task.y[:n_rows]) for task in tasks[:60]]
        models = AttentionMetaRegressor(**tiny), MixedEffectsRegressor()
        scores = [
            np.mean(
                [
                    model.fit(t.X[:8], t.y[:8]).score(t.X[8:], t.y[8:])
                    for t in tasks[60:]
                ]
            )
            for model in (m.meta_fit(known) for m in models)
        ]
        differences.append(scores[0] - scores[1])
    assert np.mean(differences) > -0.02
