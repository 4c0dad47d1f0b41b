"""Verdicts on tasks where what is right is known, and what they are made of."""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    TaskCollection,
    meta_fit,
)
from skmeta._cli.report import advice
from skmeta.baselines import (
    MixedEffectsClassifier,
    MixedEffectsRegressor,
    PooledRegressor,
)
from skmeta.datasets import make_classification_tasks, make_linear_tasks
from skmeta.model_selection import compare, few_shot_scores
from skmeta.model_selection._compare import default_estimators
from skmeta.model_selection._compare_inputs import name_estimators
from skmeta.model_selection._comparison import (
    Comparison,
    finding,
    relevant_gain,
)
from skmeta.model_selection._default_rivals import TaskLogisticRegression

pytestmark = pytest.mark.usefixtures("quick_training")

QUICK = {"n_episodes": 2, "random_state": 0}


class Noisy(RegressorMixin, BaseEstimator):
    """Another estimator, and noise on what it predicts."""

    def __init__(self, estimator, noise):
        self.estimator = estimator
        self.noise = noise

    def meta_fit(self, tasks):
        self.estimator.meta_fit(tasks)
        return self

    def fit(self, X, y):
        self.estimator.fit(X, y)
        return self

    def predict(self, X):
        noise = np.random.default_rng(0).normal(size=len(X))
        return self.estimator.predict(X) + self.noise * noise


def noise_tasks(n_tasks=60, n_rows=15):
    rng = np.random.default_rng(0)
    return [
        (rng.normal(size=(n_rows, 2)), rng.normal(size=n_rows)) for _ in range(n_tasks)
    ]


def identical_tasks(n_tasks=60, n_rows=20):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_tasks, n_rows, 2))
    y = X @ [1.0, -1.0] + 0.3 * rng.normal(size=(n_tasks, n_rows))
    return list(zip(X, y, strict=True))


MIXED = {"mixed": MixedEffectsRegressor(), "ridge": Ridge()}


@pytest.fixture(scope="module")
def related():
    """Tasks that share much, where a mixed model is far ahead of a ridge alone."""
    tasks = make_linear_tasks(60, n_features=3, within=0.3, random_state=0)
    return tasks, compare(MIXED, tasks, n_support=(3, 5), **QUICK)


# -- verdicts -----------------------------------------------------------------------


def test_structure_that_tasks_share_is_worth_it(related):
    comparison = related[1]
    assert comparison.worth_it
    assert comparison.recommended == "mixed"
    assert [row.finding for row in comparison.summary()] == ["gain", "gain"]
    said = str(comparison)
    assert said.startswith("Yes: mixed is worth it. ")
    head, mixed, ridge = said.splitlines()[3:6]
    assert head.split() == ["K", "=", "3", "K", "=", "5"]
    for line, name in ((mixed, "mixed"), (ridge, "ridge")):
        cells = comparison.curves[name].cells()
        assert line.replace("*", "").split() == [name, *" ".join(cells).split()]
        assert line.index("[") == mixed.index("[")
    assert (mixed.count("*"), ridge.count("*")) == (2, 0)
    assert "Method: 3 folds of 60 tasks" in said
    assert comparison.per_task_sufficient_from() is None
    assert "more than 5 instead of 3 or 5 rows" in str(comparison)


def test_noise_is_not_worth_it():
    estimators = {"mixed": MixedEffectsRegressor(), "mean": PooledRegressor(Ridge())}
    comparison = compare(estimators, noise_tasks(), n_support=(3, 5), **QUICK)
    assert not comparison.worth_it
    assert str(comparison).startswith("No: ")
    assert "Labels saved: none that" in str(comparison)


def test_identical_tasks_are_learned_as_well_by_what_is_pooled():
    estimators = {
        "mixed": MixedEffectsRegressor(),
        "pooled": PooledRegressor(LinearRegression()),
    }
    comparison = compare(estimators, identical_tasks(), n_support=(3, 10), **QUICK)
    assert [row.finding for row in comparison.summary()] == ["same", "same"]
    said = str(comparison)
    assert "mixed is equivalent to the best of its simpler rivals" in said
    assert "are of different tasks" not in said
    assert comparison.recommended == "pooled"


