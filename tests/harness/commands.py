"""Command lines drawn from a grammar: ``python -m tests.harness.commands --minutes 10 --seed 1``.

Each ends with a status of its own (0, 1 or 2; 130, 143 after a signal, 141 for a closed pipe), with
no traceback, within 20 s of processor time and 2 GiB, and writes only where it was told to. The
cases are forked from a warm process; one in a hundred is a process of its own, and of these some
are sent a signal, or find nobody who reads what they print.
"""

from __future__ import annotations

import os
import random
import re
import runpy
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout, suppress
from functools import partial
from io import StringIO
from itertools import pairwise
from pathlib import Path

from ffn_train.commands.launch import COMMANDS
from ffn_train.config.composition import compose
from ffn_train.config.keys import DECLARED, GROUPS
from ffn_train.config.places import CONF
from ffn_train.config.registry import choices
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from tests.harness.campaign import (
    PATIENCE,
    Case,
    Outcome,
    campaign,
    limit,
    limited,
    shown,
    wrong,
)
from tests.harness.operations import read_directory, write_directory

ALONE = 100  # one case of so many is a process of its own
TINY = "model.depth=2 model.width=4 model.expansion=2 trainer.steps=3 trainer.batch_size=4 "
TINY += "task.rows=40 plot.when=never threads=1"
CHOSEN = [f"{group}={name}" for group in GROUPS for name in choices(group)]
KEYS = sorted({*DECLARED, *GROUPS, "model", "trainer", "run", "sweep", "hydra", "parts"})
ODD_KEYS = ["nothing", "model.dpeth", "lr", "a.b.c", "hydra.run.dir", "hydra.searchpath", "_x", "é"]
ODD = ["''", "???", "a b", "../x", "$(touch x)", "__import__('os')", "'~nobodyx/zz'", "9" * 60]
ODD += ["9" * 5000, "[" * 900, "\x1b[31m", "'" * 3, '"', "\\", "=", "é", "\u202e", "x" * 300]
NUMBERS = ["0", "-1", "1e9", "1" + "0" * 30, "1e400", "nan", "inf", "-inf", "0.5", "1e-50", "1e39"]
NUMBERS += ["1_0", "0x10", ".5", "1.", "+3"]

