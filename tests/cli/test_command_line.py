"""``python -m skmeta compare``: the report, and a sentence for whatever goes wrong."""

import html
import io
import re
import subprocess
import sys
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    SelfAttentionMetaClassifier,
    SelfAttentionMetaRegressor,
)
from skmeta._cli import compare as command_line
from skmeta._cli import demo as demonstration
from skmeta._cli.compare import main
from skmeta.baselines import (
    MixedEffectsClassifier,
    MixedEffectsRegressor,
    PooledClassifier,
    PooledRegressor,
)
from skmeta.model_selection import _compare as comparison

LEARNERS = (
    AttentionMetaClassifier, AttentionMetaRegressor,
    SelfAttentionMetaClassifier, SelfAttentionMetaRegressor,
)  # fmt: skip
NASTY = '<script>alert("&")</script> $_{a$'


@pytest.fixture(scope="module")
def short():
    """A meta-learner of one short epoch, and a comparison of two others."""

    def estimators(tasks, classification, nway, seed):
        if classification:
            mixed = MixedEffectsClassifier()
            pooled = PooledClassifier(LogisticRegression())
        else:
            mixed, pooled = MixedEffectsRegressor(), PooledRegressor(Ridge())
        imputer = comparison.fit_imputer(tasks)
        return {
            "mixed-effects model": comparison.with_imputer(mixed, imputer),
            "pooled": comparison.with_imputer(pooled, imputer),
        }

    few = {"max_epochs": 1, "steps_per_epoch": 2, "embed_dim": 8, "n_layers": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "default_estimators", estimators)
        for learner in LEARNERS:
            patch.setattr(learner.__init__, "__defaults__", ("gp", None))
            for name, value in few.items():
                patch.setitem(learner.__init__.__kwdefaults__, name, value)
        yield


