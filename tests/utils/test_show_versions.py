"""`skmeta.show_versions` says what a bug report needs."""

import platform
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

import skmeta
from skmeta._utils import show_versions as show_versions_module

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture
def printed(capsys):
    """What `show_versions` prints: entries by name, of each section by title."""

    def sections():
        skmeta.show_versions()
        titles_and_lines = (
            section.split(":\n", 1) for section in capsys.readouterr().out.split("\n\n")
        )
        return {
            title: dict(line.strip().split(": ", 1) for line in lines.splitlines())
            for title, lines in titles_and_lines
        }

    return sections


def test_says_what_runs(printed):
    found = printed()
    assert found["System"]["python"].startswith(platform.python_version())
    assert found["System"]["machine"] == platform.platform()
    dependencies = found["Python dependencies"]
    assert dependencies["skmeta"] == skmeta.__version__
    for name in ("numpy", "scikit-learn", "torch"):
        assert dependencies[name] == version(name)
    assert found["PyTorch"]["threads"] == str(torch.get_num_threads())
    libraries = [found[title] for title in found if title.startswith("threadpoolctl")]
    assert {"blas", "openmp"} <= {library["user_api"] for library in libraries}


def test_knows_all_dependencies():
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    names = [re.match(r"[\w-]+", line)[0] for line in project["dependencies"]]
    assert sorted(show_versions_module.DEPENDENCIES) == sorted(names)


def test_what_is_not_installed(printed, monkeypatch):
    monkeypatch.setattr(show_versions_module, "OPTIONAL", ("no-such-package",))
    assert printed()["Python dependencies"]["no-such-package"] == "None"


def test_devices(printed, monkeypatch):
    def name(i):
        if i == 1:
            raise RuntimeError("the driver is too old\nfor this version")
        return "A GPU"

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", name)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert printed()["PyTorch"]["devices"] == (
        "cpu, cuda:0 (A GPU), cuda:1 (RuntimeError: the driver is too old)"
    )
