"""A fit takes little memory beyond the features: some copies of the parameters, and 64 MB."""

import subprocess
import sys

import pytest

MEASURE = """
import ctypes, sys
from pathlib import Path

import numpy as np
import luce

n, d, k = map(int, sys.argv[1:4])
random = np.random.default_rng(0)
centres = 0.3 * random.standard_normal((k, d))
labels = np.arange(n) % k
features = (centres[labels] + random.standard_normal((n, d))).astype(sys.argv[4])

def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))

with luce.threads(2):
    luce.SoftmaxClassifier().fit(random.standard_normal((60, 3)), np.arange(60) % 3)
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak becomes what is in memory now
    before = status("VmRSS")
    luce.SoftmaxClassifier(max_iter=22).fit(features, labels)
    print(status("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux counts it")
@pytest.mark.parametrize(
    ("n", "d", "k", "dtype", "squares"),
    [(1000, 5000, 10, "float64", 0), (6000, 128, 1000, "float32", 3)],
)
def test_peak_of_a_fit_is_24_copies_of_the_parameters_and_64_mb(n, d, k, dtype, squares):
    command = [sys.executable, "-W", "ignore", "-c", MEASURE, n, d, k, dtype]
    run = subprocess.run(map(str, command), capture_output=True, text=True, check=True)
    assert int(run.stdout) <= 8 * (24 * k * (d + 1) + squares * d * d) + 64 * 10**6, run.stderr
