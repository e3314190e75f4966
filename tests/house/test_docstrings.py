"""A public name says what it is, takes, gives and raises, and shows an example."""

import dataclasses
import enum
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgspec

import luce

HEADING = re.compile(r"^(\w[\w ]*)\n-{3,}$", re.MULTILINE)
NEVER_RAISES: dict[str, str] = {
    "luce.tables.encoder_columns": "an encoder of the right type has columns",
    "luce.tables.feature_names": "an encoder of the right type has names",
    "luce.tables.is_sparse": "an encoder of the right type has a width",
    "luce.tables.read_types": "an encoder of the right type has types",
    "luce.tables.width": "an encoder of the right type has a width",
}
"""Public name with parameters -> why there is nothing it could raise."""


def sections_of(docstring: str) -> dict[str, str]:
    parts = HEADING.split(inspect.cleandoc(docstring))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def names_in(section: str) -> list[str]:
    """Names described by a section: those before the " : " of each line that is not indented."""
    entries = [line for line in section.splitlines() if line and not line[0].isspace()]
    return [name.strip(" *") for entry in entries for name in entry.split(" : ")[0].split(",")]


def is_compiled(value: Any) -> bool:
    """Whether it is a kernel, which is documented in full where the public function is."""
    return type(value).__module__ == "nanobind"


def is_record(value: Any) -> bool:
    """Whether it is plain data, which is handed out by luce and checks nothing."""
    is_struct = isinstance(value, type) and issubclass(value, msgspec.Struct)
    return (dataclasses.is_dataclass(value) or is_struct) and not hasattr(value, "__post_init__")


def is_never_called(value: Any) -> bool:
    """Whether users name it (to catch, to compare, to annotate) but do not call it."""
    kinds = (BaseException, enum.Enum)
    return isinstance(value, type) and (
        issubclass(value, kinds) or getattr(value, "_is_protocol", False)
    )


def parameter_problems(sections: dict[str, str], expected: list[str]) -> Iterator[str]:
    """Compare the parameters, or of a dataclass its first attributes, with the signature's."""
    described = names_in(sections.get("Parameters", ""))
    if "Parameters" not in sections:
        described = names_in(sections.get("Attributes", ""))[: len(expected)]
    if described != expected:
        yield f"describes the parameters {described}, takes {expected}"


def problems(name: str, value: Any) -> Iterator[str]:
    """What the docstring of one public name lacks; constants have none."""
    is_class, is_function = isinstance(value, type), inspect.isroutine(value)
    if not (is_class or is_function or is_compiled(value) or isinstance(value, ModuleType)):
        return
    if not value.__doc__:
        yield "has no docstring"
        return
    if (is_class or is_function) and ">>>" not in value.__doc__:
        yield "shows no example (>>>)"
    if is_function or (is_class and not is_never_called(value)):
        yield from section_problems(name, value)


def section_problems(name: str, value: Any) -> Iterator[str]:
    """What the docstring of one function or class lacks below its first paragraph."""
    sections = sections_of(value.__doc__)
    signature = inspect.signature(value)
    parameters = list(signature.parameters)
    if is_record(value):
        if sections.keys() & {"Parameters", "Attributes"}:
            yield from parameter_problems(sections, parameters)
        return

    yield from parameter_problems(sections, parameters)
    returns = inspect.isroutine(value) and signature.return_annotation not in (None, "None")
    if returns and not sections.keys() & {"Returns", "Yields"}:
        yield "has no Returns section"
    if parameters and "Raises" not in sections and name not in NEVER_RAISES:
        yield "has no Raises section"


def method_problems(cls: type) -> Iterator[str]:
    """Where a method describes its parameters, it describes the ones it has."""
    for name, method in vars(cls).items():
        if name.startswith("_") or not inspect.isfunction(method):
            continue
        sections = sections_of(method.__doc__ or "")
        if "Parameters" in sections:
            expected = list(inspect.signature(method).parameters)[1:]
            yield from (
                f"method {name} {found}" for found in parameter_problems(sections, expected)
            )


def public_names(rooms: list[ModuleType]) -> dict[str, Any]:
    """Every public name once, under the shortest way to reach it."""
    reachable = {
        f"{module.__name__}.{name}": getattr(module, name)
        for module in [luce, *rooms]
        for name in getattr(module, "__all__", ())
    }
    once = {id(value): name for name, value in reversed(reachable.items())}
    return {name: value for name, value in reachable.items() if once[id(value)] == name}


def test_every_public_name_is_documented(rooms):
    found = [
        f"{name} {problem}"
        for name, value in public_names(rooms).items()
        for problem in [
            *problems(name, value),
            *(method_problems(value) if isinstance(value, type) else ()),
        ]
    ]
    assert not found, "\n".join(found)


def test_every_exemption_is_needed(rooms):
    names = public_names(rooms)
    needed = {name for name in names if "Raises" not in sections_of(names[name].__doc__ or "")}
    assert NEVER_RAISES.keys() <= needed


def complete(scores, *rest, axis: int = -1):
    """Do something.

    Parameters
    ----------
    scores : array of shape (n, k)
        Any real numbers.
    *rest, axis : int
        The axis.

    Returns
    -------
    array

    Raises
    ------
    DataError
        When there is nothing.

    Examples
    --------
    >>> complete([1.0])
    """


def hollow(scores, axis):
    """Do something.

    Parameters
    ----------
    scores : array
    dimension : int
    """


class WithMethod:
    """Do something.

    Examples
    --------
    >>> WithMethod()
    """

    def predict(self, features):
        """Predict.

        Parameters
        ----------
        rows : array
        """


@dataclasses.dataclass
class Record:
    """Something handed out.

    Attributes
    ----------
    scores : array
    """

    value: float


class SilentError(Exception): ...


def silent(): ...


def test_a_complete_docstring_passes():
    assert list(problems("complete", complete)) == []


def test_everything_that_is_missing_is_found():
    assert list(problems("silent", silent)) == ["has no docstring"]
    assert list(problems("SilentError", SilentError)) == ["has no docstring"]
    assert list(problems("Record", Record)) == [
        "shows no example (>>>)",
        "describes the parameters ['scores'], takes ['value']",
    ]
    assert list(problems("hollow", hollow)) == [
        "shows no example (>>>)",
        "describes the parameters ['scores', 'dimension'], takes ['scores', 'axis']",
        "has no Returns section",
        "has no Raises section",
    ]
    assert list(problems("WithMethod", WithMethod)) == []
    assert list(method_problems(WithMethod)) == [
        "method predict describes the parameters ['rows'], takes ['features']"
    ]
