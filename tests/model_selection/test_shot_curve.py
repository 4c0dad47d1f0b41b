"""Scores against the number of rows, and intervals over tasks."""

import numpy as np
import pytest
from scipy import stats

from skmeta.model_selection._shot_curve import ShotCurve, interval

N_SUPPORT = (3, 5, 10, 20)


def curve(name, *score):
    score = np.array(score)
    resampled = score + np.linspace(-0.1, 0.1, 11)[:, None]
    return ShotCurve(name, N_SUPPORT, score, resampled, np.full(4, 30))


@pytest.mark.parametrize(
    ("score", "shots"), [(0.0, 3), (0.3, 3), (0.5, 10), (0.71, np.inf)]
)
def test_shots_for(score, shots):
    np.testing.assert_allclose(curve("", 0.3, 0.4, 0.5, 0.7).shots_for(score), shots)


def test_score_is_relative_to_the_reference_and_pools_tasks():
    losses, reference = np.array([[1.0], [3.0]]), np.array([[4.0], [4.0]])
    result = ShotCurve.from_losses("", (5,), losses, reference, seed=0)
    np.testing.assert_allclose(result.score, [0.5])
    assert set(np.unique(result.resampled)) == {0.25, 0.5, 0.75}


def test_tasks_with_too_few_rows_do_not_count():
    losses = np.array([[1.0, 2.0], [3.0, np.nan], [2.0, 1.0]])
    reference = np.array([[4.0, 4.0], [4.0, np.nan], [4.0, 2.0]])
    result = ShotCurve.from_losses("", (5, 10), losses, reference, seed=0)
    np.testing.assert_allclose(result.score, [0.5, 0.5])
    assert result.n_tasks.tolist() == [3, 2]


def test_the_interval_covers_as_often_as_it_says():
    rng, covered = np.random.default_rng(0), []
    for seed in range(300):
        losses = rng.exponential(size=(12, 1))
        result = ShotCurve.from_losses("", (5,), losses, np.ones((12, 1)), seed)
        covered.append(result.low[0] <= 0 <= result.high[0])
    assert 0.87 < np.mean(covered) < 0.99


def test_few_tasks_widen_the_interval_as_student_does():
    resampled = np.random.default_rng(0).normal(size=(200_000, 1))
    for n in (5, 1000):
        low, high = interval(resampled, [n])
        expected = stats.t.ppf(0.975, n - 1) * np.sqrt(n / (n - 1))
        np.testing.assert_allclose([-low[0], high[0]], expected, rtol=0.03)
    assert np.isnan(interval(resampled, [1])).all()


def test_gains_are_paired():
    rng = np.random.default_rng(0)
    difficulty = rng.exponential(size=(40, 1))
    a = ShotCurve.from_losses("a", (5,), difficulty, difficulty + 1, seed=1)
    b = ShotCurve.from_losses("b", (5,), difficulty + 0.1, difficulty + 1, seed=1)
    (gain,), (low,), (high,) = a.gain(b)
    assert low < gain < high
    assert high - low < 0.2 * (a.high[0] - a.low[0])


def test_the_best_of_several_is_taken_at_each_number_of_rows():
    best = ShotCurve.of_best(
        "best", [curve("a", 0.1, 0.2, 0.6, 0.7), curve("b", 0.3, 0.1, 0.5, 0.8)]
    )
    np.testing.assert_allclose(best.score, [0.3, 0.2, 0.6, 0.8])
    np.testing.assert_allclose(best.resampled.mean(0), best.score)


def test_intervals_are_those_of_scipy():
    rng = np.random.default_rng(0)
    losses, others = rng.exponential(size=(2, 12, 3))
    reference = 1 + rng.exponential(size=(12, 3))
    curve, other = (
        ShotCurve.from_losses("", (3, 5, 10), loss, reference, seed=0)
        for loss in (losses, others)
    )

    def score(losses, reference, axis):
        return 1 - losses.sum(axis) / reference.sum(axis)

    def gain(losses, others, reference, axis):
        return (others.sum(axis) - losses.sum(axis)) / reference.sum(axis)

    tail = stats.norm.cdf(-stats.t.ppf(0.975, 11) * np.sqrt(12 / 11))
    for data, statistic, (low, high) in (
        ((losses, reference), score, (curve.low, curve.high)),
        ((losses, others, reference), gain, curve.gain(other)[1:]),
    ):
        expected = stats.bootstrap(
            data, statistic, paired=True, n_resamples=2000, method="percentile",
            confidence_level=1 - 2 * tail, random_state=np.random.default_rng(0),
        ).confidence_interval  # fmt: skip
        np.testing.assert_allclose((low, high), expected)


def test_resamples_without_a_task_of_enough_rows_are_left_out():
    losses = np.full((12, 2), np.nan)
    losses[:, 0], losses[:2, 1] = 0.5, [0.4, 0.6]
    result = ShotCurve.from_losses("", (3, 20), losses, np.ones((12, 2)), seed=0)
    assert np.isnan(result.resampled[:, 1]).any()
    np.testing.assert_allclose([result.low[1], result.high[1]], [0.4, 0.6])
