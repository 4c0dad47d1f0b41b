"""Synthetic collections of tasks.

Every ``make_*`` function gives the same tasks for the same `random_state`.
"""

import numpy as np
from sklearn.utils import check_random_state

from ..tasks import TaskCollection


def make_sinusoid_tasks(
    n_tasks=100,
    n_rows=50,
    *,
    amplitude=(0.1, 5.0),
    phase=(0.0, np.pi),
    frequency=1.0,
    noise=0.0,
    x_range=(-5.0, 5.0),
    random_state=None,
):
    """Sine waves with a task-specific amplitude and phase.

    ``y = A sin(frequency * x - phase) + noise * e``, where A, phase and x are uniform
    in their ranges and e is standard normal. The defaults are those of MAML [1]_.

    Parameters
    ----------
    n_tasks : int, default=100
    n_rows : int, default=50
        Rows of each task.
    amplitude : (low, high), default=(0.1, 5.0)
    phase : (low, high), default=(0.0, pi)
    frequency : float, default=1.0
    noise : float, default=0.0
        Standard deviation of the noise.
    x_range : (low, high), default=(-5.0, 5.0)
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    tasks : TaskCollection
        Of `n_tasks` tasks with X (n_rows, 1), called by their position.

    References
    ----------
    .. [1] Finn, Abbeel and Levine, "Model-agnostic meta-learning for fast adaptation of
       deep networks", ICML 2017, section 5.1.

    Examples
    --------
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> make_sinusoid_tasks(n_tasks=10, n_rows=20, random_state=0)
    TaskCollection(n_tasks=10, n_rows=200, n_features=1)
    """
    _check_at_least(1, n_tasks=n_tasks)
    _check_at_least(2, n_rows=n_rows)
    rng = check_random_state(random_state)
    A = rng.uniform(*amplitude, size=(n_tasks, 1))
    shift = rng.uniform(*phase, size=(n_tasks, 1))
    x = rng.uniform(*x_range, size=(n_tasks, n_rows))
    y = A * np.sin(frequency * x - shift) + noise * rng.standard_normal(x.shape)
    return _collect(x[..., None], y)


def make_linear_tasks(
    n_tasks=65,
    n_rows=40,
    n_features=5,
    *,
    n_clusters=1,
    noise=0.15,
    within=0.2,
    n_informative=None,
    random_state=None,
    return_details=False,
):
    """Linear tasks whose coefficients lie around one of a few centres.

    ``y = b_0 + X b + e``, where X is standard normal, and so are the centres of the
    clusters; a task's intercept and slopes are those of its centre plus normal
    deviations.

    Parameters
    ----------
    n_tasks : int, default=65
    n_rows : int, default=40
        Rows of each task.
    n_features : int, default=5
    n_clusters : int, default=1
        Each task belongs to one, all being as likely.
    noise : float, default=0.15
        Standard deviation of e, as a fraction of that of all tasks' noiseless y.
    within : float, default=0.2
        Standard deviation of the coefficients inside a cluster; that of the centres
        is 1.
    n_informative : int, default=None
        In each task only so many columns, drawn anew for each, have a slope other
        than zero: of either sign, its size drawn from U[0.5, 1.5] whatever the
        cluster. None for all columns.
    random_state : int, RandomState instance or None, default=None
    return_details : bool, default=False
        Whether to return what the tasks were made from as well.

    Returns
    -------
    tasks : TaskCollection
        Of `n_tasks` tasks with X (n_rows, n_features), called by their position.
    details : dict
        Only if `return_details`: ``coef``, ndarray of shape (n_tasks, n_features + 1),
        intercepts first; ``cluster``, ndarray of shape (n_tasks,); ``informative``,
        the columns with a slope in ascending order, ndarray of shape (n_tasks,
        n_informative), or None.

    Examples
    --------
    >>> from skmeta.datasets import make_linear_tasks
    >>> tasks, details = make_linear_tasks(
    ...     n_clusters=4, n_informative=2, random_state=0, return_details=True
    ... )
    >>> tasks
    TaskCollection(n_tasks=65, n_rows=2,600, n_features=5)
    >>> details["coef"].shape, details["informative"].shape
    ((65, 6), (65, 2))
    """
    _check_at_least(1, n_tasks=n_tasks, n_features=n_features, n_clusters=n_clusters)
    _check_at_least(2, n_rows=n_rows)
    if n_informative is not None and not 0 <= n_informative <= n_features:
        raise ValueError(
            f"n_informative must lie between 0 and n_features={n_features}; got "
            f"{n_informative}."
        )
    rng = check_random_state(random_state)
    centres = rng.standard_normal((n_clusters, n_features + 1))
    cluster = rng.randint(n_clusters, size=n_tasks)
    coef = centres[cluster] + within * rng.standard_normal((n_tasks, n_features + 1))
    informative = None
    if n_informative is not None:
        size = rng.uniform(0.5, 1.5, size=(n_tasks, n_features))
        coef[:, 1:] = size * rng.choice([-1.0, 1.0], size=size.shape)
        order = rng.uniform(size=(n_tasks, n_features)).argsort(axis=1)
        informative = np.sort(order[:, :n_informative], axis=1)
        np.put_along_axis(coef, 1 + order[:, n_informative:], 0.0, axis=1)
    X = rng.standard_normal((n_tasks, n_rows, n_features))
    signal = coef[:, :1] + np.einsum("trj,tj->tr", X, coef[:, 1:])
    y = signal + noise * signal.std() * rng.standard_normal(signal.shape)
    tasks = _collect(X, y)
    if return_details:
        return tasks, {"coef": coef, "cluster": cluster, "informative": informative}
    return tasks


