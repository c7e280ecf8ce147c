"""The other end of the workers' pipes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cells import Cell
from contestants import CONTESTANTS

HERE = Path(__file__).parent


class Failed(RuntimeError):
    """The contestant ``name`` could not do what it was asked."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


@dataclass(frozen=True)
class Seat:
    """A contestant at one number of threads; ``variant`` tells apart two of the same."""

    name: str
    threads: int
    variant: str = ""


class Worker:
    """A contestant's process; a context manager that ends it."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), seat.name, str(seat.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Raises Failed with the contestant's own words."""
        self.begin(do, **request)
        return self.answer()

    def begin(self, do: str, **request: Any) -> None:
        """Ask without waiting for the answer."""
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for the answer to what was begun."""
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the process ended"}
        if "error" in answer:
            raise Failed(self.seat.name, answer["error"])
        return answer

    def load(self, cell: Cell, data: Path | None, **options: Any) -> int:
        """Put the contestant at a cell's start; returns the threads that it uses there."""
        path = None if data is None else str(data)
        return self.ask("load", cell=asdict(cell), data=path, options=options)["threads"]


@contextmanager
def crew(names: Sequence[str]) -> Iterator[list[Worker]]:
    """A worker for each contestant that is installed and each of its numbers of threads."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(Worker(Seat(name, threads)))
            for name in names
            if not CONTESTANTS[name].missing
            for threads in CONTESTANTS[name].threads
        ]
