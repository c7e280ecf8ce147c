"""Event files for TensorBoard, which W&B, Aim and Trackio import, too."""

from __future__ import annotations

import importlib.util
import os
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ffn_train.config.keys import dotted
from ffn_train.config.registry import choice
from ffn_train.config.settings import SettingError
from ffn_train.nn.core import Floats
from ffn_train.runs import files
from ffn_train.runs.layout import QuantityColumn, RunLayout, read_layout
from ffn_train.runs.logger import Logger

FOLDER = "tensorboard"
FILE = "events.out.tfevents.0.ffn_train"
BLOCKS = 5  # evenly chosen blocks of a stack, including the first and the last

_TAGS = {
    "loss": "loss/training",
    "validation_loss": "loss/validation",
    "validation_score": "score/validation",
    "lr": "optimizer/lr",
    "gradient_norm": "gradient norm/before clipping",
    "clipped_norm": "gradient norm/after clipping",
}
_NORMS = ("gradient_norm", "update_norm", "weight_norm")  # of tensors, combined to those of layers


@choice("logger", "tensorboard")
class TensorBoard(Logger):
    """Event files in tensorboard/ of the run's directory; needs the extra `tensorboard`.

    At each step the scalars; at measured steps the quantities of the first, the last and three
    blocks between; at the end settings, verdict and figures (plot.formats=[png]).
    """

    now = staticmethod(time.time)  # the time of an event

    def __post_init__(self) -> None:
        super().__post_init__()
        if importlib.util.find_spec("tensorboardX") is None:
            raise SettingError(
                "logger=tensorboard needs tensorboardX: pip install 'ffn_train[tensorboard]'"
            )

    def open(
        self, run: Path, config: Mapping[str, Any], first: int, folder: Path | None = None
    ) -> None:
        """Keep the complete events before step ``first``, and append to them."""
        from tensorboardX.proto.event_pb2 import Event

        self.run, self.config, self.layout = run, config, read_layout(run)
        path = files.make_folder(folder or run / FOLDER) / FILE
        events = [Event(wall_time=self.now(), file_version="brain.Event:2")]
        if files.there(path):
            before = read_events(files.read_bytes(path))
            events = [e for e in before if e.file_version or (e.step < first and not closing(e))]
        files.write_whole(path, b"".join(map(framed, events)))
        flags = os.O_WRONLY | os.O_APPEND
        self.file = os.fdopen(files.regular(path, flags), "ab")

    def log(self, step: int, scalars: Mapping[str, float], measures: Mapping[str, Floats]) -> None:
        values = {_TAGS.get(name, f"scalars/{name}"): value for name, value in scalars.items()}
        columns = {column.name: column for column in self.layout.quantities}
        for name, measured in measures.items():
            if name in columns:
                values |= tagged(columns[name], measured, self.layout)
        self._write(step, [{"tag": tag, "simple_value": value} for tag, value in values.items()])

    def close(self, state: str) -> None:
        from tensorboardX import summary
        from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

        from ffn_train.runs.summary import read_summary

        with self.file:
            if state in ("interrupted", "failed") or not (outcome := read_summary(self.run)):
                return
            step = outcome.steps or 0
            text = "\n".join(f"* {finding.question}: {finding.text}" for finding in outcome.verdict)
            kinds = (bool, int, float, str)
            settings = {k: v for k, v in dotted(self.config).items() if isinstance(v, kinds)}
            losses = dict.fromkeys(("loss/training", "loss/validation"))
            for part in (summary.text("verdict", text), *summary.hparams(settings, losses)):
                for value in part.value:
                    plugin = value.metadata.plugin_data
                    if plugin.plugin_name == "hparams":  # a map, of another order in each process
                        settings_read = HParamsPluginData.FromString(plugin.content)
                        plugin.content = settings_read.SerializeToString(deterministic=True)
                self._write(step, part.value)
            for path in sorted((self.run / files.PLOTS).glob("*.png")):
                self._write(step, [picture(path)])

    def _write(self, step: int, values: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self.file.write(framed(Event(wall_time=self.now(), step=step, summary={"value": values})))
        self.file.flush()


def tagged(column: QuantityColumn, values: Floats, layout: RunLayout) -> dict[str, float]:
    """The values of one quantity by tag, for a few blocks; NaN are left out.

    Norms of tensors are combined to those of layers: a tag per tensor would be hundreds.
    """
    indices = np.linspace(0, layout.depth - 1, min(BLOCKS, layout.depth)).round().astype(int)
    digits = len(str(layout.depth))
    chosen = {f"block {index:0{digits}}": int(index) for index in indices}
    tags: dict[str, float] = {}
    if column.per == "run":
        tags = {"run": float(values)}
    elif column.per == "block":
        tags = {name: float(values[index]) for name, index in chosen.items()}
    elif column.per == "boundary":
        tags = {f"into {name}": float(values[index]) for name, index in chosen.items()}
        tags["out of the last block"] = float(values[-1])
    else:
        for tensor, value in zip(layout.tensors, values, strict=True):
            if tensor.block is not None and tensor.block not in chosen.values():
                continue
            layer = tensor.layer if tensor.block is None else f"block {tensor.block:0{digits}}"
            if column.name in _NORMS:
                tags[layer] = float(np.hypot(tags.get(layer, 0.0), value))
            else:
                tags[f"{layer} {tensor.role}"] = float(value)
    return {f"{column.name}/{index}": v for index, v in tags.items() if not np.isnan(v)}


def picture(path: Path) -> dict[str, Any]:
    """A PNG figure as a value of a TensorBoard summary. Raises RunError for another content."""
    content = files.read_bytes(path)
    if not content.startswith(b"\x89PNG\r\n\x1a\n") or len(content) < 24:
        raise files.RunError(f"{path}: it is not a PNG figure")
    width, height = struct.unpack(">II", content[16:24])  # of a PNG's header
    image = {"width": width, "height": height, "colorspace": 4, "encoded_image_string": content}
    return {"tag": f"figures/{path.stem}", "image": image}


def closing(event: Any) -> bool:
    """Whether an event belongs to a run's end, so that it is dropped when the run is extended."""
    return not any(value.HasField("simple_value") for value in event.summary.value)


def framed(event: Any) -> bytes:
    """An event as a record of the file: its length and its content, each with its checksum."""
    from tensorboardX.record_writer import masked_crc32c

    content = event.SerializeToString()
    length = struct.pack("<Q", len(content))
    checksums = (struct.pack("<I", masked_crc32c(part)) for part in (length, content))
    return b"".join((length, next(checksums), content, next(checksums)))


def read_events(content: bytes) -> Iterator[Any]:
    """The complete events of a file, without the partial last one of a killed process."""
    from tensorboardX.proto.event_pb2 import Event

    offset = 0
    while offset + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, offset)
        start, offset = offset + 12, offset + 16 + length
        if offset <= len(content):
            yield Event.FromString(content[start : start + length])
