"""A user's torch module in front of everything: `embedding`, `augmentation`."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from torch import nn

from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    SelfAttentionMetaClassifier,
    SelfAttentionMetaRegressor,
    TransformerMetaClassifier,
    TransformerMetaRegressor,
)
from skmeta._networks.encoders.embedding import Embedding, make_embedding
from skmeta.tasks import check_tasks

pytestmark = pytest.mark.usefixtures("quick_training")

SHAPE = (6, 6)
REGRESSORS = [
    AttentionMetaRegressor,
    SelfAttentionMetaRegressor,
    TransformerMetaRegressor,
]
CLASSIFIERS = [
    AttentionMetaClassifier,
    SelfAttentionMetaClassifier,
    TransformerMetaClassifier,
]


class ConvNet(nn.Module):
    """Convolution, batch normalisation, and as many columns as asked for."""

    def __init__(self, width=4, flat=True):
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.flat = flat

    def forward(self, rows):
        z = self.pool(self.norm(self.conv(rows[:, None])).relu())
        return z.flatten(1) if self.flat else z


def pictures(n_classes, n_rows, seed):
    """A pattern for each class, shifted and with noise."""
    rng = np.random.default_rng(seed)
    patterns = rng.normal(size=(n_classes, *SHAPE))
    y = np.repeat(np.arange(n_classes), n_rows)
    X = np.stack([np.roll(patterns[c], rng.integers(2), 0) for c in y])
    return (X + 0.3 * rng.normal(size=X.shape)).astype(np.float32), y


def class_tasks(n_tasks=8):
    return [pictures(4, 6, seed) for seed in range(n_tasks)]


def number_tasks(n_tasks=8):
    """A number that depends on the upper left of a picture, and on the task."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_tasks, 12, *SHAPE))
    y = X[:, :, :2, :2].sum((2, 3)) + rng.normal(size=(n_tasks, 1))
    return list(zip(X, y, strict=True))


def model_of(cls, tiny, **parameters):
    if cls in CLASSIFIERS:
        parameters.setdefault("shared_classes", False)
    elif "pooled_estimator" not in parameters:
        parameters["pooled_estimator"] = Ridge()
    return cls(embedding=ConvNet, **tiny, **parameters)


@pytest.fixture(scope="module")
def fitted(tiny):
    """Every estimator, meta-fitted on pictures."""
    tasks = {True: class_tasks(), False: number_tasks()}
    models = {
        cls: model_of(cls, tiny).meta_fit(tasks[cls in CLASSIFIERS])
        for cls in REGRESSORS + CLASSIFIERS
    }
    return lambda cls: clone(models[cls])


def task_of(cls):
    return pictures(3, 6, 50) if cls in CLASSIFIERS else number_tasks(9)[-1]


