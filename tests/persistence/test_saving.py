"""`save` and `load`: all comes back, without rows if asked; files are whole or none."""

import copy
import datetime
import decimal
import enum
import fractions
import os
import pickle
import stat
import subprocess
import sys
import uuid
import zoneinfo
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVR
from skorch.callbacks import Callback
from torch import nn

import skmeta
from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    SelfAttentionMetaClassifier,
    SelfAttentionMetaRegressor,
    Task,
    TaskCollection,
    TransformerMetaClassifier,
    TransformerMetaRegressor,
    load,
    meta_fit,
    save,
)
from skmeta.baselines import (
    MixedEffectsClassifier,
    MixedEffectsRegressor,
    PooledClassifier,
    PooledRegressor,
)
from skmeta.datasets import make_classification_tasks, make_linear_tasks
from skmeta.exceptions import SavedFileError

CLASSIFIERS = [
    AttentionMetaClassifier,
    SelfAttentionMetaClassifier,
    TransformerMetaClassifier,
]
ALL = [
    AttentionMetaRegressor, SelfAttentionMetaRegressor, TransformerMetaRegressor,
    *CLASSIFIERS,
]  # fmt: skip
NAMES = [
    "regressor", "regressor-auto", "regressor-none", "regressor-linear",
    "regressor-mlp", "binary", "three-mlp", "regressor-mlp-related", "binary-related",
    "regressor-transformer", "binary-transformer", "regressor-related", "three-related",
    "regressor-gp", "binary-auto",
]  # fmt: skip
SINGLE = [
    "regressor-linear", "regressor-mlp", "three-mlp", "regressor-gp",
    "regressor-mlp-related",
]  # fmt: skip
"""Estimators that have no stack of experts."""


pytestmark = pytest.mark.usefixtures("quick_training")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "learner.safetensors"


@pytest.fixture
def there_and_back(path):
    """What `load` makes of what `save` wrote."""

    def saved(estimator, include_rows=True, **given):
        save(estimator, path, include_rows=include_rows)
        return load(path, **given)

    return saved


def assert_same(one, other, X, outputs=None):
    """Both predict the same bytes."""
    outputs = outputs or (lambda e: e.predict(X))
    assert outputs(one).tobytes() == outputs(other).tobytes()


# All that there is comes back


@pytest.mark.parametrize("name", NAMES)
def test_meta_fitted_and_adapted(name, meta_fitted, there_and_back, recwarn):
    estimator, (X, y, X_query) = meta_fitted(name), meta_fitted.task(name)

    def outputs(estimator):
        return meta_fitted.predict(estimator, X_query)

    loaded = there_and_back(estimator)
    assert_same(loaded, estimator, X_query, outputs)
    assert not loaded.__sklearn_is_fitted__()
    assert loaded.task_names_.tolist() == estimator.task_names_.tolist()
    assert loaded.history_ == estimator.history_
    estimator.fit(X, y)
    assert_same(loaded.fit(X, y), estimator, X_query, outputs)
    loaded = there_and_back(estimator)
    assert_same(loaded, estimator, X_query, outputs)
    assert loaded.__sklearn_is_fitted__()
    for attribute in (
        "task_embedding_", "feature_attention_", "base_learner_weights_",
        "task_embeddings_", "base_learners_",
    ):  # fmt: skip
        expected = getattr(estimator, attribute)
        np.testing.assert_array_equal(getattr(loaded, attribute), expected)
    experts = loaded.meta_state_.network.core().experts
    assert experts == estimator.meta_state_.network.core().experts
    assert (len(loaded.base_learners_) == 1) == (name in SINGLE)
    more = meta_fitted.task(name, 1)
    estimator.partial_fit(*more[:2]), loaded.partial_fit(*more[:2])
    assert_same(loaded, estimator, X_query, outputs)
    assert not recwarn.list


@pytest.mark.parametrize("cls", ALL)
def test_new(cls, there_and_back):
    state = np.random.RandomState(7)
    estimator = cls(
        "linear", n_support=(1, np.int64(4)), random_state=state, device="cpu"
    )
    pooled = LogisticRegression() if cls in CLASSIFIERS else Ridge(alpha=3)
    loaded = there_and_back(estimator.set_params(pooled_estimator=pooled))
    assert type(loaded) is cls
    assert not hasattr(loaded, "meta_state_")
    assert loaded.random_state.randint(10**6) == state.randint(10**6)
    loaded.set_params(random_state=state)
    assert repr(loaded) == repr(estimator)


