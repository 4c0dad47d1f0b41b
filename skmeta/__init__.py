"""Few-shot learning for people who use scikit-learn."""

from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__ as __version__

_HOMES = {
    "AttentionMetaClassifier": "_estimators.attention",
    "AttentionMetaRegressor": "_estimators.attention",
    "NonFiniteLossError": "exceptions",
    "NotMetaFittedWarning": "exceptions",
    "SavedFileError": "exceptions",
    "SelfAttentionMetaClassifier": "_estimators.self_attention",
    "SelfAttentionMetaRegressor": "_estimators.self_attention",
    "Task": "tasks",
    "TaskCollection": "tasks",
    "TransformerMetaClassifier": "_estimators.transformer",
    "TransformerMetaRegressor": "_estimators.transformer",
    "load": "_persistence.files",
    "meta_fit": "_estimators.pipelines",
    "save": "_persistence.files",
    "show_versions": "_utils.show_versions",
}
"""Where each public name lives. It is imported on first use, so that `skmeta.tasks` and
`skmeta.datasets` need no torch."""

__all__ = [
    "AttentionMetaClassifier",
    "AttentionMetaRegressor",
    "NonFiniteLossError",
    "NotMetaFittedWarning",
    "SavedFileError",
    "SelfAttentionMetaClassifier",
    "SelfAttentionMetaRegressor",
    "Task",
    "TaskCollection",
    "TransformerMetaClassifier",
    "TransformerMetaRegressor",
    "load",
    "meta_fit",
    "save",
    "show_versions",
]

if TYPE_CHECKING:  # what tools see that do not run the code
    from ._estimators.attention import AttentionMetaClassifier, AttentionMetaRegressor
    from ._estimators.pipelines import meta_fit
    from ._estimators.self_attention import (
        SelfAttentionMetaClassifier,
        SelfAttentionMetaRegressor,
    )
    from ._estimators.transformer import (
        TransformerMetaClassifier,
        TransformerMetaRegressor,
    )
    from ._persistence.files import load, save
    from ._utils.show_versions import show_versions
    from .exceptions import NonFiniteLossError, NotMetaFittedWarning, SavedFileError
    from .tasks import Task, TaskCollection


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *_HOMES])
