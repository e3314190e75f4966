"""Files of every version of the format load for ever, and predict what they did when written."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import luce

FILES = sorted((Path(__file__).parent / "formats").glob("*/*.luce"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_kept_file_predicts_what_it_did(path):
    kept = json.loads(path.with_suffix(".json").read_text("utf-8"))
    model = luce.load(path)
    probabilities = model.predict_proba(pa.Table.from_pylist(kept["rows"]))
    np.testing.assert_allclose(probabilities, kept["probabilities"], rtol=0, atol=1e-5)


def test_every_format_has_its_files():
    assert {path.parent.name for path in FILES} == {"1"}
    assert {path.stem for path in FILES} == {"penguins", "two-classes", "many-classes"}