@pytest.mark.filterwarnings("ignore::skmeta.NotMetaFittedWarning")
@pytest.mark.parametrize("base_learner", ["gp", "mlp", KNeighborsRegressor(2, p=1)])
def test_fitted_when_new(base_learner, there_and_back, meta_fitted):
    X, y, X_query = meta_fitted.task("regressor")
    types = [
        "sklearn.metrics._dist_metrics.ManhattanDistance64",
        "sklearn.neighbors._kd_tree.KDTree",
    ]
    estimator = SelfAttentionMetaRegressor(base_learner, embed_dim=8, random_state=0)
    loaded = there_and_back(estimator.fit(X, y), trusted=types)
    assert_same(loaded, estimator, X_query)
    assert loaded.n_features_in_ == 3


def test_columns_names_and_output(there_and_back, meta_fitted, tiny):
    pd = pytest.importorskip("pandas")
    frames = [
        (pd.DataFrame(task.X, columns=["a", "b", "c"]), task.y)
        for task in meta_fitted.tasks("regressor")
    ]
    named = dict(zip([*"hijklmnopq", 3, (4, "x")], frames, strict=True))
    estimator = AttentionMetaRegressor("linear", None, **tiny).meta_fit(named)
    loaded = there_and_back(estimator.set_output(transform="pandas"))
    X = frames[0][0]
    pd.testing.assert_frame_equal(loaded.transform(X), estimator.transform(X))
    assert loaded.feature_names_in_.tolist() == ["a", "b", "c"]
    assert set(loaded.task_names_) == set(named)


class Net(nn.Module):
    """A few columns of rows that are pictures."""

    def __init__(self, width=3):
        super().__init__()
        self.linear, self.norm = nn.LazyLinear(width), nn.BatchNorm1d(width)

    def forward(self, rows):
        return self.norm(self.linear(rows.flatten(1)))


def pictures(seed, n_classes=3, n_rows=5):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(n_classes), n_rows)
    return rng.normal(size=(n_classes, 2, 3))[y] + rng.normal(size=(len(y), 2, 3)), y


@pytest.fixture(scope="module")
def pictured(tiny):
    """Meta-fitted on pictures of classes that each task has of its own."""
    models = {}

    def of(cls, **parameters):
        key = cls, *parameters
        if key not in models:
            model = cls(embedding=Net, shared_classes=False, **tiny, **parameters)
            models[key] = model.meta_fit([pictures(seed) for seed in range(6)])
        return clone(models[key])

    return of


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_embedding_and_own_classes(cls, pictured, there_and_back):
    X, y = pictures(9)
    adapted = pictured(cls).fit(X[::2], y[::2])
    for estimator in (pictured(cls), adapted):
        for given in (Net, Net()):
            loaded = there_and_back(estimator, embedding=given)
            if estimator is not adapted:
                loaded.fit(X[::2], y[::2])
            assert_same(loaded, adapted, X, lambda e: e.predict_proba(X))
            assert loaded.embedding is given


def test_parameters_of_the_embedding(pictured, there_and_back):
    estimator = pictured(AttentionMetaClassifier, embedding__width=2)
    loaded = there_and_back(estimator, embedding=Net)
    assert loaded.get_params()["embedding__width"] == 2
    with pytest.raises(SavedFileError, match=r"Net\(\.\.\.\) is made already"):
        there_and_back(estimator, embedding=Net())


def test_embedding_is_asked_for(pictured, path, meta_fitted):
    save(pictured(AttentionMetaClassifier), path)
    with pytest.raises(SavedFileError, match=r"test_saving\.Net.*embedding=Net"):
        load(path)
    with pytest.raises(
        SavedFileError, match=r"not those of the embedding .*Sequential"
    ):
        load(path, embedding=nn.Sequential(nn.Flatten(), nn.Linear(6, 3)))
    with pytest.raises(ValueError, match=r"embedding must be .* Got 'Net'"):
        load(path, embedding="Net")
    save(meta_fitted("regressor"), path)
    with pytest.raises(SavedFileError, match=r"no embedding to be .*Net"):
        load(path, embedding=Net)


