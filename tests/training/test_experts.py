"""Experts fitted to all tasks, against mixed models and formulas."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge

from skmeta import AttentionMetaRegressor
from skmeta._classical.linear_mixed_model import fit_linear_mixed_model
from skmeta._classical.logistic_mixed_model import fit_logistic_mixed_model
from skmeta._episodes.batch import Rows
from skmeta._episodes.sampler import Episodes
from skmeta._networks.learners import gp_algebra
from skmeta._networks.learners.gp_prior import Expert, no_encoding
from skmeta._networks.learners.network import make_unconditioned_gps
from skmeta._preprocessing.scaling import ClassCodec, FeatureScaler, TargetScaler
from skmeta._training import experts
from skmeta._training.empirical_bayes import fit_prior
from skmeta._training.experts import (
    DIAGONAL,
    FREE_PENALTY,
    FULL,
    LONG_EM,
    MAX_ITER,
    MIN_RBF,
    POOLED_PENALTY,
    PRIOR_TASKS,
    RBF_SHARE,
    TOLERANCE,
    WISHART_TASKS,
    experts_of,
    fit_experts,
)
from skmeta.baselines import MixedEffectsRegressor
from skmeta.datasets import make_linear_tasks
from skmeta.tasks import TaskCollection

N_FEATURES = 2

full_or_diagonal = pytest.mark.parametrize("cov", [FULL, DIAGONAL])


def make_episodes(y_of=None, classes=None, n_tasks=30, pooled=True, constant=False):
    """Tasks whose intercepts and slopes vary together, with a pooled prediction.

    ``y_of`` turns the latents (n_rows, n_classes) into labels; ``constant`` makes the
    last column one that says something of the task alone.
    """
    rng = np.random.default_rng(0)
    sizes = rng.integers(5, 12, size=n_tasks)
    root = np.array([[1.0, 0, 0], [0.8, 0.5, 0], [-0.3, 0.2, 0.2]])
    tasks, prior = [], []
    for n_rows in sizes:
        X = rng.normal(3, 2, size=(n_rows, N_FEATURES))
        if constant:
            X[:, -1] = X[0, -1]
        z = np.column_stack([np.ones(n_rows), (X - 3) / 2])
        n_latents = 1 if classes is None else len(classes)
        coef = rng.normal(size=(n_latents, 3)) @ root.T + [0, 1, -0.5]
        latent = z @ coef.T
        if y_of is None:
            y = 40 + 7 * (latent[:, 0] + 0.4 * rng.normal(size=n_rows))
        else:
            y = y_of(latent, rng)
        tasks.append((X, y))
        noisy = latent + rng.normal(size=latent.shape)
        prior.append(20 + 5 * noisy if classes is None else 0.3 * noisy)
    tasks = TaskCollection(tasks)
    prior = np.concatenate(prior) if pooled else None
    if classes is not None:
        targets = ClassCodec(np.array(classes))
    else:
        targets = TargetScaler.fit(tasks.y, prior)
    return Episodes(tasks, FeatureScaler.fit(tasks.X), targets, prior)


def labels(latent, rng):
    return (latent + rng.gumbel(size=latent.shape)).argmax(1)


def make_learner(episodes, kinds):
    """In float64, so that nothing is lost on the way from the mixed model."""
    n_pooled = 0 if episodes.offset is None else 1
    learner = make_unconditioned_gps(kinds, N_FEATURES, episodes.targets, n_pooled, 0)
    return learner.double()


def fit_kinds(episodes, kinds, covs, seed=0):
    """Experts that EM fitted; those of empirical Bayes stay where these begin."""

    def doubled(*args):
        return make_unconditioned_gps(*args).double()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experts, "make_unconditioned_gps", doubled)
        patch.setattr(experts, "fit_prior", lambda *args, **spreads: None)
        return fit_experts(kinds, covs, episodes, np.random.default_rng(seed), 0)


def fit_one(episodes, cov=FULL, linear=True, seed=0):
    """The only expert, on the pooled prediction if there is one."""
    pooled = None if episodes.offset is None else 0
    return fit_kinds(episodes, [Expert("one", pooled, linear)], [cov], seed)


def scaled_rows(episodes, rows=slice(None)):
    """Features, pooled predictions and targets of rows, by their definition."""
    X = (episodes.tasks.X - episodes.tasks.X.mean(0)) / episodes.tasks.X.std(0)
    y, targets = episodes.tasks.y, episodes.targets
    if isinstance(targets, TargetScaler):
        y = (y - targets.mean) / targets.scale
    offset = np.zeros((len(y), targets.n_outputs))
    if episodes.offset is not None:
        offset = episodes.offset.astype(float)
    return X[rows], offset[rows], y[rows]


def mixed_design(episodes):
    X, offset, y = scaled_rows(episodes)
    columns = [np.ones((len(X), 1)), X]
    if episodes.offset is not None:
        columns.append(offset)
    return np.hstack(columns), offset, y


def fitted(fit, design, *args, cov, pooled, max_iter=MAX_ITER):
    """The mixed model of an expert: a ridge, and EM cut short."""
    penalty = np.full(design.shape[1], FREE_PENALTY)
    if pooled:  # an observation has at most 1/4 of the information in classification
        less = 4 if fit is fit_logistic_mixed_model else 1
        penalty[:] = POOLED_PENALTY / less
    penalty[0] = 0
    tol = {"tol": TOLERANCE} if fit is fit_logistic_mixed_model else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit(
            design, design, *args, diagonal=cov == DIAGONAL, penalty=penalty,
            max_iter=max_iter, **tol,
        )  # fmt: skip


def shrunk(random_cov, n_tasks):
    """As with a prior of two tasks for each effect, which are independent in these."""
    share = n_tasks / (n_tasks + WISHART_TASKS * len(random_cov))
    return np.where(np.eye(len(random_cov)) > 0, random_cov, share * random_cov)


def one_task(x, offset):
    return Rows(*(torch.from_numpy(a)[None] for a in (x, offset, np.ones(len(x)))))


def latents(learner, rows):
    """Mean (n_rows, n_outputs) and covariance (n_rows, n_rows) of the process."""
    encoding = no_encoding(learner, rows)
    theta = learner.prior.hyperparameters(encoding)
    design = learner.prior.design(rows, encoding, theta)
    kernel = learner.prior.kernel(design, design, theta)
    return design.mean[0].detach().numpy(), kernel[0].detach().numpy()


def covariance(learner):
    """Of the coefficients of the linear part."""
    (factor,) = learner.prior.factor.detach().numpy()
    return factor @ factor.T


# Regression


@full_or_diagonal
@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("n_support", [0, 1, 6])
def test_expert_predicts_as_the_mixed_model(cov, pooled, n_support, monkeypatch):
    monkeypatch.setattr(gp_algebra, "JITTER", 0.0)
    episodes = make_episodes(pooled=pooled)
    learner = fit_one(episodes, cov)
    assert learner.prior.linear_only

    design, offset, y = mixed_design(episodes)
    model = fitted(
        fit_linear_mixed_model, design, y - offset[:, 0], episodes.tasks.offsets,
        cov=cov, pooled=pooled,
    )  # fmt: skip
    support, query = np.arange(n_support), np.arange(6, 16)
    mean = offset[:, 0] + design @ model.coef
    joint = design @ shrunk(model.random_cov, len(episodes)) @ design.T
    observed = joint[np.ix_(support, support)] + model.noise_variance * np.eye(
        n_support
    )
    gain = np.linalg.solve(observed, joint[np.ix_(support, query)]).T
    expected = mean[query] + gain @ (y - mean)[support]
    spread = joint[np.ix_(query, query)] - gain @ joint[np.ix_(support, query)]
    assert np.diag(spread).max() > 1e-3  # there is something to predict

    x, offset, _ = scaled_rows(episodes)
    rows = one_task(x[support], offset[support])
    with torch.no_grad():
        adapted = learner.adapt(
            rows, torch.from_numpy(y[support])[None], no_encoding(learner, rows)
        )
        found = learner.predict(adapted, one_task(x[query], offset[query]))
    np.testing.assert_allclose(found[0][0], expected, atol=1e-8)
    np.testing.assert_allclose(
        found[1][0], np.diag(spread) + model.noise_variance, atol=1e-8
    )


def test_full_covariance_has_what_varies_together():
    episodes = make_episodes(pooled=False, n_tasks=100)
    full, diagonal = (fit_one(episodes, cov) for cov in (FULL, DIAGONAL))
    correlation = covariance(full)[0, 1] / np.sqrt(
        covariance(full)[0, 0] * covariance(full)[1, 1]
    )
    assert correlation > 0.5
    off = covariance(diagonal) - np.diag(np.diag(covariance(diagonal)))
    np.testing.assert_allclose(off, 0, atol=1e-12)


@full_or_diagonal
@pytest.mark.parametrize("pooled", [True, False])
def test_parameters_are_those_of_the_mixed_model(cov, pooled):
    episodes = make_episodes(pooled=pooled, n_tasks=12)
    learner = fit_one(episodes, cov)
    design, offset, y = mixed_design(episodes)
    model = fitted(
        fit_linear_mixed_model, design, y - offset[:, 0], episodes.tasks.offsets,
        cov=cov, pooled=pooled,
    )  # fmt: skip
    prior = learner.prior
    coef = [prior.coefficients.bias[0], prior.coefficients.weight[0, 0]]
    coef = torch.cat(coef).detach().numpy()
    np.testing.assert_allclose(coef, model.coef, atol=1e-8)
    np.testing.assert_allclose(covariance(learner), shrunk(model.random_cov, 12))
    assert prior.noise.exp().item() == pytest.approx(model.noise_variance, rel=1e-8)


@full_or_diagonal
def test_linear_tasks_are_predicted_as_by_the_mixed_model(cov, monkeypatch):
    """As by the estimator, which has a full covariance without shrinkage."""
    monkeypatch.setattr(experts, "WISHART_TASKS", 0.0)
    monkeypatch.setattr(gp_algebra, "JITTER", 0.0)
    tasks = make_linear_tasks(21, n_rows=9, n_features=2, noise=0.3, random_state=0)
    tasks, x, y = tasks[:20], tasks[20].X, tasks[20].y
    features, targets = FeatureScaler.fit(tasks.X), TargetScaler.fit(tasks.y)
    learner = fit_one(Episodes(tasks, features, targets), cov)
    mixed = MixedEffectsRegressor(cov, max_iter=MAX_ITER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixed.meta_fit(tasks).fit(x[:4], y[:4])
    expected = mixed.predict(x[4:], return_std=True)
    scaled = features.transform(x, np.float64)
    support, query = (one_task(part, 0 * part[:, :1]) for part in np.split(scaled, [4]))
    with torch.no_grad():
        y = torch.from_numpy(targets.transform(y[:4], np.float64))[None]
        adapted = learner.adapt(support, y, no_encoding(learner, support))
        mean, variance = (part[0].numpy() for part in learner.predict(adapted, query))
    found = targets.inverse_transform(mean), targets.scale * np.sqrt(variance)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("n_tasks", [4, 60])
@pytest.mark.parametrize("classes", [None, [0, 1]], ids=["numbers", "classes"])
def test_gp_is_between_the_mixed_model_and_the_default(classes, n_tasks):
    """The nearer to the default, the fewer the tasks; in units of the residuals."""
    y_of = None if classes is None else labels
    episodes = make_episodes(y_of, classes, n_tasks=n_tasks)
    mixed, gp = (fit_one(episodes, DIAGONAL, linear) for linear in (True, False))
    default = make_learner(episodes, gp.experts)
    _, offset, y = mixed_design(episodes)
    unit, noise = 1.0, covariance(mixed)[0, 0]
    if classes is None:
        unit, noise = (y - offset[:, 0]).var(), mixed.prior.noise.exp().item()
    share = n_tasks / (n_tasks + PRIOR_TASKS)
    expected = share * covariance(mixed) + (1 - share) * unit * covariance(default)
    np.testing.assert_allclose(covariance(gp), expected, atol=1e-10)
    for name, found in (
        ("signal", max(RBF_SHARE * noise, MIN_RBF)),
        ("noise", max((1 - RBF_SHARE) * noise, MIN_RBF**2)),
    ):
        start = getattr(default.prior, name).exp().item() * unit
        value = getattr(gp.prior, name).exp().item()
        assert value == pytest.approx(found**share * start ** (1 - share), rel=1e-6)
    for one, other in zip(
        gp.prior.coefficients.parameters(),
        mixed.prior.coefficients.parameters(),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_rbf_part_takes_a_share_of_the_noise(monkeypatch):
    """If the default hyperparameters count nothing."""
    monkeypatch.setattr(experts, "PRIOR_TASKS", 0.0)
    episodes = make_episodes()
    for cov in (FULL, DIAGONAL):
        linear, gp = (fit_one(episodes, cov, linear) for linear in (True, False))
        np.testing.assert_allclose(covariance(gp), covariance(linear), atol=1e-12)
    noise = linear.prior.noise.exp().item()
    split = gp.prior.signal.exp().item(), gp.prior.noise.exp().item()
    assert sum(split) == pytest.approx(noise)
    assert min(split) > 0.1 * noise


def test_correlations_of_few_tasks_are_shrunk_more(monkeypatch):
    shares = []
    for n_tasks in (3, 60):
        episodes = make_episodes(pooled=False, n_tasks=n_tasks)
        found = covariance(fit_one(episodes))
        with monkeypatch.context() as patch:
            patch.setattr(experts, "WISHART_TASKS", 0.0)
            free = covariance(fit_one(episodes))
        np.testing.assert_allclose(np.diag(found), np.diag(free))
        shares.append(found[0, 1] / free[0, 1])
    np.testing.assert_allclose(shares, [3 / (3 + 2 * 3), 60 / (60 + 2 * 3)])


@pytest.mark.parametrize(("n_rows", "max_iter"), [(3, LONG_EM), (4, MAX_ITER)])
def test_em_of_tasks_with_few_rows_takes_longer(n_rows, max_iter, monkeypatch):
    seen, fit = [], fit_linear_mixed_model

    def watched(*args, max_iter, **settings):
        seen.append(max_iter)
        return fit(*args, max_iter=max_iter, **settings)

    monkeypatch.setattr(experts, "fit_linear_mixed_model", watched)
    tasks = make_linear_tasks(9, n_rows=n_rows, n_features=2, random_state=0)
    scalers = FeatureScaler.fit(tasks.X), TargetScaler.fit(tasks.y)
    fit_one(Episodes(tasks, *scalers))
    assert seen == [max_iter]


# Classes


@full_or_diagonal
@pytest.mark.parametrize("pooled", [True, False])
def test_difference_of_two_latents_is_the_logistic_mixed_model(cov, pooled):
    episodes = make_episodes(labels, [0, 1], n_tasks=60, pooled=pooled)
    learner = fit_one(episodes, cov)
    design, offset, y = mixed_design(episodes)
    logit = offset[:, 1] - offset[:, 0]
    model = fitted(
        fit_logistic_mixed_model, design, (y == 1) * 1.0, logit, episodes.tasks.offsets,
        cov=cov, pooled=pooled,
    )  # fmt: skip
    x, _, _ = scaled_rows(episodes)
    mean, kernel = latents(learner, one_task(x[:9], offset[:9]))
    np.testing.assert_allclose(
        mean[:, 1] - mean[:, 0], logit[:9] + design[:9] @ model.coef, atol=1e-8
    )
    random_cov = shrunk(model.random_cov, 60)
    np.testing.assert_allclose(
        2 * kernel, design[:9] @ random_cov @ design[:9].T, atol=1e-8
    )
    assert np.abs(kernel).max() > 0.1
    assert np.abs(mean - offset[:9]).max() > 0.1


def test_mean_of_three_latents_is_each_class_against_the_rest():
    """Two thirds of the log-odds, above the others."""
    episodes = make_episodes(labels, [0, 1, 2], n_tasks=60)
    learner = fit_one(episodes)
    design, offset, y = mixed_design(episodes)
    x, _, _ = scaled_rows(episodes)
    mean, _ = latents(learner, one_task(x[:9], offset[:9]))
    covariances = []
    for c in range(3):
        rest = logsumexp(np.delete(offset, c, axis=1), axis=1)
        model = fitted(
            fit_logistic_mixed_model, design, (y == c) * 1.0, offset[:, c] - rest,
            episodes.tasks.offsets, cov=FULL, pooled=True,
        )  # fmt: skip
        expected = offset[:9, c] + 2 / 3 * design[:9] @ model.coef
        np.testing.assert_allclose(mean[:, c], expected, atol=1e-8)
        covariances.append(model.random_cov)
    expected = 2 / 3 * shrunk(np.mean(covariances, axis=0), 60)
    np.testing.assert_allclose(covariance(learner), expected, atol=1e-8)


@full_or_diagonal
def test_names_of_three_classes_play_no_part(cov):
    permutation = np.array([2, 0, 1])
    episodes = make_episodes(labels, [0, 1, 2], pooled=False)
    renamed = make_episodes(
        lambda latent, rng: permutation[labels(latent, rng)], [0, 1, 2], pooled=False
    )
    assert (renamed.tasks.y != episodes.tasks.y).all()
    one, other = (fit_one(e, cov) for e in (episodes, renamed))
    x, offset, _ = scaled_rows(episodes, slice(0, 9))
    mean, kernel = latents(one, one_task(x, offset))
    mean_renamed, kernel_renamed = latents(other, one_task(x, offset))
    np.testing.assert_allclose(mean_renamed[:, permutation], mean, atol=1e-8)
    np.testing.assert_allclose(kernel_renamed, kernel, atol=1e-8)
    assert np.ptp(mean, axis=1).max() > 0.1  # the classes differ


def test_columns_of_pooled_predictions_are_permuted_with_the_classes():
    permutation = np.array([2, 0, 1])
    episodes = make_episodes(labels, [0, 1, 2])
    y, tasks = permutation[episodes.tasks.y], episodes.tasks
    renamed = Episodes(
        TaskCollection.from_arrays(tasks.X, y, np.repeat(range(30), episodes.sizes)),
        episodes.features,
        episodes.targets,
        episodes.offset[:, np.argsort(permutation)],
    )
    one, other = (fit_one(e) for e in (episodes, renamed))
    x, offset, _ = scaled_rows(episodes, slice(0, 9))
    mean, kernel = latents(one, one_task(x, offset))
    mean_renamed, kernel_renamed = latents(
        other, one_task(x, offset[:, np.argsort(permutation)])
    )
    np.testing.assert_allclose(mean_renamed[:, permutation], mean, atol=1e-8)
    np.testing.assert_allclose(kernel_renamed, kernel, atol=1e-8)


# What has no random effect, and what no mixed model


@pytest.mark.parametrize("classes", [None, [0, 1]], ids=["numbers", "classes"])
def test_columns_constant_within_tasks_have_no_random_effect(classes):
    y_of = None if classes is None else labels
    episodes = make_episodes(y_of, classes, n_tasks=60, pooled=False, constant=True)
    for learner in (fit_one(episodes, cov) for cov in (FULL, DIAGONAL)):
        found = covariance(learner)
        np.testing.assert_allclose(found[2], 0, atol=1e-12)
        np.testing.assert_allclose(found[:, 2], 0, atol=1e-12)
        assert np.diag(found)[:2].min() > 1e-3
        (effects,) = learner.prior.coefficients.weight.detach().numpy()
        assert np.abs(effects[:, 1]).min() > 1e-2  # but a fixed one


def is_as_new(learner, episodes):
    new = make_learner(episodes, learner.experts)
    priors = learner.prior.shared_parameters(), new.prior.shared_parameters()
    pairs = zip(*priors, strict=True)
    return all(torch.equal(*pair) for pair in pairs)


def test_many_columns_have_no_mixed_model(monkeypatch):
    episodes = make_episodes()  # ones, two features and a pooled prediction
    monkeypatch.setattr(experts, "MAX_COLUMNS", 4)
    assert not is_as_new(fit_one(episodes), episodes)
    monkeypatch.setattr(experts, "MAX_COLUMNS", 3)
    assert is_as_new(fit_one(episodes), episodes)


def test_one_class_has_no_mixed_model():
    episodes = make_episodes(lambda latent, rng: np.zeros(len(latent), int), [0])
    assert is_as_new(fit_one(episodes), episodes)


@pytest.mark.parametrize("broken", ["error", "nan"])
def test_expert_whose_em_breaks_down_has_default_parameters(broken, monkeypatch):
    """With a full covariance alone; the diagonal one is as it was."""
    fit = fit_linear_mixed_model

    def breaks_down(*args, diagonal, **settings):
        model = fit(*args, diagonal=diagonal, **settings)
        if not diagonal:
            if broken == "error":
                raise np.linalg.LinAlgError
            model.random_cov[:] = np.nan
        return model

    episodes = make_episodes()
    diagonal = fit_one(episodes, DIAGONAL)
    monkeypatch.setattr(experts, "fit_linear_mixed_model", breaks_down)
    kinds = [Expert("a", 0, True), Expert("b", 0, True)]
    both = fit_kinds(episodes, kinds, [FULL, DIAGONAL])
    assert is_as_new(both.select([0]), episodes)
    priors = (one.prior.shared_parameters() for one in (both.select([1]), diagonal))
    assert_same(*priors)


# Several experts, and many tasks


def weights(learner):
    return [p.detach().clone() for p in learner.state_dict().values()]


def assert_same(one, other):
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


POOLED = {None: [], "auto": ["ridge", "boosting"], Ridge(): ["Ridge"]}
GPS = {
    None: [("gp", None, False, FULL)],
    "auto": [
        ("gp", None, False, FULL),
        ("gp on ridge", 0, False, DIAGONAL),
        ("gp on boosting", 1, False, DIAGONAL),
    ],
    "Ridge": [("gp on Ridge", 0, False, DIAGONAL)],
}
MIXED = {
    None: [
        ("linear, full covariance", None, True, FULL),
        ("linear, diagonal covariance", None, True, DIAGONAL),
    ],
    "auto": [
        ("linear, full covariance", None, True, FULL),
        ("linear, diagonal covariance", None, True, DIAGONAL),
        ("linear on boosting", 1, True, DIAGONAL),
    ],
    "Ridge": [
        ("linear, full covariance on Ridge", 0, True, FULL),
        ("linear, diagonal covariance on Ridge", 0, True, DIAGONAL),
    ],
}
LINEAR = {
    None: [("linear", None, True, FULL)],
    "auto": [
        ("linear", None, True, FULL),
        ("linear on ridge", 0, True, FULL),
        ("linear on boosting", 1, True, FULL),
    ],
    "Ridge": [("linear on Ridge", 0, True, FULL)],
}


@pytest.mark.parametrize("pooled", POOLED, ids=str)
@pytest.mark.parametrize("base_learner", ["auto", "gp", "linear", "mlp", Ridge()])
def test_names_and_order_of_experts(base_learner, pooled):
    config = AttentionMetaRegressor(base_learner, pooled, random_state=0)
    found, covs = experts_of(config._config("regression"), POOLED[pooled])
    key = pooled if pooled in (None, "auto") else "Ridge"
    expected = LINEAR[key] if base_learner == "linear" else GPS[key]
    if base_learner == "auto":
        expected = GPS[key] + MIXED[key]
    assert [(*one, cov) for one, cov in zip(found, covs, strict=True)] == expected
    assert all(isinstance(one, Expert) for one in found)


KINDS = [
    (Expert("a"), FULL),
    (Expert("b", 0), DIAGONAL),
    (Expert("c", None, True), FULL),
    (Expert("d", 0, True), DIAGONAL),
]


def test_each_expert_is_fitted_as_it_would_be_alone():
    episodes = make_episodes()
    kinds, covs = map(list, zip(*KINDS, strict=True))
    together = fit_kinds(episodes, kinds, covs)
    for e, (kind, cov) in enumerate(KINDS):
        alone = fit_kinds(episodes, [kind], [cov])
        pairs = zip(
            together.prior.shared_parameters(), alone.prior.shared_parameters(),
            strict=True,
        )  # fmt: skip
        for one, other in pairs:
            assert torch.equal(one[e], other[0])
    assert (together.expert_weights.logit == 0).all()
    assert (together.expert_weights.slope == 0).all()


def test_expert_without_pooled_estimator_ignores_pooled_predictions():
    episodes = make_episodes()
    (found,) = fit_kinds(episodes, [Expert()], [FULL]).prior.factor.detach().numpy()
    assert (found[-1] == 0).all()
    other = covariance(fit_one(episodes.with_pooled([]), linear=False))
    np.testing.assert_allclose(found[:-1] @ found[:-1].T, other, atol=1e-10)


def test_equal_mixed_models_are_fitted_once(monkeypatch):
    seen, fit = [], fit_linear_mixed_model

    def watched(*args, **settings):
        seen.append(settings["diagonal"])
        return fit(*args, **settings)

    monkeypatch.setattr(experts, "fit_linear_mixed_model", watched)
    kinds = [Expert("a"), Expert("b", None, True), Expert("c", None, True)]
    fit_kinds(make_episodes(pooled=False), kinds, [FULL, FULL, DIAGONAL])
    assert seen == [False, True]


def test_empirical_bayes_moves_the_nonlinear_experts_alone(monkeypatch):
    episodes = make_episodes()
    kinds, covs = map(list, zip(*KINDS, strict=True))
    seen, moved_to = [], []

    def watched(learner, rows, y, n_tasks, *, linear_spread, log_spread):
        seen.append((learner.experts, n_tasks, linear_spread, log_spread))
        assert rows.x.shape[0] == y.shape[0] == 30
        spreads = {"linear_spread": linear_spread, "log_spread": log_spread}
        fit_prior(learner, rows, y, n_tasks, **spreads)
        moved_to.extend(p.clone() for p in learner.prior.shared_parameters())

    before = fit_kinds(episodes, kinds, covs).prior.shared_parameters()
    monkeypatch.setattr(experts, "fit_prior", watched)
    learner = fit_experts(kinds, covs, episodes, np.random.default_rng(0), 0)
    ((fitted, n_tasks, *spreads),) = seen
    assert (fitted, n_tasks) == ((kinds[0], kinds[1]), 30)
    # the wider, the more tasks: 30 / (30 + 40) of the way
    np.testing.assert_allclose(spreads, [0.1 + 0.2 * 3 / 7, 0.5 + 0.5 * 3 / 7])
    assert learner.experts == tuple(kinds)
    groups = learner.prior.shared_parameters(), before, moved_to
    for found, first, expected in zip(*groups, strict=True):
        assert torch.equal(found[:2], expected)
        assert torch.equal(found[2:], first[2:].float())
        assert ((expected - first[:2].float()).abs().flatten(1).amax(1) > 1e-4).all()
    assert all(p.requires_grad for p in learner.parameters())


@pytest.mark.parametrize("weighted", [False, True])
def test_empirical_bayes_sees_some_rows_of_some_tasks(weighted, monkeypatch):
    """The same in all of its iterations; heavier tasks more often."""
    monkeypatch.setattr(experts, "N_TASKS", 20)
    monkeypatch.setattr(experts, "N_ROWS", 6)
    seen, episodes = [], make_episodes(pooled=False)
    if weighted:
        weights = np.r_[np.zeros(10), np.ones(15), np.full(5, 1000.0)]
        tasks = episodes.tasks._replace(weights=weights)
        episodes = Episodes(tasks, episodes.features, episodes.targets)

    def watched(learner, rows, y, n_tasks, **spreads):
        seen.append((rows, y, n_tasks))

    monkeypatch.setattr(experts, "fit_prior", watched)
    for seed in (0, 0, 1):
        fit_experts([Expert("a")], [FULL], episodes, np.random.default_rng(seed), 0)
    x, _, y_all = scaled_rows(episodes)
    task_of = np.repeat(np.arange(30), episodes.sizes)
    drawn = []
    for rows, y, n_tasks in seen:
        assert rows.x.shape == (20, 6, N_FEATURES)
        assert n_tasks == 30
        assert (rows.weight.sum(1) >= 5).all()
        tasks = []
        for task in range(20):
            here = rows.weight[task].numpy() > 0
            apart = np.abs(rows.x[task].numpy()[here][:, None] - x).sum(2)
            position = apart.argmin(1)
            assert len(set(position)) == here.sum()
            np.testing.assert_allclose(x[position], rows.x[task][here], atol=1e-5)
            np.testing.assert_allclose(y_all[position], y[task][here], atol=1e-5)
            (of_task,) = set(task_of[position])
            tasks.append(of_task)
        drawn.append(tasks)
    assert drawn[0] == drawn[1] != drawn[2]
    assert torch.equal(seen[0][1], seen[1][1])
    if weighted:
        assert min(map(min, drawn)) >= 10
        assert np.mean(np.array(drawn) >= 25) > 0.9
    else:
        assert all(len(set(tasks)) == 20 for tasks in drawn)


def test_some_of_many_tasks_are_seen_whole(monkeypatch):
    seen = []
    fit = fit_linear_mixed_model

    def watched(X, Z, y, offsets, **settings):
        seen.append([X[i:j] for i, j in pairwise(offsets)])
        return fit(X, Z, y, offsets, **settings)

    monkeypatch.setattr(experts, "fit_linear_mixed_model", watched)
    monkeypatch.setattr(experts, "MAX_TASKS", 7)
    episodes = make_episodes()
    design = mixed_design(episodes)[0]
    whole = np.split(design, episodes.tasks.offsets[1:-1])

    def positions(tasks):
        return [
            next(
                i for i, b in enumerate(whole)
                if a.shape == b.shape and np.allclose(a, b, atol=1e-6)
            )
            for a in tasks
        ]  # fmt: skip

    one, same, other = (fit_one(episodes, seed=s) for s in (0, 0, 1))
    drawn = [positions(tasks) for tasks in seen]
    assert len(drawn) == 3
    assert all(len(set(tasks)) == 7 for tasks in drawn)
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert_same(weights(one), weights(same))
    assert not torch.equal(one.prior.factor, other.prior.factor)


def test_tasks_that_are_not_too_many_are_all_seen(monkeypatch):
    episodes = make_episodes()
    monkeypatch.setattr(experts, "MAX_TASKS", 30)
    one, other = (fit_one(episodes, seed=s) for s in (0, 1))
    assert_same(weights(one), weights(other))


@pytest.mark.parametrize(("n_tasks", "n_seen"), [(None, 30), (4, 4), (0, 2)])
def test_cost_of_em_bounds_the_number_of_tasks(n_tasks, n_seen, monkeypatch):
    """By the number of columns, squared, and of models."""
    if n_tasks is not None:
        cost = (2 * n_tasks + 1) * 3 * (1 + N_FEATURES + 3) ** 2 // 2
        monkeypatch.setattr(experts, "MAX_COST", cost)
    seen, fit = [], fit_logistic_mixed_model

    def watched(X, Z, y, offset, offsets, **settings):
        seen.append(len(offsets) - 1)
        return fit(X, Z, y, offset, offsets, **settings)

    monkeypatch.setattr(experts, "fit_logistic_mixed_model", watched)
    fit_one(make_episodes(labels, [0, 1, 2]))
    assert seen == [n_seen] * 3
