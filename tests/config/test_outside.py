"""Parts of one's own: choices from a file or a package outside, known to all commands."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from ffn_train.config import registry
from ffn_train.config.composition import compose
from ffn_train.config.settings import SettingError
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.runs.status import written_status
from ffn_train.sweep.run import check, run_sweep
from tests.support.command import command
from tests.support.small_runs import NOTES, SMALL

SOFTPLUS = '''
import numpy as np
from ffn_train.parts import Activation, choice, setting


@choice("activation", "softplus")
class Softplus(Activation):
    """act(z) = log(1 + exp βz)/β."""

    beta: float = setting("β", 1.0, above=0)

    def value(self, z):
        return np.logaddexp(self.beta * z, 0) / self.beta

    def derivative(self, z):
        return 1 / (1 + np.exp(-self.beta * z))
'''


@pytest.fixture
def part(parts_folder: Path) -> Path:
    """A file with an activation, in the working directory."""
    path = parts_folder / "my_parts.py"
    path.write_text(SOFTPLUS, encoding="utf-8")
    return path


def test_a_part_of_ones_own_is_a_choice_with_checked_settings(part: Path) -> None:
    config = compose([*SMALL, "parts=[my_parts.py]", "activation=softplus"])
    assert config["activation"] == {"name": "softplus", "beta": 1.0}
    activation = build_experiment(config).model.activation
    z = np.linspace(-3, 3, 7)
    np.testing.assert_allclose(activation.value(z), np.log1p(np.exp(z)))
    with pytest.raises(SettingError, match=r"activation\.beta must be a number > 0, got -1"):
        build_experiment({**config, "activation": {"name": "softplus", "beta": -1}})
    with pytest.raises(SettingError, match=r"got 'softpls'; did you mean softplus\?"):
        compose([*SMALL, "parts=[my_parts.py]", "activation=softpls"])


def test_its_content_is_part_of_what_a_run_is(part: Path) -> None:
    overrides = [*SMALL, "parts=[my_parts.py]", "activation=softplus", "run.dir=run"]
    run = execute(build_experiment(compose(overrides)), NOTES.append)
    assert run.provenance.parts is not None
    (digest,) = run.provenance.parts.values()
    part.rename(part.with_name("moved.py"))  # the content counts, not the path
    moved = ["parts=[moved.py]" if text.startswith("parts") else text for text in overrides]
    execute(build_experiment(compose(moved)), NOTES.append)
    assert NOTES[-1].startswith("run has ended already")
    part.with_name("moved.py").write_text(f"{SOFTPLUS}\n# changed", encoding="utf-8")
    with pytest.raises(SettingError, match=f"my_parts.py {digest[:8]} there, moved.py .* here"):
        execute(build_experiment(compose(moved)), NOTES.append)


def test_a_run_killed_before_it_wrote_down_its_parts_starts_again(part: Path) -> None:
    overrides = [*SMALL, "parts=[my_parts.py]", "activation=softplus"]
    run = execute(build_experiment(compose([*overrides, "run.dir=run"])), NOTES.append)
    Path("killed").mkdir()
    shutil.copy(run.path / "config.json", "killed")
    killed = execute(build_experiment(compose([*overrides, "run.dir=killed"])), NOTES.append)
    assert killed.state == "finished"
    assert killed.provenance.parts == run.provenance.parts


def test_a_changed_file_replaces_what_it_declared(part: Path) -> None:
    overrides = [*SMALL, "parts=my_parts.py", "activation=softplus"]
    assert compose(overrides)["activation"]["beta"] == 1.0
    part.write_text(SOFTPLUS.replace('"β", 1.0', '"β", 3.0'), encoding="utf-8")
    assert compose(overrides)["activation"]["beta"] == 3.0
    part.write_text(SOFTPLUS, encoding="utf-8")
    assert compose(overrides)["activation"]["beta"] == 1.0


def test_a_package_is_named_in_the_same_way(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = part.parent / "activations_of_mine"
    package.mkdir()
    (package / "__init__.py").write_text("from activations_of_mine import soft", encoding="utf-8")
    (package / "soft.py").write_text(SOFTPLUS, encoding="utf-8")
    monkeypatch.syspath_prepend(part.parent)
    config = compose([*SMALL, "parts=[activations_of_mine]", "activation=softplus"])
    assert config["activation"]["name"] == "softplus"


def test_a_package_may_be_edited_broken_and_mended(
    part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = part.parent / "edited_of_mine"
    package.mkdir()
    start, soft = package / "__init__.py", package / "soft.py"
    monkeypatch.syspath_prepend(part.parent)
    overrides = [*SMALL, "parts=[edited_of_mine]", "activation=softplus"]

    def beta(first: str, declared: str) -> float:
        start.write_text(first, encoding="utf-8")
        soft.write_text(declared, encoding="utf-8")
        return float(compose(overrides)["activation"]["beta"])

    imports = "from edited_of_mine import soft"
    assert beta(imports, SOFTPLUS) == 1.0
    assert beta(imports, SOFTPLUS.replace('"β", 1.0', '"beta", 3.0')) == 3.0
    assert beta(f"{imports}  # edited", SOFTPLUS) == 1.0
    with pytest.raises(SettingError, match="division by zero"):  # once soft has been imported
        beta(f"{imports}\n1/0", SOFTPLUS)
    assert beta(imports, SOFTPLUS) == 1.0


def test_a_file_is_loaded_again_once_a_mistake_is_taken_back(part: Path) -> None:
    overrides = [*SMALL, "parts=[my_parts.py]", "activation=softplus"]
    compose(overrides)
    part.write_text(f"{SOFTPLUS}\nbroken(", encoding="utf-8")
    with pytest.raises(SettingError, match="SyntaxError"):
        compose(overrides)
    part.write_text(f"{SOFTPLUS}\nraise KeyboardInterrupt", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        compose(overrides)
    part.write_text(SOFTPLUS, encoding="utf-8")
    assert compose(overrides)["activation"]["beta"] == 1.0


def test_a_copy_that_is_edited_does_not_stand_for_the_file(part: Path) -> None:
    copied = part.with_name("copied.py")
    chosen = [*SMALL, "activation=softplus"]
    for name in (part.name, copied.name):
        copied.write_text(SOFTPLUS, encoding="utf-8")
        compose([*chosen, f"parts=[{name}]"])
    copied.write_text(SOFTPLUS.replace('"β", 1.0', '"β", 3.0'), encoding="utf-8")
    assert compose([*chosen, "parts=[copied.py]"])["activation"]["beta"] == 3.0
    with pytest.raises(SettingError, match=r"declared twice, in copied\.py and in my_parts\.py"):
        compose([*chosen, "parts=[my_parts.py]"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1/0", "parts=my_parts.py: ZeroDivisionError: division by zero"),
        ("def (", "parts=my_parts.py: SyntaxError: invalid syntax"),
        ("raise SystemExit(0)", "parts=my_parts.py: SystemExit: 0"),
        ("raise GeneratorExit('x')", "parts=my_parts.py: GeneratorExit: x"),
        (
            "class Mute(Exception):\n    def __str__(self):\n        raise self\nraise Mute",
            "parts=my_parts.py: Mute: Mute",
        ),
        (
            SOFTPLUS.replace('"softplus"', '"relu"'),
            "activation=relu is declared twice, in ffn_train.nn.activations.relu and in",
        ),
        (
            SOFTPLUS.replace('"activation"', '"activations"'),
            "there is no group 'activations' of choices; did you mean activation?",
        ),
    ],
)
def test_what_cannot_be_loaded_is_told_in_a_line(part: Path, content: str, message: str) -> None:
    part.write_text(content, encoding="utf-8")
    with pytest.raises(SettingError) as caught:
        compose([*SMALL, "parts=[my_parts.py]"])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert tuple(registry.choices("activation")) == tuple(sorted(registry.choices("activation")))
    compose([*SMALL, "activation=relu"])  # nothing of the package is lost by it


def test_what_is_no_such_file_is_told_in_a_line(part: Path) -> None:
    os.mkfifo(part.with_name("fifo.py"))
    part.with_name("folder.py").mkdir()
    for name, message in (
        ("my_prts.py", "parts=my_prts.py: there is no such file; did you mean my_parts.py?"),
        ("no_package", "parts=no_package: there is no such package"),
        ("ffn_train.nn", "parts=ffn_train.nn: the choices of ffn_train need not be named"),
        ("fifo.py", "parts=fifo.py: it is not a regular file"),
        ("folder.py", "parts=folder.py: it is a directory"),
        (f"{'a' * 300}.py", "File name too long"),
    ):
        with pytest.raises(SettingError, match=message.replace("?", r"\?")):
            compose([*SMALL, f"parts=[{name}]"])


def test_all_commands_know_it(part: Path) -> None:
    chosen = ("parts=[my_parts.py]", "activation=softplus")
    tiny = ("model.depth=2", "model.width=6", "task.rows=80", "trainer.batch_size=16")
    for module in ("ffn_train.gradcheck", "ffn_train.theory"):
        done = command(*chosen, *tiny, cwd=part.parent, module=module)
        assert done.returncode == 0, done.stderr
    done = command("--help", *chosen, cwd=part.parent)
    assert "activation.beta=1.0  β (> 0)" in done.stdout
    refused = command(*chosen, *SMALL, "engine=compiled", cwd=part.parent)
    assert refused.returncode == 2
    assert "Softplus" in refused.stderr or "needs Numba" in refused.stderr


def test_the_jobs_of_a_sweep_know_it_and_readers_do_not_run_it(part: Path) -> None:
    chosen = ("parts=[my_parts.py]", "activation=softplus,gelu")
    done = command("-m", *SMALL, *chosen, "sweep.dir=sweep", cwd=part.parent)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((part.parent / "sweep" / "manifest.json").read_text(encoding="utf-8"))
    assert [job["state"] for job in manifest["jobs"]] == ["finished", "finished"]
    part.write_text("raise SystemExit('run')", encoding="utf-8")
    read = command("sweep", "--formats", "svg", cwd=part.parent, module="ffn_train.compare")
    assert read.returncode == 0, read.stderr
    assert "softplus" in read.stdout


def test_a_sweep_is_not_extended_by_another_content(part: Path) -> None:
    arguments = [*SMALL, "parts=[my_parts.py]", "activation=softplus", "hydra/launcher=serial"]
    arguments += ["sweep.dir=sweep", "trainer.steps=2"]

    def states(seeds: str) -> list[str]:
        swept = run_sweep(check([*arguments, f"seed={seeds}"]), NOTES.append)
        return [entry.status(swept.path).state for entry in swept.entries]

    wrong = SOFTPLUS.replace("        return np", "        assert len(z) < 3\n        return np")
    part.write_text(wrong, encoding="utf-8")  # which only a batch shows
    assert states("0,1") == ["failed"] * 2
    part.write_text(SOFTPLUS, encoding="utf-8")
    assert states("0,1") == ["finished"] * 2  # it was mended before any had ended
    part.write_text(f"{SOFTPLUS}\n# changed", encoding="utf-8")
    for seeds in ("0,1,2", "2,3"):
        with pytest.raises(SettingError, match=r"the content of parts .* there, .* here"):
            states(seeds)
    part.write_text(SOFTPLUS, encoding="utf-8")
    assert states("0,1,2") == ["finished"] * 3


@pytest.mark.parametrize(
    ("ending", "words"), [("SystemExit('bye')", ()), ("SystemExit", ("-m", "seed=0,1"))]
)
def test_a_part_must_not_end_a_command(part: Path, ending: str, words: tuple[str, ...]) -> None:
    ends = SOFTPLUS.replace("return np", f"raise {ending}\n        return np")
    part.write_text(ends, encoding="utf-8")
    done = command(*SMALL, "parts=[my_parts.py]", "activation=softplus", *words, cwd=part.parent)
    line = "ffn_train: parts=my_parts.py, line 13, in value: SystemExit"
    assert re.match(line, done.stderr), done.stderr
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("module", ["ffn_train.gradcheck", "ffn_train.theory"])
def test_nor_a_command_that_does_not_train(part: Path, module: str) -> None:
    ends = SOFTPLUS.replace("return 1", "raise SystemExit(0)\n        return 1")
    part.write_text(ends, encoding="utf-8")
    chosen = ("parts=[my_parts.py]", "activation=softplus")
    done = command(*chosen, cwd=part.parent, module=module)
    line = f"{module}: parts=my_parts.py, line 16, in derivative: SystemExit: 0\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


QUANTITY = """
import numpy as np
from ffn_train.parts import StepQuantity, choice


