"""Pages do what they say, block by block, in one folder that has the examples in it."""

import difflib
import doctest
import os
import re
import subprocess
import sysconfig
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
SHOWN_ONLY = {"text", "json", "csv", "bibtex"}
MASKS = {
    re.compile(r"\b\d+(\.\d+)?\s?(ns|µs|us|ms|s|min|seconds?)\b"): "<time>",
    re.compile(r"\b\d+\.\d+\.\d+\w*"): "<version>",
    re.compile(r"\b\d(\.\d+)?e-\d+"): "<tiny>",
    re.compile(r"(\.\d{4})\d+"): r"\1",
    re.compile(r"\b\d+ (bytes|kB)"): "<size>",
    re.compile(r"\bpass \d+|\b\d+ passes"): "<passes>",
    re.compile(r"\s+"): " ",
}
"""What differs between two runs or two machines, and what it is shown as."""


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    line: int


def blocks_of(page: str) -> list[Block]:
    return [
        Block(fence[2], textwrap.dedent(fence[3]), page.count("\n", 0, fence.start(3)) + 1)
        for fence in FENCE.finditer(page)
    ]


def sessions_of(block: Block) -> list[tuple[str, list[str]]]:
    """Each command of a console or sh block with the lines of output that it shows."""
    sessions: list[tuple[str, list[str]]] = []
    for line in block.text.replace("\\\n", "").splitlines():
        if block.language == "sh" or line.startswith("$ "):
            sessions.append((line.removeprefix("$ "), []))
        else:
            sessions[-1][1].append(line)
    return sessions


def runnable(command: str) -> str:
    """The command without installing luce again, or testing it from within its tests."""
    if command.startswith("pip install "):
        command = command.partition("&&")[2].strip()
    return "" if command == "pytest" else command


def masked(lines: list[str]) -> list[str]:
    """The lines without what differs between two runs or machines, down to the last digits."""
    for pattern, replacement in MASKS.items():
        lines = [pattern.sub(replacement, line).rstrip() for line in lines]
    return "\n".join(lines).strip("\n").split("\n")


def difference(shown: list[str], actual: list[str]) -> str:
    """A diff of two outputs, "" when they agree; a shown "..." stands for any lines."""
    shown, actual = masked(shown), masked(actual)
    pattern = "".join(r"(?:.*\n)*" if line == "..." else re.escape(f"{line}\n") for line in shown)
    if re.fullmatch(pattern, "".join(f"{line}\n" for line in actual)):
        return ""
    return "\n".join(difflib.unified_diff(shown, actual, "shown", "actual", lineterm="", n=99))


def run_console(block: Block, environment: dict[str, str]) -> None:
    for command, shown in sessions_of(block):
        run = subprocess.run(
            runnable(command),
            shell=True,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        if any(shown):
            report = difference(shown, run.stdout.splitlines())
        else:
            report = f"{run.stdout}exit status {run.returncode}" if run.returncode else ""
        if report:
            pytest.fail(f"$ {command}\n{report}", pytrace=False)


def run_python(block: Block, page: Path) -> None:
    """Run as a doctest where the block has prompts, as a script where it has none."""
    if ">>>" in block.text:
        example = doctest.DocTestParser().get_doctest(
            block.text, {}, page.name, str(page), block.line - 1
        )
        report: list[str] = []
        options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        doctest.DocTestRunner(optionflags=options, verbose=False).run(example, out=report.append)
        if report:
            pytest.fail("".join(report), pytrace=False)
    else:
        padded = "\n" * (block.line - 1) + block.text
        exec(compile(padded, page, "exec"), {"__name__": "readme"})


def run_page(page: Path, environment: dict[str, str]) -> None:
    for block in blocks_of(page.read_text("utf-8")):
        if block.language == "python":
            run_python(block, page)
        elif block.language in {"console", "sh"}:
            run_console(block, environment)
        elif block.language not in SHOWN_ONLY:
            where = f"{page.name}:{block.line}"
            pytest.fail(f"{where}: unknown language {block.language!r}", pytrace=False)


@pytest.fixture
def environment() -> dict[str, str]:
    """Plain text in 80 columns, and the `luce` of this interpreter."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}


@pytest.mark.parametrize("page", ["README.md", "docs/calibration.md"])
@pytest.mark.usefixtures("workplace")
def test_a_page_runs(page, checkout, environment):
    run_page(checkout / page, environment)


def test_the_readme_has_two_set_up_lines(checkout):
    blocks = blocks_of((checkout / "README.md").read_text("utf-8"))
    commands = [
        command
        for block in blocks
        if block.language in {"console", "sh"}
        for command, _ in sessions_of(block)
    ]
    assert [command for command in commands if command.startswith("pip install")] == [
        "pip install . && luce train examples/penguins.csv --target species",
        "pip install 'luce[test]' && pytest",
    ]


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ("console\n$ echo one; echo 2.5 s\none\n0.1 s", ""),
        ("console\n$ printf 'a\\nb\\nc\\n'\na\n...\nc", ""),
        ("console\n$ pip install . && echo installed\ninstalled", ""),
        ("console\n$ pip install '.[test]' && pytest", ""),
        ("console\n$ echo one; echo two\none\nthree", r"-three\n\+two"),
        ("console\n$ echo reason; false", "reason"),
        ("sh\nfalse", "exit status 1"),
        ("python\nassert (1 +\n        1) == 2", ""),
        ("python\nluce.softmaxx", "name 'luce' is not defined"),
        ("python\n>>> 1 + 1\n2", ""),
        ("python\n>>> 1 + 1\n3", r"Expected:\n    3\nGot:\n    2"),
        ("pyton\n1 + 1", "README.md:3: unknown language 'pyton'"),
        ("text\nanything", ""),
    ],
)
def test_a_block_that_lies_is_found(block, complaint, tmp_path, environment):
    page = tmp_path / "README.md"
    page.write_text(f"# Title\n```{block}\n```\n")
    if complaint:
        with pytest.raises((pytest.fail.Exception, NameError), match=complaint):
            run_page(page, environment)
    else:
        run_page(page, environment)
