"""`TaskwiseEstimator` in scikit-learn's searches and curves."""

import subprocess
import sys

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import Ridge
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_score,
    learning_curve,
    validation_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta import AttentionMetaRegressor, SelfAttentionMetaRegressor, meta_fit
from skmeta.baselines import PooledRegressor
from skmeta.datasets import make_linear_tasks
from skmeta.model_selection import TaskwiseEstimator, few_shot_scores

pytestmark = pytest.mark.usefixtures("quick_training")


@pytest.fixture(scope="module")
def tasks():
    return make_linear_tasks(12, n_rows=15, n_features=2, random_state=0)


@pytest.fixture
def learner():
    """What is meta-fitted at once, and is no different to `TaskwiseEstimator`."""
    return PooledRegressor(Ridge(), random_state=0)


@pytest.fixture
def meta_learner(tiny):
    quick = {"max_epochs": 0, "task_attention": False, "n_support": (0, 4)}
    return AttentionMetaRegressor("linear", None, **tiny | quick)


@pytest.fixture
def taskwise(learner):
    return TaskwiseEstimator(learner, random_state=0)


def by_hand(learner, train, test, **settings):
    """What a split scores, by `meta_fit` and `few_shot_scores` alone."""
    fitted = meta_fit(learner, train)
    settings = {"n_support": 5, "n_episodes": 1, "random_state": 0} | settings
    return np.nanmean(few_shot_scores(fitted, test, **settings).scores)


def test_fit_and_score_by_hand(taskwise, learner, tasks):
    taskwise.fit(tasks[:8])
    assert not hasattr(learner, "meta_state_")
    assert taskwise.score(tasks[8:]) == by_hand(learner, tasks[:8], tasks[8:])


def test_several_supports_and_a_scorer(learner, tasks):
    settings = {"n_support": (3, 8), "n_episodes": 2, "random_state": 1}
    taskwise = TaskwiseEstimator(
        learner, scoring="neg_mean_squared_error", **settings
    ).fit(tasks[:8])
    settings["scoring"] = "neg_mean_squared_error"
    expected = by_hand(learner, tasks[:8], tasks[8:], **settings)
    assert taskwise.score(tasks[8:]) == pytest.approx(expected)


def test_cross_validation_is_over_tasks(taskwise, learner, tasks):
    scores = cross_val_score(taskwise, tasks, cv=3)
    pairs = [(t.X, t.y) for t in tasks]
    np.testing.assert_array_equal(cross_val_score(taskwise, pairs, cv=3), scores)
    expected = [
        by_hand(learner, tasks[train], tasks[test])
        for train, test in KFold(3).split(tasks)
    ]
    np.testing.assert_allclose(scores, expected)


def test_grid_search_in_parallel(taskwise, tasks):
    grid = {"estimator__adapt": [None, "intercept"]}
    alone = GridSearchCV(taskwise, grid, cv=2).fit(tasks)
    with parallel_config("loky", n_jobs=2):
        search = GridSearchCV(taskwise, grid, cv=2).fit(tasks)
    for key in ("mean_test_score", "std_test_score"):
        np.testing.assert_array_equal(search.cv_results_[key], alone.cv_results_[key])
    best = search.best_estimator_.estimator_
    assert best.adapt == search.best_params_["estimator__adapt"]
    new = tasks[0]
    assert best.fit(new.X[:5], new.y[:5]).predict(new.X).shape == (15,)


def test_other_searches(taskwise, tasks):
    random = RandomizedSearchCV(
        taskwise,
        {"estimator__adapt": [None, "intercept"]},
        n_iter=2,
        cv=2,
        random_state=0,
    ).fit(tasks)
    assert len(random.cv_results_["params"]) == 2
    halving = HalvingGridSearchCV(
        taskwise, {"estimator__adapt": [None, "intercept"]}, cv=2, random_state=0,
        min_resources=6,
    ).fit(tasks)  # fmt: skip
    assert halving.n_resources_[0] == 6  # tasks


def test_curves(taskwise, learner, tasks):
    sizes, _, scores = learning_curve(taskwise, tasks, None, cv=2, train_sizes=[3, 6])
    assert sizes.tolist() == [3, 6]
    train, test = next(KFold(2).split(tasks))
    assert scores[0, 0] == by_hand(learner, tasks[train[:3]], tasks[test])
    _, scores = validation_curve(
        taskwise, tasks, None, cv=2, param_name="n_support", param_range=[2, 8]
    )
    assert scores.shape == (2, 2)


