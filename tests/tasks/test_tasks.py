"""Tasks, collections of them, and the sources that `check_tasks` makes."""

import copy
import pickle
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_score,
    train_test_split,
)
from sklearn.utils import _safe_indexing, resample

from skmeta.tasks import LazyTasks, Task, TaskCollection, TaskDistribution, check_tasks


def make_pairs(n_tasks=5, n_features=2, dtype=np.float64):
    """Pairs of 2, 3, ... rows; X holds 100 t + row, y the same."""
    pairs = []
    for t in range(n_tasks):
        y = 100.0 * t + np.arange(t + 2)
        pairs.append((np.repeat(y[:, None], n_features, axis=1).astype(dtype), y))
    return pairs


@pytest.fixture
def tasks():
    return TaskCollection(make_pairs())


def assert_same_tasks(tasks, expected):
    assert len(tasks) == len(expected)
    for task, (X, y) in zip(tasks, expected, strict=True):
        np.testing.assert_array_equal(task.X, X)
        np.testing.assert_array_equal(task.y, y)


def raises(error, *words):
    """Expect an error whose message has all the words, in this order."""
    pattern = ".*".join(re.escape(str(word)) for word in words)
    return pytest.raises(error, match=f"(?s){pattern}")


def frame_of(library, **columns):
    return {"pandas": pd.DataFrame, "polars": pl.DataFrame}[library](columns)


SHOPS = pd.DataFrame({"s": [1, 1, 2, 2], "x": [1.0, 2, 3, 4], "y": [1.0, 2, 3, 4]})

both_libraries = pytest.mark.parametrize("library", ["pandas", "polars"])


# Task


def test_task_is_a_read_only_view():
    X, y = np.ones((3, 2)), np.arange(3)
    task = Task(X, y, name="a")
    assert np.shares_memory(task.X, X)
    assert np.shares_memory(task.y, y)
    assert not task.X.flags.writeable
    assert not task.y.flags.writeable
    X[0, 0] = y[0] = 7
    assert X.flags.writeable
    assert y.flags.writeable


def test_task_cannot_be_changed():
    task = Task(np.ones((3, 2)), np.arange(3))
    with raises(AttributeError, "immutable", "'name'"):
        task.name = "b"
    with raises(AttributeError, "immutable", "'other'"):
        task.other = 1
    with raises(AttributeError, "immutable", "'X'"):
        del task.X
    with pytest.raises(ValueError, match="read-only"):
        task.X[0, 0] = 2


def test_task_len_repr_and_identity():
    task = Task(np.ones((3, 2)), np.arange(3), name="a")
    same = Task(task.X, task.y, name="a")
    assert len(task) == 3
    assert repr(task) == "Task('a', n_rows=3, n_features=2)"
    assert repr(Task(np.ones((3, 4, 4)), range(3))) == (
        "Task(n_rows=3, row_shape=(4, 4))"
    )
    assert task != same
    assert len({task, same, task}) == 2


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda task: pickle.loads(pickle.dumps(task))],
)
def test_task_copies_and_pickles(duplicate):
    task = Task(pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}), [0, 1], name="t")
    twin = duplicate(task)
    np.testing.assert_array_equal(twin.X, task.X)
    np.testing.assert_array_equal(twin.y, task.y)
    assert (twin.name, twin.feature_names) == ("t", ("a", "b"))
    assert not twin.X.flags.writeable


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_keep_their_dtype(dtype):
    assert Task(np.ones((2, 1), dtype=dtype), [0, 1]).X.dtype == dtype


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, bool, np.float16, ">f8"])
def test_other_numbers_become_float64(dtype):
    X = np.array([[1], [0]], dtype=dtype)
    task = Task(X, [0, 1])
    assert task.X.dtype == np.dtype(np.float64)
    np.testing.assert_array_equal(task.X, [[1], [0]])
    assert X.dtype == np.dtype(dtype)


def test_task_takes_lists_tensors_and_strings():
    torch = pytest.importorskip("torch")
    task = Task(torch.ones(2, 3, 3), ["b", "a"])
    assert task.X.shape == (2, 3, 3)
    assert task.y.tolist() == ["b", "a"]


def test_task_name_is_a_python_scalar():
    name = Task([[1], [2]], [1, 2], name=np.int64(3)).name
    assert type(name) is int


@both_libraries
def test_task_of_a_frame(library):
    X = frame_of(library, a=[1, 2], b=[True, False], c=[0.5, 1.5])
    y = frame_of(library, y=["u", "v"])["y"]
    task = Task(X, y)
    assert task.feature_names == ("a", "b", "c")
    np.testing.assert_array_equal(task.X, [[1, 1, 0.5], [2, 0, 1.5]])
    assert task.y.tolist() == ["u", "v"]


def test_only_all_string_column_names_are_kept():
    assert Task(pd.DataFrame(np.ones((2, 2))), [0, 1]).feature_names is None
    with raises(TypeError, "all be strings", "['a', 0]", "astype(str)"):
        Task(pd.DataFrame([[1, 2], [3, 4]], columns=["a", 0]), [0, 1])


def test_nullable_pandas_columns_are_numbers():
    X = pd.DataFrame({"a": pd.array([1, 2], dtype="Int64")})
    task = Task(X, pd.Series([0.5, 1.5], dtype="Float64"))
    assert task.X.tolist() == [[1], [2]]
    assert task.y.dtype == np.float64


@both_libraries
def test_infinite_number_in_a_frame_is_named(library):
    X = frame_of(library, a=[1.0, 2.0], b=[1.0, np.inf])
    with raises(ValueError, "Task 't': X is inf in row 1, column 'b'", "write NaN"):
        Task(X, [0, 1], name="t")


