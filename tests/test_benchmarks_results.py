"""Result files of benchmarks, and the tables of the documentation made from them."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import skmeta

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def tables():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        spec = importlib.util.spec_from_file_location(
            "benchmark_tables", BENCHMARKS / "tables.py"
        )
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module


@pytest.fixture
def results(tables, monkeypatch, tmp_path):
    """The module, writing to an empty folder at commit abc1234."""
    module = sys.modules["_results"]
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(module, "one_thread", lambda: None)
    at = {"commit": "abc1234", "dirty": False}
    monkeypatch.setattr(module, "commit", lambda: dict(at))
    return module


def run(results, monkeypatch, *arguments, rows=()):
    """One run of a benchmark ``trial.py``."""
    monkeypatch.setattr(sys, "argv", ["benchmarks/trial.py", *map(str, arguments)])
    parser = results.argument_parser("A trial.\n\nMore.")
    parser.add_argument("data", type=Path)
    parser.add_argument("names", nargs="*", default=["a", "b"])
    parser.add_argument("--seed", type=int, default=0)
    _, found = results.open_results(parser, key=("name",), free=("names",))
    for row in rows:
        found.add(f"{row}", **row)
    return found


def test_rows_come_back_with_their_source(results, monkeypatch, tmp_path, capsys):
    rows = [
        {"name": "a", "r2": np.float64(0.123456789), "n": np.int64(3), "best": None},
        {"name": "b", "r2": float("nan"), "n": 4, "best": True},
    ]
    run(results, monkeypatch, "/home/me/data", "a", "--seed", 1, rows=rows)
    assert capsys.readouterr().out == f"{rows[0]}\n{rows[1]}\n"
    (path,) = tmp_path.iterdir()
    assert path.name == "trial-seed-1.json"
    content = results.read(path)
    assert (content["benchmark"], content["key"]) == ("trial", ["name"])
    (found,) = content["runs"]
    assert found["command"] == "python benchmarks/trial.py DATA a --seed 1"
    assert (found["commit"], found["dirty"]) == ("abc1234", False)
    assert found["settings"] == {"names": ["a"], "seed": 1}
    assert set(found["machine"]) == {"cpu", "cores", "torch", "gpu"}
    assert found["rows"] == [
        {"name": "a", "r2": 0.123457, "n": 3, "best": None},
        {"name": "b", "r2": None, "n": 4, "best": True},
    ]


def test_a_row_replaces_the_row_of_its_key_alone(results, monkeypatch, tmp_path):
    run(results, monkeypatch, "data", rows=[{"name": n, "r2": 0.5} for n in "ab"])
    monkeypatch.setattr(results, "commit", lambda: {"commit": "def5678", "dirty": True})
    run(results, monkeypatch, "data", "b", rows=[{"name": "b", "r2": 0.75}])
    old, new = results.read(tmp_path / "trial.json")["runs"]
    assert (old["commit"], old["rows"]) == ("abc1234", [{"name": "a", "r2": 0.5}])
    assert (new["commit"], new["rows"]) == ("def5678", [{"name": "b", "r2": 0.75}])


def test_two_rows_of_one_key_are_an_error(results, monkeypatch):
    with pytest.raises(ValueError, match="Two rows have the same name"):
        run(results, monkeypatch, "data", rows=[{"name": "a", "r2": r} for r in (1, 2)])


def test_nothing_is_written_on_request(results, monkeypatch, tmp_path):
    run(results, monkeypatch, "data", "--no-save", rows=[{"name": "a", "r2": 0.5}])
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_commit_is_that_of_the_package(tables, monkeypatch, tmp_path):
    package = tmp_path / "skmeta"
    package.mkdir()
    monkeypatch.setattr(skmeta, "__file__", str(package / "__init__.py"))

    def git(*arguments):
        who = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
        command = ["git", *who, *arguments]
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        return done.stdout.decode().strip()

    git("init")
    (package / "__init__.py").write_text("")
    git("add", ".")
    git("commit", "-m", "first")
    head = git("rev-parse", "--short", "HEAD")
    commit = sys.modules["_results"].commit
    (tmp_path / "notes.txt").write_text("not of the package")
    assert commit() == {"commit": head, "dirty": False}
    (package / "__init__.py").write_text("changed")
    assert commit() == {"commit": head, "dirty": True}


def record(name, commit, **numbers):
    return {
        "file": "trial", "name": name, "commit": commit, "machine": "one, 1 core",
        "note": "", **numbers,
    }  # fmt: skip


@pytest.fixture
def layout(tables):
    parts = sys.modules["_layouts.parts"]
    columns = parts.texts({"R2": ["{r2:.2f}, {gain:+.3f}", "{r2:.2f}"], "n": "{n:,}"})
    return parts.Table(parts.each("name", ("a", "b", "c")), columns, {"file": "trial"})


def test_table_of_the_newest_commit(tables, layout):
    records = [
        record("a", "abc1234", r2=0.5, n=2000),
        record("b", "abc1234", r2=-0.25, gain=-0.0001, n=None),
    ]
    assert tables.render(layout, records, "abc1234").strip().splitlines() == [
        "|  | R2 | n |",
        "| --- | --- | --- |",
        "| a | .50 | 2,000 |",
        "| b | -.25, -.000 |  |",
        "",
        "one, 1 core.",
    ]


@pytest.mark.parametrize("commit", ["abc1234", "def5678", None])
def test_table_of_another_commit_has_a_column(tables, layout, commit):
    records = [record("a", commit, r2=0.5, n=1), record("b", "abc1234", r2=0.5, n=0)]
    text = tables.render(layout, records, "def5678").strip().splitlines()
    assert text[0] == "|  | R2 | n | commit |"
    assert text[2] == f"| a | .50 | 1 | {f'`{commit}`' if commit else ''} |"
    assert text[3] == "| b | .50 | 0 | `abc1234` |"


def test_columns_of_different_commits_have_a_last_row(tables):
    parts = sys.modules["_layouts.parts"]
    lines, names = parts.each("K", (3, 5)), parts.each("name", ("a", "b"))
    table = parts.Table(lines, names, {"file": "trial"}, "{r2:.1f}")
    records = [
        record(name, commit, K=k, r2=0.5)
        for name, commit in (("a", "abc1234"), ("b", "def5678"))
        for k in (3, 5)
    ]
    text = tables.render(table, records, "def5678").strip().splitlines()
    assert text[0] == "|  | a | b |"
    assert text[4] == "| commit | `abc1234` | `def5678` |"


def test_check_finds_a_changed_number(
    tables, results, layout, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(tables, "TABLES", {"trial": layout})
    docs, page = tmp_path / "docs", tmp_path / "docs" / "page.md"
    docs.mkdir()
    page.write_text("Before\n\n<!-- table: trial -->\n<!-- end -->\n\nafter\n")
    assert tables.main(tmp_path, docs, ["--check"])
    assert "trial.json is missing" in capsys.readouterr().err
    run(results, monkeypatch, "data", rows=[{"name": "a", "r2": 0.5, "n": 3}])
    assert not tables.main(tmp_path, docs, [])
    assert not tables.main(tmp_path, docs, ["--check"])
    monkeypatch.setattr(results, "commit", lambda: {"commit": "9", "dirty": False})
    run(results, monkeypatch, "data", "--seed", 1, rows=[{"name": "a", "r2": 1.0}])
    assert not tables.main(tmp_path, docs, ["--check"])  # in no table
    written = page.read_text()
    assert "| a | .50 | 3 |" in written
    page.write_text(written.replace(".50", ".51"))
    assert tables.main(tmp_path, docs, ["--check"])
    assert "trial differs" in capsys.readouterr().err
    assert ".51" in page.read_text()


def test_tables_of_the_documentation_are_those_of_the_result_files(tables, capsys):
    assert not tables.main(arguments=["--check"]), capsys.readouterr().err
