"""A file takes its name only when it is whole; whatever fails before leaves the old one."""

import errno
import os
import signal
import stat
import subprocess
import sys

import pytest

from luce.errors import DataError
from luce.files import atomic, replacing

OLD, NEW = b"the old file", b"the new file, which is longer"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results.csv"


@pytest.fixture
def old(path):
    path.write_bytes(OLD)
    return path


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_gets_what_the_umask_grants(path):
    before = os.umask(0o027)
    try:
        with replacing(path) as file:
            file.write(NEW)
    finally:
        os.umask(before)
    assert path.read_bytes() == NEW
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert names_in(path.parent) == [path.name]


def test_a_replaced_file_hands_on_its_permissions(old):
    old.chmod(0o604)
    with replacing(old) as file:
        file.write(NEW)
    assert old.read_bytes() == NEW
    assert stat.S_IMODE(old.stat().st_mode) == 0o604


def test_the_old_file_stands_until_the_block_has_ended(old):
    with replacing(old) as file:
        file.write(NEW)
        file.flush()
        assert old.read_bytes() == OLD
    assert old.read_bytes() == NEW


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), MemoryError()])
def test_a_failure_in_the_block_leaves_the_old_file_alone(old, error):
    def write_half():
        with replacing(old) as file:
            file.write(NEW)
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert old.read_bytes() == OLD
    assert names_in(old.parent) == [old.name]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_alone_and_is_named(old, monkeypatch, step):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    if step == "replace":
        monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="No space left") as caught, replacing(old) as file:
        file.write(NEW)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(old)
    assert old.read_bytes() == OLD
    assert names_in(old.parent) == [old.name]


def test_a_link_stays_a_link(old):
    link = old.parent / "latest.csv"
    link.symlink_to(old.name)
    with replacing(link) as file:
        file.write(NEW)
    assert link.is_symlink()
    assert old.read_bytes() == NEW


def test_a_link_to_nothing_makes_the_file(path):
    link = path.parent / "latest.csv"
    link.symlink_to(path.name)
    with replacing(link) as file:
        file.write(NEW)
    assert link.is_symlink()
    assert path.read_bytes() == NEW


def test_a_path_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with replacing("here.csv") as file:
        file.write(NEW)
    assert (tmp_path / "here.csv").read_bytes() == NEW


def test_a_folder_is_not_replaced(tmp_path):
    with pytest.raises(DataError, match="no regular file"), replacing(tmp_path) as file:
        file.write(NEW)
    assert names_in(tmp_path) == []


def test_a_pipe_is_not_replaced(path):
    os.mkfifo(path)
    with pytest.raises(DataError, match="no regular file"), replacing(path) as file:
        file.write(NEW)
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_no_such_folder(path):
    missing = path.parent / "missing" / path.name
    with pytest.raises(FileNotFoundError) as caught, replacing(missing) as file:
        file.write(NEW)
    assert caught.value.filename == str(missing)


def test_a_killed_writer_leaves_the_old_file(old):
    program = (
        "import sys, time\n"
        "from luce.files import replacing\n"
        "with replacing(sys.argv[1]) as file:\n"
        "    file.write(b'half'); file.flush()\n"
        "    print('half', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(old)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout.readline() == b"half\n"
        writer.kill()
    assert writer.returncode == -signal.SIGKILL
    assert old.read_bytes() == OLD
    assert len(names_in(old.parent)) == 2
    with replacing(old.parent / "another.csv") as file:
        file.write(NEW)
    assert names_in(old.parent) == ["another.csv", old.name]


def test_another_writer_at_work_is_left_alone(old):
    with replacing(old.parent / "another.csv") as other:
        with replacing(old) as file:
            file.write(NEW)
        other.write(NEW)
    assert names_in(old.parent) == ["another.csv", old.name]
    assert (old.parent / "another.csv").read_bytes() == NEW


def test_a_temporary_file_that_is_taken_for_abandoned_is_made_again(old, monkeypatch):
    lock, taken = atomic.fcntl.flock, []

    def late(file, operation):
        if not taken:
            taken.append(file.name)
            os.unlink(file.name)  # noqa: PTH108
        lock(file, operation)

    monkeypatch.setattr(atomic.fcntl, "flock", late)
    with replacing(old) as file:
        file.write(NEW)
        assert file.name != taken[0]
    assert old.read_bytes() == NEW


def test_only_temporary_files_are_removed(old):
    kept = [".luce-0123456789abcdef.tmp.csv", ".luce-notes.tmp", "luce-0123456789abcdef.tmp"]
    for name in kept:
        (old.parent / name).touch()
    link = old.parent / ".luce-0123456789abcdef.tmp"
    link.symlink_to(old.name)
    with replacing(old) as file:
        file.write(NEW)
    assert names_in(old.parent) == sorted([*kept, link.name, old.name])


def test_a_file_system_without_locks(old, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(atomic.fcntl, "flock", fail)
    with replacing(old.parent / "another.csv") as other:
        with replacing(old) as file:
            file.write(NEW)
        other.write(NEW)
    assert names_in(old.parent) == ["another.csv", old.name]


def test_the_folder_reaches_the_disk_too(old, monkeypatch):
    fsync, kinds = os.fsync, []

    def noted(descriptor):
        kinds.append(stat.S_IFMT(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    with replacing(old) as file:
        file.write(NEW)
    assert kinds == [stat.S_IFREG, stat.S_IFDIR]


def test_an_error_about_another_file_keeps_its_words(old, tmp_path):
    def read_while_writing():
        with replacing(old):
            (tmp_path / "input.csv").read_bytes()

    with pytest.raises(FileNotFoundError) as caught:
        read_while_writing()
    assert caught.value.filename == str(tmp_path / "input.csv")
    assert "not written" not in str(caught.value)
    assert old.read_bytes() == OLD
