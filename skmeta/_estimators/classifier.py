"""How meta-learners for classification check labels and predict."""

from numbers import Integral

import numpy as np
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from .._preprocessing.row_uncertainty import sharpness
from .._training.config import NWAY, SHARED_CLASSES
from .._utils.sklearn_private import Interval, StrOptions
from ..tasks._label_sharing import has_task_specific_labels
from ..tasks._row_checks import check_label_type, warn_of_one_class
from .prediction import QueryLearner


def learned_task_specific_labels(estimator):
    """Whether an estimator was meta-fitted on tasks with task-specific labels."""
    state = getattr(estimator, "meta_state_", None)
    return getattr(state, "problem", None) == NWAY


class MetaClassifier(ClassifierMixin, QueryLearner):
    """A meta-learner for classification, with shared or task-specific labels."""

    _shared_problem = SHARED_CLASSES

    _structural = (*QueryLearner._structural, "shared_classes")
    _ranges = QueryLearner._ranges | {"n_way": 2}
    _parameter_constraints = QueryLearner._parameter_constraints | {
        "shared_classes": ["boolean", StrOptions({"auto"})],
        "n_way": [Interval(Integral, 2, None, closed="left"), tuple, list],
    }

    def __init__(
        self,
        base_learner="auto",
        pooled_estimator="auto",
        *,
        shared_classes="auto",
        n_way=(2, 20),
        task_attention="auto",
        embedding=None,
        embedding_trainable=True,
        augmentation=None,
        embed_dim=48,
        n_heads=4,
        n_layers=2,
        n_support=(0, 25),
        n_query="auto",
        max_epochs="auto",
        steps_per_epoch="auto",
        batch_size="auto",
        lr="auto",
        validation_fraction=0.2,
        patience="auto",
        callbacks=None,
        device="auto",
        random_state=None,
        verbose=0,
        warm_start=False,
        **embedding__,
    ):
        super().__init__(
            base_learner,
            pooled_estimator,
            task_attention=task_attention,
            embedding=embedding,
            embedding_trainable=embedding_trainable,
            augmentation=augmentation,
            embed_dim=embed_dim,
            n_heads=n_heads,
            n_layers=n_layers,
            n_support=n_support,
            n_query=n_query,
            max_epochs=max_epochs,
            steps_per_epoch=steps_per_epoch,
            batch_size=batch_size,
            lr=lr,
            validation_fraction=validation_fraction,
            patience=patience,
            callbacks=callbacks,
            device=device,
            random_state=random_state,
            verbose=verbose,
            warm_start=warm_start,
            **embedding__,
        )
        self.shared_classes = shared_classes
        self.n_way = n_way

    def _problem_of(self, tasks):
        nway = has_task_specific_labels(self.shared_classes, tasks)
        kinds = ("shared labels", "task-specific labels")
        if self.warm_start and self._is_meta_fitted():
            was_nway = self.meta_state_.problem == NWAY
            if nway != was_nway:
                raise ValueError(
                    f"The tasks have {kinds[nway]}, but those that warm_start=True "
                    f"starts from have {kinds[was_nway]}. Set warm_start=False to "
                    "train from scratch."
                )
        if self.verbose and self.shared_classes == "auto":
            print(f"shared_classes='auto': the tasks have {kinds[nway]}.")
        return NWAY if nway else SHARED_CLASSES

    def _no_rows(self, state):
        if state.problem == NWAY:
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. It was "
                "meta-fitted on tasks with task-specific labels: call fit(X, y) with "
                "rows of the new task, whose labels are its classes."
            )
        return super()._no_rows(state)

    def _check_target(self, y):
        y = column_or_1d(y, warn=True)
        if y.dtype.kind not in "biuU":  # these are always labels
            # repeated, since scikit-learn warns of classes of one row
            check_classification_targets(np.tile(y, 3))
        return y

    def _classes_of(self, y, classes):
        if classes is None:
            return np.unique(y)
        check_label_type(y, np.asarray(classes))
        return np.union1d(classes, y)

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Add rows to the task that the estimator is adapted to.

        State change: *meta-fitted* or *adapted* -> *adapted*, as if by one ``fit`` on
        all rows since the first; in the state *new*, as ``fit``.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
        y : array-like of shape (n_rows,)
        classes : array-like of shape (n_classes,), default=None
            All classes, for an estimator that is not meta-fitted. After `meta_fit` not
            used: the classes are those of the meta-training tasks or, with
            task-specific labels, those with rows.
        sample_weight : array-like of shape (n_rows,), default=None

        Returns
        -------
        self : estimator
        """
        support = getattr(self, "_support", None)
        if classes is None and support is not None:
            classes = self.classes_
        return self._fit(X, y, sample_weight, support, classes)

    def _warn_of(self, targets):
        if targets is not None:
            warn_of_one_class(self, targets.classes)

    def _publish_targets(self, targets):
        if targets is not None:
            self.classes_ = targets.classes

    def predict_proba(self, X):
        """Predict class probabilities for rows of the task adapted to.

        State change: none. In the state *meta-fitted*, predictions are those of the
        prior (zero-shot).

        Parameters
        ----------
        X : array-like of shape (n_query, n_features)

        Returns
        -------
        probabilities : ndarray of shape (n_query, n_classes)
            In the order of ``classes_``.
        """
        X = self._query(X)
        adapted = self._adapted_task()
        (logits,) = adapted.predict(X)
        return averaged_probabilities(logits, adapted.row_variance(X))

    def predict(self, X):
        """Predict the most probable class of each row.

        State change: none; see `predict_proba`.

        Parameters
        ----------
        X : array-like of shape (n_query, n_features)

        Returns
        -------
        y : ndarray of shape (n_query,)
        """
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]

    def predict_episodes(self, episodes, return_proba=False):
        """Adapt to many tasks and predict for each, in batches.

        State change: none. Predictions do not depend on the task that the estimator
        is adapted to.

        Parameters
        ----------
        episodes : iterable of (X_support, y_support, X_query)
        return_proba : bool, default=False
            Whether to return probabilities in place of labels.

        Returns
        -------
        predictions : list of ndarray of shape (n_query,)
            With ``return_proba=True`` of shape (n_query, n_classes), in the order of
            ``classes_``; with task-specific labels, in the order of the episode's
            sorted labels.
        """
        predictions, more, targets = self._predict_episodes(episodes)
        results = [
            averaged_probabilities(logits, of_row)
            for (logits,), of_row in zip(predictions, more, strict=True)
        ]
        if return_proba:
            return results
        both = zip(results, targets, strict=True)
        return [of.classes[p.argmax(1)] for p, of in both]


def averaged_probabilities(logits, variance):
    """Class probabilities averaged over the uncertainty of the logits.

    Parameters
    ----------
    logits : ndarray of shape (n_query, n_classes)
    variance : ndarray of shape (n_query, n_classes), or 0
        Variance of the logits minus their mean over classes.

    Returns
    -------
    probabilities : ndarray of shape (n_query, n_classes)
    """
    if logits.shape[1] > 1 and not np.isscalar(variance):
        logits = logits * np.sqrt(sharpness(variance))
    return softmax(logits.astype(np.float64), axis=1)
