"""The README's code runs as it is printed, with meta-training cut short."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skmeta.tasks import check_tasks

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
MEMORY = np.random.default_rng(0).normal(size=(4, 6, 3))


class Files:
    """Stands for a user's sequence that loads on access."""

    def __init__(self, pattern):
        self.pattern = pattern

    def __len__(self):
        return len(MEMORY)

    def __getitem__(self, i):
        return MEMORY[i, :, :2], MEMORY[i, :, 2]


class Simulator:
    """Stands for a user's task distribution."""

    def sample(self, n_tasks, random_state):
        draws = np.random.default_rng(random_state).normal(size=(n_tasks, 6, 3))
        return [(draw[:, :2], draw[:, 2]) for draw in draws]


@pytest.fixture(scope="module")
def names():
    """What the README's reader has, and what its blocks leave behind."""
    (X1, y1), (X2, y2) = ((task[:, :2], task[:, 2]) for task in MEMORY[:2])
    X, y = np.vstack([X1, X2]), np.concatenate([y1, y2])
    groups = np.repeat(["a", "b"], 6)
    frame = pd.DataFrame(X, columns=["base", "solvent"])
    frame = frame.assign(**{"yield": y, "reaction": groups})
    rng = np.random.default_rng(0)
    sales = pd.DataFrame({"shop": np.repeat(np.arange(8), 12)})
    sales["day"] = np.tile(["week", "Saturday", "Sunday"], 32)
    sales["price"] = np.where(rng.random(96) < 0.2, np.nan, rng.normal(size=96))
    sales["sold"] = sales["shop"] + rng.normal(size=96)
    new_shop, sold = sales[["day", "price"]][:9], sales["sold"][:5]
    return locals() | {"Files": Files, "Simulator": Simulator}


@pytest.fixture(autouse=True, scope="module")
def folder_of_its_own(tmp_path_factory):
    """Where the blocks leave their files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("readme"))
        yield


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("\n")[0])
def test_block_runs(block, names, short):
    exec(compile(block, "README.md", "exec"), names)


def test_first_block_predicts(names):
    assert names["yields"].shape == names["std"].shape == (32,)
    assert len(names["known"]) == 135


def test_every_way_in_gives_tasks(names):
    (block,) = (block for block in BLOCKS if "tasks = [" in block)
    ways = [line for line in block.splitlines() if line.startswith("tasks = ")]
    assert len(ways) == 6
    for line in ways:
        exec(line, names)
        check_tasks(names["tasks"])


def test_shapes_are_as_commented(names):
    (block,) = (block for block in BLOCKS if "task_embedding_ " in block)
    sizes = {
        "n_features": 12,
        "n_rows": 32,
        "n_support": 5,
        "embed_dim": 48,
        "n_meta_tasks": 135,
    }
    commented = re.findall(r"^(model\.\S+)  # \((.*?)\)", block, re.MULTILINE)
    assert len(commented) == 7
    for expression, comment in commented:
        shape = [size.strip() for size in comment.split(",") if size.strip()]
        value = eval(expression, names)
        assert value.ndim == len(shape)
        for found, size in zip(value.shape, shape, strict=True):
            assert found == sizes.get(size, found), expression


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_commands_are_the_ones_ci_runs():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "pip install -c constraints.txt -e . && python -m skmeta\n" in README
    assert 'pip install -c constraints.txt -e ".[test]" && pytest\n' in README
    assert '-c constraints.txt -e ".[test]"' in ci
    assert "python -m skmeta" in ci
