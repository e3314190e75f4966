"""Mutants of model files that are bred by the code that they reach. Needs atheris, a fuzzer.

    pip install atheris
    python tests/files/fuzz_model_guided.py CORPUS -max_total_time=600

CORPUS is a folder for the mutants that reached something new; the other options are libFuzzer's.
What is done with each mutant, and the mutations, are those of fuzz_model.py beside this file.
"""

import sys
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(
    include=["luce.scorers", "luce.decisions", "luce.tables", "luce.files", "luce.model"],
):
    import luce.files
    import luce.model.model  # noqa: F401

sys.path.insert(0, str(Path(__file__).parent))
import fuzz_model


def mutate(raw, max_size, seed):
    """Change a file that is whole as fuzz_model does; any other byte by byte."""
    random = Random(seed)
    try:
        changed = fuzz_model.mutant(raw, random)
    except Exception:
        changed = fuzz_model.seal(atheris.Mutate(raw, max_size))
    return changed[:max_size]


def main():
    """Run the command."""
    findings = fuzz_model.Findings(Path("findings"))
    seeds = Path(sys.argv[1])
    seeds.mkdir(parents=True, exist_ok=True)
    for path in fuzz_model.SEEDS:
        (seeds / f"{path.parent.name}-{path.stem}").write_bytes(path.read_bytes())

    def look_at(raw):
        findings.look_at(raw)
        if findings.found:
            raise RuntimeError(findings.found)

    atheris.Setup([*sys.argv, "-max_len=40000"], look_at, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
