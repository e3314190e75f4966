import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pytest

from luce.errors import DataError
from luce.tables.sources import File, file_errors, find_files, split_query


def names(source):
    return [file.name for file in find_files(str(source))]


@pytest.fixture
def folder(write, tmp_path):
    for name in ("a.csv", "b.csv", "b[1].csv", ".c.csv", "_d.csv", "e.txt"):
        write("x", name)
    write("x", "sub/f.csv")
    (tmp_path / "sub" / "deep").mkdir()
    write("x", "sub/deep/g.csv")
    return tmp_path


def test_a_path_and_a_uri_mean_one_file(folder):
    assert names(folder / "a.csv") == [f"{folder}/a.csv"]
    assert names(f"file://{folder}/a.csv") == [f"file://{folder}/a.csv"]
    (file,) = find_files(f"file://{folder}/a.csv")
    assert (file.size, file.open().read()) == (1, b"x")


OBJECTS = {"a.csv": b"x\n1\n", "b.csv": b"x\n2\n", "deep/c.csv": b"x\n3\n"}


class Bucket(BaseHTTPRequestHandler):
    """As much of S3 as it takes to list and read the objects of one bucket."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        asked = urlsplit(self.path)
        key = asked.path.removeprefix("/bucket").lstrip("/")
        if "list-type" in asked.query:
            prefix = parse_qs(asked.query).get("prefix", [""])[0]
            found = [
                f"<Contents><Key>{name}</Key><Size>{len(content)}</Size></Contents>"
                for name, content in OBJECTS.items()
                if name.startswith(prefix)
            ]
            listed = f"<KeyCount>{len(found)}</KeyCount>{''.join(found)}"
            self.answer(200, f"<ListBucketResult>{listed}</ListBucketResult>".encode())
        elif key not in OBJECTS:
            self.answer(404)
        elif asked_for := self.headers["Range"]:
            first, last = map(int, asked_for.removeprefix("bytes=").split("-"))
            self.answer(206, OBJECTS[key][first : last + 1])
        else:
            self.answer(200, OBJECTS[key])

    def answer(self, code, content=b""):
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def query(monkeypatch):
    """The query of a URI that means a bucket of this machine's."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with ThreadingHTTPServer(("127.0.0.1", 0), Bucket) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"endpoint_override=127.0.0.1:{server.server_port}&scheme=http&region=eu-west-1"
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("bucket/a.csv", ["a.csv"]),
        ("bucket/?.csv", ["a.csv", "b.csv"]),
        ("bucket/**/*.csv", ["a.csv", "b.csv", "deep/c.csv"]),
        ("bucket/deep", ["deep/c.csv"]),
    ],
)
def test_a_uri_may_have_a_query(path, found, query):
    uri = f"s3://name:secret@{path}?{query}"
    assert names(uri) == [f"s3://name:secret@bucket/{name}" for name in found]
    contents = [file.open().read() for file in find_files(uri)]
    assert contents == [OBJECTS[name] for name in found]


@pytest.mark.parametrize("path", ["bucket/no.csv", "bucket/no*.csv"])
def test_a_uri_with_a_query_that_means_nothing(path, query):
    with pytest.raises(
        DataError, match=r"@bucket/no\*?\.csv: (there is no such file|no file match)"
    ):
        find_files(f"s3://name:secret@{path}?{query}")
    with pytest.raises(DataError, match="it cannot be found: Unexpected query parameter"):
        find_files(f"s3://name:secret@{path}?nope=1&{query}")


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("s3://b/?.csv?region=*", ("s3://b/?.csv", "?region=*")),
        ("s3://b/a.csv?scheme=http&x=?y=z", ("s3://b/a.csv", "?scheme=http&x=?y=z")),
        ("s3://b/?a*.csv", ("s3://b/?a*.csv", "")),
        ("a?b=c.csv", ("a?b=c.csv", "")),
    ],
)
def test_a_query_is_a_part_of_a_uri_alone(source, parts):
    assert split_query(source) == parts


