import threading

import pytest

import luce
from luce.errors import DataError


def test_the_innermost_context_wins_and_is_left_again():
    before = luce.num_threads()
    with luce.threads(3):
        with luce.threads(1):
            assert luce.num_threads() == 1
        assert luce.num_threads() == 3
    assert luce.num_threads() == before


def test_a_context_is_of_its_own_thread():
    seen = []
    with luce.threads(7):
        other = threading.Thread(target=lambda: seen.append(luce.num_threads()))
        other.start()
        other.join()
    assert seen != [7]


def test_the_environment_is_asked(monkeypatch):
    monkeypatch.setenv("LUCE_NUM_THREADS", "5")
    assert luce.num_threads() == 5
    with luce.threads(2):
        assert luce.num_threads() == 2


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_a_bad_environment_is_refused(monkeypatch, value):
    monkeypatch.setenv("LUCE_NUM_THREADS", value)
    with pytest.raises(DataError, match="LUCE_NUM_THREADS"):
        luce.num_threads()


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", True, None])
def test_a_bad_number_is_refused(n):
    with pytest.raises(DataError, match="whole number of at least 1"), luce.threads(n):
        pass


def test_versions_say_what_a_bug_report_needs(capsys):
    luce.show_versions()
    said = capsys.readouterr().out
    for word in ("luce", "numpy", "instruction set", "BLAS", "threads", luce.__version__):
        assert word in said