@choice("quantity", "mine")
class Mine(StepQuantity):
    \"\"\"Mine.\"\"\"

    per = "block"
    symbol = equation = "m"
    needs = ("gradient",)

    def value(self, step, memory, out):
        return [float(np.abs(part).max()) for part in step.blocks(step.gradient)]

    def quit(self):
        raise KeyboardInterrupt("enough")
"""
DECLARED_WRONG = {
    'per = "block"': ('per = "blocks"', r"per must be one of .*; did you mean block\?"),
    'needs = ("gradient",)': (
        'needs = ("gradients",)',
        r"needs must be .* did you mean gradient\?",
    ),
    'symbol = equation = "m"': ('equation = "m"', "symbol is not declared"),
    "def value": ("def velue", "quantity=mine, the class Mine, has no value"),
    "    needs = (": ("    unit = 3\n    needs = (", "the class Mine: unit must be text, got 3"),
    "    def value": ("    log = 'no'\n\n    def value", "log must be True or False, got 'no'"),
    "(StepQuantity)": ("", "quantity=mine, the class Mine, is not derived from Quantity"),
    '"mine")': ('"signal")', "the name stands for something else: .*, signal, "),
    '"mine"': ('"step"', "the name stands for something else: step, "),
    ', "mine"': (', "my own"', "a name has letters, digits and underscores"),
    ', "mine")': (', "größe")', "a name has letters, .*: a-z, A-Z, 0-9, _"),
    '"quantity", "mine"': ('"quantity", "Nan"', "on the command line Nan is no word but a value"),
}


@pytest.mark.parametrize("right", DECLARED_WRONG)
def test_a_wrong_declaration_is_refused_when_it_is_loaded(part: Path, right: str) -> None:
    wrong, message = DECLARED_WRONG[right]
    assert right in QUANTITY
    part.write_text(QUANTITY.replace(right, wrong, 1), encoding="utf-8")
    with pytest.raises(SettingError, match=message):
        compose([*SMALL, "parts=[my_parts.py]"])


OTHERS_WRONG = {
    """@choice("quantity", "mine")
