"""How a task relates to those in memory, against the formulas written out."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, logsumexp, softmax
from scipy.stats import multivariate_normal, multivariate_t
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skmeta import SelfAttentionMetaRegressor, TaskCollection
from skmeta._networks.learners.gp_algebra import JITTER
from skmeta._networks.relations.memory import TaskMemory
from skmeta._networks.relations.relations import MAX_CANDIDATES, MixtureWeights
from skmeta._training.mixture_weights import (
    PRIOR_SD,
    UNRELATED,
    fit_mixture_weights,
)
from skmeta._training.relations import NOISE_RATIOS

RELATED = ["regressor-related", "binary-related", "three-related"]
related = pytest.mark.parametrize("name", RELATED)


def look_up(estimator, X, y):
    """what is looked up of a support, and the network's learner."""
    state = estimator.meta_state_
    learner, rows, y = state.network.learner, state.rows(X), state.encoded(y)
    encoding = state.network.encoder(rows, learner.targets(rows, y))
    return learner, learner.lookup(rows, y, encoding)


def predict(estimator, X):
    if hasattr(estimator, "predict_proba"):
        return estimator.predict_proba(X)
    return estimator.predict(X)[:, None]


def local_features(learner, features):
    """Features (n_rows, n_features) of a residual, by their definition."""
    phi, linear = features.phi[0].numpy(), features.linear[0].numpy()
    n, weights = learner.gp.n_linear, learner.relations.weights
    of_linear, each, rest = np.exp(weights.log_residual_variance.numpy() / 2)
    scale = np.repeat([of_linear, rest], [n, phi.shape[-1] - n])
    return np.hstack([phi * scale, linear * each])


def test_evidence_is_the_likelihood_of_the_rows_around_a_function(meta_fitted):
    state = meta_fitted("regressor-related").meta_state_
    X, y, _ = meta_fitted.task("regressor-related")
    learner, rows, y = state.network.learner, state.rows(X), state.encoded(y)
    view = learner.view(rows, y)
    local = local_features(learner, view.features)
    noise = float(view.noise) * np.exp(float(learner.relations.weights.log_noise_ratio))
    K = local @ local.T
    K += np.eye(len(X)) * (noise + 1e-6 * K.trace() / len(X))
    for j, found in enumerate(learner.evidence_of_all(rows, y)[0]):
        function = learner.memory.functions[j, 0].double().numpy()
        phi, _, mean = (t[0].numpy() for t in view.features)
        mean = mean[:, 0] + phi @ function
        expected = multivariate_normal.logpdf(y[0].numpy(), mean, K)
        assert float(found) == pytest.approx(expected, rel=1e-6)


def test_evidence_of_classes_is_of_the_averaged_probabilities(meta_fitted):
    """Up to MacKay's approximation, with two classes, of the average of a sigmoid."""
    state = meta_fitted("binary-related").meta_state_
    X, y, _ = meta_fitted.task("binary-related")
    learner, rows, y = state.network.learner, state.rows(X), state.encoded(y)
    learner.relations.weights.log_residual_variance.fill_(-5.0)
    view = learner.view(rows, y)
    variance = np.sum(local_features(learner, view.features) ** 2, 1)
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    sign = 2 * y[0].numpy() - 1
    formula = 1 + np.pi / 8 * 2 * variance  # of the difference of two latents
    for j, found in enumerate(learner.evidence_of_all(rows, y)[0]):
        functions = learner.memory.functions[j].double().numpy()
        phi, _, mean = (t[0].numpy() for t in view.features)
        latent = mean + phi @ functions.T
        margin = sign * (latent[:, 1] - latent[:, 0])
        expected = np.log(expit(margin / np.sqrt(formula))).sum()
        assert float(found) == pytest.approx(expected, rel=1e-6)
        margin = margin[:, None] + np.sqrt(2 * variance)[:, None] * nodes
        p = expit(margin) @ weights / weights.sum()
        assert float(found) == pytest.approx(np.log(p).sum(), rel=0.02)


