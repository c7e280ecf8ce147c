"""The import law: who may import whom, module by module; and what importing the package costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ffn_train

PACKAGE = Path(ffn_train.__file__).parent
BASE = {"core", "settings", "registry"}
MODEL = {*BASE, "special", "activations", "layers", "blocks", "segments", "initialisers", "model"}
# unit -> the units of the package that it may import
LAW = {
    "__init__": {"functional", "runs"},
    "__main__": {"commands"},
    "functional": set(),
    "settings": set(),
    "places": set(),
    "memory": set(),
    "cadence": set(),
    "interruption": set(),
    "registry": {"settings"},
    "core": set(),
    "special": {"core"},
    "activations": {*BASE, "special"},
    "layers": {*BASE},
    "blocks": {*BASE, "layers", "activations"},
    "segments": {"core", "settings", "blocks", "layers"},
    "compiled": {"core", "settings", "special", "activations", "layers", "blocks", "segments"}
    | {"optim", "reductions"},
    "reductions": {"core", "layers"},
    "engine": {"compiled", "core", "optim", "reductions", "segments", "settings"},
    "initialisers": {*BASE},
    "combinations": {"settings"},
    "keys": {"settings"},
    "model": {*MODEL, "engine"} - {"model", "special", "registry"},
    "losses": {*BASE},
    "optim": {*BASE},
    "tasks": {*MODEL, "places"},
    "batches": {"core", "settings"},
    "measures": {"core", "model", "segments", "shards"},
    "diagnosis": {"blocks", "model"},
    "divergence": {"core", "losses", "model", "activations", "diagnosis", "engine"},
    "gradcheck": {"core", "model", "commands"},
    "threads": {"settings"},
    "shards": set(),
    "gradient": {"core", "losses", "measures", "model", "shards"},
    "trainer": {
        *("core", "settings", "model", "losses", "optim", "tasks", "measures"),
        *("batches", "cadence", "diagnosis", "divergence", "gradient", "memory", "shards"),
    },
    "runs": {"core", "measures", "settings", "theory"},
    "plots": {"runs", "settings", "theory", "commands"},
    "report": {"divergence", "runs"},
    "mistakes": {"places", "settings"},
    "configuration": {"mistakes", "places", "settings"},
    "experiment": {*MODEL, "combinations", "losses", "optim", "tasks", "batches", "threads"}
    | {"cadence", "engine", "keys", "segments", "trainer", "plots"},
    # the description of a stack and its batch, no simulation
    "theory": {"core", "settings", "registry", "activations", "layers", "blocks", "initialisers"}
    | {"losses", "model", "commands"},
    "expectation": {"batches", "core", "experiment", "initialisers", "losses", "model"}
    | {"registry", "runs", "segments", "theory"},
    "resumption": {"runs", "settings"},
    "sweep": {
        *("configuration", "execution", "experiment", "interruption", "mistakes", "places"),
        *("resumption", "runs", "settings", "threads"),
    },
    "compare": {"plots", "resumption", "runs", "settings", "sweep"},
    "recording": {"experiment", "interruption", "runs", "trainer"},
    "reproduce": {
        *("core", "experiment", "places", "plots", "reductions", "runs", "settings", "sweep"),
        *("threads",),
    },
    "learning": {"runs"},
    "verdict": {"blocks", "diagnosis", "learning", "registry", "runs"},
    "execution": {
        *("expectation", "experiment", "interruption", "plots", "recording", "resumption"),
        *("runs", "settings", "tasks", "threads", "trainer", "verdict"),
    },
}


def imports(path: Path) -> set[str]:
    """The units of the package that a module imports, at its top or inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            assert not isinstance(node, ast.ImportFrom), f"{path}: relative import"
            continue
        for name in names:
            words = name.split(".")
            if words[0] == "ffn_train" and len(words) > 1:
                found.add(words[1])
    return found


def unit(path: Path) -> str:
    words = path.relative_to(PACKAGE).with_suffix("").parts
    return words[0]


MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if unit(path) not in ("conf", "experiments")
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_keep_the_law(path: Path) -> None:
    here = unit(path)
    if here == "commands":  # everything may be imported there
        return
    reached = imports(path) - {here}
    if path.name == "__main__.py":
        assert reached == {"commands"}
        return
    assert "commands" not in reached
    assert reached <= LAW[here], f"{here} may not import {sorted(reached - LAW[here])}"


def test_the_law_has_no_cycle() -> None:
    done: list[str] = []
    law = {name: {*allowed} - {name, "commands"} for name, allowed in LAW.items()}
    while law:
        free = [name for name, allowed in law.items() if not allowed - set(done)]
        assert free, f"a cycle among {sorted(law)}"
        for name in free:
            done.append(name)
            del law[name]


def test_every_unit_stands_under_the_law() -> None:
    assert {unit(path) for path in MODULES} == {*LAW, "commands"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 250


def test_only_configuration_knows_hydra() -> None:
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        knows = path.name in ("configuration.py", "mistakes.py", "launcher.py")
        assert knows or ("import hydra" not in text and "from hydra" not in text)
        assert knows or "omegaconf import" not in text


def modules_after(code: str) -> set[str]:
    code += "; import sys; print(' '.join(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in out.stdout.split()}


def test_importing_the_package_imports_no_heavy_library() -> None:
    heavy = {"matplotlib", "hydra", "omegaconf", "torch", "jax", "scipy", "numba", "safetensors"}
    assert not heavy & modules_after("import ffn_train")
    heavy -= {"safetensors"}
    assert not heavy & modules_after("import ffn_train; ffn_train.load_run")
    code = (
        "import ffn_train.experiment, ffn_train.execution, ffn_train.gradcheck, ffn_train.compare"
    )
    assert not heavy & modules_after(code)


def test_no_deep_learning_framework_is_imported() -> None:
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        for name in ("torch", "jax", "tensorflow", "scipy"):
            assert f"import {name}" not in text, f"{path} imports {name}"
            assert f"from {name}" not in text, f"{path} imports {name}"
