"""Any scikit-learn estimator as a base learner.

It is trained on the rows of the task, and on rows of related meta-training tasks,
weighted by their relations. Its inputs are the columns, the meta-learned features and
the prediction of the GP for each row, which is out-of-fold for the rows of the task. In
regression its target is the residual of the GP. With the weight of "no related task"
it is also trained on rows whose target is the prediction of the GP. The final
prediction is the average of the GP and the estimator, so that the GP dominates if there
are few rows. The pooled estimator was fitted to the rows of related tasks, so that
their residuals are smaller than those of the rows of the task.

With task-specific labels no rows are shared: the estimator is trained on meta-learned
features of the rows of the task, and averaged with the N-way learner.
"""

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import has_fit_parameter

from ..._classical.pooled import fitted, resampled, seeded_clone
from ..._classical.pooled_candidates import aligned_probabilities
from ..._episodes.batch import Rows
from ..._utils.threads import single_pool_thread
from .predictive import Categorical, Gaussian
from .wrapper import unwrap

MAX_RELATED_TASKS = 16
"""Maximum number of related tasks whose rows are used."""

MAX_ROWS = 64
"""Maximum number of rows of each related task, and of rows with the prediction of the
GP as target."""

MAX_FOLDS, FOLD_ROWS_AT_ONCE = 20, 2048
MIN_WEIGHT = 1e-4


class EstimatorLearner:
    """The base learner of a network, and an estimator that was trained for a task.

    Parameters
    ----------
    learner : BaseLearner
        The base learner.
    model : estimator
        Fitted by `train_estimator`.
    extra_inputs : {"gp", "features"} or None
        See `extra_inputs_of`.
    """

    def __init__(self, learner, model, extra_inputs):
        self.learner, self.model, self.extra_inputs = learner, model, extra_inputs

    def predict(self, adapted, query):
        """`Gaussian` or `Categorical` prediction of the query rows of one task."""
        prediction = self.learner.predict(adapted, query)
        inputs = self._inputs(adapted, query, prediction)
        if isinstance(prediction, Gaussian):
            correction = self._correction(inputs, prediction.mean)
            return Gaussian(prediction.mean + correction, prediction.variance)
        logits = prediction.logits
        labels = np.arange(logits.shape[-1])
        if hasattr(self.model, "predict_proba"):
            p = self.model.predict_proba(inputs)
            p = aligned_probabilities(p, self.model.classes_, labels)
        else:
            p = self.model.predict(inputs)[:, None] == labels
        p = logits.new_tensor(p)[None]
        if self.extra_inputs is not None:
            p = (p + logits.softmax(-1)) / 2
        return Categorical(p.log().clamp(min=torch.finfo(p.dtype).min))

    def components(self, adapted, query, joint=False):
        """Predictive distribution of the query rows; see `BaseLearner.components`."""
        prediction = self.learner.predict(adapted, query)
        inputs = self._inputs(adapted, query, prediction)
        correction = self._correction(inputs, prediction.mean)[:, None]
        components = self.learner.components(adapted, query, joint)
        return [c._replace(mean=c.mean + correction) for c in components]

    def _inputs(self, adapted, query, prediction):
        if self.extra_inputs == "gp":
            return _inputs(self.learner, adapted, query, prediction)
        return _task_inputs(self.learner, adapted, query, self.extra_inputs)

    def _correction(self, inputs, mean):
        """Correction by the estimator of the mean (1, Q) of the base learner."""
        learned = mean.new_tensor(self.model.predict(inputs))[None]
        return learned - mean if self.extra_inputs is None else learned / 2


def extra_inputs_of(state):
    """Inputs of an estimator that come from the network of a `MetaState`.

    "gp": meta-learned features and the prediction of the GP, in addition to the
    columns; "features": meta-learned features in place of the columns; None: only the
    columns.
    """
    if state.tasks:
        return "gp"
    return "features" if state.problem == "nway" else None


