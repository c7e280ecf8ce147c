"""How often the verdict names the cause, and whether what it advises helps.

    python experiments/verdicts/judge.py --ranges testing --out outputs/verdicts

Every situation of ``situations.py`` is run with three seeds, its verdict compared with the cause
that was put there, and each remedy that the verdict names applied in a further run.
"""

from __future__ import annotations

import argparse
import csv
import math
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from situations import RANGES, SEEDS, SITUATIONS

from ffn_train.config.composition import compose
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import Run
from ffn_train.runs.finding import FLOW, HELD_BACK, LEARNED, NOTHING


@dataclass(frozen=True)
class Judged:
    """One run: its cause and what the verdict said of it. ``skill``: the share of the error of
    predicting the mean that it removes; ``remedied``: with the remedy applied.
    """

    situation: str
    cause: str
    seed: int
    said: str
    right: bool
    learned: str
    flow: str
    flow_right: bool
    skill: float
    remedy: str = ""
    remedied: float | None = None
    helped: bool | None = None


def judge(job: tuple[int, str, int, Path]) -> Judged:
    """Run one situation with one seed, and once more with its remedy."""
    place, ranges, seed, folder = job
    situation = SITUATIONS[place]
    case = situation.draw(ranges, seed, folder / "tables")
    run = trained(case.overrides, folder / f"{place}-{seed}")
    assert run.summary is not None
    findings = {finding.question: finding for finding in run.summary.verdict}
    kinds = {question: finding.kind for question, finding in findings.items()}
    said = kinds.get(HELD_BACK, "")
    judged = Judged(
        situation=situation.name,
        cause=situation.cause,
        seed=seed,
        said=said,
        right=said in situation.right,
        learned=kinds.get(LEARNED, ""),
        flow=kinds.get(FLOW, ""),
        flow_right=not situation.flow or kinds.get(FLOW, "") in situation.flow,
        skill=skill(run),
    )
    change = findings[HELD_BACK].change if said else ()
    if not change:
        return judged
    again = trained([*case.overrides, *change], folder / f"{place}-{seed}-remedied")
    better = skill(again) > judged.skill or distance(again) < 0.5 * distance(run)
    values = asdict(judged) | {
        "remedy": " ".join(change),
        "remedied": skill(again),
        "helped": better,
    }
    return Judged(**values)


def trained(overrides: Iterable[str], path: Path) -> Run:
    """A run of these settings, of which later ones replace earlier ones."""
    settings = dict(override.split("=", 1) for override in overrides)
    if "init" in settings:  # a choice with its own settings is replaced whole
        settings = {k: v for k, v in settings.items() if not stale(k, settings)}
    config = compose([f"{key}={value}" for key, value in settings.items()])
    config["run"] = {"dir": str(path)}
    return execute(build_experiment(config), notify=lambda line: None, progress=False)


def stale(key: str, settings: dict[str, str]) -> bool:
    """Whether a setting belongs to an initialisation or residual that was replaced by another."""
    group, dot, name = key.partition(".")
    known = {"init": {"normal": ("inner", "outer"), "orthogonal": ("gain",)}}
    if not dot or group not in known or name == "bias_std":
        return False
    return name not in known[group].get(settings.get(group, ""), ())


def skill(run: Run) -> float:
    """The share of the trivial model's error that is removed at the end; -inf for a lost run."""
    result = run.summary.score if run.summary is not None else None
    if run.state != "finished" or result is None or result.value is None:
        return -math.inf
    share = result.unlearned(result.value)
    return -math.inf if share is None or math.isnan(share) else 1 - share


def distance(run: Run) -> float:
    """How far the gradient ratio at step 0 is from 1, as the modulus of its logarithm."""
    ratio = run.summary.gradient_ratio_start if run.summary is not None else None
    return abs(math.log(ratio)) if ratio is not None and 0 < ratio < math.inf else math.inf


def table(judged: Sequence[Judged]) -> str:
    """A row for each cause in Markdown, and the shares that count."""
    lines = ["| cause | runs | named right | remedies that helped |", "|---|---|---|---|"]
    for cause in dict.fromkeys(one.cause for one in judged):
        runs = [run for run in judged if run.cause == cause]
        helped = [run.helped for run in runs if run.helped is not None]
        right = sum(run.right for run in runs)
        lines.append(f"| {cause} | {len(runs)} | {right} | {sum(helped)} of {len(helped)} |")
    helped = [run.helped for run in judged if run.helped is not None]
    alarms = sum(run.said != NOTHING for run in judged if run.cause == NOTHING)
    good = sum(run.cause == NOTHING for run in judged)
    lines += [
        "",
        f"named right: {share(run.right for run in judged)}",
        f"gradient flow right, where the cause implies an answer: "
        f"{share(run.flow_right for run in judged)}",
        f"false alarms: {alarms} of {good} good runs",
        f"remedies that helped: {share(helped)}",
    ]
    return "\n".join(lines)


def share(flags: Iterable[bool]) -> str:
    flags = list(flags)
    return f"{sum(flags)} of {len(flags)} ({sum(flags) / max(len(flags), 1):.0%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--ranges", choices=RANGES, default="testing")
    parser.add_argument("--causes", default="", help="only these, separated by commas")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--out", type=Path, default=Path("outputs/verdicts"))
    options = parser.parse_args()
    causes = options.causes.split(",") if options.causes else None
    places = [i for i, s in enumerate(SITUATIONS) if causes is None or s.cause in causes]
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(2) as pool:
        jobs = [
            (place, options.ranges, seed, Path(folder))
            for place in places
            for seed in range(options.seeds)
        ]
        judged = list(pool.map(judge, jobs))
    options.out.mkdir(parents=True, exist_ok=True)
    with open(options.out / f"{options.ranges}.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Judged)])
        writer.writeheader()
        writer.writerows(asdict(run) for run in judged)
    print(table(judged))


if __name__ == "__main__":
    main()
