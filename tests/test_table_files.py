"""Text files are read cell by cell, and rows of another width are refused."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from skmeta.tables import read_table, read_tasks


def written(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


ROWS = [f"s{i // 5},{i % 3},{i / 8}" for i in range(20)]


@pytest.mark.parametrize("every", [1, 2])
def test_separators_at_the_ends_of_rows_are_dropped(every, tmp_path):
    rows = [row + "," * (i % every == 0) for i, row in enumerate(ROWS)]
    path = written(tmp_path / "a.csv", "shop,x,y\n" + "\n".join(rows))
    table = read_tasks(path, task="shop", target="y")
    assert table.tasks.names == ("s0", "s1", "s2", "s3")
    np.testing.assert_array_equal(table.tasks.y, np.arange(20) / 8)
    np.testing.assert_array_equal(table.tasks.X[:, 0], np.arange(20) % 3)
    which = "all" if every == 1 else "10 of 20"
    assert table.notes[0] == (
        f"A separator at the end of {which} rows was dropped: no field follows."
    )


def test_a_separator_at_the_end_of_the_header_is_dropped(tmp_path):
    path = written(tmp_path / "a.csv", "shop,x,y,\n" + "\n".join(ROWS))
    assert list(read_table(path)) == ["shop", "x", "y"]
    some = "shop,x,y,\n" + "".join(f"{r}{',' * (i % 2)}\n" for i, r in enumerate(ROWS))
    assert list(read_table(written(path, some))) == ["shop", "x", "y"]
    both = "shop,x,y,\n" + "".join(f"{row},\n" for row in ROWS)
    assert list(read_table(written(path, both))) == ["shop", "x", "y", "Unnamed: 3"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: [*rows, "Total,20"],
         r"row 21 \(line 22\) has 2 fields, fewer than the 3 of the header: "
         r"'Total \| 20'. Fill it up .*; delete it if it is a comment, a total"),
        (lambda rows: [*rows, "# made in May"],
         r"row 21 \(line 22\) has 1 field, fewer than the 3 .* '# made in May'"),
        (lambda rows: [rows[0], rows[1] + ",7", *rows[2:]],
         r"row 2 \(line 3\) has 4 fields, more than the 3 of the header: "
         r"'s0 \| 1 \| 0.125 \| 7'. Put cells that hold the separator in quotes"),
        (lambda rows: [f'"{i}",{row}' for i, row in enumerate(rows)],
         r"row 1 \(line 2\) has 4 fields.* and so on in 20 rows. Name its first field"),
        (lambda rows: [*rows, 's3,"1,2'], "line 22: unexpected end of data"),
        (lambda rows: [*rows, 's3,"1" x,2'], "line 22: ',' expected after"),
    ],
)  # fmt: skip
def test_rows_of_another_width_are_refused(change, said, tmp_path):
    text = "shop,x,y\n" + "\n".join(change(ROWS))
    with pytest.raises(ValueError, match=f"'a.csv' cannot be read as csv: {said}"):
        read_table(written(tmp_path / "a.csv", text))


def test_names_of_columns_are_of_one_column_each(tmp_path):
    path = written(tmp_path / "a.csv", "shop, x ,x\na,1,2\n")
    with pytest.raises(ValueError, match="two columns are called 'x'"):
        read_table(path)
    frame = read_table(written(path, ",shop,\n1,a,2\n"))
    assert list(frame) == ["Unnamed: 0", "shop", "Unnamed: 2"]
    days = "".join(f"s{i // 5},2021-01-{i + 1:02d},{i % 3},{i}\n" for i in range(20))
    with pytest.raises(ValueError, match=r"would be called 'day \(month\)'"):
        read_tasks(
            written(path, "shop,day,day (month),y\n" + days), task="shop", target="y"
        )
    text = "".join(f"s{i // 5},{'bc'[i % 2]},{i % 3},{i}\n" for i in range(20))
    with pytest.raises(ValueError, match="would be called 'a = b'"):
        read_tasks(written(path, "shop,a,a = b,y\n" + text), task="shop", target="y")


def test_cells_are_as_they_are_written(tmp_path):
    text = 'a;"b; c"\r\n NA;"1;""2"""\r\n\r\n007;\r\n"two\nlines";1,50\r\n'
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        for first in ("", "sep=;\r\n"):
            frame = read_table(written(tmp_path / "a.csv", first + text, encoding))
            assert list(frame) == ["a", "b; c"]
            assert frame["a"].to_list() == [" NA", "007", "two\nlines"]
            assert frame["b; c"].to_list() == ['1;"2"', "", "1,50"]


def test_letters_that_are_not_utf8_are_said_to_be_guessed(tmp_path):
    text = "shop,x,y\n" + "\n".join(ROWS).replace("s1", "\u20ac\u00e9")
    path = written(tmp_path / "a.csv", text, "cp1252")
    table = read_tasks(path, task="shop", target="y")
    assert "\u20ac\u00e9" in table.tasks.names
    assert table.notes[0] == "The file is not UTF-8: its letters were read as cp1252."


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_types_of_files_that_polars_writes(suffix, tmp_path):
    n, path = 20, tmp_path / f"a{suffix}"
    frame = pl.DataFrame(
        {
            "shop": [f"s{i // 5}" for i in range(n)],
            "y": [i / 4 for i in range(n)],
            "grade": pl.Series(["low", "high"] * 10, dtype=pl.Enum(["low", "high"])),
            "sort": pl.Series(["a", None] * 10, dtype=pl.Categorical),
            "count": pl.Series([i % 5 for i in range(n)], dtype=pl.UInt8),
            "part": [float("nan") if i % 3 else i / 8 for i in range(n)],
            "pair": pl.Series([[1, 2]] * n, dtype=pl.Array(pl.Int64, 2)),
        }
    )
    frame.write_parquet(path) if suffix == ".parquet" else frame.write_ipc(path)
    table = read_tasks(path, task="shop", target="y")
    assert table.kinds == {
        "grade": "text", "sort": "text", "count": "number", "part": "number",
    }  # fmt: skip
    for rows in (read_table(path), frame.to_pandas()):
        X = table.columns(rows)
        np.testing.assert_array_equal(X["grade = low"], [1, 0] * 10)
        np.testing.assert_array_equal(X["sort = (none)"], [0, 1] * 10)
        np.testing.assert_array_equal(X["count"], np.arange(n) % 5)
        np.testing.assert_array_equal(X["part"], frame["part"].to_numpy())
    assert isinstance(read_table(path).dtypes["count"], pd.ArrowDtype)
