"""What the documentation says: its commands and snippets run, its links and lists are complete."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ffn_train.config import registry
from ffn_train.config.keys import DECLARED, GROUPS
from ffn_train.config.places import CONF
from ffn_train.reproduce import Claim, near
from ffn_train.reproduce.study import discover
from ffn_train.runs import files
from tests.support.command import command as forked
from tests.test_design import LAW

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = (".github", "conf", "experiments", "ffn_train", "tests")
INSIDE = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.md"))]
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *INSIDE]
}

SMALL = (
    "model.width=8 model.expansion=2 trainer.steps=3 trainer.batch_size=8 measure.every=3 "
    "plot.when=never threads=1"
)
ONE_RUN, SWEEP = f"{SMALL} model.depth=2", f"{SMALL} hydra/launcher=serial"
CLAIM = Claim("a statement", "a source", [near("a", 1, 1, 0)], recorded="reproduced")
TRAIN = r"python -m ffn_train"
# a command's pattern -> what is appended to it (None: it is not run), and why; the first that fits
EXCEPTIONS: dict[str, tuple[str | None, str]] = {
    r".*\bpip install": (None, "installing"),
    r"\.ci/run|python -m pytest$": (None, "all tests"),
    r"python -m tests\.harness\.": (
        None,
        "minutes; tests/harness/test_harness.py tries a few cases",
    ),
    r"openssl|export|ray |python -m pytest -m cluster": (None, "a cluster"),
    r".*hydra/launcher=(slurm|ray_cluster)": ("dry_run=true", "a cluster"),
    r"python -m tests\.": (None, "minutes"),
    r"jupyter": (None, "10 s; tests/experiments/test_lesson.py executes the notebook"),
    r"python experiments/(throughput|theory_limits|verdicts|tables)/": (None, "1 to 40 minutes"),
    r".*watch_gpt": (None, "a minute; tests/interop/test_watch_gpt.py runs it at a tiny size"),
    r"python experiments/figures/page": (None, "a browser; tests/view opens the same page"),
    r".*\bmy_\w+\.py": (None, "run by test_the_parts_of_the_examples_work"),
    r"python -m ffn_train.reproduce": ("", "minutes; a study is loaded, and measures nothing"),
    r"python -m ffn_train.theory -m": ("trainer.batch_size=8", "5 s"),
    r"python -m ffn_train.theory": ("trainer.batch_size=8 model.depth=8", "5 s"),
    r"python -m ffn_train.gradcheck": ("model.depth=2 model.width=8", "2 s"),
    rf"{TRAIN} .*engine=compiled": ("--cfg job", "compiling takes 20 s"),
    rf"{TRAIN} -m experiment=.* model.depth=": ("dry_run=true", "minutes"),
    rf"{TRAIN} -m experiment=": ("dry_run=true model.depth=2 seed=0", "minutes"),
    rf"{TRAIN} -m .*interval": (f"{SWEEP} sweep.search.trials=1", "a minute"),
    rf"{TRAIN} -m .*dry_run=true": ("", "writes nothing"),
    rf"{TRAIN} -m": (SWEEP, "a minute"),
    rf"{TRAIN} (--help|--cfg)": ("", "trains nothing"),
    rf"{TRAIN} view .*--serve": (None, "it serves until it is interrupted"),
    rf"{TRAIN} (view|predict|diff|export) ": ("", "trains nothing"),
    rf"{TRAIN}( |$)": (ONE_RUN, "4 s or more"),
}

FENCED, INLINE = r"^```(\w*)\n(.*?)^```$", r"`((?:python|pip|jupyter|ffn-train)\b[^`]+)`"
PARTS = re.compile(f"{FENCED}|{INLINE}", re.M | re.S)
A_FILE = re.compile(r"# (\w+\.py)\n")  # the first line of a snippet that stands for a file
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """The fenced blocks with their language, and commands amid the prose, in their order."""
    for language, content, inline in PARTS.findall(text):
        yield ("sh", inline) if inline else (language, content)


def commands(text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.match(r"[A-Z_]+=", words[0]):  # a variable of the environment
            words.pop(0)
        if words:
            yield shlex.join(words)


def run(command: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a command of the package in this process; its exit status."""
    python, option, module, *arguments = shlex.split(command)
    assert (python, option) == ("python", "-m"), f"no way to run: {command}"
    assert module.split(".")[0] == "ffn_train", f"no way to run: {command}"
    name = module.partition(".")[2] or "train"
    if arguments and arguments[0] in ("view", "predict", "diff", "export"):  # not a module
        name = arguments.pop(0)
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    try:
        importlib.import_module(f"ffn_train.commands.{name}").main()
    except SystemExit as done:
        return int(done.code or 0)
    return 0


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_and_snippets_run(
    document: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In their order and in one directory, as a reader pastes them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ffn_train.reproduce.study.run", lambda study, out: [CLAIM])
    namespace: dict[str, object] = {}
    summaries = []
    for language, content in blocks(DOCUMENTS[document]):
        assert language in ("sh", "python", "yaml", "text"), f"a block of no language:\n{content}"
        if language == "python" and not A_FILE.match(content):
            exec(compile(content, document, "exec"), namespace)
        elif language == "text" and content.startswith("loss "):
            assert labels(content) in summaries
        for command in commands(content) if language == "sh" else ():
            fitting = (more for form, (more, _) in EXCEPTIONS.items() if re.match(form, command))
            appended = next(fitting, "")
            if appended is None:
                continue
            status = run(f"{command} {appended}", monkeypatch)
            output, errors = capsys.readouterr()
            summaries.append(labels(output))
            # without an extra the command says which one it needs
            assert status == 0 or (status == 2 and re.search("needs .*pip install", errors)), errors


def labels(summary: str) -> list[str]:
    """The names of the rows of a run's summary."""
    return [line[:21] for line in summary.splitlines() if not line.startswith((" ", "training "))]


def test_the_parts_of_the_examples_work(tmp_path: Path) -> None:
    tried = []
    for language, content in blocks(DOCUMENTS["ffn_train/README.md"]):
        if named := A_FILE.match(content):
            (tmp_path / named[1]).write_text(content, encoding="utf-8")
        elif language == "sh":
            tried += [
                command for command in commands(content) if re.search(r"\bmy_\w+\.py", command)
            ]
    assert len(tried) == 8
    for command in tried:
        module, *arguments = shlex.split(command)[2:]
        composed = not {"--help", "check"} & {*arguments} and module != "ffn_train.plots"
        tiny = ["model.depth=2", "model.width=8"] if composed else []
        tiny += ONE_RUN.split() if module == "ffn_train" and tiny else []
        done = forked(*arguments, *tiny, cwd=tmp_path, module=module)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    for link in LINK.findall(DOCUMENTS[document]):
        if link.startswith("https://"):
            continue
        name, _, heading = link.partition("#")
        path = (ROOT / document).parent / name if name else ROOT / document
        assert path.exists(), link
        if heading:
            text = path.read_text(encoding="utf-8")
            headings = [
                re.sub(r"[^\w -]", "", line.lstrip("# ")).lower().replace(" ", "-")
                for line in text.splitlines()
                if line.startswith("#")
            ]
            assert heading in headings, link


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_of_code_has_fences(document: str) -> None:
    assert not re.search(r"\n\n {4,}\S", PARTS.sub("", DOCUMENTS[document]))


def test_the_readme_stays_short() -> None:
    text = DOCUMENTS["README.md"]
    assert len(text.splitlines()) <= 170
    assert text.count("![") <= 4


def names_of_files(folder: str) -> set[str]:
    return {path.stem for path in (CONF / folder).glob("*.yaml")}


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ("conf/README.md", {*DECLARED}),
        ("conf/README.md", {f"{group}={n}" for group in GROUPS for n in registry.choices(group)}),
        ("conf/README.md", {"experiment", *names_of_files("experiment")}),
        ("conf/hydra/launcher/README.md", names_of_files("hydra/launcher")),
        ("ffn_train/README.md", {files.CONFIG, files.LAYOUT, files.MEASURES, files.PROVENANCE}),
        ("ffn_train/README.md", {files.SCALARS, files.STATUS, files.SUMMARY, files.THEORY}),
        ("ffn_train/README.md", {files.WEIGHTS, f"{files.CHECKPOINTS}/", f"{files.PLOTS}/"}),
    ],
)
def test_lists_are_complete(document: str, names: set[str]) -> None:
    assert {*names} <= {*CODE.findall(DOCUMENTS[document])}


def test_modules_that_are_named_exist() -> None:
    named = {word for word in CODE.findall(DOCUMENTS["ffn_train/README.md"]) if word[-3:] == ".py"}
    assert not [name for name in named if not (ROOT / "ffn_train" / name).is_file()]


def test_every_study_is_listed() -> None:
    studies = {f"{name}/README.md" for name in discover()}
    assert studies <= {*LINK.findall(DOCUMENTS["experiments/README.md"])}


def test_the_table_of_wings_is_the_import_law() -> None:
    table = re.search(r"\| wing .*?\n\n", DOCUMENTS["ffn_train/README.md"], re.S)
    assert table is not None
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", table[0], re.M)
    assert {wing: {*CODE.findall(imported)} for wing, imported in rows} == LAW
