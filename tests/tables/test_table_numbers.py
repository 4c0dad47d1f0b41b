"""Numbers in tables: one way of writing for a whole column, and no guesses."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from skmeta.tables import read_table

N = 40


def cycle(*values):
    return [values[i % len(values)] for i in range(N)]


@pytest.mark.parametrize(
    ("texts", "numbers", "said"),
    [
        (["10,25", "3", "-0,5"], [10.25, 3, -0.5], '"10,25" as 10.25, decimal comma'),
        (["10.25", "3", ".5"], [10.25, 3, 0.5], '"10.25" as 10.25'),
        (["0.882", "2.566", "1"], [0.882, 2.566, 1], '"2.566" as 2.566, decimal point'),
        (["1.234.567", "2.566", "882"], [1234567, 2566, 882],
         '"1.234.567" as 1234567, point of thousands'),
        (["1,234.5", "2,566", "882"], [1234.5, 2566, 882],
         '"1,234.5" as 1234.5, comma of thousands'),
        (["1.234,5", "2.566", "882"], [1234.5, 2566, 882],
         '"1.234,5" as 1234.5, decimal comma, point of thousands'),
        (["1 234", "12 345 678", "5"], [1234, 12345678, 5],
         '"1 234" as 1234, space of thousands'),
        (["1\u202f234,5", "\u22125", "7"], [1234.5, -5, 7],
         '"1\u202f234,5" as 1234.5, decimal comma, space of thousands'),
        (["1'234.5", "2\u2019000", "7"], [1234.5, 2000, 7],
         '"1\'234.5" as 1234.5, apostrophe of thousands'),
        (["1e3", "-2.5E-3", "+7"], [1000, -0.0025, 7], '"1e3" as 1000'),
        (["12.5%", "7 %", "100%"], [12.5, 7, 100], '"12.5%" as 12.5, without its "%"'),
        (["$1,234.50", "-$5", "$-7"], [1234.5, -5, -7],
         '"$1,234.50" as 1234.5, comma of thousands, without its "$"'),
        (["6,19 \u20ac", "1.500 \u20ac", "7 \u20ac"], [6.19, 1500, 7],
         '"1.500 \u20ac" as 1500, point of thousands, without its "\u20ac"'),
        (["36 months", "1 month", "60 months"], [36, 1, 60],
         '"36 months" as 36, without its "month"'),
        (["12 kg", "7 kg", "0.5 kg"], [12, 7, 0.5], '"12 kg" as 12, without its "kg"'),
        (["TRUE", "false", "True"], [1, 0, 1], '"TRUE" as 1'),
    ],
)  # fmt: skip
def test_a_way_of_writing_is_read_as_a_whole(in_file, texts, numbers, said):
    table = in_file({"c": cycle(*texts)}, separator=";")
    X = table.columns(read_table(in_file.path))
    np.testing.assert_array_equal(X.c, cycle(*numbers))
    assert in_file.line(table, "c") == f"'c' (number): {said}"


@pytest.mark.parametrize(
    "texts",
    [
        ["1.2.3", "1.2.4", "2.0.1"], ["c12", "c13", "c1"], ["5 kg", "500 g", "7 kg"],
        ["$5", "\u20ac6", "$7"], ["inf", "nan", "Infinity"], ["yes", "no", "maybe"],
        ["007", "07", "7"], ["01", "10", "11"], ["1_000", "2_000", "3"],
        ["12345678901234567", "12345678901234568", "1"], ["1,00,000", "2,00,000", "5"],
        ["10:30", "11:45", "9:15"], ["1-2", "3-4", "5-6"], ["1/2", "3/4", "5/6"],
        ["0x1", "0x2", "0x3"], ["01.02", "03.04", "05.12"],
    ],
)  # fmt: skip
def test_what_is_text_stays_text_to_the_character(in_file, texts):
    table = in_file({"c": cycle(*texts)})
    assert table.kinds == {"c": "text"}
    assert set(table.tasks.feature_names) == {f"c = {text}" for text in texts}


def test_codes_are_said_to_be_codes(in_file):
    notes = " ".join(in_file({"c": cycle("007", "07", "7")}).notes)
    assert 'Digits such as "007" are codes' in notes
    assert "--number 'c'" in notes
    notes = " ".join(in_file({"c": cycle("5 kg", "500 g")}).notes)
    assert 'different units, e.g. "5 kg" and "500 g"' in notes


AMBIGUOUS = cycle("2.566", "1.582", "882", "992")
IN_THOUSANDS, IN_UNITS = (
    cycle(2566, 1582, 882, 992),
    cycle(2.566, 1.582, 882, 992),
)


def test_numbers_that_can_be_read_in_two_ways_are_left_out_by_name(in_file):
    table = in_file({"c": AMBIGUOUS, "z": cycle("1", "2", "3")}, separator=";")
    assert table.kinds == {"z": "number"}
    said = in_file.line(table, "c")
    assert said.startswith("'c' was left out: it can be read in two ways: 40 numbers")
    assert 'e.g. "2.566", which is 2.566 or 2566.' in said
    assert "--decimal, --thousands" in said


def test_the_other_columns_of_the_file_decide(in_file):
    unmarked = cycle("2.566", "1.582", "2500", "992")
    for values, proof, numbers in (
        (AMBIGUOUS, cycle("10,25", "7"), IN_THOUSANDS),
        (AMBIGUOUS, cycle("1.234.567", "7"), IN_THOUSANDS),
        (unmarked, cycle("10.25", "7"), cycle(2.566, 1.582, 2500, 992)),
        (unmarked, cycle("1,234,567", "7"), cycle(2.566, 1.582, 2500, 992)),
    ):
        table = in_file({"c": values, "z": proof}, separator=";")
        assert in_file.line(table, "c").endswith("as in other columns")
        np.testing.assert_array_equal(
            table.columns(read_table(in_file.path)).c, numbers
        )
    two = {"c": AMBIGUOUS, "a": cycle("10,25", "7"), "b": cycle("10.25", "7")}
    assert "two ways" in in_file.line(in_file(two, separator=";"), "c")


@pytest.mark.parametrize(
    ("values", "proof", "separator"),
    [
        (AMBIGUOUS, cycle("10.15", "7.30", "24.12"), ";"),
        (AMBIGUOUS, cycle("10.25", "7"), "\t"),
        (AMBIGUOUS, cycle("1,234,567", "7"), ";"),
        (cycle("300", "313", "1.002", "1.990"), cycle("10.15"), ";"),
        (cycle("1.002", "1.990"), cycle("10.15"), ";"),
        (cycle("$1.002", "$300"), cycle("10.15"), ";"),
        (cycle("2,566", "1,582", "882"), cycle("1,5", "2,7"), ","),
        (cycle("2,566", "1,582", "2500"), cycle("10.15"), ","),
        (cycle("2.566", "1.582", "2500"), cycle("10,15"), ";"),
        (cycle("2.566", "1,582", "25"), cycle("10,15"), ";"),
        (AMBIGUOUS, cycle("7,32", "6,50"), ","),
    ],
)
def test_what_a_column_looks_like_is_not_overruled(in_file, values, proof, separator):
    columns = {"z": proof, "a": cycle("1", "2", "3")}
    table = in_file(columns | {"c": values}, separator=separator)
    assert "c" not in table.kinds
    assert "can be read in two ways: 40 numbers" in in_file.line(table, "c")
    with pytest.raises(ValueError, match=r"target 'y' can be read in two .*--decimal"):
        in_file(columns | {"y": values}, separator=separator)


def test_between_commas_a_point_of_a_target_stays_the_decimal_mark(in_file):
    for proof in (cycle("10.15", "7"), cycle("1", "2")):
        table = in_file({"z": proof, "y": AMBIGUOUS})
        np.testing.assert_array_equal(table.tasks.y, IN_UNITS)


def test_the_target_is_proof_and_takes_it(in_file):
    table = in_file({"c": AMBIGUOUS, "y": cycle("0,5", "1,5", "7")}, separator=";")
    np.testing.assert_array_equal(table.tasks.y, cycle(0.5, 1.5, 7))
    np.testing.assert_array_equal(
        table.columns(read_table(in_file.path)).c, IN_THOUSANDS
    )
    table = in_file({"c": cycle("10,25", "7"), "y": AMBIGUOUS}, separator=";")
    np.testing.assert_array_equal(table.tasks.y, IN_THOUSANDS)
    with pytest.raises(ValueError, match=r"target 'y' can be read in two ways.*--deci"):
        in_file({"c": cycle("1", "7"), "y": AMBIGUOUS}, separator=";")


def test_between_commas_a_point_is_the_decimal_mark(in_file):
    table = in_file({"c": AMBIGUOUS, "d": [v.replace(".", ",") for v in AMBIGUOUS]})
    np.testing.assert_array_equal(table.columns(read_table(in_file.path)).c, IN_UNITS)
    assert "two ways" in in_file.line(table, "d")
    proven = in_file(
        {"d": [v.replace(".", ",") for v in AMBIGUOUS], "z": cycle("0.5", "1")}
    )
    np.testing.assert_array_equal(
        proven.columns(read_table(in_file.path)).d, IN_THOUSANDS
    )


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({"decimal": "."}, IN_UNITS), ({"decimal": ","}, IN_THOUSANDS),
        ({"thousands": "."}, IN_THOUSANDS), ({"thousands": ","}, IN_UNITS),
        ({"decimal": ",", "thousands": "."}, IN_THOUSANDS),
        ({"thousands": " "}, IN_UNITS),
    ],
)  # fmt: skip
def test_the_user_overrules(in_file, options, numbers):
    table = in_file({"c": AMBIGUOUS}, separator=";", **options)
    np.testing.assert_array_equal(table.columns(read_table(in_file.path)).c, numbers)
    table = in_file({"c": cycle("1", "2"), "y": AMBIGUOUS}, separator=";", **options)
    np.testing.assert_array_equal(table.tasks.y, numbers)


def test_few_values_of_another_way_of_writing_are_missing(in_file):
    ints = [str(i) for i in range(38)]
    table = in_file({"c": ["1.5", "2,5", *ints], "z": cycle("0,5", "7")}, separator=";")
    assert 'is no number and missing, e.g. "1.5"' in in_file.line(table, "c")
    table = in_file({"c": ["1.5", "2,5", *ints], "z": cycle("1", "2")}, separator=";")
    assert (
        'two ways: 40 numbers, e.g. "1.5", which is 1.5 or no number'
        in in_file.line(table, "c")
    )


def test_long_whole_numbers_are_codes_by_their_type_too(in_file):
    long = [10**17 + 3 * (i % 3) for i in range(N)]
    table = in_file({"c": long}, suffix=".parquet")
    assert set(table.tasks.feature_names) == {f"c = {value}" for value in set(long)}
    X = table.columns(pd.DataFrame({"c": [10**17 + 3]}))
    assert X[f"c = {10**17 + 3}"].to_list() == [1]
    long = [10**17 + 300 * (i % 3) for i in range(N)]
    assert in_file({"c": long}, suffix=".parquet", number=["c"]).kinds == {
        "c": "number"
    }


def test_a_mark_that_is_both_decides_nothing(in_file):
    table = in_file({"c": cycle("0.5", "1.234.567", "2.555"), "z": cycle("1", "2")})
    assert table.kinds["c"] == "text"
    few_commas = ["1,5"] + 35 * ["1.5", "2.25"][:1] + ["1,234"] + 3 * ["2.25"]
    table = in_file({"c": few_commas})
    with pytest.warns(UserWarning, match=r"2 of 40 values are no number, e.g. \"1,5\""):
        X = table.columns(read_table(in_file.path)).c
    assert np.flatnonzero(X.isna()).tolist() == [0, 36]
    assert '2 are no numbers and missing, e.g. "1,5"' in in_file.line(table, "c")


def test_some_values_that_are_no_numbers_are_missing_and_counted(in_file):
    values = [f"{i / 7:.2f}" for i in range(N)]
    table = in_file({"c": ["n.d.", "n.d.", *values[2:]]})
    assert in_file.line(table, "c").endswith('; 2 are marked as missing, e.g. "n.d."')
    assert table.notes[0].startswith("2 values are missing")
    X = table.columns(read_table(in_file.path)).c
    np.testing.assert_array_equal(X, [np.nan, np.nan, *map(float, values[2:])])
    table = in_file({"c": ["<0.1", "<0.1", *values[2:]]})
    assert in_file.line(table, "c").endswith(
        '; 2 are no numbers and missing, e.g. "<0.1"'
    )
    with pytest.warns(
        UserWarning, match=r"2 of 40 values are no number, e.g. \"<0.1\""
    ):
        X = table.columns(read_table(in_file.path)).c
    np.testing.assert_array_equal(X, [np.nan, np.nan, *map(float, values[2:])])
    half = in_file({"c": [v if i % 2 else "NA" for i, v in enumerate(values)]})
    assert '20 are marked as missing, e.g. "NA"' in in_file.line(half, "c")


def test_a_column_that_is_neither_is_left_out_with_both_counts(in_file):
    values = [f"{i / 7:.2f}" if i % 2 else f"w{i}" for i in range(N)]
    table = in_file({"c": values, "z": cycle("1", "2", "low")})
    assert (
        '20 values are numbers, e.g. "0.14", and 20 are not, e.g. "w0"'
        in in_file.line(table, "c")
    )
    assert table.kinds == {"z": "text"}
    forced = in_file({"c": values}, number=["c"])
    missing = forced.tasks.X[:, 0] != forced.tasks.X[:, 0]
    np.testing.assert_array_equal(missing, [i % 2 == 0 for i in range(N)])
    assert "20 are no numbers and missing" in in_file.line(forced, "c")


def test_codes_are_numbers_if_the_user_says_so(in_file):
    table = in_file({"c": cycle("007", "12", "07")}, number=["c"])
    np.testing.assert_array_equal(
        table.columns(read_table(in_file.path)).c, cycle(7, 12, 7)
    )
    with pytest.raises(ValueError, match=r"'y' holds codes, e.g. \"007\""):
        in_file({"c": cycle("1", "2"), "y": cycle("007", "12")})
    table = in_file({"c": cycle("1", "2"), "y": cycle("007", "12")}, number=["y"])
    np.testing.assert_array_equal(table.tasks.y, cycle(7, 12))
    with pytest.raises(ValueError, match=r"'c' has no numbers that can be read: 40"):
        in_file({"c": cycle("a", "b")}, number=["c"])
    with pytest.raises(ValueError, match="'c' can be read in two ways"):
        in_file({"c": AMBIGUOUS}, separator=";", number=["c"])


def test_numbers_are_categories_if_the_user_says_so(in_file):
    for suffix, values in ((".csv", cycle("1", "2.50")), (".parquet", cycle(1, 2))):
        table = in_file({"c": values}, suffix=suffix, text=["c"])
        assert table.kinds == {"c": "text"}
        names = {f"c = {value}" for value in values}
        assert set(table.tasks.feature_names) == names
        X = table.columns(read_table(in_file.path))
        np.testing.assert_array_equal(X["c = 1"], cycle(1, 0))


def test_types_of_a_file_are_believed(in_file):
    hour = datetime.timedelta(hours=1)
    table = in_file(
        {
            "decimal": [Decimal(i % 7) / 4 for i in range(N)],
            "duration": [i % 5 * hour for i in range(N)],
            "flag": cycle(True, False, None),
            "text": cycle("1", "2", "10"),
            "unlike": [f"{i / 7:.2f}" for i in range(N)],
            "lists": [[i % 3] for i in range(N)],
            "dicts": [{"a": i % 3} for i in range(N)],
            "bytes": cycle(b"a", b"b"),
            "clock": cycle(datetime.time(10, 30), datetime.time(11)),
            "nothing": [None] * N,
            "y": np.arange(N) / 7,
        },
        suffix=".parquet",
    )
    assert table.kinds == {
        "decimal": "number", "duration": "number", "flag": "number", "text": "text",
    }  # fmt: skip
    X = table.columns(read_table(in_file.path))
    np.testing.assert_array_equal(X["decimal"], [i % 7 / 4 for i in range(N)])
    np.testing.assert_array_equal(X["duration"], [i % 5 / 24 for i in range(N)])
    np.testing.assert_array_equal(X["flag"], cycle(1, 0, np.nan))
    np.testing.assert_array_equal(X["text = 10"], cycle(0, 0, 1))
    for name, said in (
        ("unlike", "--number 'unlike'"),
        ("lists", "in 40 rows: values of the type list"),
        ("dicts", "struct"), ("bytes", "binary"), ("clock", "time64"),
        ("nothing", "has no value"),
    ):  # fmt: skip
        assert said in in_file.line(table, name)
    np.testing.assert_array_equal(
        in_file(
            {"unlike": [f"{i / 7:.2f}" for i in range(N)]},
            suffix=".parquet",
            number=["unlike"],
        )
        .columns(read_table(in_file.path))
        .unlike,
        [float(f"{i / 7:.2f}") for i in range(N)],
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (cycle(True, False), "true and false, e.g. True. If it is a class, add --cl"),
        (pd.date_range("2021-01-01", periods=N), "dates, e.g. 2021-01-01"),
        ([datetime.timedelta(hours=i) for i in range(N)], "durations"),
        ([[i] for i in range(N)], r"type list<element: int64>, e.g. \[0\]"),
    ],
)  # fmt: skip
def test_targets_that_are_no_numbers_are_refused(in_file, values, said):
    with pytest.raises(ValueError, match=f"target 'y' holds no numbers: .*{said}"):
        in_file({"c": cycle(1, 2), "y": values}, suffix=".parquet")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            cycle("true", "false"),
            '40 of 40 rows, e.g. "true". If it is a class, add',
        ),
        (cycle("1", "2", "low", "3"), '10 of 40 rows, e.g. "low"'),
        (cycle("0.5", "1.5", "<0.1"), '13 of 40 rows, e.g. "<0.1"'),
        (cycle("2021-01-01", "2021-01-02"), '40 of 40 rows, e.g. "2021-01-01"'),
        (cycle("5 kg", "500 g"), '40 of 40 rows, e.g. "5 kg"'),
    ],
)
def test_targets_of_text_that_are_no_numbers_are_refused(in_file, values, said):
    with pytest.raises(ValueError, match=f"'y' holds what is no number in {said}"):
        in_file({"c": cycle("1", "2"), "y": values})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_marks_of_missing_targets_leave_their_rows_out(in_file, suffix):
    y = ["NA", "?", None, *(f"{i},5" for i in range(3, N))]
    table = in_file({"c": cycle("1", "2", "3"), "y": y}, suffix=suffix)
    assert table.notes[0] == "3 of 40 rows without 'shop' or 'y' were left out."
    assert in_file.line(table, "y").endswith('2 are marked as missing, e.g. "NA"')
    np.testing.assert_array_equal(table.tasks.y, np.arange(3, N) + 0.5)


def test_large_numbers_are_said_in_short(in_file):
    table = in_file({"c": cycle("1e300", "2.5e299", f"{10**300}.5")})
    assert in_file.line(table, "c") == "'c' (number): \"1e300\" as 1e+300"
    with pytest.raises(ValueError, match="never changes: 1e\\+300"):
        in_file({"c": cycle("1", "2"), "y": cycle("1e300")})
    table = in_file({"c": cycle(1e300, 123456789012.0)}, ".parquet")
    assert in_file.line(table, "c") == "'c' (number): e.g. 1e+300"
    table = in_file({"c": cycle(123456789012.0, 1e300)}, ".parquet")
    assert in_file.line(table, "c") == "'c' (number): e.g. 123456789012"
