"""What all commands have in common: one line when interrupted, one line for a mistaken option."""

from __future__ import annotations

import errno
import importlib
import io
import os
import re
import runpy
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

import ffn_train
from ffn_train.commands import launch, options, train
from ffn_train.config.places import CONF
from ffn_train.config.settings import SettingError
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import files
from ffn_train.runs.directory import claim
from ffn_train.train import threads
from tests.support.command import Forked
from tests.support.small_runs import SMALL, config, run_in


def interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """The commands that are started from here on, each with its arguments, instead of run."""
    calls: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(launch, "run", lambda name: calls.append((name, sys.argv[1:])))
    monkeypatch.setattr(sys, "path", [*sys.path])
    return calls


OF_A_MODULE = [
    name
    for name in launch.COMMANDS
    if name not in ("check", "clean", "diff", "export", "predict", "view")
]


@pytest.mark.parametrize("name", OF_A_MODULE)
def test_a_command_has_a_module_of_its_own(
    name: str, started: list[tuple[str, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    runpy.run_module(f"ffn_train.{name}", run_name="__main__")
    assert started == [(name, ["--help"])]


@pytest.mark.parametrize(
    ("given", "start"),
    [
        *((["ffn-train", name, "a", "b"], (name, ["a", "b"])) for name in launch.COMMANDS),
        (["ffn-train", "model.depth=2", "compare"], ("train", ["model.depth=2", "compare"])),
        (["ffn-train"], ("train", [])),
        (["ffn-train", "residual"], ("train", ["residual"])),
    ],
)
def test_the_script_and_the_package_start_the_command_that_is_named_first(
    given: list[str],
    start: tuple[str, list[str]],
    started: list[tuple[str, list[str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = tomllib.loads((CONF.parent / "pyproject.toml").read_text(encoding="utf-8"))
    module, _, name = project["project"]["scripts"]["ffn-train"].partition(":")
    for entrance in (
        getattr(importlib.import_module(module), name),
        lambda: runpy.run_module("ffn_train", run_name="__main__"),
    ):
        monkeypatch.setattr(sys, "argv", [*given])
        entrance()
        sys.path.remove("")  # parts are found where the command is given
    assert started == [start, start]


def test_a_file_with_the_name_of_one_of_pythons_modules_is_not_taken_for_it(
    tmp_path: Path,
) -> None:
    text = "def forward(x): return 2 * x\ndef backward(dy, x): return 2 * dy\n"
    (tmp_path / "random.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "ffn_train", "check", "random.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


WORK = {  # command -> its arguments and what it does, where Ctrl-C finds it
    "gradcheck": ((), "ffn_train.gradcheck.check_stack"),
    "theory": ((), "ffn_train.commands.theory.predictions"),
    "reproduce": (("order_to_chaos",), "ffn_train.reproduce.study.run"),
    "compare": (("somewhere",), "ffn_train.compare.collect"),
    "plots": (("somewhere",), "ffn_train.commands.plots.load_run"),
}


@pytest.mark.parametrize("name", WORK)
def test_an_interrupted_command_says_so_in_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, work = WORK[name]
    monkeypatch.setattr(work, interrupt)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    with pytest.raises(SystemExit) as ended:
        launch.run(name)
    assert ended.value.code == 130
    assert capsys.readouterr().err.splitlines()[-1] == f"ffn_train.{name}: interrupted"


def test_more_threads_than_allowed_cores_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3})
    (warning,) = build_experiment(config(threads=2)).warnings
    assert warning.startswith("threads=2 with 1 core allowed to this process: ")
    assert warning.endswith("use threads=1 or auto")
    for fits in (1, "auto"):
        assert build_experiment(config(threads=fits)).warnings == []
    large: dict[str, Any] = {"batch": 512, "width": 512, "hidden": 2048}
    assert threads.choose("auto", **large) == threads.Threads(blas=1, shards=1)


def test_a_sweep_warns_of_threads_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3})
    jobs = [text for text in SMALL if not text.startswith("threads")]
    jobs += ["threads=2", "seed=0,1", f"sweep.dir={tmp_path / 's'}", "hydra/launcher=serial"]
    monkeypatch.setattr(sys, "argv", ["ffn_train", "-m", *jobs])
    with pytest.raises(SystemExit) as ended:
        launch.run("train")
    assert ended.value.code == 0
    assert capsys.readouterr().err.count("warning: threads=2 with 1 core allowed") == 1


@pytest.mark.parametrize("name", launch.COMMANDS)
@pytest.mark.parametrize("given", [("--hlep",), ("model.depth=2", "--hlep")])
def test_an_unknown_option_is_answered_in_one_line(
    name: str,
    given: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", [name, *given])
    with pytest.raises(SystemExit) as ended:
        launch.run(name)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"ffn_train.{name}: --hlep is not an option; did you mean --help?\n"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("--hlep", "--hlep is not an option; did you mean --help?"),
        ("--multirnu", "--multirnu is not an option; did you mean --multirun?"),
        ("--cfg=jbo", "argument -c/--cfg: invalid choice: 'jbo' (choose from 'job', 'hydra'"),
    ],
)
def test_an_unknown_flag_of_the_main_command_too(
    given: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["ffn_train", "model.depth=2", given])
    with pytest.raises(SystemExit) as ended:
        launch.run("train")
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ffn_train: {message}")


def test_the_version_is_that_of_this_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ffn_train", "--version"])
    launch.run("train")
    assert capsys.readouterr().out == f"ffn_train {ffn_train.__version__}\n"


def test_a_place_that_cannot_be_used_is_named_by_its_setting(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.touch()
    link.symlink_to("nowhere")
    for path, parent, message in (
        (link, tmp_path, f"run.dir={link} cannot be made: {link} is a link to nothing"),
        (file, tmp_path, f"run.dir={file} cannot be made: {file} is a file"),
        (
            file / "a" / "b",
            tmp_path,
            f"run.dir={file / 'a' / 'b'} cannot be made: {file} is a file",
        ),
        (None, file, f"{file} cannot be made: {file} is a file; run.dir=PATH names another place"),
    ):
        with (
            pytest.raises(SettingError, match=f"^{re.escape(message)}$"),
            claim("run.dir", path, parent),
        ):
            pass


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_a_lock_that_is_no_file_is_named_and_not_its_directory(kind: str, tmp_path: Path) -> None:
    lock = tmp_path / files.LOCK
    reasons = {
        "link": "it is a link, which is not followed",
        "folder": "Is a directory",
        "pipe": "it is not a regular file",
    }
    if kind == "link":
        lock.symlink_to("nowhere")
    elif kind == "folder":
        lock.mkdir()
    else:
        os.mkfifo(lock)
    message = f"run.dir={tmp_path} cannot be written to: {lock}: {reasons[kind]}"
    wanted = pytest.raises(SettingError, match=f"^{re.escape(message)}$")
    with wanted, claim("run.dir", tmp_path, tmp_path):
        pass


def test_a_file_that_cannot_be_written_is_named_and_not_its_stand_in(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        files.write_whole(tmp_path / "nowhere" / "loss.png", b"")
    assert caught.value.filename == str(tmp_path / "nowhere" / "loss.png")


@pytest.mark.parametrize(
    ("number", "status"),
    [
        *((errno.ENOSPC, 1), (errno.EDQUOT, 1), (errno.EFBIG, 1), (errno.EIO, 1)),
        *((errno.EACCES, 2), (errno.ENOTDIR, 2), (errno.ENOENT, 2), (errno.EROFS, 2)),
    ],
)
def test_a_disk_that_fails_is_not_a_mistake_in_the_command(
    number: int, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = options.Parser("plots", "")
    with pytest.raises(SystemExit) as ended, parser.mistakes("; --out DIR writes elsewhere"):
        raise OSError(number, "the reason", "run/plots/loss.png")
    assert ended.value.code == status
    said = "ffn_train.plots: run/plots/loss.png: the reason; --out DIR writes elsewhere\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        *(("comprae", "; did you mean compare?"), ("plot", "; did you mean plots?")),
        *(("grad-check", "; did you mean gradcheck?"), ("bogus", "")),
    ],
)
def test_a_mistyped_command_is_answered_with_the_commands_and_the_nearest(
    word: str,
    meant: str,
    started: list[tuple[str, list[str]]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["ffn-train", word, "outputs"])
    with pytest.raises(SystemExit) as ended:
        launch.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said == f"ffn_train: {word} is not a command ({', '.join(launch.COMMANDS)}){meant}\n"
    assert not started


@pytest.mark.parametrize("module", ["ffn_train", "ffn_train.gradcheck", "ffn_train.theory"])
def test_a_pipe_that_nobody_reads_is_not_a_failure(module: str, tmp_path: Path) -> None:
    def run() -> None:
        read, write = os.pipe()
        os.dup2(write, 1)
        os.close(write)
        os.close(read)
        sys.argv = [module, *SMALL]
        runpy.run_module(module, run_name="__main__", alter_sys=True)

    done = Forked(run, cwd=tmp_path).wait()
    assert done.returncode == launch.UNREAD
    assert done.stderr == ""


@pytest.mark.parametrize("module", ["ffn_train", "ffn_train.gradcheck", "ffn_train.theory"])
def test_a_full_disk_behind_stdout_costs_one_line(module: str, tmp_path: Path) -> None:
    def run() -> None:
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
        sys.argv = [module, *SMALL, *(["run.dir=run"] if module == "ffn_train" else [])]
        runpy.run_module(module, run_name="__main__", alter_sys=True)

    done = Forked(run, cwd=tmp_path).wait()
    assert done.returncode == 1
    assert done.stderr == f"{module}: No space left on device\n"
    assert module != "ffn_train" or (tmp_path / "run" / files.SUMMARY).is_file()  # all the same


@pytest.mark.parametrize(
    ("name", "file", "unread"),
    [("compare", "out/groups.csv", False), ("view", "out", False), ("view", "out", True)],
)
def test_files_are_written_all_the_same_where_stdout_cannot_be(
    name: str, file: str, unread: bool, tmp_path: Path
) -> None:
    """With a full disk behind it, or ``unread``; in a real process, whose stdout has a buffer."""
    run_in(tmp_path / "run", config())
    reads, writes = os.pipe()
    os.close(reads)
    with open(writes if unread else "/dev/full", "w", encoding="utf-8") as stdout:
        done = subprocess.run(
            [sys.executable, "-m", "ffn_train", name, "run", "--out", "out"],
            cwd=tmp_path,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )
    said = "" if unread else f"ffn_train.{name}: No space left on device\n"
    assert (done.returncode, done.stderr) == (0 if unread else 1, said)
    assert (tmp_path / file).is_file()


@pytest.mark.parametrize("module", ["ffn_train", "ffn_train.gradcheck"])
def test_ctrl_c_while_a_command_is_imported_ends_it_without_a_word(
    module: str, tmp_path: Path
) -> None:
    # the import of a standard module kills its own process, as Ctrl-C at that moment would
    (tmp_path / "dataclasses.py").write_text("import os; os.kill(os.getpid(), 2)")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{CONF.parent}"}
    done = subprocess.run(
        [sys.executable, "-m", module], capture_output=True, cwd=tmp_path, env=environment
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


@pytest.mark.parametrize(("arguments", "output"), [(["--version"], b"ffn_train "), (["--x"], b"")])
def test_ctrl_c_while_the_interpreter_ends_is_silent(arguments: list[str], output: bytes) -> None:
    code = (
        "import os, sys, threading\n"
        "threading._register_atexit(os.kill, os.getpid(), 2)\n"
        f"sys.argv[1:] = {arguments}\n"
        "from ffn_train.commands.launch import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == -signal.SIGINT
    assert done.stdout.startswith(output)
    assert b"KeyboardInterrupt" not in done.stderr


def test_a_program_that_imports_the_package_keeps_its_ctrl_c() -> None:
    code = "import ffn_train, signal; print(signal.getsignal(2) is signal.default_int_handler)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "True\n"


def test_too_little_memory_costs_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def exhausted(config: object) -> None:
        raise MemoryError

    monkeypatch.setattr("ffn_train.commands.train.run", exhausted)
    monkeypatch.setattr(sys, "argv", ["ffn_train"])
    with pytest.raises(SystemExit) as ended:
        launch.run("train")
    assert ended.value.code == 1
    assert capsys.readouterr().err == "ffn_train: not enough memory: none is left\n"


def test_nothing_that_a_terminal_acts_on_is_printed_raw(capsys: pytest.CaptureFixture[str]) -> None:
    options.say("a\x1b[31m\u202eb\nü")
    options.tell("a\x1b]0;t\x07\nb")
    printed = capsys.readouterr()
    assert printed.out == "a\\x1b[31m\\u202eb\nü\n"
    assert printed.err == "a\\x1b]0;t\\x07\\nb\n"


def test_a_closed_stderr_is_not_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    options.tell("nobody hears this")


def test_lines_end_between_words_and_commands_stay_whole() -> None:
    assert options.wrapped("short", 20) == ["short"]
    assert options.wrapped("verdict  it has learned as well as it can", 24) == [
        "verdict  it has learned",
        "         as well as it",
        "         can",
    ]
    path = "outputs/runs/a-long-name-of-a-run"
    assert options.wrapped(f"interrupted; to go on: python -m ffn_train run.dir={path}", 30) == [
        "interrupted; to go on:",
        f"python -m ffn_train run.dir={path}",
    ]
    assert options.wrapped(f"saved in {path}", 20) == ["saved in", path]


def test_only_a_terminal_has_lines_wrapped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options.say("word " * 50)
    options.tell("word " * 50)
    assert capsys.readouterr() == ("word " * 50 + "\n",) * 2
    monkeypatch.setenv("COLUMNS", "20")
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    options.say("word " * 7)
    options.tell("word " * 7)
    assert capsys.readouterr() == ("word word word word\nword word word\n",) * 2


@pytest.mark.parametrize("given", ["wide", "", "0", "-20"])
def test_columns_that_are_no_width_leave_it_to_the_terminal(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setenv("COLUMNS", given)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(terminal, "fileno", lambda: 1)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((33, 10)))
    assert options.columns(terminal) == 33


@pytest.mark.parametrize(
    ("module", "arguments", "named"),
    [
        ("compare", ["run", "--out", ""], "--out"),
        ("compare", ["run", ""], "DIR"),
        ("clean", ["", "--yes"], "DIR"),
        ("predict", ["", "table.csv"], "RUN_DIR"),
    ],
)
def test_an_empty_path_is_not_the_working_directory(
    module: str, arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        importlib.import_module(f"ffn_train.commands.{module}").main(arguments)
    said = f"ffn_train.{module}: argument {named}: a path is expected, got ''\n"
    assert capsys.readouterr().err == said


def test_limits_below_zero_are_no_options() -> None:
    parser = options.Parser("plots", "Draws.")
    parser.add_argument("runs", nargs="+")
    parser.add_appearance()
    typed = parser.parse(["--xlim", "-2,-1", "run", "--ylim", "-.5,1"])
    assert typed.runs == ["run"]
    chosen = parser.appearance(typed)
    assert (chosen["xlim"], chosen["ylim"]) == ((-2, -1), (-0.5, 1))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_sweep_is_compared_names_the_command(
    number: signal.Signals,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def present(*_: object) -> None:
        os.kill(os.getpid(), number)
        time.sleep(5)

    monkeypatch.setattr("ffn_train.compare.collect", lambda *_: None)
    monkeypatch.setattr("ffn_train.commands.compare.present", present)
    path = tmp_path / "sweep"
    assert train.sweep([*SMALL, f"sweep.dir={path}", "hydra/launcher=serial"]) == 128 + number
    draws = f"to compare: python -m ffn_train.compare {path}"
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"comparison interrupted by {number.name}; {draws}"


def test_a_module_is_imported_while_jobs_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_part.py").write_text("")
    (tmp_path / "broken_part.py").write_text("raise ValueError")
    monkeypatch.syspath_prepend(tmp_path)
    with train._imported_meanwhile("slow_part"):
        pass
    assert "slow_part" not in sys.modules  # what ends soon does not wait for it
    monkeypatch.setattr(train, "LATER", 0.0)
    for name in ("slow_part", "broken_part"):
        with train._imported_meanwhile(name):
            time.sleep(0.2)
    assert "slow_part" in sys.modules
    del sys.modules["slow_part"]
