"""Text files are read cell by cell, and rows of another width are refused."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

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


WIDE = [f"s{i // 10},Miller,{i % 3},{i / 8}" for i in range(40)]
HEADER = "shop,name,x,y\n"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        # An empty last column: a comma in a cell, and nothing says which it is.
        (lambda i, row: f"s{i // 10},Mil,ler,{i}," if i == 7 else f"s{i // 10},M,{i},",
         9),
        (lambda i, row: row.replace("Miller", "Mil,ler") if i % 9 == 8 else row, 10),
        # The last column is empty in some rows, in those with the comma at least.
        (lambda i, row: row.replace("Miller", "Mil, ler").rsplit(",", 1)[0] + ","
         if i % 9 == 4 else row.rsplit(",", 1)[0] + "," if i % 9 == 5 else row, 6),
        # In those with the comma alone: a name where there were numbers.
        (lambda i, row: row.replace("Miller", "Miller, J.").rsplit(",", 1)[0] + ","
         if i % 9 == 4 else row, 6),
        (lambda i, row: row.replace("Miller", "Mil,ler").rsplit(",", 1)[0] + ",,"
         if i == 4 else row + ",", 6),
    ],
)  # fmt: skip
def test_a_separator_in_a_cell_without_quotes_moves_no_column(change, line, tmp_path):
    rows = "\n".join(change(i, row) for i, row in enumerate(WIDE))
    path = written(tmp_path / "a.csv", HEADER + rows)
    with pytest.raises(ValueError, match=rf"\(line {line}\) has \d fields"):
        read_table(path)
    path = written(tmp_path / "a.csv", HEADER.replace("\n", ",\n") + rows)
    with pytest.raises(ValueError, match=r"\(line \d+\) has \d fields"):
        read_table(path)


def test_longer_rows_that_end_in_a_separator_say_how_they_can_be_read(tmp_path):
    rows = [
        f"s{i // 10},Mil,ler,{i}," if i == 7 else f"s{i // 10},Miller,{i},"
        for i in range(40)
    ]
    path = written(tmp_path / "a.csv", HEADER + "\n".join(rows))
    with pytest.raises(
        ValueError,
        match=r"row 8 \(line 9\) has 5 fields, others 4, and the last is empty: "
        r"'s0 \| Mil \| ler \| 7 \| '. That can be read in two ways: the row ends in a "
        "separator, or a cell that is not in quotes holds one. Put",
    ):
        read_table(path)


@pytest.mark.parametrize("name", ['"{}",', "{},", '"r{}",', "{}7,"])
def test_names_of_rows_move_no_column(name, tmp_path):
    rows = [name.format(i + 1) + row.rsplit(",", 1)[0] for i, row in enumerate(WIDE)]
    path = written(tmp_path / "a.csv", HEADER + "".join(row + ",\n" for row in rows))
    with pytest.raises(
        ValueError,
        match=r"every row has 5 fields, more than the 4 of the header.* two ways: rows "
        r"end in a separator, or begin with a name, e.g. .*, and have nothing in 'y'. ",
    ):
        read_table(path)


@pytest.mark.parametrize("first", ["Sales of 2020", "# made in May; by hand", "a,b"])
def test_a_title_above_the_header_is_blamed(first, tmp_path):
    path = written(tmp_path / "a.csv", f"{first}\n{HEADER}" + "\n".join(WIDE))
    with pytest.raises(ValueError, match="The first line does not look like a header"):
        read_table(path)
    path = written(tmp_path / "a.csv", f"Sales,,,\n{HEADER}" + "\n".join(WIDE))
    with pytest.raises(
        ValueError, match=r"no column 'shop' for the task\. The first line does not"
    ):
        read_tasks(path, task="shop", target="y")


def test_a_title_of_nearly_as_many_fields_may_be_no_header(tmp_path):
    path = written(tmp_path / "a.csv", f"Sales,2020,\xa0\n{HEADER}" + "\n".join(WIDE))
    with pytest.raises(ValueError, match="delete the first line if it is no header"):
        read_table(path)


@pytest.mark.parametrize("separator", ["|", "  ", " ", ":"])
def test_separators_that_are_not_read_are_named(separator, tmp_path):
    text = (HEADER + "\n".join(WIDE)).replace(",", separator)
    path = written(tmp_path / "a.csv", text)
    with pytest.raises(ValueError, match="between commas, semicolons or tabs"):
        read_tasks(path, task="shop", target="y")
    path = written(tmp_path / "a.csv", text.replace(".", ","))
    with pytest.raises(ValueError, match="between commas, semicolons or tabs"):
        read_tasks(path, task="shop", target="y")


@pytest.mark.parametrize("header", ["shop, city;x;y, EUR", "a,b;c,d;e,f,g"])
@pytest.mark.parametrize("end", ["", ";"])
def test_the_separator_is_that_under_which_rows_agree(header, end, tmp_path):
    rows = [f"s{i // 10};{i % 3},5;{i / 8}{end * (i % 2)}" for i in range(40)]
    path = written(tmp_path / "a.csv", header + "\n" + "\n".join(rows))
    frame = read_table(path)
    assert list(frame) == header.split(";")
    assert frame.iloc[:, 1].to_list() == [f"{i % 3},5" for i in range(40)]


def test_two_columns_of_a_name_are_refused_in_parquet_too(tmp_path):
    table = pa.table([pa.array([1]), pa.array([2])], names=["x", "x"])
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"two columns are called 'x'\. Give each a"):
        read_table(tmp_path / "a.parquet")
