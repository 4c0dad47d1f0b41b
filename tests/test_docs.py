"""The code on the pages of the docs runs, with meta-training cut short."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from skmeta import datasets
from skmeta.datasets import make_linear_tasks

ROOT = Path(__file__).parents[1]


def blocks(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def names():
    """What the reader of a page has."""
    tasks = make_linear_tasks(12, n_rows=24, n_features=2, random_state=0)
    frame = pd.DataFrame(tasks.X, columns=["age", "income"])
    frame = frame.assign(score=tasks.y, school=np.repeat(np.arange(12), 24))
    X, y = tasks[0].X, tasks[0].y
    pictures = np.random.default_rng(0).normal(size=(60, 6, 6)).astype("float32")
    labels = np.repeat(np.arange(12), 5)
    return {
        "frame": frame,
        "X_new_school": X[:5], "y_new_school": y[:5], "X_others": X[5:],
        "my_tasks": tasks,
        "X_context": X[:5], "y_context": y[:5], "X_test": X[5:],
        "backbone": torch.nn.Flatten(),
        "scripts": [(pictures, labels), (pictures, labels + 12)],
        "five_pictures": pictures[:25:5], "their_labels": labels[:25:5],
        "others": pictures[1:25],
    }  # fmt: skip


@pytest.fixture
def few_reactions(monkeypatch):
    """Reactions are small tasks, and few."""
    few = make_linear_tasks(152, n_rows=10, n_features=2, random_state=0)
    monkeypatch.setattr(datasets, "load_suzuki_tasks", lambda: few)


@pytest.mark.parametrize("page", ["states", "compare", "choosing", "coming_from"])
def test_page_runs(page, names, short, few_reactions):
    code = blocks(f"docs/{page}.md")
    assert code
    for block in code:
        exec(compile(block, f"docs/{page}.md", "exec"), names)


def test_first_page_begins_as_the_readme():
    assert blocks("docs/index.md")[0] == blocks("README.md")[0]
