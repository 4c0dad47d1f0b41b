from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from skmeta import AttentionMetaClassifier, TaskCollection
from skmeta._episodes.shared_rows import NWaySampler
from skmeta._networks.learners.predictive import Categorical
from skmeta._training.loop import QueryLoss
from skmeta._training.nway.auxiliary_classifier import (
    WEIGHT_SCALE,
    AuxiliaryClassifier,
    AuxiliaryLoss,
    auxiliary_classifier,
)
from skmeta._training.nway.labels import number_classes

N_COLUMNS = 3


@pytest.fixture
def tasks():
    """Tasks of four, two and three classes, some labels in more than one of them."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c", "d"], 5), np.repeat(["b", "z"], 4)
    labels = [*labels, np.repeat(["c", "d", "e"], 3)]
    return TaskCollection([(rng.normal(size=(len(y), 2)), y) for y in labels])


@pytest.fixture
def batch(tasks):
    sampler = NWaySampler(tasks, torch.arange(len(tasks.y))[:, None], (2, 4), (1, 2), 8)
    return sampler.draw(40, np.random.default_rng(0))


def test_classes_are_numbered_task_after_task(tasks):
    task, known = number_classes(tasks)
    pairs = [(t, str(label)) for t, label in zip(task, tasks.y, strict=True)]
    assert [pairs.index(pair) for pair in sorted(set(pairs))] == [
        np.flatnonzero(known == c)[0] for c in range(9)
    ]
    assert (np.diff(known) >= 0).all()  # labels are sorted in each of these tasks


def test_each_row_is_told_from_all_classes_of_its_task_and_no_others(tasks, batch):
    classes = AuxiliaryClassifier(tasks, N_COLUMNS)
    nn.init.normal_(classes.weights)
    columns = torch.randn(int(batch.present.sum()), N_COLUMNS)
    losses = classes(columns, batch.task, batch.row, batch.present)
    assert set(batch.task.tolist()) == {0, 1, 2}
    assert (losses[~batch.present] == 0).all()
    task, known = number_classes(tasks)
    rows = batch.x[batch.present][:, 0].numpy()
    for row, column, loss in zip(rows, columns, losses[batch.present], strict=True):
        of_task = np.unique(known[task == task[row]])
        weights = classes.weights[of_task]
        logits = WEIGHT_SCALE * (weights[:, :-1] @ column + weights[:, -1])
        right = torch.tensor(list(of_task).index(known[row]))
        torch.testing.assert_close(loss, F.cross_entropy(logits, right))


def test_loss_adds_the_auxiliary_loss_at_the_query_rows():
    logits, of_known = Categorical(torch.randn(2, 3, 4)), torch.rand(2, 3)
    y = torch.tensor([[0, 1, 2], [3, 0, 0]])
    weight = torch.tensor([[1.0, 0, 2], [0, 1, 0]])
    found = AuxiliaryLoss()((logits, of_known), (y, weight))
    more = (of_known * weight).sum() / 4
    torch.testing.assert_close(found, QueryLoss()(logits, (y, weight)) + more)


@pytest.mark.parametrize(
    ("lazy", "trainable", "most", "found"),
    [
        (False, True, 36, True),
        (False, True, 35, False),
        (False, False, 36, False),
        (True, True, 36, False),
    ],
)
def test_when_there_is_a_classifier(tasks, monkeypatch, lazy, trainable, most, found):
    monkeypatch.setattr("skmeta._training.nway.auxiliary_classifier.MAX_WEIGHTS", most)
    split = SimpleNamespace(fitting_tasks=tasks, in_memory=not lazy)
    embedding = SimpleNamespace(n_columns=N_COLUMNS, trainable=trainable)
    classes = auxiliary_classifier(split, embedding)
    assert (classes is not None) == found
    assert auxiliary_classifier(split, None) is None


def test_an_embedding_is_trained_by_them_and_they_are_dropped(tasks, monkeypatch):
    def learned():
        model = AttentionMetaClassifier(
            embedding=nn.Linear(2, N_COLUMNS), shared_classes=False, n_way=2,
            max_epochs=2, steps_per_epoch=3, random_state=0,
        ).meta_fit(tasks, validation_tasks=tasks)  # fmt: skip
        state = model.meta_state_
        assert not any(
            isinstance(m, AuxiliaryClassifier) for m in state.network.modules()
        )
        return state.embedding.module.weight

    with_them = learned()
    monkeypatch.setattr("skmeta._training.nway.auxiliary_classifier.MAX_WEIGHTS", 0)
    assert not torch.equal(learned(), with_them)