def test_null_evidence_is_that_of_t_processes_of_all_experts(meta_fitted):
    estimator = meta_fitted("regressor-related")
    X, y, _ = meta_fitted.task("regressor-related")
    estimator.meta_state_.network.learner.base.set_adaptation(1, np.inf)  # normal noise
    _, found = look_up(estimator, X, y)
    base = found.base
    weights = estimator.meta_state_.network.core().expert_weights
    log_share = log_softmax((weights.logit - 2 * weights.slope).numpy())  # of no row
    covariances = (base.factor @ base.factor.transpose(1, 2)).numpy()
    each = [
        multivariate_t.logpdf(residual, shape=K / 2, df=4)
        for residual, K in zip(base.residual.numpy(), covariances, strict=True)
    ]
    assert len(each) > 1
    expected = logsumexp(each + log_share)
    assert float(found.null_evidence) == pytest.approx(expected, rel=1e-6)


@related
def test_relation_is_prior_times_evidence(name, meta_fitted):
    estimator = meta_fitted(name)
    X, y, _ = meta_fitted.task(name)
    learner, found = look_up(estimator, X, y)
    weights = learner.relations.weights
    similarity = found.similarity[0].double().numpy()
    prior = np.exp(float(weights.log_similarity_weight)) * similarity
    prior -= logsumexp(prior)
    weights.log_evidence_weight.fill_(0.5)
    weight = 1.0 if "regressor" not in name else np.exp(0.5)  # of classes, 1 at most
    evidence = learner.evidence(found.support, found.values)[0].numpy()
    none = float(weights.null_logit) + weight * float(found.null_evidence)
    log_relation = learner.relate(found).log_relation[0].numpy()
    every = prior + weight * evidence
    kept = np.sort(every)[::-1][: len(log_relation) - 1]
    kept = kept - logsumexp(kept) + logsumexp(every)  # they stand for all
    expected = np.append(kept, none)
    np.testing.assert_allclose(log_relation, expected - logsumexp(expected), atol=1e-5)


def test_similarity_is_the_product_of_query_and_key(meta_fitted):
    learner = meta_fitted("regressor-related").meta_state_.network.learner
    relations, keys = learner.relations, learner.memory.keys
    task = torch.randn(3, keys.shape[1], dtype=torch.float64)
    expected = relations.query(task) @ relations.key(keys.double()).T / 32**0.5
    found = relations.similarity(task, keys)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_prediction_is_the_mixture_of_processes(meta_fitted):
    name = "regressor-related"
    estimator = meta_fitted(name).set_params(device="cpu")
    X, y, X_query = meta_fitted.task(name)
    estimator.fit(X, y)
    task = estimator._adapted_task()
    state, adapted = task.state, task.adaptation
    learner, query = state.network.learner, state.rows(X_query)
    features = learner.gp.features(query)
    _, found = look_up(estimator, X, y)
    local = local_features(learner, found.support.features)
    local_query = local_features(learner, features)
    at_query, k = features.phi[0].numpy(), local @ local_query.T
    noise = adapted.residual.noise.numpy()[0]
    K = local @ local.T + np.diag(noise / found.support.weight[0].numpy())
    own = np.sum(local_query**2, 1) - np.sum(k * np.linalg.solve(K, k), 0)
    base_mean, base_variance = learner.base.predict(adapted.base, query)
    means, variances = [], []
    for j in adapted.index[0]:
        function = learner.memory.functions[j, 0].double().numpy()
        residual = found.support.y[0].numpy() - found.values[0, j, :, 0].numpy()
        values = features.mean[0, :, 0].numpy() + at_query @ function
        means.append(values + k.T @ np.linalg.solve(K, residual))
        variances.append(own + noise)
    means.append(base_mean[0].numpy())
    variances.append(base_variance[0].numpy())
    share = adapted.log_relation[0].exp().numpy()
    expected = share @ means
    spread = share @ (np.array(variances) + (np.array(means) - expected) ** 2)
    predicted, std = estimator.predict(X_query, return_std=True)
    targets = state.targets
    np.testing.assert_allclose(predicted, targets.mean + targets.scale * expected)
    np.testing.assert_allclose(std, targets.scale * np.sqrt(spread))


@related
def test_relations_sum_to_the_familiarity(name, meta_fitted):
    estimator = meta_fitted(name)
    X, y, _ = meta_fitted.task(name)
    relations = estimator.fit(X, y).task_relations_
    assert relations.shape == (len(estimator.task_names_),)
    assert (relations >= 0).all()
    assert 0 < estimator.familiarity_ < 1
    n_at_most = {"regressor-related": 64}.get(name, 4)
    assert (relations > 0).sum() <= n_at_most
    assert relations.sum() == pytest.approx(estimator.familiarity_)


