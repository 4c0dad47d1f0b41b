"""few_shot_scores: which rows, which scores, which errors."""

import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from scipy import stats
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import get_scorer, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta import AttentionMetaClassifier, AttentionMetaRegressor, TaskCollection
from skmeta.baselines import MixedEffectsRegressor, PooledRegressor
from skmeta.datasets import make_classification_tasks, make_linear_tasks
from skmeta.exceptions import NotMetaFittedWarning
from skmeta.model_selection import FewShotScores, few_shot_scores

pytestmark = pytest.mark.usefixtures("quick_training")

BUDGET = {
    "pooled_estimator": None,
    "max_epochs": 1,
    "steps_per_epoch": 3,
    "embed_dim": 8,
    "n_heads": 2,
    "n_layers": 1,
    "random_state": 0,
}
TASKS = make_linear_tasks(n_tasks=12, n_rows=15, n_features=2, random_state=0)
CLASS_TASKS = make_classification_tasks(
    n_tasks=12, n_rows=15, n_features=2, random_state=0
)
RECORDED = []


class Recorder(RegressorMixin, BaseEstimator):
    """Remembers by their first column the rows that it is fitted to and asked for."""

    def fit(self, X, y):
        self.support_ = X[:, 0].tolist()
        return self

    def predict(self, X):
        RECORDED.append((self.support_, X[:, 0].tolist()))
        return np.zeros(len(X))


def recorded(**settings):
    """Support and query rows of every episode, in the order they were scored."""
    RECORDED.clear()
    few_shot_scores(Recorder(), TASKS, **settings)
    return list(RECORDED)


@pytest.fixture(scope="module")
def regressor():
    return AttentionMetaRegressor(**BUDGET).meta_fit(TASKS)


@pytest.fixture(scope="module")
def classifier():
    return AttentionMetaClassifier(**BUDGET).meta_fit(CLASS_TASKS)


# -- rows ---------------------------------------------------------------------------


