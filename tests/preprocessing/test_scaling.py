"""Scales of features, targets and labels."""

import numpy as np
import pytest

from skmeta._preprocessing import scaling
from skmeta._preprocessing.scaling import (
    FURTHEST,
    ClassCodec,
    FeatureScaler,
    TargetScaler,
)


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(5, [0.1, 1, 30], size=(100, 3))


@pytest.fixture
def weight():
    return np.random.default_rng(1).integers(0, 4, size=100)


# Features


def test_features_are_standardised(X):
    scaler = FeatureScaler.fit(X)
    np.testing.assert_allclose(scaler.mean, X.mean(0), rtol=1e-12)
    np.testing.assert_allclose(scaler.scale, X.std(0), rtol=1e-12)
    scaled = scaler.transform(X)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, (X - X.mean(0)) / X.std(0), atol=1e-6)


def test_chunks_are_the_whole(X, weight, monkeypatch):
    whole = FeatureScaler.fit(X, weight)
    monkeypatch.setattr(scaling, "CHUNK", 7)
    chunks = FeatureScaler.fit(X, weight)
    np.testing.assert_allclose(chunks.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(chunks.scale, whole.scale, rtol=1e-12)


def test_weight_is_a_number_of_rows(X, weight):
    weighted = FeatureScaler.fit(X, weight)
    repeated = FeatureScaler.fit(X.repeat(weight, axis=0))
    np.testing.assert_allclose(weighted.mean, repeated.mean, rtol=1e-12)
    np.testing.assert_allclose(weighted.scale, repeated.scale, rtol=1e-12)
    assert (np.abs(weighted.mean - X.mean(0)) > 1e-6).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 1e-12, 0.1, 1e6 + 0.1, -3.3e12])
def test_constant_column_becomes_zero(value, dtype):
    X = np.full((1000, 2), value, dtype=dtype)
    X[:, 1] = np.arange(1000)
    scaler = FeatureScaler.fit(X)
    assert scaler.scale[0] == 1
    np.testing.assert_allclose(
        scaler.transform(X)[:, 0], 0, atol=abs(value) * np.finfo(dtype).eps
    )
    assert scaler.scale[1] == pytest.approx(np.arange(1000).std())


def test_nearly_constant_column_is_not_constant():
    X = np.array([[1.0], [1.0 + 1e-9], [1.0 + 2e-9]])
    scaled = FeatureScaler.fit(X).transform(X)
    np.testing.assert_allclose(scaled[:, 0], [-(1.5**0.5), 0, 1.5**0.5], atol=1e-4)


def test_float32_rows_give_the_scale_of_float64_rows(X):
    wide = FeatureScaler.fit(X)
    narrow = FeatureScaler.fit(X.astype(np.float32))
    np.testing.assert_allclose(narrow.mean, wide.mean, rtol=1e-6)
    np.testing.assert_allclose(narrow.scale, wide.scale, rtol=1e-5)
    np.testing.assert_allclose(
        narrow.transform(X.astype(np.float32)), wide.transform(X), atol=1e-4
    )


def test_features_go_on_as_far_as_squares_mean_something(X):
    scaler = FeatureScaler.fit(X)
    far = np.array([[1e9, -1e9, 5.0]])
    np.testing.assert_array_equal(scaler.transform(far)[0, :2], [FURTHEST, -FURTHEST])
    assert abs(scaler.transform(far)[0, 2]) < 1
    near = scaler.mean + 100 * scaler.scale
    np.testing.assert_allclose(scaler.transform(near[None]), 100, rtol=1e-6)


def test_features_of_many_tasks(X):
    scaler = FeatureScaler.fit(X)
    np.testing.assert_array_equal(
        scaler.transform(X.reshape(4, 25, 3)), scaler.transform(X).reshape(4, 25, 3)
    )


def test_affine_map_of_features(X):
    scaler = FeatureScaler.fit(X)
    matrix, offset = scaler.affine()
    np.testing.assert_array_equal(matrix, np.diag(1 / scaler.scale))
    np.testing.assert_allclose(
        X @ matrix.T + offset, scaler.transform(X, np.float64), atol=1e-10
    )