@pytest.mark.parametrize(
    "estimator",
    [
        PooledRegressor(Ridge(), "gp"),
        PooledRegressor(adapt="slopes", random_state=0),
        PooledClassifier(LogisticRegression(), "intercept"),
        PooledClassifier(LogisticRegression(), "gp", random_state=0),
        MixedEffectsRegressor("full"),
        MixedEffectsClassifier(ridge=2.0),
    ],
    ids=str,
)
def test_baselines(estimator, there_and_back):
    make = make_linear_tasks
    if "Classifier" in type(estimator).__name__:
        make = make_classification_tasks
    *tasks, task = make(n_tasks=7, n_rows=12, n_features=2, random_state=0)
    assert repr(there_and_back(estimator)) == repr(estimator)
    model = clone(estimator).meta_fit(tasks)
    assert_same(there_and_back(model), model, task.X)
    model.fit(task.X[:6], task.y[:6])
    loaded = there_and_back(model)
    assert_same(loaded, model, task.X)
    assert_same(clone(loaded), clone(model), task.X)


@pytest.mark.filterwarnings("ignore::skmeta.NotMetaFittedWarning")
def test_baseline_fitted_when_new(there_and_back, meta_fitted):
    X, y, X_query = meta_fitted.task("regressor")
    model = PooledRegressor(Ridge()).fit(X, y)
    assert_same(there_and_back(model), model, X_query)


def test_random_states(there_and_back, meta_fitted):
    """Nothing is drawn from them, and those of baselines may be set at any time."""
    estimator, (X, y, X_query) = meta_fitted("regressor"), meta_fitted.task("regressor")
    estimator.set_params(random_state=np.random.RandomState(3)).fit(X, y)
    loaded = there_and_back(estimator)
    loaded.predict(X_query)
    expected = np.random.RandomState(3).randint(10**6)
    assert loaded.random_state.randint(10**6) == expected
    assert estimator.random_state.randint(10**6) == expected
    model = PooledRegressor(Ridge(), random_state=0)
    model.meta_fit(meta_fitted.tasks("regressor")).set_params(random_state=5)
    loaded = there_and_back(model)
    assert_same(loaded.fit(X, y), model.fit(X, y), X_query)


def test_pipeline(there_and_back, meta_fitted):
    X, y, X_query = meta_fitted.task("regressor")
    scaler = FrozenEstimator(StandardScaler().fit(meta_fitted.tasks("regressor").X))
    pipeline = make_pipeline(scaler, meta_fitted("regressor"), Ridge()).fit(X, y)
    loaded = there_and_back(pipeline)
    assert [*loaded.named_steps] == [*pipeline.named_steps]
    assert_same(loaded, pipeline, X_query)


@pytest.mark.parametrize("base_learner", ["linear", Ridge()], ids=str)
def test_missing_values_and_weights(base_learner, there_and_back, meta_fitted, tiny):
    rng, tasks = np.random.default_rng(0), []
    for i, task in enumerate(meta_fitted.tasks("regressor")):
        X = np.where(rng.random(task.X.shape) < 0.2, np.nan, task.X)
        tasks.append(Task(X, task.y, name=i, weight=1 + i))
    *tasks, task = tasks
    model = AttentionMetaRegressor(base_learner, None, **tiny).meta_fit(tasks)
    loaded = there_and_back(model)
    model.fit(task.X, task.y), loaded.fit(task.X, task.y)
    assert_same(loaded, model, task.X)
    assert_same(there_and_back(model), model, task.X)


def test_pipeline_by_meta_fit(path, meta_fitted, tiny):
    tasks = [(task.X, task.y) for task in meta_fitted.tasks("regressor")]
    model = AttentionMetaRegressor("linear", None, **tiny)
    pipeline = meta_fit(make_pipeline(StandardScaler(), model), tasks)
    save(pipeline, path, include_rows=False)
    X, y, X_query = meta_fitted.task("regressor")
    assert_same(load(path).fit(X, y), pipeline.fit(X, y), X_query)


def test_relations_go_on(there_and_back, meta_fitted):
    """More tasks may be remembered, and meta-training go on."""
    estimator = meta_fitted("regressor-mlp-related")
    more = meta_fitted.task("regressor")
    loaded = there_and_back(estimator)
    for one in (estimator, loaded):
        one.add_tasks({"more": more[:2]})
    assert_same(loaded, estimator, more[2])
    estimator.set_params(warm_start=True, max_epochs=0)
    estimator.meta_fit(meta_fitted.tasks("regressor"))
    assert_same(there_and_back(estimator), estimator, more[2])