def test_support_and_query_make_up_the_task():
    episodes = recorded(n_support=(2, 7), n_episodes=3, random_state=0)
    assert len(episodes) == len(TASKS) * 2 * 3
    for i, (support, query) in enumerate(episodes):
        task = TASKS[i // 6]
        assert len(support) in (2, 7)
        assert sorted(support + query) == sorted(task.X[:, 0])


def test_rows_depend_on_the_seed_alone():
    settings = {"n_support": (1, 5), "n_episodes": 2}
    first = recorded(random_state=0, **settings)
    assert first == recorded(random_state=0, **settings)
    assert first != recorded(random_state=1, **settings)


def test_rows_do_not_depend_on_the_other_numbers_of_rows_or_episodes():
    few = recorded(n_support=5, n_episodes=2, random_state=0)
    many = recorded(n_support=(9, 5, 1), n_episodes=4, random_state=0)
    assert all(episode in many for episode in few)


def test_a_smaller_support_begins_a_larger_one():
    episodes = recorded(n_support=(3, 8), n_episodes=1, random_state=0)
    for (small, _), (large, _) in zip(episodes[::2], episodes[1::2], strict=True):
        assert large[:3] == small


def test_episodes_and_tasks_draw_different_rows():
    X = np.arange(20.0)[:, None]
    RECORDED.clear()
    few_shot_scores(Recorder(), [(X, X[:, 0])] * 3, 5, n_episodes=4, random_state=0)
    assert len({tuple(support) for support, _ in RECORDED}) == 12


# -- scores -------------------------------------------------------------------------


def test_a_plain_estimator_is_fitted_to_the_support_alone():
    result = few_shot_scores(Ridge(), TASKS, n_support=4, n_episodes=2, random_state=0)
    episodes = recorded(n_support=4, n_episodes=2, random_state=0)
    task = TASKS[3]
    for e in range(2):
        at = [np.isin(task.X[:, 0], rows) for rows in episodes[3 * 2 + e]]
        model = Ridge().fit(task.X[at[0]], task.y[at[0]])
        expected = r2_score(task.y[at[1]], model.predict(task.X[at[1]]))
        np.testing.assert_allclose(result.scores[3, 0, e], expected)
    assert result.scoring == "r2"
    assert result.n_support == (4,)
    assert result.task_names == TASKS.names


@pytest.mark.parametrize("scoring", [None, "r2", "neg_mean_absolute_error"])
def test_batches_of_episodes_score_as_fits_do(regressor, scoring):
    one_by_one = get_scorer(scoring or "r2")
    settings = {"n_support": (0, 1, 6), "n_episodes": 2, "random_state": 0}
    fast = few_shot_scores(regressor, TASKS, scoring=scoring, **settings)
    slow = few_shot_scores(
        regressor, TASKS, scoring=lambda *args: one_by_one(*args), **settings
    )
    np.testing.assert_allclose(fast.scores, slow.scores, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scoring", [None, "f1_macro", "neg_log_loss", "roc_auc"])
def test_batches_of_episodes_score_as_fits_do_in_classification(classifier, scoring):
    rarer = [np.bincount(task.y, minlength=2).min() for task in CLASS_TASKS]
    tasks = CLASS_TASKS[np.array(rarer) > 2]  # every query shows both classes
    one_by_one = get_scorer(scoring or "accuracy")
    settings = {"n_support": (0, 2), "n_episodes": 2, "random_state": 0}
    fast = few_shot_scores(classifier, tasks, scoring=scoring, **settings)
    slow = few_shot_scores(
        classifier, tasks, scoring=lambda *args: one_by_one(*args), **settings
    )
    assert fast.scoring == (scoring or "accuracy")
    assert np.isfinite(fast.scores).all()
    np.testing.assert_allclose(fast.scores, slow.scores, rtol=1e-4, atol=1e-4)


def test_named_scorers_take_the_batches(regressor, monkeypatch):
    monkeypatch.setattr(type(regressor), "fit", None, raising=False)
    few_shot_scores(regressor, TASKS, n_support=3, scoring="neg_max_error")


def test_zero_shot_is_what_a_meta_fitted_estimator_predicts(regressor):
    model = MixedEffectsRegressor().meta_fit(TASKS)
    mse = get_scorer("neg_mean_squared_error")
    for estimator in (regressor, model):
        result = few_shot_scores(
            estimator, TASKS, 0, 1, scoring="neg_mean_squared_error"
        )
        expected = [mse(estimator, task.X, task.y) for task in TASKS]
        np.testing.assert_allclose(result.scores[:, 0, 0], expected, rtol=1e-4)


def test_a_task_with_too_few_rows_has_no_score():
    tasks = TaskCollection([(task.X[:n], task.y[:n]) for n, task in
                            zip((3, 6, 15), TASKS[:3], strict=True)])  # fmt: skip
    result = few_shot_scores(
        DummyRegressor(), tasks, (2, 5), 2, scoring="neg_max_error", random_state=0
    )
    assert np.isnan(result.scores).tolist() == [
        [[False, False], [True, True]],
        [[False, False], [False, False]],
        [[False, False], [False, False]],
    ]
    assert [row.n_tasks for row in result.summary()] == [3, 2]


def test_tasks_in_parallel_score_the_same():
    settings = {"n_support": (2, 5), "random_state": 0}
    one = few_shot_scores(Ridge(), TASKS, **settings)
    with parallel_config(backend="threading"):
        two = few_shot_scores(Ridge(), TASKS, n_jobs=2, **settings)
    np.testing.assert_array_equal(one.scores, two.scores)


def test_any_source_of_tasks_scores_the_same(regressor):
    class Lazy:
        def __len__(self):
            return len(TASKS)

        def __getitem__(self, i):
            return TASKS[i].X, TASKS[i].y

    pairs = [(task.X, task.y) for task in TASKS]
    for estimator in (Ridge(), regressor):
        results = [
            few_shot_scores(estimator, tasks, 5, random_state=0)
            for tasks in (TASKS, pairs, Lazy())
        ]
        assert results[0].task_names == results[2].task_names
        for result in results[1:]:
            np.testing.assert_array_equal(result.scores, results[0].scores)


def test_pipelines_and_text_labels():
    y = np.array(["a", "b"])[CLASS_TASKS.y]
    tasks = [(task.X, labels) for task, labels in
             zip(CLASS_TASKS, y.reshape(12, 15), strict=True)]  # fmt: skip
    model = make_pipeline(StandardScaler(), DummyClassifier())
    result = few_shot_scores(model, tasks, 4, scoring="neg_log_loss", random_state=0)
    assert np.isfinite(result.scores).all()


def test_the_estimator_is_left_as_it_was(regressor):
    ridge = Ridge()
    few_shot_scores(ridge, TASKS, 3)
    assert not hasattr(ridge, "coef_")
    adapted = AttentionMetaRegressor(**BUDGET).meta_fit(TASKS)
    adapted.fit(TASKS[0].X, TASKS[0].y)
    before = adapted.predict(TASKS[1].X)
    for scoring in (None, lambda model, X, y: model.score(X, y)):
        few_shot_scores(adapted, TASKS, (0, 3), scoring=scoring)
    np.testing.assert_array_equal(adapted.predict(TASKS[1].X), before)


# -- log loss of few rows -----------------------------------------------------------


class Sure(ClassifierMixin, BaseEstimator):
    """Knows two classes, and gives them three and one quarters."""

    classes_ = np.array([0, 2])

    def predict_proba(self, X):
        return np.tile([0.75, 0.25], (len(X), 1))

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.zeros(len(X))


@pytest.mark.parametrize(
    ("y", "likelihood"), [([0, 0, 0], 0.75), ([2, 2, 2], 0.25), ([1, 1, 1], 2.0**-52)]
)
def test_log_loss_takes_one_class_and_unknown_ones(y, likelihood):
    result = few_shot_scores(Sure(), [([[0], [0], [0]], y)], 1, 1, "neg_log_loss")
    np.testing.assert_allclose(result.scores, np.log(likelihood))


# -- failures -----------------------------------------------------------------------


def test_a_failed_episode_has_no_score_and_is_warned_of():
    X = np.arange(20.0).reshape(10, 2)
    tasks = {"mixed": (X, [0, 1] * 5), "pure": (X, [0] * 10)}
    with pytest.warns(
        FitFailedWarning, match=r"LogisticRegression .* in 5 of 10 .*'pu"
    ):
        result = few_shot_scores(LogisticRegression(), tasks, 8, random_state=0)
    assert np.isnan(result.scores[1]).all()
    assert np.isfinite(result.scores[0]).all()


def test_all_episodes_failing_is_an_error():
    with pytest.raises(ValueError, match=r"in 60 of 60 episodes.* 1 support rows: Val"):
        few_shot_scores(LogisticRegression(), CLASS_TASKS, 1, random_state=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_support": 15}, "at least 16 rows.*the largest task has 15"),
        ({"n_support": (1, 99)}, "n_support=99 needs"),
        ({"n_support": ()}, "n_support is empty"),
        ({"n_support": (5, 5)}, "holds a number twice"),
        ({"n_support": -1}, "n_support must be .* at least 0; got -1"),
        ({"n_support": 2.5}, "got 2.5"),
        ({"n_episodes": 0}, "n_episodes must be .* at least 1; got 0"),
        (
            {"n_support": (0, 1)},
            "zero-shot .* this Ridge is not.*leave the 0",
        ),
        ({"scoring": "r3"}, "scoring='r3' is no scorer"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        few_shot_scores(Ridge(), TASKS, **settings)


def test_zero_shot_needs_meta_fit():
    with pytest.raises(ValueError, match="AttentionMetaRegressor is not meta-fitted"):
        few_shot_scores(AttentionMetaRegressor(), TASKS, 0)


def test_not_meta_fitted_is_said_once(regressor):
    for unlearned in (
        PooledRegressor(Ridge()),
        make_pipeline(StandardScaler(), PooledRegressor(Ridge())),
    ):
        with pytest.warns(
            NotMetaFittedWarning, match="task is learned separately"
        ) as said:
            few_shot_scores(unlearned, TASKS, (3, 4), 2)
        assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        few_shot_scores(PooledRegressor(Ridge()).meta_fit(TASKS), TASKS, 3)


def test_scoring_of_another_type():
    with pytest.raises(TypeError, match="scoring=3 is neither"):
        few_shot_scores(Ridge(), TASKS, scoring=3)


def test_an_estimator_without_a_score_needs_scoring():
    class Plain(BaseEstimator):
        def fit(self, X, y):
            return self

        def predict(self, X):
            return np.zeros(len(X))

    with pytest.raises(ValueError, match="Plain has no score method"):
        few_shot_scores(Plain(), TASKS)


def test_tasks_without_end():
    class Lines:
        def sample(self, n_tasks, random_state):
            return TASKS[:n_tasks]

    with pytest.raises(ValueError, match=r"without end.*sample\(100"):
        few_shot_scores(Ridge(), Lines())


def test_out_of_reach_of_every_lazily_loaded_task():
    class Lazy:
        def __len__(self):
            return 3

        def __getitem__(self, i):
            return TASKS[i].X, TASKS[i].y

    with pytest.raises(ValueError, match="the largest task has 15"):
        few_shot_scores(Ridge(), Lazy(), (5, 20))


# -- the result ---------------------------------------------------------------------


def make_scores():
    scores = np.random.default_rng(0).normal(size=(6, 2, 3))
    scores[0, 1] = np.nan
    scores[1, 0, 0] = np.nan
    return FewShotScores(scores, (1, 5), tuple("abcdef"), "r2")


def test_summary_is_the_t_interval_of_task_means():
    result = make_scores()
    for s, row in enumerate(result.summary()):
        means = [np.nanmean(t[s]) for t in result.scores if np.isfinite(t[s]).any()]
        n = len(means)
        low, high = stats.t.interval(0.95, n - 1, np.mean(means), stats.sem(means))
        np.testing.assert_allclose(row, ((1, 5)[s], np.mean(means), low, high, n))


def test_one_task_has_no_interval():
    result = FewShotScores(np.ones((1, 1, 4)), (3,), ("a",), "r2")
    k, mean, low, high, n = result.summary()[0]
    assert (k, mean, n) == (3, 1.0, 1)
    assert np.isnan([low, high]).all()


def test_frame_has_a_row_for_each_score():
    result = make_scores()
    frame = result.to_frame()
    assert list(frame.columns) == ["task", "n_support", "episode", "score"]
    table = frame.set_index(["task", "n_support", "episode"])["score"]
    assert len(table) == result.scores.size
    for t, name in enumerate("abcdef"):
        for s, k in enumerate((1, 5)):
            np.testing.assert_array_equal(table[name, k], result.scores[t, s])


def test_frame_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        make_scores().to_frame()


def test_summary_makes_a_frame():
    frame = pd.DataFrame(make_scores().summary())
    assert list(frame.columns) == ["n_support", "mean", "low", "high", "n_tasks"]


def test_print_shows_the_summary():
    lines = str(make_scores()).splitlines()
    assert len(lines) == 3
    assert "r2" in lines[0]
    assert lines[2].endswith("5 tasks")


def test_result_cannot_be_changed():
    with pytest.raises(AttributeError):
        make_scores().scores = None
