"""How often the verdict names the cause, and whether what it advises helps.

    python experiments/verdicts/judge.py --ranges setting            both ranges, some minutes each
    python experiments/verdicts/judge.py --causes noise,outlier      a part of the situations
    python experiments/verdicts/judge.py --repaired                  do the causes hold at all?
    python experiments/verdicts/judge.py --record                    into table.csv and README.md

Every situation of ``situations.py`` is run with three seeds, its verdict compared with the cause
that was put there, and each remedy that the verdict names applied in a further run. A row for each
run goes to ``--out``, with the directories of those whose cause was not named.
"""

from __future__ import annotations

import argparse
import csv
import math
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from scoring import Judged, Outcome, judged, lines, rows, totals
from situations import RANGES, SEEDS, SITUATIONS

from ffn_train.config.composition import compose
from ffn_train.config.settings import SettingError
from ffn_train.report.headline import headline
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import Run

HERE = Path(__file__).parent
BEGIN, END = "<!-- written by judge.py -->", "<!-- end -->"


class Job(NamedTuple):
    place: int
    ranges: str
    seed: int
    folder: Path

    @property
    def path(self) -> Path:
        """Where the run goes, and beside it its table and those with a remedy."""
        return self.folder / f"{self.place}-{self.seed}"


def judge(job: Job) -> Judged:
    """Run one situation with one seed, and once more with each remedy that its verdict names."""
    situation = SITUATIONS[job.place]
    shutil.rmtree(job.path, ignore_errors=True)
    case = situation.draw(job.ranges, job.seed, job.path / "tables")
    run = trained(case.overrides, job.path / "run")
    assert run.summary is not None
    findings = run.summary.verdict
    changes = list(dict.fromkeys(finding.change for finding in findings if finding.change))
    remedied = {
        change: remedy(case.overrides, change, job.path / f"remedy-{number}")
        for number, change in enumerate(changes)
    }
    result = judged(situation, job.ranges, job.seed, outcome(run), findings, remedied)
    if result.right:
        shutil.rmtree(job.path)
    return result


def remedy(overrides: Iterable[str], change: Sequence[str], path: Path) -> Outcome | None:
    """What the run comes to with a remedy; None if the remedy is refused."""
    try:
        return outcome(trained(changed(overrides, change), path))
    except SettingError:
        return None


def repair(job: Job) -> dict[str, Any]:
    """One run as it is spoiled, and the same with nothing spoiled; its verdict is not looked at."""
    situation = SITUATIONS[job.place]
    shutil.rmtree(job.path, ignore_errors=True)
    case = situation.draw(job.ranges, job.seed, job.path / "tables")
    spoiled, sound = (
        outcome(trained(overrides, job.path / name))
        for name, overrides in (("run", case.overrides), ("repaired", case.repaired))
    )
    shutil.rmtree(job.path)
    return {
        "ranges": job.ranges,
        "situation": situation.name,
        "cause": situation.cause,
        "seed": job.seed,
        "score": f"{spoiled.score:.3g}",
        "repaired": f"{sound.score:.3g}",
    }


def trained(overrides: Iterable[str], path: Path) -> Run:
    """A run of these settings in a new directory."""
    config = compose(["engine=numpy", *overrides])
    config["run"] = {"dir": str(path)}
    return execute(build_experiment(config), notify=lambda line: None, progress=False)


def changed(overrides: Iterable[str], change: Sequence[str]) -> list[str]:
    """A command line after a change: keys that are set again, and what belonged to a choice that
    is replaced by another, are gone.
    """
    settings = dict(text.split("=", 1) for text in overrides)
    for key, value in (text.split("=", 1) for text in change):
        if settings.get(key) != value and "." not in key:
            settings = {k: v for k, v in settings.items() if not k.startswith(f"{key}.")}
        settings[key] = value
    return [f"{key}={value}" for key, value in settings.items()]


def outcome(run: Run) -> Outcome:
    """A run's score, on test rows if there are any, and its gradient ratios; one that diverged, or
    whose loss grew until it was stopped, has lost its score.
    """
    assert run.summary is not None
    summary, judged_by = run.summary, headline(run)
    assert judged_by is not None
    result, value, _ = judged_by
    assert result.baseline is not None
    assert result.perfect is not None
    lost = summary.divergence is not None or not math.isfinite(value)
    ratios = (summary.gradient_ratio_start, summary.gradient_ratio_end)
    return Outcome(
        score=-math.inf if lost else value,
        error=math.inf if lost else result.perfect - value,
        baseline_error=result.perfect - result.baseline,
        distance=max(
            abs(math.log(ratio)) if ratio is not None and 0 < ratio < math.inf else math.inf
            for ratio in ratios
        ),
    )


def record(judgements: Sequence[Judged]) -> None:
    """Put the table of these ranges into table.csv, and what both come to into the README."""
    table, new = HERE / "table.csv", rows(judgements)
    kept = read(table) if table.exists() else []
    ranges = {row["ranges"] for row in new}
    write(table, [*(row for row in kept if row["ranges"] not in ranges), *new])
    readme = HERE / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    body = "\n".join(lines(read(table)))
    readme.write_text(f"{before}{BEGIN}\n{body}\n{END}{after}", encoding="utf-8")


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, table: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


def main() -> None:
    parser = argparse.ArgumentParser(description="see judge.py", allow_abbrev=False)
    parser.add_argument("--ranges", choices=RANGES, default="testing")
    parser.add_argument("--causes", default="", help="only these, separated by commas")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--first", type=int, default=0, help="seed to begin with, for fresh runs")
    parser.add_argument("--repaired", action="store_true", help="run each with nothing spoiled")
    parser.add_argument("--record", action="store_true", help="write table.csv and README.md")
    parser.add_argument("--out", type=Path, default=Path("outputs/verdicts"))
    options = parser.parse_args()
    causes = options.causes.split(",") if options.causes else None
    known = {situation.cause for situation in SITUATIONS}
    if causes is not None and not known >= set(causes):
        parser.error(f"--causes: no such cause; there are {', '.join(sorted(known))}")
    if options.record and (causes is not None or options.seeds != SEEDS or options.first):
        parser.error("--record: only the whole of a range is recorded")
    folder = options.out / options.ranges
    jobs = [
        Job(place, options.ranges, seed, folder)
        for place, situation in enumerate(SITUATIONS)
        if (causes is None or situation.cause in causes)
        and (situation.spoiled or not options.repaired)
        for seed in range(options.first, options.first + options.seeds)
    ]
    work: Callable[[Job], Any] = repair if options.repaired else judge
    with ProcessPoolExecutor(2) as pool:
        results = list(pool.map(work, jobs))
    if options.repaired:
        write(options.out / f"{options.ranges}-repaired.csv", results)
        better = sum(float(row["repaired"]) > float(row["score"]) for row in results)
        print(f"better with nothing spoiled: {better} of {len(results)} runs")
        return
    write(options.out / f"{options.ranges}.csv", [result._asdict() for result in results])
    write(options.out / f"{options.ranges}-situations.csv", rows(results))
    if options.record:
        record(results)
    print("\n".join(totals(rows(results))))
    for result in results:
        if not result.right:
            print(f"{result.cause}: {result.situation}, seed {result.seed}: said {result.said!r}")


if __name__ == "__main__":
    main()
