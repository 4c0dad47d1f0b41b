"""Tables of every sort become tasks, and new rows the same columns."""

import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from skmeta.tables import read_table, read_tasks


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    n = 60
    return pd.DataFrame(
        {
            "task": np.repeat([3, 1, 2], 20),
            "x": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
            "flag": rng.random(n) < 0.5,
            "grade": rng.choice(["low", "high", None], n),
            "day": pd.date_range("2024-02-26", periods=n, freq="D"),
            "mark": [str(i % 7) if i != 5 else "?" for i in range(n)],
            "id": np.arange(1, 1 + n),
            "note": [f"pupil {i}" for i in range(n)],
            "place": np.repeat(["north", "south", "west"], 20),
            "constant": "c",
            "y": rng.normal(size=n),
        }
    )


def read(frame, path, **how):
    if path.suffix in (".parquet", ".feather"):  # they say that "mark" is text
        getattr(frame, f"to_{path.suffix[1:]}")(path)
        return read_tasks(path, task="task", target="y", number=["mark"])
    frame.to_csv(path, index=False, **how)
    return read_tasks(path, task="task", target="y")


def test_kinds_of_columns(frame, tmp_path):
    table = read(frame, tmp_path / "a.csv")
    assert table.kinds == {
        "x": "number",
        "flag": "number",
        "grade": "text",
        "day": "date",
        "mark": "number",
    }
    notes = " ".join(table.notes)
    for said in ("'id' numbers", "'note' differs", "'place' is another name",
                 "'constant' has no more",
                 '\'mark\' (number): "0" as 0; 1 is marked'):  # fmt: skip
        assert said in notes
    assert table.tasks.names == ("1", "2", "3")
    np.testing.assert_array_equal(table.tasks[2].y, frame.y[:20])


def test_columns_hold_what_the_table_does(frame, tmp_path):
    table = read(frame, tmp_path / "a.csv")
    X = table.columns(read_table(tmp_path / "a.csv"))
    assert list(X) == list(table.tasks.feature_names)
    np.testing.assert_allclose(X.x, frame.x)
    assert X.isna().sum().to_dict() == dict.fromkeys(X, 0) | {
        "x": frame.x.isna().sum(),
        "mark": 1,
    }
    np.testing.assert_array_equal(X.flag, frame.flag)
    np.testing.assert_array_equal(X["grade = high"], frame.grade == "high")
    np.testing.assert_array_equal(X["grade = (none)"], frame.grade.isna())
    np.testing.assert_array_equal(X["day (month)"], frame.day.dt.month)
    np.testing.assert_array_equal(X["day (weekday)"], frame.day.dt.day_of_week)
    assert (np.diff(X["day (day)"]) == 1).all()
    np.testing.assert_allclose(table.targets(frame), frame.y)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.parquet", {}),
        ("a.feather", {}),
        ("a.tsv", {"sep": "\t"}),
        ("a.csv.gz", {}),
        ("a.csv", {"sep": ";", "decimal": ","}),
        ("b.csv", {"sep": ";"}),
        ("c.csv", {"encoding": "utf-8-sig"}),
    ],
)
def test_formats_give_the_same_tasks(frame, name, how, tmp_path):
    expected = read(frame, tmp_path / "plain.csv").tasks
    tasks = read(frame, tmp_path / name, **how).tasks
    assert tasks.names == expected.names
    assert tasks.feature_names == expected.feature_names
    np.testing.assert_allclose(tasks.X, expected.X, rtol=1e-12)


def test_names_that_are_not_utf8(frame, tmp_path):
    frame["grade"] = frame.grade.fillna("médium")
    table = read(frame, tmp_path / "a.csv", encoding="cp1252")
    assert "grade = médium" in table.tasks.feature_names


def test_new_rows_with_values_never_seen(frame, tmp_path):
    table = read(frame, tmp_path / "a.csv")
    new = frame.head(2).assign(grade=["new", "low"], x=[np.inf, None], day=["?", None])
    with pytest.warns(UserWarning, match=r"1 of 2 values are no number, e.g. \"inf\""):
        X = table.columns(new[::-1])
    assert X.x.isna().all()
    assert X.filter(like="day").isna().all(axis=None)
    np.testing.assert_array_equal(X.filter(like="grade").sum(axis=1), [1, 0])
    with pytest.raises(ValueError, match=r"no column \['grade'\]"):
        table.columns(new.drop(columns="grade"))