def make_classification_tasks(
    n_tasks=100,
    n_rows=40,
    n_features=5,
    *,
    n_classes=2,
    flip=0.0,
    random_state=None,
):
    """Classification tasks that share their classes, with task-specific boundaries.

    Labels are drawn from the softmax of linear scores. A task's coefficients are those
    of a common centre, standard normal, plus standard normal deviations; X is standard
    normal. The rows of a task need not show every class.

    Parameters
    ----------
    n_tasks : int, default=100
    n_rows : int, default=40
        Rows of each task.
    n_features : int, default=5
    n_classes : int, default=2
    flip : float, default=0.0
        Probability that a label is replaced by one of the other classes.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    tasks : TaskCollection
        Of `n_tasks` tasks with X (n_rows, n_features) and y of ints from 0 to
        ``n_classes - 1``, called by their position.

    Examples
    --------
    >>> from skmeta.datasets import make_classification_tasks
    >>> tasks = make_classification_tasks(n_tasks=20, n_classes=3, random_state=0)
    >>> tasks
    TaskCollection(n_tasks=20, n_rows=800, n_features=5)
    """
    _check_at_least(1, n_tasks=n_tasks, n_features=n_features)
    _check_at_least(2, n_rows=n_rows, n_classes=n_classes)
    _check_fraction("flip", flip)
    rng = check_random_state(random_state)
    shape = (n_features + 1, n_classes)
    coef = rng.standard_normal(shape) + rng.standard_normal((n_tasks, *shape))
    X = rng.standard_normal((n_tasks, n_rows, n_features))
    scores = coef[:, :1] + X @ coef[:, 1:]
    # The largest of scores plus Gumbel noise is a draw from their softmax.
    y = (scores + rng.gumbel(size=scores.shape)).argmax(axis=-1)
    other = rng.randint(1, n_classes, size=y.shape)
    y = np.where(rng.uniform(size=y.shape) < flip, (y + other) % n_classes, y)
    return _collect(X, y)


def shuffle_targets(tasks, fraction, random_state=None):
    """Permute the targets within some of the tasks, so that these are uninformative.

    To study how much uninformative tasks in a collection hurt.

    Parameters
    ----------
    tasks : TaskCollection, or iterable or dict that makes one
        Left as it is.
    fraction : float
        Share of the tasks to shuffle, from 0 to 1; rounded to a whole number of them.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    tasks : TaskCollection
        With the same X, which is not copied, names and weights.
    shuffled : ndarray of shape (n_tasks,), dtype bool
        Which tasks were chosen.

    Examples
    --------
    >>> from skmeta.datasets import make_sinusoid_tasks, shuffle_targets
    >>> tasks = make_sinusoid_tasks(n_tasks=10, random_state=0)
    >>> spoilt, shuffled = shuffle_targets(tasks, fraction=0.3, random_state=0)
    >>> shuffled.sum()
    np.int64(3)
    """
    _check_fraction("fraction", fraction)
    if not isinstance(tasks, TaskCollection):
        tasks = TaskCollection(tasks)
    rng = check_random_state(random_state)
    shuffled = np.zeros(len(tasks), dtype=bool)
    shuffled[rng.permutation(len(tasks))[: round(fraction * len(tasks))]] = True
    y = tasks.y.copy()
    for t in np.flatnonzero(shuffled):
        rng.shuffle(y[tasks.offsets[t] : tasks.offsets[t + 1]])
    return tasks._replace(y=y), shuffled


def _collect(X, y):
    """Tasks of equal size, X (n_tasks, n_rows, n_features) and y (n_tasks, n_rows)."""
    groups = np.repeat(np.arange(len(y)), y.shape[1])
    return TaskCollection.from_arrays(X.reshape(-1, X.shape[2]), y.ravel(), groups)


def _check_at_least(least, **sizes):
    for name, size in sizes.items():
        if size < least:
            raise ValueError(f"{name} must be at least {least}; got {size}.")


def _check_fraction(name, value):
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must lie between 0 and 1; got {value}.")