# a rule's alternatives: words of a command line; <<rule>> stands for several words
PHRASES: dict[str, list[str]] = {
    "line": [
        *(f"{TINY} <<overrides>>", f"{TINY} <<overrides>> <<directory>>"),
        *(f"-m {TINY} <<sweep>>", "<<odd_line>>", "<<flags>> <<overrides>>"),
        *(f"theory {TINY} <<overrides>> --out out/t.svg", f"gradcheck {TINY} <<overrides>>"),
        *("plots <run> <<figures>> <<looks>>", "compare <run> other <<compared>> <<looks>>"),
        *("predict <run> <table> <<predicted>>", "diff <run> <run>", "view <run> <<paged>>"),
        *("check <table>", "clean <run>", "clean <run> --yes", "reproduce <odd>x"),
    ],
    "overrides": ["<<override>>", "<<override>> <<override>>", "<<override>> <<overrides>>"],
    "override": [
        *("<prefix><key>=<value>", "<prefix><key>=<value>", "<key>=<number>", "<chosen>"),
        *(
            "~<key>",
            "<key>",
            "<odd_key>=<value>",
            "experiment=<experiment>",
            "task=table <<table>>",
        ),
    ],
    "table": [
        "task.path=<table> task.target=<column>",
        "task.path=<table> task.target=<column> task.drop=[<column>]",
        "task.path=<table> task.target=[<column>,<column>] task.validation=<number>",
    ],
    "directory": ["run.dir=mine", "run.dir=run", "run.dir=new.csv/x", "run.dir=mine/deep"],
    "sweep": [
        "<key>=<several> dry_run=true",
        "<key>=<several> <<override>> dry_run=true",
        "seed=<several> hydra/launcher=serial sweep.dir=mine",
        "<chosen>,<value> hydra.launcher.<key>=<value> dry_run=true",
        "<<overrides>> sweep.grid={<key>:[<value>,<value>]} dry_run=true",
    ],
    "flags": [
        *("--help", "--version", "--cfg job", "--cfg hydra", "--cfg all --resolve", "--resolve"),
        *("--cfg <odd>", "--config-dir nowhere", "--nothing", "-sc install=bash"),
    ],
    "odd_line": ["<odd>", "<odd> <odd>", "<word>", "<word> <odd>", "<word> --help", "<word> --x"],
    "figures": ["", "--figures loss", "--figures gradient_flow,loss", "--figures <odd>"],
    "looks": [
        *("--formats svg", "--formats svg --xlim <number>,<number>", "--formats <odd>"),
        *("--formats svg --width single --no-title", "--formats svg --only-panel <number>"),
    ],
    "compared": [
        *("--out out", "--out out --by <key>", "--out out --where <key>>=<number>"),
        *(
            "--out out --x <key> --metric <odd>",
            "--out out --where <odd>",
            "--out out --figures <odd>",
        ),
    ],
    "predicted": ["", "--out out/p.csv", "--weights best", "--weights <odd>", "--parts <odd>"],
    "paged": ["", "--out page.html", "--out nowhere/page.html", "--port <number>", "--x"],
}
# a rule's alternatives: text within a word; <rule> stands for text
TEXTS: dict[str, list[str]] = {
    "prefix": ["", "", "", "+", "++", "~"],
    "key": KEYS,
    "odd_key": ODD_KEYS,
    "chosen": CHOSEN,
    "experiment": [*(path.stem for path in (CONF / "experiment").glob("*.yaml")), "nothing"],
    "word": [*sorted({*COMMANDS} - {"reproduce"}), "pedict", "train", "sweep"],  # it takes minutes
    "run": ["run", "run", "other", "nowhere", "new.csv", "."],
    "table": ["new.csv", "new.csv", "run", "nowhere.csv", "/dev/null", "-"],
    "column": ["y", "x0", "x9", "-1", "0", "<odd>"],
    "value": ["<number>", "<plain>", "<plain>", "<odd>", "<listed>", "<mapped>", "<called>"],
    "number": [*NUMBERS, *map(str, range(-3, 12))],
    "plain": ["null", "true", "false", "auto", "none", *sorted({c.split("=")[1] for c in CHOSEN})],
    "odd": ODD,
    "listed": ["[]", "[<value>]", "[<value>,<value>]", "[<number>,<plain>,<odd>]"],
    "mapped": [
        "{}",
        "{a: <value>}",
        "{<key>:<value>}",
        "{<key>:[<number>]}",
        "{_target_:os.system}",
    ],
    "called": [
        *("${oc.env:HOME}", "${seed}", "${nothing}", "int(<number>)", "float(<value>)"),
        *("str(<value>)", "glob(*)", "shuffle(<value>)", "sort(<number>,<number>)"),
    ],
    "several": [
        *("<value>,<value>", "<number>,<number>", "range(<number>,<number>)", "glob(*)"),
        *("range(0,9,<number>)", "shuffle(range(0,3))", "interval(<number>,<number>)"),
        *("tag(log,interval(0,1))", "choice(<value>,<value>)", "<number>,", ",<number>"),
    ],
}