class Mine(PassQuantity):
    per, symbol, equation, needs = "run", "m", "m", ("signal gradients",)
    def forward(self, at, partial): partial += 1
    def value(self, partial, batch, out): return partial
""": "the method forward goes with 'signals' or 'hidden units' among the needs",
    """@choice("norm", "mine")
class Mine(Norm):
    placement = "before"
""": "placement must be one of none, pre, post, got 'before'",
    """@choice("norm", "mine")
class Mine(Norm):
    placement = "pre"
""": "placement is 'pre', and there is no method layer",
    """@choice("loss", "mine")
class Mine(Loss):
    kinds = "regression"
    def value_and_gradient(self, y, targets): return 0.0, y
""": "kinds must be a tuple such as",
    """@choice("figure", "mine")
class Mine(RunFigure):
    needs = ("loss")
    def draw(self, run): return None
""": r"needs must be a tuple such as \('loss',\), got 'loss'",
    """@choice("schedule", "mine")
class Mine(Schedule):
    at: list[int] = setting("where it falls", [1, 2])
    def factor(self, step, progress): return 1.0
""": r"schedule=mine, the class Mine: at: a setting of type list\[int\] needs .*, check=\.\.\.",
    """@choice("schedule", "mine")
class Mine(Schedule):
    at: int = setting("where it falls", 1.5)
    def factor(self, step, progress): return 1.0
