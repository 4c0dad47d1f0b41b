"""Files of drawn estimators come back; files changed at random are refused, or load."""

import json
import resource
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn.linear_model import LogisticRegression, Ridge

from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    SelfAttentionMetaClassifier,
    SelfAttentionMetaRegressor,
    TransformerMetaClassifier,
    TransformerMetaRegressor,
    load,
    save,
)
from skmeta._persistence.values import Reader, Writer
from skmeta.baselines import MixedEffectsRegressor, PooledClassifier, PooledRegressor
from skmeta.exceptions import SavedFileError

pytestmark = [
    pytest.mark.usefixtures("quick_training"),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # of few rows and classes
]

few, many = (
    settings(
        max_examples=n,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # to look for a smaller example takes minutes
    )
    for n in (8, 40)
)

REGRESSORS = [
    AttentionMetaRegressor,
    SelfAttentionMetaRegressor,
    TransformerMetaRegressor,
    PooledRegressor,
    MixedEffectsRegressor,
]
CLASSIFIERS = [
    AttentionMetaClassifier,
    SelfAttentionMetaClassifier,
    TransformerMetaClassifier,
    PooledClassifier,
]
SMALL = {
    "max_epochs": 1, "steps_per_epoch": 1, "batch_size": 2, "embed_dim": 4,
    "n_heads": 1, "n_layers": 1, "task_attention": False, "random_state": 0,
}  # fmt: skip

MAX_SECONDS, MAX_MEGABYTES = 10, 500
"""That `load` takes for a small file, whatever it says."""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("drawn") / "estimator.safetensors"


# What is saved comes back

texts = st.text(st.characters(codec="utf-8"), max_size=8)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts,
    st.datetimes(), st.dates(), st.times(), st.timedeltas(), st.uuids(),
    st.decimals(allow_nan=False), st.fractions(), st.binary(max_size=8),
    st.complex_numbers(allow_nan=False),
    npst.from_dtype(np.dtype("int8")), npst.from_dtype(np.dtype("bool")),
    npst.from_dtype(np.dtype("float32"), allow_nan=False, allow_infinity=False),
    npst.from_dtype(np.dtype("M8[ms]"), allow_nan=False),
    npst.from_dtype(np.dtype("m8[D]"), allow_nan=False),
)  # fmt: skip
hashable = st.recursive(
    scalars,
    lambda some: (
        st.lists(some, max_size=3).map(tuple) | st.frozensets(some, max_size=3)
    ),
    max_leaves=4,
)
values = st.recursive(
    hashable,
    lambda some: (
        st.lists(some, max_size=3)
        | st.lists(some, max_size=3).map(tuple)
        | st.dictionaries(hashable, some, max_size=3)
    ),
    max_leaves=6,
)


def there_and_back(value):
    writer = Writer(include_rows=True)
    text = json.dumps(writer.value(value, "value"))
    reader = Reader(writer.arrays)
    found = reader.value(json.loads(text))
    assert not reader.unread
    return found


@many
@given(values)
def test_values(value):
    found = there_and_back(value)
    assert found == value
    assert type(found) is type(value)


@many
@given(
    npst.arrays(
        npst.boolean_dtypes()
        | npst.integer_dtypes(endianness="<")
        | npst.floating_dtypes(endianness="<", sizes=(32, 64))
        | npst.datetime64_dtypes(endianness="<")
        | npst.unicode_string_dtypes(endianness="<", max_len=5),
        npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False},
    ),
    st.booleans(),
)
def test_arrays(array, transposed):
    array = array.T if transposed else array
    found = there_and_back(array)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)


@st.composite
def estimators(draw):
    """An estimator in one of its states, and query rows."""
    cls = draw(st.sampled_from(REGRESSORS + CLASSIFIERS))
    is_classifier = cls in CLASSIFIERS
    pooled = LogisticRegression() if is_classifier else Ridge()
    estimator = cls()
    if "embed_dim" in estimator.get_params():
        pooled = draw(st.sampled_from([None, pooled]))
        base_learner = draw(st.sampled_from(["gp", "linear", "mlp"]))
        estimator.set_params(
            base_learner=base_learner, pooled_estimator=pooled, **SMALL
        )
    elif cls is not MixedEffectsRegressor:
        estimator.set_params(estimator=pooled, adapt="intercept")
    if draw(st.integers(0, 4)) == 0:
        return estimator, None  # new
    n_features, n_rows = draw(st.integers(1, 3)), draw(st.integers(6, 9))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    X = rng.normal(size=(6, n_rows, n_features))
    y = X[..., 0] + rng.normal(size=(6, 1))
    if is_classifier:
        labels = draw(
            st.sampled_from([["no", "yes", "é"], [3, -1, 7], [0.0, -2.0, 1e9]])
            | st.just([False, True])
        )
        y = np.array(labels)[np.arange(y.size).reshape(y.shape) % len(labels)]
    if draw(st.booleans()):
        columns = draw(
            st.lists(
                texts.filter(bool), min_size=n_features, max_size=n_features,
                unique=True,
            )
        )  # fmt: skip
        X = [pd.DataFrame(rows, columns=columns) for rows in X]
    kinds = st.integers(), texts, st.dates(), st.tuples(texts, st.integers())
    names = draw(
        st.sampled_from(kinds).flatmap(
            lambda kind: st.lists(kind, min_size=5, max_size=5, unique=True)
        )
    )
    *tasks, task = zip(X, y, strict=True)
    estimator.meta_fit(dict(zip(names, tasks, strict=True)))
    if draw(st.booleans()):
        estimator.fit(task[0][:4], task[1][:4])
    return estimator, task[0][4:]