@both_libraries
def test_missing_numbers_in_a_frame_are_nan(library):
    X = frame_of(library, a=[1.0, 2.0], b=[1.0, None])
    np.testing.assert_array_equal(Task(X, [0, 1]).X, [[1, 1], [2, np.nan]])


def test_missing_nullable_integers_are_nan():
    X = pd.DataFrame({"a": pd.array([None, 2], dtype="Int64")})
    np.testing.assert_array_equal(Task(X, [0, 1]).X, [[np.nan], [2]])


@pytest.mark.parametrize(
    ("X", "y", "error", "words"),
    [
        ([1.0, 2.0], [1, 2], ValueError, ["X must have at least 2", "(2,)", "reshape"]),
        (np.ones((2, 0)), [1, 2], ValueError, ["X has shape (2, 0)", "1 feature"]),
        ([[1], [2]], [[1], [2]], ValueError, ["y must be 1-", "(2, 1)", "y.ravel()"]),
        ([[1], [2]], [1, 2, 3], ValueError, ["X has 2 rows and y has 3"]),
        (np.ones((0, 2)), [], ValueError, ["X has no rows", "at least 2"]),
        (
            [[1]],
            [1],
            ValueError,
            ["X has 1 row;", "at least 2", "Leave such tasks out"],
        ),
        ([[1, np.inf], [2, 3]], [1, 2], ValueError, ["X is inf in row 0, column 1"]),
        ([[1], [2]], [1, np.nan], ValueError, ["y is nan in row 1", "Drop such rows"]),
        ([[1], [2]], ["a", None], ValueError, ["y is missing (None) in row 1"]),
        ([[1], [2]], [pd.NA, "a"], ValueError, ["y is missing (<NA>) in row 0"]),
        ([[1], [2]], [1j, 2j], ValueError, ["y has dtype complex128", "astype(float)"]),
        (
            [["a"], ["b"]],
            [1, 2],
            ValueError,
            ["X has dtype object (column 0", "Encode it"],
        ),
        ([[1], [2]], [1, "a"], ValueError, ["y has dtype object", "astype(str)"]),
        (np.array([["a"], ["b"]]), [1, 2], ValueError, ["X has dtype <U1", "Encode"]),
        ([[1], [2, 3]], [1, 2], ValueError, ["X is not an array", "inhomogeneous"]),
    ],
)
def test_task_errors(X, y, error, words):
    with raises(error, "Task 'school 3': ", *words):
        Task(X, y, name="school 3")


def test_task_errors_without_a_name():
    with pytest.raises(ValueError, match=r"^X has 2 rows and y has 1"):
        Task([[1], [2]], [1])


def test_object_array_error_names_the_column():
    X = np.array([[1, "red"], [2, "blue"]], dtype=object)
    with raises(ValueError, "Task 't'", "object (column 1 holds ['red'])", "Encode"):
        Task(X, [0, 1], name="t")
    X = np.array([[True, 0.5], [None, None], [2, b"x"]], dtype=object)
    with raises(ValueError, "object (column 1 holds [b'x']) in row 2", "Encode"):
        Task(X, [0, 1, 2])


@both_libraries
def test_text_column_error_names_the_column(library):
    X = frame_of(library, size=[1.0, 2.0], colour=["red", "blue"])
    with raises(ValueError, "Task 't': column 'colour' of X has dtype", "features=["):
        Task(X, [0, 1], name="t")


def test_objects_that_are_numbers_are_numbers():
    X = [[1.5, True, None], [Decimal("0.25"), np.bool_(False), 2]]
    expected = [[1.5, 1, np.nan], [0.25, 0, 2]]
    for given in (X, np.array(X, dtype=object), pd.DataFrame(X, dtype=object)):
        task = Task(given, [0, 1])
        assert task.X.dtype == np.float64
        np.testing.assert_array_equal(task.X, expected)
    y = Task([[1], [2]], np.array([1, 0], dtype=object)).y
    assert y.dtype.kind == "i"
    assert y.tolist() == [1, 0]


def test_object_column_that_is_no_number_is_named_with_its_value():
    X = pd.DataFrame({"a": [1.0, 2.0], "b": np.array([1, "two"], dtype=object)})
    words = "column 'b' of X has dtype object and holds 'two' in row 1", "astype(float)"
    with raises(ValueError, *words):
        Task(X, [0, 1])
    durations = np.ones((2, 2), dtype=object)
    durations[1, 1] = np.timedelta64(1, "D")  # which numpy counts among the integers
    with raises(ValueError, "column 1 holds [np.timedelta64(1,'D')]) in row 1"):
        Task(durations, [0, 1])


@both_libraries
def test_booleans_that_may_be_missing_are_numbers(library):
    values = pd.array([True, None, False, True], dtype="boolean")
    frame = frame_of("pandas", g=[1, 1, 2, 2], y=[1.0, 2, 3, 4], b=values)
    frame = frame if library == "pandas" else pl.from_pandas(frame)
    tasks = TaskCollection.from_frame(frame, target="y", task="g")
    np.testing.assert_array_equal(tasks.X.ravel(), [1, np.nan, 0, 1])


