"""The state of a run, from status.json and the rest of its directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ffn_train.runs import files
from ffn_train.runs.files import RunError, read_json
from ffn_train.runs.lock import in_use
from ffn_train.runs.old_names import renamed

EARLY = "ended by early stopping"
ENDED = ("finished", "stopped", "diverged")


@dataclass(frozen=True)
class Status:
    """``state``: pending, running, finished, stopped (by a rule), diverged, interrupted or failed;
    ``reason``: why.
    """

    state: str
    reason: str = ""

    @property
    def words(self) -> str:
        """The state, or what stopped a run that had learned what it could."""
        early = self.state == "stopped" and self.reason.startswith("early stopping")
        return EARLY if early else self.state

    def write(self, run: Path) -> None:
        """Write status.json into a run's directory."""
        content = {"state": self.state, "reason": self.reason or None}
        files.write_json(run / files.STATUS, content, durable=False)


def written_status(run: Path) -> Status | None:
    """The status that a run wrote last; None without one. Raises RunError."""
    if not files.there(run / files.STATUS):
        return None
    content = read_json(run / files.STATUS)
    return Status(str(content.get("state")), str(content.get("reason") or ""))


def status(run: Path, steps: int | None = None) -> Status:
    """A run's present status; the file of a killed run still says ``running``.

    ``steps``: how many it is to take; a run that has finished with fewer is pending.
    """
    try:
        written = written_status(run)
        if files.there(run / files.SUMMARY):
            content = renamed(read_json(run / files.SUMMARY))
            state = content.get("state", "finished")
            taken = content.get("steps")
            if not isinstance(taken, int | None):
                raise RunError(f"{run / files.SUMMARY}: its steps are no number")
            if state == "finished" and steps is not None and taken is not None and taken < steps:
                if written is not None and written.state == "failed":
                    return written
                return Status("pending", f"finished with {taken} steps, to go on to {steps}")
            return Status(str(state), written.reason if written else "")
    except RunError as error:
        return Status("failed", str(error))
    if written is None:
        return Status("running" if in_use(run) else "pending", "not started")
    if written.state == "running":
        return Status("running", "under way") if in_use(run) else Status("interrupted", "killed")
    return written
