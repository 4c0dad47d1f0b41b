"""Files that are damaged, or made to do harm, are refused, each with a clear error."""

import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from safetensors.numpy import save_file
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.linear_model import Ridge
from sklearn.preprocessing import FunctionTransformer

from skmeta import AttentionMetaRegressor, SelfAttentionMetaRegressor, load, save
from skmeta._persistence.files import FORMAT, digest
from skmeta._persistence.skops_io import dumped, loaded
from skmeta.baselines import PooledRegressor
from skmeta.datasets import make_linear_tasks
from skmeta.exceptions import SavedFileError

DATA = Path(__file__).parents[1] / "data"
STATE = "estimator/state"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "learner.safetensors"


@pytest.fixture(scope="module")
def content(tiny, quick_training, tmp_path_factory):
    """Bytes of an adapted estimator."""
    path = tmp_path_factory.mktemp("saved") / "learner.safetensors"
    *tasks, task = make_linear_tasks(n_tasks=9, n_rows=8, n_features=3, random_state=0)
    estimator = SelfAttentionMetaRegressor(pooled_estimator=Ridge(), **tiny)
    save(estimator.meta_fit(tasks).fit(task.X, task.y), path)
    return path.read_bytes()


# Damaged


def with_header(content, header):
    """The arrays of ``content`` under another header."""
    (length,) = struct.unpack("<Q", content[:8])
    return struct.pack("<Q", len(header)) + header + content[8 + length :]


def header_of(content):
    (length,) = struct.unpack("<Q", content[:8])
    return content[8 : 8 + length]


def twice(content):
    """A header that has one array twice, with another type."""
    header = header_of(content).rstrip()
    arrays = json.loads(header)
    one = next(n for n in arrays if arrays[n].get("dtype") == "F64")
    more = json.dumps({one: arrays[one] | {"dtype": "I64"}})
    return with_header(content, header[:-1] + b"," + more.encode()[1:])


