"""Pages that are served while runs go on: what is shown, to whom, and that nothing is disturbed."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffn_train.commands.view import VERSIONS, WHOLE, Directories, main
from ffn_train.runs import Run, files, load_run
from ffn_train.runs.status import Status
from ffn_train.view.server import Server
from tests.support.command import Forked
from tests.support.small_runs import config, run_in
from tests.view.conftest import Opened, pixels, text

OLD = Path(__file__).parents[1] / "old_runs" / "runs"
Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves directories from a thread of this process."""
    started = []

    def start(*roots: Path) -> Server:
        server = Server(Directories(roots))
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        started.append((server, thread))
        return server

    yield start
    for server, thread in started:
        server.shutdown()
        thread.join()
        server.server_close()


def asked(server: Server, path: str, method: str = "GET", host: str | None = None) -> Any:
    """Status, content and headers of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    headers = {"Host": host or f"127.0.0.1:{server.server_port}"}
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer.status, content, answer.headers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, small_run: Run) -> Path:
    """A directory with a run and a folder of two, one of which was interrupted."""
    root = tmp_path_factory.mktemp("outputs")
    shutil.copytree(small_run.path, root / "first")
    for name in ("default", "interrupted"):
        shutil.copytree(OLD / name, root / "two" / name)
    config = root / "two" / "interrupted" / files.CONFIG
    config.write_text(config.read_text().replace('"seed": 0', '"seed": 1'))
    return root


@pytest.mark.parametrize(
    ("path", "method", "host", "status"),
    [
        ("/", "GET", None, 200),
        ("/", "GET", "localhost", 200),
        ("/", "GET", "attacker.example", 403),
        ("/entries", "GET", "attacker.example", 403),
        ("/", "POST", None, 501),
        ("/", "DELETE", None, 501),
        ("/run?name=first", "GET", None, 200),
        ("/run?name=../first", "GET", None, 404),
        ("/run?name=first/../../../etc", "GET", None, 404),
        ("/rows?name=/etc/passwd&after=0", "GET", None, 404),
        ("/rows?name=first&after=word", "GET", None, 404),
        ("/first/config.json", "GET", None, 404),
        ("/../first/config.json", "GET", None, 404),
    ],
)
def test_what_is_answered(
    path: str, method: str, host: str | None, status: int, folder: Path, serve: Serve
) -> None:
    server = serve(folder)
    if host == "localhost":
        host = f"localhost:{server.server_port}"
    got, _, headers = asked(server, path, method, host)
    assert got == status
    assert status != 200 or headers["Cache-Control"] == "no-store"


def test_only_this_machine_is_listened_to(folder: Path, serve: Serve) -> None:
    server = serve(folder)
    assert server.socket.getsockname()[0] == "127.0.0.1"
    with socket.socket() as other:
        other.settimeout(2)
        assert other.connect_ex(("127.0.0.2", server.server_port)) != 0


def test_rows_and_runs_are_those_that_came_since(folder: Path, serve: Serve) -> None:
    server = serve(folder)
    _, content, _ = asked(server, "/rows?name=first&after=3")
    assert all(min(each["steps"]) > 3 for each in json.loads(content)["header"]["quantities"])
    name = WHOLE.replace(" ", "%20")
    _, content, _ = asked(server, f"/runs?name={name}&after=")
    header = json.loads(content)["header"]
    assert [run["label"] for run in header["runs"]] == ["first", "two/default", "two/interrupted"]
    status, _, _ = asked(server, f"/runs?name={name}&after={header['version']}")
    assert status == 204
    (folder / "two" / "default" / files.STATUS).touch()
    status, content, _ = asked(server, f"/runs?name={name}&after={header['version']}")
    changed = json.loads(content)["header"]
    assert status == 200
    assert changed["sent"] == [1]
    assert changed["curves"]["train_loss"]["counts"] == [
        header["curves"]["train_loss"]["counts"][1]
    ]
    # a version that is not known, as of a server before, has nothing
    again = json.loads(asked(server, f"/runs?name={name}&after=earlier")[1])["header"]
    assert again["sent"] == [0, 1, 2]
    for _ in range(VERSIONS):
        (folder / "two" / "default" / files.STATUS).touch()
        asked(server, f"/runs?name={name}&after=")
    again = json.loads(asked(server, f"/runs?name={name}&after={header['version']}")[1])["header"]
    assert again["sent"] == [0, 1, 2]


def test_all_rows_come_with_what_theory_predicts_and_without_what_a_page_has(
    folder: Path, serve: Serve
) -> None:
    server = serve(folder)
    after = {
        step: json.loads(asked(server, f"/rows?name=first&after={step}")[1])["header"]
        for step in (-1, 0)
    }
    for step, header in after.items():
        assert {min(each["steps"]) for each in header["quantities"]} == {0 if step < 0 else 3}
        assert "settings" not in header
    assert after[-1]["theory"]["curves"]
    assert "theory" not in after[0]


def test_a_page_that_was_opened_before_the_first_row_shows_it_and_theory(
    tmp_path: Path, small_run: Run, serve: Serve, opened: Opened
) -> None:
    run = tmp_path / "run"
    shutil.copytree(small_run.path, run)
    (run / files.SUMMARY).unlink()
    Status("running").write(run)
    rows, measures = (run / files.SCALARS).read_bytes(), (run / files.MEASURES).read_bytes()
    (run / files.SCALARS).write_bytes(rows.splitlines(keepends=True)[0])
    np.save(run / files.MEASURES, np.load(run / files.MEASURES)[:0])
    page = opened(serve(run).address)
    assert page.evaluate("runPage.steps.steps") == []
    assert "theory" not in text(page, '[data-chart="parameter_gradient"]')
    for name, content in ((files.SCALARS, rows), (files.MEASURES, measures)):
        files.write_whole(run / name, content)
    while not page.evaluate("runPage.steps.steps.length"):
        page.wait_for_timeout(100)
    assert page.evaluate("runPage.steps.steps") == small_run.measures.step.tolist()
    assert "theory from" in text(page, '[data-chart="parameter_gradient"] .legend')


def test_what_is_there_is_listed_and_found(folder: Path, serve: Serve, opened: Opened) -> None:
    server = serve(folder)
    page = opened(server.address)
    names = page.locator("tbody a").all_inner_texts()
    assert names[:2] == [WHOLE, "two"]
    assert sorted(names[2:]) == ["first", "two/default", "two/interrupted"]
    page.locator("#search").fill("interrupted")
    assert page.locator("tbody a").all_inner_texts() == ["two/interrupted"]
    page.locator("tbody a").click()
    page.wait_for_selector("body[data-ready]")
    assert "interrupted" in text(page, "h1")


@pytest.mark.skipif(sys.platform != "linux", reason="names are any bytes on Linux alone")
def test_a_directory_whose_name_is_not_utf_8_is_listed_shown_and_compared(
    tmp_path: Path, small_run: Run, serve: Serve, opened: Opened
) -> None:
    root, strange = tmp_path / "runs", os.fsdecode(b"r\xff")
    for name, run in (("first", OLD / "default"), (strange, small_run.path)):
        shutil.copytree(run, root / name)
    page = opened(serve(root).address)
    page.locator("tbody a", has_text="udcff").click()
    page.wait_for_selector("body[data-ready]")
    assert "finished" in text(page, "h1")
    assert asked(serve(root / strange), "/")[0] == 200
    for out, paths in (("run.html", [root / strange]), ("all.html", [root])):
        main([*map(str, paths), "--out", str(tmp_path / out)])
        assert "udcff" in (tmp_path / out).read_text()


def test_the_page_of_a_sweep_follows_its_runs(
    folder: Path, tmp_path: Path, serve: Serve, opened: Opened
) -> None:
    sweep = tmp_path / "sweep"
    shutil.copytree(folder / "two", sweep)
    page = opened(f"{serve(sweep).address}comparison?name={WHOLE.replace(' ', '%20')}")
    assert text(page, ".said").startswith("2 of 2 runs")
    before = pixels(page, "curves")
    shutil.copytree(folder / "first", sweep / "third")
    while not text(page, ".said").startswith("3 of 3 runs"):
        page.wait_for_timeout(100)
    assert pixels(page, "curves") != before
    drawn = page.evaluate("comparisonPage.runs.all.map(run => run.curves.train_loss.x.length)")
    assert all(points > 1 for points in drawn)  # of the two that were there before, too


def test_the_end_of_a_run_that_diverged_is_shown(serve: Serve) -> None:
    diverged = OLD / "diverged"
    header = json.loads(asked(serve(diverged), "/rows?name=diverged&after=0")[1])["header"]
    assert header["state"] == "diverged"
    assert header["ended"]
    last = load_run(diverged).measures["signal_gradient_rms"].step[-1]
    (flow,) = (q for q in header["quantities"] if q["name"] == "signal_gradient_rms")
    assert flow["steps"][-1] == last


def test_a_run_that_has_not_begun_is_asked_for_again(tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / files.CONFIG).write_text("{}")
    status, _, headers = asked(serve(tmp_path / "run"), "/")
    assert status == 503
    assert headers["Refresh"] == "2"


def test_half_a_row_is_not_shown(tmp_path: Path, small_run: Run, serve: Serve) -> None:
    run = tmp_path / "run"
    shutil.copytree(small_run.path, run)
    (run / files.SUMMARY).unlink()
    rows = (run / files.SCALARS).read_bytes()
    server = serve(run)
    whole = asked(server, "/rows?name=run&after=0")[1]
    (run / files.SCALARS).write_bytes(rows + b"9,0.1")
    with (run / files.MEASURES).open("ab") as file:
        file.write(b"\0" * 40)
    assert asked(server, "/rows?name=run&after=0")[1] == whole


LONG: dict[str, Any] = {"trainer": {"steps": 24}, "measure": {"every": 3}}


def watched(path: Path) -> None:
    """Train with a writer that takes its time."""
    from ffn_train.runs.writer import RunWriter

    record = RunWriter.record

    def slowly(self: RunWriter, *arguments: Any) -> None:
        time.sleep(0.15)
        record(self, *arguments)

    RunWriter.record = slowly  # type: ignore[method-assign, assignment]
    run_in(path, config(**LONG))


def test_a_page_follows_a_run_that_goes_on(tmp_path: Path, serve: Serve, opened: Opened) -> None:
    run = tmp_path / "run"
    child = Forked(lambda: watched(run), cwd=tmp_path)
    while not (run / files.MEASURES).exists() or not (run / files.SCALARS).read_text().strip():
        time.sleep(0.02)
        assert child.running()
    page = opened(serve(run).address)
    first = page.evaluate("runPage.state.step")
    before = pixels(page, "signal_gradient")
    assert "running" in text(page, "h1")
    assert first < 24
    while "finished" not in text(page, "h1"):
        page.wait_for_timeout(100)
    assert page.evaluate("runPage.state.step") == 24
    assert page.evaluate("runPage.steps.steps") == list(range(0, 25, 3))
    assert text(page, ".live") == "training has ended; this page no longer updates"
    assert pixels(page, "signal_gradient") != before
    assert child.wait().returncode == 0
    alone = run_in(tmp_path / "alone", config(**LONG))
    for name in (files.SCALARS, files.MEASURES, files.WEIGHTS, files.THEORY):
        assert (run / name).read_bytes() == (alone.path / name).read_bytes()


def test_the_command_writes_pages(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(folder / "first"), "--out", str(tmp_path / "run.html")])
    main([str(folder), "--out", str(tmp_path / "all.html")])
    assert capsys.readouterr().out.split("\n")[0] == f"to look at: {tmp_path / 'run.html'}"
    assert "runPage" in (tmp_path / "run.html").read_text()
    assert "comparisonPage" in (tmp_path / "all.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere is not a directory"),
        ([".", "--port", "80"], "--port must be 1 to 65535, with --serve"),
        ([".", "--serve", "--port", "abc"], "--port must be 1 to 65535, with --serve, got 'abc'"),
        ([".", "--serve", "--out", "a.html"], "--out goes without --serve"),
        ([".", "--out", "a.pdf"], "--out must end in .html, as what it writes is, got a.pdf"),
        (["."], "no run to compare in ."),
    ],
)
def test_mistakes_are_said_in_a_line(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
