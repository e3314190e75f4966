"""A few of the kills that the command does by the hundred."""

import subprocess
import sys
from pathlib import Path

COMMAND = Path(__file__).parent / "kill_fits.py"


def test_a_killed_fit_that_is_begun_again_ends_with_the_bits_of_an_undisturbed_one():
    done = subprocess.run(
        [sys.executable, str(COMMAND), "--kills", "12"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 3