def test_scores_of_different_tasks_are_said_to_be():
    tasks = noise_tasks(20)
    tasks[::2] = [(X[:9], y[:9]) for X, y in tasks[::2]]  # too few for K = 10
    comparison = compare(MIXED, tasks, n_support=(3, 10), **QUICK)
    assert [row.n_tasks for row in comparison.summary()] == [20, 10]
    assert "are of different tasks" in str(comparison)


def test_what_is_worse_is_said_to_be(related):
    estimators = {"noisy": Noisy(MixedEffectsRegressor(), 2.0)} | {
        "mixed": MixedEffectsRegressor()
    }
    comparison = compare(estimators, related[0], n_support=(3, 5), **QUICK)
    assert str(comparison).startswith("No: noisy is worse than the best of its")
    assert comparison.recommended == "mixed"
    gain, low, high = comparison.mean_gain()
    assert low < gain < high < 0


def test_learning_alone_is_enough_where_rows_are_many():
    tasks = make_linear_tasks(30, n_rows=60, n_features=2, random_state=0)
    estimators = {"mixed": MixedEffectsRegressor(), "alone": LinearRegression()}
    comparison = compare(estimators, tasks, n_support=(2, 40), **QUICK)
    assert comparison.per_task_sufficient_from() == 40
    assert "Per-task estimators: sufficient from 40 rows on (alone)" in str(comparison)


def test_classes():
    tasks = make_classification_tasks(60, n_features=2, random_state=0)
    estimators = {
        "mixed": MixedEffectsClassifier(),
        "alone": TaskLogisticRegression(np.unique(tasks.y)),
    }
    comparison = compare(estimators, tasks, n_support=(3, 5), **QUICK)
    assert comparison.metric == "D2"
    assert comparison.failures == {"mixed": 0, "alone": 0}
    assert [row.winner for row in comparison.summary()] == ["mixed", "mixed"]
    frequencies = np.unique(tasks.y, return_counts=True)[1] / len(tasks.y)
    entropy = -(frequencies * np.log(frequencies)).sum()
    np.testing.assert_allclose(comparison.reference.mean(), entropy, rtol=0.1)


# -- what they are made of ----------------------------------------------------------


def test_scores_are_those_of_the_held_out_tasks(related):
    tasks, _ = related
    cv = [(np.arange(30), np.arange(30, 60))]
    comparison = compare(MIXED, tasks, n_support=5, n_episodes=2, cv=cv, random_state=0)
    assert sorted(comparison.task_names) == list(range(30, 60))
    again = few_shot_scores(
        MixedEffectsRegressor().meta_fit(tasks[:30]),
        tasks.take(comparison.task_names),
        5,
        2,
        "neg_mean_squared_error",
        random_state=comparison.seed,
    )
    np.testing.assert_allclose(comparison.losses["mixed"], -again.task_means())
    constant = DummyRegressor(strategy="constant", constant=tasks[:30].y.mean())
    base = few_shot_scores(
        constant,
        tasks.take(comparison.task_names),
        5,
        2,
        "neg_mean_squared_error",
        random_state=comparison.seed,
    )
    np.testing.assert_allclose(comparison.reference, -base.task_means())
    score = 1 - comparison.losses["mixed"].sum() / comparison.reference.sum()
    np.testing.assert_allclose(comparison.curves["mixed"].score, [score])


def test_every_task_is_held_out_once(related):
    tasks, comparison = related
    assert sorted(comparison.task_names) == sorted(tasks.names)
    assert comparison.n_folds == 3


def test_the_same_seed_gives_the_same_bytes(related):
    tasks = related[0][:15]
    one, two = (
        compare(MIXED, tasks, n_support=3, n_jobs=n_jobs, **QUICK) for n_jobs in (1, 2)
    )
    assert str(one) == str(two)
    for name, losses in one.losses.items():
        np.testing.assert_array_equal(losses, two.losses[name])
    other = compare(MIXED, tasks, n_support=3, n_episodes=2, random_state=1)
    assert not np.array_equal(other.losses["ridge"], one.losses["ridge"])


def test_estimators_stay_as_they_are(related):
    estimator = MixedEffectsRegressor()
    compare([estimator, Ridge()], related[0], n_support=3, **QUICK)
    assert not hasattr(estimator, "meta_state_")


