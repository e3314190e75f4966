"""One version: in the metadata, in the package and on top of the changelog."""

import re
import tomllib

import pytest

import luce

ENTRY = re.compile(r"## (\d+\.\d+\.\d+) (?:\(unreleased\)|- \d{4}-\d{2}-\d{2})")


def newest_entry(changelog: str) -> str:
    """The version of the first entry: "## 1.2.3 (unreleased)" or "## 1.2.3 - 2026-01-31"."""
    first = next(line for line in changelog.splitlines() if line.startswith("## "))
    entry = ENTRY.fullmatch(first)
    assert entry, f"not a changelog entry: {first!r}"
    return entry[1]


def test_the_versions_agree(checkout):
    metadata = tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))
    assert luce.__version__ == metadata["project"]["version"]
    assert luce.__version__ == newest_entry((checkout / "CHANGELOG.md").read_text("utf-8"))


@pytest.mark.parametrize("heading", ["## 1.2.3 (unreleased)", "## 1.2.3 - 2026-01-31"])
def test_the_first_entry_is_the_newest(heading):
    assert newest_entry(f"# Changes\n\n{heading}\n\n## 1.2.2 - 2025-01-01\n") == "1.2.3"


@pytest.mark.parametrize("heading", ["## Unreleased", "## 1.2", "## v1.2.3 - 2026-01-31"])
def test_another_form_of_entry_is_refused(heading):
    with pytest.raises(AssertionError, match="not a changelog entry"):
        newest_entry(f"# Changes\n\n{heading}\n\n## 1.2.2 - 2025-01-01\n")
