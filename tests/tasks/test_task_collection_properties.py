"""Properties of `TaskCollection` that hold of any tasks (by hypothesis)."""

import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skmeta.tasks import LazyTasks, Task, TaskCollection, TaskDistribution, check_tasks

checked = settings(derandomize=True, deadline=None, max_examples=50, database=None)

NUMBERS = st.floats(-1e9, 1e9, allow_nan=False).map(lambda x: x + 0.0)
CELLS = st.one_of(NUMBERS, st.just(np.nan))
NAMES = st.one_of(
    st.lists(st.text("abc 1", max_size=4), min_size=1, max_size=5, unique=True),
    st.lists(st.integers(-9, 10**12), min_size=1, max_size=5, unique=True),
)


@st.composite
def named_tasks(draw, sort=False):
    """Tasks by name: X with missing values, y of numbers or text."""
    names = draw(NAMES)
    names = sorted(names) if sort else names
    n_features = draw(st.integers(1, 3))
    target = draw(
        st.sampled_from([NUMBERS, st.integers(-5, 5), st.text("xyz", min_size=1)])
    )
    tasks = {}
    for name in names:
        n_rows = draw(st.integers(2, 4))
        X = draw(
            st.lists(CELLS, min_size=n_rows * n_features, max_size=n_rows * n_features)
        )
        y = draw(st.lists(target, min_size=n_rows, max_size=n_rows))
        tasks[name] = np.reshape(X, (n_rows, n_features)), np.array(y)
    return tasks


@st.composite
def collections(draw):
    """Collections with names; some with weights, some with names of columns."""
    tasks = draw(named_tasks())
    columns = [f"column {j}" for j in range(next(iter(tasks.values()))[0].shape[1])]
    framed = draw(st.booleans())
    weights = draw(
        st.lists(
            st.one_of(st.none(), st.floats(0, 10)),
            min_size=len(tasks),
            max_size=len(tasks),
        )
    )
    return TaskCollection(
        [
            Task(pd.DataFrame(X, columns=columns) if framed else X, y, name, weight)
            for (name, (X, y)), weight in zip(tasks.items(), weights, strict=True)
        ]
    )


def assert_equal(found, expected):
    """Two collections, or sources of tasks, are the same in all that there is."""
    found, expected = (
        some.take(range(len(some))) if isinstance(some, LazyTasks) else some
        for some in (found, expected)
    )
    assert found.names == expected.names
    assert [type(name) for name in found.names] == [type(n) for n in expected.names]
    assert found.feature_names == expected.feature_names
    assert found.X.dtype == expected.X.dtype
    for one, other in (
        (found.X, expected.X),
        (found.y, expected.y),
        (found.offsets, expected.offsets),
    ):
        np.testing.assert_array_equal(one, other)
        assert not one.flags.writeable
    if expected.weights is None:
        assert found.weights is None
    else:
        np.testing.assert_array_equal(found.weights, expected.weights)


class Loads:
    """Tasks by position, loaded on access."""

    def __init__(self, tasks):
        self.tasks = tasks

    def __len__(self):
        return len(self.tasks)

    def __getitem__(self, i):
        return self.tasks[i]


class Samples:
    """A distribution whose draw is always the same tasks."""

    def __init__(self, tasks):
        self.tasks = tasks

    def sample(self, n_tasks, random_state):
        return self.tasks


@checked
@given(named_tasks())
def test_all_ways_in_give_the_same_collection(tasks):
    given = TaskCollection(tasks)
    pairs = list(tasks.values())
    objects = [Task(X, y, name) for name, (X, y) in tasks.items()]
    assert given.names == tuple(tasks)
    for task, (X, y) in zip(given, pairs, strict=True):
        np.testing.assert_array_equal(task.X, X)
        np.testing.assert_array_equal(task.y, y)
    for same in (
        TaskCollection(objects),
        TaskCollection(tuple(objects)),
        TaskCollection(iter(objects)),
        TaskCollection(dict(zip(tasks, objects, strict=True))),
        TaskCollection(
            {name: (X.tolist(), y.tolist()) for name, (X, y) in tasks.items()}
        ),
        check_tasks(tasks),
        check_tasks(Loads(objects)),
        check_tasks(Samples(objects)).draw(len(tasks), seed=0),
        TaskDistribution(Samples(given)).draw(len(tasks), seed=0),
        LazyTasks(given),
        TaskCollection(given),
    ):
        assert_equal(same, given)
    by_position = TaskCollection(dict(enumerate(pairs)))
    for same in (
        TaskCollection(pairs),
        TaskCollection(iter(pairs)),
        check_tasks(pairs),
        check_tasks(Loads(pairs)),
        check_tasks(Samples(pairs)).draw(len(pairs), seed=0),
    ):
        assert_equal(same, by_position)