""": "schedule=mine, the class Mine: at must be an integer, got 1.5",
    """@choice("task", "mine")
class Mine(Task):
    score = Score
    def table(self, rng): return None
""": "score must be an instance of a Score",
    """@choice("figure", "all")
class Mine(RunFigure):
    def draw(self, run): return None
""": "figure=all, the class Mine: the name stands for all figures",
    """@choice("activation", "mine")
class Mine(Activation):
    beta: float = setting("β", 1.0, least=0)
""": r"least is not a keyword; did you mean at_least\?",
    """@choice("activation", "mine")
class Mine(Activation):
    beta: float
    def value(self, z): return z
    def derivative(self, z): return z > -np.inf
""": r"activation=mine, the class Mine: beta is not declared as a setting, as in",
}


@pytest.mark.parametrize("content", OTHERS_WRONG)
def test_so_are_those_of_other_kinds(part: Path, content: str) -> None:
    part.write_text(f"from ffn_train.parts import *\n\n\n{content}", encoding="utf-8")
    with pytest.raises(SettingError, match=OTHERS_WRONG[content]):
        compose([*SMALL, "parts=[my_parts.py]"])


SCORED = """
import numpy as np
from ffn_train.parts import Score, Table, Task, choice


class Mine(Score):
    name = "mine"

    def value(self, targets, outputs):
        return {value}

    def no_skill(self, data):
        return {no_skill}


