"""Damaged and hostile model files by the thousand: each is refused in words, or works.

    python tests/files/fuzz_model.py --mutants 100000 --seed 0

Mutants of the files under tests/model/formats: their bytes, JSON values, tensor headers and
tensors, most of them made whole again (lengths, places, canonical form, checksum) so that they
reach deep. Each is loaded; what loads must predict, be shown, and be saved again. No exception but
ModelFileError and DataError, no warning, at most SECONDS of CPU each, at most MEMORY in all.
"""

import argparse
import collections
import contextlib
import faulthandler
import hashlib
import io
import json
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from pathlib import Path
from random import Random

import msgspec
import numpy as np
import pyarrow as pa

import luce
from luce.apps import report
from luce.errors import DataError, ModelFileError
from luce.model.model import FORMATS
from luce.tables.kinds import source_columns

SEEDS = sorted((Path(__file__).parents[1] / "model" / "formats").glob("*/*.luce"))
SECONDS = 5
MEMORY = 2**30

BEFORE_CHECKSUM = b'{"__metadata__":{"sha256":"'
DTYPES = {"U8": np.uint8, "F16": np.float16, "F32": np.float32, "F64": np.float64}
DTYPES |= {"I32": np.int32, "I64": np.int64}
NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
NAMES_OF_TENSORS = ["x", "columns.0.idf", "confusion", "scale", "coef", "layers.1.bias"]
NAMES_OF_TENSORS += ["calibrator.scale", "rules.0.thresholds", "rules.1.rows", "rules.0.costs"]
GRAFTED = ["calibrator", "calibration", "rules", "validation"]
TYPES = {list: pa.list_(pa.float64()), tuple: pa.map_(pa.int64(), pa.float64())}
HOSTILE = [
    *(0, -1, 1, 2, 3, 7, 100, 2**31, 2**53, 2**62, 2**63 - 1, 2**63, -(2**63), 2**64, 10**400),
    *(0.0, -0.0, 0.5, 1.0, -1.5, 1e-320, 1e-30, 1e30, 1e100, 1e308, -1e308, float("nan")),
    *(float("inf"), True, False, None, "", "a", "int64", "double", "bool", "string", "x" * 10_000),
    *("\x00", "\x1b[31m\n", "[bold]", "☂", "\ud800", "numeric", "category", "boolean", "0" * 64),
    *("abstain", "prediction set", "minimum cost", "temperature", "vector", "saps", "class"),
    *([], {}, [[]], ["a"], ["b", "a"], [1, 2, 3], [None] * 4, [0] * 5, [True, False], {"kind": 1}),
]
STAGES = {
    "length": "announced|header has|no regular file",
    "header": "padded|header is not in canonical|metadata|JSON is malformed|at `",
    "layout": "its place is|tensors take|not in order|^tensor .* is \\{",
    "checksum": "damaged|no checksum",
    "format": "newer luce|format is",
    "document": "document is not in canonical",
    "tensors": "does not belong|is missing|document asks|expected finite",
    "content": "contradicts itself",
    "replay": "replays|does not compute",
}


class TooSlow(BaseException):
    """Not an Exception, so that nobody catches it."""


def take_apart(raw):
    """Document and tensors of a whole file."""
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    document = json.loads(header.pop("__metadata__")["luce"])
    tensors = {}
    for name, place in header.items():
        start, end = (8 + length + offset for offset in place["data_offsets"])
        tensor = np.frombuffer(raw[start:end], DTYPES[place["dtype"]])
        tensors[name] = tensor.reshape(place["shape"]).copy()
    return document, tensors


def seal(raw):
    """The file with its checksum, if it has a place for one."""
    start = 8 + len(BEFORE_CHECKSUM)
    if not raw[8:].startswith(BEFORE_CHECKSUM):
        return raw
    digest = hashlib.sha256(raw[:start] + b"0" * 64 + raw[start + 64 :]).hexdigest().encode()
    return raw[:start] + digest + raw[start + 64 :]


def with_header(header, data):
    raw = header + b" " * (-len(header) % 8)
    return seal(len(raw).to_bytes(8, "little") + raw + data)


