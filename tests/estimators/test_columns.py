"""Columns are the same columns at every door: names, order, number."""

import re

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    SelfAttentionMetaRegressor,
    TaskCollection,
    meta_fit,
)
from skmeta.baselines import (
    MixedEffectsClassifier,
    MixedEffectsRegressor,
    PooledRegressor,
)
from skmeta.inspection import (
    FeatureAttentionDisplay,
    ShotCurveDisplay,
    TaskRelationDisplay,
)
from skmeta.model_selection import TaskwiseEstimator, compare, few_shot_scores
from skmeta.tasks import check_tasks

pytestmark = pytest.mark.usefixtures("quick_training")

NAMES, SWAPPED, OTHER = ["a", "b", "c"], ["c", "a", "b"], ["a", "b", "z"]


def frames(n_tasks=12, first=0):
    """Pairs of a frame with the columns a, b, c, of which each matters differently."""
    tasks = {}
    for i in range(first, first + n_tasks):
        rng = np.random.default_rng(i)
        X = pd.DataFrame(rng.normal(size=(10, 3)), columns=NAMES)
        y = 3 * X["a"] - 2 * X["b"] + rng.normal() + 0.1 * rng.normal(size=10)
        tasks[f"task {i}"] = X, y.to_numpy()
    return tasks


KNOWN, NEW = frames(), frames(12, first=12)


def having(names, tasks=NEW):
    """The tasks with their columns in the order of names, those unknown renamed."""
    return {
        name: (X.rename(columns={"c": "z"} if "z" in names else {})[names], y)
        for name, (X, y) in tasks.items()
    }


class Loaded:
    """A lazy sequence of tasks."""

    def __init__(self, tasks):
        self.tasks = list(tasks.values())

    def __len__(self):
        return len(self.tasks)

    def __getitem__(self, i):
        return self.tasks[i]


class Endless:
    """A distribution of tasks: those there are, over and over."""

    def __init__(self, tasks):
        self.tasks = list(tasks.values())

    def sample(self, n_tasks, random_state):
        return [self.tasks[i % len(self.tasks)] for i in range(n_tasks)]


SOURCES = [TaskCollection, Loaded, Endless]


@pytest.fixture(scope="module")
def learned(tiny, quick_training):
    settings = tiny | {"max_epochs": 1}
    learners = {
        "attention": AttentionMetaRegressor("linear", None, **settings),
        "related": SelfAttentionMetaRegressor("linear", None, **settings),
        "mixed": MixedEffectsRegressor(),
        "pooled": PooledRegressor(LinearRegression()),
    }
    fitted = {name: one.meta_fit(KNOWN) for name, one in learners.items()}
    scaled = make_pipeline(StandardScaler(), clone(learners["attention"]))
    chosen = make_column_transformer((StandardScaler(), ["a", "b"]))
    return fitted | {
        "scaled": meta_fit(scaled, KNOWN),
        "chosen": meta_fit(make_pipeline(chosen, MixedEffectsRegressor()), KNOWN),
        "passed": meta_fit(make_pipeline("passthrough", learners["mixed"]), KNOWN),
        "taskwise": TaskwiseEstimator(MixedEffectsRegressor(), 3).fit(KNOWN),
    }


DOORS = {
    "few_shot_scores": (
        ["attention", "mixed", "pooled", "scaled", "chosen", "passed"],
        lambda model, tasks: few_shot_scores(model, tasks, 3, 1, random_state=0),
    ),
    "score": (["taskwise"], lambda model, tasks: model.score(tasks)),
    "add_tasks": (["related"], lambda model, tasks: model.add_tasks(tasks)),
    "relations": (["related"], lambda model, tasks: model.relations(tasks)),
    "features": (["attention"], FeatureAttentionDisplay.from_estimator),
    "relation": (["related"], TaskRelationDisplay.from_estimator),
    "shots": (
        ["mixed"],
        lambda model, tasks: ShotCurveDisplay.from_estimator(
            model, tasks, n_support=3, n_episodes=1
        ),
    ),
    "warm_start": (
        ["attention"],
        lambda model, tasks: model.set_params(warm_start=True).meta_fit(tasks),
    ),
}
PAIRS = [(door, name) for door, (names, _) in DOORS.items() for name in names]
doors = pytest.mark.parametrize(("door", "name"), PAIRS)


def at_the_door(door, name, learned):
    model = learned[name] if name == "taskwise" else clone(learned[name])
    return model, lambda tasks: DOORS[door][1](model, tasks)


