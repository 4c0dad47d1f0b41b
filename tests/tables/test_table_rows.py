"""New rows are read as the table was, in what its columns are and the user says."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

N = 40


def cycle(*values):
    return [values[i % len(values)] for i in range(N)]


def test_new_rows_are_read_as_the_table_was(in_file):
    table = in_file(
        {"c": cycle("1.234,5", "7"), "u": cycle("5 kg", "7 kg"),
         "code": cycle("01", "1"), "day": cycle("20210131", "20211231"),
         "i": cycle("1", "2", "3")},
        separator=";",
    )  # fmt: skip
    rows = {"c": ["2.566", "7,25"], "u": ["8 kg", "9"], "code": ["01", "new"],
            "day": ["20210201", "?"], "i": ["5", "5,5"]}  # fmt: skip
    with pytest.warns(
        UserWarning, match=r"'u': 1 of 2 values are no number, e.g. \"9\""
    ):
        X = table.columns(pd.DataFrame(rows))
    np.testing.assert_array_equal(X.c, [2566, 7.25])
    np.testing.assert_array_equal(X.u, [8, np.nan])
    np.testing.assert_array_equal(X["code = 01"], [1, 0])
    np.testing.assert_array_equal(X["code = 1"], [0, 0])
    np.testing.assert_array_equal(X["day (month)"], [2, np.nan])
    np.testing.assert_array_equal(X.i, [5, 5.5])
    typed = pd.DataFrame(
        {
            "c": pd.Categorical([2566.5, 7.25]),
            "u": pd.array([8, None], dtype="Int64"),
            "code": pd.Categorical(["01", "1"]),
            "day": [20210201, 20211231],
            "i": pd.Series([5, "5,5"], dtype=object),
        }
    ).set_axis(["a", "b"])
    X = table.columns(typed)
    assert list(X.index) == ["a", "b"]
    np.testing.assert_array_equal(X.c, [2566.5, 7.25])
    np.testing.assert_array_equal(X.u, [8, np.nan])
    np.testing.assert_array_equal(X["code = 1"], [0, 1])
    np.testing.assert_array_equal(X["day (month)"], [2, 12])
    np.testing.assert_array_equal(X.i, [5, 5.5])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"code": [1, 7]},
            "'code' was read as text from text, and these rows hold numb",
        ),
        (
            {"c": pd.date_range("2021", periods=2)},
            "'c' was read as numbers .* hold dates",
        ),
        ({"c": [[1], {"a": 1}]}, r"'c' .* hold a type that is not read, e.g. \[1\]"),
        (
            {"day": [1.5, 2.5]},
            "'day' was read as dates from text, .* hold numbers, e.g. 1.5",
        ),
    ],
)
def test_new_rows_of_another_sort_are_refused(in_file, changed, said):
    table = in_file(
        {"c": cycle("1,5", "7"), "code": cycle("01", "1"),
         "day": cycle("2021-01-31", "2021-12-31")},
    )  # fmt: skip
    rows = {"c": ["1,5", "7"], "code": ["01", "1"], "day": ["2021-01-31", "2021-01-30"]}
    with pytest.raises(ValueError, match=said):
        table.columns(pd.DataFrame(rows | changed))
    twice = pd.DataFrame(rows)[["c", "code", "day", "c"]]
    with pytest.raises(ValueError, match="2 columns 'c'"):
        table.columns(twice)


def test_new_targets_are_read_as_the_table_was(in_file):
    table = in_file({"c": cycle("1", "2"), "y": cycle("1.234,5", "7")}, separator=";")

    def targets(*y):
        return table.targets(pd.DataFrame({"y": y}))

    np.testing.assert_array_equal(targets("2.566", "7,25"), [2566, 7.25])
    np.testing.assert_array_equal(targets(2.5, 7), [2.5, 7])
    with pytest.raises(ValueError, match=r"no number in 1 of 2 rows, e.g. \"7.25\""):
        targets("2.566", "7.25")
    with pytest.raises(ValueError, match="missing in 1 of the rows"):
        targets("n.d.", "7,25")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"decimal": ",", "thousands": ","},
            "decimal=',' and thousands=',' are the same",
        ),
        ({"decimal": "comma"}, r"decimal='comma' has to be one of the marks '.', ','"),
        ({"thousands": ""}, "thousands='' has to be one of"),
        ({"day_first": "yes"}, "day_first='yes' has to be True, False or None"),
        ({"drop": ["c"], "text": ["c"]}, "'c' is in drop and text"),
        ({"number": ["c"], "text": ["c"]}, "'c' is in text and number"),
        ({"number": ["d"]}, r"no column 'd' to read as numbers. There are 'shop'"),
        ({"text": ["C"]}, "no column 'C' to take as text. Did you mean 'c'?"),
        ({"text": "c"}, r"Give a list: text=\['c'\]"),
        ({"text": ["y"]}, r"'y' is for the target.*add --classes"),
        ({"number": ["shop"]}, "'shop' is for the task, which is always text"),
        ({"number": ["y"], "classes": True}, "'y' is for classes, which are text"),
    ],
)
def test_options_that_contradict_are_refused(in_file, options, said):
    with pytest.raises(ValueError, match=said):
        in_file({"c": cycle("1", "2")}, **options)


def test_dates_as_text_have_a_time_where_those_of_the_table_do(in_file):
    days = [pd.Timestamp(day) for day in ("2021-01-31", "2021-02-01", "2021-02-01T10")]
    for stamps, name in ((days[:2], "2021-01-31"), (days, "2021-01-31T00:00:00")):
        table = in_file({"c": cycle(*stamps)}, ".parquet", text=["c"])
        X = table.columns(pd.DataFrame({"c": days[:1]}))
        assert X[f"c = {name}"].to_list() == [1]


@pytest.mark.parametrize(
    ("values", "new", "names"),
    [
        ([1, 2, 3], [1.0, np.nan, 3.0, 9.0], ["1", "(none)", "3", None]),
        ([1, 2, 3], [Decimal("2.00"), 1, 3.0, None], ["2", "1", "3", "(none)"]),
        ([1.0, 2.5, 3.0], [1, 3, 9, None], ["1.0", "3.0", None, "(none)"]),
        ([Decimal("1.50"), Decimal("0.10")], [1.5, 0.1, np.nan], ["1.50", "0.10",
                                                                  "(none)"]),
        ([0.5, 1.5], [Decimal("0.50"), Decimal("1.5")], ["0.5", "1.5"]),
    ],
)  # fmt: skip
def test_numbers_of_another_type_are_the_same_codes(in_file, values, new, names):
    holes = [None, *cycle(*values)[1:]]
    table = in_file(
        {"c": pd.Series(holes, dtype=object), "label": cycle(*values)},
        ".parquet",
        text=["c"],
        target="label",
        classes=True,
        drop=["y"],
    )
    X = table.columns(pd.DataFrame({"c": pd.Series(new, dtype=object)}))
    shown = [next((c for c in X if row[c]), None) for _, row in X.iterrows()]
    assert shown == [name and f"c = {name}" for name in names]
    seen = [
        (v, n) for v, n in zip(new, names, strict=True) if n not in (None, "(none)")
    ]
    given, expected = map(list, zip(*seen, strict=True))
    y = table.targets(pd.DataFrame({"label": pd.Series(given, dtype=object)}))
    np.testing.assert_array_equal(y, expected)


def test_new_rows_read_by_pandas_have_the_codes_of_the_table(in_file):
    codes = [None, *cycle(1, 2, 3)[1:]]
    table = in_file({"c": pd.array(codes, dtype="Int64")}, ".parquet", text=["c"])
    rows = pd.read_parquet(in_file.path).astype({"c": float})
    pd.testing.assert_frame_equal(
        table.columns(rows), table.columns(pd.read_parquet(in_file.path))
    )
    for value in (1.5, 1e17, np.inf):
        with pytest.raises(ValueError, match=r"text from whole numbers, and .* others"):
            table.columns(pd.DataFrame({"c": [1.0, value]}))


def test_infinite_numbers_are_no_numbers(in_file):
    many = np.arange(N) / 4
    many[[3, 5]] = np.inf, -np.inf
    with pytest.raises(
        ValueError,
        match=r"'y' holds what is no number in 2 of 40 rows, e.g. \"inf\"\.",
    ):
        in_file({"c": cycle(1, 2), "y": many}, ".parquet")
    table = in_file({"c": many}, ".parquet")
    assert in_file.line(table, "c").endswith('2 are no numbers and missing, e.g. "inf"')
    with pytest.warns(UserWarning, match=r"2 of 40 values are no number, e.g. \"inf\""):
        X = table.columns(pd.DataFrame({"c": many}))
    np.testing.assert_array_equal(X.c, np.where(np.isinf(many), np.nan, many))
    with pytest.raises(ValueError, match=r"no number in 1 of 2 rows, e.g. \"inf\""):
        table.targets(pd.DataFrame({"y": [np.inf, 1]}))
    table = in_file({"c": cycle(np.inf, None), "z": cycle(1, 2, 3)}, ".parquet")
    assert in_file.line(table, "c") == (
        "'c' was left out: it has no numbers that can be read: 20 values, e.g. \"inf\"."
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"task": 0}, "task=0 has to be the name of a column, a str"),
        ({"target": None}, "target=None has to be the name of a column"),
        (
            {"text": None},
            r"text=None has to be a list of names .*; text=\[\] names none",
        ),
        ({"drop": [["c"]]}, r"drop=\[\['c'\]\] has to be a list of names"),
        ({"number": 3}, "number=3 has to be a list of names"),
        ({"drop": map(str, ["c"])}, "drop=<map .* has to be a list of names"),
    ],
)
def test_what_is_no_name_is_refused(in_file, options, said):
    with pytest.raises(TypeError, match=said):
        in_file({"c": cycle("1", "2")}, **options)


def test_frames_of_other_libraries_are_taken(in_file):
    days = pd.date_range("2021-01-31", periods=N)
    table = in_file(
        {"c": cycle("a", "b"), "i": cycle(1, 2, 3), "d": days}, ".parquet", text=["i"]
    )
    rows = {"c": ["b", None], "i": [3, None], "d": [days[0].to_pydatetime(), None]}
    expected = table.columns(pd.DataFrame(rows))
    assert expected.filter(like=" = ").sum().to_dict() == {
        "c = a": 0, "c = b": 1, "i = 1": 0, "i = 2": 0, "i = 3": 1,
    }  # fmt: skip
    for frame in (pl.DataFrame(rows), pa.table(rows)):
        pd.testing.assert_frame_equal(table.columns(frame), expected)
    np.testing.assert_array_equal(table.targets(pl.DataFrame({"y": [1, 2]})), [1, 2])


@pytest.mark.parametrize("name", ["columns", "targets"])
def test_what_are_no_rows_is_refused(in_file, name):
    take = getattr(in_file({"c": cycle("1", "2")}), name)
    for rows in ({"c": ["1"], "y": [1]}, pd.Series(["1"], name="c"), [["1"]], None,
                 pl.LazyFrame({"c": ["1"]})):  # fmt: skip
        with pytest.raises(
            TypeError, match=f"DataFrame, .*: got {type(rows).__name__}"
        ):
            take(rows)
    with pytest.raises(ValueError, match="The frame has no rows"):
        take(pd.DataFrame({"c": [], "y": []}))


def test_classes_that_never_change_say_what_was_left_out(in_file):
    with pytest.raises(
        ValueError,
        match=r"'y' never changes: \"b\"\. 20 of 40 rows without 'shop' or 'y' w",
    ):
        in_file({"c": cycle("1", "2"), "y": cycle("", "b")}, classes=True)
