"""Dates in tables: one format for a whole column, and no guesses."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from skmeta.tables import read_table, read_tasks

N = 40
DAYS = pd.date_range("2021-01-01", periods=N)
FIRSTS = pd.date_range("2021-01-01", periods=N, freq="MS")
needs_far_dates = pytest.mark.skipif(
    pd.to_datetime("9999-12-31", format="%Y-%m-%d", errors="coerce") is pd.NaT,
    reason="pandas 2 reads no date beyond 2262 from text",
)


def since_2000(dates):
    return (dates - pd.Timestamp("2000-01-01")) / pd.Timedelta(days=1)


@pytest.fixture
def read(in_file):
    """Reads columns from a file as a table, beside one of numbers."""

    def read(columns, suffix=".csv", **options):
        return in_file({"x": np.arange(N) % 7 / 7} | columns, suffix, **options)

    return read


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("%d.%m.%Y", '"02.01.2021" as 2 January 2021, day first'),
        ("%m/%d/%Y", '"01/02/2021" as 2 January 2021, month first'),
        ("%d/%m/%Y", '"02/01/2021" as 2 January 2021, day first'),
        ("%d-%m-%Y", '"02-01-2021" as 2 January 2021, day first'),
        ("%Y-%m-%d", '"2021-01-01" as 1 January 2021'),
        ("%Y/%m/%d", '"2021/01/01" as 1 January 2021'),
        ("%Y.%m.%d", '"2021.01.01" as 1 January 2021'),
        ("%Y%m%d", '"20210101" as 1 January 2021'),
        (
            "%d.%m.%y",
            '"02.01.21" as 2 January 2021, day first, years from 1969 to 2068',
        ),
        (
            "%m/%d/%y",
            '"01/02/21" as 2 January 2021, month first, years from 1969 to 20',
        ),
        ("%d %b %Y", '"01 Jan 2021" as 1 January 2021'),
        ("%d-%b-%Y", '"01-Jan-2021" as 1 January 2021'),
        ("%d-%b-%y", '"01-Jan-21" as 1 January 2021, years from 1969 to 2068'),
        ("%d%b%Y", '"01Jan2021" as 1 January 2021'),
        ("%B %d, %Y", '"January 01, 2021" as 1 January 2021'),
        ("%a, %d %b %Y", '"Fri, 01 Jan 2021" as 1 January 2021'),
    ],
)
def test_a_format_is_read_as_a_whole(read, in_file, code, said):
    table = read({"d": DAYS.strftime(code)})
    assert table.kinds == {"x": "number", "d": "date"}
    assert in_file.line(table, "d").startswith(f"'d' (date): {said}")
    X = table.columns(read_table(in_file.path))
    np.testing.assert_array_equal(X["d (day)"], since_2000(DAYS))
    np.testing.assert_array_equal(X["d (month)"], DAYS.month)
    np.testing.assert_array_equal(X["d (weekday)"], DAYS.day_of_week)


@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        ("2021-01-31T10:30:00", "2021-01-31 10:30"),
        ("2021-01-31 10:30:00.250", "2021-01-31 10:30:00.250"),
        ("2021-01-31T10:30:00Z", "2021-01-31 10:30"),
        ("2021-01-31T10:30:00+02:00", "2021-01-31 10:30"),
        ("2021-01-31 23:30 -0130", "2021-01-31 23:30"),
        ("31.01.2021, 10:30", "2021-01-31 10:30"),
        ("1/31/2021 10:30:15 PM", "2021-01-31 22:30:15"),
        ("1/31/2021 12:05 a.m.", "2021-01-31 00:05"),
        ("31/Jan/2021:10:30:00 +0000", "2021-01-31 10:30"),
        ("1st Sept. 2021", "2021-09-01"),
        ("31. 1. 2021", "2021-01-31"),
        ("2021-01", "2021-01-01"),
        ("12/2021", "2021-12-01"),
        ("Dec 2021", "2021-12-01"),
        pytest.param("9999-12-31", "9999-12-31", marks=needs_far_dates),
    ],
)
def test_times_zones_and_months(read, in_file, text, stamp):
    dates = [text] * 20 + [text.replace("2021", "2020").replace("9999", "2020")] * 20
    X = read({"d": dates}).columns(read_table(in_file.path))
    day = since_2000(pd.Timestamp(stamp))
    assert X["d (day)"].iloc[0] == pytest.approx(day, abs=1e-9)


def test_dates_that_can_be_read_in_two_ways_are_left_out_by_name(read, in_file):
    table = read({"d": FIRSTS.strftime("%d/%m/%Y")})
    assert table.kinds == {"x": "number"}
    assert in_file.line(table, "d") == (
        "'d' was left out: it can be read in two ways: 40 dates, e.g. \"01/02/2021\", "
        "which is 1 February 2021 or 2 January 2021. Say --day-first or --no-day-first "
        "(day_first= in Python)."
    )
    for day_first, dates in ((True, FIRSTS), (False, pd.to_datetime(
        FIRSTS.strftime("%d/%m/%Y"), format="%m/%d/%Y"
    ))):  # fmt: skip
        table = read({"d": FIRSTS.strftime("%d/%m/%Y")}, day_first=day_first)
        X = table.columns(read_table(in_file.path))
        np.testing.assert_array_equal(X["d (day)"], since_2000(dates))


def test_the_other_columns_of_the_file_decide(read, in_file):
    dates = {"d": FIRSTS.strftime("%d/%m/%Y")}
    table = read(dates | {"e": DAYS.strftime("%d.%m.%Y")})
    assert in_file.line(table, "d").endswith("day first, as in other columns")
    X = table.columns(read_table(in_file.path))
    np.testing.assert_array_equal(X["d (day)"], since_2000(FIRSTS))
    table = read(dates | {"e": DAYS.strftime("%m/%d/%Y")})
    assert in_file.line(table, "d").endswith("month first, as in other columns")
    both = {"e": DAYS.strftime("%m/%d/%Y"), "f": DAYS.strftime("%d/%m/%Y")}
    assert "two ways" in in_file.line(read(dates | both), "d")


def test_years_between_hyphens_may_be_first(read, in_file):
    dates = pd.date_range("2013-02-01", periods=N)
    table = read({"d": dates.strftime("%y-%m-%d")})
    assert "two ways" in in_file.line(table, "d")
    X = read({"d": dates.strftime("%d-%m-%y")}, day_first=True).columns(
        read_table(in_file.path)
    )
    np.testing.assert_array_equal(X["d (day)"], since_2000(dates))
    dates = pd.date_range("1999-02-01", periods=N)
    X = read({"d": dates.strftime("%y-%m-%d")}).columns(read_table(in_file.path))
    np.testing.assert_array_equal(X["d (day)"], since_2000(dates))


def test_days_and_months_first_in_one_column_are_no_dates(read, in_file):
    half = [*DAYS[:20].strftime("%d/%m/%Y"), *DAYS[20:].strftime("%m/%d/%Y")]
    table = read({"d": half})
    assert "d" not in table.kinds
    said = "Some of its dates have the day first and some the month."
    assert in_file.line(table, "d").endswith(said)
    one = [*DAYS[:39].strftime("%d/%m/%Y"), "01/31/2021"]
    assert in_file.line(read({"d": one}), "d").endswith(said)


def test_what_is_written_otherwise_than_the_user_says_is_left_out(read, in_file):
    table = read({"d": DAYS.strftime("%d/%m/%Y")}, day_first=False)
    assert "d" not in table.kinds
    assert "not written as --day-first, --decimal or" in in_file.line(table, "d")


@pytest.mark.parametrize(
    "texts",
    [["1.2.3", "2.1.10", "1.10.2"], ["10.4.12", "10.4.13", "10.5.11"],
     ["192.168.1.1", "10.0.0.1", "10.0.0.2"], ["31. Januar 2021", "1. Mai 2021", "x"],
     ["00000000", "99999999", "20211301"], ["Q1 2021", "Q2 2021", "Q3 2021"]],
)  # fmt: skip
def test_what_is_no_date(read, texts):
    table = read({"d": [texts[i % 3] for i in range(N)]})
    assert table.kinds["d"] == "text"


def test_numbers_of_eight_digits_are_dates_if_each_is_one(read, in_file):
    for suffix in (".csv", ".parquet"):
        numbers = DAYS.strftime("%Y%m%d").astype(int)
        table = read({"d": numbers}, suffix)
        assert in_file.line(table, "d") == "'d' (date): {} as 1 January 2021".format(
            '"20210101"' if suffix == ".csv" else "20210101"
        )
        X = table.columns(pd.DataFrame({"x": 1, "d": [20210301, 20210302]}))
        np.testing.assert_array_equal(X["d (month)"], [3, 3])
        table = read({"d": [20211301, *numbers[1:]]}, suffix)
        assert table.kinds["d"] == "number"
        assert read({"d": numbers}, suffix, number=["d"]).kinds["d"] == "number"
    floats = numbers.astype(float).where(np.arange(N) > 0)
    assert in_file.line(read({"d": floats}, ".parquet"), "d").endswith(
        "20210102 as 2 January 2021"
    )
    np.testing.assert_array_equal(read({"y": numbers}, ".parquet").tasks.y, numbers)
    table = read({"d": ["-", "NA", *numbers[2:].astype(str)]})
    assert in_file.line(table, "d") == (
        '\'d\' (date): "20210103" as 3 January 2021; 2 are marked as missing, e.g. "-"'
    )


def test_four_fifths_of_dates_are_enough(read):
    dates = DAYS[:32].strftime("%d.%m.%Y")
    assert read({"d": [*dates, *"abcdefgh"]}).kinds["d"] == "date"
    assert "d" not in read({"d": [*dates[:31], *"abcdefghi"]}).kinds


def test_values_that_are_no_dates_are_missing_and_counted(read, in_file):
    dates = ["unknown", "31.02.2021", "later", *DAYS[3:].strftime("%d.%m.%Y")]
    table = read({"d": dates})
    assert in_file.line(table, "d") == (
        "'d' (date): \"04.01.2021\" as 4 January 2021, day first; 1 is marked as "
        'missing, e.g. "unknown"; 2 are no dates and missing, e.g. "31.02.2021"'
    )
    with pytest.warns(UserWarning, match="2 of 40 values are no date"):
        X = table.columns(read_table(in_file.path))
    missing = X["d (day)"].isna()
    assert np.flatnonzero(missing).tolist() == [0, 1, 2]
    np.testing.assert_array_equal(X["d (day)"][3:], since_2000(DAYS[3:]))


def test_types_of_a_file_are_believed(read, in_file):
    table = read(
        {
            "stamp": DAYS + pd.Timedelta(hours=6),
            "day": DAYS.date,
            "zone": DAYS.tz_localize("Europe/Berlin"),
            "text": DAYS.strftime("%Y-%m-%d"),
        },
        ".parquet",
    )
    assert table.kinds == {
        "x": "number",
        **dict.fromkeys(["stamp", "day", "zone"], "date"),
    }
    X = table.columns(read_table(in_file.path))
    np.testing.assert_array_equal(X["stamp (day)"], since_2000(DAYS) + 0.25)
    np.testing.assert_array_equal(X["day (day)"], since_2000(DAYS))
    np.testing.assert_allclose(X["zone (day)"], since_2000(DAYS))
    assert "each value reads as a date: save the column as dates" in in_file.line(
        table, "text"
    )


def test_new_rows_are_read_as_the_table_was(read):
    table = read({"d": DAYS.strftime("%d.%m.%Y")})
    march = since_2000(pd.Timestamp("2021-03-01"))
    for value in ("01.03.2021", "01.03.2021 00:00", pd.Timestamp("2021-03-01")):
        X = table.columns(pd.DataFrame({"x": [1.0], "d": [value]}))
        assert X["d (day)"].to_list() == [march]
    mixed = pd.Series([pd.Timestamp("2021-03-01"), "01.03.2021", None], dtype=object)
    X = table.columns(pd.DataFrame({"x": 1.0, "d": mixed}))
    np.testing.assert_array_equal(X["d (day)"], [march, march, np.nan])
    with pytest.warns(
        UserWarning, match=r"'d': 1 of 1 values are no date, e.g. \"2021-03"
    ):
        X = table.columns(pd.DataFrame({"x": [1.0], "d": ["2021-03-01"]}))
    assert X["d (day)"].isna().all()


def test_dates_are_those_of_the_clock_of_their_zone(read, in_file):
    local = pd.date_range("2021-02-28 23:30", periods=N)
    zoned = local.tz_localize("Europe/Berlin")
    texts = [stamp.isoformat() for stamp in zoned]  # +01:00, and +02:00 from 28 March
    for suffix, values in ((".parquet", zoned), (".csv", texts)):
        table = read({"d": values}, suffix)
        said = in_file.line(table, "d")
        for rows in (read_table(in_file.path), pd.DataFrame({"x": 1.0, "d": zoned}),
                     pd.DataFrame({"x": 1.0, "d": local})):  # fmt: skip
            X = table.columns(rows)
            np.testing.assert_allclose(X["d (day)"], since_2000(local), rtol=1e-12)
            np.testing.assert_array_equal(X["d (month)"], local.month)
            np.testing.assert_array_equal(X["d (weekday)"], local.day_of_week)
        how = "the clock of Europe/Berlin", "each by the clock of its zone"
        assert said.endswith(how[suffix == ".csv"])
    table = read({"d": zoned}, ".parquet")
    utc = zoned.tz_convert("UTC")
    for values in (utc, utc.astype(object)):
        X = table.columns(pd.DataFrame({"x": 1.0, "d": values}))
        np.testing.assert_array_equal(X["d (weekday)"], local.day_of_week)
    same = read({"d": [f"{day:%Y-%m-%d %H:%M}+01" for day in local]})
    assert "own zone" not in in_file.line(same, "d")


@pytest.mark.parametrize(
    ("dtype", "far", "shown"),
    [(pa.date32(), 2933262, "10000-12-31"),
     (pa.date64(), -(10**15), "-29719-04-06"),
     (pa.timestamp("us"), 2**61, "75039-04-04"), (pa.timestamp("s"), 10**12, "33658-"),
     (pa.timestamp("us", "Europe/Berlin"), 253402300799000000, "9999-12-31")],
)  # fmt: skip
def test_dates_beyond_the_calendar_are_missing(dtype, far, shown, tmp_path):
    per_day = {pa.date32(): 1, pa.date64(): 86_400_000}.get(dtype)
    per_day = per_day or 86_400 * {"s": 1, "us": 10**6}[dtype.unit]
    days = [(18628 + i) * per_day for i in range(N - 2)]
    whole = pa.int32() if per_day == 1 else pa.int64()
    table = pa.table(
        {
            "task": [f"t{i // 10}" for i in range(N)],
            "d": pa.array([far, far, *days], whole).cast(dtype),
            "y": pa.array(np.arange(N) / 4),
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    read = read_tasks(tmp_path / "a.parquet", task="task", target="y")
    (said,) = (note for note in read.notes if note.startswith("'d'"))
    assert '2 are no dates and missing, e.g. "' + shown in said
    with pytest.warns(UserWarning, match="2 of 40 values are no date"):
        X = read.columns(read_table(tmp_path / "a.parquet"))
    expected = [np.nan, np.nan, *since_2000(DAYS[: N - 2])]
    np.testing.assert_array_equal(X["d (month)"].isna(), np.isnan(expected))
    np.testing.assert_allclose(X["d (day)"], expected, atol=1 / 24)


def test_zones_that_are_not_known_are_named(tmp_path):
    stamps = pa.array(np.arange(N) * 10**12, pa.int64())
    table = pa.table({"task": ["a", "b"] * 20, "y": np.arange(N) / 4,
                      "d": stamps.cast(pa.timestamp("us", "Mars/Phobos"))})  # fmt: skip
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="'d' holds times of the zone 'Mars/Phobos'"):
        read_tasks(tmp_path / "a.parquet", task="task", target="y")


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["10 Jan", "24 Dec"], 'e.g. "10 Jan", their year is missing'),
        (["10 Jan", "11 Jan"], 'e.g. "10 Jan", their year is missing'),
        (["Jan 1st", "Sept. 2"], 'e.g. "Jan 1st", their year is missing'),
        (["1.2.21", "24.12.21"], 'e.g. "1.2.21", they are not written as those'),
        (["2021-01-31 22.00", "2021-01-30 7.00"], 'e.g. "2021-01-31 22.00", they are'),
    ],
)  # fmt: skip
def test_what_may_be_a_date_that_is_not_read_is_said(read, in_file, texts, said):
    table = read({"d": [texts[i % 2] for i in range(N)]})
    assert table.kinds["d"] == "text"
    note = next(
        note for note in table.notes if note.startswith("'d' was taken as text")
    )
    assert f"If these are dates, {said}" in note
    assert "write them as 2021-01-31" in note