def test_pipeline_inside(learner, tasks):
    """The transformers are fitted to each fold's tasks alone."""
    pipeline = make_pipeline(StandardScaler(), learner)
    scores = cross_val_score(TaskwiseEstimator(pipeline, random_state=0), tasks, cv=2)
    expected = [
        by_hand(pipeline, tasks[train], tasks[test])
        for train, test in KFold(2).split(tasks)
    ]
    np.testing.assert_allclose(scores, expected)


def test_estimators_of_each_task_alone(tasks):
    scores = cross_val_score(TaskwiseEstimator(Ridge(), random_state=0), tasks, cv=2)
    assert np.isfinite(scores).all()


# Nothing leaks from one fold into another


def test_what_was_learned_before_is_forgotten(meta_learner, tasks):
    """Also with ``warm_start``."""
    new = TaskwiseEstimator(meta_learner, random_state=0)
    expected = cross_val_score(new, tasks, cv=2)
    seen = meta_fit(meta_learner.set_params(warm_start=True), tasks)
    with_memory = TaskwiseEstimator(seen, random_state=0)
    np.testing.assert_array_equal(cross_val_score(with_memory, tasks, cv=2), expected)
    assert hasattr(seen, "meta_state_")  # itself it has not changed


def test_memory_holds_the_fold_alone(tiny, tasks):
    learner = SelfAttentionMetaRegressor(pooled_estimator=None, **tiny).meta_fit(tasks)
    inside = make_pipeline(StandardScaler(), learner)
    taskwise = TaskwiseEstimator(inside).fit(tasks[:6])
    assert taskwise.estimator_[-1].task_names_.tolist() == list(range(6))
    assert inside[-1] is learner
    assert len(learner.task_names_) == 12


def test_transformers_that_have_seen_other_folds_are_refused(learner, tasks):
    seen = meta_fit(make_pipeline(StandardScaler(), learner), tasks)
    with pytest.raises(ValueError, match=r"frozen.*as it was before skmeta.meta_fit"):
        TaskwiseEstimator(seen).fit(tasks[:6])


def test_repeated_fits_are_the_same(taskwise, tasks):
    first = taskwise.fit(tasks[:8]).score(tasks[8:])
    assert clone(taskwise).fit(tasks[:8]).score(tasks[8:]) == first
    assert taskwise.fit(tasks[:8]).score(tasks[8:]) == first


# Other machines


DASK = """
from distributed import Client, LocalCluster
from joblib import parallel_config
from sklearn.model_selection import cross_val_score
from skmeta import AttentionMetaRegressor
from skmeta.datasets import make_linear_tasks
from skmeta.model_selection import TaskwiseEstimator

if __name__ == "__main__":  # which each process of the cluster runs, too
    tasks = make_linear_tasks(12, n_rows=15, n_features=2, random_state=0)
    learner = AttentionMetaRegressor(
        "linear", None, max_epochs=0, task_attention=False, n_support=(0, 4),
        random_state=0,
    )
    taskwise = TaskwiseEstimator(learner, random_state=0)
    alone = cross_val_score(taskwise, tasks, cv=2)
    settings = {"threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(n_workers=2, **settings) as cluster, Client(cluster):
        with parallel_config("dask"):
            assert (cross_val_score(taskwise, tasks, cv=2) == alone).all()
    print("the same")
"""


def test_dask(tmp_path):
    """On a cluster of two processes, nothing changed but the backend."""
    pytest.importorskip("distributed")
    script = tmp_path / "search.py"
    script.write_text(DASK, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=300,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.strip() == "the same", done.stderr


def test_ray(taskwise, tasks):
    ray = pytest.importorskip("ray")
    from ray.util.joblib import register_ray

    register_ray()
    expected = cross_val_score(taskwise, tasks, cv=2)
    ray.init(num_cpus=2, include_dashboard=False)
    try:
        with parallel_config("ray"):
            scores = cross_val_score(taskwise, tasks, cv=2)
    finally:
        ray.shutdown()
    np.testing.assert_allclose(scores, expected)
