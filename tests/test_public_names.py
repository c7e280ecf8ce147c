"""What ``import ffn_train`` offers is there and works, whatever else has been imported."""

from __future__ import annotations

import importlib.util
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import ffn_train
from ffn_train.runs import Run

# what needs an extra, and which
OPTIONAL = {
    "ffn_train.nn.compiled": ("numba", "scipy"),
    "ffn_train.interop.torch": ("torch",),
    "ffn_train.interop.sklearn": ("sklearn",),
}
OLD_RUN = Path(__file__).parent / "old_runs" / "runs" / "default"


def submodules() -> list[str]:
    """All modules of the package but the entrances, and those whose extra is missing."""
    missing = tuple(
        name
        for name, needed in OPTIONAL.items()
        if any(importlib.util.find_spec(library) is None for library in needed)
    )
    modules = pkgutil.walk_packages(ffn_train.__path__, "ffn_train.")
    names = [module.name for module in modules if not module.name.endswith("__main__")]
    return [name for name in names if not missing or not name.startswith(missing)]


def test_an_interpreter_completes_what_is_imported_when_asked_for() -> None:
    assert {*ffn_train.__all__} <= {*dir(ffn_train)}


def test_no_export_shares_its_name_with_a_submodule() -> None:
    beside = {module.name for module in pkgutil.iter_modules(ffn_train.__path__)}
    assert not beside & {*ffn_train.__all__}


def record(path: Path) -> Run | None:
    with ffn_train.record(path, tensors={"a.weight": (3, 3)}, blocks=["a"]) as run:
        run.log(0, {"loss": 1.0})
        return run.close()


def fit(path: Path) -> Run:
    table = {"a": np.arange(12.0), "b": np.arange(12.0) % 5}
    return ffn_train.fit(
        table, "a", ["model.depth=1", "model.width=4", "trainer.steps=2", f"run.dir={path}"]
    )


def watch(path: Path) -> object:
    """The watch or, without PyTorch, what it says."""
    try:
        from torch import nn
    except ImportError as error:
        return error
    blocks = nn.Sequential(*(nn.Sequential(nn.Linear(2, 2)) for _ in range(2)))
    with ffn_train.watch(blocks, path=path) as run:
        return run


def test_every_export_works_after_every_submodule_is_imported(tmp_path: Path) -> None:
    for name in submodules():
        importlib.import_module(name)
    x, W1, b1, W2, b2 = np.ones(3), np.eye(4, 3), np.zeros(4), np.eye(2, 4), np.zeros(2)
    slope = np.ones_like
    calls: dict[str, Callable[[], Any]] = {
        "Run": lambda: ffn_train.Run(**vars(ffn_train.load_run(OLD_RUN))),
        "backprop_two_layer": lambda: ffn_train.backprop_two_layer(
            x, W1, b1, W2, b2, abs, slope, np.ones(2)
        ),
        "backward_pass": lambda: ffn_train.backward_pass(np.ones(4), x, W1, b1, abs, slope),
        "build_experiment": lambda: ffn_train.build_experiment(ffn_train.compose()),
        "check_gradients": lambda: ffn_train.check_gradients(np.tanh, lambda dy, x: dy),
        "compose": lambda: ffn_train.compose(),
        "fit": lambda: fit(tmp_path / "fitted"),
        "forward_pass": lambda: ffn_train.forward_pass(x, W1, b1, abs),
        "load_run": lambda: ffn_train.load_run(OLD_RUN),
        "record": lambda: record(tmp_path / "run"),
        "residual_backward": lambda: ffn_train.residual_backward(x),
        "watch": lambda: watch(tmp_path / "watched"),
    }
    assert sorted(calls) == sorted(ffn_train.__all__)
    assert all(call() is not None for call in calls.values())
