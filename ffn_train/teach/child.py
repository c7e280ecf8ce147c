"""A user's file in a separate process with limits: the child computes, the parent judges.

The child answers calls of the file's functions with arrays, over two pipes that are separate
from the file's own input and output. It never says whether anything is right, so no file can
pass by what it prints, by its exit status, or by changing NumPy under the checker's feet.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from types import ModuleType
from typing import IO, Any

import numpy as np

import ffn_train
from ffn_train.config.settings import printable
from ffn_train.nn.core import Floats
from ffn_train.teach.calls import (
    MEMORY,
    Answer,
    Argument,
    Call,
    Local,
    Passed,
    Signature,
    reason,
    shapes_of,
)
from ffn_train.teach.layers import functions_of_class
from ffn_train.teach.parts import Functions, functions_of_parts

PRINTED = 1 << 20  # bytes that the file may print
MESSAGE = 64 << 20  # the largest answer
CHECKED = "ffn_train_checked"  # the name of the file's module
LENGTH = struct.Struct("<Q")


class Unanswered(Exception):
    """The file exited, hung or exceeded a limit: one line."""


class Child:
    """The functions of a file, called in a child process; a context manager that ends the process.

    ``seconds`` are for the start and all calls together, without what passes between them. Raises
    Unanswered.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self._left = self._seconds = seconds
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ffn_train.teach.child", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=_environment(),
        )
        self._messages: SimpleQueue[bytes | None] = SimpleQueue()
        self._flooded = False
        for task in (self._read, self._count):
            threading.Thread(target=task, daemon=True).start()
        self.signatures: Mapping[str, Signature] = {}
        self.shapes: Mapping[str, Mapping[str, tuple[int, ...]]] = {}

    def __enter__(self) -> Child:
        try:
            head, _ = self._receive()
            if "error" in head:
                raise Unanswered(_line(head["error"]))
            self.signatures = {
                str(name): Signature(tuple(map(str, names)), int(required), bool(more))
                for name, (names, required, more) in head["signatures"].items()
            }
            self.shapes = {
                str(name): shapes_of(shapes, map(str, shapes))
                for name, shapes in head["shapes"].items()
            }
        except BaseException as error:
            self.__exit__()
            if isinstance(error, KeyError | TypeError | ValueError | AttributeError):
                raise Unanswered("its answer cannot be read") from None
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, 9)  # along with whatever the file has started
        self._process.kill()
        self._process.wait()
        with suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()

    def call(self, call: Call) -> Answer:
        request = {
            "call": [call.name, call.forward, call.count, call.cached],
            "passed": [
                [a.name, a.derivative] if isinstance(a, Passed) else None for a in call.arguments
            ],
        }
        arrays = [a for a in call.arguments if not isinstance(a, Passed)]
        stdin = self._process.stdin
        assert stdin is not None
        with suppress(OSError):  # if the child has ended, reading will tell
            _write(stdin, request, arrays)
        head, returned = self._receive()
        try:
            count = int(head["count"])
            error = head["error"]
            answer = Answer(
                returned[:count],
                None if head["names"] is None else [str(name) for name in head["names"]],
                bool(head["single"]),
                returned[count:],
                None if error is None else _line(error),
                bool(head["missing"]),
            )
        except (KeyError, TypeError, ValueError):
            raise Unanswered("its answer cannot be read") from None
        if error is None and len(answer.after) != len(call.arguments):
            raise Unanswered("its answer cannot be read")
        return answer

    def _receive(self) -> tuple[dict[str, Any], list[Floats | None]]:
        before = time.monotonic()
        try:
            message = self._messages.get(timeout=self._left)
            self._left -= time.monotonic() - before
            if self._left < 0:
                raise Empty
        except Empty:
            raise Unanswered(f"it has not finished after {self._seconds:g} s") from None
        if message is None:
            if self._flooded:
                raise Unanswered(f"it prints more than {PRINTED >> 20} MB")
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
            status = self._process.poll()
            if status is None:
                raise Unanswered("its answer cannot be read")
            how = f"exit status {status}" if status >= 0 else f"signal {-status}"
            raise Unanswered(f"it ended the process ({how}) before the check was complete")
        try:
            return _parsed(message)
        except (ValueError, KeyError, TypeError, struct.error):
            raise Unanswered("its answer cannot be read") from None

    def _read(self) -> None:
        """Queue the child's messages as they arrive.

        The pipe is closed here, at its end: to close it elsewhere would be to wait for that end,
        which a process that the file has left behind may keep from coming.
        """
        stream = self._process.stdout
        assert stream is not None
        with stream:
            while (message := _message(stream)) is not None:
                self._messages.put(message)
            self._messages.put(None)
            while stream.read(1 << 16):
                pass

    def _count(self) -> None:
        """Discard what the file prints, up to a limit."""
        stream, total = self._process.stderr, 0
        assert stream is not None
        with stream:
            while chunk := os.read(stream.fileno(), 1 << 16):
                total += len(chunk)
                if total > PRINTED:
                    self._flooded = True
                    self._process.kill()
                    return


