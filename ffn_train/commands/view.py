"""python -m ffn_train view: a run or a comparison as one interactive page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from ffn_train.commands.options import Parser, free, mention, say
from ffn_train.compare import Comparison, Options, collect
from ffn_train.compare.case import Case
from ffn_train.compare.comparison import compare
from ffn_train.compare.discovery import Place, find, is_run
from ffn_train.compare.page import content, html
from ffn_train.compare.reading import read_cases
from ffn_train.config.settings import SettingError, counted
from ffn_train.runs import Run, RunError, files, load_run
from ffn_train.runs.status import status
from ffn_train.train.threads import allowed_cores
from ffn_train.view import run_content, run_page
from ffn_train.view.server import Entry, Server

PAGE = "page.html"
WHOLE = "all runs"  # the name of the comparison of all served runs
VERSIONS = 20  # of comparisons that pages are known to have; of an older one all is sent again


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page, or serve it; exits 2 with one line on errors."""
    parser = Parser(
        "view",
        "Make one interactive page of a run, or of all runs below directories: a file that needs "
        "nothing else. With --serve it is shown while the runs go on.",
    )
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="a run, a sweep, or what holds some"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE.html", help=f"default: {PAGE} in the first PATH"
    )
    parser.add_argument(
        "--serve", action="store_true", help="show it to this machine's browsers until Ctrl-C"
    )
    parser.add_argument("--port", metavar="N", help="for --serve; default: a free one")
    options = parser.parse(arguments)
    with parser.mistakes("; --out FILE.html writes elsewhere"):
        if options.port is not None and not (options.serve and _is_port(options.port)):
            raise SettingError(f"--port must be 1 to 65535, with --serve, got {options.port!r}")
        if options.serve:
            if options.out:
                raise SettingError("--out goes without --serve, which writes nothing")
            serve(options.paths, int(options.port or 0))
            return
        out = free(options.out or options.paths[0] / PAGE, ".html", ".htm")
        files.write_whole(out, _page(options.paths, parser).encode(), durable=False)
        mention(f"to look at: {out}")


def _is_port(text: str) -> bool:
    return text.isdecimal() and len(text) <= 5 and 0 < int(text) < 2**16


def _page(paths: Sequence[Path], parser: Parser) -> str:
    """A run's page, or that of the comparison of several."""
    if len(paths) == 1 and _is_run(paths[0]):
        return run_page(load_run(paths[0]))
    comparison = collect(paths, Options(), parser.notify, allowed_cores())
    return html(comparison, ", ".join(path.resolve().name for path in paths))


def _is_run(path: Path) -> bool:
    if not path.is_dir():
        raise SettingError(f"{path} is not a directory")
    return is_run(path) or files.there(path / files.LAYOUT)


def serve(paths: Sequence[Path], port: int) -> None:
    """Serve the pages of all runs in and below the directories until the process is interrupted.

    Raises SettingError for a port that is taken.
    """
    shelf = Directories(paths)
    shelf.entries()
    try:
        server = Server(shelf, port)
    except OSError as error:
        raise SettingError(f"--port {port}: {error.strerror or error}") from None
    say(f"serving {server.address} to this machine; Ctrl-C ends it")
    with server, suppress(KeyboardInterrupt):
        server.serve_forever()


class Directories:
    """The runs in and below some directories, and their sweeps, by name (see ``view.server``)."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = roots
        self._known: dict[str, Place] = {}
        self._read_at: dict[str, tuple[float, Case | RunError]] = {}
        self._sent: dict[str, Mapping[str, float]] = {}  # by version: when its runs had changed

    @cached_property
    def _alone(self) -> bool:
        return len(self._roots) == 1 and _is_run(self._roots[0])

    def _places(self) -> dict[str, Place]:
        self._known = {place.label: place for place in find(self._roots, lambda line: None)}
        return self._known

    def _read(self, name: str) -> Run:
        """A run, for which the directories are searched again where it is not known yet."""
        return load_run((self._known if name in self._known else self._places())[name].path)

    def entries(self) -> list[Entry]:
        places = self._places()
        runs = [
            Entry(name, "run", status(place.path).state, _changed(place.path))
            for name, place in places.items()
        ]
        runs.sort(key=lambda entry: (-entry.changed, entry.name))
        if self._alone or not runs:
            return runs
        newest = max(entry.changed for entry in runs)
        sweeps = [Entry(WHOLE, "comparison", counted(len(runs), "run"), newest)]
        for name, members in _sweeps(places).items():
            if name and len(members) < len(runs):
                changed = max(_changed(place.path) for place in members)
                sweeps.append(Entry(name, "comparison", f"{len(members)} runs", changed))
        return [*sweeps, *runs]

    def run_page(self, name: str, live: Mapping[str, Any]) -> str:
        return run_page(self._read(name), live=live)

    def rows(self, name: str, after: int) -> tuple[dict[str, Any], list[str]]:
        return run_content(self._read(name), after=after)

    def comparison_page(self, name: str, live: Mapping[str, Any]) -> str:
        comparison, version = self._compared(name, self._members(name))
        return html(comparison, name, live=live, version=version)

    def runs(self, name: str, after: str) -> tuple[dict[str, Any], list[str]] | None:
        members, known = self._members(name), self._sent.get(after, {})
        changed = {label for label, (time, _) in members.items() if known.get(label) != time}
        if not changed and len(members) == len(known):
            return None
        comparison, version = self._compared(name, members)
        header, blocks = content(comparison, changed)
        return {"name": name, **header, "version": version}, blocks

    def _members(self, name: str) -> dict[str, tuple[float, Place]]:
        """The runs of a comparison and the times of their last writes."""
        places = self._places()
        members = places.values() if name == WHOLE else _sweeps(places)[name]
        return {place.label: (_changed(place.path), place) for place in members}

    def _compared(
        self, name: str, members: Mapping[str, tuple[float, Place]]
    ) -> tuple[Comparison, str]:
        """The comparison and its version; only what has changed is read again."""
        times = {label: time for label, (time, _) in members.items()}
        old = [label for label in times if self._read_at.get(label, (None,))[0] != times[label]]
        cases = read_cases([members[label][1] for label in old], allowed_cores())
        for label, case in zip(old, cases, strict=True):
            self._read_at[label] = times[label], case
        known = [self._read_at[label][1] for label in times]
        sound = [case for case in known if not isinstance(case, RunError)]
        version = hashlib.sha256(json.dumps(times).encode()).hexdigest()[:16]
        self._sent[version] = times
        for forgotten in list(self._sent)[:-VERSIONS]:
            self._sent.pop(forgotten, None)
        return compare(sound, Options(), name, len(known) - len(sound)), version


def _sweeps(places: Mapping[str, Place]) -> dict[str, list[Place]]:
    """The runs by the directory that holds them, or that of their sweep."""
    members: dict[str, list[Place]] = {}
    for label, place in places.items():
        folder = Path(label).parent
        parent = folder.parent if folder.name == "jobs" else folder
        members.setdefault("" if parent == Path() else parent.as_posix(), []).append(place)
    return {name: runs for name, runs in members.items() if len(runs) > 1}


def _changed(run: Path) -> float:
    """The time of a run's last write, in seconds; 0 if it has not started."""
    times = [0.0]
    for name in (files.STATUS, files.SCALARS, files.SUMMARY):
        with suppress(OSError):
            times.append((run / name).stat().st_mtime)
    return max(times)
