"""``watch``: the gradient flow of a PyTorch network, without importing PyTorch until then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ffn_train.config.settings import SettingError
from ffn_train.interop.declaring import instance, integer, listed
from ffn_train.interop.recorder import declared
from ffn_train.runs.logger import Logger

if TYPE_CHECKING:
    from torch import nn
    from torch.amp import GradScaler

    from ffn_train.interop.torch.watcher import Watch


def watch(
    model: nn.Module,
    blocks: str | Iterable[str | nn.Module] | None = None,
    *,
    path: str | Path,
    every: int = 50,
    split: bool | None = None,
    scaler: GradScaler | None = None,
    scalars: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    loss_unit: str | None = None,
    baseline_loss: float | None = None,
    score: Mapping[str, Any] | None = None,
    first: int = 0,
    logger: Logger | None = None,
) -> Watch:
    """Record a PyTorch network's training into the directory ``path``; use it in a ``with``.

        with ffn_train.watch(model, "layers.*", path="outputs/net", every=50) as run:
            for x, y in batches:
                ...  # forward pass, backward pass, optimizer.step(), as ever
                run.log(loss)

    blocks  a pattern, in which a ``*`` is one part of a name; or a list of names or modules; or
            None: the most frequent kind of module in the usual containers
    every   steps from one measurement to the next; in between there are no hooks
    split   how blocks with several branches, such as attention and feed-forward, are treated: True
            makes each a block of its own, False takes the first for the branch and the rest for the
            skip path, None refuses them
    scaler  the gradient scaler, if any

    The rest is as in ``record``; ``scalars`` are columns beside ``loss`` and ``lr``. Raises
    SettingError for what does not fit, Unwatchable (a RuntimeError), now or later, for what cannot
    be watched.
    """
    try:
        import torch
        from torch import nn
        from torch.amp import GradScaler
    except ImportError:
        raise SettingError("watch needs PyTorch: pip install 'ffn_train[torch]'") from None
    from ffn_train.interop.torch import blocks as finding
    from ffn_train.interop.torch.watcher import Watch

    every, first = integer("every", every, at_least=1), integer("first", first, at_least=0)
    instance("model", model, nn.Module, "a torch.nn.Module")
    instance("split", split, bool | None, "True, False or None")
    instance("scaler", scaler, GradScaler | None, "a torch.amp.GradScaler")
    finding.check(model)
    wide = any(each.dtype in (torch.float64, torch.complex128) for each in model.parameters())
    return Watch(
        model,
        finding.find(model, blocks),
        path,
        declared(
            path,
            scalars=("loss", "lr", *listed("scalars", scalars)),
            config=config,
            dtype="float64" if wide else "float32",  # bfloat16 has the range of the latter
            loss_unit=loss_unit,
            baseline_loss=baseline_loss,
            score=score,
            first=first,
            logger=logger,
        ),
        every=every,
        split=split,
        scaler=scaler,
        first=first,
    )