def test_masked_cells_are_missing():
    X = np.ma.masked_array([[1, 2], [3, 4]], [[0, 1], [0, 0]])
    np.testing.assert_array_equal(Task(X, [0, 1]).X, [[1, np.nan], [3, 4]])
    np.testing.assert_array_equal(X.data, [[1, 2], [3, 4]])
    narrow = Task(X.astype(np.float32), [0, 1]).X
    assert narrow.dtype == np.float32
    tasks = TaskCollection.from_arrays(X, [1.0, 2.0], [0, 0])
    np.testing.assert_array_equal(tasks.X, [[1, np.nan], [3, 4]])
    for given in (list(X), tuple(X), [X[0], [3.0, 4.0]]):
        np.testing.assert_array_equal(Task(given, [0, 1]).X, [[1, np.nan], [3, 4]])
    with raises(ValueError, "y is nan in row 1"):
        Task([[1], [2]], [5.0, np.ma.masked])
    unmasked = np.ma.masked_array([[1, 2], [3, 4]], False)
    np.testing.assert_array_equal(Task(unmasked, [0, 1]).X, [[1, 2], [3, 4]])
    with raises(ValueError, "Task 't': y is nan in row 1", "Drop such rows"):
        Task([[1], [2]], np.ma.masked_array([5, 6], [0, 1]), name="t")
    with raises(ValueError, "Task 't': y is missing (None) in row 0"):
        Task([[1], [2]], np.ma.masked_array(["a", "b"], [1, 0]), name="t")


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble])
def test_targets_are_floats_that_can_be_computed_with(dtype):
    y = np.array([0.5, 60000.0], dtype=dtype)
    tasks = TaskCollection([([[1], [2]], y)])
    assert tasks.y.dtype == np.float64
    assert tasks.y.tolist() == [0.5, y[1]]


def test_a_column_that_is_there_twice_is_named():
    X = pd.DataFrame(np.ones((2, 3)), columns=["a", "b", "b"])
    words = "X has the column 'b' twice", "['a', 'b', 'b']", "drop or rename"
    with raises(ValueError, "Task 't': ", *words):
        Task(X, [0, 1], name="t")
    with raises(ValueError, "Task 's': ", *words):
        TaskCollection({"s": (X, [0, 1])})
    with raises(ValueError, *words):
        TaskCollection.from_arrays(X, [0, 1], [0, 0])
    X.columns = [0, 7, 7]
    with raises(ValueError, "X has the column 7 twice"):
        Task(X, [0, 1])
    X.columns = ["b"] * 3
    with raises(ValueError, "X has the column 'b' 3 times"):
        Task(X, [0, 1])


def test_sparse_X_is_rejected():
    sparse = pytest.importorskip("scipy.sparse")
    with raises(TypeError, "Task 't': X is sparse", "X.toarray()"):
        Task(sparse.csr_array(np.eye(2)), [0, 1], name="t")


def test_unhashable_name_is_rejected():
    with raises(TypeError, "hashable", "[1]"):
        Task([[1], [2]], [0, 1], name=[1])


def test_huge_finite_values_are_accepted():
    X = np.full((4, 1), np.finfo(np.float32).max, dtype=np.float32)
    np.testing.assert_array_equal(Task(X, np.arange(4)).X, X)


# TaskCollection: making one


def test_collection_of_pairs(tasks):
    assert_same_tasks(tasks, make_pairs())
    assert len(tasks) == 5
    assert tasks.names == (0, 1, 2, 3, 4)
    assert tasks.X.shape == (20, 2)
    assert tasks.y.shape == (20,)
    assert tasks.offsets.tolist() == [0, 2, 5, 9, 14, 20]
    assert tasks.offsets.dtype == np.int64
    assert tasks.n_features == 2
    assert tasks.feature_names is None
    assert repr(tasks) == "TaskCollection(n_tasks=5, n_rows=20, n_features=2)"


@pytest.mark.parametrize("make", [list, tuple, iter, lambda pairs: (p for p in pairs)])
def test_collection_of_any_iterable(make):
    assert_same_tasks(TaskCollection(make(make_pairs())), make_pairs())


def test_collection_mixes_tasks_and_pairs():
    pairs = make_pairs(3)
    tasks = TaskCollection([pairs[0], Task(*pairs[1], name="b"), Task(*pairs[2])])
    assert tasks.names == (0, "b", 2)
    assert_same_tasks(tasks, pairs)


def test_collection_of_a_dict():
    pairs = make_pairs(3)
    named = {"a": pairs[0], 7: Task(*pairs[1], name="b"), ("c", 1): pairs[2]}
    tasks = TaskCollection(named)
    assert tasks.names == ("a", 7, ("c", 1))
    assert tasks[2].name == ("c", 1)
    assert_same_tasks(tasks, pairs)


def test_collection_leaves_the_callers_arrays_alone():
    pairs = make_pairs()
    tasks = TaskCollection(pairs)
    for (X, y), (X_before, _) in zip(pairs, make_pairs(), strict=True):
        np.testing.assert_array_equal(X, X_before)
        assert X.flags.writeable
        assert y.flags.writeable
        X[:] = y[:] = -1
    assert_same_tasks(tasks, make_pairs())


def test_collection_is_immutable(tasks):
    for name in ("X", "y", "offsets"):
        assert not getattr(tasks, name).flags.writeable
    with raises(AttributeError, "TaskCollection is immutable", "'X'"):
        tasks.X = None
    with raises(AttributeError, "names"):
        tasks.names = ()
    with pytest.raises(TypeError):
        tasks[0] = tasks[1]


def test_widest_float_is_kept():
    narrow, wide = make_pairs(1, dtype=np.float32), make_pairs(1)
    assert TaskCollection(narrow).X.dtype == np.float32
    assert TaskCollection(narrow + wide).X.dtype == np.float64
    integers = make_pairs(1, dtype=np.int16)
    assert TaskCollection(integers).X.dtype == np.float64
    assert TaskCollection(narrow + integers).X.dtype == np.float64