def document_text(document):
    """JSON of a document, canonical if it is of its format's type."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    with contextlib.suppress(ValueError, TypeError, msgspec.MsgspecError, AttributeError):
        typed = msgspec.json.decode(text, type=FORMATS[document["format"]].document)
        text = msgspec.json.encode(typed, order="deterministic").decode()
    return text


def header_and_data(document, tensors):
    """Header as a dict, and the tensors' bytes, of a file that is whole."""
    text = document if isinstance(document, str) else document_text(document)
    checked = '"format":1,' not in text[:20]
    metadata = {"sha256": "0" * 64, "luce": text} if checked else {"luce": text}
    header, data = {"__metadata__": metadata}, b""
    for name, tensor in sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0])):
        start, data = len(data), data + tensor.tobytes()
        place = {"dtype": NAMES[tensor.dtype], "shape": tensor.shape}
        header[name] = {**place, "data_offsets": [start, len(data)]}
    return header, data


def encoded(header):
    return json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )


def places_in(value, place=()):
    """Places of all values in a document."""
    if place:
        yield place
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, part in items if isinstance(value, dict | list) else ():
        yield from places_in(part, (*place, name))


def change_value(document, random):
    """Change, remove, repeat or add one value of a document, in place."""
    places = list(places_in(document))
    place = random.choice(places)
    part = document
    for step in place[:-1]:
        part = part[step]
    key, kind = place[-1], random.randrange(8)
    if kind == 0:
        del part[key]
    elif kind == 1 and isinstance(part, list):
        part.insert(key, json.loads(json.dumps(part[random.randrange(len(part))])))
    elif kind == 2 and isinstance(part, dict):
        part[random.choice(["code", "kind", "format", "", "é"])] = random.choice(HOSTILE)
    elif kind == 3:
        other = document
        for step in random.choice(places):
            other = other[step]
        part[key] = json.loads(json.dumps(other))
    elif kind == 4 and isinstance(part[key], int | float) and not isinstance(part[key], bool):
        part[key] = part[key] + random.choice([-1, 1, 0.5]) * random.choice([1, 1e-9, 1e9])
    else:
        part[key] = random.choice(HOSTILE)


def change_tensor(tensors, random):
    """Change one tensor's values, shape or dtype, in place of the mapping."""
    name = random.choice(sorted(tensors))
    tensor = tensors[name]
    kind = random.randrange(6)
    if kind == 0:
        del tensors[name]
    elif kind == 1:
        tensors[random.choice([*NAMES_OF_TENSORS, name + "x"])] = tensor
    elif kind == 2:
        tensors[name] = tensor.reshape(-1)[: random.randrange(tensor.size + 1)]
    elif kind == 3:
        with np.errstate(all="ignore"):
            tensors[name] = tensor.astype(random.choice(list(DTYPES.values())))
    elif tensor.size:
        flat = tensor.reshape(-1).view(np.uint8)
        if kind == 4:
            for _ in range(random.randrange(1, 4)):
                flat[random.randrange(flat.size)] = random.randrange(256)
        else:
            values = [0, 1, -1, 2**40, 1e30, 1e300, -1e300, np.nan, np.inf, 1e-320]
            with np.errstate(all="ignore"):
                value = np.array(random.choice(values)).astype(tensor.dtype)
            tensor.reshape(-1)[random.randrange(tensor.size)] = value


def suit(document, tensors, random):
    """Tensors of the document's own shapes; parameters of 0, so that its replay holds."""
    known = FORMATS.get(document.get("format")) if isinstance(document.get("format"), int) else None
    if known is None:
        return
    try:
        shapes = known.shapes(msgspec.convert(document, known.document))
    except Exception:
        return
    if sum(np.prod(shape, dtype=float) for _, shape in shapes.values()) > 1e5:
        return
    for name, (dtype, shape) in shapes.items():
        if name not in tensors or tensors[name].shape != shape:
            counts = name.endswith((".tested", ".rows"))
            tensors[name] = np.ones(shape, dtype) if counts else np.zeros(shape, dtype)
    for name in tensors.keys() - shapes.keys():
        if name.startswith(("rules.", "calibrator.")):
            del tensors[name]
    for name, tensor in tensors.items():
        if re.fullmatch(r"coef|intercept|calibrator.bias|layers\.\d+\.(weights|bias)", name):
            tensor[:] = 0
    for name in {"scale", "calibrator.scale"} & tensors.keys():
        tensors[name][:] = 1
    if "replay" in tensors and tensors["replay"].size:
        tensors["replay"][:] = 1 / tensors["replay"].shape[-1]