@pytest.mark.parametrize("cls", REGRESSORS + CLASSIFIERS)
def test_pictures_are_taken_as_they_are(cls, fitted):
    model, (X, y) = fitted(cls), task_of(cls)
    model.fit(X[::2], y[::2])
    assert model.predict(X).shape == y.shape
    assert model.meta_state_.row_shape == SHAPE
    assert model.n_features_in_ == 6
    assert model.feature_attention_.shape == (4,)  # columns of the embedding
    assert model.support_attention(X).shape == (len(X), len(X[::2]))
    episodes = [(X[::2], y[::2], X), (X[1::2], y[1::2], X[:3])]
    first, second = model.predict_episodes(episodes)
    assert len(second) == 3
    if cls in CLASSIFIERS:
        np.testing.assert_array_equal(first, model.predict(X))
    else:
        np.testing.assert_allclose(first, model.predict(X), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("cls", REGRESSORS + CLASSIFIERS)
def test_a_prediction_depends_only_on_its_own_row(cls, fitted):
    """Batch normalisation goes by running statistics, in fit and in predict."""
    model, (X, y) = fitted(cls), task_of(cls)
    model.fit(X[::2], y[::2])
    predict = model.predict_proba if cls in CLASSIFIERS else model.predict
    alone = np.concatenate([predict(row[None]) for row in X])
    np.testing.assert_allclose(predict(X), alone, atol=2e-4)


@pytest.mark.parametrize("cls", [AttentionMetaRegressor, TransformerMetaClassifier])
def test_pickle_predicts_the_same(cls, fitted):
    model, (X, y) = fitted(cls), task_of(cls)
    model.fit(X[::2], y[::2])
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


@pytest.mark.parametrize("cls", [AttentionMetaRegressor, AttentionMetaClassifier])
def test_embedding_is_trained_unless_it_is_told_not_to(cls, tiny):
    tasks = class_tasks() if cls in CLASSIFIERS else number_tasks()
    torch.manual_seed(0)
    given = ConvNet()
    before = [p.detach().clone() for p in given.parameters()]
    longer = {"max_epochs": 4, "steps_per_epoch": 15, "batch_size": 32, "lr": 1e-2}
    for trainable in (False, True):
        model = model_of(cls, tiny | longer, embedding_trainable=trainable)
        model.set_params(embedding=given).meta_fit(tasks)
        module = model.meta_state_.embedding.module
        same = [
            torch.equal(p, q.contiguous())
            for p, q in zip(before, module.parameters(), strict=True)
        ]
        assert all(same) is not trainable
        assert module is not given
    for p, q in zip(before, given.parameters(), strict=True):
        torch.testing.assert_close(p, q)  # what the user gave is as it was


def test_frozen_batch_normalisation_keeps_its_statistics(tiny):
    given = ConvNet()
    model = model_of(AttentionMetaClassifier, tiny, embedding_trainable=False)
    model.set_params(embedding=given, augmentation=lambda rows, generator: rows)
    model.meta_fit(class_tasks())
    norm = model.meta_state_.embedding.module.norm
    torch.testing.assert_close(norm.running_mean, given.norm.running_mean)


def test_embedding_teaches_what_matters(tiny):
    """Rows of a class share a pattern that only a trained embedding looks at."""

    def task(seed):
        rng = np.random.default_rng(seed)
        y = np.repeat(np.arange(3), 10)
        X = 4 * rng.normal(size=(30, 8))
        signs = np.array([[1, 1], [1, -1], [-1, 1]])[y]
        X[:, :2] = X[:, :2] * 0 + signs * (1 + rng.random((30, 1)))
        X[:, 0] *= X[:, 2]
        return X.astype(np.float32), y + 10 * seed

    settings = {**tiny, "max_epochs": 15, "steps_per_epoch": 20, "lr": 5e-3}
    embedding = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 16))
    model = AttentionMetaClassifier(embedding=embedding, **settings)
    model.meta_fit([task(t) for t in range(30)])
    losses = [row["valid_loss"] for row in model.history_]
    assert min(losses) < 0.8 * losses[0]


def test_parameters_of_the_embedding(tiny):
    model = model_of(AttentionMetaClassifier, tiny, embedding__width=3)
    assert model.get_params()["embedding__width"] == 3
    assert clone(model).get_params()["embedding__width"] == 3
    assert "embedding__width=3" in repr(model)
    model.set_params(embedding__width=5).meta_fit(class_tasks())
    assert model.meta_state_.embedding.n_columns == 5
    model.set_params(embedding__width=2)
    with pytest.raises(ValueError, match=r"embedding__width=2 \(meta_fit had 5"):
        model.fit(*pictures(3, 2, 9))


def test_parameters_of_the_embedding_in_a_grid():
    X, y = pictures(2, 8, 0)
    model = AttentionMetaClassifier(embedding=ConvNet, random_state=0)
    grid = GridSearchCV(model, {"embedding__width": [2, 3]}, cv=2)
    with pytest.warns(UserWarning, match="not meta-fitted"):
        grid.fit(X, y)
    assert grid.best_params_["embedding__width"] in (2, 3)
    assert len(grid.cv_results_["params"]) == 2