def test_collection_of_images():
    tasks = TaskCollection([(np.ones((4, 3, 3), dtype=np.uint8), range(4))] * 2)
    assert tasks.X.shape == (8, 3, 3)
    assert tasks.n_features is None
    assert repr(tasks) == "TaskCollection(n_tasks=2, n_rows=8, row_shape=(3, 3))"


def test_labels_may_be_strings_of_any_length():
    X = [[1], [2]]
    tasks = TaskCollection([(X, ["a", "b"]), (X, pd.Series(["abc", "d"]))])
    assert tasks.y.tolist() == ["a", "b", "abc", "d"]


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ([], ["Got no tasks", "at least one"]),
        ({}, ["Got no tasks"]),
        (
            {"a": ([[1], [2]], [1, 2]), "b": ([[1, 2], [2, 3]], [1, 2])},
            ["Task 'b' has n_features=2, but task 'a' has n_features=1"],
        ),
        (
            {"a": ([[1], [2]], [1, 2]), "b": ([[1], [2]], ["u", "v"])},
            ["Task 'b' has a y of strings, but task 'a' has one of numbers", "astype"],
        ),
        (
            {"a": ([[1], [np.nan]], [1, 2]), "b": ([[1], [-np.inf]], [1, 2])},
            ["Task 'b': X is -inf in row 1, column 0", "write NaN"],
        ),
        (
            {"a": ([[1], [2]], [1, 2]), "b": ([[1], [3]], [-np.inf, 2])},
            ["Task 'b': y is -inf in row 0"],
        ),
        (
            {"a": ([[1], [2]], [1, 2]), "b": ([[1], [3]], ["u", np.nan])},
            ["Task 'b': y is missing (nan) in row 1"],
        ),
        (
            {"a": ([[1], [2]], [1, 2]), "b": (np.ones((0, 1)), [])},
            ["Task 'b': X has no rows", "at least 2"],
        ),
        (
            {"a": ([[1], [2]], [1, 2]), "b": ([[1]], [2])},
            ["Task 'b': X has 1 row;", "Leave such tasks out"],
        ),
        (
            {"a": (np.array([["x"], [1]], dtype=object), [1, 2])},
            ["Task 'a': X has dtype object (column 0 holds ['x'])"],
        ),
        ({"a": ([[1], [2]], [1, 2, 3])}, ["Task 'a': X has 2 rows and y has 3"]),
        ({"a": ([1, 2], [1, 2])}, ["Task 'a': X must have at least 2", "(2,)"]),
        ({"a": ([[1], [2]], [[1], [2]])}, ["Task 'a': y must be 1-", "(2, 1)"]),
        (
            [Task([[1], [2]], [1, 2], name="a")] * 3 + [([[1], [2]], [1, 2])],
            ["3 tasks are named 'a'", "must differ"],
        ),
        (
            [Task([[1], [2]], [1, 2], name=1), ([[1], [2]], [1, 2])],
            ["2 tasks are named 1", "must differ"],
        ),
    ],
)
def test_collection_value_errors(tasks, words):
    with raises(ValueError, *words):
        TaskCollection(tasks)


def test_non_finite_position_in_images():
    X = np.zeros((2, 3, 3))
    X[1, 0, 2] = np.inf
    with raises(ValueError, "Task 0: X is inf in row 1, position (0, 2)"):
        TaskCollection([(X, [0, 1])])


@both_libraries
def test_different_feature_names(library):
    y = [0, 1]
    first, second = [0.0, 1.0], [2.0, 3.0]
    X = frame_of(library, a=first, b=second)
    swapped = frame_of(library, b=first, a=second)
    assert TaskCollection([(X, y), (X, y)]).feature_names == ("a", "b")
    with raises(
        ValueError, "Task 't' has the columns ['b', 'a'], but task 's' has the columns "
        "['a', 'b']", "same in another order", "position 0 is 'b' in place of 'a'",
        "X[names]",
    ):  # fmt: skip
        TaskCollection({"s": (X, y), "t": (swapped, y)})
    renamed = frame_of(library, a=first, c=second)
    with raises(ValueError, "['a', 'c']", "position 1 is 'c' in place of 'b'"):
        TaskCollection({"s": (X, y), "t": (renamed, y)})
    fewer = frame_of(library, a=first)
    with raises(ValueError, "['a'], but", "position 1 is nothing in place of 'b'"):
        TaskCollection({"s": (X, y), "t": (fewer, y)})
    with raises(ValueError, "Task 't' has no column names", "['a', 'b']"):
        TaskCollection({"s": (X, y), "t": (X.to_numpy(), y)})