@related
def test_relations_without_a_support_are_the_prior(name, meta_fitted):
    estimator = meta_fitted(name).set_params(device="cpu")
    relations = estimator.task_relations_
    assert 0 < relations.sum() < 1
    learner = estimator.meta_state_.network.learner
    adapted = estimator._adapted_task().adaptation
    similarity = learner.relations.similarity(
        adapted.encoding.task, learner.memory.keys
    )
    weights = learner.relations.weights
    similarity_weight = np.exp(float(weights.log_similarity_weight))
    prior = softmax(similarity_weight * similarity[0].numpy())
    none = np.exp(float(weights.null_logit))
    shown = relations > 0
    expected = prior[shown] / prior[shown].sum() / (1 + none)
    np.testing.assert_allclose(relations[shown], expected, rtol=1e-4)


@related
def test_contributions_sum_to_the_prediction(name, meta_fitted):
    estimator = meta_fitted(name)
    X, y, X_query = meta_fitted.task(name)
    contributions = estimator.fit(X, y).contributions(X_query)
    n = len(estimator.task_names_)
    if name == "three-related":
        assert contributions.shape == (len(X_query), n + 1, 3)
        total = estimator.predict_proba(X_query)
    elif name == "binary-related":
        total = estimator.predict_proba(X_query)[:, 1]
    else:
        total = estimator.predict(X_query)
    assert contributions.shape[:2] == (len(X_query), n + 1)
    np.testing.assert_allclose(contributions.sum(1), total, rtol=1e-12)
    given = np.abs(contributions[:, :n]).reshape(len(X_query), n, -1).max((0, 2))
    np.testing.assert_array_equal(given > 0, estimator.task_relations_ > 0)


def test_contribution_of_a_task_is_its_function_by_its_relation(meta_fitted):
    name = "regressor-related"
    estimator = meta_fitted(name)
    X, y, X_query = meta_fitted.task(name)
    contributions = estimator.fit(X, y).contributions(X_query)
    state = estimator.meta_state_
    features, _, mean = state.network.learner.gp.features(state.rows(X_query))
    function = state.network.learner.memory.functions[4, 0].double()
    values = (mean[0, :, 0] + features[0] @ function).numpy()
    values = state.targets.mean + state.targets.scale * values
    expected = estimator.task_relations_[4] * values
    np.testing.assert_allclose(contributions[:, 4], expected, rtol=1e-10)


@related
def test_relations_of_many_are_those_of_each(name, meta_fitted):
    estimator = meta_fitted(name)
    tasks = [meta_fitted.task(name, i) for i in range(3)]
    tasks = TaskCollection([(X, y) for X, y, _ in tasks])
    found = estimator.relations(tasks)
    assert found.shape == (3, len(estimator.task_names_))
    for task, relations in zip(tasks, found, strict=True):
        one = clone(estimator).fit(task.X, task.y).task_relations_
        np.testing.assert_allclose(relations, one, atol=1e-4)


def test_task_does_not_see_itself_where_excluded(meta_fitted):
    estimator = meta_fitted("regressor-related")
    X, y, _ = meta_fitted.task("regressor-related")
    state = estimator.meta_state_
    learner, rows, y = state.network.learner, state.rows(X), state.encoded(y)
    encoding = state.network.encoder(rows, learner.targets(rows, y))
    found = learner.lookup(rows, y, encoding, exclude=torch.tensor([5]))
    adapted = learner.relate(found)
    share = adapted.log_relation[0, :-1].exp()
    assert share[adapted.index[0] == 5].sum() == 0
    assert (share[adapted.index[0] != 5] > 0).all()


