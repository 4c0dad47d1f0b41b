"""Candidates of ``pooled_estimator="auto"``.

Gradient boosting, tuned on validation tasks, and a ridge on second-order polynomials,
which is better if the pooled signal is smooth and the rows are few.
"""

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    PolynomialFeatures,
    StandardScaler,
)
from sklearn.utils import check_random_state

from .._preprocessing.column_reduction import MAX_COLUMNS, association
from .._preprocessing.scaling import FeatureScaler, TargetScaler, power_of_two

MAX_TUNING_ROWS = 100_000
"""Rows that `tuned_boosting` uses; above it, random tasks are left out."""

MAX_BOOSTING_ITERATIONS = 300
MAX_BOOSTING_TREES = 3000
"""Iterations times classes, so that tuning stays affordable with very many classes."""

MAX_POLYNOMIAL_COLUMNS = 8

SMALL = 1e-13
"""Largest number of a column below which scalers of scikit-learn take it for zero."""


def tuned_boosting(
    task_type, tasks, validation_tasks=None, *, classes=None, random_state=None
):
    """Choose a histogram gradient boosting by its loss on validation tasks.

    Of very many columns it sees those with the strongest association with the targets.
    Leaves per tree (4, 10 or 31) and the number of iterations are those with the lowest
    squared error, or log loss, on the rows of the validation tasks; the number of
    iterations is that with the lowest loss of the staged predictions of one fit.

    Parameters
    ----------
    task_type : {"regression", "classification"}
        What to predict.
    tasks : TaskCollection
        Tasks to fit on. Above `MAX_TUNING_ROWS` rows, whole tasks are left out.
    validation_tasks : TaskCollection, default=None
        None sets aside a fifth of `tasks`, at least one.
    classes : array-like of shape (n_classes,), default=None
        All classes, by default the labels of `tasks` and `validation_tasks`.
    random_state : int, RandomState instance or None, default=None
        Draws the tasks that are left out or set aside, and the seed of the estimator.

    Returns
    -------
    estimator : HistGradientBoostingRegressor or HistGradientBoostingClassifier
        Unfitted. With more columns than `MAX_COLUMNS`, a pipeline with their selection.

    Raises
    ------
    ValueError
        If there is only one task and no validation task, or if a label is not in
        `classes`.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta._classical.pooled_candidates import tuned_boosting
    >>> from skmeta.tasks import TaskCollection
    >>> X = np.random.default_rng(0).uniform(size=(6, 40, 1))
    >>> tasks = TaskCollection([(x, x[:, 0] > 0.5) for x in X])
    >>> boosting = tuned_boosting("classification", tasks, random_state=0)
    >>> boosting.max_leaf_nodes, boosting.max_iter <= 300
    (4, True)
    """
    rng = check_random_state(random_state)
    if validation_tasks is None:
        if len(tasks) < 2:
            raise ValueError(
                "Tuning the pooled boosting needs at least 2 tasks, one to fit on and "
                f"one for validation, got {len(tasks)}. Give validation_tasks, or a "
                "pooled estimator of your own."
            )
        order = rng.permutation(len(tasks))
        n_validation = max(1, len(tasks) // 5)
        validation_tasks = tasks[order[:n_validation]]
        tasks = tasks[order[n_validation:]]
    tasks, validation_tasks = (
        _capped_rows(some, rng) for some in (tasks, validation_tasks)
    )
    X, y, X_val, y_val = tasks.X, tasks.y, validation_tasks.X, validation_tasks.y
    boosting = untuned_boosting(task_type, random_state=rng)
    max_iter = MAX_BOOSTING_ITERATIONS
    if task_type == "regression":
        scaler = TargetScaler.fit(y)
        y, y_val = (scaler.transform(some, np.float64) for some in (y, y_val))
    if task_type == "classification":
        classes = checked_classes(np.concatenate([y, y_val]), classes)
        max_iter = min(max_iter, max(10, MAX_BOOSTING_TREES // len(classes)))
        if len(np.unique(y)) == 1:
            return boosting  # nothing to tune

    kept = None
    if X.shape[1] > MAX_COLUMNS:
        kept = _relevant_columns(tasks, task_type)
        X, X_val = X[:, kept], X_val[:, kept]
    best = (np.inf, None, None)
    for max_leaf_nodes in (4, 10, 31):
        model = clone(boosting)
        model.set_params(max_leaf_nodes=max_leaf_nodes, max_iter=max_iter).fit(X, y)
        losses = _staged_losses(model, X_val, y_val, classes)
        stage = int(np.argmin(losses))
        best = min(best, (losses[stage], max_leaf_nodes, stage + 1))
    boosting.set_params(max_leaf_nodes=best[1], max_iter=best[2])
    if kept is None:
        return boosting
    selection = ColumnTransformer([("kept", "passthrough", kept.tolist())])
    return make_pipeline(selection, boosting)


def _relevant_columns(tasks, task_type):
    """Columns with the strongest association with the targets, in order."""
    x = FeatureScaler.fit(tasks.X).transform(tasks.X)
    task = np.repeat(np.arange(len(tasks)), np.diff(tasks.offsets))
    classes = "shared" if task_type == "classification" else None
    strength = association(x, tasks.y, task, classes)
    return np.sort(np.argsort(-strength, kind="stable")[:MAX_COLUMNS])


def untuned_boosting(task_type, *, random_state=None):
    """Return an unfitted histogram gradient boosting with fixed settings.

    Parameters
    ----------
    task_type : {"regression", "classification"}
        What to predict.
    random_state : int, RandomState instance or None, default=None
        Draws the estimator's seed.

    Returns
    -------
    estimator : HistGradientBoostingRegressor or HistGradientBoostingClassifier
    """
    boosting = {
        "regression": HistGradientBoostingRegressor,
        "classification": HistGradientBoostingClassifier,
    }[task_type]
    return boosting(
        learning_rate=0.05,
        min_samples_leaf=20,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=draw_seed(check_random_state(random_state)),
    )


def on_any_scale(estimator):
    """Return an estimator that standardises the targets, if it is a regressor."""
    if is_classifier(estimator):
        return estimator
    return TransformedTargetRegressor(estimator, transformer=StandardScaler())


def polynomial_ridge(task_type, X):
    """Return an unfitted ridge, or logistic regression, on second-order polynomials.

    Squares and products are taken of the first `MAX_POLYNOMIAL_COLUMNS` columns of `X`
    with more than two values; the other columns enter linearly.

    Parameters
    ----------
    task_type : {"regression", "classification"}
        What to predict.
    X : array-like of shape (n_rows, n_features)
        Rows that show which columns are binary, and how large columns are.

    Returns
    -------
    estimator : Pipeline
        MaxAbsScaler and StandardScaler, for columns of any size, PolynomialFeatures,
        StandardScaler, then RidgeCV or LogisticRegression. If a column is so small that
        MaxAbsScaler takes it for zero, all columns are first divided by a power of two.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta._classical.pooled_candidates import polynomial_ridge
    >>> X = np.linspace(-1, 1, 20)[:, np.newaxis]
    >>> model = polynomial_ridge("regression", X).fit(X, X[:, 0] ** 2)
    >>> float(model.predict([[0.5]])[0].round(2))
    0.25
    """
    X = np.asarray(X)
    many_valued = [j for j in range(X.shape[1]) if len(np.unique(X[:, j])) > 2]
    polynomials = ColumnTransformer(
        [
            (
                "polynomial",
                PolynomialFeatures(degree=2, include_bias=False),
                many_valued[:MAX_POLYNOMIAL_COLUMNS],
            )
        ],
        remainder="passthrough",
    )
    if task_type == "regression":
        linear = RidgeCV(alphas=np.logspace(-2, 4, 13))
    else:
        linear = LogisticRegression(max_iter=500)
    steps = MaxAbsScaler(), StandardScaler(), polynomials, StandardScaler(), linear
    size = np.abs(X).max(axis=0)
    if np.any((size > 0) & (size < SMALL)):
        enlarge = {"b": np.diag(1 / power_of_two(size))}
        steps = FunctionTransformer(np.dot, kw_args=enlarge), *steps
    return make_pipeline(*steps)


def checked_classes(y, classes):
    """Return `classes`, by default those of `y`; raise if `y` has other labels."""
    if classes is None:
        return np.unique(y)
    classes = np.asarray(classes)
    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        raise ValueError(
            f"Labels {unknown.tolist()} of the tasks are not in "
            f"classes={classes.tolist()}; add them to classes."
        )
    return classes


def aligned_probabilities(probabilities, from_classes, to_classes):
    """Rearrange columns from one order of the classes to another that has them all.

    A class that `from_classes` lacks gets the probability zero.
    """
    order = np.argsort(to_classes)
    columns = order[np.searchsorted(to_classes, from_classes, sorter=order)]
    aligned = np.zeros((len(probabilities), len(to_classes)))
    aligned[:, columns] = probabilities
    return aligned


def draw_seed(rng):
    """Draw the seed of an estimator."""
    return int(rng.randint(np.iinfo(np.int32).max))


def _staged_losses(model, X, y, classes):
    if classes is None:
        return [np.mean((stage - y) ** 2) for stage in model.staged_predict(X)]
    truth = y[:, np.newaxis] == classes
    return [
        -np.log(
            aligned_probabilities(stage, model.classes_, classes)[truth].clip(1e-9)
        ).mean()
        for stage in model.staged_predict_proba(X)
    ]


def _capped_rows(tasks, rng):
    if len(tasks.y) <= MAX_TUNING_ROWS:
        return tasks
    order = rng.permutation(len(tasks))
    n_rows = np.cumsum(np.diff(tasks.offsets)[order])
    return tasks[order[: max(1, np.searchsorted(n_rows, MAX_TUNING_ROWS, "right"))]]
