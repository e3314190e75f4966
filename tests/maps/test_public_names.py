"""What the room offers."""

import doctest
import importlib

import pytest

from luce import maps


def test_all_is_exact():
    offered = {n for n, v in vars(maps).items() if callable(v) and not n.startswith("_")}
    assert offered == set(maps.__all__)
    assert sorted(maps.__all__) == maps.__all__


@pytest.mark.parametrize("module", ["hardmax", "logsumexp", "softmax"])
def test_examples_run(module):
    result = doctest.testmod(importlib.import_module(f"luce.maps.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