def test_what_numbered_the_rows_of_a_larger_table_is_left_out(frame, tmp_path):
    frame["row"] = frame["Unnamed: 0"] = np.arange(60)
    frame.loc[[3, 17], "y"] = np.nan
    table = read(frame.drop(index=[5, 6]), tmp_path / "a.csv")
    assert {"row", "Unnamed: 0", "id"}.isdisjoint(table.kinds)
    assert table.notes[1].startswith("'id' numbers the rows")


def test_columns_that_rise_by_more_than_one_are_numbers(frame, tmp_path):
    seconds = 1_600_000_000 + np.cumsum(np.arange(60) % 7 * 100 + 1)
    table = read(frame.assign(seconds=seconds), tmp_path / "a.csv")
    assert table.kinds["seconds"] == "number"
    assert "id" not in table.kinds
    assert (
        "'id' numbers the rows and was left out. It has 60 whole numbers from 1 to "
        "60; --number 'id' (number= in Python) keeps it."
    ) in table.notes
    kept = read_tasks(tmp_path / "a.csv", task="task", target="y", number=["id"])
    assert kept.kinds["id"] == "number"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    "values",
    [np.arange(44197, 44257), np.arange(44256, 44196, -1),
     pd.date_range("2021-01-01", periods=60).strftime("%y%m%d").astype(int)],
)  # fmt: skip
def test_whole_numbers_from_elsewhere_on_may_be_days(frame, suffix, values, tmp_path):
    table = read(frame.assign(day=values), tmp_path / f"a{suffix}")
    assert table.kinds["day"] == "number"
    column = list(table.tasks.feature_names).index("day")
    order = np.argsort(frame.task, kind="stable")
    np.testing.assert_array_equal(table.tasks.X[:, column], np.asarray(values)[order])
    assert (
        "'day' has a different whole number in every row, and was taken as a number. "
        "If it only names the rows, drop it (--drop, drop= in Python)."
    ) in table.notes


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("value", [True, 5, "x", "2021-01-31"])
def test_a_value_or_nothing_is_kept(frame, suffix, value, tmp_path):
    ticked = np.arange(60) % 3 == 0
    frame["box"] = [value if tick else None for tick in ticked]
    table = read(frame, tmp_path / f"a{suffix}")
    kind = table.kinds["box"]
    X = table.columns(read_table(tmp_path / f"a{suffix}")).filter(like="box")
    assert kind == {"x": "text", "2021-01-31": "date"}.get(value, "number") or (
        suffix == ".parquet" and kind == "text"
    )
    if kind == "text":
        np.testing.assert_array_equal(X[f"box = {value}"], ticked)
    else:
        np.testing.assert_array_equal(X.iloc[:, 0].notna(), ticked)
    assert "box" not in read(frame.assign(box=value), tmp_path / f"a{suffix}").kinds


def test_targets_of_new_rows_are_checked(frame, tmp_path):
    table = read(frame, tmp_path / "a.csv")
    with pytest.raises(ValueError, match=r"'y' is missing in 2 of the rows"):
        table.targets(frame.assign(y=[None, None, *frame.y[2:]]))
    with pytest.raises(ValueError, match="no column 'y', the target"):
        table.targets(frame.drop(columns="y"))


@pytest.mark.parametrize(
    ("values", "said"),
    [([2, 1, 3, *range(10, 67)], True), (np.arange(60) % 59, False),
     (np.arange(60) / 7, False)],
)  # fmt: skip
def test_whole_numbers_that_may_be_names_are_said_to_be_taken(
    frame, values, said, tmp_path
):
    table = read(frame.assign(code=values), tmp_path / "a.csv")
    assert table.kinds["code"] == "number"
    assert ("'code' has a different whole number" in " ".join(table.notes)) == said


def test_rows_without_task_or_target_are_left_out(frame, tmp_path):
    frame.loc[[0, 1], "y"], frame.loc[[2], "task"] = np.nan, np.nan
    table = read(frame, tmp_path / "a.csv")
    assert len(table.tasks.y) == 57
    assert table.notes[0] == "3 of 60 rows without 'task' or 'y' were left out."