def test_episodes_that_fail_count_as_the_reference():
    tasks = make_classification_tasks(30, n_features=2, random_state=0)
    estimators = {"prior": DummyClassifier(), "logistic": LogisticRegression()}
    comparison = compare(estimators, tasks, n_support=2, **QUICK)
    n_failed = comparison.failures["logistic"]
    assert n_failed > 0
    assert comparison.failures["prior"] == 0
    assert f"{n_failed} of logistic" in str(comparison)
    assert np.isfinite(comparison.losses["logistic"]).all()


def test_more_tasks_help_where_there_are_few(related):
    comparison = related[1]
    curves = comparison.learning_curve()
    assert list(curves) == [10, 20, 40]
    first_fold = comparison.losses["mixed"][:20]
    np.testing.assert_array_equal(comparison.learning_curve_losses[40], first_fold)
    assert curves[40].score.mean() > curves[10].score.mean() - 0.01
    assert "Number of tasks: R2, mean over K on the tasks of the first fold, is" in str(
        comparison
    )


def test_sizes_of_meta_training_for_the_learning_curve(related):
    settings = {"n_support": 3, "cv": [(np.arange(40), np.arange(40, 60))], **QUICK}
    sizes = {(): [40], (0.1, 0.5, 1.0): [20, 40]}  # 4 tasks are too few
    for train_sizes, expected in sizes.items():
        found = compare(MIXED, related[0], train_sizes=train_sizes, **settings)
        assert list(found.learning_curve()) == expected
    assert "Number of tasks: " in str(found)
    with pytest.raises(ValueError, match=r"train_sizes=\(20,\) must be fractions"):
        compare(MIXED, related[0], train_sizes=(20,), **settings)


def test_default_numbers_of_rows_leave_some_to_score_on():
    rng = np.random.default_rng(0)
    tasks = [(rng.normal(size=(n, 1)), rng.normal(size=n)) for n in [9] * 8 + [40] * 7]
    estimators = {"ridge": Ridge(), "mean": DummyRegressor()}
    assert compare(estimators, tasks, **QUICK).n_support == (3, 5)
    short = [(X[:5], y[:5]) for X, y in tasks]
    with pytest.raises(ValueError, match="no more than 5 rows"):
        compare(estimators, short)


def test_a_meta_learner_is_judged_by_those_that_are_none(tiny):
    tasks = make_linear_tasks(15, n_rows=12, n_features=2, random_state=0)
    ours = AttentionMetaRegressor(pooled_estimator=None, **tiny)
    cv = [(np.arange(9), np.arange(9, 15))]  # one fold is enough
    comparison = compare([Ridge(), ours], tasks, n_support=3, cv=cv, **QUICK)
    assert comparison.candidate == "AttentionMetaRegressor"
    assert comparison.rivals == comparison.per_task == ("Ridge",)
    assert list(name_estimators([Ridge(), ours, Ridge()])) == [
        "Ridge",
        comparison.candidate,
        "Ridge (2)",
    ]
    assert comparison.fit_time["AttentionMetaRegressor"] > 0


def test_default_estimators():
    tasks = make_linear_tasks(12, n_features=2, random_state=0)
    ours, *rivals = default_estimators(tasks, False, False, 0).values()
    assert isinstance(ours, AttentionMetaRegressor)
    assert sum(hasattr(rival, "meta_fit") for rival in rivals) == 4
    tasks = make_classification_tasks(12, n_features=2, n_classes=3, random_state=0)
    ours, *rivals = default_estimators(tasks, True, False, 0).values()
    assert isinstance(ours, AttentionMetaClassifier)
    for rival in rivals:
        if hasattr(rival, "meta_fit"):
            rival.meta_fit(tasks)
        assert rival.fit(tasks[0].X, tasks[0].y).predict_proba(tasks[1].X).shape[1] == 3


def test_logistic_regression_of_one_class_is_not_certain():
    X = np.random.default_rng(0).normal(size=(4, 2))
    model = TaskLogisticRegression(np.array(["no", "yes"])).fit(X, ["yes"] * 4)
    p = model.predict_proba(X)[:, 1]
    assert ((p > 0.5) & (p < 0.99)).all()
    assert model.predict(X).tolist() == ["yes"] * 4


# -- from numbers to findings -------------------------------------------------------


