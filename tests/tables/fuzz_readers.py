"""Reads damaged files: nothing but a DataError may come of it, soon, in little memory.

Run more of it: `python tests/tables/fuzz_readers.py --mutants 30000 --seed 1`.
"""

import argparse
import faulthandler
import gzip
import io
import resource
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as pa_feather
import pyarrow.parquet as pa_parquet

from luce.errors import DataError
from luce.tables import Reading, open_table

SECONDS_EACH = 5
MEMORY = 1 << 30

TABLE = (
    "id,mass,day,when,wet,name\n"
    "00123,3750,2007-11-30,2007-11-30T12:00:00,true,Adelie\n"
    '2,NA,2007-12-01,2007-11-30 12:00:00,false,"Gen,too"\n'
    '3,1.5e3,,,,"a ""quoted""\nname é"\n'
    "4, 12 ,2007-12-02,,true,\n"
)
SEMICOLONS = TABLE.replace(",", ";").replace("1.5e3", "1,5")
SPARSE = "1 1:0.5 3:2 7:-1e-3\n-1 2:1 # comment\n2\n1 1:1 16777215:4\n"
OBJECTS = (
    '{"a": 1, "b": "x", "c": [1, 2], "d": {"e": null}}\n'
    '{"a": 2.5, "b": "2007-11-30", "c": []}\n'
    '{"b": "é \\" \\u00e9", "a": null}\n'
)


def npz() -> bytes:
    content = io.BytesIO()
    features = np.arange(12, dtype=np.float64).reshape(4, 3)
    np.savez(content, X=features, y=np.array(["a", "b", "a", "ü"]), other=np.arange(3))
    return content.getvalue()


def columnar(write: Callable[..., None], **options: object) -> bytes:
    content = io.BytesIO()
    table = pa.table(
        {"a": [1, None, 3] * 20, "b": ["x", "y", None] * 20, "c": [[1], [], None] * 20}
    )
    write(table, content, **options)
    return content.getvalue()


TEXTS = {
    "commas.csv": TABLE.encode(),
    "semicolons.csv": SEMICOLONS.encode("cp1252"),
    "tabs.tsv": TABLE.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"),
    "mark.csv": b"\xef\xbb\xbf" + TABLE.replace(",", "|").encode(),
    "one.csv": b"a\n1\n\n3\n",
    "sparse.svmlight": SPARSE.encode(),
    "objects.jsonl": OBJECTS.encode(),
}
BINARIES = {
    "arrays.npz": npz(),
    "table.parquet": columnar(pa_parquet.write_table),
    "table.feather": columnar(pa_feather.write_feather, compression="lz4"),
    "plain.arrow": columnar(pa_feather.write_feather, compression="uncompressed"),
}
FORMATS = (*TEXTS, *(f"{name}.gz" for name in TEXTS), *BINARIES)
SAFE_FORMATS = tuple(
    name for name in FORMATS if not name.endswith((".parquet", ".feather", "arrow"))
)
"""Those whose damaged files Arrow's own readers do not get to see unparsed."""

