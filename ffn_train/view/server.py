"""Pages served to this machine while runs go on: read-only, from the directories that were named.

    /                     what is there, or the page of the only run or sweep
    /run?name=NAME        a run's page; /rows?name=NAME&after=STEP: its rows of later steps
    /comparison?name=NAME a comparison's page; /runs?name=NAME&after=VERSION: its runs, if changed
    /entries              what is there, for the list

A name is one of those that were found: no path comes from a request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qs, quote, urlsplit

from ffn_train.config.settings import UserError
from ffn_train.runs.files import finite
from ffn_train.view.page import page

HOST = "127.0.0.1"
EVERY = 1000  # milliseconds between two questions of a page


@dataclass(frozen=True)
class Entry:
    """A run, or a directory of several; ``kind``: whose page it has; ``changed``: seconds."""

    name: str
    kind: str
    state: str
    changed: float


class Shelf(Protocol):
    """What is served. A name that it does not have raises KeyError."""

    def entries(self) -> Sequence[Entry]:
        """What is there, the newest first."""

    def run_page(self, name: str, live: Mapping[str, Any]) -> str: ...

    def rows(self, name: str, after: int) -> tuple[Mapping[str, Any], Sequence[str]]: ...

    def comparison_page(self, name: str, live: Mapping[str, Any]) -> str: ...

    def runs(self, name: str, after: str) -> tuple[Mapping[str, Any], Sequence[str]] | None:
        """None where nothing has changed."""


class Server(ThreadingHTTPServer):
    """Listens on this machine alone; port 0 takes a free one."""

    daemon_threads = True

    def __init__(self, shelf: Shelf, port: int = 0) -> None:
        super().__init__((HOST, port), _Handler)
        self.shelf = shelf
        self.hosts = {f"{name}:{self.server_port}" for name in (HOST, "localhost")}

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that closes a connection early is not an error."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version = "ffn_train"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        # a name of another site that resolves to this machine would let it read what is served
        if self.headers.get("Host") not in self.server.hosts:
            self._send(HTTPStatus.FORBIDDEN, b"this host is not served")
            return
        address = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(address.query).items()}
        answer = _ANSWERS.get(address.path)
        try:
            if answer is None:
                raise KeyError(address.path)
            content = answer(self.server.shelf, query.get("name", ""), query.get("after", ""))
        except (UserError, OSError) as error:  # as of a run that has just begun
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, str(error).encode(errors="replace"))
        except (KeyError, ValueError):
            self._send(HTTPStatus.NOT_FOUND, b"there is no such page")
        else:
            if content is None:
                self._send(HTTPStatus.NO_CONTENT, b"")
            else:
                kind = "text/html" if content.startswith("<") else "application/json"
                self._send(HTTPStatus.OK, content.encode(), kind)

    def _send(self, status: HTTPStatus, content: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.send_header("Refresh", "2")  # a page that is not there yet is asked for again
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """No request is logged."""


def _start(shelf: Shelf, name: str, after: str) -> str:
    """The only page that there is, or a list of all."""
    entries = shelf.entries()
    if len(entries) == 1:
        return _ANSWERS[f"/{entries[0].kind}"](shelf, entries[0].name, after) or ""
    listed = {"entries": [asdict(entry) for entry in entries], "every": EVERY}
    return page("list", "runs", {**listed, "live": {"address": "entries"}}, [])


def _run(shelf: Shelf, name: str, after: str) -> str:
    return shelf.run_page(name, {"address": f"rows?name={quote(name)}", "every": EVERY})


def _comparison(shelf: Shelf, name: str, after: str) -> str:
    return shelf.comparison_page(name, {"address": f"runs?name={quote(name)}", "every": EVERY})


def _rows(shelf: Shelf, name: str, after: str) -> str:
    return _json(*shelf.rows(name, int(after)))


def _runs(shelf: Shelf, name: str, after: str) -> str | None:
    content = shelf.runs(name, after)
    return None if content is None else _json(*content)


def _entries(shelf: Shelf, name: str, after: str) -> str:
    return json.dumps([asdict(entry) for entry in shelf.entries()])


def _json(header: Mapping[str, Any], blocks: Sequence[str]) -> str:
    return json.dumps({"header": finite(dict(header)), "blocks": list(blocks)}, allow_nan=False)


_ANSWERS: Mapping[str, Callable[[Shelf, str, str], str | None]] = {
    "/": _start,
    "/run": _run,
    "/rows": _rows,
    "/comparison": _comparison,
    "/runs": _runs,
    "/entries": _entries,
}