@torch.no_grad()
def train_estimator(estimator, state, adapted, X, y, weight, seed):
    """Train an estimator for the task that a network is adapted to.

    Parameters
    ----------
    estimator : estimator
        Not changed.
    state : MetaState
        On the device of ``adapted``. Rows of related ``tasks`` are used; without tasks,
        only the rows of the task.
    adapted : Related or AdaptedNWay
        Adaptation of its network to the rows.
    X : ndarray of shape (n_rows, ...)
    y : ndarray of shape (n_rows,)
    weight : ndarray of shape (n_rows,)
    seed : int
        Of the estimator, and of the rows of other tasks.

    Returns
    -------
    model : estimator
        Fitted to the inputs of `EstimatorLearner`.
    """
    rng = check_random_state(seed)
    rows, encoded = state.support(X, weight), state.encoded(y)
    weight = rows.weight[0].cpu().numpy()
    target, learner = encoded[0].cpu().numpy(), state.network.learner
    if not state.tasks:
        inputs = _task_inputs(learner, adapted, rows, extra_inputs_of(state))
        parts = [(inputs, target, weight)]
    else:
        parts = list(_rows_of_other_tasks(state, learner, adapted, rng))
        if len(X):
            prediction = _out_of_fold(state.network, rows, encoded)
            inputs = _inputs(learner, adapted, rows, prediction)
            parts.append((inputs, _residual(prediction, target), weight))
    inputs, target, weight = (np.concatenate(p) for p in zip(*parts, strict=True))
    # float32 makes results independent of the scale of targets, since rounding errors
    # of float64 could decide between equal splits of trees
    if encoded.is_floating_point():
        target = target.astype(np.float32)
    classes = None if encoded.is_floating_point() else np.unique(target)
    model = seeded_clone(estimator, rng)
    with single_pool_thread():
        if has_fit_parameter(model, "sample_weight"):
            return fitted(model, inputs, target, classes, sample_weight=weight)
        if not state.tasks:
            weight = weight / weight.mean()  # each row is drawn about once
        drawn = resampled(weight, rng)
        return fitted(model, inputs[drawn], target[drawn], classes)


def _rows_of_other_tasks(state, learner, adapted, rng):
    """Inputs, targets and weights of rows of related tasks, and of "no related task".

    The latter have the prediction of the base learner as target.
    """
    share = adapted.log_relation[0].exp().cpu().numpy()
    index = adapted.index[0].cpu().numpy()
    related = np.argsort(-share[:-1])[:MAX_RELATED_TASKS]
    related = related[share[related] > MIN_WEIGHT]
    for j in related:
        X, y = _rows_of(state.tasks, index[j], MAX_ROWS, rng)
        rows, target = state.embedded_rows(X), state.encoded(y)[0].cpu().numpy()
        prediction = learner.predict(adapted, rows)
        inputs = _inputs(learner, adapted, rows, prediction)
        yield inputs, _residual(prediction, target), np.full(len(X), share[j])
    n = sum(map(len, state.tasks))
    some = rng.choice(n, min(n, MAX_RELATED_TASKS), replace=False)
    parts = [_rows_of(state.tasks, j, MAX_ROWS // len(some), rng)[0] for j in some]
    rows = state.embedded_rows(np.concatenate(parts))
    prediction = learner.predict(adapted, rows)
    inputs = _inputs(learner, adapted, rows, prediction)
    if isinstance(prediction, Gaussian):
        weight = np.full(len(inputs), max(share[-1], MIN_WEIGHT))
        yield inputs, np.zeros(len(inputs)), weight
        return
    p = prediction.logits[0].softmax(-1).cpu().numpy()
    for label, of_label in enumerate(p.T):
        weight = np.maximum(share[-1] * of_label, MIN_WEIGHT)
        yield inputs, np.full(len(inputs), label), weight


def _rows_of(collections, index, n, rng):
    """At most ``n`` rows of the task at ``index``, counted through collections."""
    for tasks in collections:
        if index < len(tasks):
            task = tasks[int(index)]
            some = rng.permutation(len(task.y))[: max(1, n)]
            return task.X[some], task.y[some]
        index -= len(tasks)
    raise IndexError(index)


def _out_of_fold(network, rows, y):
    """Prediction of each row by the network adapted to the other folds.

    For large supports, few folds are computed at once.
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
        parts.append(network.learner.predict(adapted, many))
    outputs = (torch.cat(part) for part in zip(*parts, strict=True))
    kind = type(parts[0])
    return kind(*(output[place % n_folds, place][None] for output in outputs))


def _residual(prediction, target):
    """Target of the estimator: in regression the residual of the target."""
    if isinstance(prediction, Gaussian):
        return target - prediction.mean[0].cpu().numpy()
    return target


def _task_inputs(learner, adapted, rows, extra_inputs):
    """Standardised columns, or meta-learned features, (n_rows, n_columns)."""
    x = learner.features(adapted, rows) if extra_inputs == "features" else rows.x
    return x[0].cpu().numpy()


def _inputs(learner, adapted, rows, prediction):
    """Columns, nonlinear meta-learned features and the base learner's prediction."""
    core, own = unwrap(learner, adapted)
    learned = core.learned_features(own, rows)[0]
    if isinstance(prediction, Gaussian):
        base_prediction = prediction.mean[0][:, None]
    else:
        base_prediction = prediction.logits[0].log_softmax(-1)
    parts = rows.x[0], learned, base_prediction
    return np.hstack([part.cpu().numpy() for part in parts])