@choice("task", "mine")
class OfMine(Task):
    kind = "regression"
    score = Mine()

    def table(self, rng):
        x = rng.normal(size=(20, 2))
        return Table(inputs=x, targets=x[:, :1], input_names=("a", "b"), target_names=("y",))
"""


@pytest.mark.parametrize(
    ("value", "no_skill", "message"),
    [
        ("1 + 2j", "None", "score mine: value must return a number, got (1+2j)"),
        ("'1.5'", "None", "score mine: value must return a number, got '1.5'"),
        ("None", "None", "score mine: value must return a number, got None"),
        ("np.ones(2)", "None", "score mine: value must return a number, got array([1., 1.])"),
        ("1", "1j", "score mine: no_skill must return a number, got 1j"),
        ("np.float32(1)", "None", ""),
        ("np.nan", "np.True_", ""),
    ],
)
def test_a_score_that_is_no_number_is_refused_before_the_run(
    part: Path, value: str, no_skill: str, message: str
) -> None:
    part.write_text(SCORED.format(value=value, no_skill=no_skill), encoding="utf-8")
    config = compose(["parts=[my_parts.py]", "task=mine"])
    if not message:
        assert build_experiment(config).trainer.score.name == "mine"
        return
    with pytest.raises(SettingError, match=f"^{re.escape(message)}$"):
        build_experiment(config)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("symbol = 3", "score.symbol must be text, got 3"),
        ("says = None", "score.says must be text, got None"),
        ('perfect = "1"', "score.perfect must be a number, got '1'"),
    ],
)
def test_a_score_that_is_declared_wrongly_is_refused_when_it_is_loaded(
    part: Path, declared: str, message: str
) -> None:
    content = SCORED.format(value="1.0", no_skill="None")
    part.write_text(content.replace('name = "mine"\n', f'name = "mine"\n    {declared}\n', 1))
    with pytest.raises(SettingError, match=f"task=mine, the class OfMine: {re.escape(message)}$"):
        compose(["parts=[my_parts.py]", "task=mine"])


TRIED = {
    """@choice("loss", "mine")
class Mine(Loss):
    unit = 3
    def value_and_gradient(self, y, targets): return 0.0, y
""": (["loss=mine"], "loss=mine: unit must be text, got 3"),
    """@choice("optimizer", "mine")