class Grammar:
    """Draws from the rules, and notes which alternatives were drawn."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self.used: set[str] = set()

    def words(self, rule: str) -> list[str]:
        phrase = self._one_of(rule, PHRASES[rule])
        words: list[str] = []
        for word in phrase.split(" ") if phrase else ():
            if several := re.fullmatch(r"<<(\w+)>>", word):
                words += self.words(several[1])
            else:
                words.append(re.sub(r"<(\w+)>", lambda match: self.text(match[1]), word))
        return words

    def text(self, rule: str, depth: int = 0) -> str:
        rule = "number" if rule == "value" and depth > 3 else rule
        text = self._one_of(rule, TEXTS[rule])
        return re.sub(r"<(\w+)>", lambda match: self.text(match[1], depth + 1), text)

    def _one_of(self, rule: str, alternatives: Sequence[str]) -> str:
        number = self._draw.randrange(len(alternatives))
        many = len(alternatives) > 25  # of these the rule alone is counted
        self.used.add(rule if many else f"{rule}: {alternatives[number].replace(TINY, 'TINY')}")
        return alternatives[number]


def build(place: Path) -> None:
    """Two runs and a table."""
    place.mkdir()
    with chdir(place):
        for name, seed in (("run", 0), ("other", 1)):
            small = compose([*TINY.split(), f"run.dir={name}", f"seed={seed}"])
            execute(build_experiment(small), lambda line: None)
        head = ",".join([*(f"x{number}" for number in range(8)), "y"])
        rows = [",".join(f"{(3 * i + j) % 10}" for j in range(9)) for i in range(12)]
        Path("new.csv").write_text("\n".join([head, *rows]) + "\n")


def call(words: Sequence[str]) -> None:
    sys.argv = ["ffn_train", *words]
    runpy.run_module("ffn_train", run_name="__main__", alter_sys=True)


def alone(words: Sequence[str], place: Path, draw: random.Random) -> tuple[str, str]:
    """A process of its own: what was done to it, and what is wrong with its end."""
    kind = draw.choice(["undisturbed", "undisturbed", "a closed pipe", "SIGINT", "SIGTERM"])
    reading, writing = os.pipe()
    os.close(reading)
    out = writing if kind == "a closed pipe" else subprocess.DEVNULL
    with (place.parent / "err").open("w+b") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "ffn_train", *words],
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            preexec_fn=limit,
        )
        os.close(writing)
        if kind.startswith("SIG"):
            with suppress(subprocess.TimeoutExpired):
                process.wait(draw.uniform(0.3, 3))
            process.send_signal(getattr(signal, kind))
        try:
            status = process.wait(2 * PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            return kind, "a process does not end"
        err.seek(0)
        text = err.read().decode(errors="replace")
    allowed = {"SIGINT": (130, -2), "SIGTERM": (143, -15), "a closed pipe": (141,)}.get(kind, ())
    if kind.startswith("SIG") and status in allowed and "ffn_train" not in text:
        return kind, ""  # while the interpreter started
    return kind, wrong(subprocess.CompletedProcess([], status, "", text), (0, 1, 2, *allowed))


def strays(place: Path, words: Sequence[str], before: set[Path]) -> list[str]:
    """What was made outside the directories that the words name."""
    if "." in words:
        return []
    named = {word.partition("=")[2] for word in words if ".dir=" in word} | {"outputs"}
    named |= {word for flag, word in pairwise(words) if flag == "--out"}
    folders = {"run", "other", *(path.split("/")[0] for path in named)}
    made = {str(path.relative_to(place)) for path in {*place.rglob("*")} - before}
    return sorted(path for path in made if path.split("/")[0] not in folders)


def prepare(seed: int, scratch: Path) -> Case:
    sound, place, home = scratch / "sound", scratch / "case" / "here", scratch / "case" / "home"
    build(sound)
    os.environ |= {"HOME": str(home), "MPLCONFIGDIR": str(scratch)}  # its cache of fonts
    for words in ("--help", "plots run", "compare run other", "view run", "diff run other"):
        silent = redirect_stdout(StringIO()), redirect_stderr(StringIO())
        with chdir(sound), silent[0], silent[1], suppress(SystemExit):
            call(words.split())
    shutil.rmtree(sound)
    build(sound)
    start = read_directory(sound)

    def case(number: int) -> Outcome:
        draw = random.Random(f"{seed} {number}")
        grammar = Grammar(draw)
        words = [word for word in grammar.words("line") if "\0" not in word]
        write_directory(scratch / "case", {"home": None, "here": None})
        write_directory(place, start)
        before = {*place.rglob("*")}
        if number % ALONE == ALONE - 1:
            kind, trouble = alone(words, place, draw)
            kind = f"a process of its own: {kind}"
        else:
            done = limited(partial(call, words), place)
            kind, trouble = f"exit status {done.returncode}", wrong(done, (0, 1, 2))
        if not trouble and (outside := [*strays(place, words, before), *map(str, home.rglob("*"))]):
            trouble = f"something is written elsewhere\n  {outside[:3]}"
        if not trouble and not all(path.exists() for path in before) and "--yes" not in words:
            trouble = "something is removed"
        line = f"\n  {kind}: ffn-train {shown(words)[:2000]}"
        return Outcome([*sorted(grammar.used), kind], trouble + line if trouble else "")

    return case


if __name__ == "__main__":
    sys.exit(bool(campaign("tests.harness.commands", prepare)))
