"""Threads that adapt and predict at once do not get into each other's way."""

from concurrent.futures import ThreadPoolExecutor, wait
from threading import Barrier, Event

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from threadpoolctl import threadpool_info

from skmeta._utils.random import seeded
from skmeta._utils.threads import single_pool_thread, single_thread

pytestmark = pytest.mark.usefixtures("quick_training")


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    "name", ["regressor", "three", "regressor-related", "regressor-transformer"]
)
def test_clones_in_two_threads(name, meta_fitted):
    tasks = [meta_fitted.task(name, i) for i in range(3)]

    def adapt_and_predict(i):
        X, y, X_query = tasks[i % 3]
        return meta_fitted.predict(clone(original).fit(X, y), X_query)

    original = meta_fitted.original(name)
    one_by_one = [adapt_and_predict(i) for i in range(3)]
    with ThreadPoolExecutor(2) as pool:
        at_once = list(pool.map(adapt_and_predict, range(12)))
    for i, predicted in enumerate(at_once):
        np.testing.assert_array_equal(predicted, one_by_one[i % 3])


def test_meta_fit_in_two_threads(meta_fitted, tiny):
    """With a base learner that others are trained for, under joblib's threads."""
    tasks = meta_fitted.tasks("regressor-related")
    learner = clone(meta_fitted.estimators["regressor-related"])
    learner.set_params(
        base_learner=RandomForestRegressor(5), **tiny | {"max_epochs": 0}
    )
    X, y, X_query = meta_fitted.task("regressor-related")

    def predicted():
        return clone(learner).meta_fit(tasks).fit(X, y).predict(X_query)

    expected = predicted()
    for found in Parallel(2, "threading")(delayed(predicted)() for _ in range(2)):
        np.testing.assert_array_equal(found, expected)


def test_seeded_numbers_are_those_of_one_thread():
    def draw(seed, n=2, meanwhile=None):
        with seeded(seed):
            first = torch.rand(n)
            if meanwhile:
                meanwhile()
            return torch.cat([first, torch.rand(n)])

    expected = [draw(0), draw(1)]
    before = torch.get_rng_state()
    drawn = Event()
    with ThreadPoolExecutor(1) as pool:
        others = []

        def start_another():
            others.append(pool.submit(draw, 1, meanwhile=drawn.wait))
            wait(others, timeout=0.2)  # time enough to get into each other's way

        first = draw(0, meanwhile=start_another)
        drawn.set()
        assert torch.equal(first, expected[0])
        assert torch.equal(others[0].result(timeout=30), expected[1])
    assert torch.equal(torch.get_rng_state(), before)


def test_number_of_threads_is_restored_whoever_is_last(two_threads):
    """The first inside leaves before the second, which has seen a single thread."""
    first_in, second_in, first_out = Barrier(2), Barrier(2), Barrier(2)

    def first():
        torch.set_num_threads(2)
        with single_thread():
            first_in.wait()
            second_in.wait()
        first_out.wait()
        return torch.get_num_threads()

    def second():
        first_in.wait()
        with single_thread():
            second_in.wait()
            first_out.wait()
            with single_thread():  # leaves those outside it alone
                pass
            inside = torch.get_num_threads()
        return inside, torch.get_num_threads()

    with ThreadPoolExecutor(2) as pool:
        results = pool.submit(first), pool.submit(second)
        assert [r.result(timeout=30) for r in results] == [2, (1, 2)]

    def of_a_new_thread():
        return torch.get_num_threads()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(of_a_new_thread).result() == 2


def blas_threads():
    return [p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"]


def test_pools_are_restored_whoever_is_last():
    before, both_in, first_out = blas_threads(), Barrier(2), Barrier(2)
    inside = []
    with single_pool_thread():  # gives back the right to set the number, too
        inside.extend(blas_threads())

    def enter(leaves_first):
        with single_pool_thread():
            both_in.wait()
            if not leaves_first:
                first_out.wait()
                inside.extend(blas_threads())
        if leaves_first:
            first_out.wait()

    with ThreadPoolExecutor(2) as pool:
        for result in [pool.submit(enter, True), pool.submit(enter, False)]:
            result.result(timeout=30)
    assert set(inside) == {1}
    assert blas_threads() == before
