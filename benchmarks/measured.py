"""A command run as a process of its own: its seconds and the most memory that it had.

`measure` starts it through a small process, this file, because Linux counts what the memory of a
process was before it became another program. The file imports the standard library only.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

SECONDS_BETWEEN_LOOKS = 0.01


@dataclass(frozen=True)
class Run:
    """What a command took; memory in bytes.

    `peak` is the most that it had in memory, files mapped into it included; `anonymous` the most
    without these, as seen every 10 ms (0 where the system does not tell). `processor` are the
    seconds of all CPUs together; `said` is the end of its output.
    """

    code: int
    seconds: float
    processor: float
    peak: int
    anonymous: int
    said: str


def measure(command: Sequence[str], limit: int | None = None) -> Run:
    """Run a command, with a limit on its data (RLIMIT_DATA) in bytes if one is given."""
    small = [sys.executable, "-S", "-E", __file__, str(limit or 0), *command]
    done = subprocess.run(small, stdout=subprocess.PIPE, check=True, text=True)
    return Run(**json.loads(done.stdout))


def _run(limit: int, command: Sequence[str]) -> Run:
    if limit:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    start = time.perf_counter()
    said, told = os.pipe()
    process = os.posix_spawnp(
        command[0],
        command,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, told, 1), (os.POSIX_SPAWN_DUP2, told, 2)],
    )
    os.close(told)
    os.set_blocking(said, False)
    anonymous, text, ended = 0, b"", 0
    while not ended:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        anonymous = max(anonymous, _anonymous(process))
        text = (text + _available(said))[-2000:]
        ended, status, usage = os.wait4(process, os.WNOHANG)
    seconds = time.perf_counter() - start
    text = (text + _available(said))[-2000:]
    code = os.waitstatus_to_exitcode(status)
    return Run(
        code=code,
        seconds=seconds,
        processor=usage.ru_utime + usage.ru_stime,
        peak=usage.ru_maxrss * 1024,
        anonymous=anonymous,
        said=text.decode(errors="replace"),
    )


def _anonymous(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def _available(pipe: int) -> bytes:
    text = b""
    try:
        while piece := os.read(pipe, 65536):
            text += piece
    except BlockingIOError:
        pass
    return text


if __name__ == "__main__":
    print(json.dumps(asdict(_run(int(sys.argv[1]), sys.argv[2:]))))
