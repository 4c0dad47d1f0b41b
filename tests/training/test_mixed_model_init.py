"""The process that starts at a mixed model, against the mixed model itself."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning

from skmeta._classical.linear_mixed_model import fit_linear_mixed_model
from skmeta._classical.logistic_mixed_model import fit_logistic_mixed_model
from skmeta._episodes.batch import Rows
from skmeta._episodes.sampler import Episodes
from skmeta._networks.learners import gp_algebra
from skmeta._networks.learners.factory import make_base_learner
from skmeta._networks.learners.gp_prior import no_encoding
from skmeta._preprocessing.scaling import ClassCodec, FeatureScaler, TargetScaler
from skmeta._training import mixed_model_init as mixed_model_init
from skmeta._training.empirical_bayes import fit_prior
from skmeta._training.mixed_model_init import MAX_ITER, mixed_model_inits
from skmeta.tasks import TaskCollection

N_FEATURES = 2

full_or_diagonal = pytest.mark.parametrize(
    ("which", "diagonal"), [(1, False), (2, True)], ids=["full", "diagonal"]
)


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


def make_learner(episodes, name="linear", seed=0):
    """In float64, so that nothing is lost on the way from the mixed model."""
    n_outputs = episodes.targets.n_outputs
    return make_base_learner(
        name,
        classification=isinstance(episodes.targets, ClassCodec),
        n_features=N_FEATURES,
        n_offset=0 if episodes.offset is None else n_outputs,
        n_outputs=n_outputs,
        embed_dim=1,
        column_dim=1,
        seed=seed,
    ).double()


def starts_of(episodes, name="linear", seed=0):
    return mixed_model_inits(
        make_learner(episodes, name), episodes, np.random.default_rng(seed)
    )


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


def fitted(fit, design, *args, diagonal):
    """The mixed model as the process starts at: a ridge, and EM cut short."""
    penalty = np.ones(design.shape[1])
    penalty[0] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit(
            design, design, *args, diagonal=diagonal, penalty=penalty, max_iter=MAX_ITER
        )


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
    factor = learner.prior.factor.detach().numpy()
    return factor @ factor.T


# Regression


@full_or_diagonal
@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("n_support", [0, 1, 6])
def test_learner_predicts_as_the_mixed_model(
    which, diagonal, pooled, n_support, monkeypatch
):
    monkeypatch.setattr(gp_algebra, "JITTER", 0.0)
    episodes = make_episodes(pooled=pooled)
    learner = starts_of(episodes)[which]
    assert learner.prior.linear_only

    design, offset, y = mixed_design(episodes)
    model = fitted(
        fit_linear_mixed_model, design, y - offset[:, 0], episodes.tasks.offsets,
        diagonal=diagonal,
    )  # fmt: skip
    support, query = np.arange(n_support), np.arange(6, 16)
    mean = offset[:, 0] + design @ model.coef
    joint = design @ model.random_cov @ design.T
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
    episodes = make_episodes(pooled=False)
    _, full, diagonal = starts_of(episodes)
    correlation = covariance(full)[0, 1] / np.sqrt(
        covariance(full)[0, 0] * covariance(full)[1, 1]
    )
    assert correlation > 0.5
    off = covariance(diagonal) - np.diag(np.diag(covariance(diagonal)))
    np.testing.assert_allclose(off, 0, atol=1e-12)


def test_rbf_part_takes_a_share_of_the_noise():
    episodes = make_episodes()
    for linear, gp in zip(starts_of(episodes), starts_of(episodes, "gp"), strict=True):
        np.testing.assert_allclose(covariance(gp), covariance(linear), atol=1e-12)
    noise = linear.prior.noise.exp().item()
    split = gp.prior.signal.exp().item(), gp.prior.noise.exp().item()
    assert sum(split) == pytest.approx(noise)
    assert min(split) > 0.1 * noise


# Classes


@full_or_diagonal
@pytest.mark.parametrize("pooled", [True, False])
def test_difference_of_two_latents_is_the_logistic_mixed_model(which, diagonal, pooled):
    episodes = make_episodes(labels, [0, 1], n_tasks=60, pooled=pooled)
    learner = starts_of(episodes)[which]
    design, offset, y = mixed_design(episodes)
    logit = offset[:, 1] - offset[:, 0]
    model = fitted(
        fit_logistic_mixed_model, design, (y == 1) * 1.0, logit, episodes.tasks.offsets,
        diagonal=diagonal,
    )  # fmt: skip
    x, _, _ = scaled_rows(episodes)
    mean, kernel = latents(learner, one_task(x[:9], offset[:9]))
    np.testing.assert_allclose(
        mean[:, 1] - mean[:, 0], logit[:9] + design[:9] @ model.coef, atol=1e-8
    )
    np.testing.assert_allclose(
        2 * kernel, design[:9] @ model.random_cov @ design[:9].T, atol=1e-8
    )
    assert np.abs(kernel).max() > 0.1
    assert np.abs(mean - offset[:9]).max() > 0.1


def test_mean_of_three_latents_is_each_class_against_the_rest():
    """Two thirds of the log-odds, above the others."""
    episodes = make_episodes(labels, [0, 1, 2], n_tasks=60)
    learner = starts_of(episodes)[1]
    design, offset, y = mixed_design(episodes)
    x, _, _ = scaled_rows(episodes)
    mean, _ = latents(learner, one_task(x[:9], offset[:9]))
    covariances = []
    for c in range(3):
        rest = logsumexp(np.delete(offset, c, axis=1), axis=1)
        model = fitted(
            fit_logistic_mixed_model, design, (y == c) * 1.0, offset[:, c] - rest,
            episodes.tasks.offsets, diagonal=False,
        )  # fmt: skip
        expected = offset[:9, c] + 2 / 3 * design[:9] @ model.coef
        np.testing.assert_allclose(mean[:, c], expected, atol=1e-8)
        covariances.append(model.random_cov)
    np.testing.assert_allclose(
        covariance(learner), 2 / 3 * np.mean(covariances, axis=0), atol=1e-8
    )


@full_or_diagonal
def test_names_of_three_classes_play_no_part(which, diagonal):
    permutation = np.array([2, 0, 1])
    episodes = make_episodes(labels, [0, 1, 2], pooled=False)
    renamed = make_episodes(
        lambda latent, rng: permutation[labels(latent, rng)], [0, 1, 2], pooled=False
    )
    assert (renamed.tasks.y != episodes.tasks.y).all()
    one, other = (starts_of(e)[which] for e in (episodes, renamed))
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
    one, other = (starts_of(e)[1] for e in (episodes, renamed))
    x, offset, _ = scaled_rows(episodes, slice(0, 9))
    mean, kernel = latents(one, one_task(x, offset))
    mean_renamed, kernel_renamed = latents(
        other, one_task(x, offset[:, np.argsort(permutation)])
    )
    np.testing.assert_allclose(mean_renamed[:, permutation], mean, atol=1e-8)
    np.testing.assert_allclose(kernel_renamed, kernel, atol=1e-8)


# What has no random effect, and what no start


@pytest.mark.parametrize("classes", [None, [0, 1]], ids=["numbers", "classes"])
def test_columns_constant_within_tasks_have_no_random_effect(classes):
    y_of = None if classes is None else labels
    episodes = make_episodes(y_of, classes, n_tasks=60, pooled=False, constant=True)
    for learner in starts_of(episodes)[1:]:
        found = covariance(learner)
        np.testing.assert_allclose(found[2], 0, atol=1e-12)
        np.testing.assert_allclose(found[:, 2], 0, atol=1e-12)
        assert np.diag(found)[:2].min() > 1e-3
        effects = learner.prior.coefficients.weight.detach().numpy()
        assert np.abs(effects[:, 1]).min() > 1e-2  # but a fixed one


def test_many_columns_have_no_mixed_model(monkeypatch):
    episodes = make_episodes()  # ones, two features and a pooled prediction
    monkeypatch.setattr(mixed_model_init, "MAX_COLUMNS", 4)
    assert len(starts_of(episodes)) == 3
    monkeypatch.setattr(mixed_model_init, "MAX_COLUMNS", 3)
    learner = make_learner(episodes)
    before = weights(learner)
    (only,) = mixed_model_inits(learner, episodes, np.random.default_rng(0))
    assert only is learner
    assert_same(weights(only), before)


def test_one_class_has_no_mixed_model():
    episodes = make_episodes(lambda latent, rng: np.zeros(len(latent), int), [0])
    learner = make_learner(episodes)
    (only,) = mixed_model_inits(learner, episodes, np.random.default_rng(0))
    assert only is learner


@pytest.mark.parametrize("broken", ["error", "nan"])
def test_em_that_breaks_down_gives_no_start(broken, monkeypatch):
    """With a full covariance alone; the diagonal one is still there."""
    fit = fit_linear_mixed_model

    def breaks_down(*args, diagonal, **settings):
        model = fit(*args, diagonal=diagonal, **settings)
        if not diagonal:
            if broken == "error":
                raise np.linalg.LinAlgError
            model.random_cov[:] = np.nan
        return model

    episodes = make_episodes()
    _, _, diagonal = starts_of(episodes)
    monkeypatch.setattr(mixed_model_init, "fit_linear_mixed_model", breaks_down)
    starts = starts_of(episodes)
    assert len(starts) == 2
    assert_same(weights(starts[1]), weights(diagonal))


# Copies, and many tasks


def weights(learner):
    return [p.detach().clone() for p in learner.state_dict().values()]


def assert_same(one, other):
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("trained", [0, 1, 2])
def test_training_a_start_leaves_the_others(trained):
    episodes = make_episodes()
    learner = make_learner(episodes, "gp").float()
    before = weights(learner)
    starts = mixed_model_inits(learner, episodes, np.random.default_rng(0))
    assert starts[0] is learner
    assert_same(weights(learner), before)
    states = [weights(start) for start in starts]
    batch = episodes.draw(np.arange(8), 5, 1, np.random.default_rng(0))
    fit_prior(starts[trained], lambda: (batch.support(), batch.y_support), 8, n_steps=3)
    for i, (start, state) in enumerate(zip(starts, states, strict=True)):
        if i == trained:
            assert not all(map(torch.equal, weights(start), state))
        else:
            assert_same(weights(start), state)


def test_some_of_many_tasks_are_seen_whole(monkeypatch):
    seen = []
    fit = fit_linear_mixed_model

    def watched(X, Z, y, offsets, **settings):
        seen.append([X[i:j] for i, j in pairwise(offsets)])
        return fit(X, Z, y, offsets, **settings)

    monkeypatch.setattr(mixed_model_init, "fit_linear_mixed_model", watched)
    monkeypatch.setattr(mixed_model_init, "MAX_TASKS", 7)
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

    one, same, other = (starts_of(episodes, seed=s)[1] for s in (0, 0, 1))
    drawn = [positions(tasks) for tasks in seen]
    assert len(drawn) == 6  # full and diagonal, three times
    assert all(len(set(tasks)) == 7 for tasks in drawn)
    assert drawn[0] == drawn[1] == drawn[2]
    assert drawn[0] != drawn[4]
    assert_same(weights(one), weights(same))
    assert not torch.equal(one.prior.factor, other.prior.factor)


def test_tasks_that_are_not_too_many_are_all_seen(monkeypatch):
    episodes = make_episodes()
    monkeypatch.setattr(mixed_model_init, "MAX_TASKS", 30)
    one, other = (starts_of(episodes, seed=s)[1] for s in (0, 1))
    assert_same(weights(one), weights(other))
