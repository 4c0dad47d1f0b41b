"""Any scikit-learn estimator as a base learner.

It is trained on the rows of the task and on rows of the remembered tasks, by their
relation, and it is helped: it sees, next to the columns, what the meta-learned process
says of a row, of the task's own rows without having seen them. Of numbers it learns
what the process leaves open. By the weight of "no related task" there are rows, too,
that are as the process says. What is predicted is the average of what the process says
and what the estimator does, so that little but the process is left where there is
little to learn from.
"""

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import has_fit_parameter
from threadpoolctl import threadpool_limits

from .pooled import aligned_probabilities, fitted, seeded_clone
from .task_encoder import Rows

MAX_BORROWED = 16
"""Tasks that rows are borrowed from, at most."""

MAX_ROWS = 64
"""Rows that are borrowed from a task, and made up by the process, at most."""

MAX_FOLDS = 20
MIN_WEIGHT = 1e-4


class EstimatorLearner:
    """The base learner of a network, and an estimator that has been trained for a task.

    Parameters
    ----------
    learner : module
        Base learner that helps.
    model : estimator
        Fitted by `train_estimator`.
    helped : bool
        As `train_estimator` had it.
    """

    def __init__(self, learner, model, helped):
        self.learner, self.model, self.helped = learner, model, helped

    def __getattr__(self, name):
        return getattr(self.learner, name)

    def predict(self, adapted, query):
        """Mean and variance, or logits, of the query rows of one task."""
        prediction = self.learner.predict(adapted, query)
        columns = _columns(query, prediction if self.helped else None)
        if isinstance(prediction, tuple):
            mean, variance = prediction
            return mean + self._correction(columns, mean), variance
        labels = np.arange(prediction.shape[-1])
        if hasattr(self.model, "predict_proba"):
            p = self.model.predict_proba(columns)
            p = aligned_probabilities(p, self.model.classes_, labels)
        else:
            p = self.model.predict(columns)[:, None] == labels
        p = prediction.new_tensor(p)[None]
        if self.helped:
            p = (p + prediction.softmax(-1)) / 2
        return p.log().clamp(min=torch.finfo(p.dtype).min)

    def components(self, adapted, query, joint=False):
        """The distribution of the query rows' targets, ``joint`` with covariances."""
        prediction = self.learner.predict(adapted, query)
        columns = _columns(query, prediction if self.helped else None)
        correction = self._correction(columns, prediction[0])[:, None]
        components = self.learner.components(adapted, query, joint)
        return [c._replace(mean=c.mean + correction) for c in components]

    def _correction(self, columns, mean):
        """What the estimator adds to the mean (1, Q) of what helps it."""
        learned = mean.new_tensor(self.model.predict(columns))[None]
        return learned / 2 if self.helped else learned - mean


@torch.no_grad()
def train_estimator(estimator, state, network, adapted, X, y, weight, seed):
    """Train an estimator for the task that a network is adapted to.

    Parameters
    ----------
    estimator : estimator
        Not changed.
    state : MetaState
        Rows are borrowed from its ``tasks``; where there are none the estimator
        learns from the rows of the task alone, unhelped.
    network : MetaNetwork
        That of ``state``, on the device of ``adapted``.
    adapted : Related
        Adaptation of the network to the rows.
    X : ndarray of shape (n_rows, n_features)
    y : ndarray of shape (n_rows,)
    weight : ndarray of shape (n_rows,)
    seed : int
        Of the estimator, and of the rows that are borrowed.

    Returns
    -------
    model : estimator
        Fitted to standardised columns, and to what the process says of each row.
    """
    rng = check_random_state(seed)
    rows, encoded = state.rows(X, weight), state.encoded(y)
    target = encoded[0].numpy()
    if not state.tasks:
        parts = [(_columns(rows, None), target, weight)]
    else:
        parts = list(_borrowed(state, network.learner, adapted, rng))
        if len(X):
            device = adapted.encoding.task.device
            there = Rows(*(part.to(device) for part in rows))
            prediction = _without_seeing(network, there, encoded.to(device))
            parts.append((*_lesson(rows, prediction, target), weight))
    columns, target, weight = (np.concatenate(p) for p in zip(*parts, strict=True))
    learned = weight > MIN_WEIGHT
    columns, target, weight = columns[learned], target[learned], weight[learned]
    classes = None if encoded.is_floating_point() else np.unique(target)
    model = seeded_clone(estimator, rng)
    with threadpool_limits(1):
        if has_fit_parameter(model, "sample_weight"):
            return fitted(model, columns, target, classes, sample_weight=weight)
        drawn = _resampled(weight, rng)
        return fitted(model, columns[drawn], target[drawn], classes)


