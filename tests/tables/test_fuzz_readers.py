import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location(
        "fuzz_readers", Path(__file__).with_name("fuzz_readers.py")
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_damaged_files_are_refused_with_a_message_or_read(fuzz, tmp_path):
    before = fuzz.peak_memory()
    outcomes = list(fuzz.outcomes(mutants=300, seed=0, folder=tmp_path))
    assert {outcome.format for outcome in outcomes} == set(fuzz.SAFE_FORMATS)
    refused = [outcome.complaint for outcome in outcomes if outcome.complaint]
    assert 50 < len(refused) < 250
    assert max(outcome.seconds for outcome in outcomes) < fuzz.SECONDS_EACH
    assert fuzz.peak_memory() - before < fuzz.MEMORY