@pytest.mark.parametrize(
    ("gain", "low", "high", "score", "found"),
    [
        (0.02, 0.01, 0.03, 0.5, "gain"),
        (0.02, -0.01, 0.05, 0.5, "unclear"),
        (0.005, 0.001, 0.009, 0.5, "same"),
        (0.005, 0.001, 0.02, 0.5, "unclear"),
        (0.005, 0.001, 0.009, 0.95, "gain"),
        (-0.02, -0.03, -0.01, 0.5, "loss"),
        (0.0, -0.009, 0.009, -3.0, "same"),
    ],
)
def test_finding(gain, low, high, score, found):
    assert finding(gain, low, high, score) == found


def test_what_matters_gets_smaller_close_to_perfect():
    assert relevant_gain(-1.0) == relevant_gain(0.5) == 0.01
    assert relevant_gain(0.8) == pytest.approx(0.01)
    assert relevant_gain(0.99) == pytest.approx(0.0005)
    assert relevant_gain(1.0) == 0


def made_up(ours, rival, n_support=(3, 5, 10, 20)):
    """A comparison of 40 tasks whose losses, of 1 the reference, are as given."""
    rng = np.random.default_rng(0)
    spread = 1 + 0.01 * rng.normal(size=(40, 1))
    losses = {"ours": ours * spread, "rival": rival * spread}
    base = np.ones((40, len(n_support)))
    return Comparison(
        candidate="ours",
        rivals=("rival",),
        per_task=("rival",),
        n_support=n_support,
        task_names=tuple(range(40)),
        losses=losses,
        reference=base,
        learning_curve_losses={},
        metric="R2",
        failures={},
        fit_time={},
        estimator_reprs={"ours": "Ours()", "rival": "Rival()"},
        n_folds=3,
        n_tasks=40,
        seed=0,
    )


def test_a_gain_at_half_of_the_numbers_of_rows_is_worth_it():
    rival = np.array([0.8, 0.7, 0.6, 0.5])
    half = made_up(rival - [0.1, 0.1, 0, 0], rival)
    assert half.worth_it
    assert str(half).startswith("Yes: ours is worth it at K = 3 and 5.")
    one = made_up(rival - [0.1, 0, 0, 0], rival)
    assert not one.worth_it
    assert "better by enough to matter only at K = 3" in str(one)


def test_rows_that_the_rival_needs():
    comparison = made_up(
        np.array([0.6, 0.5, 0.45, 0.4]), np.array([0.8, 0.7, 0.6, 0.5])
    )
    needed = comparison.equivalent_n_support()
    assert needed == comparison.equivalent_n_support("rival")
    np.testing.assert_allclose(needed, [10, 20, np.inf, np.inf])
    assert "about 10 instead of 3, about 20 instead of 5" in str(comparison)


def test_task_effects_are_in_units_of_the_score():
    ours = np.full((40, 2), 0.5)
    ours[7], ours[9] = 0.1, 0.9
    comparison = made_up(ours, np.full(2, 0.5), (3, 5))
    losses = comparison.losses
    losses["ours"], losses["rival"] = ours, np.full((40, 2), 0.5)
    effects = comparison.task_effects()
    assert (effects[0].task, effects[-1].task) == (7, 9)
    np.testing.assert_allclose([effects[0].gain, effects[-1].gain], [0.4, -0.4])
    assert (
        "In R2, mean over K, largest gains: 7 (+0.40); largest losses: 9 (-0.40)"
        in str(comparison)
    )


@pytest.mark.parametrize(
    ("gains", "said", "collect"),
    [
        (np.full(40, 0.1), "more tasks would help", True),
        (np.zeros(40), "more tasks would hardly help", False),
        (
            np.tile([0.3, -0.3], 20),
            "it is unclear whether more tasks would help",
            False,
        ),
    ],
)
def test_more_tasks_are_asked_for_where_they_would_help(gains, said, collect):
    comparison = made_up(np.full(2, 0.5), np.full(2, 0.6), (3, 5))
    fewer = comparison.losses["ours"] + gains[:, None]
    losses = {10: fewer, 20: comparison.losses["ours"]}
    comparison = dataclasses.replace(comparison, learning_curve_losses=losses)
    assert f": {said}" in str(comparison)
    steps = advice(comparison, np.ones(40), [None] * 40)
    assert any("Collect more tasks" in step for step in steps) == collect