def refused(names):
    """Expect the sentence on these columns in place of a, b, c."""
    if names == SWAPPED:
        difference = (
            "The names are the same in another order: at position 0 is 'c' in place"
        )
    else:
        difference = "The first difference: at position 2 is 'z' in place of 'c'"
    words = f"have the columns {names}", f"the columns {NAMES}", difference, "X[names]"
    return pytest.raises(ValueError, match=".*".join(map(re.escape, words)))


@doors
@pytest.mark.parametrize("names", [SWAPPED, OTHER], ids=["order", "names"])
def test_other_columns_are_refused_where_tasks_meet_an_estimator(
    door, name, names, learned
):
    model, call = at_the_door(door, name, learned)
    state, before = getattr(model, "meta_state_", None), set(vars(model))
    for make in (dict, TaskCollection, Loaded):
        with refused(names):
            call(make(having(names)))
    assert getattr(model, "meta_state_", None) is state
    assert set(vars(model)) == before


def test_names_reach_the_transformers_of_tasks_that_are_loaded(learned):
    """They choose columns by them, as those of tasks in memory do."""
    lazy = meta_fit(clone(learned["chosen"]), Loaded(KNOWN))
    X, y = NEW["task 12"]
    expected = learned["chosen"].fit(X[:4], y[:4]).predict(X)
    np.testing.assert_array_equal(lazy.fit(X[:4], y[:4]).predict(X), expected)
    scores = [
        few_shot_scores(lazy, tasks, 3, 2, random_state=0).scores
        for tasks in (list(NEW.values()), Loaded(NEW))
    ]
    np.testing.assert_array_equal(*scores)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@doors
def test_the_same_columns_and_arrays_are_taken(door, name, learned):
    model, call = at_the_door(door, name, learned)
    call(NEW)
    plt.close("all")
    if name == "chosen":  # picks columns by their names
        return
    model, call = at_the_door(door, name, learned)
    arrays = {f"array of {n}": (X.to_numpy(), y) for n, (X, y) in NEW.items()}
    call(TaskCollection(arrays))
    plt.close("all")
    assert getattr(model, "feature_names_in_", np.array(NAMES)).tolist() == NAMES


@doors
def test_another_number_of_columns_is_refused_of_arrays_too(door, name, learned):
    _, call = at_the_door(door, name, learned)
    with pytest.raises(ValueError, match="features"):
        call({n: (X.to_numpy()[:, :2], y) for n, (X, y) in NEW.items()})


def test_a_warm_start_says_how_to_start_anew(learned):
    model = clone(learned["attention"]).set_params(warm_start=True)
    with pytest.raises(
        ValueError, match="or set warm_start=False to train from scratch"
    ):
        model.meta_fit(having(SWAPPED))
    X = KNOWN["task 0"][0]
    np.testing.assert_array_equal(model.predict(X), learned["attention"].predict(X))
    model.set_params(warm_start=False).meta_fit(having(SWAPPED))
    assert model.feature_names_in_.tolist() == SWAPPED


def labelled(tasks):
    return {name: (X, (y > np.median(y)).astype(int)) for name, (X, y) in tasks.items()}


@pytest.mark.parametrize("own", [True, False], ids=["own", "shared"])
def test_classifiers_compare_columns_too(own, tiny):
    settings = tiny | {"warm_start": True, "shared_classes": not own}
    model = AttentionMetaClassifier("linear", None, **settings)
    tasks, swapped = labelled(KNOWN), labelled(having(SWAPPED))
    with refused(SWAPPED):
        model.meta_fit(tasks, validation_tasks=swapped)
    assert not hasattr(model, "meta_state_")
    state = model.meta_fit(tasks).meta_state_
    for call in (
        lambda: model.meta_fit(swapped),
        lambda: few_shot_scores(model, swapped, 2),
        lambda: MixedEffectsClassifier().meta_fit(tasks, validation_tasks=swapped),
        lambda: few_shot_scores(MixedEffectsClassifier().meta_fit(tasks), swapped, 2),
    ):
        with refused(SWAPPED):
            call()
    assert model.meta_state_ is state
    arrays = {name: (X.to_numpy(), y) for name, (X, y) in tasks.items()}
    assert model.meta_fit(arrays).feature_names_in_.tolist() == NAMES