def graft(document, tensors, random):
    """Give a document calibrator and rules, or one of these, of another file."""
    other, theirs = take_apart(random.choice(SEEDS).read_bytes())
    for name in random.sample(GRAFTED, random.randrange(1, len(GRAFTED) + 1)):
        if name in other and name in document:
            document[name] = other[name]
    tensors |= {
        name: tensor for name, tensor in theirs.items() if name.startswith(("rules", "calibrator"))
    }


def change_bytes(raw, random):
    """Flip, cut, insert or move some bytes."""
    at, other = sorted(random.randrange(len(raw) + 1) for _ in range(2))
    kind = random.randrange(6)
    if kind == 0 and at < len(raw):
        return raw[:at] + bytes([raw[at] ^ (1 << random.randrange(8))]) + raw[at + 1 :]
    if kind == 1:
        return raw[:at]
    if kind == 2:
        return raw[:at] + random.randbytes(random.randrange(1, 9)) + raw[at:]
    if kind == 3:
        return raw[:at] + raw[other:]
    if kind == 4:
        return raw[:other] + raw[at:]
    spelt = [b"{", b"}", b"[", b"]", b'"', b",", b"-", b"1e5", b"9" * 400, b"null", b"true", b" "]
    return raw[:at] + random.choice([*spelt, b"[" * 5000, b'{"a":' * 5000]) + raw[at:]


def change_header(header, random):
    """Change one thing of the safetensors header, in place."""
    name = random.choice(sorted(header))
    kind = random.randrange(5)
    if name == "__metadata__" or kind == 0:
        header[name] = random.choice([*HOSTILE, {"luce": 1}, {"luce": "{}", "x": "y"}])
    elif kind == 1:
        header[random.choice(["x", "é", "__metadata", "coef "])] = header.pop(name)
    elif kind == 2:
        header[name]["dtype"] = random.choice(["U8", "F16", "BF16", "I64", "F4", "", 1, "F64"])
    elif kind == 3:
        sizes = [0, 1, -1, 2**31, 2**32, 2**61, 2**62, 2**64, 10**30, 1.0, True, "1", [1]]
        header[name]["shape"] = [random.choice(sizes) for _ in range(random.randrange(5))]
    else:
        offsets = [0, -1, 1, 8, 2**62, 2**63, 2**64, 10**30, 0.5, None]
        header[name]["data_offsets"] = [random.choice(offsets) for _ in range(2)]


def mutant(raw, random):
    """A file that is not quite the one given, which is whole."""
    kind = random.randrange(10)
    if kind == 0:
        changed = change_bytes(raw, random)
        return seal(changed) if random.randrange(2) else changed
    document, tensors = take_apart(raw)
    if kind == 1:  # The document's text, byte by byte.
        text = change_bytes(document_text(document).encode(), random).decode("utf-8", "replace")
        header, data = header_and_data(text, tensors)
        return with_header(encoded(header), data)
    if kind == 2:
        header, data = header_and_data(document, tensors)
        change_header(header, random)
        return with_header(encoded(header), data)
    if kind == 3:  # The header's text, byte by byte.
        header, data = header_and_data(document, tensors)
        return with_header(change_bytes(encoded(header), random), data)
    if kind <= 5:
        for _ in range(random.randrange(1, 3)):
            change_tensor(tensors, random)
    if kind >= 5:
        for _ in range(random.randrange(1, 4)):
            with contextlib.suppress(IndexError, KeyError, TypeError, ValueError, AttributeError):
                change_value(document, random)
    if kind >= 7 and isinstance(document, dict):
        if random.randrange(3) == 0:
            graft(document, tensors, random)
        suit(document, tensors, random)
    header, data = header_and_data(document, tensors)
    if random.randrange(20) == 0:
        return with_header(encoded(header), data)[: random.randrange(10**4)]
    return with_header(encoded(header), data)


def small_table(model):
    """Two rows of every column: something, and nothing; and of two classes."""
    something = {
        "numeric": 1.5,
        "boolean": True,
        "category": "south",
        "datetime": "2026-01-01T12:00",
        "text": "a b",
    }
    columns = {}
    for column in model.document.encoder.columns:
        names, value = source_columns(column), something.get(column.kind, 0.5)
        if column.kind == "embedding" and len(names) == 1:
            value = ((0, 0.5),) if column.sparse else [0.5] * column.length
        columns |= dict.fromkeys(names, pa.array([value, None], TYPES.get(type(value))))
    target, training = model.document.target, model.document.training
    roles = {training.weight: pa.array([1.0, 2.0]), training.group: pa.array(["a", "b"])}
    roles |= {target.column: target.labels[:2]}
    return pa.table(columns | {name: values for name, values in roles.items() if name is not None})