def test_many_columns_are_not_all_listed():
    names = [f"c{i}" for i in range(200)]
    X = pd.DataFrame(np.ones((2, 200)), columns=names)
    names[100:102] = names[101], names[100]
    with raises(
        ValueError, "...] (200 columns)", "in another order: at position 100 is 'c101' "
        "in place of 'c100'",
    ) as caught:  # fmt: skip
        TaskCollection({"s": (X, [0, 1]), "t": (X[names], [0, 1])})
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ([(1, 2, 3)], ["Task 0 is a tuple of 3 items", "(X, y)"]),
        ((np.ones((2, 1)), np.ones(2)), ["Task 0 is a ndarray", "[(X, y)]"]),
        ([None], ["Task 0 is a NoneType"]),
        (np.ones((2, 1)), ["array of shape (2, 1)", "from_arrays"]),
        (pd.DataFrame({"a": [1]}), ["Got a DataFrame", "from_frame"]),
        (pl.DataFrame({"a": [1]}), ["Got a DataFrame", "from_frame"]),
        ("abc", ["Got a str", "Accepted"]),
        (3, ["Got a int", "Accepted"]),
        (Task([[1], [2]], [1, 2]), ["Got a Task", "Accepted", "list"]),
        (pd.Series([1, 2]), ["Got a Series of shape (2,)", "from_arrays"]),
        (SHOPS.groupby("s"), ["Got a DataFrameGroupBy", "from_frame", "groupby(task)"]),
        (SHOPS.groupby("s")["y"], ["Got a SeriesGroupBy", "from_frame"]),
        (pl.DataFrame({"s": [1]}).group_by("s"), ["Got a GroupBy", "from_frame"]),
        (pl.LazyFrame({"s": [1]}), ["Got a LazyFrame", "from_frame"]),
        (
            SHOPS.set_index(pd.date_range("2020", periods=4)).resample("D"),
            ["Resampler"],
        ),
        (list(SHOPS.groupby("s")), ["Got the group 1 of a data frame", "from_frame"]),
        (dict(list(SHOPS.groupby("s"))), ["Got a data frame for a task", "from_frame"]),
        (list(SHOPS.groupby(["s"])), ["Got the group (1,) of a data", "from_frame"]),
    ],
)
@pytest.mark.parametrize("make", [TaskCollection, check_tasks])
def test_collection_type_errors(make, tasks, words):
    with raises(TypeError, *words):
        make(tasks)


# TaskCollection: selecting from one


def test_task_of_a_collection_is_a_view(tasks):
    task = tasks[2]
    assert isinstance(task, Task)
    assert task.name == 2
    assert type(task.name) is int
    assert np.shares_memory(task.X, tasks.X)
    assert not task.X.flags.writeable
    np.testing.assert_array_equal(tasks[-1].y, tasks[4].y)
    np.testing.assert_array_equal(tasks[np.int32(1)].y, tasks[1].y)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (slice(1, 3), [1, 2]),
        (slice(None, None, -1), [4, 3, 2, 1, 0]),
        (slice(3, 3), []),
        ([3, 0], [3, 0]),
        ([], []),
        ((1, Ellipsis), 1),
        ((np.array([4, 1]), Ellipsis), [4, 1]),
        (np.array([-1, 0, 0], dtype=np.int8), [4, 0, 0]),
        ([False, True, False, False, True], [1, 4]),
        (np.array([True] * 5), [0, 1, 2, 3, 4]),
        (range(2), [0, 1]),
        (pd.Series([2, 1]), [2, 1]),
    ],
)
def test_selection(tasks, key, expected):
    pairs = make_pairs()
    if isinstance(expected, int):
        np.testing.assert_array_equal(tasks[key].X, pairs[expected][0])
        return
    selected = tasks[key]
    assert isinstance(selected, TaskCollection)
    assert selected.names == tuple(expected)
    assert selected.offsets[0] == 0
    assert not selected.X.flags.writeable
    assert_same_tasks(selected, [pairs[t] for t in expected])


def test_neighbours_are_a_view(tasks):
    assert np.shares_memory(tasks[1:4].X, tasks.X)
    assert np.shares_memory(tasks[[2, 3]].y, tasks.y)
    assert not np.shares_memory(tasks[[3, 2]].X, tasks.X)


def test_selection_of_a_selection_keeps_names(tasks):
    assert tasks[1:][[2, 0]].names == (3, 1)
    assert tasks[1:][2].name == 3


@pytest.mark.parametrize(
    ("key", "error", "words"),
    [
        (5, IndexError, ["Index 5", "5 tasks"]),
        (-6, IndexError, ["Index -6", "5 tasks"]),
        ([0, 9], IndexError, ["Index 9", "5 tasks"]),
        ([True, False], IndexError, ["mask of length 2", "5 tasks"]),
        ("school 3", TypeError, ["'school 3'", "tasks.names.index"]),
        (1.0, TypeError, ["got 1.0"]),
        ([[0, 1]], TypeError, ["[[0, 1]]"]),
        (None, TypeError, ["None"]),
    ],
)
def test_selection_errors(tasks, key, error, words):
    with raises(error, *words):
        tasks[key]


def test_take_may_repeat(tasks):
    taken = tasks.take(np.array([2, 0, 2]))
    assert taken.names == (2, 0, 2)
    assert_same_tasks(taken, [make_pairs()[t] for t in (2, 0, 2)])


def test_sequence_protocol(tasks):
    assert [task.name for task in tasks] == [0, 1, 2, 3, 4]
    assert [task.name for task in reversed(tasks)] == [4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda tasks: pickle.loads(pickle.dumps(tasks))],
)
def test_collection_copies_and_pickles(duplicate):
    tasks = TaskCollection({name: make_pairs(1)[0] for name in "ab"})
    twin = duplicate(tasks)
    assert_same_tasks(twin, [(task.X, task.y) for task in tasks])
    assert twin.names == ("a", "b")
    assert not twin.X.flags.writeable


def test_pickle_of_a_view_holds_its_rows_only():
    tasks = TaskCollection([(np.ones((500, 10)), np.ones(500))] * 20)
    assert len(pickle.dumps(tasks[:1])) < 60_000


