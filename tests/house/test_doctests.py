"""Every example in a docstring gives what it shows."""

import doctest
import importlib
import pkgutil

import pytest

import luce

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MODULES = ["luce", *(found.name for found in pkgutil.walk_packages(luce.__path__, "luce."))]


def failures(example: doctest.DocTest) -> str:
    """The report of the statements that gave something else, "" when there are none."""
    report: list[str] = []
    doctest.DocTestRunner(optionflags=OPTIONS, verbose=False).run(example, out=report.append)
    return "".join(report)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.usefixtures("workplace")
def test_examples_give_what_they_show(name):
    examples = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name))
    found = [failure for example in examples if (failure := failures(example))]
    assert not found, "".join(found)


def test_a_wrong_example_is_reported():
    example = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "sum", "sum.py", 0)
    assert "Expected:\n    3\nGot:\n    2" in failures(example)