def test_rows_of_the_file_that_are_in_the_tasks(frame, tmp_path):
    frame["task"] = frame.task.astype(object)
    frame.loc[[0, 7, 59], "y"], frame.loc[[2], "task"] = np.nan, "alone"
    table = read(frame, tmp_path / "a.csv")
    used = np.delete(np.arange(60), [0, 2, 7, 59])
    np.testing.assert_array_equal(table.rows, used)
    rows = read_table(tmp_path / "a.csv").iloc[table.rows]
    np.testing.assert_allclose(table.targets(rows), frame.y[used])


def test_rare_values_count_as_one(frame, tmp_path):
    frame["code"] = [f"c{i // 2}" if i < 40 else f"d{i % 9}" for i in range(60)]
    frame.loc[40:, "code"] = "common"
    frame = pd.concat([frame] * 2, ignore_index=True)
    frame["code"] = [f"c{i // 3}" for i in range(120)]
    table = read(frame, tmp_path / "a.csv")
    assert "'code' has 40 values; the rarest count as one." in table.notes
    columns = [name for name in table.tasks.feature_names if name.startswith("code")]
    assert len(columns) == 30
    assert columns[-1] == "code (rare)"


def test_columns_to_leave_out(frame, tmp_path):
    frame.to_csv(tmp_path / "a.csv", index=False)

    def dropping(drop):
        return read_tasks(tmp_path / "a.csv", task="task", target="y", drop=drop)

    assert list(dropping(["x", "day", "id"]).kinds) == ["flag", "grade", "mark"]
    for drop, message in (
        (["dya"], "no column 'dya' to drop. Did you mean 'day'"),
        (["y"], "'y' is for the target, and cannot be dropped"),
        ("day", r"Give a list: drop=\['day'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            dropping(drop)


def test_a_table_of_names_alone(frame, tmp_path):
    with pytest.raises(ValueError, match="Nothing to predict from"):
        read(frame[["task", "note", "y"]], tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("package", "name"), [("pandas", "a.csv"), ("pyarrow", "a.parquet")]
)
def test_what_is_not_installed_is_named(package, name, frame, tmp_path, monkeypatch):
    read(frame, tmp_path / name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        read_tasks(tmp_path / name, task="task", target="y")


NAMES = ["NA", "None", "nan", "3.0", "3", "1e3", "1000", " a", "a", "007", "07", "1.10",
         "-", "true"]  # fmt: skip


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_tasks_and_classes_are_what_their_cells_say(name, tmp_path):
    path = tmp_path / name
    frame = pd.DataFrame({"task": NAMES * 8, "label": NAMES[:7] * 16})
    frame["x"] = np.arange(len(frame)) % 5 / 4
    if name == "a.csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    table = read_tasks(path, task="task", target="label", classes=True)
    assert set(table.tasks.names) == set(NAMES)
    for task in table.tasks:
        same = frame[frame.task == task.name]
        np.testing.assert_array_equal(task.X[:, 0], same.x)
        np.testing.assert_array_equal(task.y, same.label)
    assert "'task' (task): 14 tasks, e.g. \"NA\"" in table.notes
    assert "'label' (target, classes): 7 values, e.g. \"NA\"" in table.notes
    np.testing.assert_array_equal(table.targets(read_table(path)), frame.label)


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        ([7, 8], ["7", "8"]),
        ([3.0, 0.1], ["3.0", "0.1"]),
        ([True, False], ["True", "False"]),
        ([Decimal("1.50"), Decimal("2.00")], ["1.50", "2.00"]),
        (pd.to_datetime(["2021-01-31", "2021-02-01"]), ["2021-01-31", "2021-02-01"]),
        ([datetime(2021, 1, 31), datetime(2021, 2, 1, 10, 30)],
         ["2021-01-31T00:00:00", "2021-02-01T10:30:00"]),
        ([date(2021, 1, 31), date(2021, 2, 1)], ["2021-01-31", "2021-02-01"]),
        (pd.Categorical(["b", "a"]), ["b", "a"]),
    ],
)  # fmt: skip
def test_tasks_of_files_with_types(cells, names, tmp_path):
    frame = pd.DataFrame({"task": list(cells) * 10})
    frame["x"], frame["y"] = np.arange(20) % 7 / 4, np.arange(20) / 4
    frame.to_parquet(tmp_path / "a.parquet")
    tasks = read_tasks(tmp_path / "a.parquet", task="task", target="y").tasks
    assert dict(zip(tasks.names, (t.y[0] for t in tasks), strict=True)) == dict(
        zip(names, [0, 0.25], strict=True)
    )


@pytest.mark.parametrize(
    ("cells", "said"),
    [([[1], [2]], "type list"), ([b"a", b"b"], "binary, e.g. b'a'"),
     ([time(10), time(11)], "time64"),
     ([timedelta(1), timedelta(2)], "durations, e.g. 1 d"),
     ([None, None], "'task', the task, has no value"),
     (["a\0", "a"], "ends in a null character")],
)  # fmt: skip
def test_tasks_that_are_refused(cells, said, tmp_path):
    frame = pd.DataFrame({"task": cells * 10, "x": np.arange(20) % 7, "y": range(20)})
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=said):
        read_tasks(tmp_path / "a.parquet", task="task", target="y")


