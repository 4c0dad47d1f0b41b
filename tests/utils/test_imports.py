"""What is imported where: torch, and scikit-learn's private names."""

import ast
import subprocess
import sys
from pathlib import Path

import skmeta

PACKAGE = Path(skmeta.__file__).parent
DOOR = PACKAGE / "_utils" / "sklearn_private.py"


def test_tasks_tables_and_datasets_take_no_torch():
    code = (
        "import sys, skmeta.tasks, skmeta.tables, skmeta.datasets; "
        "print({'torch', 'skorch', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def private_imports(path):
    """Private names of scikit-learn that a file imports, in any scope."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, *parts = name.split(".")
            if package == "sklearn" and any(part.startswith("_") for part in parts):
                yield name


def test_private_names_of_scikit_learn_have_one_door():
    assert len(list(private_imports(DOOR))) >= 5
    others = {
        str(path.relative_to(PACKAGE)): found
        for path in PACKAGE.rglob("*.py")
        if path != DOOR and (found := list(private_imports(path)))
    }
    assert others == {}
