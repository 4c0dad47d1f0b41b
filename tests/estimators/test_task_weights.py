"""Weights of tasks: zero is absence, and what is minimised is weighed by the rest."""

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, RegressorMixin, clone

from skmeta import AttentionMetaClassifier, AttentionMetaRegressor, Task, TaskCollection
from skmeta._classical.pooled import fit_pooled
from skmeta._episodes.sampler import Episodes
from skmeta._episodes.shared_rows import NWaySampler
from skmeta._preprocessing.scaling import FeatureScaler, TargetScaler
from skmeta._training.loop import QueryLoss
from skmeta._training.validation import validation_losses
from skmeta.datasets import make_classification_tasks, make_linear_tasks

pytestmark = pytest.mark.usefixtures("quick_training")

N = 12


@pytest.fixture(scope="module")
def tasks():
    return make_linear_tasks(N, n_rows=15, n_features=2, random_state=0)


def weighted(tasks, weights):
    return [
        Task(t.X, t.y, t.name, weight=w) for t, w in zip(tasks, weights, strict=True)
    ]


def test_collections_keep_weights(tasks):
    assert tasks.weights is None
    assert tasks[0].weight is None
    some = TaskCollection(weighted(tasks, [None, 2, *np.arange(10)]))
    assert some.weights.tolist() == [1, 2, *range(10)]
    assert some[[3, 1]].weights.tolist() == [1, 2]
    assert some[1:3].weights.tolist() == [2, 0]
    assert some[1].weight == 2
    assert TaskCollection(list(some)).weights.tolist() == some.weights.tolist()
    other = TaskCollection({"other": (tasks[0].X, tasks[0].y)})
    assert (some[:2] + other).weights.tolist() == [1, 2, 1]
    assert (tasks + other).weights is None


@pytest.mark.parametrize("weight", [-1, np.inf, np.nan, "2", [1]])
def test_bad_weights_are_named(weight):
    with pytest.raises(ValueError, match="Task 'a': weight must be a finite number"):
        Task([[1.0], [2.0]], [1, 2], "a", weight=weight)


def test_all_zero(tasks, tiny):
    learner = AttentionMetaRegressor(**tiny)
    with pytest.raises(ValueError, match="All 12 tasks have the weight 0"):
        learner.meta_fit(weighted(tasks, [0] * N))


def test_zero_is_absence(tasks, tiny):
    learner = AttentionMetaRegressor(pooled_estimator=None, **tiny)
    new = tasks[N - 1]
    without = clone(learner).meta_fit(tasks[: N - 2])
    zeros = clone(learner).meta_fit(weighted(tasks, [None] * (N - 2) + [0, 0]))
    expected = without.fit(new.X, new.y).predict(new.X)
    found = zeros.fit(new.X, new.y).predict(new.X)
    np.testing.assert_array_equal(found, expected)
    assert zeros.task_names_.tolist() == list(range(N - 2))


def test_weights_turn_what_is_learned(tasks, tiny):
    """Of two families of tasks, the one that weighs is the one that is expected."""
    up = [(np.zeros((15, 1)) + i, np.full(15, 5.0) + i) for i in range(12)]
    down = [(np.zeros((15, 1)) + i, np.full(15, -5.0) + i) for i in range(12)]
    predicted = []
    for weight in (0.01, 100.0):
        heavy = [Task(X, y, f"up {i}", weight) for i, (X, y) in enumerate(up)]
        light = [Task(X, y, f"down {i}") for i, (X, y) in enumerate(down)]
        learner = AttentionMetaRegressor(pooled_estimator=None, **tiny)
        learner.meta_fit(heavy + light)
        predicted.append(learner.predict([[5.0]])[0])
    assert predicted == pytest.approx([0, 10], abs=1.5)


def test_losses_are_weighed(tasks):
    """Of episodes with and without weights: the same rows, their losses weighed."""
    weights = np.arange(1.0, N + 1)
    scalers = FeatureScaler.fit(tasks.X), TargetScaler.fit(tasks.y)
    plain = Episodes(tasks, *scalers)
    heavy = Episodes(TaskCollection(weighted(tasks, weights)), *scalers)
    index = np.array([4, 0, 7])
    batches = [
        one.draw(index, 3, 5, np.random.default_rng(0)) for one in (plain, heavy)
    ]
    of_task = torch.from_numpy(weights[index]).float()[:, None]
    assert torch.equal(batches[1].weight_query, batches[0].weight_query * of_task)
    assert torch.equal(batches[1].query().weight, batches[0].weight_query)
    assert torch.equal(batches[1].rows()[0].weight, batches[0].rows()[0].weight)

    class Zero(torch.nn.Module):
        def forward(self, x_query, **inputs):
            return torch.zeros(x_query.shape[:2]), torch.ones(x_query.shape[:2])

    total, n_rows = validation_losses(Zero(), batches[1:])
    each, n_each = validation_losses(Zero(), batches[:1])
    np.testing.assert_allclose(total, each * weights[index], rtol=1e-6)
    np.testing.assert_allclose(n_rows, n_each * weights[index])
    prediction = Zero()(batches[1].x_query)
    loss = QueryLoss()(prediction, batches[1].target())
    assert float(loss) == pytest.approx(total.sum() / n_rows.sum(), rel=1e-5)


def test_groups_are_weighted():
    tasks = make_classification_tasks(N, n_rows=15, n_features=2, random_state=0)
    weights = np.arange(1.0, N + 1)
    sampler = NWaySampler(
        TaskCollection(weighted(tasks, weights)), torch.from_numpy(np.array(tasks.X)),
        (2, 2), (1, 3), 8,
    )  # fmt: skip
    batch = sampler.draw(32, np.random.default_rng(0))
    most = batch.query.flatten(1).amax(1)
    assert most.tolist() == weights[batch.task.numpy()].tolist()
    assert batch.support.max() == 1


class Counts(RegressorMixin, BaseEstimator):
    """Predicts how many rows of the first task it was fitted to."""

    def fit(self, X, y):
        self.n_ = np.sum(X[:, 0] == 0)
        return self

    def predict(self, X):
        return np.full(len(X), float(self.n_))


def test_pooled_estimators_see_rows_as_often_as_they_weigh():
    tasks = [Task([[i, 1.0], [i, 2.0]], [0, 1], i, 1 + 2 * (i == 0)) for i in range(6)]
    tasks = TaskCollection(tasks)
    pooled = fit_pooled(Counts(), tasks, task_type="regression", random_state=0)
    # weights 3, 1, 1, ... are 2.25, .75, .75, ... on average 1
    assert 4 <= pooled.predict([[0.0, 0.0]])[0, 0] <= 5
    # a task is never predicted by a model that has seen it, however much it weighs
    assert pooled.out_of_fold[:2].tolist() == [[0], [0]]


def test_classes_of_their_own(tiny):
    tasks = make_classification_tasks(N, n_rows=15, n_features=2, random_state=0)
    learner = AttentionMetaClassifier(shared_classes=False, **tiny)
    learner.meta_fit(weighted(tasks, [0, 2] * 6))
    assert len(learner.task_names_) == 6