class Mine(Optimizer):
    slots = ("sum",)
    def descend(self, params, grads, memory, *, lr, count):
        memory["mean"] = grads
        params -= lr * grads
""": (
        ["optimizer=mine", "+optimizer.lr=0.1"],
        "optimizer=mine: memory['mean'] is not among its arrays: sum",
    ),
    """@choice("optimizer", "mine")
class Mine(Optimizer):
    slots = ("sum",)
    def descend(self, params, grads, memory, *, lr, count):
        memory["sum"] = grads.sum()
        params -= lr * grads
""": (
        ["optimizer=mine", "+optimizer.lr=0.1"],
        "optimizer=mine: memory['sum'] must stay an array (4,) float64, got () float64",
    ),
    """@choice("optimizer", "mine")
class Mine(Optimizer):
    slots = ()
    def descend(self, params, grads, memory, *, lr, count): params = params - lr * grads
""": (["optimizer=mine", "+optimizer.lr=0.1"], "optimizer=mine: descend must change params in pl"),
    QUANTITY.replace(
        "def quit(self)", "def absent(self, model): return True\n\n    def quit(self)"
    ): (
        ["measure.quantities=[mine]"],
        "quantity mine: absent must return text, got True",
    ),
    QUANTITY.replace(
        "def quit(self)",
        "def memory(self, model, dtype): return {'a': [0.0]}\n\n    def quit(self)",
    ): (
        ["measure.quantities=[mine]"],
        "quantity=mine: memory must return an array of numbers as 'a', got list",
    ),
    QUANTITY.replace(
        "def quit(self)",
        "def memory(self, model, dtype): return {'a': np.zeros(2, complex)}\n\n    def quit(self)",
    ): (
        ["measure.quantities=[mine]"],
        "quantity=mine: memory['a'] is complex128, which no checkpoint holds",
    ),
    """@choice("quantity", "mine")
class Mine(PassQuantity):
    per, symbol, equation, needs = "run", "m", "m", ("signals",)
    def start(self, model, dtype): return 0.0
    def forward(self, at, partial): pass
    def value(self, partial, batch, out): return partial
""": (
        ["measure.quantities=[mine]"],
        "quantity=mine: start must return an array of numbers, got fl",
    ),
    """@choice("logger", "mine")
class Mine(Logger):
    url: str = setting("where to")
    def log(self, step, scalars, measures): pass
""": (["logger=mine"], "logger.url is missing"),
    SCORED.format(value="1.0", no_skill="None").replace('"a", "b"', '"a", "a"'): (
        ["task=mine"],
        "task=mine: 2 columns are called 'a'",
    ),
    SCORED.format(value="1.0", no_skill="None").replace('"y",', '"a",'): (
        ["task=mine"],
        "task=mine: 2 columns are called 'a'",
    ),
    SCORED.format(value="1.0", no_skill="None").replace("return Table(", "return dict("): (
        ["task=mine"],
        "which is no Table",
    ),
}


@pytest.mark.parametrize("content", TRIED)
def test_what_only_a_try_can_tell_is_told_before_the_run(part: Path, content: str) -> None:
    overrides, message = TRIED[content]
    part.write_text(f"from ffn_train.parts import *\n\n\n{content}", encoding="utf-8")
    small = [text for text in SMALL if not text.startswith("task.")]
    with pytest.raises(SettingError, match=re.escape(message)) as caught:
        build_experiment(compose([*small, "parts=[my_parts.py]", *overrides]))
    assert len(str(caught.value)) < 200


ACCEPTED = {
    """@choice("optimizer", "mine")
class Mine(Optimizer):
    slots = ("sum",)
    def descend(self, params, grads, memory, *, lr, count):
        memory["sum"] += grads
        if count % 16 == 0:
            params -= lr * memory["sum"]
            memory["sum"][...] = 0
""": ["optimizer=mine", "+optimizer.lr=0.1"],
    """@choice("optimizer", "mine")
class Mine(Optimizer):
    slots = ()
    def step(self, params, grads, memory, *, lr, count, decays=True): params -= lr * grads
    def descend(self, params, grads, memory, *, lr, count): raise NotImplementedError
