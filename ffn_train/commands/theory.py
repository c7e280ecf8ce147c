"""python -m ffn_train.theory: the theory's predictions for a configuration, without training."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from ffn_train.commands.options import Parser, say
from ffn_train.commands.predicted import Point, beyond, sheet, table
from ffn_train.config.sections import FORMATS
from ffn_train.config.settings import SettingError
from ffn_train.sweep.space import LONGEST_NAME, Job, file_name, jobs
from ffn_train.theory import Prediction
from ffn_train.train.threads import BlasThreads

FOLDER = Path("outputs") / "theory"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the prediction and draw it; exits 2 with one line on errors."""
    parser = Parser(
        "theory",
        "Predict the norms of signals and gradients at initialisation, for the first "
        "batch of the configured task. Nothing is trained or simulated.",
    )
    parser.add_argument("overrides", nargs="*", help="as for ffn_train: model.depth=512")
    parser.add_argument(
        "-m", "--multirun", action="store_true", help="a row for each point: model.depth=8,64,512"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="the figure: .png, .svg or .pdf")
    options = parser.parse(arguments)
    with parser.mistakes():
        path = options.out or FOLDER / f"{_name(options.overrides)}.png"
        if path.suffix.removeprefix(".") not in FORMATS:
            endings = ", ".join(f".{kind}" for kind in FORMATS)
            raise SettingError(f"--out must end in one of {endings}, got {path}")
        with BlasThreads(1):  # the products are small: a second thread slows them down
            points = predictions(options.overrides, swept=options.multirun)
        say(table(points) if options.multirun else sheet(points[0]))
        if _draw(points, path):
            say(f"\nfigure  {path}")


def _name(overrides: Sequence[str]) -> str:
    """The figure's, of the overrides; those that are too long to be told apart have a digest."""
    text = ",".join(overrides) or "default"
    digest = f"-{hashlib.sha256(text.encode()).hexdigest()[:8]}" * (len(text) > LONGEST_NAME)
    return file_name(text) + digest


def predictions(overrides: Sequence[str], *, swept: bool) -> list[Point]:
    """The prediction at each point. Raises SettingError."""
    from ffn_train.config.composition import compose

    points = jobs(overrides) if swept else [Job({}, compose(overrides))]
    return [_predict(job) for job in tqdm(points, unit="point", leave=False, disable=None)]


def _predict(job: Job) -> Point:
    """A priori, or anchored by one measured pass for a loss whose gradient is not predicted."""
    from ffn_train.nn.losses.mse import MSE
    from ffn_train.running.expectation import a_priori, anchored
    from ffn_train.running.experiment import build_experiment

    experiment = build_experiment(job.config, to_train=False)
    mode, predicted = "a priori", a_priori
    if not isinstance(experiment.trainer.loss, MSE):
        # with parameters, which must fit into memory
        experiment = build_experiment(job.config)
        mode, predicted = "anchored", anchored
    return Point(job, experiment.model, mode, predicted(experiment))


def _short(settings: Mapping[str, str]) -> dict[str, str]:
    """The settings under the last word of their keys, where that tells them apart."""
    last = Counter(key.rpartition(".")[2] for key in settings)
    named = {key: key.rpartition(".")[2] for key in settings}
    return {short if last[short] == 1 else key: settings[key] for key, short in named.items()}


def _draw(points: Sequence[Point], path: Path) -> bool:
    """Draw the predictions; returns whether there were any."""
    from ffn_train.plots import encoded
    from ffn_train.plots.predicted import figure
    from ffn_train.runs.files import write_whole

    predicted, curves = [], []
    for point in points:
        if isinstance(point.prediction, Prediction):
            predicted.append(point)
            looks = {**_short(point.job.settings), "predicted": point.mode}
            curves.append((looks, point.prediction))
    if not predicted:
        return False
    note = [word for word in predicted[0].about if all(word in point.about for point in predicted)]
    parts = Counter(filter(None, (point.rows for point in predicted)))
    if len(predicted) == 1:
        more = [*parts, beyond(predicted[0])]
    else:
        note.insert(0, f"{len(predicted)} points")
        more = [f"{count} of them {words}" for words, count in parts.items()]
    modes = dict.fromkeys(point.mode for point in predicted)
    title = f"Predicted at initialisation, {' and '.join(modes)}"
    drawn = figure(title, " · ".join(note), "; ".join(filter(None, more)), curves)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, encoded(drawn, path.suffix.removeprefix("."), whole=True))
    return True
