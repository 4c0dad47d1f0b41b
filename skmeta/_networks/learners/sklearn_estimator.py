"""Any scikit-learn estimator as a base learner.

It is trained on the rows of the task and on rows of the remembered tasks, by their
relation, and it is helped: it sees, next to the columns, the features that were
meta-learned, and what the process says of a row, of the task's own rows without having
seen them. Of numbers it learns what the process leaves open. By the weight of "no
related task" there are rows, too, that are as the process says. What is predicted is
the average of what the process says and what the estimator does, so that little but the
process is left where there is little to learn from. The pooled estimator has seen the
rows that are borrowed, so that less is left open there than of the task's own.

Where every task has classes of its own no rows are borrowed: the estimator is trained
on meta-learned features of the task's rows, and averaged with what the learner says.
"""

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import has_fit_parameter

from ..._classical.pooled import fitted, resampled, seeded_clone
from ..._classical.pooled_candidates import aligned_probabilities
from ..._episodes.batch import Rows
from ..._utils.threads import single_pool_thread

MAX_BORROWED = 16
"""Tasks that rows are borrowed from, at most."""

MAX_ROWS = 64
"""Rows that are borrowed from a task, and made up by the process, at most."""

MAX_FOLDS, FOLD_ROWS_AT_ONCE = 20, 2048
MIN_WEIGHT = 1e-4


class EstimatorLearner:
    """The base learner of a network, and an estimator that has been trained for a task.

    Parameters
    ----------
    learner : module
        Base learner that helps.
    model : estimator
        Fitted by `train_estimator`.
    help : {"process", "features"} or None
        As `help_of` has it.
    """

    def __init__(self, learner, model, help):
        self.learner, self.model, self.help = learner, model, help

    def __getattr__(self, name):
        return getattr(self.learner, name)

    def predict(self, adapted, query):
        """Mean and variance, or logits, of the query rows of one task."""
        prediction = self.learner.predict(adapted, query)
        columns = self._columns(adapted, query, prediction)
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
        if self.help is not None:
            p = (p + prediction.softmax(-1)) / 2
        return p.log().clamp(min=torch.finfo(p.dtype).min)

    def components(self, adapted, query, joint=False):
        """The distribution of the query rows' targets, ``joint`` with covariances."""
        prediction = self.learner.predict(adapted, query)
        columns = self._columns(adapted, query, prediction)
        correction = self._correction(columns, prediction[0])[:, None]
        components = self.learner.components(adapted, query, joint)
        return [c._replace(mean=c.mean + correction) for c in components]

    def _columns(self, adapted, query, prediction):
        if self.help == "process":
            return _columns(self.learner, adapted, query, prediction)
        return _own_columns(self.learner, adapted, query, self.help)

    def _correction(self, columns, mean):
        """What the estimator adds to the mean (1, Q) of what helps it."""
        learned = mean.new_tensor(self.model.predict(columns))[None]
        return learned - mean if self.help is None else learned / 2


def help_of(state):
    """What helps an estimator: the process of a `MetaState`, its features, or None."""
    if state.tasks:
        return "process"
    return "features" if state.problem == "nway" else None