""": ["optimizer=mine", "+optimizer.lr=0.1"],
    """import numpy as np
@choice("schedule", "mine")
class Mine(Schedule):
    k: float = setting("k", np.sqrt(2))
    on: bool | None = setting("on", np.True_)
    words: list[str] = setting("words", ["a"], check=lambda key, value: None)
    def factor(self, step, progress): return self.k * self.on
""": ["schedule=mine"],
    """from pathlib import Path
def exists(key, value):
    if not Path(value).exists(): raise ValueError(f"{key} does not exist")
@choice("schedule", "mine")
class Mine(Schedule):
    path: str = setting("the file", "elsewhere.csv", check=exists)
    def factor(self, step, progress): return 1.0
""": ["schedule=mine", "schedule.path=my_parts.py"],
    """@choice("figure", "mine")
class Mine(RunFigure):
    needs = ["loss"]
    kinds = ["regression"]
    def draw(self, run): return None
""": [],
    """@choice("loss", "mine")
class Mine(Loss):
    squared: bool = setting("whether it is squared", True)
    @property
    def unit(self): return "squared standard deviations" if self.squared else ""
    def value_and_gradient(self, y, targets):
        error = y - targets
        return (error * error).mean(), (2 / error.size) * error
""": ["loss=mine"],
    """import numpy as np
@choice("quantity", "mine")
class Mine(PassQuantity):
    per, symbol, equation, needs = "run", "m", "m", ("signals",)
    def start(self, model, dtype): return np.zeros((), complex)
    def forward(self, at, partial): pass
    def value(self, partial, batch, out): return abs(partial)
""": ["measure.quantities=[mine]"],
    """@choice("logger", "mine")
class Mine(Logger):
    file: object = None
    def log(self, step, scalars, measures): pass
""": ["logger=mine"],
}


@pytest.mark.parametrize("content", ACCEPTED)
def test_what_is_unusual_is_not_refused(part: Path, content: str) -> None:
    part.write_text(f"from ffn_train.parts import *\n\n\n{content}", encoding="utf-8")
    build_experiment(compose([*SMALL, "parts=[my_parts.py]", *ACCEPTED[content]]))


def test_a_file_that_a_part_lacks_is_a_mistake_of_the_part(part: Path) -> None:
    lacking = SCORED.format(value="1.0", no_skill="None").replace("20, 2", "open('no.csv'), 2")
    part.write_text(lacking, encoding="utf-8")
    done = command("parts=[my_parts.py]", "task=mine", cwd=part.parent)
    assert done.returncode == 2
    assert re.fullmatch(
        r"ffn_train: parts=my_parts\.py, line \d+, in table: FileNotFoundError: .*no\.csv.*\n",
        done.stderr,
    )


ACTIVATION = """
import numpy as np
from ffn_train.parts import Activation, choice


@choice("activation", "mine")
class Mine(Activation):
    def value(self, z):
        return z * 2

    def derivative(self, z):
        return np.full_like(z, 2)
