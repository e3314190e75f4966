"""The installed program: its help, its exit codes, a terminal, a pipe that closes, a kill."""

import ctypes
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

import luce

COMMANDS = ["train", "predict", "evaluate", "inspect"]


def example_of(help_text):
    """The example that a help text ends with, over however many lines."""
    return re.search(r"Example: (luce .*)", " ".join(help_text.split())).group(1)


def run_in_terminal(command):
    """Exit code and all that a program writes to a terminal."""
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover
        os.environ["TERM"] = "xterm"
        os.execv(command[0], command)
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # the program has ended and its terminal with it
            break
        if not piece:
            break
        shown += piece
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()


def give_up_reading_all():
    """Root reads and writes whatever it likes, until it runs a program without that right."""
    drop_capability, may_override, may_read = 24, 1, 2
    for right in (may_override, may_read):
        ctypes.CDLL(None).prctl(drop_capability, right)


def test_version(run):
    assert run("--version").stdout.split() == ["luce", luce.__version__]


def test_help_names_every_command(run):
    said = run("--help").stdout
    assert all(command in said for command in COMMANDS)
    assert run("-h").stdout == said


def test_no_command_is_bad_usage(run):
    assert "train" in run(code=2).output


def test_the_example_of_every_help_runs(run, workplace):
    """In the order of the commands, on files of the names that they give."""
    (workplace / "examples").mkdir()
    shutil.move(workplace / "penguins.csv", workplace / "examples")
    (workplace / "penguins.luce").unlink()
    for name in ("new.csv", "labelled.csv"):
        shutil.copy(workplace / "examples" / "penguins.csv", workplace / name)
    for command in COMMANDS:
        program, *arguments = shlex.split(example_of(run(command, "--help").stdout))
        assert (program, arguments[0]) == ("luce", command)
        run(*arguments)
    assert (workplace / "penguins.luce").exists()


def test_exit_codes_and_streams(program, workplace):
    """What the tests within this process show is true of the program too."""
    train = [program, "train", "penguins.csv", "--target"]
    good = subprocess.run([*train, "species"], capture_output=True, text=True, check=False)
    assert good.returncode == 0
    assert "accuracy" in good.stdout
    assert "275" in good.stderr
    bad = subprocess.run([*train, "specie"], capture_output=True, text=True, check=False)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.startswith("Error: ")
    assert bad.stderr.count("\n") == 1


def test_a_terminal_has_a_live_line(program, workplace):
    code, shown = run_in_terminal([program, "train", "penguins.csv", "--target", "species"])
    assert code == 0
    hidden, back = shown.index("\x1b[?25l"), shown.rindex("\x1b[?25h")  # the cursor
    assert hidden < shown.index("fitting on 275") < back
    assert "\x1b[2K" in shown  # the line is wiped and written again
    assert "accuracy" in shown[back:]


def test_an_error_leaves_the_terminal_as_it_was(program, workplace):
    command = [program, "train", "penguins.csv", "--target", "species", "--validation", "1.5"]
    code, shown = run_in_terminal(command)
    assert code == 2
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")
    assert "between 0 and 1" in shown.rpartition("\x1b[?25h")[2]


def test_a_reader_that_has_enough(program, workplace, table):
    """As `luce predict ... | head -1`."""
    pa_parquet.write_table(pa.concat_tables([table] * 200), workplace / "many.parquet")
    command = [program, "predict", "penguins.luce", "many.parquet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout.readline().startswith(b'"species"')
        running.stdout.close()
        said = running.stderr.read()
    assert running.returncode == 1
    assert said == b""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for a file that is being written")
def test_a_killed_program_leaves_the_old_file(program, workplace, table):
    pa_parquet.write_table(pa.concat_tables([table] * 1000), workplace / "many.parquet")
    (workplace / "out.jsonl").write_text("the old file")
    command = [program, "predict", "penguins.luce", "many.parquet", "--out", "out.jsonl"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as running:
        while running.poll() is None and not list(workplace.glob(".luce-*")):
            pass
        running.send_signal(signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    assert (workplace / "out.jsonl").read_text() == "the old file"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.parametrize(
    "arguments",
    [["--version"], ["predict", "--help"], ["predict", "penguins.luce", "penguins.csv"]],
)
def test_an_output_without_room(arguments, program, workplace):
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [program, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.returncode == 1
    assert ended.stderr == "Error: standard output: No space left on device\n"


@pytest.mark.skipif(sys.platform != "linux", reason="gives up a right of root's as Linux does")
class TestPermissions:
    @pytest.fixture
    def refused(self, program, workplace):
        def run(*arguments):
            ended = subprocess.run(
                [program, *arguments],
                capture_output=True,
                text=True,
                check=False,
                preexec_fn=give_up_reading_all,
            )
            assert ended.returncode in {1, 2}
            assert ended.stderr.count("\n") == 1
            return ended.stderr

        return run

    def test_tables(self, refused, workplace):
        secret, folder = workplace / "secret.csv", workplace / "folder"
        secret.touch()
        folder.mkdir()
        shutil.copy("penguins.csv", folder)
        for path in (secret, folder):
            path.chmod(0)
        for data in ("secret.csv", "folder", "folder/penguins.csv", "folder/*.csv"):
            said = refused("train", data, "--target", "species", "--out", "new.luce")
            assert said == f"Error: {data}: there is no permission to read it\n"
        folder.chmod(0o700)
        (folder / "penguins.csv").chmod(0)
        said = refused("predict", "penguins.luce", "folder")
        assert said == "Error: folder/penguins.csv: there is no permission to read it\n"

    def test_models(self, refused, workplace):
        (workplace / "penguins.luce").chmod(0)
        said = refused("predict", "penguins.luce", "penguins.csv")
        assert said == "Error: penguins.luce: cannot be read: Permission denied\n"

    def test_outputs(self, refused, workplace):
        (workplace / "folder").mkdir(mode=0o500)
        for arguments in (["predict", "penguins.luce"], ["train", "--target", "species"]):
            out = "folder/out.csv"
            said = refused(*arguments, "penguins.csv", "--out", out)
            assert said == f"Error: {out}: the folder folder cannot be written to; choose another\n"


class TestProgressLine:
    def test_a_terminal_shows_how_many_rows_are_done(self, workplace):
        script = (
            "from luce.apps import cli, progress\n"
            "progress.SECONDS_WORTH_A_LINE = -1.0\n"
            "cli.main()\n"
        )
        arguments = ["predict", "penguins.luce", "penguins.csv", "--out", "out.csv"]
        code, shown = run_in_terminal([sys.executable, "-c", script, *arguments])
        assert code == 0
        hidden, back = shown.index("\x1b[?25l"), shown.rindex("\x1b[?25h")
        assert hidden < shown.index("344 rows, ") < back
        assert "a second" in shown
        assert "Wrote 344 predictions" in shown[back:]

    def test_not_in_the_first_second_nor_among_predictions(self, program, workplace):
        for arguments in (["--out", "out.csv"], []):
            command = [program, "predict", "penguins.luce", "penguins.csv", *arguments]
            code, shown = run_in_terminal(command)
            assert code == 0
            assert "a second" not in shown
