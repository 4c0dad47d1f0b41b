"""Meta-fitted estimators that tests share, and formulas that they compare with."""

import json
import os
import pickle
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy.special import erf
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits

from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    SelfAttentionMetaClassifier,
    SelfAttentionMetaRegressor,
    TransformerMetaClassifier,
    TransformerMetaRegressor,
)
from skmeta._episodes.batch import Rows
from skmeta._networks.encoders.task_encoder import TaskEncoding
from skmeta._networks.learners.gp_classification import GaussianProcessClassification
from skmeta._networks.learners.gp_prior import Expert, GaussianProcessPrior
from skmeta._networks.learners.gp_regression import GaussianProcessRegression
from skmeta._persistence.files import digest
from skmeta._training.validation import validation_batches
from skmeta.datasets import make_classification_tasks, make_linear_tasks
from skmeta.tables import read_tasks

N_META_TASKS, N_FEATURES = 12, 3

TINY = {
    "max_epochs": 2,
    "steps_per_epoch": 3,
    "batch_size": 4,
    "embed_dim": 8,
    "n_heads": 2,
    "n_layers": 1,
    "random_state": 0,
}


ESTIMATORS = {
    "regressor": AttentionMetaRegressor(pooled_estimator=Ridge()),
    "regressor-auto": AttentionMetaRegressor(),
    "regressor-gp": AttentionMetaRegressor("gp", Ridge()),
    "regressor-none": AttentionMetaRegressor(pooled_estimator=None),
    "regressor-linear": AttentionMetaRegressor("linear", Ridge()),
    "regressor-mlp": AttentionMetaRegressor("mlp", Ridge()),
    "binary": AttentionMetaClassifier(pooled_estimator=LogisticRegression()),
    "binary-auto": AttentionMetaClassifier(task_attention=False),
    "three": AttentionMetaClassifier(pooled_estimator=None, task_attention=False),
    "regressor-related": SelfAttentionMetaRegressor(pooled_estimator=Ridge()),
    "regressor-mlp-related": SelfAttentionMetaRegressor("mlp", None),
    "binary-related": SelfAttentionMetaClassifier(pooled_estimator=None),
    "three-related": SelfAttentionMetaClassifier(
        pooled_estimator=LogisticRegression(), task_attention=False
    ),
    "three-mlp": AttentionMetaClassifier("mlp", None, task_attention=False),
    "regressor-estimator": SelfAttentionMetaRegressor(Ridge(), Ridge()),
    "three-estimator": SelfAttentionMetaClassifier(LogisticRegression(), None),
    "regressor-transformer": TransformerMetaRegressor(
        pooled_estimator=Ridge(), kernel_averaging=True
    ),
    "binary-transformer": TransformerMetaClassifier(pooled_estimator=None),
}


def pytest_configure():
    """One thread a process: two of them share two cores."""
    torch.set_num_threads(1)
    threadpool_limits(1)


@pytest.fixture(scope="session")
def tiny():
    """Parameters of a short meta-training."""
    return dict(TINY)


@contextmanager
def trained_small():
    """Meta-training looks at little, where it does not matter how good it gets."""
    few_batches = partial(validation_batches, n_episodes=64)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("initialization", "meta_training"):
            name = f"skmeta._training.{module}.validation_batches"
            patch.setattr(name, few_batches)
        for name, value in {
            "empirical_bayes.MAX_ITER": 5,
            "similarity.N_EPISODES": 32, "similarity.N_VALIDATION_EPISODES": 32,
            "similarity.N_STEPS": 2, "relations.N_TRIAL_STEPS": 1,
            "mixture_weights.MAX_BATCHES": 1, "mixture_weights.N_STEPS": 1,
        }.items():  # fmt: skip
            patch.setattr(f"skmeta._training.{name}", value)
        yield


