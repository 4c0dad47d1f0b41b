"""Few-shot learning for people who use scikit-learn."""

from .attention import AttentionMetaClassifier, AttentionMetaRegressor
from .exceptions import NonFiniteLossError, NotMetaFittedWarning
from .pipelines import meta_fit
from .self_attention import SelfAttentionMetaClassifier, SelfAttentionMetaRegressor
from .tasks import Task, TaskCollection
from .transformer import TransformerMetaClassifier, TransformerMetaRegressor

__version__ = "0.1.0"

__all__ = [
    "AttentionMetaClassifier",
    "AttentionMetaRegressor",
    "NonFiniteLossError",
    "NotMetaFittedWarning",
    "SelfAttentionMetaClassifier",
    "SelfAttentionMetaRegressor",
    "Task",
    "TaskCollection",
    "TransformerMetaClassifier",
    "TransformerMetaRegressor",
    "meta_fit",
]