@torch.no_grad()
def train_estimator(estimator, state, adapted, X, y, weight, seed):
    """Train an estimator for the task that a network is adapted to.

    Parameters
    ----------
    estimator : estimator
        Not changed.
    state : MetaState
        On the device of ``adapted``. Rows are borrowed from its ``tasks``; where there
        are none the estimator learns from the rows of the task alone.
    adapted : Related or RelatedToClasses or AdaptedClasses
        Adaptation of its network to the rows.
    X : ndarray of shape (n_rows, ...)
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
    rows, encoded = state.support(X, weight), state.encoded(y)
    weight = rows.weight[0].cpu().numpy()
    target, learner = encoded[0].cpu().numpy(), state.network.learner
    if not state.tasks:
        columns = _own_columns(learner, adapted, rows, help_of(state))
        parts = [(columns, target, weight)]
    else:
        parts = list(_borrowed(state, learner, adapted, rng))
        if len(X):
            prediction = _without_seeing(state.network, rows, encoded)
            columns = _columns(learner, adapted, rows, prediction)
            parts.append((columns, _left_open(prediction, target), weight))
    columns, target, weight = (np.concatenate(p) for p in zip(*parts, strict=True))
    # In float32 a scale leaves no trace: a last digit decides between splits of trees.
    if encoded.is_floating_point():
        target = target.astype(np.float32)
    classes = None if encoded.is_floating_point() else np.unique(target)
    model = seeded_clone(estimator, rng)
    with single_pool_thread():
        if has_fit_parameter(model, "sample_weight"):
            return fitted(model, columns, target, classes, sample_weight=weight)
        if not state.tasks:
            weight = weight / weight.mean()  # each row about once
        drawn = resampled(weight, rng)
        return fitted(model, columns[drawn], target[drawn], classes)


def _borrowed(state, learner, adapted, rng):
    """Columns, targets and weights of rows of related tasks, and of none."""
    share = adapted.log_relation[0].exp().cpu().numpy()
    index = adapted.index[0].cpu().numpy()
    related = np.argsort(-share[:-1])[:MAX_BORROWED]
    related = related[share[related] > MIN_WEIGHT]
    for j in related:
        X, y = _rows_of(state.tasks, index[j], MAX_ROWS, rng)
        rows, target = state.embedded_rows(X), state.encoded(y)[0].cpu().numpy()
        columns, prediction = _said(learner, adapted, rows)
        yield columns, _left_open(prediction, target), np.full(len(X), share[j])
    n = sum(map(len, state.tasks))
    some = rng.choice(n, min(n, MAX_BORROWED), replace=False)
    parts = [_rows_of(state.tasks, j, MAX_ROWS // len(some), rng)[0] for j in some]
    rows = state.embedded_rows(np.concatenate(parts))
    columns, prediction = _said(learner, adapted, rows)
    if isinstance(prediction, tuple):
        weight = np.full(len(columns), max(share[-1], MIN_WEIGHT))
        yield columns, np.zeros(len(columns)), weight
        return
    p = prediction[0].softmax(-1).cpu().numpy()
    for label, chosen in enumerate(p.T):
        weight = np.maximum(share[-1] * chosen, MIN_WEIGHT)
        yield columns, np.full(len(columns), label), weight


def _rows_of(collections, index, n, rng):
    """At most ``n`` rows of the task at ``index``, counted through collections."""
    for tasks in collections:
        if index < len(tasks):
            task = tasks[int(index)]
            some = rng.permutation(len(task.y))[: max(1, n)]
            return task.X[some], task.y[some]
        index -= len(tasks)
    raise IndexError(index)


def _said(learner, adapted, rows):
    """What an estimator sees of rows, and what the process says of them."""
    prediction = learner.predict(adapted, rows)
    return _columns(learner, adapted, rows, prediction), prediction


def _without_seeing(network, rows, y):
    """What the network says of each row when adapted to the others, fold by fold.

    Of large supports, few folds are computed at once.
    """
    n = y.shape[1]
    n_folds = min(n, MAX_FOLDS)
    place = torch.arange(n, device=y.device)
    parts = []
    for folds in torch.arange(n_folds).split(max(1, FOLD_ROWS_AT_ONCE // n)):
        seen = place % n_folds != folds.to(y.device)[:, None]
        many = Rows(*(part.expand(len(folds), *part.shape[1:]) for part in rows))
        support = many._replace(weight=many.weight * seen)
        adapted = network.adapt(support, y.expand(len(folds), -1))
        prediction = network.learner.predict(adapted, many)
        parts.append(prediction if isinstance(prediction, tuple) else (prediction,))
    outputs = (torch.cat(part) for part in zip(*parts, strict=True))
    outputs = tuple(output[place % n_folds, place][None] for output in outputs)
    return outputs if len(outputs) > 1 else outputs[0]


def _left_open(prediction, target):
    """What an estimator learns of rows of the given targets."""
    if isinstance(prediction, tuple):
        target = target - prediction[0][0].cpu().numpy()
    return target


def _own_columns(learner, adapted, rows, help):
    """Standardised columns, or meta-learned features, (n_rows, n_columns)."""
    x = learner.features(adapted, rows) if help == "features" else rows.x
    return x[0].cpu().numpy()


def _columns(learner, adapted, rows, prediction):
    """Columns, meta-learned features, and what a process says: (n_rows, n_columns)."""
    learned = learner.features(adapted, rows)[0, :, learner.process.n_linear :]
    if isinstance(prediction, tuple):
        said = prediction[0][0][:, None]
    else:
        said = prediction[0].log_softmax(-1)
    parts = rows.x[0].cpu().numpy(), learned.cpu().numpy(), said.cpu().numpy()
    return np.hstack(parts)