def test_add():
    pairs = make_pairs(4)
    left = TaskCollection({"a": pairs[0], "b": pairs[1]})
    right = TaskCollection(pairs[2:])
    both = left + right
    assert both.names == ("a", "b", 0, 1)
    assert_same_tasks(both, pairs)
    assert (left[:0] + right).names == (0, 1)


def test_add_errors(tasks):
    with raises(ValueError, "Both", "named 1 ", "2 names in common", "must differ"):
        tasks + tasks[1:3]
    with raises(ValueError, "Task 'w' has n_features=1", "task 0 has n_features=2"):
        tasks + TaskCollection({"w": ([[1], [2]], [0, 1])})
    with pytest.raises(TypeError):
        tasks + make_pairs()


class MeanOfTasks(BaseEstimator):
    """An estimator whose samples are tasks."""

    def __init__(self, shift=0.0):
        self.shift = shift

    def fit(self, tasks, y=None):
        assert isinstance(tasks, TaskCollection)
        self.mean_ = tasks.y.mean() + self.shift
        return self

    def score(self, tasks, y=None):
        assert isinstance(tasks, TaskCollection)
        return -np.mean([abs(task.y.mean() - self.mean_) for task in tasks])


def test_scikit_learn_selects_collections(tasks):
    train, test = train_test_split(tasks, test_size=2, random_state=0)
    assert isinstance(train, TaskCollection)
    assert sorted(train.names + test.names) == [0, 1, 2, 3, 4]
    for train, test in KFold(5).split(tasks):
        assert _safe_indexing(tasks, train).names == tuple(train)
        assert _safe_indexing(tasks, test)[0].name == test[0]
    assert _safe_indexing(tasks, tasks.offsets[1:] > 5).names == (2, 3, 4)
    assert len(resample(tasks, n_samples=20, random_state=0)) == 20


def test_scikit_learn_cross_validates_over_tasks(tasks):
    assert len(cross_val_score(MeanOfTasks(), tasks, cv=5)) == 5
    search = GridSearchCV(MeanOfTasks(), {"shift": [0.0, 1e3]}, cv=2).fit(tasks)
    assert search.best_params_ == {"shift": 0.0}


# from_arrays


def test_from_arrays_sorted_makes_no_copy():
    X, y = np.ones((6, 2)), np.arange(6.0)
    tasks = TaskCollection.from_arrays(X, y, [3, 3, 3, 5, 5, 5])
    assert tasks.names == (3, 5)
    assert np.shares_memory(tasks.X, X)
    assert np.shares_memory(tasks.y, y)
    assert X.flags.writeable
    assert y.flags.writeable


@pytest.mark.parametrize(
    "labels",
    [
        ["b", "a", "b", "a"],
        np.array(["b", "a", "b", "a"], dtype=object),
        [2, 1, 2, 1],
        [2.5, 1.5, 2.5, 1.5],
        np.array(["2021-01-02", "2021-01-01"] * 2, dtype="datetime64[ns]"),
        pd.Series(["b", "a", "b", "a"], dtype="category"),
        pl.Series(["b", "a", "b", "a"]),
    ],
)
def test_from_arrays_sorts_rows_by_group(labels):
    X = np.arange(8.0).reshape(4, 2)
    tasks = TaskCollection.from_arrays(X, [0, 1, 2, 3], labels)
    assert_same_tasks(tasks, [(X[1::2], [1, 3]), (X[::2], [0, 2])])
    assert list(tasks.names) == sorted(tasks.names)
    assert not isinstance(tasks.names[0], np.generic)


@both_libraries
def test_from_arrays_takes_a_frame(library):
    X = frame_of(library, a=[1, 2, 3, 4])
    tasks = TaskCollection.from_arrays(X, [1, 2, 3, 4], [0, 0, 1, 1])
    assert tasks.feature_names == tasks[0].feature_names == ("a",)
    assert tasks[:1].feature_names == ("a",)


@pytest.mark.parametrize(
    ("X", "y", "groups", "error", "words"),
    [
        (np.ones((3, 1)), [1, 2, 3], [0, 0], ValueError, ["3 rows", "groups has 2"]),
        (np.ones((3, 1)), [1, 2], [0, 0, 0], ValueError, ["3 rows", "y has 2"]),
        (
            np.ones((2, 1)),
            [1, 2],
            [[0], [0]],
            ValueError,
            ["groups must be 1-", "(2, 1)"],
        ),
        (np.ones((0, 1)), [], [], ValueError, ["X has shape (0, 1)", "at least 1"]),
        (
            np.ones((2, 1)),
            [1, 2],
            [0, np.nan],
            ValueError,
            ["groups", "(nan) in row 1"],
        ),
        (
            np.ones((2, 1)),
            [1, 2],
            [None, "a"],
            ValueError,
            ["groups", "(None) in row 0"],
        ),
        (
            np.ones((2, 1)),
            [1, 2],
            np.array(["2021-01-01", "NaT"], dtype="datetime64[ns]"),
            ValueError,
            ["groups", "(NaT) in row 1"],
        ),
        (
            np.ones((2, 1)),
            [1, 2],
            np.array([1, "a"], dtype=object),
            TypeError,
            ["groups mixes", "['int', 'str']", "strings"],
        ),
        (
            np.ones((4, 1)),
            [1, 2, 3, 4],
            ["c", "a", "b", "a"],
            ValueError,
            ["Task 'b': X has 1 row (", "2 of 3 tasks", "Leave such tasks out"],
        ),
        (
            [[1], [2], [3], [np.inf]],
            [1, 2, 3, 4],
            ["b", "a", "a", "b"],
            ValueError,
            ["Task 'b': X is inf in row 1, column 0"],
        ),
        (
            np.ones((4, 1)),
            [1, 2, np.inf, 4],
            ["b", "a", "a", "b"],
            ValueError,
            ["Task 'a': y is inf in row 1"],
        ),
        (
            np.ones((4, 1)),
            ["u", "v", "u", None],
            ["b", "a", "a", "b"],
            ValueError,
            ["Task 'b': y is missing (None) in row 1"],
        ),
    ],
)
def test_from_arrays_errors(X, y, groups, error, words):
    with raises(error, *words):
        TaskCollection.from_arrays(X, y, groups)


