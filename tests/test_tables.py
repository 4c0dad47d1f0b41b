"""Tables of every sort become tasks, and new rows the same columns."""

import sys

import numpy as np
import pandas as pd
import pytest

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
            "id": np.arange(100, 100 + n),
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
    assert ("'code' has a whole number of its own" in " ".join(table.notes)) == said


def test_rows_without_task_or_target_are_left_out(frame, tmp_path):
    frame.loc[[0, 1], "y"], frame.loc[[2], "task"] = np.nan, np.nan
    table = read(frame, tmp_path / "a.csv")
    assert len(table.tasks.y) == 57
    assert table.notes[0] == "3 of 60 rows without 'task' or 'y' were left out."


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
