"""A few of the mutants that the command goes through by the hundred thousand."""

import re
import subprocess
import sys
from pathlib import Path

COMMAND = Path(__file__).parent / "fuzz_model.py"


def test_mutants_are_refused_in_words_or_work():
    arguments = [sys.executable, str(COMMAND), "--mutants", "350", "--seed", "3"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = dict(re.findall(r"^ *\d+ (loaded|refused: )(.*)$", done.stdout, re.MULTILINE))
    assert outcomes.keys() == {"loaded", "refused: "}
    stages = set(re.findall(r"refused: (\w+)", done.stdout))
    assert stages >= {"header", "layout", "document", "tensors", "content", "replay"}