# from_frame


def school_frame(library):
    return frame_of(
        library,
        school=["y", "x", "y", "x"],
        age=[9, 8, 7, 6],
        tall=[True, False, True, False],
        mark=[1.0, 2.0, 3.0, 4.0],
    )


@both_libraries
def test_from_frame(library):
    frame = school_frame(library)
    tasks = TaskCollection.from_frame(frame, target="mark", task="school")
    assert tasks.names == ("x", "y")
    assert tasks.feature_names == ("age", "tall")
    assert_same_tasks(tasks, [([[8, 0], [6, 0]], [2, 4]), ([[9, 1], [7, 1]], [1, 3])])


@both_libraries
@pytest.mark.parametrize("features", [["age"], "age", ("age",)])
def test_from_frame_features(library, features):
    tasks = TaskCollection.from_frame(
        school_frame(library), target="tall", task="school", features=features
    )
    assert tasks.feature_names == ("age",)
    assert tasks.y.dtype == bool


@both_libraries
def test_from_frame_text_target(library):
    frame = frame_of(library, t=[0, 0, 1, 1], x=[1, 2, 3, 4], label=list("abba"))
    tasks = TaskCollection.from_frame(frame, target="label", task="t")
    assert tasks.y.tolist() == ["a", "b", "b", "a"]


@both_libraries
def test_from_frame_errors(library):
    frame = school_frame(library)
    make = TaskCollection.from_frame
    with raises(ValueError, "['grade']", "['school', 'age', 'tall', 'mark']"):
        make(frame, target="grade", task="school")
    with raises(ValueError, "['a', 'b']", "['school'"):
        make(frame, target="mark", task="school", features=["a", "age", "b"])
    with raises(ValueError, "column 'school' of X has dtype", "Encode", "features="):
        make(frame, target="mark", task="age")
    with raises(ValueError, "['age', 'mark'] holds the target 'mark'"):
        make(frame, target="mark", task="school", features=["age", "mark"])
    with raises(ValueError, "the task 'school'"):
        make(frame, target="mark", task="school", features=["school"])
    with raises(ValueError, "No features", "'school'", "'mark' is the target"):
        make(frame, target="mark", task="school", features=[])
    frame = frame_of(library, g=["a", None, "b"], x=[1, 2, 3], t=[1, 2, 3])
    with raises(ValueError, "The task, column 'g', is missing", "in row 1", "Drop"):
        make(frame, target="t", task="g")


def test_from_frame_with_a_column_twice():
    frame = school_frame("pandas")
    make = TaskCollection.from_frame
    for name in ("age", "mark", "school"):
        twice = pd.concat([frame, frame[[name]]], axis=1)
        with raises(ValueError, f"frame has the column {name!r} twice", "drop or ren"):
            make(twice, target="mark", task="school")
        if name != "age":
            continue
        tasks = make(twice, target="mark", task="school", features=["tall"])
        assert_same_tasks(tasks, [([[0], [0]], [2, 4]), ([[1], [1]], [1, 3])])
    for one in (frame, pl.from_pandas(frame)):
        with raises(ValueError, "features has the column 'age' twice", "['age', 'age'"):
            make(one, target="mark", task="school", features=["age", "age"])


def test_arrays_in_place_of_tasks():
    X, y = np.ones((4, 1)), np.arange(4)
    with raises(
        TypeError, "TaskCollection takes tasks", "got X, y and groups",
        "TaskCollection.from_arrays(X, y, groups)",
    ):  # fmt: skip
        TaskCollection(X, y, [0, 0, 1, 1])
    for make in (TaskCollection, check_tasks):
        with raises(TypeError, "got X and y", "list of (X, y) pairs"):
            make(X, y)


@pytest.mark.parametrize("frame", [np.ones((2, 2)), pl.LazyFrame({"a": [1]}), None])
def test_from_frame_wants_a_frame(frame):
    with raises(TypeError, "DataFrame", type(frame).__name__, "from_arrays"):
        TaskCollection.from_frame(frame, target="a", task="b")


# Sources


class Files:
    """A sequence that counts what it loads."""

    def __init__(self, n_tasks=6, wide=()):
        self.n_tasks, self.wide, self.loaded = n_tasks, wide, []

    def __len__(self):
        return self.n_tasks

    def __getitem__(self, i):
        assert type(i) is int
        self.loaded.append(i)
        return np.full((3, 2 + (i in self.wide)), float(i)), np.arange(3)


class Lines:
    """A task distribution."""

    def __init__(self, short=0, n_features=lambda seed: 1, names=None):
        self.short, self.n_features, self.names = short, n_features, names

    def sample(self, n_tasks, random_state):
        assert type(random_state) is int
        rng = np.random.default_rng(random_state)
        shape = (n_tasks - self.short, 4, self.n_features(random_state))
        return [Task(X, X[:, 0], name=self.names) for X in rng.normal(size=shape)]


