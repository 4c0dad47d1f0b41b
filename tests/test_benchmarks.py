"""Names of the package that benchmarks use, found without running them."""

import ast
import importlib
import re
from pathlib import Path

import pytest
import torch

import skmeta

BENCHMARKS = sorted((Path(__file__).parents[1] / "benchmarks").glob("**/*.py"))
PACKAGE = sorted(Path(skmeta.__file__).parent.glob("**/*.py"))


@pytest.fixture(scope="module")
def private():
    """Private attributes and methods in the package and of torch's modules."""
    name = re.compile(r"(?:\.|^ +(?:def )?)(_[a-z]\w*)", re.MULTILINE)
    texts = (path.read_text(encoding="utf-8") for path in PACKAGE)
    return set(dir(torch.nn.Module())).union(*map(name.findall, texts))


def imported(tree):
    """Local name -> object, of what is imported from skmeta, and what is missing."""
    known, missing = {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] != "skmeta":
                    continue
                module = find(alias.name, missing)
                name = alias.asname or "skmeta"
                known[name] = module if alias.asname else importlib.import_module(name)
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module.split(".")[0] != "skmeta":
                continue
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                known[alias.asname or alias.name] = find(full, missing)
    return {name: found for name, found in known.items() if found is not None}, missing


def find(full, missing):
    """The module or the member of a module with this full name, or None."""
    parent, _, name = full.rpartition(".")
    try:
        return importlib.import_module(full)
    except ModuleNotFoundError:
        pass
    try:
        return getattr(importlib.import_module(parent), name)
    except (ModuleNotFoundError, AttributeError):
        missing.append(full)
    return None


def lacks(owner, name):
    """Whether a module or a class surely has no such attribute."""
    return isinstance(owner, type | type(ast)) and not hasattr(owner, name)


def chains(tree, known):
    """Dotted names that begin with an imported one but have no such attribute."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        names, root = [node.attr], node.value
        while isinstance(root, ast.Attribute):
            names.append(root.attr)
            root = root.value
        if not isinstance(root, ast.Name) or root.id not in known:
            continue
        owner = known[root.id]
        for name in reversed(names):
            if lacks(owner, name):
                yield ast.unparse(node)
            owner = getattr(owner, name, None)


def patched(tree, known):
    """Names that are patched as strings in imported modules or classes without them."""
    functions = "object", "multiple", "setattr", "getattr"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        called = getattr(node.func, "attr", getattr(node.func, "id", None))
        owner = known.get(getattr(node.args[0], "id", None))
        if called not in functions or owner is None:
            continue
        names = [keyword.arg for keyword in node.keywords if called == "multiple"]
        if called != "multiple":
            names = [a.value for a in node.args[1:2] if isinstance(a, ast.Constant)]
        for name in filter(None, names):
            if lacks(owner, name):
                yield f"{ast.unparse(node.args[0])}.{name}"


def private_attributes(tree, private):
    """Private attributes of any object that neither ``tree`` nor the package has."""
    own = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    for node in ast.walk(tree):
        is_private = isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr)
        if is_private and node.attr not in private | own:
            yield ast.unparse(node)


def unresolved(source, private):
    """All that is not there of what ``source`` uses of the package."""
    tree = ast.parse(source)
    known, missing = imported(tree)
    found = chains(tree, known), patched(tree, known), private_attributes(tree, private)
    return sorted(set(missing).union(*found))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_names_of_the_package_are_there(path, private):
    assert unresolved(path.read_text(encoding="utf-8"), private) == []


def test_names_that_are_not_there_are_found(private):
    source = """
import skmeta._training.loop
import skmeta._training.gone
import skmeta._training.meta_training as steps
from skmeta import no_such_thing, AttentionMetaRegressor
from skmeta._training import initialization as start
from skmeta._training.split import split_tasks, MetaSplit
patch.object(start, "choose_start", None)
patch.object(start, "initialize", None)
patch.multiple(MetaSplit, map=None, split=None)
setattr(steps, "attend", None)
skmeta._training.loop.train(skmeta._training.loop.QueryLoss)
MetaSplit.split_at, steps.meta_train, steps.PRIOR_SHARE
learner._system, learner._architecture._replace, network._modules
"""
    assert unresolved(source, private) == [
        "MetaSplit.split",
        "MetaSplit.split_at",
        "learner._system",
        "skmeta._training.gone",
        "skmeta._training.loop.train",
        "skmeta.no_such_thing",
        "start.choose_start",
        "steps.PRIOR_SHARE",
        "steps.attend",
    ]