def _environment() -> dict[str, str]:
    """The parent's environment, with this package on the path and one thread."""
    root = str(Path(ffn_train.__file__).parents[1])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **threads, "PYTHONPATH": paths}


def _line(text: Any) -> str:
    return printable(" ".join(str(text).split()))[:300]


def _write(stream: IO[bytes], head: Mapping[str, Any], arrays: Sequence[Floats | None]) -> None:
    """A length, then a line of JSON and the arrays' bytes."""
    kinds = [None if a is None else [a.dtype.str, list(a.shape)] for a in arrays]
    body = [json.dumps({**head, "arrays": kinds}).encode(), b"\n"]
    body += [a.tobytes() for a in arrays if a is not None]
    message = b"".join(body)
    stream.write(LENGTH.pack(len(message)) + message)
    stream.flush()


def _message(stream: IO[bytes]) -> bytes | None:
    length = stream.read(LENGTH.size)
    if len(length) < LENGTH.size or LENGTH.unpack(length)[0] > MESSAGE:
        return None
    message = stream.read(LENGTH.unpack(length)[0])
    return message if len(message) == LENGTH.unpack(length)[0] else None


def _parsed(message: bytes) -> tuple[dict[str, Any], list[Floats | None]]:
    line, _, rest = message.partition(b"\n")
    head = json.loads(line)
    arrays: list[Floats | None] = []
    for kind in head["arrays"]:
        if kind is None:
            arrays.append(None)
            continue
        dtype, shape = np.dtype(str(kind[0])), tuple(map(int, kind[1]))
        if dtype.kind not in "fiub" or min(shape, default=0) < 0:
            raise ValueError("no numbers")
        size = dtype.itemsize * int(np.prod(shape))
        arrays.append(np.frombuffer(rest[:size], dtype).reshape(shape).copy())
        rest = rest[size:]
    return head, arrays


def main() -> None:
    """In the child: load the file, report its functions, answer calls until the pipe closes."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    _limit()
    try:
        bench = Local(*load(Path(sys.argv[1])))
    except BaseException as error:
        _write(answers, {"error": reason(error)}, [])
        return
    signatures = {name: [s.names, s.required, s.more] for name, s in bench.signatures.items()}
    _write(answers, {"signatures": signatures, "shapes": bench.shapes}, [])
    while (message := _message(requests)) is not None:
        head, arrays = _parsed(message)
        remaining = iter(arrays)
        arguments: list[Argument] = []
        for passed in head["passed"]:
            array = None if passed else next(remaining)
            arguments.append(Passed(*passed) if array is None else array)
        name, forward, count, cached = head["call"]
        answer = bench.call(Call(name, arguments, forward, count, cached=cached))
        reply = {
            "count": len(answer.arrays),
            "names": answer.names,
            "single": answer.single,
            "error": answer.error,
            "missing": answer.missing,
        }
        _write(answers, reply, [*answer.arrays, *answer.after])


def _limit() -> None:
    """Limit the memory, where the system supports it."""
    with suppress(ImportError, ValueError, OSError):
        resource = importlib.import_module("resource")
        # not RLIMIT_AS, which libraries reach that only map much, as torch does
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def load(path: Path) -> tuple[Functions, Mapping[str, Mapping[str, Any]]]:
    """The functions that a file defines, those of the parts that it declares, and the shapes that
    its variable ``shapes`` gives.
    """
    sys.path.insert(0, str(path.parent))
    module = sys.modules[CHECKED] = ModuleType(CHECKED)
    module.__file__ = str(path)
    exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
    theirs = {n: v for n, v in vars(module).items() if callable(v) and _theirs(v, path)}
    functions: Functions = {n: value for n, value in theirs.items() if not inspect.isclass(value)}
    for value in theirs.values():
        functions |= functions_of_class(value) if inspect.isclass(value) else {}
    declared = vars(module).get("shapes")
    shapes = dict.fromkeys(functions, declared) if isinstance(declared, Mapping) else {}
    of_parts, of_theirs = functions_of_parts(CHECKED)
    return functions | of_parts, shapes | of_theirs


def _theirs(function: Any, path: Path) -> bool:
    """Whether a function, or an object's class, is defined in the file or another in its folder."""
    defined = function.func if isinstance(function, partial) else function
    file = getattr(sys.modules.get(getattr(defined, "__module__", "")), "__file__", None)
    return file is not None and Path(file).resolve().parent == path.parent


if __name__ == "__main__":
    main()
