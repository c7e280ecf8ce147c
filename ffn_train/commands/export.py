"""python -m ffn_train export: a run in the formats of other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ffn_train.commands.options import Parser, say
from ffn_train.config.outside import load
from ffn_train.interop.export import NAMES, export
from ffn_train.runs import load_run


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the files, and name them; exits 2 with one line on errors."""
    parser = Parser(
        "export",
        "Write the network that a run has trained as PyTorch source (torch) or as an ONNX graph "
        "(onnx), or what it measured as a tidy table (csv, parquet) or as TensorBoard's events. "
        "A file that exists with other content is not replaced.",
    )
    parser.add_argument("run", type=Path, metavar="RUN_DIR")
    parser.add_argument("--to", choices=tuple(NAMES), required=True)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="the file, or tensorboard's directory; default, in RUN_DIR: "
        + ", ".join(NAMES.values()),
    )
    parser.add_network()
    options = parser.parse(arguments)
    with parser.mistakes("; --out PATH writes elsewhere"):
        load(options.parts)
        for path in export(load_run(options.run), options.to, options.out, options.weights):
            say(str(path))