OTHER_PROCESS = """
import pickle, sys
import cloudpickle, joblib, numpy as np
from pathlib import Path
from skmeta import load
folder = Path(sys.argv[1])
reads = {
    "saved": load,
    "pickle": lambda path: pickle.loads(path.read_bytes()),
    "cloudpickle": lambda path: cloudpickle.loads(path.read_bytes()),
    "joblib": joblib.load,
}
for path in sorted(folder.glob("*-*")):
    X = np.load(folder / f"{path.stem}.npy")
    estimator = reads[path.suffix[1:]](path)
    (folder / f"{path.name}.bytes").write_bytes(estimator.predict(X).tobytes())
"""


def test_another_process_predicts_the_same_bytes(tmp_path, meta_fitted):
    models = {}
    for name in ("regressor-auto", "three-mlp", "binary-related",
                 "regressor-transformer"):  # fmt: skip
        X, y, X_query = meta_fitted.task(name)
        models |= {
            f"{name}-meta_fitted": (meta_fitted(name), X_query),
            f"{name}-adapted": (meta_fitted(name).fit(X, y), X_query),
        }
    tasks = make_linear_tasks(n_tasks=5, n_rows=8, n_features=2, random_state=0)
    model = MixedEffectsRegressor().meta_fit(tasks[:4]).fit(tasks[4].X, tasks[4].y)
    models["mixed-effects"] = model, tasks[4].X
    for name, (model, X) in models.items():
        np.save(tmp_path / f"{name}.npy", X)
        save(model, tmp_path / f"{name}.saved")
        (tmp_path / f"{name}.pickle").write_bytes(pickle.dumps(model))
        (tmp_path / f"{name}.cloudpickle").write_bytes(cloudpickle.dumps(model))
        joblib.dump(model, tmp_path / f"{name}.joblib")
    for array in tmp_path.glob("*.npy"):
        array.rename(array.with_name(array.name.replace("-", "_")))
    root = Path(skmeta.__file__).parents[1]
    code = OTHER_PROCESS.replace("{path.stem}", "{path.stem.replace('-', '_')}")
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    for name, (model, X) in models.items():
        for suffix in ("saved", "pickle", "cloudpickle", "joblib"):
            found = (tmp_path / f"{name}.{suffix}.bytes").read_bytes()
            assert found == model.predict(X).tobytes(), (name, suffix)


# Without rows


def row_bytes(X):
    """Bytes of the numbers of each row, as float64 and float32."""
    return [row.astype(dtype).tobytes() for dtype in "df" for row in np.asarray(X)]


@pytest.mark.parametrize("name", ["regressor", "regressor-auto", "binary-related"])
def test_no_rows_where_none_are_needed(name, meta_fitted, path):
    estimator, (X, y, X_query) = meta_fitted(name), meta_fitted.task(name)
    save(estimator, path, include_rows=False)
    assert_same(load(path), estimator, X_query)
    content = path.read_bytes()
    assert not any(row in content for row in row_bytes(meta_fitted.tasks(name).X))
    save(estimator.fit(X, y), path)
    content = path.read_bytes()
    assert sum(row in content for row in row_bytes(X)) == len(X)
    with pytest.raises(ValueError, match=r"adapted to rows.*clone\(estimator\)"):
        save(estimator, path, include_rows=False)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"pooled_estimator": KNeighborsRegressor()}, "KNeighborsRegressor.*KDTree"),
        ({"pooled_estimator": SVR()}, r"fitted SVR.*may hold training rows"),
        (
            {"pooled_estimator": make_pipeline(StandardScaler(), SVR())},
            r"fitted Pipeline.*'SVR'",
        ),
        ({"base_learner": Ridge()}, 'trained on rows of the.*base_learner="gp"'),
    ],
    ids=str,
)
def test_rows_that_are_needed(parameters, words, meta_fitted, tiny, path):
    estimator = AttentionMetaRegressor(**{"pooled_estimator": None} | parameters)
    estimator.set_params(**tiny).meta_fit(meta_fitted.tasks("regressor"))
    with pytest.raises(ValueError, match=f"(?s){words}"):
        save(estimator, path, include_rows=False)
    assert not path.exists()
    save(estimator, path)
    types = [
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.neighbors._kd_tree.KDTree",
    ]
    X, y, X_query = meta_fitted.task("regressor")
    assert_same(load(path, trusted=types).fit(X, y), estimator.fit(X, y), X_query)