def test_a_uri_of_another_file_system():
    with pytest.raises(DataError, match=r"mock:///no\.csv: there is no such file"):
        find_files("mock:///no.csv")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.csv", ["a.csv", "b.csv", "b[1].csv"]),
        ("b*", ["b.csv", "b[1].csv"]),
        ("?.csv", ["a.csv", "b.csv"]),
        ("[a-b].csv", ["a.csv", "b.csv"]),
        ("[!a].csv", ["b.csv"]),
        ("b[1].csv", ["b[1].csv"]),
        ("*/*.csv", ["sub/f.csv"]),
        ("?ub/*.csv", ["sub/f.csv"]),
        ("sub?deep/*.csv", []),
        ("sub[!a]deep/*.csv", []),
        ("sub[/]deep/*.csv", []),
        ("*/**/g.csv", ["sub/deep/g.csv"]),
        ("**/sub/**/deep/g.csv", ["sub/deep/g.csv"]),
        ("**", []),
        ("sub/**/*.csv", ["sub/deep/g.csv", "sub/f.csv"]),
        ("**/*.csv", ["a.csv", "b.csv", "b[1].csv", "sub/deep/g.csv", "sub/f.csv"]),
    ],
)
def test_globs_from_a_path_a_uri_and_here(folder, pattern, found, monkeypatch):
    if not found:
        with pytest.raises(DataError, match="no file matches"):
            find_files(f"{folder}/{pattern}")
        return
    assert names(f"{folder}/{pattern}") == [f"{folder}/{name}" for name in found]
    monkeypatch.chdir(folder)
    assert names(pattern) == found
    if pattern != "b[1].csv":
        assert names(f"file://{folder}/{pattern}") == [f"file://{folder}/{name}" for name in found]


def test_a_folder_means_its_files(folder, write):
    write("x", "plain/2.csv")
    write("x", "plain/1.csv")
    write("x", "plain/_SUCCESS")
    assert names(folder / "plain") == [f"{folder}/plain/1.csv", f"{folder}/plain/2.csv"]
    assert names(f"file://{folder}/plain/")[0] == f"file://{folder}/plain/1.csv"
    with pytest.raises(DataError, match=r"folders in this folder: 'plain', 'sub'; .*\*\*/\*\.csv"):
        find_files(str(folder))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("no.csv", "no.csv: there is no such file"),
        ("no/such.csv", "there is no such file"),
        ("a.csv/b.csv", "there is no such file"),
        ("no*.csv", "no file matches"),
        ("no/*.csv", "no file matches"),
        ("", "the path of the table is empty"),
        ("nope://x/y.csv", "nope://x/y.csv: it cannot be found"),
        ("empty", "a folder with no file"),
        ("pipe.csv", 'this is not a file; a table from a pipe is read with "-"'),
        ("a\0.csv", "it cannot be found|no such file"),
    ],
)
def test_sources_that_mean_nothing(folder, source, words, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir()
    os.mkfifo(folder / "pipe.csv")
    with pytest.raises(DataError, match=words):
        find_files(source)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "no"), "x.csv: there is no permission to read it"),
        (FileNotFoundError(2, "no"), "x.csv: there is no such file"),
        (OSError(5, "Input/output error"), r"x\.csv: the file is damaged .*Input/output error"),
        (pa.ArrowInvalid("odd"), r"x\.csv: the file is damaged .*odd"),
        (DataError("as it is"), "^as it is$"),
    ],
)
def test_what_goes_wrong_while_a_file_is_read(error, words):
    with pytest.raises(DataError, match=words), file_errors(File("x.csv", 1, open, tuple, ())):
        raise error


def test_a_file_that_asks_for_all_memory_there_is_is_damaged():
    with (
        pytest.raises(DataError, match=r"x\.csv: the file is damaged .*malloc of size 97953291895"),
        file_errors(File("x.csv", 1 << 30, open, tuple, ())),
    ):
        raise pa.ArrowMemoryError("malloc of size 97953291895309120 failed")


@pytest.mark.parametrize(
    "error", [MemoryError(), pa.ArrowMemoryError("realloc of size 400000000 failed")]
)
def test_too_little_memory_is_no_damage(error):
    with (
        pytest.raises(
            MemoryError, match=r"^x\.csv: .*smaller row groups .*fewer columns.*--memory"
        ),
        file_errors(File("x.csv", 1, open, tuple, ())),
    ):
        raise error


@pytest.mark.parametrize("error", [DataError("z is not a number"), OSError("short")])
def test_a_change_explains_whatever_went_wrong(error):
    looks = iter([(1,), (2,)])
    file = File("x.csv", 1, open, lambda: next(looks), (1,))
    with pytest.raises(DataError, match="changed while it was being read"), file_errors(file):
        raise error