def _borrowed(state, learner, adapted, rng):
    """Columns, targets and weights of rows of related tasks, and of none."""
    share = adapted.log_relation[0].exp().cpu().numpy()
    index = adapted.index[0].cpu().numpy()
    related = np.argsort(-share[:-1])[:MAX_BORROWED]
    related = related[share[related] > MIN_WEIGHT]
    for j in related:
        X, y = _rows_of(state.tasks, index[j], MAX_ROWS, rng)
        rows, target = state.rows(X), state.encoded(y)[0].numpy()
        prediction = _predicted(learner, adapted, rows)
        yield *_lesson(rows, prediction, target), np.full(len(X), share[j])
    n = sum(map(len, state.tasks))
    some = rng.choice(n, min(n, MAX_BORROWED), replace=False)
    parts = [_rows_of(state.tasks, j, MAX_ROWS // len(some), rng)[0] for j in some]
    rows = state.rows(np.concatenate(parts))
    prediction = _predicted(learner, adapted, rows)
    if isinstance(prediction, tuple):
        lesson = _lesson(rows, prediction, prediction[0][0].cpu().numpy())
        yield *lesson, np.full(len(lesson[0]), share[-1])
        return
    columns, p = _columns(rows, prediction), prediction[0].softmax(-1).cpu().numpy()
    for label, chosen in enumerate(p.T):
        yield columns, np.full(len(columns), label), share[-1] * chosen


def _rows_of(collections, index, n, rng):
    """At most ``n`` rows of the task at ``index``, counted through collections."""
    for tasks in collections:
        if index < len(tasks):
            task = tasks[int(index)]
            some = rng.permutation(len(task.y))[: max(1, n)]
            return task.X[some], task.y[some]
        index -= len(tasks)
    raise IndexError(index)


def _predicted(learner, adapted, rows):
    device = adapted.encoding.task.device
    return learner.predict(adapted, Rows(*(part.to(device) for part in rows)))


def _without_seeing(network, rows, y):
    """What the network says of each row when adapted to the others, fold by fold."""
    n = y.shape[1]
    n_folds = min(n, MAX_FOLDS)
    fold = torch.arange(n, device=y.device) % max(n_folds, 1)
    seen = fold != torch.arange(n_folds, device=y.device)[:, None]
    rows = Rows(*(part.expand(n_folds, *part.shape[1:]) for part in rows))
    support = rows._replace(weight=rows.weight * seen)
    adapted = network.adapt(support, y.expand(n_folds, -1))
    at = fold, torch.arange(n, device=y.device)
    prediction = network.learner.predict(adapted, rows)
    if isinstance(prediction, tuple):
        return tuple(part[at][None] for part in prediction)
    return prediction[at][None]


def _lesson(rows, prediction, target):
    """What an estimator sees of rows, and what it learns of them."""
    if isinstance(prediction, tuple):
        target = target - prediction[0][0].cpu().numpy()
    return _columns(rows, prediction), target


def _columns(rows, prediction):
    """Standardised columns, and what a process says: (n_rows, n_columns)."""
    columns = rows.x[0].cpu().numpy()
    if prediction is None:
        return columns
    if isinstance(prediction, tuple):
        said = prediction[0][0][:, None]
    else:
        said = prediction[0].log_softmax(-1)
    return np.hstack([columns, said.cpu().numpy()])


def _resampled(weight, rng):
    """Systematic resampling: rows each about as often as they weigh."""
    ends = np.floor(np.cumsum(weight) + rng.uniform()).astype(int)
    return np.repeat(np.arange(len(weight)), np.diff(ends, prepend=0))
