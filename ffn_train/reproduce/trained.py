"""A preset's sweep, trained: the run directories that ``-m experiment=NAME`` makes, read back."""

from __future__ import annotations

import tempfile

from ffn_train.config.settings import SettingError
from ffn_train.runs import Run, load_run
from ffn_train.runs.status import ENDED
from ffn_train.sweep.run import check, run_sweep


def trained(name: str, *overrides: str) -> list[Run]:
    """The runs of the preset's sweep, in its order, on all cores where the launcher is installed.

    Overrides outrank the preset, as on the command line. The runs are in memory; their directories
    are gone, so ``Run.weights`` is not to be had. Raises SettingError for a run that neither
    finished nor diverged.
    """
    with tempfile.TemporaryDirectory() as folder:
        where = f"sweep.dir='{folder}/sweep'"
        plan = check([f"experiment={name}", *overrides, where])
        swept = run_sweep(plan, lambda line: None)
        if swept.interrupted is not None:
            raise KeyboardInterrupt
        for entry in swept.entries:
            now = entry.status(swept.path)
            if now.state not in ENDED:
                raise SettingError(f"{name}, {entry.directory}: {now.reason}")
        return [load_run(swept.path / entry.directory) for entry in swept.entries]
