"""A few of the kills that the command does by the hundred."""

import subprocess
import sys
from pathlib import Path

COMMAND = Path(__file__).parent / "kill.py"


def test_a_killed_writer_leaves_the_old_file_or_a_whole_new_one():
    arguments = [sys.executable, str(COMMAND), "--kills", "12"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["Train", "Predict", "Save"]
