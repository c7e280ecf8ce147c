"""python -m ffn_train predict: a trained model's predictions for the rows of a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ffn_train.commands.options import Parser, free, say, tell
from ffn_train.config.outside import load
from ffn_train.config.settings import SettingError, counted, printable
from ffn_train.runs import files, load_run
from ffn_train.using.model import model_of


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the predictions as CSV, and print the score; exits 2 with one line on errors."""
    parser = Parser(
        "predict",
        "Predict the targets of a file's rows, in their own units, by the network that a run has "
        "trained. Columns are found by name. The training file is not needed.",
    )
    parser.add_argument("run", type=Path, metavar="RUN_DIR")
    parser.add_argument("table", metavar="NEW.csv", help="a file of any kind that task.path takes")
    parser.add_argument("--out", type=Path, metavar="FILE.csv", help="default: print them")
    parser.add_network()
    options = parser.parse(arguments)
    with parser.mistakes():
        load(options.parts)
        given = (options.table, options.out and free(options.out, ".csv", ".txt"))
        if options.out is not None and all(map(os.path.exists, given)) and os.path.samefile(*given):
            raise SettingError(f"--out {options.out} is the file that is read; name another")
        model = model_of(load_run(options.run), options.weights)
        frame, reading = model.reading(options.table)
        prediction = model.predict(frame)
        text = prediction.frame.to_csv(index=False, lineterminator="\n")
        if options.out is not None:
            files.write_whole(options.out, text.encode(), durable=False)
    if options.out is None:
        # data, which a pipe or a file gets as they are
        print(printable(text) if sys.stdout.isatty() else text, end="", flush=True)
    else:
        say(f"predictions for {counted(len(prediction.frame), 'row')} in {options.out}")
    about = [*(["a row of units is left out"] if reading.units else []), *reading.remarks]
    if prediction.score is not None:
        rows = counted(prediction.scored, "row")
        about.append(f"{prediction.symbol} {prediction.score:.9g} on {rows}")
    if prediction.unknown:
        rows = counted(prediction.unknown, "row")
        about.append(f"not scored: {rows} of classes not in the training file")
    if prediction.lacking:
        rows = counted(prediction.lacking, "row")
        about.append(f"not predicted: {rows} without an input (task.fill=drop)")
    if prediction.beyond:
        rows = counted(prediction.beyond, "row")
        about.append(f"not predicted: {rows} whose outputs are not finite")
    if about:
        (tell if options.out is None else say)("; ".join(about))
