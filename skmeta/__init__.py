"""Few-shot learning for people who use scikit-learn."""

__version__ = "0.1.0"

from ._show_versions import show_versions
from .attention import AttentionMetaClassifier, AttentionMetaRegressor
from .exceptions import NonFiniteLossError, NotMetaFittedWarning, SavedFileError
from .pipelines import meta_fit
from .saving import load, save
from .self_attention import SelfAttentionMetaClassifier, SelfAttentionMetaRegressor
from .tasks import Task, TaskCollection
from .transformer import TransformerMetaClassifier, TransformerMetaRegressor

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
