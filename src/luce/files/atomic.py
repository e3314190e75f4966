"""A file written whole or not at all."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from luce.errors import DataError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a file to write that takes its name only when the block has ended well.

    The bytes go to a temporary file in the same folder, reach the disk, and then take the name:
    whatever fails on the way, an old file of that name stays as it was and no temporary file is
    left. A new file gets the permissions that the umask grants; a replaced one hands on its own.
    A symbolic link stays a link, and the file it points to is replaced.

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
    temporary = target.with_name(f".luce-{secrets.token_hex(8)}.tmp")
    try:
        mode = target.stat().st_mode if target.exists() else None
        if mode is not None and not stat.S_ISREG(mode):
            raise DataError(f"{path}: not written: it is no regular file; choose another name")
        with temporary.open("xb") as file:
            if mode is not None:
                temporary.chmod(stat.S_IMODE(mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise OSError(error.errno, f"not written: {error.strerror or error}", str(path)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