class MetaFitted:
    """Meta-fitted estimators by name, each trained once; calling gives a clone.

    ``folder`` is where processes that run tests side by side find what others trained.
    """

    estimators = ESTIMATORS

    def __init__(self, folder):
        self._folder, self._all_tasks, self._fitted = folder, {}, {}

    def _tasks(self, name):
        kind = name.split("-")[0]
        if kind not in self._all_tasks:
            sizes = {
                "n_tasks": N_META_TASKS + 3,
                "n_rows": 15,
                "n_features": N_FEATURES,
                "random_state": 0,
            }
            if kind == "regressor":
                tasks = make_linear_tasks(**sizes, within=0.5)
            else:
                n_classes = {"binary": 2, "three": 3}[kind]
                tasks = make_classification_tasks(**sizes, n_classes=n_classes)
            self._all_tasks[kind] = tasks
        return self._all_tasks[kind]

    def tasks(self, name):
        """The tasks that it was meta-fitted on."""
        return self._tasks(name)[:N_META_TASKS]

    def new_task(self, name, i=0):
        """Another task."""
        return self._tasks(name)[N_META_TASKS + i]

    def task(self, name, i=0, n_support=6):
        """Another task: support features, their targets, query features."""
        task = self.new_task(name, i)
        return task.X[:n_support], task.y[:n_support], task.X[n_support:]

    def original(self, name):
        """The meta-fitted estimator itself, not to be changed."""
        if name not in self._fitted:
            path = self._folder / f"{name}.pickle"
            if not path.exists():
                estimator = clone(self.estimators[name]).set_params(**TINY)
                with trained_small():
                    estimator.meta_fit(self.tasks(name))
                relations = getattr(
                    estimator.meta_state_.network.learner, "relations", None
                )
                if relations is not None:  # whatever validation tasks select
                    relations.weights.null_logit.fill_(-1.0)
                whole = self._folder / f"{name}-{os.getpid()}.pickle"
                whole.write_bytes(pickle.dumps(estimator))
                whole.rename(path)  # at once: nobody reads half of it
            self._fitted[name] = pickle.loads(path.read_bytes())
        return self._fitted[name]

    def __call__(self, name):
        return clone(self.original(name))

    @staticmethod
    def predict(estimator, X):
        """All that it predicts, in one float array (n_outputs, n_query)."""
        if hasattr(estimator, "predict_proba"):
            return estimator.predict_proba(X).T
        return np.stack(estimator.predict(X, return_std=True))


@pytest.fixture(autouse=True)
def _short_doctests(request):
    """Examples in docstrings train briefly: nothing that they print depends on it."""
    if not isinstance(request.node, pytest.DoctestItem):
        yield
        return
    with trained_small():
        yield


@pytest.fixture(scope="module")
def quick_training():
    """As `trained_small`, for all tests of a module."""
    with trained_small():
        yield


@pytest.fixture
def short(quick_training, monkeypatch):
    """By default, meta-training of one short epoch that pools nothing.

    For code of the docs, which asks for more where it matters there.
    """
    for cls in {type(estimator) for estimator in ESTIMATORS.values()}:
        monkeypatch.setattr(cls.__init__, "__defaults__", ("gp", None))
        for name, value in {"max_epochs": 1, "steps_per_epoch": 2}.items():
            monkeypatch.setitem(cls.__init__.__kwdefaults__, name, value)