def actions_of(rule):
    """How many things a rule chooses from, 0 for the classes."""
    return rule.costs.shape[1] if hasattr(rule, "costs") else 0


def use(path):
    """Do with a file what people do; return what became of it."""
    try:
        model = luce.load(path)
    except ModelFileError as error:
        message = str(error).removeprefix(f"{path}: ").removeprefix("not a whole luce model: ")
        if (
            "fit in memory" in message
            or len(message) > 1500
            or not str(error).startswith(str(path))
        ):
            raise AssertionError(message) from error
        found = (stage for stage, words in STAGES.items() if re.search(words, message))
        return f"refused: {next(found, 'document')}"
    table = small_table(model)
    with contextlib.suppress(DataError):
        probabilities = model.predict_proba(table)
        assert np.abs(probabilities.sum(axis=1) - 1).max() < 1e-4, "no probabilities"
        decision = model.decide(table)
        assert decision.labels.max() < max(len(model.classes), *map(actions_of, model.rules), 0)
    if zlib.crc32(path.read_bytes()) % 5 == 0:  # It takes longer than all the rest.
        with contextlib.suppress(DataError):
            model.evaluate(table)
    assert all(map(str, model.rules)), "a rule says nothing"
    json.dumps(report.model_as_json(model), allow_nan=False)
    if zlib.crc32(path.read_bytes()) % 20 == 0:  # It takes longer than all the rest.
        with contextlib.redirect_stdout(io.StringIO()):
            report.print_model(model, path)
    model.save(path)
    saved = path.read_bytes()
    assert luce.load(path).document == model.document
    model.save(path)
    assert path.read_bytes() == saved, "equal models give other bytes"
    return "loaded"


def slow(*_):
    raise TooSlow


class Findings:
    """What became of the mutants, and those that should not have become it."""

    def __init__(self, folder):
        for path in SEEDS:  # What is imported on first use counts for no mutant.
            luce.load(path)
        self.folder = folder
        self.outcomes = collections.Counter()
        self.found = []
        self.slowest = 0.0
        shared = Path("/dev/shm")
        self.place = tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None)
        self.path = Path(self.place.name) / "mutant.luce"
        signal.signal(signal.SIGPROF, slow)

    def look_at(self, raw):
        """Load and use one mutant."""
        self.path.write_bytes(raw)
        start = time.perf_counter()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        faulthandler.dump_traceback_later(20 * SECONDS, exit=True)
        try:
            outcome = use(self.path)
        except (Exception, TooSlow) as error:
            outcome = f"FOUND: {type(error).__name__}"
            last = traceback.extract_tb(error.__traceback__)[-1]
            self.note(raw, (outcome, last.filename, last.lineno))
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            faulthandler.cancel_dump_traceback_later()
        self.slowest = max(self.slowest, time.perf_counter() - start)
        self.outcomes[outcome] += 1
        return outcome

    def note(self, raw, where):
        """Keep the first mutant of each defect."""
        if where not in self.found:
            self.found.append(where)
            print(*(line[:300] for line in traceback.format_exc().splitlines()[-30:]), sep="\n")
            if self.folder:
                self.folder.mkdir(parents=True, exist_ok=True)
                (self.folder / f"found-{len(self.found)}.luce").write_bytes(raw)


def limit_memory():
    """Bound what this process may add to the memory that it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    bound = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (bound, resource.getrlimit(resource.RLIMIT_AS)[1]))


def main():
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for mutants that should not be")
    asked = parser.parse_args()
    warnings.simplefilter("error")
    seeds = [path.read_bytes() for path in SEEDS]
    findings = Findings(asked.keep)
    for raw in seeds:
        if findings.look_at(raw) != "loaded":
            sys.exit("a file that is whole does not load")
    limit_memory()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    findings.outcomes.clear()
    random = Random(asked.seed)
    start = time.perf_counter()
    for _ in range(asked.mutants):
        findings.look_at(mutant(random.choice(seeds), random))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    for outcome, count in findings.outcomes.most_common():
        print(f"{count:8d} {outcome}")
    print(f"{asked.mutants} mutants in {time.perf_counter() - start:.0f} s")
    print(f"slowest {findings.slowest:.3f} s, memory grew by {grown / 1024:.0f} MB at most")
    findings.place.cleanup()
    sys.exit(1 if findings.found else 0)


if __name__ == "__main__":
    main()