@related
def test_added_tasks_are_related_to(name, meta_fitted):
    estimator = meta_fitted(name)
    before, shared = estimator.meta_state_, clone(estimator)
    names = list(estimator.task_names_)
    X, y, X_query = meta_fitted.task(name, 0, 12)
    first = predict(clone(estimator).fit(X[:4], y[:4]), X_query)
    estimator.fit(X, y).add_tasks({"new": (X, y)})
    assert not hasattr(estimator, "task_embedding_")
    assert list(estimator.task_names_) == [*names, "new"]
    assert estimator.task_embeddings_.shape == (len(names) + 1, 8)
    assert estimator.task_attention_.mean() == pytest.approx(1)
    relations = estimator.fit(X, y).task_relations_
    assert relations[-1] > 0
    learner = estimator.meta_state_.network.learner
    rows, encoded = before.rows(X), before.encoded(y)
    view = learner.view(rows, encoded)
    own = learner.gp.functions(rows, encoded).double()
    at_rows = view.features.mean[0] + view.features.phi[0] @ own[0].T
    remembered = learner.memory.functions[-1].double()
    kept = view.features.mean[0] + view.features.phi[0] @ remembered.T
    np.testing.assert_allclose(kept, at_rows, atol=1e-5)
    if name != "binary-related":  # there others explain its rows about as well
        assert relations.argmax() == len(names)
    assert shared.meta_state_ is before
    assert list(shared.task_names_) == names
    np.testing.assert_array_equal(predict(shared.fit(X[:4], y[:4]), X_query), first)


def test_rows_that_related_tasks_share_are_remembered_as_they_are(monkeypatch):
    """Of twelve rows that all tasks have, each has an offset of its cluster's."""
    for name, value in {
        "similarity.N_EPISODES": 32, "similarity.N_VALIDATION_EPISODES": 32,
        "similarity.N_STEPS": 2, "mixture_weights.MAX_BATCHES": 4,
        "mixture_weights.N_STEPS": 1,
    }.items():  # fmt: skip
        monkeypatch.setattr(f"skmeta._training.{name}", value)
    rng = np.random.default_rng(0)
    X, offsets = rng.normal(size=(12, 2)), rng.normal(size=(3, 12))
    tasks = [
        (X, X @ rng.normal(size=2) + offsets[t % 3] + 0.1 * rng.normal(size=12))
        for t in range(45)
    ]
    model = SelfAttentionMetaRegressor(
        pooled_estimator=None, max_epochs=1, steps_per_epoch=5, embed_dim=16,
        random_state=0,
    ).meta_fit(tasks)  # fmt: skip
    gp = model.meta_state_.network.learner.gp
    assert float(gp.noise_ratio) < 1


@pytest.mark.parametrize("noise", NOISE_RATIOS)
def test_functions_are_posterior_means_under_a_share_of_the_noise(noise, meta_fitted):
    name = "regressor-related"
    estimator = meta_fitted(name)
    gp = estimator.meta_state_.network.learner.gp
    assert float(gp.noise_ratio) in np.float32(NOISE_RATIOS)
    X, y = meta_fitted.task(name, 0, 12)[:2]
    state = estimator.meta_state_
    rows, encoded = state.rows(X), state.encoded(y)
    gp = copy.deepcopy(gp)
    gp.noise_ratio.fill_(noise)
    (weights,) = gp.functions(rows, encoded)[0].double().numpy()
    features, _, mean = (t[0].numpy() for t in gp.features(rows))
    K = features @ features.T
    variance = noise * float(gp.noise(rows)) + JITTER * np.diag(K).mean()
    residual = encoded[0].numpy() - mean[:, 0]
    alpha = np.linalg.solve(K + variance * np.eye(len(X)), residual)
    np.testing.assert_allclose(weights, features.T @ alpha, rtol=1e-4, atol=1e-5)


def test_tasks_added_one_by_one_or_together_are_the_same(meta_fitted):
    name = "regressor-related"
    together, apart = meta_fitted(name), meta_fitted(name)
    tasks = {key: meta_fitted.task(name, i)[:2] for i, key in enumerate("abc")}
    together.add_tasks(tasks)
    for key, task in tasks.items():
        apart.add_tasks({key: task})
    X, y, X_query = meta_fitted.task(name, 1, 3)
    assert list(together.task_names_) == list(apart.task_names_)
    one, other = (e.fit(X, y).predict(X_query) for e in (together, apart))
    np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda X, y: (X[:, :2], y), "X has 2 features, but .* is expecting 3"),
        (lambda X, y: (X, y * 1e30), "standard deviations .* units"),
        (lambda X, y: (np.full_like(X, np.inf), y), "Task 'new': X is inf"),
    ],
)
def test_tasks_that_do_not_fit_are_not_added(change, words, meta_fitted):
    name = "regressor-related"
    estimator = meta_fitted(name)
    X, y, _ = meta_fitted.task(name)
    estimator.fit(X, y)
    state, embedding = estimator.meta_state_, estimator.task_embedding_
    with pytest.raises(ValueError, match=words):
        estimator.add_tasks({"new": change(X, y)})
    assert estimator.meta_state_ is state
    assert estimator.task_embedding_ is embedding


