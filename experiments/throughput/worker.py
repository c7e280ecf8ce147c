"""A contestant in a process of its own, which does one thing a line: python worker.py NAME THREADS.

Requests and answers are lines of JSON on standard input and output. A process of its own gives
each contestant its threads, its libraries and its peak memory; staying alive lets the contestants
take turns.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from cells import Cell
from contestants import CONTESTANTS


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not stand between the answers
    name, threads = sys.argv[1], int(sys.argv[2])
    known = CONTESTANTS[name]
    if known.pinned:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    contestant = getattr(importlib.import_module(known.module), known.kind)(threads)
    for line in sys.stdin:
        try:
            answer = respond(contestant, json.loads(line))
        except Exception as error:
            first = (str(error).strip().splitlines() or [""])[0]
            answer = {"error": f"{type(error).__name__}: {first}"}
        print(json.dumps(answer), file=answers, flush=True)


def respond(contestant: Any, request: dict[str, Any]) -> dict[str, Any]:
    match request["do"]:
        case "load":
            path = request["data"]
            data = None if path is None else dict(np.load(path))
            contestant.load(Cell(**request["cell"]), data, **request["options"])
            return {"threads": contestant.threads}
        case "compile":
            return {"seconds": contestant.compile()}
        case "gradients":
            gradients = contestant.gradients(request["batch"])
            if gradients is not None:
                np.savez(request["to"], **gradients)
            return {"given": gradients is not None}
        case "steps":
            started = time.perf_counter()
            losses = contestant.steps(request["count"])
            return {"seconds": time.perf_counter() - started, "losses": losses[:10]}
        case "clock":
            seconds, measured = contestant.clock(request["count"])
            return {"seconds": seconds, "measured": measured}
        case "with and without":
            cell = Cell(**request["cell"])
            return {"ms": contestant.with_and_without(cell, request["rounds"], request["turn"])}
        case "memory":
            return resident()
    raise ValueError(request["do"])


def resident() -> dict[str, int]:
    """Resident memory in bytes, now and at its peak, as the kernel tells it."""
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    fields = dict(line.split(":", 1) for line in status if line.startswith("Vm"))
    return {
        "now": int(fields["VmRSS"].split()[0]) * 1024,
        "peak": int(fields["VmHWM"].split()[0]) * 1024,
    }


if __name__ == "__main__":
    main()
