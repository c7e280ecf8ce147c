"""python -m ffn_train.theory: what theory predicts for a configuration, without training."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ffn_train.core import Layout
from ffn_train.settings import SettingError, one_of
from ffn_train.theory import Prediction, Unpredicted
from ffn_train.threads import BlasThreads

FOLDER = Path("outputs") / "theory"
ONE_SEED = "one seed"
EXPLAINED = (
    "predicted: the root mean square over seeds; one seed: its median x/÷ 1 sd, which lies lower,\n"
    "because few seeds with large norms carry the mean"
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"ffn_train.theory: {message}", file=sys.stderr)  # one line, without the usage
        sys.exit(2)


@dataclass(frozen=True)
class Point:
    """One configuration: its name among the others, its prediction and in which mode."""

    name: str
    about: str
    layout: Layout
    depth: int
    mode: str
    found: Prediction | Unpredicted


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the prediction and draw it; exits 2, with one line, for a mistake."""
    parser = _Parser(
        prog="python -m ffn_train.theory",
        description="Predict the norms of signals and gradients at initialisation, for the first "
        "batch of the configured task. Nothing is trained or simulated.",
    )
    parser.add_argument("overrides", nargs="*", help="as for ffn_train: model.depth=512")
    parser.add_argument(
        "-m", "--multirun", action="store_true", help="a row for each point: model.depth=8,64,512"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="the figure: .png, .svg or .pdf")
    options = parser.parse_intermixed_args(arguments)
    try:
        path = options.out or FOLDER / f"{_slug(options.overrides)}.png"
        one_of("--out", path.suffix.removeprefix("."), ("png", "svg", "pdf"))
        with BlasThreads(1):  # the products are small: a second thread is in the way
            points = predictions(options.overrides, swept=options.multirun)
        print(table(points) if options.multirun else sheet(points[0]))
        if _draw(points, path):
            print(f"\nfigure  {path}")
    except SettingError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"{error.filename or 'cannot write'}: {error.strerror or error}")


def predictions(overrides: Sequence[str], *, swept: bool) -> list[Point]:
    """The prediction at each point. Raises SettingError, also where there is none."""
    from ffn_train.configuration import compose
    from ffn_train.sweep.space import Job, jobs

    points = jobs(overrides) if swept else [Job({}, compose(overrides))]
    return [_predict(job.name, job.config) for job in points]


def _predict(name: str, config: dict[str, Any]) -> Point:
    """A priori; anchored by one forward pass for a loss whose gradient is not predicted."""
    from ffn_train.expectation import anchor, describe
    from ffn_train.experiment import build_experiment
    from ffn_train.losses import MSE
    from ffn_train.theory import predict, predict_anchored

    what = describe(config)
    model, mode = what.model, "a priori" if isinstance(what.loss, MSE) else "anchored"
    with np.errstate(all="ignore"):
        if mode == "a priori":
            found = predict(model, what.init, what.loss, what.inputs, what.targets)
        else:
            measured = anchor(build_experiment(config))
            found = predict_anchored(model, what.init, what.inputs, measured)
    words = [f"depth {model.depth}", f"width {model.width}"]
    for group in ("residual", "block", "activation", "norm", "init", "loss"):
        words.append(f"{group} {config[group]['name']}")
    return Point(name, " · ".join(words), model.layout, model.depth, mode, found)