@pytest.fixture(scope="session")
def meta_fitted(tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers
    return MetaFitted(folder)


# A process with everything at random, and its mean and kernel by their formulas.

N_POOLED = 2
STACK = (
    Expert("gp"),
    Expert("gp on second", 1),
    Expert("linear on first", 0, True),
    Expert("gp on first", 0),
)


def randomise(module, seed, scale=0.3):
    """Draw every parameter anew, in float64."""
    generator = torch.Generator().manual_seed(seed)
    module.double()
    with torch.no_grad():
        for p in module.parameters():
            draw = torch.randn(p.shape, generator=generator, dtype=torch.float64)
            p.copy_(scale * draw)
    return module


def random_prior(
    n_features=3, n_offset=1, n_outputs=1, linear_only=False, log_noise=-1.0, seed=0,
    experts=None,
):  # fmt: skip
    """A prior of one expert, or of those given."""
    if experts is None:
        experts = [Expert("gp", 0 if n_offset else None, linear_only)]
    prior = GaussianProcessPrior(
        n_features, n_offset // n_outputs, n_outputs, embed_dim=4, column_dim=3,
        experts=experts, n_hidden=5, n_basis=3,
    )  # fmt: skip
    randomise(prior, seed)
    with torch.no_grad():
        prior.factor.copy_(torch.eye(prior.n_linear) + prior.factor.tril())
        prior.noise += log_noise
    return prior.requires_grad_(False)


def random_stack(n_features=3, n_outputs=1, experts=STACK, **options):
    """A learner of several experts, some on one of two pooled estimators, weighted."""
    n_offset = 0
    if any(one.pooled is not None for one in experts):
        n_offset = N_POOLED * n_outputs
    prior = random_prior(n_features, n_offset, n_outputs, experts=experts, **options)
    if n_outputs == 1:
        learner = GaussianProcessRegression(prior).double()
    else:
        learner = GaussianProcessClassification(prior).double()
    if len(experts) > 1:
        rng = np.random.default_rng(3)
        learner.expert_weights.set(
            *(torch.from_numpy(rng.normal(size=(2, len(experts)))))
        )
    return learner.eval()


def random_encoding(n_tasks=2, n_features=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    shapes = (n_tasks, 4), (n_tasks, n_features, 3)
    return TaskEncoding(
        *(torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes)
    )


def random_rows(n_tasks=2, n_rows=5, n_features=3, n_outputs=1, seed=2):
    """Rows of weight 1, and a number for each."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_tasks, n_rows, n_features))
    offset = rng.normal(size=(n_tasks, n_rows, n_outputs))
    y = rng.normal(size=(n_tasks, n_rows))
    weight = np.ones((n_tasks, n_rows))
    x, offset, weight, y = map(torch.from_numpy, (x, offset, weight, y))
    return Rows(x, offset, weight), y


def rows_of(rows, task):
    """The rows of one task."""
    return Rows(*(t[task : task + 1] for t in rows))


def encoding_of(encoding, task):
    """The encoding of one task."""
    parts = (None if t is None else t[task : task + 1] for t in encoding)
    return TaskEncoding(*parts)


def repeated(rows, counts):
    """Rows, the i-th of each task ``counts[i]`` times, all of weight 1."""
    index = torch.arange(rows.x.shape[1]).repeat_interleave(torch.tensor(counts))
    weight = torch.ones_like(rows.weight[:, index])
    return Rows(rows.x[:, index], rows.offset[:, index], weight), index


def weighted(rows, counts):
    """The same rows with ``counts`` as weights."""
    weight = torch.tensor(counts).to(rows.weight).expand_as(rows.weight)
    return rows._replace(weight=weight)


def padded(rows, y, n_more=3, seed=7):
    """Rows with as many others of weight 0 put among them, and their targets."""
    n_tasks, n, n_features = rows.x.shape
    more, others = random_rows(n_tasks, n_more, n_features, rows.offset.shape[2], seed)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(n + n_more))
    parts = zip(rows, more._replace(weight=0 * more.weight), strict=True)
    together = Rows(*(torch.cat([a, 30 * b], 1)[:, order] for a, b in parts))
    others = 30 * others if y.is_floating_point() else torch.zeros_like(others)
    return together, torch.cat([y, others.to(y)], 1)[:, order]


def _gelu(x):
    return x * 0.5 * (1 + erf(x / np.sqrt(2)))


def formula(prior, encoding, task, expert=0):
    """Mean and kernel of one task, straight from the definition of the process.

    Returns ``mean(rows)`` (n, n_outputs), ``kernel(a, b)`` (n_a, n_b), the covariance
    of the coefficients of z, and the noise variance, under one expert. Rows have the
    offsets of all pooled estimators.
    """
    p = {
        name: t.detach().double().numpy()[expert]
        for name, t in prior.named_parameters()
    }
    pooled, is_linear = prior.experts[expert].pooled, prior.experts[expert].linear
    task_vector = encoding.task[task].numpy()
    column_vectors = encoding.columns[task].numpy()
    n_columns = len(p["length_scale"])
    n_own = len(column_vectors)

    shift = p["shift.weight"] @ task_vector + p["shift.bias"]
    own = np.zeros((n_columns, 2))
    own[:n_own] = column_vectors @ p["column_shift.weight"].T
    log_linear = np.append(shift[0], shift[4 : 4 + n_columns] + own[:, 0])
    column_shift = shift[4 + n_columns :] + own[:, 1]
    length = np.exp(p["length_scale"] + column_shift)
    signal = np.exp(p["signal"] + shift[1])[0]
    basis_variance = np.exp(p["basis"] + shift[2])[0]
    noise = np.exp(p["noise"] + shift[3])[0]
    gate = np.exp(-column_shift)
    factor = p["factor"] * np.exp(log_linear / 2)[:, None]
    covariance = factor @ factor.T

    def offset(rows):
        parts = rows.offset[task].numpy()
        parts = parts.reshape(len(parts), -1, prior.n_outputs)
        if n_columns == n_own:  # without pooled estimators
            return parts[:, 0]
        return np.zeros_like(parts[:, 0]) if pooled is None else parts[:, pooled]

    def inputs(rows):
        x = rows.x[task].numpy()
        return np.hstack([x, offset(rows)]) if n_columns > n_own else x

    def hidden(u):
        a1, b1, a2, b2 = np.split(
            p["modulation.weight"] @ task_vector + p["modulation.bias"], 4
        )
        h = p["hidden1.weight"] @ (u * gate) + p["hidden1.bias"]
        h = _gelu(h * (1 + a1) + b1)
        h = p["hidden2.weight"] @ h + p["hidden2.bias"]
        return _gelu(h * (1 + a2) + b2)

    def mean(rows):
        values = []
        for u, start in zip(inputs(rows), offset(rows), strict=True):
            value = start + p["coefficients.weight"] @ u + p["coefficients.bias"]
            if not is_linear:
                value = value + p["to_mean.weight"] @ hidden(u) + p["to_mean.bias"]
            values.append(value)
        return np.array(values)

    def k(u, v):
        value = np.append(1, u) @ covariance @ np.append(1, v)
        if is_linear:
            return value
        phi_u, phi_v = (
            p["to_basis.weight"] @ hidden(w) + p["to_basis.bias"] for w in (u, v)
        )
        value += basis_variance * phi_u @ phi_v
        return value + signal * np.exp(-0.5 * np.sum(((u - v) / length) ** 2))

    def kernel(a, b):
        return np.array([[k(u, v) for v in inputs(b)] for u in inputs(a)])

    return SimpleNamespace(
        mean=mean, kernel=kernel, inputs=inputs, covariance=covariance, noise=noise
    )


@pytest.fixture(scope="session")
def gp():
    """Random processes and rows, and `formula`, which says what is right of them."""
    return SimpleNamespace(
        prior=random_prior,
        stack=random_stack,
        encoding=random_encoding,
        rows=random_rows,
        rows_of=rows_of,
        encoding_of=encoding_of,
        repeated=repeated,
        weighted=weighted,
        padded=padded,
        formula=formula,
        randomise=randomise,
    )


class Lazy:
    """Tasks that are loaded on access."""

    def __init__(self, tasks):
        self.tasks = tasks

    def __len__(self):
        return len(self.tasks)

    def __getitem__(self, i):
        return self.tasks[i]


@pytest.fixture
def lazy():
    """Makes a lazy sequence of a list of tasks."""
    return Lazy


@pytest.fixture
def in_file(tmp_path):
    """Columns of 40 rows, written to a file and read as tasks, four shops of ten rows.

    ``path`` is the file, and ``line(table, name)`` the note on a column.
    """

    def read(columns, suffix=".csv", separator=",", **options):
        frame = {"shop": [f"s{i // 10}" for i in range(40)], "y": np.arange(40) % 11}
        frame = pd.DataFrame(frame | columns)
        read.path = tmp_path / f"table{suffix}"
        if suffix == ".parquet":
            frame.to_parquet(read.path)
        else:
            frame.to_csv(read.path, index=False, sep=separator)
        return read_tasks(read.path, **{"task": "shop", "target": "y"} | options)

    def line(table, name):
        (said,) = (note for note in table.notes if note.startswith(f"'{name}'"))
        return said

    read.line = line
    return read


@pytest.fixture(scope="session")
def saved_parts():
    """Reads and writes files of `save` as arrays, JSON and metadata."""

    def read(path):
        with safe_open(path, "numpy") as file:
            names, metadata = file.keys(), file.metadata()
            arrays = {name: file.get_tensor(name).copy() for name in names}
        return arrays, json.loads(metadata["estimator"]), metadata

    def write(path, arrays, node, metadata):
        """As whoever means harm would: the digest is right."""
        metadata = metadata | {"estimator": json.dumps(node)}
        del metadata["sha256"]
        metadata["sha256"] = digest(metadata, arrays)
        save_file(arrays, path, metadata)

    return SimpleNamespace(read=read, write=write)
