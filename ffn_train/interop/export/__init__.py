"""A run in the formats of other programs: PyTorch, ONNX, tables, TensorBoard."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from ffn_train.config.combinations import unused
from ffn_train.config.keys import MODEL_GROUPS, dotted
from ffn_train.config.registry import choices, is_ours
from ffn_train.config.settings import SettingError, one_of
from ffn_train.interop.export import graph, records, source
from ffn_train.runs import Run, files
from ffn_train.using.model import Model, Which, model_of

NAMES = {  # format -> what it is called in the run's directory, unless another path is given
    "torch": "model.py",
    "onnx": "model.onnx",
    "csv": "records.csv",
    "parquet": "records.parquet",
    "tensorboard": "tensorboard",
}
NEEDS = {"onnx": "onnx", "parquet": "pyarrow", "tensorboard": "tensorboardX"}  # extra -> module
NETWORKS = {"torch": source.files_of, "onnx": graph.files_of}
ACTIVATIONS = {"torch": source.ACTIVATIONS, "onnx": graph.ACTIVATIONS}


def export(run: Run, to: str, out: Path | None = None, which: Which | None = None) -> list[Path]:
    """Write a run, or the network that it trained, for other programs; returns the files.

    to     torch: Python source and weights; onnx: a graph; csv, parquet: a table of all scalars and
           measures; tensorboard: an event file
    out    the file, or TensorBoard's directory; None: that of ``NAMES`` in the run's directory
    which  the weights, as for ``model_of``

    A network takes coded columns (N, D) in float64 and returns what ``run.predict`` does: targets
    in their own units, or the probabilities of classes. A copy of ``data.json``, which tells how
    columns are coded, lies beside it. Raises SettingError for what cannot be exported, an extra
    that is not installed and a file that exists with other content; RunError for a run that lacks
    something; OSError.
    """
    one_of("--to", to, NAMES)
    if to in NEEDS and find_spec(NEEDS[to]) is None:
        raise SettingError(f"--to {to} needs pip install 'ffn_train[{to}]'")
    path, suffix = out or run.path / NAMES[to], Path(NAMES[to]).suffix
    if suffix and path.suffix != suffix:
        raise SettingError(f"--to {to} needs an --out that ends in {suffix}, got {path}")
    if to in NETWORKS:
        model = _model(run, to, which)
        coding = files.read_bytes(run.path / files.DATA)
        contents = {path.with_suffix(".json"): coding, **NETWORKS[to](model, path)}
    elif which is not None:
        raise SettingError(f"--weights is for --to {' or '.join(NETWORKS)}, got --to {to}")
    else:
        contents = records.files_of(run, to, path)
    for file, content in contents.items():
        if files.there(file) and files.read_bytes(file) != content:
            raise SettingError(f"{file} exists; remove it, or name another file by --out")
    if to == "tensorboard":
        files.make_folder(path)
    for file, content in contents.items():  # the main one last
        files.write_whole(file, content, durable=False)
    return list(contents)


def _model(run: Run, to: str, which: Which | None) -> Model:
    """The run's model. Raises SettingError for a choice that the format has no counterpart of."""
    settings = dotted(run.config)
    for group in MODEL_GROUPS:
        name = settings.get(f"{group}.name")
        if name is None or group in ("init", *unused(run.config)):
            continue
        known = {word for word, cls in choices(group).items() if is_ours(cls)}
        if str(name) not in (known & {*ACTIVATIONS[to]} if group == "activation" else known):
            raise SettingError(f"--to {to} has no counterpart of {group}={name}")
    return model_of(run, which)
