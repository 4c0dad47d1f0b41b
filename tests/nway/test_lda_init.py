import numpy as np

from skmeta import TaskCollection
from skmeta._training.nway.lda_init import discriminants, moments, select_discriminants


def collection(n_tasks, n_classes, rng, within):
    """Classes that lie apart in column 0, and whose rows differ by ``within``."""
    centres = np.array([3.0, 0.1, 0.1, 0.1]) * rng.normal(size=(n_tasks, n_classes, 4))
    X = centres[:, :, None] + within * rng.normal(size=(n_tasks, n_classes, 12, 4))
    y = np.broadcast_to(np.arange(n_classes)[:, None], X.shape[1:3])
    return TaskCollection([(x.reshape(-1, 4), y.ravel()) for x in X])


def test_discriminants_whiten_rows_within_classes():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(4, 4))
    tasks = collection(20, 5, rng, 1.0)
    X, task = tasks.X @ mixing, np.repeat(np.arange(20), 60)
    group = task * 5 + tasks.y
    of = moments(X, group, task)
    found = discriminants(of, np.ones(4), 0.0, 0.0)
    projected = found.projection @ of.within @ found.projection.T
    np.testing.assert_allclose(projected, np.eye(4), atol=1e-4)
    apart = found.projection @ of.between @ found.projection.T
    np.testing.assert_allclose(apart - np.diag(np.diag(apart)), 0, atol=1e-4)
    np.testing.assert_allclose(np.diag(apart).clip(0.01), found.between, rtol=1e-4)
    assert (np.diff(found.between) <= 0).all()


def test_of_few_classes_the_covariance_between_them_is_that_of_all_rows():
    rng, group = np.random.default_rng(0), np.repeat([0, 1], 20)
    X = rng.normal(size=(40, 3)) + 5 * group[:, None]
    of = moments(X, group, np.zeros(40, int))
    found = discriminants(of, np.ones(3), 1.0, np.inf)
    assert found.between.min() > 0.01
    ratio = found.between / np.linalg.eigvalsh(of.total)[::-1]
    np.testing.assert_allclose(ratio, ratio[0])


def test_choice_finds_the_column_that_tells_classes_apart():
    tasks = collection(30, 4, np.random.default_rng(0), np.array([0.3, 3, 3, 3]))
    scale = tasks.X.std(0)
    found = select_discriminants(tasks, lambda X: X / scale, scale, seed=0)
    first = np.abs(found.projection[0])
    assert first.argmax() == 0
    assert first[0] > 5 * first[1:].max()


def test_choice_from_one_task_and_the_same_seed():
    tasks = collection(1, 6, np.random.default_rng(1), 1.0)
    found, again = (
        select_discriminants(tasks, lambda X: X, np.ones(4), seed=3) for _ in range(2)
    )
    np.testing.assert_array_equal(found.projection, again.projection)
    assert np.isfinite(found.projection).all()
    assert (found.between > 0).all()