def test_check_tasks_gives_a_collection(tasks):
    assert check_tasks(tasks) is tasks
    for given in (make_pairs(), tuple(make_pairs()), iter(make_pairs()), list(tasks)):
        assert_same_tasks(check_tasks(given), make_pairs())
    assert check_tasks({"a": make_pairs()[0]}).names == ("a",)
    assert check_tasks({"a": make_pairs()[0]}.values()).names == (0,)


@pytest.mark.parametrize("empty", [[], (), {}, iter([]), Files(0)])
def test_check_tasks_empty(empty):
    with raises(ValueError, "Got no tasks"):
        check_tasks(empty)


def test_check_tasks_empty_selection(tasks):
    with raises(ValueError, "Got no tasks"):
        check_tasks(tasks[:0])
    with raises(ValueError, "Got no tasks"):
        check_tasks(check_tasks(Files())[:0])


def test_lazy_loads_what_is_asked():
    files = Files()
    lazy = check_tasks(files)
    assert isinstance(lazy, LazyTasks)
    assert files.loaded == [0]
    assert len(lazy) == 6
    assert (lazy.n_features, lazy.feature_names) == (2, None)
    assert repr(lazy) == "LazyTasks(n_tasks=6, n_features=2)"
    assert check_tasks(lazy) is lazy

    files.loaded.clear()
    some = lazy[1:][np.array([4, 0, 2])][[True, True, False]]
    assert len(some) == 2
    assert files.loaded == []

    taken = some.take([1, 0, 1])
    assert taken.names == (1, 5, 1)
    assert taken.X[::3, 0].tolist() == [1, 5, 1]
    assert sorted(files.loaded) == [1, 5]

    files.loaded.clear()
    task = some[-1]
    assert isinstance(task, Task)
    assert (task.name, files.loaded) == (1, [1])


def test_lazy_iterates_one_task_at_a_time():
    files = Files()
    tasks = iter(check_tasks(files))
    files.loaded.clear()
    assert next(tasks).name == 0
    assert files.loaded == [0]
    assert [task.name for task in tasks] == [1, 2, 3, 4, 5]


def test_lazy_is_split_without_loading():
    files = Files()
    lazy = check_tasks(files)
    files.loaded.clear()
    train, test = train_test_split(lazy, test_size=2, random_state=0)
    assert isinstance(train, LazyTasks)
    assert (len(train), len(test), files.loaded) == (4, 2, [])


def test_lazy_checks_each_task_as_it_loads():
    lazy = check_tasks(Files(wide=[4]))
    assert len(lazy.take([1, 2])) == 2
    with raises(ValueError, "Task 4 has n_features=3", "task 0 has n_features=2"):
        lazy.take([1, 4])
    with raises(ValueError, "Task 4 has n_features=3"):
        lazy[4]


def test_lazy_keeps_the_names_of_tasks_and_columns():
    class Named(Files):
        def __getitem__(self, i):
            X, y = super().__getitem__(i)
            return Task(pd.DataFrame(X, columns=["a", "b"]), y, name=f"file {i}")

    lazy = check_tasks(Named())
    assert lazy.feature_names == ("a", "b")
    assert lazy.take([2]).names == ("file 2",)
    assert lazy.take([2]).feature_names == ("a", "b")


def test_lazy_may_repeat_names():
    class Same(Files):
        def __getitem__(self, i):
            return Task(*super().__getitem__(i), name="same")

    assert check_tasks(Same()).take([2, 4]).names == ("same", "same")


def test_lazy_pickles():
    lazy = pickle.loads(pickle.dumps(check_tasks(Files())[2:]))
    assert lazy[0].name == 2


def test_lazy_type_error():
    class Numbers(Files):
        def __getitem__(self, i):
            return i

    with raises(TypeError, "Task 0 is a int", "(X, y)"):
        check_tasks(Numbers())


def test_sampled_draws():
    source = check_tasks(Lines())
    assert isinstance(source, TaskDistribution)
    assert check_tasks(source) is source
    assert not hasattr(source, "__len__")
    assert "Lines" in repr(source)
    tasks = source.draw(5, seed=np.int64(3))
    assert isinstance(tasks, TaskCollection)
    assert tasks.names == (0, 1, 2, 3, 4)
    np.testing.assert_array_equal(tasks.X, source.draw(5, seed=3).X)
    assert not np.array_equal(tasks.X, source.draw(5, seed=4).X)


def test_sampled_may_repeat_names():
    assert check_tasks(Lines(names="pool")).draw(2, seed=0).names == ("pool", "pool")


def test_sampled_may_return_a_collection(tasks):
    class Whole:
        def sample(self, n_tasks, random_state):
            return tasks[:n_tasks]

    assert check_tasks(Whole()).draw(3, seed=0).names == (0, 1, 2)


def test_sampled_errors():
    with raises(ValueError, "Lines.sample(5, random_state=7) returned 4", "return 5"):
        check_tasks(Lines(short=1)).draw(5, seed=7)

    class Nothing:
        def sample(self, n_tasks, random_state):
            return None

    with raises(TypeError, "Nothing.sample(5, random_state=7) returned None"):
        check_tasks(Nothing()).draw(5, seed=7)

    class Seedless:
        def sample(self, n_tasks):
            return []

    with pytest.raises(TypeError) as caught:
        check_tasks(Seedless()).draw(5, seed=7)
    assert "called as Seedless.sample(5, random_state=7)" in caught.value.__notes__[0]
    source = check_tasks(Lines(n_features=lambda seed: 1 + seed))
    source.draw(2, seed=0)
    with raises(ValueError, "n_features=2", "'0 of the first draw' has n_features=1"):
        source.draw(2, seed=1)