def test_names_of_added_tasks_are_new(meta_fitted):
    name = "regressor-related"
    estimator = meta_fitted(name)
    n = len(estimator.task_names_)
    X, y, _ = meta_fitted.task(name)
    estimator.add_tasks([(X, y), (X, y)])  # without names
    assert estimator.task_names_[-2:].tolist() == [n, n + 1]
    state = estimator.add_tasks({"new": (X, y)}).meta_state_
    with pytest.raises(ValueError, match=r"\['new'\] are in memory already"):
        estimator.add_tasks({"new": (X, y)})
    assert estimator.meta_state_ is state


@pytest.mark.parametrize("n_rows", [2, 1000])
def test_few_rows_move_mixture_weights_little(n_rows):
    """By spread^2 n_rows slope, where the loss is a slope and the prior is normal."""
    weights, slope, episodes = MixtureWeights(), 0.1, [(2.0,), (0.0,)]
    start = float(weights.null_logit.detach())

    def loss(weight):
        return weight * slope / 2 * weights.null_logit

    fit_mixture_weights(weights, episodes, loss, n_rows, n_steps=60)
    far = PRIOR_SD**2 * n_rows * slope
    moved = start - float(weights.null_logit)
    if n_rows == 2:
        assert moved == pytest.approx(far, abs=0.1)
    else:
        assert moved > 5


def with_learner(estimator, learner, names):
    """A clone with another learner, which remembers tasks of these names."""
    state, other = estimator.meta_state_, clone(estimator)
    network = copy.copy(state.network)
    network._modules = {**network._modules, "learner": learner}
    other._take_over(replace(state, network=network, task_names=names))
    return other


def test_memory_of_equal_tasks_is_as_familiar_whatever_its_size(meta_fitted):
    name = "regressor-related"
    estimator = meta_fitted(name)
    X, y, _ = meta_fitted.task(name)
    once = clone(estimator).fit(X, y).familiarity_
    learner = estimator.meta_state_.network.learner
    for n in (2, 80):  # fewer than the candidates that are looked at
        repeated = learner.with_memory(TaskMemory.joined([learner.memory] * n))
        names = np.arange(n * len(estimator.task_names_))
        many = with_learner(estimator, repeated, names).fit(X, y)
        assert many.familiarity_ == pytest.approx(once, rel=1e-5)


def test_unrelated_is_unrelated_whatever_the_evidence(meta_fitted):
    estimator = meta_fitted("regressor-related").set_params(device="cpu")
    learner = copy.deepcopy(estimator.meta_state_.network.learner)
    learner.relations.weights.null_logit.fill_(UNRELATED)
    learner.relations.weights.log_evidence_weight.fill_(5.0)
    task = meta_fitted.tasks("regressor")[0]
    alone = with_learner(estimator, learner, estimator.task_names_)
    alone.fit(task.X, task.y)
    assert alone.familiarity_ == 0
    assert alone.task_relations_.sum() == 0
    task = alone._adapted_task()
    state, adapted = task.state, task.adaptation
    mean, _ = learner.base.predict(adapted.base, state.rows(task.X))
    expected = state.targets.mean + state.targets.scale * mean[0].numpy()
    np.testing.assert_allclose(alone.predict(task.X), expected)


def test_unknown_labels_and_distributions_are_not_added(meta_fitted):
    X, y, _ = meta_fitted.task("three-related")
    estimator = meta_fitted("three-related")
    with pytest.raises(ValueError, match=r"Labels \[7\] were not in the meta-training"):
        estimator.add_tasks([(X, np.full(len(y), 7))])

    class Distribution:
        def sample(self, n_tasks, random_state):
            raise AssertionError

    with pytest.raises(TypeError, match="Draw tasks by sample"):
        estimator.add_tasks(Distribution())


def test_new_estimator_has_no_relations(meta_fitted):
    X, y, X_query = meta_fitted.task("regressor")
    estimator = SelfAttentionMetaRegressor(random_state=0)
    with pytest.warns(match="was not meta-fitted"):
        estimator.fit(X, y)
    assert not hasattr(estimator, "task_relations_")
    with pytest.raises(AttributeError, match="has no tasks in memory"):
        estimator.contributions(X_query)
    for ask in ("contributions", "relations"):
        with pytest.raises(NotFittedError, match=r"Call meta_fit\(tasks\)"):
            getattr(SelfAttentionMetaRegressor(), ask)(X_query)


