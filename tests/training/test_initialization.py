"""Where meta-training starts: pooled estimators, and a stack of fitted experts."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge

from skmeta import AttentionMetaClassifier, AttentionMetaRegressor
from skmeta._networks.learners.gp_prior import no_encoding
from skmeta._networks.learners.losses import row_losses
from skmeta._training import experts, initialization
from skmeta._training.initialization import MANY_FOLDS, MIN_VALIDATION, initialize
from skmeta._training.split import split_tasks
from skmeta._training.task_selection import task_losses
from skmeta.baselines import MixedEffectsRegressor
from skmeta.datasets import make_classification_tasks, make_linear_tasks
from skmeta.tasks import TaskCollection

pytestmark = pytest.mark.usefixtures("quick_training")

N_SUPPORT = 1, 8


def initialized(
    tasks, pooled=None, validation_tasks=None, problem="regression",
    base_learner="linear", **changes,
):  # fmt: skip
    """What meta-training starts from."""
    kind = AttentionMetaRegressor
    if problem != "regression":
        kind = AttentionMetaClassifier
    learner = kind(base_learner, pooled, n_support=N_SUPPORT, **changes)
    config = replace(learner._config(problem), seed=0)
    split = split_tasks(tasks, validation_tasks, config, np.random.default_rng(0))
    return initialize(split, config)


def mean_loss(init, episodes=None):
    """Query loss of the initialisation on validation tasks, in units of targets."""
    episodes = init.val_episodes if episodes is None else episodes
    rng, index = np.random.default_rng(0), np.arange(len(episodes))
    losses = [
        task_losses(init.learner, episodes.draw(index, n, 32, rng)) for n in (1, 4, 8)
    ]
    return np.mean(losses) + np.log(init.targets.unit)


@pytest.mark.parametrize("pooled", [None, Ridge()], ids=str)
def test_scale_of_targets_plays_no_part_in_the_experts(pooled):
    tasks = make_linear_tasks(n_tasks=12, n_rows=12, n_features=2, random_state=0)
    scaled = TaskCollection([(task.X, 1000 * task.y) for task in tasks])
    one, other = (initialized(t, pooled, base_learner="auto") for t in (tasks, scaled))
    assert mean_loss(other) - mean_loss(one) == pytest.approx(np.log(1000), abs=1e-3)
    assert other.targets.scale == pytest.approx(1000 * one.targets.scale)
    assert one.learner.experts == other.learner.experts


def test_loss_of_classes_is_below_that_of_guessing():
    tasks = make_classification_tasks(
        n_tasks=12, n_rows=12, n_features=2, random_state=0
    )
    found = initialized(tasks, problem="shared_classes", base_learner="auto")
    assert 0 < mean_loss(found) < np.log(2)
    one_class = TaskCollection([(task.X, np.zeros(12, int)) for task in tasks])
    found = initialized(one_class, problem="shared_classes", base_learner="auto")
    assert mean_loss(found) == pytest.approx(0, abs=1e-6)


FAMILIES = {
    "steps": (lambda x: 3 * np.sign(np.sin(4 * x)), "boosting"),
    "squares": (lambda x: 2 * x**2, "ridge"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_experts_on_the_pooled_estimator_that_fits_the_tasks_dominate(
    family, monkeypatch
):
    function, name = FAMILIES[family]
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
    batch = auto.val_episodes.draw(np.arange(3), 4, 8, np.random.default_rng(0))
    support = batch.support()
    encoding = no_encoding(auto.learner, support)
    with torch.no_grad():
        adapted = auto.learner.adapt(support, batch.y_support, encoding)
    share = auto.learner.expert_share(adapted).mean(0)
    of_name = [name in one.name for one in auto.learner.experts]
    assert share[of_name].sum() > 0.6
    assert of_name[share.argmax()]
    assert mean_loss(auto) < mean_loss(alone) - 0.5
    assert alone.pooled == ()


def test_tasks_of_two_rows_start_at_the_mixed_model_of_all(monkeypatch):
    """Validation tasks tell nothing of noise there, and are learned from as well."""
    seen = []

    def fit_experts(kinds, covariances, episodes, rng, seed):
        seen.append(len(episodes))
        return experts.fit_experts(kinds, covariances, episodes, rng, seed)

    monkeypatch.setattr(initialization, "fit_experts", fit_experts)
    tasks = make_linear_tasks(60, n_rows=2, n_features=3, noise=0.1, random_state=0)
    found = initialized(tasks)
    assert seen == [60]
    assert len(found.fitting_episodes) < 60
    mixed = MixedEffectsRegressor().meta_fit(tasks)
    noise = found.learner.prior.noise.exp().item() * found.targets.scale**2
    assert 0.2 < noise / mixed.noise_variance_ < 5


@pytest.mark.parametrize("n_rows", [2, 3])
def test_tasks_of_few_rows_teach_as_much_as_a_mixed_model(n_rows, tiny, monkeypatch):
    """Even with fewer iterations of EM than the mixed model has."""
    monkeypatch.setattr(experts, "LONG_EM", 150)
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


# Which tasks experts are fitted to, and which their weights


def linear_tasks(n_tasks, n_rows=6, seed=0):
    return make_linear_tasks(n_tasks, n_rows=n_rows, n_features=2, random_state=seed)


def identities(tasks):
    """Something that no two tasks have in common, in order."""
    return tasks.y[tasks.offsets[:-1]].tolist()


@pytest.fixture
def watched(monkeypatch):
    """Tasks that experts are fitted to and scored on, and the fit of the weights."""
    found = SimpleNamespace(fitted=[], scored=[], weights=[], learners=[])
    fit, score = initialization.fit_experts, initialization._scores
    fit_weights = initialization.fit_expert_weights

    def fit_experts(kinds, covariances, episodes, rng, seed):
        found.learners.append(fit(kinds, covariances, episodes, rng, seed))
        found.fitted.append(identities(episodes.tasks))
        return found.learners[-1]

    def scores(learner, episodes, config, rng):
        of_learner = found.fitted[found.learners.index(learner)]
        found.scored.append((identities(episodes.tasks), of_learner))
        return score(learner, episodes, config, rng)

    def fit_expert_weights(learner, scores, n_tasks):
        n_episodes = sum(len(one.y) for one in scores)
        found.weights.append((learner, n_episodes, n_tasks))
        fit_weights(learner, scores, n_tasks)

    monkeypatch.setattr(initialization, "fit_experts", fit_experts)
    monkeypatch.setattr(initialization, "_scores", scores)
    monkeypatch.setattr(initialization, "fit_expert_weights", fit_expert_weights)
    return found


def test_experts_that_are_scored_were_fitted_to_other_tasks(watched):
    """With few tasks set aside these are learned from, and all are scored in folds."""
    tasks = linear_tasks(12)
    found = initialized(tasks, base_learner="auto")
    every = sorted(identities(tasks))
    assert sorted(watched.fitted[0]) == every
    assert len(watched.scored) == len(watched.fitted) - 1 == MANY_FOLDS
    for scored, fitted in watched.scored:
        assert not set(scored) & set(fitted)
        assert sorted(scored + fitted) == every
    assert sorted(y for scored, _ in watched.scored for y in scored) == every
    ((learner, n_episodes, n_tasks),) = watched.weights
    assert learner is watched.learners[0]
    assert n_tasks == 12
    assert n_episodes > 12
    kept = identities(found.fitting_episodes.tasks)
    assert watched.fitted[0] == kept + identities(found.val_episodes.tasks)


def test_many_tasks_set_aside_are_scored_alone(watched):
    tasks = linear_tasks(50)
    found = initialized(tasks, base_learner="auto", validation_fraction=0.4)
    fitting, val = (
        identities(some.tasks) for some in (found.fitting_episodes, found.val_episodes)
    )
    assert len(val) == MIN_VALIDATION
    assert watched.fitted == [fitting]
    assert watched.scored == [(val, fitting)]
    assert watched.weights[0][2] == 20
    assert not set(fitting) & set(val)


@pytest.mark.parametrize("n_val", [4, MIN_VALIDATION])
def test_given_validation_tasks_are_not_learned_from(n_val, watched):
    """If they are few, the others are scored in folds as well."""
    tasks, val = linear_tasks(9), linear_tasks(n_val, seed=1)
    found = initialized(tasks, validation_tasks=val, base_learner="auto")
    every, of_val = identities(tasks), identities(val)
    assert watched.fitted[0] == every
    assert watched.scored[0] == (of_val, every)
    assert identities(found.fitting_episodes.tasks) == every
    if n_val == MIN_VALIDATION:
        assert len(watched.scored) == len(watched.fitted) == 1
        assert watched.weights[0][2] == n_val
        return
    assert len(watched.scored) == len(watched.fitted) == 1 + MANY_FOLDS
    for scored, fitted in watched.scored[1:]:
        assert sorted(scored + fitted) == sorted(every)
    assert watched.weights[0][2] == 9 + n_val


def test_pooled_predictions_of_tasks_set_aside_are_out_of_fold(monkeypatch):
    """If these are learned from: the pooled estimator has seen them."""
    seen, fit = [], initialization.fit_pooled

    def fit_pooled(estimator, tasks, **settings):
        seen.append((tasks, fit(estimator, tasks, **settings)))
        return seen[-1][1]

    monkeypatch.setattr(initialization, "fit_pooled", fit_pooled)
    found = initialized(linear_tasks(12), Ridge())
    ((tasks, pooled),) = seen
    assert len(tasks) == 12
    n = len(found.val_episodes.tasks.y)
    expected = found.targets.transform_offset(pooled.out_of_fold[-n:])
    np.testing.assert_array_equal(found.val_episodes.offset, expected)
    known = pooled.predict(found.val_episodes.tasks.X)
    assert np.abs(known - pooled.out_of_fold[-n:]).max() > 1e-3
    assert found.pooled[0].out_of_fold is None


@pytest.mark.parametrize("n_tasks", [2, 3, 5, 7])
def test_folds_are_of_all_tasks(n_tasks):
    folds = list(initialization._folds(n_tasks, np.random.default_rng(0)))
    assert len(folds) == min(MANY_FOLDS, n_tasks)
    for fold, rest in folds:
        assert len(fold) >= 1
        assert len(rest) >= 1
        assert sorted([*fold, *rest]) == list(range(n_tasks))
    assert sorted(np.concatenate([fold for fold, _ in folds])) == list(range(n_tasks))


def test_one_expert_has_no_weights_to_fit(watched):
    found = initialized(linear_tasks(9), base_learner="gp")
    assert watched.weights == watched.scored == []
    assert len(watched.fitted) == 1
    assert found.learner.expert_weights is None


@pytest.mark.parametrize("n_rows", [2, 8])
@pytest.mark.parametrize("pooled", [None, "auto"])
@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_three_tasks_are_enough(kind, pooled, n_rows, tiny):
    model = AttentionMetaRegressor(pooled_estimator=pooled, **tiny)
    tasks = linear_tasks(4, n_rows)
    if kind == "classification":
        model = AttentionMetaClassifier(
            pooled_estimator=pooled, shared_classes=True, **tiny
        )
        tasks = TaskCollection([(t.X, np.arange(n_rows) % 2) for t in tasks])
    model.meta_fit(tasks[:3]).fit(tasks[3].X, tasks[3].y)
    if kind == "classification":
        found = model.predict_proba(tasks[3].X)
        np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)
    else:
        found = model.predict(tasks[3].X, return_std=True)
    assert np.isfinite(found).all()


# What is kept


def predictions(init, episodes):
    """Of episodes, by the learner of an initialisation without its random features."""
    with torch.no_grad():
        init.learner.prior.basis.fill_(-40.0)
    batch = episodes.draw(np.arange(3), 3, 5, np.random.default_rng(0))
    support = batch.support()
    with torch.no_grad():
        adapted = init.learner.adapt(
            support, batch.y_support, no_encoding(init.learner, support)
        )
        return init.learner.predict(adapted, batch.query())


@pytest.mark.parametrize(
    ("used", "sources", "n_pooled"),
    [
        ([0, 3, 4], [None, None, None], 0),
        ([0, 2, 5], [None, 0, 0], 1),
        ([1, 3], [0, None], 1),
        ([2, 1], [1, 0], 2),
    ],
)
def test_pooled_estimators_without_an_expert_are_dropped(
    used, sources, n_pooled, monkeypatch
):
    monkeypatch.setattr(initialization, "used_experts", lambda *args: used)
    whole = initialization.Initialization.without_unused_pooled
    before = []

    def without_unused_pooled(self):
        before.append(self)
        return whole(self)

    monkeypatch.setattr(
        initialization.Initialization, "without_unused_pooled", without_unused_pooled
    )
    boosting = HistGradientBoostingRegressor(max_iter=3, random_state=0)
    monkeypatch.setattr(initialization, "tuned_boosting", lambda *_, **__: boosting)
    found = initialized(linear_tasks(9, 12), "auto", base_learner="auto")
    assert [one.pooled for one in found.learner.experts] == sources
    assert len(found.pooled) == n_pooled
    (all_of_them,) = before
    assert len(all_of_them.pooled) == 2
    names = [one.name for one in all_of_them.learner.experts]
    assert [one.name for one in found.learner.experts] == names
    one = all_of_them.fitting_episodes
    expected = predictions(all_of_them, one)
    np.testing.assert_allclose(
        predictions(found, found.fitting_episodes), expected,
        rtol=1e-4, atol=1e-5,
    )  # fmt: skip
    for name, source in zip(names, sources, strict=True):
        if source is not None:
            kept = found.pooled[source]
            assert kept is all_of_them.pooled[int("boosting" in name)]
    for episodes in (found.fitting_episodes, found.val_episodes):
        assert (episodes.offset is None) == (n_pooled == 0)
        if n_pooled:
            assert episodes.offset.shape == (len(episodes.tasks.y), n_pooled)


def test_mlp_starts_at_the_main_expert(monkeypatch):
    boosting = HistGradientBoostingRegressor(max_iter=3, random_state=0)
    monkeypatch.setattr(initialization, "tuned_boosting", lambda *_, **__: boosting)
    seen = []

    def used_experts(learner, scores):
        learner.expert_weights.logit = torch.tensor([0.0, 2.0, 1.0])
        seen.append(learner)
        return [0, 1, 2]

    monkeypatch.setattr(initialization, "used_experts", used_experts)
    found = initialized(linear_tasks(9), "auto", base_learner="mlp")
    assert [one.name for one in found.learner.experts] == ["gp on ridge"]
    assert len(found.pooled) == 1
    (whole,) = seen
    with torch.no_grad():
        whole.expert_weights.logit = torch.tensor([0.0, -2.0, 1.0])
    assert whole.main_expert == 2


def test_main_expert_is_nonlinear_if_any_is():
    found = initialized(linear_tasks(9), base_learner="auto").learner
    linear = [e for e, one in enumerate(found.experts) if one.linear]
    found.expert_weights.logit[linear] = 100.0
    assert not found.experts[found.main_expert].linear
    assert found.select(linear).main_expert in range(len(linear))


@pytest.mark.parametrize("estimator", [Ridge(), LogisticRegression()], ids=str)
def test_query_losses_without_a_support_are_of_all_experts(estimator):
    """Without evidence the weights of a fitted stack are those of the fit."""
    problem, tasks = "regression", linear_tasks(12)
    if isinstance(estimator, LogisticRegression):
        problem = "shared_classes"
        tasks = make_classification_tasks(12, 6, 2, random_state=0)
    found = initialized(tasks, estimator, problem=problem, base_learner="auto")
    batch = found.val_episodes.draw(np.arange(1), 0, 5, np.random.default_rng(0))
    support = batch.support()
    with torch.no_grad():
        adapted = found.learner.adapt(
            support, batch.y_support, no_encoding(found.learner, support)
        )
        prediction = found.learner.predict(adapted, batch.query())
    weights = found.learner.expert_weights
    none = torch.zeros(1), torch.zeros(1, len(found.learner.experts))
    share = found.learner.expert_share(adapted)
    np.testing.assert_allclose(share, weights(*none).exp(), rtol=1e-5)
    assert torch.isfinite(row_losses(prediction, batch.y_query)).all()
