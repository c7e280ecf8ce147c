"""The registry is complete in a fresh process, where nothing has been imported by hand."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ffn_train.config import registry
from ffn_train.config.overrides import grammar
from ffn_train.config.settings import SettingError
from ffn_train.nn.activations.activation import Activation
from tests.support.choices import files


def fresh(code: str) -> str:
    """What the code prints in a process of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_choice_can_be_built_before_anything_else_is_imported() -> None:
    code = "from ffn_train.config.registry import build; print(build('activation', {'name': '%s'}))"
    assert fresh(code % "relu") == "ReLU()"
    assert fresh(code % "gelu") == "GELU()"


def test_every_group_is_complete_in_a_fresh_process() -> None:
    code = (
        "from ffn_train.config import registry;"
        "print({group: sorted(registry.choices(group)) for group in registry.FOLDERS})"
    )
    assert fresh(code) == str({group: files(group) for group in registry.FOLDERS})


def test_only_the_folder_of_the_group_is_imported() -> None:
    code = (
        "import sys; from ffn_train.config.registry import choices; choices('activation');"
        "print([name for name in sys.modules if name.startswith('ffn_train.nn.blocks')])"
    )
    assert fresh(code) == "[]"


def test_names_do_not_depend_on_the_order_of_imports() -> None:
    assert tuple(registry.choices("activation")) == tuple(files("activation"))
    with pytest.raises(SettingError, match=r"^activation\.name must be one of erf, gelu, "):
        registry.build("activation", {"name": 3})


def test_a_name_is_declared_once() -> None:
    registry.choices("activation")
    with pytest.raises(ValueError, match="activation=relu is declared twice"):
        registry.choice("activation", "relu")(object)


@pytest.mark.parametrize("word", registry.NO_WORDS)
def test_a_name_that_no_command_line_can_select_is_refused(word: str) -> None:
    for name in (word, word.upper(), word.capitalize()):
        assert grammar(f"seed={name}").value() != name  # which Hydra reads so
        declare = registry.choice("activation", name)
        with pytest.raises(ValueError, match=f"on the command line {name} is no word"):
            declare(type("Mine", (Activation,), {"value": print, "derivative": print}))
        assert name not in registry.choices("activation")
