"""Files are short, name no one's folders, and ship with the mark that they are typed."""

import importlib.resources
import re
from pathlib import Path

LONGEST = 450
SOMEONES_FOLDER = re.compile(r"(?<![\w.])/(?:work|root|home)/")


def long_files(root: Path, files: list[Path]) -> list[str]:
    sources = [path for path in files if path.parts[0] in {"src", "tests"} and path.suffix == ".py"]
    lengths = {path: len((root / path).read_text("utf-8").splitlines()) for path in sources}
    return [f"{path} has {length} lines" for path, length in lengths.items() if length > LONGEST]


def private_paths(root: Path, files: list[Path]) -> list[str]:
    """Lines that name a home or a workspace; bytes that are no text match nothing."""
    return [
        f"{path}:{number} {line.strip()}"
        for path in files
        for number, line in enumerate((root / path).read_text("utf-8", "replace").splitlines(), 1)
        if SOMEONES_FOLDER.search(line)
    ]


def test_files_are_short(checkout, tree):
    found = long_files(checkout, tree)
    assert not found, "\n".join(found)


def test_no_file_names_a_private_folder(checkout, tree):
    found = private_paths(checkout, tree)
    assert not found, "\n".join(found)


def test_the_types_are_installed():
    assert (importlib.resources.files("luce") / "py.typed").is_file()


def test_a_long_file_is_found(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "long.py").write_text("\n" * (LONGEST + 1))
    (tmp_path / "src" / "short.py").write_text("\n" * LONGEST)
    files = [Path("src/long.py"), Path("src/short.py")]
    assert long_files(tmp_path, files) == [f"src/long.py has {LONGEST + 1} lines"]


def test_a_private_folder_is_found(tmp_path):
    private = "/".join(["", "home", "ada", "data.csv"])
    (tmp_path / "notes.md").write_text(f"https://luce.org{private}\nread {private}\n")
    assert private_paths(tmp_path, [Path("notes.md")]) == [f"notes.md:2 read {private}"]
