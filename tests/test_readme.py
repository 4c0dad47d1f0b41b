"""The README's code runs as it is printed, with meta-training cut short."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def names():
    """Data of the reader, and the variables that the blocks define."""
    rng = np.random.default_rng(0)
    sales = pd.DataFrame({"shop": np.repeat(np.arange(8), 12)})
    sales["day"] = np.tile(["week", "Saturday", "Sunday"], 32)
    sales["price"] = np.where(rng.random(96) < 0.2, np.nan, rng.normal(size=96))
    sales["sold"] = sales["shop"] + rng.normal(size=96)
    new_shop, sold = sales[["day", "price"]][:9], sales["sold"][:5]
    return {"sales": sales, "new_shop": new_shop, "sold": sold}


@pytest.fixture(scope="module")
def run_until(names):
    """Run the blocks up to one, each once: a process may have some tests alone."""
    remaining = list(enumerate(BLOCKS))

    def run(last):
        while remaining and remaining[0][0] <= last:
            _, block = remaining.pop(0)
            exec(compile(block, "README.md", "exec"), names)
        return names

    return run


@pytest.fixture(autouse=True, scope="module")
def working_directory(tmp_path_factory):
    """Where the blocks write their files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("readme"))
        yield


@pytest.mark.parametrize("i", range(len(BLOCKS)))
def test_block_runs(i, run_until, short):
    run_until(i)


def test_first_block_predicts(run_until, short):
    names = run_until(0)
    assert names["yields"].shape == names["std"].shape == (32,)
    assert len(names["known"]) == 135


def test_shapes_are_as_commented(run_until, short):
    (i,) = (i for i, block in enumerate(BLOCKS) if "task_relations_" in block)
    names, block = run_until(i), BLOCKS[i]
    commented = re.findall(r"^(related\.\S+)  # \((.*?)\)", block, re.MULTILINE)
    assert len(commented) == 2
    # the block ends with one more task in the memory
    sizes = {"n_rows": 32, "n_meta_tasks": 136, "n_meta_tasks + 1": 137}
    for expression, comment in commented:
        shape = [sizes[size.strip()] for size in comment.split(",") if size.strip()]
        assert list(eval(expression, names).shape) == shape, expression


def test_commands_are_the_ones_ci_runs():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "pip install -c constraints.txt -e . && python -m skmeta\n" in README
    assert 'pip install -c constraints.txt -e ".[test]" && pytest\n' in README
    assert '-c constraints.txt -e ".[test]"' in ci
    assert "python -m skmeta" in ci