def test_the_index_of_a_frame_is_a_column_of_its_file(frame, tmp_path):
    frame.set_index("task").to_parquet(tmp_path / "a.parquet")
    assert read_tasks(tmp_path / "a.parquet", task="task", target="y").tasks.names == (
        "1", "2", "3",
    )  # fmt: skip


def test_tasks_of_one_row_are_left_out(frame, tmp_path):
    frame["task"] = [*frame.task[:-2].astype(str), "total", "new"]
    frame.loc[frame.task == "1", "y"] = [np.nan] * 19 + [1.0]
    table = read(frame, tmp_path / "a.csv")
    assert table.tasks.names == ("2", "3")
    assert table.notes[:2] == [
        "19 of 60 rows without 'task' or 'y' were left out.",
        '3 of 5 tasks have one row alone and were left out, e.g. "1".',
    ]
    with pytest.raises(ValueError, match="Every row has a different 'task'"):
        read(frame.drop_duplicates("task"), tmp_path / "a.csv")


def test_each_column_is_said_to_be_read(frame, tmp_path):
    table = read(frame, tmp_path / "a.csv")
    assert [(r.name, r.label) for r in table.readings] == [
        ("task", "task"), ("y", "target, number"), ("x", "number"), ("flag", "number"),
        ("grade", "text"), ("day", "date"), ("mark", "number"),
    ]  # fmt: skip
    assert table.notes[-7:] == list(map(str, table.readings))
    assert str(table.readings[3]) == "'flag' (number): \"False\" as 0"
    assert str(table.readings[5]) == "'day' (date): \"2024-02-26\" as 26 February 2024"


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.parquet", parquet.write_table), ("a.feather", feather.write_feather)],
)
def test_numbers_that_are_none_are_missing(name, write, tmp_path):
    path = tmp_path / name
    nan, task = float("nan"), np.repeat([1.5, 2.5, 3.5, 4.5], 10)
    label = np.array([0.5, 1.5] * 20)
    code = [1.5, 2.5, nan, 1.5] * 10
    table = pa.table(
        {"task": [nan, *task[1:]], "label": [0.5, nan, *label[2:]], "code": code}
    )
    assert [column.null_count for column in table.columns] == [0, 0, 0]
    write(table, path)
    read = read_tasks(path, task="task", target="label", classes=True, text=["code"])
    assert read.tasks.names == ("1.5", "2.5", "3.5", "4.5")
    assert read.tasks.feature_names == ("code = (none)", "code = 1.5", "code = 2.5")
    np.testing.assert_array_equal(read.tasks.y, label[2:].astype(str))
    np.testing.assert_array_equal(
        read.tasks.X[:, 0], [i % 4 == 2 for i in range(2, 40)]
    )
    assert read.notes[0] == "2 of 40 rows without 'task' or 'label' were left out."


def test_what_is_none_inside_of_a_dictionary_is_missing(tmp_path):
    index = pa.array([0, 1, 2, 0] * 10)
    grade = pa.DictionaryArray.from_arrays(index, pa.array(["a", None, "b"]))
    table = pa.table({"task": np.repeat([1, 2], 20), "grade": grade,
                      "y": np.arange(40) / 4})  # fmt: skip
    feather.write_feather(table, tmp_path / "a.feather")
    read = read_tasks(tmp_path / "a.feather", task="task", target="y")
    assert read.tasks.feature_names == ("grade = (none)", "grade = a", "grade = b")
    np.testing.assert_array_equal(read.tasks.X[:, 0], [0, 1, 0, 0] * 10)