"""
RESULTS_WRONG = {
    "return z * 2": (
        "return z * np.sqrt(2.0)",
        r"value must keep shape and dtype, \(2, 3\) float32, got \(2, 3\) float64",
    ),
    "return np.full_like(z, 2)": (
        "return 2.0",
        r"derivative must keep shape and dtype, \(2, 3\) float32, got \(\) float64",
    ),
    "    def derivative(self, z):\n": (
        "    def pair(self, z):\n        return z * 2, z, 3\n\n    def derivative(self, z):\n",
        "pair must return value and derivative",
    ),
    "    def derivative": (
        "    def pair(self, z):\n        return z.sum(axis=1), z\n\n    def derivative",
        r"pair must keep shape and dtype, \(2, 3\) float32, got \(2,\) float32",
    ),
    "z * 2": ("np.multiply(z, 2, out=z)", "value must not change its argument"),
    "    def value(self": (
        "    def value_in_place(self, z):\n        return z * 3\n\n    def value(self",
        "value_in_place and value must agree, and differ at z=-3.1",
    ),
    "    def value(self, z)": (
        "    def pair(self, z):\n        return z + np.maximum(z, 1.5), self.derivative(z)\n\n"
        "    def value(self, z)",
        "pair and value must agree, and differ at z=-3.1",
    ),
    "    def derivative(self": (
        "    def pair_in_place(self, z):\n        return z * 2, z > 0\n\n    def derivative(self",
        "pair_in_place and derivative must agree, and differ at z=-3.1",
    ),
    "    def derivative(self, z)": (
        "    def pair_in_place(self, z):\n        return z * 2.0, z[0]\n\n"
        "    def derivative(self, z)",
        r"pair_in_place must keep shape and dtype, \(2, 3\) float32, got \(3,\) float32",
    ),
    "z * 2\n": ("z * np.float32(np.nan)\n", "value is NaN for every z tried, -3.1 to 2.9"),
}


@pytest.mark.parametrize("right", RESULTS_WRONG)
def test_an_activation_that_changes_its_argument_or_dtype_is_refused_before_anything_is_written(
    part: Path, right: str
) -> None:
    chosen = [*SMALL, "parts=[my_parts.py]", "activation=mine", "run.dir=run"]
    wrong, message = RESULTS_WRONG[right]
    part.write_text(ACTIVATION.replace(right, wrong, 1), encoding="utf-8")
    with pytest.raises(SettingError, match=f"^activation=mine: {message}$"):
        build_experiment(compose(chosen))
    part.write_text(ACTIVATION.replace("np.full_like(z, 2)", "z < np.inf"), encoding="utf-8")
    build_experiment(compose(chosen))  # a mask may be the derivative


VALUES_WRONG = {
    "max()": ("lost()", r"parts=mine\.py, line 15, in .*: AttributeError: "),
    "float(np.abs(part).max())": (
        "[0, 1]",
        r"a value per block has the shape \(3,\), got \(3, 2\)",
    ),
    "[float(np.abs(part).max()) for": (
        "[1 + 2j for",
        r"mine: a value per block must be a real number, got \[\(1\+2j\), \(1\+2j\), \(1\+2j\)\]$",
    ),
    "float(np.abs(part).max()) for": (
        "'1.5' for",
        r"mine: a value per block must be a real number, got \['1.5', '1.5', '1.5'\]$",
    ),
    "np.abs(part).max()": ("part.fill(0)", r"line 15, in .*: ValueError: .* read-only"),
    "[float(np.abs(part).max())": ("[exit(0)", r"parts=mine\.py, line 15, in .*: SystemExit: 0"),
    "[float(np": (
        "[self.quit() or float(np",
        r"parts=mine\.py, line 18, in quit: RuntimeError: KeyboardInterrupt: enough$",
    ),
    "return [float(np.abs(part).max())": (
        "raise BaseException('\x1b[31mred') or [0",
        r"parts=mine\.py, line 15, in value: BaseException: \\x1b\[31mred$",
    ),
}


@pytest.mark.parametrize("right", VALUES_WRONG)
def test_a_mistake_while_it_trains_is_a_line_and_mended_goes_on(part: Path, right: str) -> None:
    wrong, message = VALUES_WRONG[right]
    chosen = ("parts=[mine.py]", "measure.quantities=[default,mine]", "run.dir=run")
    part.with_name("mine.py").write_text(QUANTITY.replace(right, wrong), encoding="utf-8")
    done = command(*SMALL, *chosen, cwd=part.parent)
    assert done.returncode == 2
    assert re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    status = written_status(part.with_name("run"))
    assert status is not None
    assert status.state == "failed"
    assert status.reason.startswith("parts=mine.py, line ") == ("line " in message)
    part.with_name("mine.py").write_text(QUANTITY, encoding="utf-8")
    execute(build_experiment(compose([*SMALL, *chosen])), NOTES.append)
    assert NOTES[-1] == "run has no usable checkpoint: starting again from step 0"
