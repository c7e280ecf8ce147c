"""Commands that are printed to be pasted, and values that are typed as they are."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from ffn_train.config.composition import compose
from ffn_train.config.keys import read_settings
from ffn_train.config.mistakes import FUNCTIONS
from ffn_train.config.overrides import as_written, command, written
from ffn_train.config.settings import SettingError
from ffn_train.sweep.axes import parse, value_of

HOSTILE = (
    *("plain/name", "a b", " a", "b ", "it's", 'say "x"', "'", '"', "'a'", "a,b", "a (1)", "a=b"),
    *("ü (1)/r=1", "日本", "é", "$x", "${x}", "a${b}c", "\\${x}", "a\\\\${b}", "$$", "$(x)", "`x`"),
    *("a\\b", "b\\", "\\\\", "\\'", "1e5", "true", "null", "2024", "[a]", "{a: 1}", "[a", "a:b"),
    *("a;b", "a&b", "a|b", "a<b>", "a*?", "~/x", "~x", "!x", "#x", "a#1", "%", "^", "-x", "--yes"),
    *("x,'y", "range(3)", "glob(*)", "a\tb", "\xa0", "\u202e", "\x1b[31m", "\udcff", "parts=[a]"),
)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_setting_is_written_as_it_is_read(name: str) -> None:
    override = OverridesParser.create().parse_override(as_written(written("run.dir", name)))
    assert OmegaConf.create({"dir": override.value()}).dir == name
    assert written("run.dir", "plain/name") == "run.dir=plain/name"


def test_a_directory_with_all_of_it_is_composed() -> None:
    name = "".join(HOSTILE[:-1]).replace("\udcff", "")
    assert compose([written("run.dir", name)])["run"]["dir"] == name


def test_a_command_is_pasted_into_a_shell() -> None:
    commands = [command(name, path=Path(name)) for name in (*HOSTILE, "a\nb")]
    assert all(text.isprintable() for text in commands)
    shell = "\n".join(text.replace("python -m", r"printf '%s\0'", 1) for text in commands)
    done = subprocess.run(["bash"], input=shell.encode(), capture_output=True, check=True)
    words = [word.decode(errors="surrogateescape") for word in done.stdout.split(b"\0")][:-1]
    assert words[0::3] == ["ffn_train"] * len(commands)
    assert words[1::3] == [*HOSTILE, "a\nb"]
    assert [Path(word) for word in words[2::3]] == [Path(name) for name in (*HOSTILE, "a\nb")]
    assert not any(word.startswith(("-", "parts=")) for word in words[2::3])
    assert shlex.split(command("run.dir=a b"))[-1] == "run.dir=a b"


LITERAL = {
    "run.dir=/home/jürgen/x": "/home/jürgen/x",
    "run.dir=a(1)": "a(1)",
    "run.dir=it's ü": "it's ü",
    "run.dir=[a]": "[a]",
    "run.dir={a}": "{a}",
    "run.dir='ü'": "ü",
    "run.dir=$x": "$x",
    "++task.path=a=b.csv": "a=b.csv",
    "task.target=age (years)": "age (years)",
    "task.target=[age (years), 'a,b',plain]": ["age (years)", "a,b", "plain"],
    "task.drop=['x=1']": ["x=1"],
}


@pytest.mark.parametrize("key", ["seed", "optimizer.lr", "task.drop", "task.target", "run.dir"])
def test_a_value_is_that_of_hydra(key: str) -> None:
    for text in (
        "0",
        "7",
        "-3",
        "+3",
        "-0",
        "007",
        "1_000",
        "9" * 18,
        "9" * 30,
        "1e3",
        "x",
        "null",
    ):
        known, value = parse([f"{key}={text}"])[0].value, value_of(key, text)
        assert (type(value), value) == (type(known), known), text


def test_text_that_hydra_cannot_read_is_taken_as_it_is() -> None:
    parser = OverridesParser.create()
    for text, value in LITERAL.items():
        assert parser.parse_override(as_written(text)).value() == value, text
    config = compose(["task=csv", "task.target=age (years)", "run.dir=ü/${seed}"])
    assert config["task"]["target"] == "age (years)"
    assert config["run"]["dir"] == "ü/0"


@pytest.mark.parametrize(
    ("text", "lists"),
    [
        ("[a],[b,c (x)]", [["a"], ["b", "c (x)"]]),
        ("[c (x), b] , [a]", [["c (x)", "b"], ["a"]]),
        ("[a,c (x)],b", [["a", "c (x)"], "b"]),
    ],
)
def test_lists_that_hydra_cannot_read_stay_apart_in_a_sweep(text: str, lists: list[Any]) -> None:
    (swept,) = parse([f"task.inputs={text}"])
    assert [value_of("task.inputs", value) for value in swept.values] == lists
    (one,) = parse(["task.inputs=[c (x)[1],b]"])  # a name with brackets of its own
    assert one.value == ["c (x)[1]", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "task.target=age (years),ü",
            "several values: as a list: 'task.target=[age (years),ü]'; as one text: ",
        ),
        ("task.target=a (b, c)", "; as one text: 'task.target=\"a (b, c)\"'"),
        ("seed=1,2", "seed=1,2 gives several values: a sweep, with -m"),
        ("model.depth=a=b", "cannot read 'model.depth=a=b'"),
        ("task.validation=a (b)", "cannot read 'task.validation=a (b)'"),
        ("run.dir='a\nb'", r"run.dir must be a path, got 'a\nb'"),
    ],
)
def test_what_is_no_single_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingError) as refused:
        read_settings(compose(["task=csv", text]))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("model.depth=2,", "a value is missing beside a comma"),
        ("model.depth=,2", "a value is missing beside a comma"),
        ("model.depth=2,,4", "a value is missing beside a comma"),
        ("model.depth=choice(2,)", "a value is missing beside a comma"),
        ("model.depth=choice(2,4", "( is not closed"),
        ("model.depth=[2,{a: [4]]", "] closes no bracket"),
        ("model.depth=choice(2,4))", ") closes no bracket"),
        ("model.depth=${seed", "{ is not closed"),
        ("model.depth='2", "a quote is not closed"),
        ("model.depth=['(', '\\'(']]", "] closes no bracket"),
        ("model.depth=2;4", "several values are separated by commas"),
        ("optimizer.lr=range(a,b)", "write range(START,STOP) or range(START,STOP,STEP), of"),
        ("optimizer.lr=range(1,2,3,4)", "write range(START,STOP) or range(START,STOP,STEP), of"),
        ("optimizer.lr=tag(log,interval(1))", "write interval(LOW,HIGH), of two numbers"),
        ("model.depth=choice()", "write choice(A,B,...)"),
        ("model.depth=sort(1,a)", "write sort(A,B,...), of numbers or of words"),
        ("model.depth=int(a)", "write int(NUMBER)"),
        ("model.depth=rnage(1,4)", "there is no rnage(), only choice(), range(), "),
        ("model.depth=shuffle(1,4)", "there is no shuffle(), only choice(), range(), "),
        ("model.depth=shuffle(range(1,4))", "there is no shuffle(), only choice(), range(), "),
        ("model.depth=(2,4)", "a value is a number, a word, a list [A,B] or a mapping {A: B}"),
        ("model.depth==2", "a value is a number, a word, a list [A,B] or a mapping {A: B}"),
        ("model depth=2", "a key is a name, or several joined by points"),
        ("model..depth=2", "a key is a name, or several joined by points"),
    ],
)
def test_what_hydra_cannot_read_is_said_in_words(text: str, reason: str) -> None:
    with pytest.raises(SettingError) as refused:
        parse([text])
    assert str(refused.value).startswith(f"cannot read {text!r}: {reason}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *((f"run.dir=a/{x}", "${ begins a reference") for x in ("${x", "${", "${}", "${x y}")),
        ("run.dir=a/${no:x}", "${ begins a reference to another setting, as in ${seed}"),
        ("run.dir=${run.dir}", "${ begins a reference to another setting, as in ${seed}"),
        ("run.dir=a/${sede}", "sede is not a setting; did you mean seed?"),
        ("run.dir=a/${oc.env:NOWHERE}", "Environment variable 'NOWHERE' not found"),
    ],
)
def test_a_reference_that_leads_nowhere_is_said_in_words(text: str, reason: str) -> None:
    with pytest.raises(SettingError) as refused:
        compose([text])
    message = str(refused.value)
    assert message.startswith(f"run.dir: {reason}")
    assert message.endswith(r"; \${ is the text ${")
    assert compose([r"run.dir=a/\${x"])["run"]["dir"] == "a/${x"


def test_each_function_of_a_value_can_be_written_as_is_said() -> None:
    from hydra.core.override_parser.overrides_parser import create_functions

    # a shuffled order is another one each time
    assert set(FUNCTIONS) == set(create_functions().functions) - {"shuffle"}