@pytest.mark.filterwarnings("ignore::skmeta.NotMetaFittedWarning")
@pytest.mark.parametrize("cls", [AttentionMetaRegressor, AttentionMetaClassifier])
def test_without_meta_fit_the_embedding_is_as_it_is_made(cls):
    X, y = task_of(cls)
    model = cls(embedding=ConvNet, random_state=0).fit(X, y)
    assert model.predict(X).shape == y.shape


def test_augmentation_changes_rows_in_meta_training_alone(tiny, fitted):
    seen = []

    def change(rows, generator):
        seen.append(len(rows))
        return rows + 0.1 * torch.empty_like(rows).normal_(generator=generator)

    def changed():
        model = model_of(AttentionMetaClassifier, tiny, augmentation=change)
        return model.set_params(device="cpu")  # max-pooling: another byte on a GPU

    model = changed()
    model.meta_fit(class_tasks())
    n = tiny["max_epochs"] * tiny["steps_per_epoch"]
    assert len(seen) == n
    model.fit(*pictures(3, 2, 9)).predict(pictures(3, 2, 9)[0])
    assert len(seen) == n
    again = changed()
    X, y = pictures(3, 4, 50)
    p, q = (
        m.fit(X, y).predict_proba(X) for m in (model, again.meta_fit(class_tasks()))
    )
    np.testing.assert_array_equal(p, q)
    losses = [m.history_[0]["train_loss"] for m in (model, again)]
    assert (
        losses[0]
        == losses[1]
        != fitted(AttentionMetaClassifier).history_[0]["train_loss"]
    )


def test_warm_start_trains_the_embedding_on(tiny):
    model = model_of(AttentionMetaRegressor, tiny, warm_start=True)
    model.meta_fit(number_tasks())
    first = model.meta_state_.embedding
    model.meta_fit(number_tasks())
    assert model.meta_state_.embedding is not first
    other = [(X[:, :5], y) for X, y in number_tasks()]
    with pytest.raises(
        ValueError, match=r"rows of shape \(5, 6\), but what warm_start"
    ):
        model.meta_fit(other)


def test_global_states_are_left_alone(tiny):
    torch.manual_seed(3)
    np.random.seed(3)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    n_threads = torch.get_num_threads()
    model_of(AttentionMetaClassifier, tiny).meta_fit(class_tasks())
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])
    assert torch.get_num_threads() == n_threads


class Wrong(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, rows):
        return {"sum": rows.sum(), "none": None, "scalar a row": rows.sum((1, 2))}[
            self.kind
        ]


@pytest.mark.parametrize(
    ("embedding", "parameters", "words"),
    [
        (
            ConvNet,
            {"embedding__flat": False},
            r"into shape \(2, 4, 1, 1\); it must give",
        ),
        (Wrong("sum"), {}, "into Tensor; it must give"),
        (Wrong("none"), {}, "into NoneType; it must give"),
        (Wrong("scalar a row"), {}, r"into shape \(2,\)"),
        (nn.Linear(3, 2), {}, r"Linear cannot take rows of shape \(6, 6\)"),
        (ConvNet, {"embedding__depth": 3}, "cannot be made with embedding__depth=3"),
        (ConvNet(), {"embedding__width": 3}, "is made already, and cannot take"),
        (None, {"embedding__width": 3}, "'embedding' parameter .* a torch module"),
        (None, {"augmentation": print}, "'augmentation' parameter"),
        (nn.Linear(6, 2), {"shared_classes": True}, r"into shape \(2, 6, 2\)"),
        ("conv", {}, "'embedding' parameter"),
    ],
    ids=str,
)
def test_errors_name_what_was_given(embedding, parameters, words, tiny):
    model = AttentionMetaClassifier(embedding=embedding, **tiny, **parameters)
    with pytest.raises(ValueError, match=words):
        model.meta_fit(class_tasks())
    assert not hasattr(model, "meta_state_")