def test_estimators_that_are_not_fitted_hold_no_rows(pictured, path):
    knn = KNeighborsRegressor()
    save(AttentionMetaRegressor(knn, knn), path, include_rows=False)
    assert load(path).base_learner.get_params() == knn.get_params()


def test_rows_of_baselines(path):
    tasks = make_linear_tasks(n_tasks=6, n_rows=8, n_features=2, random_state=0)
    X, y = tasks[5].X, tasks[5].y
    mixed = MixedEffectsRegressor().meta_fit(tasks[:5]).fit(X, y)
    save(mixed, path, include_rows=False)
    assert_same(load(path), mixed, X)
    content = path.read_bytes()
    assert not any(row in content for row in row_bytes(tasks.X))
    for model, targets in (
        (PooledRegressor(Ridge(), "gp"), [task.y for task in tasks]),
        (PooledClassifier(LogisticRegression(), "gp"), [task.y > 0 for task in tasks]),
    ):
        pairs = [(task.X, y) for task, y in zip(tasks, targets, strict=True)]
        save(model.meta_fit(pairs[:5]), path, include_rows=False)
        X, y = pairs[5]
        with pytest.raises(ValueError, match=r"Pooled\w+ is adapted to rows"):
            save(model.fit(X, y), path, include_rows=False)


def test_adapted_to_no_row(there_and_back, meta_fitted):
    for name in ("regressor", "three", "regressor-related"):
        X, y, X_query = meta_fitted.task(name)
        estimator = meta_fitted(name).fit(X, y, sample_weight=np.zeros(6))
        loaded = there_and_back(estimator)
        assert loaded.__sklearn_is_fitted__()
        assert_same(loaded, meta_fitted.original(name), X_query)
        assert_same(loaded.partial_fit(X, y), estimator.fit(X, y), X_query)


# What cannot be saved, or not all of it


class Mean(RegressorMixin, BaseEstimator):
    """The mean of the targets."""

    def fit(self, X, y):
        self.mean_ = np.mean(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


def test_types_of_the_user_are_trusted_by_name(meta_fitted, tiny, path):
    tasks = meta_fitted.tasks("regressor")
    estimator = AttentionMetaRegressor("linear", Mean(), **tiny).meta_fit(tasks)
    name = f"{Mean.__module__}.Mean"
    with pytest.warns(UserWarning, match=rf"\['{name}'\], in .*trusted=\[") as seen:
        save(estimator, path)
    assert [w.filename for w in seen] == [__file__]
    with pytest.raises(SavedFileError, match=rf"types \['{name}'\].*trusted="):
        load(path)
    assert_same(load(path, trusted=[name]), estimator, tasks.X)


def as_it_is(X):
    return X


def test_functions_of_a_pipeline(meta_fitted, tiny, path):
    tasks = meta_fitted.tasks("regressor")
    learner = AttentionMetaRegressor("linear", None, **tiny)

    def saved(function):
        pipeline = make_pipeline(FunctionTransformer(function), learner)
        save(meta_fit(pipeline, tasks), path)

    saved(np.cbrt)
    assert load(path)[0].func is np.cbrt
    name = f"{__name__}.as_it_is"
    with pytest.warns(
        UserWarning, match=rf"{name}.*estimator/functiontransformer.*load"
    ):
        saved(as_it_is)
    assert load(path, trusted=[name])[0].func is as_it_is
    with pytest.raises(ValueError, match=r"functiontransformer=.*without code.*lambda"):
        saved(lambda X: X)


class Colour(enum.Enum):
    """Names that code alone can make again."""

    RED = 1


class Text(str):
    """Text of a class of its own."""


MONDAY = datetime.datetime(2020, 3, 2, 8, 30)
NAMES_THAT_ARE = {
    "Timestamp": [pd.Timestamp(MONDAY), pd.Timestamp(MONDAY, tz="Asia/Kolkata")],
    "Timestamp of nanoseconds": [pd.Timestamp("2020-01-01 00:00:00.123456789")],
    "datetime": [MONDAY, MONDAY.replace(microsecond=1)],
    "datetime of a zone": [MONDAY.replace(tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))],
    "date": [MONDAY.date(), datetime.date.min],
    "time": [MONDAY.time()],
    "timedelta": [datetime.timedelta(days=-1, microseconds=3)],
    "Timedelta": [pd.Timedelta("1h"), pd.Timedelta("1ns")],
    "datetime64": [np.datetime64("2020-01-01"), np.timedelta64(3, "h")],
    "UUID": [uuid.UUID(int=7)],
    "Decimal": [decimal.Decimal("0.1"), decimal.Decimal("1E+500")],
    "Fraction": [fractions.Fraction(1, 3)],
    "complex": [1 + 2j],
    "Period": [pd.Period("2020-03", "M"), pd.Period("2020-03-02", "W")],
    "Interval": [
        pd.Interval(0.1, np.float64(0.3), "left"),
        pd.Interval(pd.Timestamp("2020"), pd.Timestamp("2021")),
        pd.Interval(pd.Timedelta("1h"), pd.Timedelta("2h")),
    ],
    "bytes": [b"\x00\xff", b""],
    "text": [np.str_("a"), Text("b")],
    "frozenset": [frozenset({1, "a"})],
    "tuple": [("a", MONDAY.date(), (1, uuid.UUID(int=7)))],
}