def test_what_to_do_next():
    rival = made_up(np.full(2, 0.6), np.full(2, 0.5), (3, 5))
    (step,) = advice(rival, np.ones(40), [None] * 60)
    assert step.startswith("Fit each task separately: rival")
    pooled = dataclasses.replace(rival, per_task=())
    step, on_relations = advice(pooled, np.full(40, 0.05), [None] * 60)
    assert step.startswith("Use rival, which is simpler and as good here: Rival() of")
    assert on_relations.startswith("Do not interpret which tasks are similar")
    _, on_relations = advice(pooled, np.linspace(0.1, 0.9, 40), [None] * 60)
    assert on_relations.startswith("Label more rows of the least familiar")


def test_numbers_of_rows_that_no_task_has_are_refused_at_once(related):
    class Untouched(Ridge):
        def meta_fit(self, tasks):
            raise AssertionError

    with pytest.raises(ValueError, match="n_support=40 needs a task of at least 41"):
        compare([Untouched(), Ridge()], related[0], n_support=(3, 40))


def test_a_task_that_makes_the_difference_is_named():
    comparison = made_up(np.full(2, 0.5), np.full(2, 0.5), (3, 5))
    assert "Much of the difference" not in str(comparison)
    comparison.losses["ours"][7] += 4
    assert "due to 7: without it the mean is +0.000" in str(comparison)


def test_frame_and_picture(related):
    comparison = related[1]
    frame = comparison.to_frame()
    assert list(frame) == ["task", "n_support", "estimator", "loss", "reference"]
    assert len(frame) == 60 * 2 * 2
    at = frame[(frame.estimator == "mixed") & (frame.n_support == 5)]
    np.testing.assert_allclose(
        1 - at.loss.sum() / at.reference.sum(), comparison.summary()[1].score
    )
    display = comparison.plot()
    assert display.highlighted == "mixed"
    assert set(display.lines_) == {"mixed", "ridge"}
    plt.close(display.figure_)


# -- what is refused ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimators", "message"),
    [
        ({"one": Ridge()}, "at least two"),
        ([Ridge(), LogisticRegression()], "cannot be compared with regressors"),
    ],
)
def test_estimators_that_cannot_be_compared(estimators, message):
    with pytest.raises(ValueError, match=message):
        compare(estimators, noise_tasks(12))


def test_tasks_that_are_too_few_or_without_end():
    with pytest.raises(ValueError, match="Got 9 tasks"):
        compare(None, noise_tasks(9))

    class Endless:
        def sample(self, n_tasks, random_state):
            return noise_tasks(n_tasks)

    with pytest.raises(ValueError, match="without end"):
        compare(None, Endless())


@pytest.mark.filterwarnings("error:X .* feature names:UserWarning")
@pytest.mark.parametrize("missing", [False, True])
def test_names_of_columns_are_no_matter(missing):
    """Rivals that see one task alone are given rows with names, as a user's are."""
    frame = pd.DataFrame(
        np.random.default_rng(0).normal(size=(60, 2)), columns=["age", "income"]
    ).assign(score=np.arange(60.0), school=np.repeat(np.arange(12), 5))
    if missing:
        frame.loc[::4, "age"] = np.nan
    tasks = TaskCollection.from_frame(frame, target="score", task="school")
    rivals = default_estimators(tasks, False, False, 0)
    for name in ("ridge per task", "mixed-effects model"):
        rival = rivals[name]
        if name == "mixed-effects model":
            rival = meta_fit(rival, tasks)
        scores = few_shot_scores(rival, tasks, 3, 1, random_state=0)
        assert np.isfinite(scores.scores).all()


def test_missing_values_and_pipelines(tiny):
    """Ours takes them as they are; for the rivals they are filled."""
    tasks = [(np.array(t.X), t.y) for t in make_linear_tasks(12, 15, 2, random_state=0)]
    for X, _ in tasks:
        X[::4, 0] = np.nan
    rivals = default_estimators(TaskCollection(tasks), False, False, 0)
    ours = AttentionMetaRegressor(pooled_estimator=None, **tiny | {"max_epochs": 0})
    found = compare(
        {
            "ridge": rivals["ridge per task"],
            "mixed": rivals["mixed-effects model"],
            "ours": make_pipeline(StandardScaler(), ours),
        },
        tasks, n_support=3, n_episodes=1, cv=2, random_state=0,
    )  # fmt: skip
    assert found.candidate == "ours"
    assert found.per_task == ("ridge",)
    assert found.failures == {"ridge": 0, "mixed": 0, "ours": 0}