def learned(estimator):
    """Attributes that show what it has learned, in words."""
    names = ("task_names_", "classes_", "feature_names_in_", "n_features_in_")
    return {
        name: np.asarray(vars(estimator)[name]).tolist()
        for name in names
        if name in vars(estimator)
    }


@few
@given(estimators())
def test_estimators(path, drawn):
    estimator, X = drawn
    save(estimator, path)
    loaded = load(path)
    assert repr(loaded) == repr(estimator)
    assert learned(loaded) == learned(estimator)
    assert hasattr(loaded, "meta_state_") == hasattr(estimator, "meta_state_")
    assert loaded.__sklearn_is_fitted__() == estimator.__sklearn_is_fitted__()
    if X is not None:
        if hasattr(estimator, "predict_proba"):
            expected, found = estimator.predict_proba(X), loaded.predict_proba(X)
        else:
            expected, found = (
                e.predict(X, return_std=True) for e in (estimator, loaded)
            )
        assert np.asarray(found).tobytes() == np.asarray(expected).tobytes()
        before = estimator.predict(X)
        assert loaded.predict(X).tolist() == before.tolist()


# What is changed is refused, or loads


@pytest.fixture(scope="module")
def content(path, quick_training):
    """Bytes of a file by number: of relations, of N-way classes, of a baseline."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(7, 6, 2))
    y = X[..., 0] + rng.normal(size=(7, 1))
    *tasks, task = zip(X, y, strict=True)
    *nway, _ = zip(X, np.tile([0, 1, 2], (7, 2)), strict=True)
    found = []
    for estimator in (
        SelfAttentionMetaRegressor(pooled_estimator=Ridge(), **SMALL)
        .meta_fit(tasks)
        .fit(*task),
        TransformerMetaClassifier(shared_classes=False, **SMALL).meta_fit(nway),
        PooledRegressor(Ridge(), "gp", random_state=0).meta_fit(tasks).fit(*task),
    ):
        save(estimator, path)
        found.append(path.read_bytes())
    return lambda i: found[i]  # which is not printed where a test fails


def loaded_or_refused(path, X):
    """Load a file that may be wrong, and predict; whether it was refused."""
    start, memory = time.perf_counter(), peak_megabytes()
    try:
        estimator = load(path)
        if estimator.__sklearn_is_fitted__():
            assert np.isfinite(np.asarray(estimator.predict(X), float)).all()
        refused = False
    except SavedFileError:
        refused = True
    assert time.perf_counter() - start < MAX_SECONDS
    assert peak_megabytes() - memory < MAX_MEGABYTES
    return refused


def peak_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@settings(many, max_examples=200)
@given(st.data())
def test_bytes_that_are_changed(path, content, data):
    """Wherever a file is cut, shortened, lengthened or changed, it is refused."""
    original = content(data.draw(st.integers(0, 2)))
    header = 8 + int.from_bytes(original[:8], "little")
    end = data.draw(st.sampled_from([8, header, len(original)]))
    at = data.draw(st.integers(0, end - 1))
    until = data.draw(st.integers(at, min(at + 8, len(original))) | st.none())
    rest = b"" if until is None else original[until:]
    changed = original[:at] + data.draw(st.binary(max_size=8)) + rest
    if changed == original:
        return
    path.write_bytes(changed)
    assert loaded_or_refused(path, None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**70) | st.floats() | texts
    | st.sampled_from(
        [10**400, "../x", "estimator/adapted/X", "M8[ns]", "<U9", "1e999"]
    ),
    lambda some: st.lists(some, max_size=3)
    | st.dictionaries(
        texts
        | st.sampled_from(
            ["tuple", "dict", "array", "scalar", "tensor", "labels", "times", "skops",
             "float", "device", "Fraction", "Period", "Interval", "timedelta",
             "LabelEncoder", "TargetScaler", "MissingValues"]
        ),
        some, max_size=2,
    ),
    max_leaves=5,
)  # fmt: skip


def places(node):
    """All pairs of a list or object in JSON and an index or key of it."""
    found = []
    for key in node if isinstance(node, dict) else range(len(node)):
        found.append((node, key))
        if isinstance(node[key], dict | list):
            found += places(node[key])
    return found


@settings(many, max_examples=120)
@given(st.data())
def test_json_that_is_changed(path, content, saved_parts, data):
    """Whatever the JSON says, by a writer that means harm: its digest is right."""
    path.write_bytes(content(data.draw(st.integers(0, 2))))
    arrays, node, metadata = saved_parts.read(path)
    for _ in range(data.draw(st.integers(1, 2))):
        known = places(node)
        if not known:  # all was removed
            break
        at, key = known[data.draw(st.integers(0, len(known) - 1))]
        if data.draw(st.integers(0, 3)):
            at[key] = data.draw(json_values)
        else:
            del at[key]
    saved_parts.write(path, arrays, node, metadata)
    loaded_or_refused(path, np.zeros((2, 2)))


@settings(many, max_examples=80)
@given(st.data())
def test_arrays_that_are_changed(path, content, saved_parts, data):
    """Whatever is in the arrays: an array has other numbers, another shape or type."""
    path.write_bytes(content(data.draw(st.integers(0, 2))))
    arrays, node, metadata = saved_parts.read(path)
    name = data.draw(st.sampled_from(sorted(arrays)))
    dtype = data.draw(st.just(arrays[name].dtype) | st.sampled_from("?bfd"))
    shape = data.draw(
        st.just(arrays[name].shape)
        | npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    )
    arrays[name] = data.draw(npst.arrays(dtype, shape))
    saved_parts.write(path, arrays, node, metadata)
    loaded_or_refused(path, np.zeros((2, 2)))