@pytest.mark.parametrize("sort", NAMES_THAT_ARE)
def test_names_of_tasks_come_back_as_equal_values(
    sort, meta_fitted, tiny, there_and_back, recwarn
):
    names = [*NAMES_THAT_ARE[sort], "other", 2]
    names += range(10, 10 + 8 - len(names))
    tasks = dict(zip(names, meta_fitted.tasks("regressor")[:8], strict=True))
    for base_learner in ("linear", Ridge()):  # which is trained on rows of these tasks
        learner = SelfAttentionMetaRegressor(base_learner, None, **tiny)
        loaded = there_and_back(learner.meta_fit(tasks))
        found = loaded.task_names_.tolist()
        assert found == names
        assert [*map(hash, found)] == [*map(hash, names)]
        with pytest.raises(ValueError, match="in memory already"):
            loaded.add_tasks({names[0]: tasks[names[0]]})
    assert loaded.meta_state_.tasks[0].names == tuple(names)
    assert not recwarn.list


def test_tasks_that_a_column_of_dates_names(meta_fitted, tiny, there_and_back):
    days = pd.date_range("2020-01-01", periods=12)
    x = np.random.default_rng(0).normal(size=(120, 2))
    frame = pd.DataFrame({"day": np.repeat(days, 10), "x": x[:, 0], "y": x[:, 1]})
    tasks = TaskCollection.from_frame(frame, target="y", task="day")
    learner = SelfAttentionMetaRegressor(Ridge(), None, **tiny).meta_fit(tasks)
    loaded = there_and_back(learner)
    assert loaded.task_names_.tolist() == [*days.to_pydatetime()] == [*days]
    assert loaded.meta_state_.tasks[0].names == tasks.names
    assert_same(loaded, learner, tasks.X)


def test_names_that_are_code(meta_fitted, tiny, path):
    tasks = dict(enumerate(meta_fitted.tasks("regressor")[:7]))
    path.write_text("before")
    learner = AttentionMetaRegressor("linear", None, **tiny)
    learner.meta_fit({Colour.RED: tasks[0], **tasks})
    words = r"task_names/0=<Colour.RED: 1> cannot be saved.*name it by a string"
    with pytest.raises(ValueError, match=words):
        save(learner, path)
    assert path.read_text() == "before"
    learner.meta_fit({range(3): tasks[0], **tasks})
    with pytest.warns(
        UserWarning, match=r"'builtins.range'\], in .*task_names/0.*trusted"
    ):
        save(learner, path)
    loaded = load(path, trusted=["builtins.range"])
    assert loaded.task_names_.tolist() == [range(3), *range(7)]


def test_names_of_pandas_without_pandas(meta_fitted, tiny, path, monkeypatch):
    tasks = dict(enumerate(meta_fitted.tasks("regressor")[:7]))
    tasks[pd.Period("2020-03", "M")] = tasks.pop(0)
    learner = AttentionMetaRegressor("linear", None, **tiny).meta_fit(tasks)
    save(learner, path)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(SavedFileError, match=r"Period of pandas.*pip install pandas"):
        load(path)


def test_code_for_meta_fit_is_left_out(meta_fitted, path):
    estimator = meta_fitted("regressor").set_params(callbacks=[Callback()])
    estimator.note = "mine"
    with pytest.warns(UserWarning, match=r"leaves out \['callbacks', 'note'\]") as seen:
        save(estimator, path)
    assert seen[0].filename == __file__
    assert load(path).callbacks is None
    assert len(estimator.callbacks) == 1


