"""The source distribution is the checkout but for what only developers need.

So it builds as the checkout does.
"""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

NOT_INCLUDED = {".ci", "benchmarks"}


def test_the_sdist_is_the_checkout(checkout, tree, tmp_path):
    copy, out = tmp_path / "copy", tmp_path / "out"
    for path in tree:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(checkout / path, copy / path)
    build = [sys.executable, "-m", "build", "--sdist", "--outdir", out, copy]
    finished = subprocess.run(build, text=True, capture_output=True, check=False)
    assert finished.returncode == 0, f"{finished.stdout}\n{finished.stderr}"
    (sdist,) = out.iterdir()
    found = {}
    with tarfile.open(sdist) as archive:
        for member in archive.getmembers():
            if member.isfile():
                found[Path(*Path(member.name).parts[1:])] = archive.extractfile(member).read()
    assert found.pop(Path("PKG-INFO"))
    wanted = {path for path in map(Path, tree) if path.parts[0] not in NOT_INCLUDED}
    assert found.keys() == wanted
    for path in wanted:
        assert found[path] == (checkout / path).read_bytes(), path