TOKENS = (
    *(b'"', b",", b";", b"\t", b"|", b"\n", b"\r", b"\r\n", b"\n\n", b'""', b'",', b'\n"', b" "),
    *(b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", "😀".encode()),
    *(b"NA", b"nan", b"inf", b"-inf", b"1e999", b"-0", b"00", b"0x1F", b"9" * 400, b"1.", b".5"),
    *(b"2007-99-99", b"9999999-01-01", b"0001-01-01T00:00:00", b"true", b"1:1", b"qid:1", b":"),
    *(b"-1:1", b"99999999999:1", b"1,2", b"#", b"{", b"}", b"[", b"]", b"[" * 3000, b"null", b"\\"),
    *(b'{"a":', b'{"a":' * 200, b'"b":', b"\\ud800", b"x" * 5000, b"a,b,c" * 99),
    *(b"'descr': '|O'", b"(99999999999, 3)", b"(-1, 3)", b"'<f2'", b"'<U99'", b"True", b"PK\3\4"),
)


@dataclass(frozen=True)
class Outcome:
    """What came of one mutant."""

    format: str
    seconds: float
    complaint: str | None


def mutate(content: bytes, random: np.random.Generator) -> bytes:
    mutant = bytearray(content)
    for _ in range(random.geometric(0.6)):
        place = int(random.integers(0, len(mutant) + 1))
        end = min(len(mutant), place + int(random.integers(1, 20)))
        match int(random.integers(0, 7)):
            case 0 if place < len(mutant):
                mutant[place] = int(random.integers(0, 256))
            case 1 if place < len(mutant):
                mutant[place] ^= 1 << int(random.integers(0, 8))
            case 2:
                del mutant[place:end]
            case 3:
                mutant[place:place] = mutant[place:end] * int(random.integers(1, 50))
            case 4:
                mutant[place:end] = TOKENS[random.integers(0, len(TOKENS))]
            case 5:
                mutant[place:place] = TOKENS[random.integers(0, len(TOKENS))]
            case 6 if random.random() < 0.2:
                del mutant[place:]
    return bytes(mutant)


def mutate_inside(name: str, content: bytes, random: np.random.Generator) -> bytes:
    """Damage a file, or what is packed in it, which checksums would otherwise hide."""
    if random.random() < 0.3:
        return mutate(content, random)
    if name.endswith(".gz"):
        return gzip.compress(mutate(gzip.decompress(content), random), 1)
    if name.endswith(".npz"):
        changed = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(changed, "w") as new:
            for info in old.infolist():
                array = old.read(info)
                new.writestr(info.filename, mutate_header(array, random))
        return changed.getvalue()
    return mutate(content, random)


def mutate_header(array: bytes, random: np.random.Generator) -> bytes:
    """Damage an array's header, mostly, which is padded so that its length stays right."""
    if random.random() < 0.3:
        return mutate(array, random)
    header = mutate(array[10:128].rstrip(), random)[:117]
    return array[:10] + header.ljust(117) + b"\n" + array[128:]


def outcomes(
    mutants: int, seed: int, folder: Path, formats: tuple[str, ...] = SAFE_FORMATS
) -> Iterator[Outcome]:
    """Read as many damaged files; anything but a DataError comes through."""
    for number in range(mutants):
        random = np.random.default_rng([seed, number])
        name = formats[number % len(formats)]
        seed_file = name.removesuffix(".gz")
        content = TEXTS.get(seed_file) or BINARIES[seed_file]
        content = gzip.compress(content, 1) if name.endswith(".gz") else content
        path = folder / name
        path.write_bytes(mutate_inside(name, content, random))
        start = time.perf_counter()
        faulthandler.dump_traceback_later(SECONDS_EACH, exit=True)
        complaint = None
        try:
            read(path, random)
        except DataError as error:
            complaint = str(error)
        except BaseException as error:
            error.add_note(f"mutant {number} of seed {seed}: {path}")
            raise
        finally:
            faulthandler.cancel_dump_traceback_later()
        yield Outcome(name, time.perf_counter() - start, complaint)


def read(path: Path, random: np.random.Generator) -> None:
    """Read as training does, or as predicting does: with columns and types told."""
    told = Reading(encoding="utf-16" if path.name.startswith("tabs") else None)
    if random.random() < 0.5:
        table = open_table(path, reading=told)
    else:
        types = {"mass": pa.float64(), "wet": pa.bool_(), "name": pa.string(), "day": pa.date32()}
        types |= {"a": pa.float64(), "b": pa.string(), "y": pa.string()}
        table = open_table(path, columns=[*types, "X"], types=types, reading=told)
    for block in table.blocks(rows=3):
        block.validate(full=True)
        assert block.schema.equals(table.schema)
        assert 1 <= block.num_rows <= 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="*", default=SAFE_FORMATS, choices=FORMATS)
    options = parser.parse_args()
    before = peak_memory()
    with tempfile.TemporaryDirectory() as folder:
        found = list(outcomes(options.mutants, options.seed, Path(folder), tuple(options.formats)))
    grown = peak_memory() - before
    refused = Counter(outcome.format for outcome in found if outcome.complaint)
    total = Counter(outcome.format for outcome in found)
    for name, count in total.items():
        print(f"{name:20} {count:8} mutants, {refused[name] / count:4.0%} refused")
    print(f"slowest {max(outcome.seconds for outcome in found):.2f} s, memory {grown >> 20} MiB")
    sys.exit(grown > MEMORY)


def peak_memory() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