DAMAGED = {
    "empty": lambda c: b"",
    "text": lambda c: b"skmeta\n" * 100,
    "pickle": lambda c: pickle.dumps([1] * 1000),
    "a length beyond all": lambda c: b"\xff" * 8 + c[8:],
    "a length beyond the file": lambda c: struct.pack("<Q", len(c)) + c[8:],
    "half": lambda c: c[: len(c) // 2],
    "one byte less": lambda c: c[:-1],
    "more bytes": lambda c: c + b"\0" * 8,
    "no JSON": lambda c: with_header(c, b"{" * 4096),
    "deep JSON": lambda c: with_header(c, b'{"a":' * 10**5),
    "another weight": lambda c: c[:-4] + bytes([c[-4] ^ 1]) + c[-3:],
    "another parameter": lambda c: c.replace(b'n_heads\\": 2', b'n_heads\\": 1'),
    "an array twice": twice,
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_files(damage, content, path):
    damaged = DAMAGED[damage](content)
    assert damaged != content
    path.write_bytes(damaged)
    with pytest.raises(SavedFileError, match=rf"{path.name} is damaged"):
        load(path)
    assert path.read_bytes() == damaged


def test_what_is_no_saved_estimator(path):
    with pytest.raises(FileNotFoundError):
        load(path)
    with pytest.raises(SavedFileError, match="is no file"):
        load(path.parent)
    save_file({"weights": np.ones(3)}, path)
    with pytest.raises(SavedFileError, match=r"not written by skmeta\.save"):
        load(path)


def test_newer_format(content, path, saved_parts):
    path.write_bytes(content)
    arrays, node, metadata = saved_parts.read(path)
    newer = {"format_version": str(FORMAT + 1), "skmeta": "9.0"}
    saved_parts.write(path, arrays, node, metadata | newer)
    with pytest.raises(SavedFileError, match=r"by skmeta 9\.0.*Install a newer"):
        load(path)


# Made to do harm


def parts_of(node):
    """The state, and the adaptation, in the JSON of the estimator."""
    (learner,) = node.values()
    return learner["meta_state"], learner["adapted"], learner["parameters"]


def nested(depth):
    node = 1
    for _ in range(depth):
        node = {"tuple": [node]}
    return node


def take_out(name):
    def change(arrays, node):
        del arrays[name]

    return change


def put(name, value):
    """Put an array in place of one, whose values ``value`` makes of its own."""

    def change(arrays, node):
        assert name in arrays
        arrays[name] = np.ascontiguousarray(value(arrays[name]))

    return change


def set_in(part, *keys):
    """Set in the JSON what the last of the keys is, along the others."""
    *keys, last, value = keys

    def change(arrays, node):
        at = parts_of(node)[part]
        for key in keys:
            at = at[key]
        assert last in at
        at[last] = value

    return change


def both(*keys):
    """Set a parameter of the estimator and of what it was meta-fitted with."""

    def change(arrays, node):
        set_in(2, *keys)(arrays, node)
        set_in(0, "parameters", *keys)(arrays, node)

    return change


def set_experts(key, change_list):
    """Put what a function makes of the list of experts in its place."""

    def change(arrays, node):
        network = parts_of(node)[0]["network"]
        network[key] = change_list(network[key])

    return change


def rename(arrays, node):
    arrays["../../etc/passwd"] = arrays.pop(f"{STATE}/features/mean")


def another_class(arrays, node):
    node["os.system"] = node.pop("SelfAttentionMetaRegressor")


def another_estimator(arrays, node):
    node["MixedEffectsRegressor"] = node.pop("SelfAttentionMetaRegressor")


def with_nan(array):
    array = array.copy()
    array.flat[0] = np.nan
    return array


def as_bytes(data):
    return lambda array: np.frombuffer(data, np.uint8)


def bomb():
    """A small archive that takes 64 MiB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("schema.json", b" " * 2**26)
    return file.getvalue()


class Exploit:
    """Runs a command where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("exploited",)


WEIGHT = f"{STATE}/network/encoder.norm.weight"
POOLED = f"{STATE}/pooled/0/estimator"
SUPPORT = "estimator/adapted"
WRONG_ENTRIES = {
    "an unknown pooled estimator": ["gp", 1, False],
    "a pooled estimator from the end": ["gp", -1, False],
    "a pooled estimator that is a bool": ["gp", False, False],
    "a pooled estimator that is a float": ["gp", 0.0, False],
    "a pooled estimator that is a name": ["gp", "Ridge", False],
    "a pooled estimator that is a list": ["gp", [0], False],
    "a name that is a number": [1, 0, False],
    "no name": [None, 0, False],
    "a number for whether it is linear": ["gp", 0, 0],
    "nothing for whether it is linear": ["gp", 0, None],
    "a field too few": ["gp", 0],
    "a field too many": ["gp", 0, False, 1],
    "no field": [],
    "text for an expert": "abc",
    "a number for an expert": 3,
}
CANNOT_BE = "it has an expert .*, which cannot be"
WRONG_EXPERTS = {
    what: (lambda experts, entry=entry: [entry, *experts[1:]], CANNOT_BE)
    for what, entry in WRONG_ENTRIES.items()
} | {
    "an expert too few": (lambda experts: experts[:-1], "not those of|damaged"),
    "an expert too many": (lambda experts: [*experts, experts[0]], "not those of"),
    "no experts": (lambda experts: [], "damaged"),
    "nothing for experts": (lambda experts: None, "damaged"),
    "a number for experts": (lambda experts: 3, "damaged"),
    "text for experts": (lambda experts: "gp" * len(experts), CANNOT_BE),
}
HARM = {
    f"{what} in {key}": (set_experts(key, change), words)
    for key in ("experts", "process_experts")
    for what, (change, words) in WRONG_EXPERTS.items()
} | {
    "weights of experts for others": (
        put(f"{STATE}/network/learner.base.expert_weights.logit", lambda a: a[1:]),
        "not those of the network",
    ),
    "NaN weights of experts": (
        put(f"{STATE}/network/learner.base.expert_weights.slope", with_nan), "NaN"
    ),
    "weights of experts that were not adapted": (
        put(f"{SUPPORT}/base_learner_weights_", lambda a: a[1:]), "not of the shapes"
    ),
    "a missing weight": (take_out(WEIGHT), "'.*norm.weight' is missing"),
    "an array too many": (
        lambda arrays, node: arrays.update(more=np.ones(2)),
        r"arrays of no use, \['more'\]",
    ),
    "a path as name": (rename, "features/mean' is missing"),
    "a weight of another shape": (put(WEIGHT, lambda a: a[:-1]), "not those of"),
    "a weight of another type": (put(WEIGHT, np.float32), "not those of the network"),
    "a NaN weight": (put(WEIGHT, with_nan), "holds NaN"),
    "an infinite scale": (
        put(f"{STATE}/features/scale", lambda a: a * np.inf), "infinity"
    ),
    "a scale of zero": (
        put(f"{STATE}/features/scale", lambda a: 0 * a),
        "scale of its FeatureScaler is not positive",
    ),
    "scales of more columns": (
        put(f"{STATE}/features/scale", lambda a: np.ones(len(a) + 1)), "same columns"
    ),
    "more columns": (
        put(f"{STATE}/features/mean", lambda a: np.ones(10**6)), "not those of"
    ),
    "targets without end": (
        set_in(0, "fields", "targets", "TargetScaler", "mean", {"float": "nan"}),
        "mean of its TargetScaler is nan, not finite",
    ),
    "no targets": (set_in(0, "fields", "targets", None), "damaged"),
    "targets of another type": (
        set_in(0, "fields", "targets", {"tuple": []}),
        "targets of its state is a tuple, not a TargetScaler or ClassCodec or NoneType",
    ),
    "a mean of another type": (
        set_in(0, "fields", "targets", "TargetScaler", "mean", "0"),
        "mean of its TargetScaler is a str, not a Real",
    ),
    "a NaN of noise": (
        put(f"{STATE}/network/learner.base.dof", with_nan), "not (positive|those)"
    ),
    "fewer names": (
        set_in(0, "fields", "task_names", {"labels": ["|O", [1], ["a"]]}), "same tasks"
    ),
    "labels without end": (
        set_in(0, "fields", "task_names", {"labels": ["<U100000000", [1], ["a"]]}),
        "labels of the type",
    ),
    "memory of other tasks": (
        put(f"{STATE}/network/memory/keys", lambda a: a[1:]), "same tasks"
    ),
    "layers without end": (both("n_layers", 10**9), "more layers than arrays"),
    "a network without end": (both("embed_dim", 2**50), "not those of|damaged"),
    "a number without end": (both("embed_dim", 10**400), "damaged|cannot be loaded"),
    "another number of heads": (set_in(2, "n_heads", 1), "n_heads=1"),
    "a parameter that is none": (
        lambda arrays, node: parts_of(node)[2].update(n_ways=3), "n_ways"
    ),
    "parameters that are not valid": (set_in(2, "lr", -1.0), "'lr' parameter"),
    "rows of another shape": (
        set_in(0, "fields", "row_shape", {"tuple": [10**6, 10**6]}), "same columns"
    ),
    "an unknown class": (another_class, "'os.system', which is not known"),
    "another estimator": (another_estimator, "damaged"),
    "an unknown part": (
        set_in(0, "network", "around", ["Other"]), "'Other', which is not known"
    ),
    "a name that is no date": (
        set_in(0, "fields", "task_names", {"date": "tomorrow"}), "damaged.*isoformat"
    ),
    "names of bytes that are none": (
        set_in(0, "fields", "task_names", {"bytes": "xyz"}), "damaged.*fromhex"
    ),
    "a time that is an object": (
        set_in(0, "fields", "task_names", {"datetime64": [1, "O"]}), "of the type 'O'"
    ),
    "times that are objects": (
        set_in(0, "fields", "task_names", {"times": ["O", f"{STATE}/task_attention"]}),
        "of the type 'O'",
    ),
    "an unknown kind": (
        set_in(0, "fields", "features", {"__class__": []}), "not known"
    ),
    "a support of other columns": (put(f"{SUPPORT}/X", lambda a: a[:, 1:]), "support"),
    "a support of NaN": (put(f"{SUPPORT}/y", with_nan), "holds NaN"),
    "an infinite support": (
        put(f"{SUPPORT}/X", lambda a: np.full_like(a, np.inf)), "infinity"
    ),
    "weights below zero": (put(f"{SUPPORT}/weight", lambda a: -a), "below zero"),
    "deep JSON": (set_in(0, "fields", "history", nested(5000)), "damaged|Recursion"),
    "a pickle inside": (put(POOLED, as_bytes(pickle.dumps(Exploit()))), "damaged"),
    "code inside": (
        put(POOLED, as_bytes(skops.io.dumps(FunctionTransformer(os.mkdir)))),
        r"types \['posix.mkdir'\]",
    ),
    "a bomb inside": (put(POOLED, as_bytes(bomb())), "would take 67108864 bytes"),
    "another estimator inside": (
        put(POOLED, as_bytes(skops.io.dumps(Ridge().fit(np.eye(2), [0, 1])))),
        "damaged.*features",
    ),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARM)
def test_harmful_files(harm, content, path, saved_parts, monkeypatch):
    monkeypatch.chdir(path.parent)
    path.write_bytes(content)
    arrays, node, metadata = saved_parts.read(path)
    change, words = HARM[harm]
    change(arrays, node)
    try:
        saved_parts.write(path, arrays, node, metadata)
    except RecursionError:  # JSON that Python would not write itself
        text = '{"a": ' * 50_000
        metadata = metadata | {"estimator": text}
        metadata["sha256"] = digest(
            {k: v for k, v in metadata.items() if k != "sha256"}, arrays
        )
        save_file(arrays, path, metadata)
    with pytest.raises(SavedFileError, match=f"(?s){path.name}.*({words})"):
        load(path)
    assert [*path.parent.iterdir()] == [path]


@pytest.mark.filterwarnings("ignore::skmeta.NotMetaFittedWarning")
@pytest.mark.parametrize("n_steps", [10**15, -1])
def test_steps_without_end(n_steps, path, saved_parts):
    save(AttentionMetaRegressor("mlp", embed_dim=8).fit([[0], [1]], [0, 1]), path)
    arrays, node, metadata = saved_parts.read(path)
    arrays["estimator/adapted/state/network/learner.n_steps"] = np.array(n_steps)
    saved_parts.write(path, arrays, node, metadata)
    with pytest.raises(SavedFileError, match=f"takes {n_steps} gradient steps"):
        load(path)


def test_nway_networks_of_earlier_versions(path, saved_parts):
    """Self-attention and Transformer classifiers of 0.1.0 had related classes."""
    arrays, node, metadata = saved_parts.read(
        DATA / "attention_nway_classifier-0.1.0.safetensors"
    )
    set_in(0, "network", "around", ["RelatedClasses"])(arrays, node)
    saved_parts.write(path, arrays, node, metadata)
    with pytest.raises(SavedFileError, match=r"0\.1\.0 alone.*call meta_fit again"):
        load(path)


@pytest.mark.parametrize(
    "estimator", [RandomForestRegressor(2), GradientBoostingRegressor(n_estimators=2)],
    ids=lambda e: type(e).__name__,
)  # fmt: skip
def test_trees_of_more_features_than_their_ensemble(estimator):
    """It does not look how many columns its trees take."""
    X = np.random.default_rng(0).normal(size=(60, 2))
    estimator.fit(X, X[:, 0])
    np.ravel(estimator.estimators_)[1].n_features_in_ = 1000
    with pytest.raises(SavedFileError, match="features that are not there"):
        loaded(dumped(estimator, "it"), ())


@pytest.mark.parametrize(
    "estimator",
    [HistGradientBoostingRegressor(max_iter=2), RandomForestRegressor(2)],
    ids=lambda e: type(e).__name__,
)
def test_trees_that_lead_nowhere(estimator):
    """scikit-learn follows the nodes of trees wherever they point."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    estimator.set_params(random_state=0).fit(X, X[:, 0])
    before = estimator.predict(X)
    assert (loaded(dumped(estimator, "it"), ()).predict(X) == before).all()
    if isinstance(estimator, RandomForestRegressor):
        tree = estimator.estimators_[1].tree_
        places = {
            "left": tree.children_left,
            "right": tree.children_right,
            "feature": tree.feature,
        }
    else:
        nodes = estimator._predictors[1][0].nodes
        places = {
            "left": nodes["left"],
            "right": nodes["right"],
            "feature": nodes["feature_idx"],
        }
    for place, wrong in {"left": 0, "right": 10**6, "feature": 7}.items():
        right = places[place][0]
        places[place][0] = wrong
        with pytest.raises(SavedFileError, match="nodes, or features, that are not"):
            loaded(dumped(estimator, "it"), ())
        places[place][0] = right
    assert (loaded(dumped(estimator, "it"), ()).predict(X) == before).all()


@pytest.mark.parametrize("place", ["bits", "features"])
def test_trees_of_categories_that_are_not_there(place):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 4, size=(60, 2))
    estimator = HistGradientBoostingRegressor(categorical_features=[0], max_iter=2)
    estimator.fit(X, X[:, 0] % 2)
    types = ["functools.partial", "sklearn.utils.validation.check_array"]
    expected = estimator.predict(X)
    assert (loaded(dumped(estimator, "it"), types).predict(X) == expected).all()
    if place == "bits":
        tree = estimator._predictors[0][0]
        assert len(tree.raw_left_cat_bitsets)
        tree.raw_left_cat_bitsets = tree.raw_left_cat_bitsets[:, :1].copy()
    else:
        mapper = estimator._bin_mapper
        mapper.is_categorical_ = mapper.is_categorical_[:1]
    with pytest.raises(
        SavedFileError, match=r"a tree in it has \w+ that are not there"
    ):
        loaded(dumped(estimator, "it"), types)


def test_baselines_and_new_estimators(path, saved_parts):
    rng = np.random.default_rng(0)
    tasks = [(X, X[:, 0]) for X in rng.normal(size=(4, 9, 2))]
    save(PooledRegressor(Ridge(), "intercept").meta_fit(tasks), path)
    arrays, node, metadata = saved_parts.read(path)
    node["PooledRegressor"]["parameters"]["adapt"] = "all"
    saved_parts.write(path, arrays, node, metadata)
    with pytest.raises(SavedFileError, match="adapt='all'"):
        load(path)
    node["PooledRegressor"]["parameters"]["adapt"] = "intercept"
    arrays["estimator/prior/scaler/scale"] = np.ones(3)
    saved_parts.write(path, arrays, node, metadata)
    with pytest.raises(SavedFileError, match="damaged"):
        load(path)
    save(AttentionMetaRegressor(), path)
    arrays, node, metadata = saved_parts.read(path)
    node["AttentionMetaRegressor"]["output"] = {"transform": "sql"}
    saved_parts.write(path, arrays, node, metadata)
    with pytest.raises(SavedFileError, match="sql"):
        load(path)