def make_frame(n_tasks=12, n_rows=9):
    rng = np.random.default_rng(0)
    n = n_tasks * n_rows
    names = [f"school {t}" for t in range(n_tasks - 1)] + [NASTY]
    frame = pd.DataFrame({"school": np.repeat(names, n_rows)})
    frame["age"] = rng.normal(size=n)
    frame["sex"] = rng.choice(["f", "m", None], n)
    frame["since"] = pd.date_range("2020-01-01", periods=n).astype(str)
    frame["row"] = np.arange(n)
    level = np.repeat(rng.normal(size=n_tasks), n_rows)
    frame["score"] = level + frame.age + 0.1 * rng.normal(size=n)
    frame["passed"] = np.where(frame.score > 0, "yes", "no")
    frame.loc[3, "age"] = np.nan
    frame[NASTY] = rng.normal(size=n)
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a table of pupils."""
    folder = tmp_path_factory.mktemp("tables")
    frame = make_frame()
    frame.loc[[0, 1, 4, len(frame) - 2], ["score", "passed"]] = None
    last = {"school": "of one pupil", "row": len(frame), "score": 1.0, "passed": "yes"}
    frame.loc[len(frame)] = last
    frame.to_csv(folder / "scores.csv", index=False)
    return folder


def arguments(folder, *more, table="scores.csv", task="school", target="score"):
    given = [str(folder / table), "--task", task, "--target", target, "--jobs", "1"]
    return [*given, "--out", str(folder / "report.html"), *more]


class Page(HTMLParser):
    """What a page holds, and whether every element is closed."""

    VOID = ("meta", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links, self.text = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "srcset"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module", params=["numbers", "classes"])
def made(request, folder, short):
    """The report, and what was printed."""
    target, more = "score", ["--drop", "since"]
    if request.param == "classes":
        target, more = "passed", ["--classes"]
    with pytest.MonkeyPatch.context() as patch:
        printed = []
        patch.setattr(
            command_line, "print", lambda *a, **_: printed.extend(a), raising=False
        )
        main(arguments(folder, *more, "--shots", "3,5", target=target))
    return (folder / "report.html").read_text("utf-8"), "\n".join(map(str, printed))


def test_the_report_is_whole_and_asks_nothing_of_a_network(made):
    page = Page(made[0])
    assert page.open == []
    assert {"script", "link", "iframe"}.isdisjoint(page.tags)
    # Scores and columns, each for a phone and for wider pages; nothing is related.
    assert len(page.links) == 4
    assert "<br>[" in made[0]
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert "http://" not in made[0]
    assert "https://" not in made[0]
    assert "width=device-width" in made[0]
    assert "prefers-color-scheme: dark" in made[0]


def test_the_report_says_all_there_is_to_say(made):
    report, printed = made
    text = Page(report).text
    for part in (
        "Scores",
        "Similar tasks",
        "No task is similar to another one in particular",
        "Feature attention",
        "Next steps",
        "The same in Python",
        "'row' numbers the rows and was left out.",
        "'school' (task): 12 tasks, e.g. \"school 0\"",
        "'sex' (text): 2 values, ",
        "4 of 109 rows without",
        "gain over best rival",
        "mixed-effects model",
    ):
        assert part in text
    assert NASTY in text  # as text, that is, escaped
    lines = {line.split()[0]: line for line in printed.splitlines() if line.split()}
    assert lines["school"].endswith('12 tasks, e.g. "school 0"')
    assert re.fullmatch(r"  sex +text +2 values, e.g. \"\w\"", lines["sex"])
    assert lines["age"].index("number") == lines["sex"].index("text")
    assert f"Report: {printed.split('Report: ')[1].strip()}" in printed
    assert "familiar tasks" not in text  # none is more or less so than others
    first = next(
        line for line in printed.splitlines() if line.startswith(("Yes", "No"))
    )
    assert first in text


def test_the_python_of_the_report_runs(made, short):
    (code,) = re.findall(r"<pre>(.*?)</pre>", made[0], re.DOTALL)
    code = html.unescape(code).replace("n_jobs=-1", "n_jobs=1")
    names = {}
    exec(compile(code, "report", "exec"), names)
    plt.close("all")
    assert str(names["comparison"]) in made[1]
    assert len(names["model"].predict(names["table"].columns(names["rows"]))) == 5
    assert isinstance(
        names["model"], AttentionMetaClassifier | AttentionMetaRegressor
    )  # what is compared by default


def refused(capsys, given):
    with pytest.raises(SystemExit) as end:
        main(given)
    assert end.value.code == 2
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return printed.err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"table": "nowhere.csv"}, "There is no file"),
        ({"table": "scores.docx"}, "'scores.docx' is of no format"),
        ({"table": "empty.csv"}, "'empty.csv' is empty"),
        ({"table": "header.csv"}, "'header.csv' holds no rows"),
        ({"table": "garbage.csv"}, "cannot be read as csv: it is not text"),
        ({"table": "noise.csv"}, "'noise.csv' holds no rows"),
        ({"table": "garbage.parquet"}, "cannot be read as parquet"),
        ({"table": "garbage.feather"}, "cannot be read as feather"),
        ({"task": "scholl"}, "no column 'scholl' for the task. Did you mean 'school'?"),
        ({"task": "zzz"}, "There are 'school', 'age'"),
        ({"target": "Score"}, "Did you mean 'score'?"),
        ({"target": "school"}, "the same column"),
        ({"task": "row"}, "Every row has a different 'row'"),
        ({"target": "passed"}, "add --classes"),
        ({"target": "flag"}, "add --classes"),
        ({"target": "same"}, "'same' never changes: 1"),
        ({"task": "half"}, "'half' makes 2 tasks of two rows or more"),
        ({"task": "pair"}, "Half of the tasks have no more than 2 rows"),
    ],
)
def test_bad_tables_end_with_a_sentence_and_2(given, message, tmp_path, capsys):
    frame = make_frame()
    frame["same"], frame["half"] = 1, np.arange(len(frame)) % 2
    frame["pair"], frame["flag"] = np.arange(len(frame)) // 2, frame.score > 0
    frame.to_csv(tmp_path / "scores.csv", index=False)
    noise = np.random.default_rng(0).integers(128, 256, 4000, dtype=np.uint8)
    for name in ("garbage.csv", "garbage.parquet", "garbage.feather"):
        (tmp_path / name).write_bytes(b"\0\1" + noise.tobytes())
    (tmp_path / "noise.csv").write_bytes(noise.tobytes())
    (tmp_path / "scores.docx").write_text("text")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("school,age,score\n")
    error = refused(capsys, arguments(tmp_path, **given))
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--shots", "three"], "'three' is not a list of whole numbers above 0"),
        (["--shots", "3,0"], "'3,0' is not a list"),
        (["--shots", "3,3"], "'3,3' holds a number twice"),
        (["--shots", "50"], "n_support=50 needs a task of at least 51 rows"),
        (["--out", "no/where.html"], "there is no folder 'no'"),
        (["--seed", "x"], "is not a whole number"),
        (["--drop", "agee"], "no column 'agee' to drop. Did you mean 'age'?"),
        (["--drop", "school"], "'school' is for the task, and cannot be dropped"),
        (["--classes"], "too many to be classes"),
    ],
)
def test_bad_arguments_end_with_a_sentence_and_2(more, message, folder, capsys):
    assert message in refused(capsys, arguments(folder, *more))


@pytest.mark.parametrize("out", ["scores.csv", "./scores.csv", "link.csv", "hard.csv"])
def test_the_report_never_replaces_the_table(out, tmp_path, capsys):
    make_frame().to_csv(tmp_path / "scores.csv", index=False)
    (tmp_path / "link.csv").symlink_to(tmp_path / "scores.csv")
    (tmp_path / "hard.csv").hardlink_to(tmp_path / "scores.csv")
    before = (tmp_path / "scores.csv").read_bytes()
    for table in ("scores.csv", "link.csv"):
        given = arguments(tmp_path, "--out", f"{tmp_path}/{out}", table=table)
        error = refused(capsys, given)
        assert "is the table itself, which the report would replace" in error
        assert out.removeprefix("./") in error
    assert (tmp_path / "scores.csv").read_bytes() == before


def test_the_report_replaces_no_file_but_another_report(tmp_path, monkeypatch, capsys):
    make_frame().to_csv(tmp_path / "scores.csv", index=False)
    for content in ("school,age\n", "", "<html>"):
        (tmp_path / "report.html").write_text(content)
        error = refused(capsys, arguments(tmp_path))
        assert "report.html' is there already, and is no report that" in error
        assert (tmp_path / "report.html").read_text() == content
    (tmp_path / "report.html").write_text("<!DOCTYPE html>\n<html>")
    monkeypatch.setattr(command_line, "compare", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(arguments(tmp_path))


def test_too_few_tasks_are_counted_without_those_of_one_row(tmp_path, capsys):
    frame = make_frame(n_tasks=8).astype({"school": object})
    one = frame.head(30).assign(school=[f"of one {i}" for i in range(30)])
    pd.concat([frame, one]).to_csv(tmp_path / "scores.csv", index=False)
    error = refused(capsys, arguments(tmp_path))
    assert (
        "'school' makes 8 tasks of two rows or more. A comparison needs at least 10"
        in error
    )


def test_ctrl_c_ends_it_quietly(folder, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "compare", interrupted)
    with pytest.raises(SystemExit) as end:
        main(arguments(folder))
    assert end.value.code == 130
    assert "Stopped" in capsys.readouterr().err


OPTIONS = ["--drop", "a", "--text", "b", "--text", "c", "--number", "d", "--decimal",
           ",", "--thousands", ".", "--no-day-first"]  # fmt: skip
RULES = {"drop": ["a"], "text": ["b", "c"], "number": ["d"], "decimal": ",",
         "thousands": ".", "day_first": False}  # fmt: skip


def test_options_say_how_columns_are_read(folder, monkeypatch):
    given = []

    def read_tasks(path, **how):
        given.append(how)
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "read_tasks", read_tasks)
    names = {"task": "school", "target": "score", "classes": False}
    plain = dict.fromkeys(["decimal", "thousands", "day_first"])
    for more, rules in (
        (OPTIONS, RULES),
        ([], plain | {"drop": [], "text": [], "number": []}),
        (["--day-first"], RULES | plain | {"day_first": True, "drop": [], "text": [],
                                           "number": []}),
    ):  # fmt: skip
        with pytest.raises(SystemExit):
            main(arguments(folder, *more))
        assert given[-1] == names | rules


def test_the_python_of_the_report_reads_the_table_in_the_same_way():
    names = {"task": "school", "target": "score", "classes": True}
    plain = {"drop": [], "text": [], "number": [], "decimal": None, "thousands": None,
             "day_first": None}  # fmt: skip
    for rules in (RULES, plain | {"day_first": True}, plain):
        code = command_line.read_arguments("a.csv", names | rules)
        given = eval(f"(lambda path, **how: (path, how))({code})")
        kept = {name: v for name, v in rules.items() if v is not None and v != []}
        assert given == ("a.csv", names | kept)
    assert code == "'a.csv', task='school', target='score', classes=True"


def ascii_streams(monkeypatch):
    """Make streams show nothing but ASCII; gives what will be written on them."""
    streams = {}
    for name in ("stdout", "stderr"):
        streams[name] = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        monkeypatch.setattr(sys, name, streams[name])

    def written(name):
        streams[name].flush()
        return streams[name].buffer.getvalue().decode("ascii")

    return written


def test_names_that_cannot_be_shown_end_no_run(tmp_path, monkeypatch):
    written = ascii_streams(monkeypatch)
    make_frame().rename(columns={"age": "\u4ef7\u683c"}).to_csv(
        tmp_path / "scores.csv", index=False
    )
    reached = []
    monkeypatch.setattr(
        command_line, "compare", lambda *_, **__: reached.append(1) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        main(arguments(tmp_path))
    assert reached == [1]
    assert re.search(r"  \?\? +number", written("stdout"))
    with pytest.raises(SystemExit):
        main(arguments(tmp_path, target="\u4ef7"))
    assert "There is no column '?' for the target" in written("stderr")


def test_the_demonstration_shows_what_it_can(monkeypatch):
    written = ascii_streams(monkeypatch)
    monkeypatch.setattr(demonstration, "demonstrate", lambda *_, **__: print("R\u00b2"))
    demonstration.main([])
    assert written("stdout") == "R?\n"


def test_tables_that_cannot_be_used_end_with_a_sentence_and_2(tmp_path, capsys):
    frame = make_frame()
    frame["tags"] = [[1, i % 3] for i in range(len(frame))]
    frame.to_parquet(tmp_path / "scores.parquet")
    for name in ("task", "target"):
        error = refused(
            capsys, arguments(tmp_path, table="scores.parquet", **{name: "tags"})
        )
        assert "'tags' holds" in error
        assert "type list<element: int64>, e.g. [1, 0]" in error
    frame["score"] = (1000 * (frame.score - frame.score.min() + 1.1)).map(
        "{:.0f}".format
    )
    frame["score"] = frame.score.str.replace(r"(\d{3})$", r".\1", regex=True)
    frame[["school", "sex", "score"]].to_csv(tmp_path / "scores.csv", sep=";")
    error = refused(capsys, arguments(tmp_path))
    assert "The target 'score' can be read in two ways: 108 numbers" in error


def test_the_module_runs_from_a_shell(tmp_path):
    command = [sys.executable, "-m", "skmeta", "compare", str(tmp_path / "a.csv")]
    command += ["--task", "a", "--target", "b"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("python -m skmeta compare: There is no file")
