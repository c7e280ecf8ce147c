"""The import law: which wing may import which; and what importing the package costs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Container
from pathlib import Path

import pytest

import ffn_train

PACKAGE = Path(ffn_train.__file__).parent
# wing -> the wings that it may import; what those may import is allowed too
LAW: dict[str, set[str]] = {
    "functional": set(),  # the textbook functions
    "config": set(),
    "nn": {"config"},
    "tasks": {"nn"},
    "gradcheck": {"nn"},
    "teach": {"nn"},  # checks of a user's own functions
    "theory": {"nn"},
    "train": {"tasks"},
    "runs": {"train", "theory"},
    "report": {"runs"},
    "plots": {"report"},
    "view": {"report"},
    "running": {"plots"},
    "sweep": {"running"},
    "compare": {"sweep", "view"},
    "reproduce": {"sweep"},
    "using": {"running", "view"},  # a run put to use
    "interop": {"using"},
    "parts": {"plots"},  # what a part of one's own imports
    "__init__": {"functional", "interop", "teach", "using"},
    "__main__": {"commands"},
    "commands": {"compare", "reproduce", "gradcheck", "teach", "interop"},
}
# modules that may import Hydra
HYDRA = ("composition.py", "overrides.py", "directory.py", "mistakes.py", "launcher.py")
ENTRANCES = {"__main__"}  # modules that may import commands


def allowed(wing: str) -> set[str]:
    """The wings that one may import, directly or because those that it imports may."""
    return LAW[wing].union(*(allowed(other) for other in LAW[wing]))


def imports(path: Path) -> set[str]:
    """The units of the package that a module imports, at its top or inside its functions."""
    collected = set()
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
            if words[0] == "ffn_train" and words[1:] not in ([], ["__version__"]):
                collected.add(words[1])
    return collected


def module_name(path: Path) -> str:
    words = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(words[:-1] if words[-1] == "__init__" else words)


def imported_modules(path: Path, known: Container[str]) -> set[str]:
    """The modules of the package that one imports when it is itself imported."""
    collected: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            collected |= {name for name in inner if name in known} or {node.module}
        elif isinstance(node, ast.Import):
            collected |= {alias.name for alias in node.names}
    return {name for name in collected if name in known}


def unit(path: Path) -> str:
    words = path.relative_to(PACKAGE).with_suffix("").parts
    return words[0]


MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if unit(path) not in ("conf", "experiments")
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_keep_the_law(path: Path) -> None:
    wing = unit(path)
    reached = imports(path) - {wing}
    if path.stem in ENTRANCES:
        assert reached == {"commands"}
    else:
        assert reached <= allowed(wing), f"{wing} may not import {sorted(reached - allowed(wing))}"


def test_every_wing_stands_in_the_law() -> None:
    assert {unit(path) for path in MODULES} == {*LAW}


def test_no_modules_import_each_other_in_a_circle() -> None:
    names = {module_name(path): path for path in MODULES}
    arrows = {name: imported_modules(path, names) - {name} for name, path in names.items()}
    done: set[str] = set()
    while arrows:
        free = {name for name, reached in arrows.items() if reached <= done}
        assert free, f"a circle among {sorted(arrows)}"
        done |= free
        arrows = {name: reached for name, reached in arrows.items() if name not in free}


def test_only_configuration_knows_hydra() -> None:
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        knows = path.name in HYDRA
        assert knows or ("import hydra" not in text and "from hydra" not in text)
        assert knows or "omegaconf import" not in text


def modules_after(code: str) -> set[str]:
    code += "; import sys; print(' '.join(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in out.stdout.split()}


def test_importing_the_package_imports_no_heavy_library() -> None:
    heavy = {"matplotlib", "hydra", "omegaconf", "torch", "jax", "scipy", "numba", "safetensors"}
    heavy |= {"pandas"}
    assert not heavy & modules_after("import ffn_train")
    heavy -= {"safetensors"}
    assert not heavy & modules_after("import ffn_train; ffn_train.record, ffn_train.watch")
    assert not heavy & modules_after("import ffn_train; ffn_train.load_run")
    code = "import ffn_train.running.execution, ffn_train.gradcheck, ffn_train.compare"
    assert not heavy & modules_after(code)


@pytest.mark.parametrize(
    "code",
    [
        "import ffn_train.parts, ffn_train.plots",
        "from ffn_train.config.composition import compose; compose([])",
        "from ffn_train.running.experiment import build_experiment;"
        "from ffn_train.config.composition import compose; build_experiment(compose([]))",
    ],
)
def test_matplotlib_is_imported_for_figures_alone(code: str) -> None:
    assert "matplotlib" not in modules_after(code)


def test_help_imports_the_choices_but_neither_hydra_nor_theory() -> None:
    asked = "import sys; sys.argv = ['ffn_train', '--help']; from ffn_train.commands import train"
    imported = modules_after(f"{asked}; train.main(); print('ffn_train.theory' in sys.modules)")
    assert "False" in imported
    assert not {"hydra", "omegaconf", "matplotlib", "pandas"} & imported


def test_no_module_needs_a_system_of_unix_alone() -> None:
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^ *(import|from) (fcntl|pwd|grp|resource|termios)\b", text, re.M), (
            path
        )


def test_no_deep_learning_framework_is_imported_but_by_its_door() -> None:
    for path in MODULES:
        if path.parent == PACKAGE / "interop" / "torch" or path.name == "watching.py":
            continue
        text = path.read_text(encoding="utf-8")
        if unit(path) == "interop":  # the doors, behind extras
            continue
        for name in ("torch", "jax", "tensorflow", "scipy"):
            assert f"import {name}" not in text, f"{path} imports {name}"
            assert f"from {name}" not in text, f"{path} imports {name}"