@checked
@given(named_tasks(sort=True), st.randoms(use_true_random=False))
def test_flat_rows_give_the_collection_of_their_groups(tasks, random):
    given = TaskCollection(tasks)
    groups = np.repeat(np.array(list(tasks)), np.diff(given.offsets))
    assert_equal(TaskCollection.from_arrays(given.X, given.y, groups), given)
    # Rows of tasks in any order, but that within a task.
    turns = [*range(len(groups))]
    random.shuffle(turns)
    slots = groups[turns]
    order = np.empty(len(groups), int)
    for label in np.unique(groups):
        order[slots == label] = np.flatnonzero(groups == label)
    X, y = given.X[order], given.y[order]
    assert_equal(TaskCollection.from_arrays(X, y, slots), given)
    assert_equal(
        TaskCollection.from_arrays(X.tolist(), y.tolist(), slots.tolist()), given
    )
    columns = [f"x{j}" for j in range(X.shape[1])]
    for library in (pd, pl):
        frame = library.DataFrame(
            dict(zip(columns, X.T, strict=True)) | {"y": y, "task": slots}
        )
        made = TaskCollection.from_frame(frame, target="y", task="task")
        assert made.feature_names == tuple(columns)
        assert_equal(made._replace(feature_names=None), given)
        made = TaskCollection.from_arrays(frame[columns], frame["y"], frame["task"])
        assert_equal(made._replace(feature_names=None), given)


@checked
@given(collections(), st.data())
def test_selection_is_that_of_a_list(tasks, data):
    items, n = list(tasks), len(tasks)
    weights = [1.0 if t.weight is None else t.weight for t in items]
    key = data.draw(
        st.one_of(
            st.slices(n),
            st.lists(st.integers(-n, n - 1), max_size=6),
            st.lists(st.booleans(), min_size=n, max_size=n).map(np.array),
        )
    )
    expected = np.arange(n)[
        key if isinstance(key, slice) else np.asarray(key, None if len(key) else int)
    ]
    selected = tasks[key]
    assert isinstance(selected, TaskCollection)
    assert selected.names == tuple(tasks.names[i] for i in expected)
    assert selected.feature_names == tasks.feature_names
    assert (selected.weights is None) == (tasks.weights is None)
    for i, task in zip(expected, selected, strict=True):
        np.testing.assert_array_equal(task.X, items[i].X)
        np.testing.assert_array_equal(task.y, items[i].y)
        assert task.weight == (None if tasks.weights is None else weights[i])
    assert_equal(
        LazyTasks(tasks)[key].take(range(len(expected))) if len(expected) else selected,
        selected,
    )
    again = data.draw(st.integers(-n, n - 1))
    one = tasks[again]
    assert isinstance(one, Task)
    assert one.name == tasks.names[again]
    np.testing.assert_array_equal(one.X, items[again].X)
    assert_equal(tasks.take([again]), tasks[[again]])
    with pytest.raises(IndexError):
        tasks[n]


@checked
@given(collections(), st.data())
def test_parts_are_concatenated_to_the_whole(tasks, data):
    at = data.draw(st.integers(0, len(tasks)))
    assert_equal(tasks[:at] + tasks[at:], tasks)
    assert_equal(
        tasks[at:].followed_by(tasks[:at]), tasks.take(np.roll(range(len(tasks)), -at))
    )
    if tasks.weights is not None:
        plain = tasks[:at]._replace(weights=None)
        joined = np.append(np.ones(at), tasks.weights[at:])
        np.testing.assert_array_equal((plain + tasks[at:]).weights, joined)
    twice = tasks.followed_by(tasks)
    assert twice.names == tasks.names * 2
    with pytest.raises(ValueError, match="Both collections have a task named"):
        tasks + tasks


@checked
@given(collections(), st.data())
def test_where_keeps_rows_in_their_tasks(tasks, data):
    n = len(tasks.y)
    rows = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    kept = tasks.where(rows)
    assert (kept.names, kept.feature_names) == (tasks.names, tasks.feature_names)
    assert kept.weights is tasks.weights or (kept.weights == tasks.weights).all()
    for i, task in enumerate(kept):
        inside = rows[tasks.offsets[i] : tasks.offsets[i + 1]]
        np.testing.assert_array_equal(task.X, tasks[i].X[inside])
        np.testing.assert_array_equal(task.y, tasks[i].y[inside])
    assert_equal(tasks.where(np.ones(n, bool)), tasks)


@checked
@given(collections())
def test_round_trips(tasks):
    assert_equal(TaskCollection(tasks), tasks)
    assert_equal(TaskCollection(list(tasks)), tasks)
    assert_equal(copy.copy(tasks), tasks)
    assert_equal(copy.deepcopy(tasks), tasks)
    assert_equal(pickle.loads(pickle.dumps(tasks)), tasks)
    assert_equal(tasks._replace(), tasks)
    if tasks.weights is not None and tasks.weights.any():
        weights = tasks.row_weights()
        np.testing.assert_allclose(weights.mean(), 1)
        first = weights[tasks.offsets[:-1]]
        np.testing.assert_allclose(
            first * tasks.weights.sum(), tasks.weights * first.sum()
        )
