"""The code on the pages of the docs runs, with meta-training cut short; links exist."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from skmeta import datasets
from skmeta.datasets import make_linear_tasks
from skmeta.tasks import check_tasks

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
N_REACTIONS = 152
COMMENTED = {
    "classification": (2, {"n_rows": 714}),
    "predictions": (
        11,
        {
            "n_rows": 10,
            "n_support": 5,
            "n_features": 2,
            "embed_dim": 48,
            "n_meta_tasks": 150,
            "n_base_features": None,
            "n_base_learners": None,
        },
    ),
}
"""Pages with shapes in comments: how many, and the sizes; None may be any."""


def blocks(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


class Files:
    """A user's sequence that loads its tasks on access."""

    def __init__(self, pattern):
        self.rows = np.random.default_rng(0).normal(size=(4, 6, 3))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i, :, :2], self.rows[i, :, 2]


class Simulator:
    """A user's task distribution."""

    def sample(self, n_tasks, random_state):
        draws = np.random.default_rng(random_state).normal(size=(n_tasks, 6, 3))
        return [(draw[:, :2], draw[:, 2]) for draw in draws]


def sales_of_shops():
    """A table of shops, and the first rows of another one."""
    rng = np.random.default_rng(0)
    sales = pd.DataFrame({"shop": np.repeat(np.arange(8), 12)})
    sales["day"] = np.tile(["week", "Saturday", "Sunday"], 32)
    sales["price"] = np.where(rng.random(96) < 0.2, np.nan, rng.normal(size=96))
    sales["sold"] = sales["shop"] + rng.normal(size=96)
    new_shop, sold = sales[["day", "price"]][:9], sales["sold"][:5]
    return {"sales": sales, "new_shop": new_shop, "sold": sold}


@pytest.fixture
def names():
    """Data of the reader of a page."""
    tasks = make_linear_tasks(12, n_rows=24, n_features=2, random_state=0)
    frame = pd.DataFrame(tasks.X, columns=["age", "income"])
    frame = frame.assign(score=tasks.y, school=np.repeat(np.arange(12), 24))
    X, y = tasks[0].X, tasks[0].y
    images = np.random.default_rng(0).normal(size=(60, 6, 6)).astype("float32")
    labels = np.repeat(np.arange(12), 5)
    return sales_of_shops() | {
        "frame": frame,
        "X": tasks.X, "y": tasks.y, "groups": frame["school"].to_numpy(),
        "X1": X, "y1": y, "X2": tasks[1].X, "y2": tasks[1].y,
        "Files": Files, "Simulator": Simulator,
        "X_new_school": X[:5], "y_new_school": y[:5], "X_others": X[5:],
        "my_tasks": tasks,
        "X_context": X[:5], "y_context": y[:5], "X_test": X[5:],
        "backbone": torch.nn.Flatten(),
        "scripts": [(images, labels), (images, labels + 12)],
        "support_images": images[:25:5], "support_labels": labels[:25:5],
        "query_images": images[1:25],
    }  # fmt: skip


@pytest.fixture
def few_reactions(monkeypatch, tmp_path):
    """Reactions are small tasks, and few; files are written to a folder of the test."""
    few = make_linear_tasks(N_REACTIONS, n_rows=10, n_features=2, random_state=0)
    monkeypatch.setattr(datasets, "load_suzuki_tasks", lambda: few)
    monkeypatch.chdir(tmp_path)


def run(page, names):
    code = blocks(f"docs/{page}.md")
    assert code
    for block in code:
        exec(compile(block, f"docs/{page}.md", "exec"), names)


WITH_CODE = {page.stem for page in PAGES if blocks(page)} - {"index"}


@pytest.mark.parametrize("page", sorted(WITH_CODE - set(COMMENTED)))
def test_page_runs(page, names, short, few_reactions):
    run(page, names)


def test_first_page_begins_as_the_readme():
    assert blocks("docs/index.md") == blocks("README.md")[:1]


def test_every_way_to_pass_tasks_gives_tasks(names):
    (block,) = (block for block in blocks("docs/tasks.md") if "tasks = [" in block)
    ways = [line for line in block.splitlines() if line.startswith("tasks = ")]
    assert len(ways) == 6
    exec("from skmeta import TaskCollection", names)
    for line in ways:
        exec(line, names)
        check_tasks(names["tasks"])


@pytest.mark.parametrize("page", COMMENTED)
def test_shapes_are_as_commented(page, names, short, few_reactions):
    run(page, names)
    n_commented, sizes = COMMENTED[page]
    commented = [
        found
        for block in blocks(f"docs/{page}.md")
        for found in re.findall(r"^(\w+\.\S.*?)  # \((.*?)\)", block, re.MULTILINE)
    ]
    assert len(commented) == n_commented
    for expression, comment in commented:
        value = eval(expression, names)
        shape = [size.strip() for size in comment.split(",") if size.strip()]
        assert value.ndim == len(shape), expression
        for found, size in zip(value.shape, shape, strict=True):
            size = int(size) if size.isdecimal() else sizes[size]
            assert size in (None, found), expression


def test_what_was_tried_is_where_the_table_says():
    text = (ROOT / "docs/tried.md").read_text(encoding="utf-8")
    table = text.split("| where |\n", 1)[1].split("\n\n", 1)[0].splitlines()[1:]
    n_names = 0
    for row in table:
        idea, _, where = (cell.strip() for cell in row.strip("|").split(" | "))
        if "removed" in where:
            continue
        path = None
        for quoted in re.findall("`(.*?)`", where):
            if "/" in quoted:  # a file or folder, of a benchmark with its arguments
                name = quoted.split()[0]
                found = [p for p in (ROOT / "skmeta" / name, ROOT / name) if p.exists()]
                assert found, f"{idea}: {name}"
                path = found[0]
                continue
            assert path is not None, f"{idea}: {quoted} is in no file"
            for name in quoted.split("."):
                known = re.search(rf"\b{name}\b", path.read_text(encoding="utf-8"))
                assert known, f"{idea}: {name} is not in {path.name}"
            n_names += 1
    assert n_names > 20


def anchors(path):
    """Anchors of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda p: p.stem)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", page.read_text("utf-8"))
    for target, anchor in links:
        if target.startswith("http"):
            continue
        path = page.parent / target if target else page
        if path.parent.name == "auto_examples":
            path = ROOT / "examples" / path.with_suffix(".py").name
            path = (
                path.with_name("GALLERY_HEADER.rst") if path.stem == "index" else path
            )
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"