def test_scaling_leaves_its_input_as_it_is(X):
    before = X.copy()
    X.flags.writeable = False
    FeatureScaler.fit(X).transform(X)
    np.testing.assert_array_equal(X, before)


# Targets


def test_targets_are_in_units_of_what_is_left_open():
    rng = np.random.default_rng(0)
    prior = rng.normal(10, 5, size=(200, 1))
    y = prior[:, 0] + rng.normal(0, 0.5, size=200)
    scaler = TargetScaler.fit(y, prior)
    assert scaler.mean == pytest.approx(y.mean())
    residual = (y - prior[:, 0]) / scaler.scale
    assert np.mean(residual**2) == pytest.approx(1)
    assert scaler.unit == scaler.scale
    left = scaler.transform(y) - scaler.transform_offset(prior)[:, 0]
    np.testing.assert_allclose(left, residual, atol=1e-4)


def test_targets_without_a_pooled_estimator():
    y = np.random.default_rng(0).normal(10, 5, size=200)
    scaler = TargetScaler.fit(y)
    scaled = scaler.transform(y)
    assert scaled.dtype == np.float32
    assert scaled.mean() == pytest.approx(0, abs=1e-6)
    assert scaled.std() == pytest.approx(1, rel=1e-6)


def test_weight_is_a_number_of_targets(weight):
    rng = np.random.default_rng(0)
    y, prior = rng.normal(10, 5, size=100), rng.normal(10, 5, size=(100, 1))
    for p in (None, prior):
        weighted = TargetScaler.fit(y, p, weight)
        repeated = TargetScaler.fit(
            y.repeat(weight), None if p is None else p.repeat(weight, axis=0)
        )
        assert weighted.mean == pytest.approx(repeated.mean, rel=1e-12)
        assert weighted.scale == pytest.approx(repeated.scale, rel=1e-12)


@pytest.mark.parametrize("value", [0.0, 1e-19, 0.1, 1e6 + 0.1, -3.3e12])
@pytest.mark.parametrize("pooled", [False, True])
def test_constant_targets_have_their_size_as_the_scale(value, pooled):
    prior = np.full((1000, 1), value * 1e-15) if pooled else None
    scaler = TargetScaler.fit(np.full(1000, value), prior)
    assert scaler.scale == (abs(value) or 1.0)
    np.testing.assert_allclose(scaler.transform(np.full(3, value)), 0, atol=1e-3)


def test_integer_targets():
    scaler = TargetScaler.fit(np.array([1, 2, 3, 4]))
    assert scaler.mean == 2.5
    np.testing.assert_allclose(scaler.transform(np.array([1, 4])) * scaler.scale,
                               [-1.5, 1.5], rtol=1e-6)  # fmt: skip


# Labels


@pytest.mark.parametrize("classes", [["a", "bb", "c"], [-1, 3, 10], [False, True]])
def test_labels_are_positions_among_the_classes(classes):
    encoder = ClassCodec(np.array(classes))
    y = np.array(classes)[[1, 0, -1, 1]]
    code = encoder.transform(y)
    assert code.dtype == np.int64
    np.testing.assert_array_equal(encoder.classes[code], y)
    np.testing.assert_array_equal(
        encoder.transform(y.reshape(2, 2)), code.reshape(2, 2)
    )
    assert encoder.n_outputs == len(classes)
    assert encoder.dtype == np.array(classes).dtype


@pytest.mark.parametrize(
    ("classes", "y", "unknown"),
    [
        (["b", "d"], ["d", "a", "c", "a", "zebra"], "['a', 'c', 'zebra']"),
        ([1, 5], [5, 3, 0, 9, 3], "[0, 3, 9]"),
    ],
)
def test_unknown_labels_are_named(classes, y, unknown):
    with pytest.raises(ValueError, match="not in the meta-training") as caught:
        ClassCodec(np.array(classes)).transform(np.array(y))
    assert f"Labels {unknown}" in str(caught.value)
    assert f"classes are {classes}" in str(caught.value)


def test_pooled_log_probabilities_stay_as_they_are():
    prior = np.array([[0.3, -0.3]])
    kept = ClassCodec(np.array([0, 1])).transform_offset(prior)
    assert kept.dtype == np.float32
    np.testing.assert_array_equal(kept, prior.astype(np.float32))