def test_errors_of_rows_and_augmentation(tiny, fitted):
    with pytest.raises(ValueError, match=r"shape \(6, 6\).*or give an embedding"):
        AttentionMetaRegressor(**tiny).meta_fit(number_tasks())
    model = fitted(AttentionMetaClassifier)
    with pytest.raises(ValueError, match=r"rows of shape \(5, 6\).*of shape \(6, 6\)"):
        model.fit(np.zeros((2, 5, 6)), [0, 1])
    wrong = model_of(
        AttentionMetaClassifier, tiny, augmentation=lambda rows, generator: rows[:1]
    )
    with pytest.raises(ValueError, match="augmentation turned rows of shape"):
        wrong.meta_fit(class_tasks())
    wrong.set_params(augmentation=lambda rows: rows)
    with pytest.raises(TypeError) as caught:
        wrong.meta_fit(class_tasks())
    assert "augmentation(rows, generator)" in caught.value.__notes__[0]
    with pytest.raises(TypeError, match=r"no parameter 'width'.*embedding__width"):
        AttentionMetaClassifier(width=3)
    with pytest.raises(TypeError, match=r"'max_epoch'. Did you mean 'max_epochs'\?"):
        AttentionMetaClassifier(max_epoch=3)


def test_another_embedding_comes_without_the_parameters_of_the_first():
    model = AttentionMetaClassifier(embedding=ConvNet, embedding__width=3)
    assert "embedding__width" in model.set_params(embedding=ConvNet).get_params()
    assert "embedding__width" not in model.set_params(embedding=None).get_params()
    model.set_params(embedding=ConvNet, embedding__width=4)
    assert model.get_params()["embedding__width"] == 4


def test_lazy_modules_learn_their_sizes():
    layers = nn.Flatten(), nn.LazyLinear(3)
    made = [make_embedding(nn.Sequential(*layers), {}, True, SHAPE, 0) for _ in "ab"]
    assert made[0].n_columns == 3
    assert made[0].module[1].in_features == 36
    weights = (one.module[1].weight for one in made)
    torch.testing.assert_close(*weights)  # drawn by the seed


def test_columns_are_standardised():
    X = 5 + 3 * np.random.default_rng(0).normal(size=(700, 6))
    embedding = make_embedding(nn.Linear, {"in_features": 6, "out_features": 3}, True,
                               (6,), seed=0)  # fmt: skip
    embedding.fit_norm(X)
    columns = embedding.transform(X)
    np.testing.assert_allclose(columns.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(columns.std(0), 1, rtol=1e-3)
    assert isinstance(embedding, Embedding)


def test_embedded_lazy_tasks_and_distributions(tiny):
    class Lazy:
        def __len__(self):
            return 12

        def __getitem__(self, i):
            return number_tasks(12)[i]

    class Draws:
        def sample(self, n_tasks, random_state):
            return number_tasks(n_tasks)

    for tasks in (Lazy(), Draws()):
        model = model_of(AttentionMetaRegressor, tiny, pooled_estimator=None)
        X, y = number_tasks(1)[0]
        assert model.meta_fit(check_tasks(tasks)).fit(X, y).predict(X).shape == y.shape


def test_modules_of_the_user_are_left_alone(tiny):
    backbone = ConvNet()
    before = [p.detach().clone() for p in backbone.parameters()]
    model = AttentionMetaClassifier(
        embedding=lambda: backbone, shared_classes=False, **tiny | {"lr": 1e-2}
    )
    model.meta_fit(class_tasks()).fit(*class_tasks()[0])
    for p, q in zip(before, backbone.parameters(), strict=True):
        torch.testing.assert_close(p, q.detach())
        assert q.requires_grad


def test_layers_that_are_frozen_stay_so(tiny):
    given = nn.Sequential(nn.Flatten(), nn.Linear(36, 6), nn.ReLU(), nn.Linear(6, 4))
    given[1].requires_grad_(False)
    embedding = make_embedding(given, {}, True, SHAPE, seed=0)
    assert embedding.trained == ["3.weight", "3.bias"]
    assert not embedding.module[1].weight.requires_grad


def test_what_makes_no_module_is_refused(tiny):
    model = AttentionMetaRegressor(embedding=Ridge, pooled_estimator=None, **tiny)
    with pytest.raises(ValueError, match="made a Ridge; it must be, or make, a torch"):
        model.meta_fit(number_tasks())
