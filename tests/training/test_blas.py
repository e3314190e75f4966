import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from luce.training.blas import single_threaded_blas


def blas_threads():
    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]


@pytest.fixture(autouse=True)
def more_threads():
    np.linalg.eigh(np.eye(2))
    with threadpool_limits(2, user_api="blas"):
        assert set(blas_threads()) == {2}
        yield


def test_limits_nest_and_are_restored():
    before = blas_threads()
    with single_threaded_blas():
        with single_threaded_blas():
            assert set(blas_threads()) == {1}
        assert set(blas_threads()) == {1}
    assert blas_threads() == before


def test_limits_are_restored_after_an_error():
    before = blas_threads()
    with pytest.raises(KeyboardInterrupt), single_threaded_blas():
        raise KeyboardInterrupt
    assert blas_threads() == before
