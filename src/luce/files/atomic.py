"""A file written whole or not at all."""

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from luce.errors import DataError

_TEMPORARY = re.compile(r"\.luce-[0-9a-f]{16}\.tmp")


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a file to write that takes its name only when the block has ended well.

    The bytes go to a temporary file in the same folder, reach the disk, and then take the name:
    whatever fails on the way, an old file of that name stays as it was and no temporary file is
    left. A new file gets the permissions that the umask grants; a replaced one hands on its own.
    A symbolic link stays a link, and the file it points to is replaced.

    A process that is killed at once (SIGKILL, a loss of power) leaves the old file or a whole new
    one, and maybe a temporary file, ``.luce-*.tmp``. The next write to the folder removes it: a
    writer holds a lock on its temporary file, which ends with the process.

    Parameters
    ----------
    path : path-like

    Yields
    ------
    binary file

    Raises
    ------
    DataError
        `path` is something other than a file.
    OSError
        The file could not be written: no space, no permission, no such folder.

    Examples
    --------
    >>> with replacing("numbers.txt") as file:
    ...     file.write(b"1 2 3")
    5
    >>> Path("numbers.txt").read_text()
    '1 2 3'
    """
    target = Path(os.path.realpath(path))
    temporary = None
    try:
        mode = target.stat().st_mode if target.exists() else None
        if mode is not None and not stat.S_ISREG(mode):
            raise DataError(f"{path}: not written: it is no regular file; choose another name")
        _remove_abandoned(target.parent)
        temporary, file = _open_locked(target.parent)
        with file:
            if mode is not None:
                temporary.chmod(stat.S_IMODE(mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(target)
        _reach_disk(target.parent)
    except OSError as error:
        if not _is_about(error, target):
            raise
        raise OSError(error.errno, f"not written: {error.strerror or error}", str(path)) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _is_about(error: OSError, target: Path) -> bool:
    """Whether it comes from writing the target, and not from another file that the block reads."""
    if error.filename is None:
        return True
    path = Path(os.fsdecode(error.filename))
    return path in {target, target.parent} or _TEMPORARY.fullmatch(path.name) is not None


def _open_locked(folder: Path) -> tuple[Path, IO[bytes]]:
    """A new temporary file that is locked for as long as it is open."""
    while True:
        temporary = folder / f".luce-{secrets.token_hex(8)}.tmp"
        file = temporary.open("xb")
        with suppress(OSError):  # Some file systems have no locks.
            fcntl.flock(file, fcntl.LOCK_EX)
        if temporary.exists():  # Another writer takes a file that is not locked yet for abandoned.
            return temporary, file
        file.close()


def _remove_abandoned(folder: Path) -> None:
    """Remove the temporary files of processes that are no more."""
    try:
        found = [path for path in folder.iterdir() if _TEMPORARY.fullmatch(path.name)]
    except OSError:  # Files can be made in a folder that may not be listed.
        return
    for path in found:
        with (
            suppress(OSError),  # Gone meanwhile, locked by its writer, another user's.
            open(path, "rb", opener=_without_following) as file,
        ):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _without_following(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _reach_disk(folder: Path) -> None:
    """Make a rename in a folder last through a loss of power, where the file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