def test_a_distribution_draws_the_same_columns_each_time():
    class Changing(Endless):
        def sample(self, n_tasks, random_state):
            tasks = super().sample(n_tasks, random_state)
            return [(X[SWAPPED] if random_state else X, y) for X, y in tasks]

    source = check_tasks(Changing(KNOWN))
    assert source.draw(3, seed=0).feature_names == tuple(NAMES)
    with pytest.raises(ValueError, match=r"'c', 'a', 'b'.*'0 of the first draw' has"):
        source.draw(3, seed=1)


def test_scores_of_the_same_columns_are_those_of_arrays(learned):
    """The names are a check alone; predictions are by position, and right."""
    arrays = {n: (X.to_numpy(), y) for n, (X, y) in NEW.items()}
    for name in ("attention", "mixed"):
        named, plain = (
            few_shot_scores(learned[name], tasks, 4, 2, random_state=0).scores
            for tasks in (NEW, arrays)
        )
        np.testing.assert_array_equal(named, plain)
    mixed = few_shot_scores(learned["mixed"], NEW, 4, 2, random_state=0)
    assert mixed.task_means().min() > 0.98


@pytest.mark.parametrize("make", [dict, *SOURCES])
@pytest.mark.parametrize("names", [SWAPPED, OTHER], ids=["order", "names"])
@pytest.mark.parametrize("name", ["attention", "mixed", "scaled", "passed"])
def test_validation_tasks_have_the_columns_of_the_tasks(name, names, make, learned):
    model = clone(learned[name])
    for tasks in (KNOWN, Endless(KNOWN)):
        with refused(names):
            meta_fit(model, tasks, validation_tasks=make(having(names)))
    if hasattr(model, "meta_state_"):
        state = model.meta_state_
        with refused(names):
            model.meta_fit(KNOWN, validation_tasks=make(having(names)))
        assert model.meta_state_ is state


@pytest.mark.parametrize("names", [SWAPPED, OTHER], ids=["order", "names"])
def test_columns_that_differ_among_the_tasks(names, learned):
    mixture = NEW | having(names, dict([*NEW.items()][3:5]))
    words = rf"Task 'task 15' has the columns \[{names[0]!r}.*task 'task 12' has the"
    estimators = {"mixed": MixedEffectsRegressor(), "alone": Ridge()}
    for call in (
        lambda: compare(estimators, mixture, n_support=3),
        lambda: few_shot_scores(Ridge(), mixture, 3),
        lambda: few_shot_scores(learned["mixed"], mixture, 3),
        lambda: few_shot_scores(learned["scaled"], mixture, 3),
        lambda: TaskwiseEstimator(MixedEffectsRegressor()).fit(mixture),
        lambda: meta_fit(make_pipeline(StandardScaler(), learned["mixed"]), mixture),
        lambda: MixedEffectsRegressor().meta_fit(mixture),
    ):
        with pytest.raises(ValueError, match=words):
            call()
    lazy = Loaded(mixture)
    with pytest.raises(ValueError, match="Task 3 has the columns"):
        MixedEffectsRegressor().meta_fit(lazy)
    with pytest.raises(ValueError, match="has the columns"):
        MixedEffectsRegressor().meta_fit(Endless(mixture))


@pytest.mark.filterwarnings("ignore::skmeta.NotMetaFittedWarning")
@pytest.mark.parametrize("name", ["attention", "mixed"])
def test_duplicates_are_named_at_fit_and_predict(name, learned):
    X, y = NEW["task 12"]
    twice = X.set_axis(["a", "b", "b"], axis=1)
    for model in (clone(learned[name]), type(learned[name])()):
        before = set(vars(model))
        with pytest.raises(ValueError, match="X has the column 'b' twice"):
            model.fit(twice, y)
        assert set(vars(model)) == before
    with pytest.raises(ValueError, match="X has the column 'b' twice"):
        learned[name].predict(twice)
    for call in (
        lambda: meta_fit(make_pipeline(StandardScaler(), learned[name]), [(twice, y)]),
        lambda: few_shot_scores(Ridge(), [(twice, y)], 3),
        lambda: few_shot_scores(learned[name], [(twice, y)], 3),
    ):
        with pytest.raises(ValueError, match="Task 0: X has the column 'b' twice"):
            call()


def test_a_refusal_at_fit_when_new_leaves_no_columns():
    X, y = NEW["task 12"]
    model = MixedEffectsRegressor()
    with pytest.raises(ValueError, match="column 'c' of X has dtype"):
        model.fit(X.assign(c="red"), y)
    assert not hasattr(model, "feature_names_in_")
    assert not hasattr(model, "n_features_in_")