class Own(AttentionMetaRegressor):
    """A class that `load` cannot know."""


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (Ridge(), r"save knows.*Got Ridge\(\)"),
        (Own(), r"Got Own\(\)"),
        (GridSearchCV(AttentionMetaRegressor(), {}), "Got GridSearchCV"),
        (make_pipeline(Own()), r"Got Own\(\)"),
        (AttentionMetaRegressor(embed_dim=5), "'embed_dim'.*multiple"),
        (PooledRegressor(adapt="all"), "adapt='all'"),
        (
            AttentionMetaRegressor(embedding=Net, embedding__f=np.array(1j)),
            "array of complex128",
        ),
        (
            AttentionMetaRegressor(embedding=Net, embedding__f=(x for x in "ab")),
            "cannot be saved without code",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_cannot_be_saved(estimator, words, path):
    path.write_text("before")
    with pytest.raises(ValueError, match=f"(?s){words}"):
        save(estimator, path)
    assert [*path.parent.iterdir()] == [path]
    assert path.read_text() == "before"


def test_folder_that_is_not_there(path):
    to = path.parent / "nowhere" / path.name
    with pytest.raises(FileNotFoundError, match=rf"no folder .*nowhere.*{path.name}"):
        save(AttentionMetaRegressor(), to)


def test_changed_structure_is_not_saved(meta_fitted, path):
    with pytest.raises(ValueError, match=r"n_layers=3 \(meta_fit had 1\)"):
        save(meta_fitted("regressor").set_params(n_layers=3), path)


def test_lazy_tasks_are_not_saved(meta_fitted, tiny, path):
    tasks = meta_fitted.tasks("regressor")

    class Files:
        def __len__(self):
            return len(tasks)

        def __getitem__(self, i):
            return tasks[i]

    estimator = AttentionMetaRegressor(Ridge(), None, **tiny).meta_fit(Files())
    with pytest.raises(ValueError, match=r"loaded on access.*TaskCollection"):
        save(estimator, path)


# Writing


@pytest.mark.parametrize("breaks", ["fsync", "replace"])
def test_a_file_is_written_all_or_not_at_all(breaks, path, monkeypatch):
    def fail(*args):
        raise OSError("no space left")

    save(AttentionMetaRegressor(n_layers=1), path)
    before = path.read_bytes()
    monkeypatch.setattr(os, breaks, fail)
    with pytest.raises(OSError, match="no space left"):
        save(AttentionMetaRegressor(n_layers=2), path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [*path.parent.iterdir()] == [path]
    save(AttentionMetaRegressor(n_layers=2), path)
    assert load(path).n_layers == 2


def test_a_file_is_written_like_any_other(path):
    """With the permissions that others have, and through a link."""
    link = path.with_name("link")
    link.symlink_to(path)
    save(AttentionMetaRegressor(), str(link))
    other = path.with_name("other")
    other.write_text("")
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_saving_and_loading_change_nothing(meta_fitted, path):
    estimator = meta_fitted("binary-related")
    X, y, _ = meta_fitted.task("binary-related")
    held = {**vars(estimator.fit(X, y))}
    network = estimator.meta_state_.network
    before = copy.deepcopy(network.state_dict())
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    save(estimator, path)
    loaded = load(path)
    assert all(torch.equal(t, before[n]) for n, t in network.state_dict().items())
    assert all(vars(estimator)[name] is value for name, value in held.items())
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()
    with pytest.raises(ValueError, match="read-only"):
        loaded.task_embeddings_[0] = 0
    assert not any(p.requires_grad for p in loaded.meta_state_.network.parameters())


def test_versions(path, monkeypatch, meta_fitted):
    monkeypatch.setattr("skmeta._persistence.files.__version__", "0.0.1")
    monkeypatch.setattr("sklearn.base.__version__", "1.0.2")
    save(meta_fitted("regressor"), path)
    monkeypatch.undo()
    with pytest.warns(InconsistentVersionWarning) as seen:
        load(path)
    assert [w.message.original_sklearn_version for w in seen] == ["1.0.2", "0.0.1"] or (
        {w.message.estimator_name for w in seen} == {"Ridge", "AttentionMetaRegressor"}
    )
    assert seen[-1].filename == __file__