def test_large_memory_is_searched_by_representation(meta_fitted):
    """Beyond the candidates, the nearest are found, and nothing else changes."""
    name = "regressor-related"
    estimator = meta_fitted(name).set_params(device="cpu")
    X, y, X_query = meta_fitted.task(name)
    state = estimator.meta_state_
    learner = state.network.learner
    n = MAX_CANDIDATES + 100
    far = TaskMemory(  # representations against which attention is sure to turn away
        -1e3 * _query_direction(learner, estimator).repeat(n, 1),
        learner.memory.functions[:1].repeat(n, 1, 1),
    )
    few = clone(estimator).fit(X, y)
    larger = learner.with_memory(TaskMemory.joined([far, learner.memory]))
    names = np.concatenate([np.arange(n), state.task_names])
    many = with_learner(estimator, larger, names).fit(X, y)
    np.testing.assert_allclose(many.task_relations_[n:], few.task_relations_, atol=1e-6)
    np.testing.assert_allclose(many.predict(X_query), few.predict(X_query), rtol=1e-6)


def _query_direction(learner, estimator):
    adapted = estimator._adapted_task().adaptation
    relations = learner.relations
    direction = relations.query(adapted.encoding.task) @ relations.key.weight
    return torch.nn.functional.normalize(direction, dim=-1).float()


# What it is for


def clusters(rng, n_tasks, n_clusters=3, n_rows=30):
    """Linear tasks whose slopes lie close to one of a few centres."""
    centres = np.random.default_rng(7).normal(size=(n_clusters, 5)) * 1.5
    which = rng.integers(n_clusters, size=n_tasks)
    tasks = []
    for c in which:
        slopes = centres[c] + 0.1 * rng.normal(size=5)
        X = rng.normal(size=(n_rows, 4))
        y = slopes[0] + X @ slopes[1:] + 0.3 * rng.normal(size=n_rows)
        tasks.append((X, y))
    return TaskCollection(tasks), which


@pytest.fixture(scope="module")
def on_clusters():
    rng = np.random.default_rng(0)
    tasks, which = clusters(rng, 45)
    estimator = SelfAttentionMetaRegressor(
        pooled_estimator=None, max_epochs=3, embed_dim=16, random_state=0
    )
    return estimator.meta_fit(tasks), which, *clusters(rng, 12)


def test_relations_find_the_cluster(on_clusters):
    """Of each task, from more rows than it has coefficients; of most, from fewer."""
    estimator, which, new, of_new = on_clusters
    shares = []
    for task, cluster in zip(new, of_new, strict=True):
        relations = estimator.fit(task.X[:4], task.y[:4]).task_relations_
        shares.append(relations[which == cluster].sum() / relations.sum())
    assert np.mean(shares) > 0.9
    for task, cluster in zip(new, of_new, strict=True):
        relations = estimator.fit(task.X[:6], task.y[:6]).task_relations_
        assert relations[which == cluster].sum() > 0.8 * relations.sum()


def test_relations_to_other_tasks_improve_the_prediction(on_clusters):
    estimator, _, new, _ = on_clusters
    alone = clone(estimator)
    network = copy.deepcopy(estimator.meta_state_.network)
    network.learner.relations.weights.null_logit.fill_(30.0)
    alone._take_over(replace(estimator.meta_state_, network=network))
    errors = []
    for one in (estimator, alone):
        episodes = [(t.X[:3], t.y[:3], t.X[3:]) for t in new]
        predicted = one.predict_episodes(episodes)
        pairs = zip(predicted, new, strict=True)
        errors.append(np.mean([np.mean((p - t.y[3:]) ** 2) for p, t in pairs]))
    assert errors[0] < 0.75 * errors[1]


def test_unlike_tasks_are_less_familiar(on_clusters):
    estimator, _, new, _ = on_clusters
    rng = np.random.default_rng(1)
    known, unknown = [], []
    for task in new:
        known.append(estimator.fit(task.X[:6], task.y[:6]).familiarity_)
        other = 4 * np.sin(3 * task.X[:6, 0]) * rng.normal()
        unknown.append(estimator.fit(task.X[:6], other).familiarity_)
    assert np.mean(known) > 0.8
    assert np.mean(unknown) < 0.2