def sheet(point: Point) -> str:
    """One prediction: a few block boundaries, the growth, the gradients of three blocks."""
    found, depth = point.found, point.depth
    if isinstance(found, Unpredicted):
        return f"{point.about}\n\nno prediction: {found.reason}"
    boundaries = sorted({round(depth * part / 4) for part in range(5)})
    signal = [
        [
            str(place),
            norm(found.log_signal_rms[place]),
            one_seed(found.log_signal_rms[place], found.signal_sd[place]),
            norm(found.log_signal_gradient_rms[place]),
            one_seed(found.log_signal_gradient_rms[place], found.signal_gradient_sd[place]),
        ]
        for place in boundaries
    ]
    names = [tensor.name for tensor in point.layout.tensors]
    blocks = sorted({0, depth // 2, depth - 1})
    own = [name.removeprefix("blocks.0.") for name in names if name.startswith("blocks.0.")]
    gradients = []
    for kind in own:
        places = [names.index(f"blocks.{block}.{kind}") for block in blocks]
        cells = [norm(found.log_gradient_norm[place]) for place in places]
        first = found.log_gradient_norm[places[0]], found.gradient_sd[places[0]]
        gradients.append([kind, *cells, one_seed(*first)])
    return "\n".join(
        [
            f"{point.about}   ({point.mode})",
            "",
            _aligned(["l", "RMS x_l", ONE_SEED, "RMS dL/dx_l", ONE_SEED], signal),
            "",
            f"|dL/dx_0| / |dL/dx_L|   {norm(change(found))}",
            f"growth per block        {norm(change(found) / depth, 4)}, from output to input",
            "",
            _aligned(
                ["|dL/dθ|", *(f"block {block}" for block in blocks), f"block 0, {ONE_SEED}"],
                gradients,
            ),
            "",
            EXPLAINED,
        ]
    )


def table(points: Sequence[Point]) -> str:
    """One row a point; the block's gradient is that of all its parameters together."""
    header = [
        "point",
        "growth per block",
        "|dL/dx_0|/|dL/dx_L|",
        "RMS x_L",
        "RMS dL/dx_0",
        ONE_SEED,
    ]
    rows, missing = [], []
    for point in points:
        found = point.found
        if isinstance(found, Unpredicted):
            missing.append(f"{point.name}: no prediction: {found.reason}")
            continue
        cells = norm(change(found) / point.depth, 4), norm(change(found))
        last, (first, sd) = (
            norm(found.log_signal_rms[-1]),
            (found.log_signal_gradient_rms[0], found.signal_gradient_sd[0]),
        )
        rows.append([point.name, *cells, last, norm(first), one_seed(first, sd)])
    modes = " and ".join(dict.fromkeys(point.mode for point in points))
    lines = [f"predicted {modes}", "", _aligned(header, rows), *missing]
    return "\n".join([*lines, "", EXPLAINED] if rows else lines)


def change(found: Prediction) -> float:
    """log |dL/dx_0| / |dL/dx_L|."""
    flow = found.log_signal_gradient_rms
    return float(flow[0] - flow[-1])


def norm(log: float, digits: int = 3) -> str:
    """exp(log) in three digits, however large or small."""
    if np.isnan(log):
        return "none derived"
    if log == -np.inf:
        return "0"
    power = int(np.floor(log / np.log(10)))
    if -4 <= power < 4:
        return f"{np.exp(log):.{digits}g}"
    return f"{np.exp(log - power * np.log(10)):.2f}e{power:+03d}"


def one_seed(log: float, sd: float) -> str:
    """One standard deviation of a single seed, around its median; see runs.theory.band."""
    if np.isnan(log) or np.isnan(sd) or log == -np.inf:
        return ""
    return f"{norm(log - sd**2 - sd)} ... {norm(log - sd**2 + sd)}"


def _aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = []
    for row in [header, *rows]:
        first, *rest = zip(row, widths, strict=True)
        lines.append("   ".join([first[0].ljust(first[1]), *(c.rjust(w) for c, w in rest)]))
    return "\n".join(lines)


def _draw(points: Sequence[Point], path: Path) -> bool:
    """Whether there was something to draw."""
    from ffn_train.plots import encoded
    from ffn_train.plots.predicted import figure
    from ffn_train.runs.files import write_whole

    found = [(p.name, p.found) for p in points if isinstance(p.found, Prediction)]
    if not found:
        return False
    note = points[0].about if len(points) == 1 else f"{len(points)} points"
    drawn = figure(f"Predicted at initialisation, {points[0].mode}", note, found)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, encoded(drawn, path.suffix.removeprefix(".")))
    return True


def _slug(overrides: Sequence[str]) -> str:
    words = ",".join(overrides) or "default"
    return re.sub(r"[^A-Za-z0-9=.,+-]+", "_", words).lstrip(".-")[:80]
