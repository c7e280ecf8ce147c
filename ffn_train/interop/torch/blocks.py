"""Which modules of a network are its blocks, and what of it cannot be watched."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from torch import nn
from torch.nn.parameter import UninitializedParameter

from ffn_train.config.settings import SettingError
from ffn_train.interop.declaring import listed, named_by

# classes, by name, whose modules split or copy their tensors
SPLIT = {"DataParallel", "DistributedDataParallel", "FullyShardedDataParallel", "FSDPModule"}


class Unwatchable(RuntimeError):
    """Part of a network or step cannot be watched: one line that names it."""


def find(model: nn.Module, blocks: str | Iterable[str | nn.Module] | None) -> dict[str, nn.Module]:
    """The blocks by name, from input to output. Raises SettingError.

    A pattern such as ``layers.*`` stands for all modules of such names, in their order; a ``*`` is
    one part of a name. Without one, they are the most frequent kind of composite module in
    ``nn.ModuleList`` or ``nn.Sequential``.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    if blocks is None:
        names = _usual(modules)
    elif isinstance(blocks, str):
        pattern = re.compile(named_by(blocks))
        names = [name for name in modules if name and pattern.fullmatch(name)]
    else:
        given = [blocks] if isinstance(blocks, type) else listed("blocks", blocks)
        if any(isinstance(each, type) for each in given):
            what = "a class is not a module inside the model"
            raise SettingError(f"blocks={blocks!r}: {what}; {_containers(modules)}")
        name_of = {module: name for name, module in reversed(modules.items())}
        names = [b if isinstance(b, str) else name_of.get(b, type(b).__name__) for b in given]
    wrong = [name for name in names if not name or name not in modules]
    if wrong or not names:
        if wrong:
            what = f"{wrong[0]!r} is not a module inside the model"
        elif blocks is None:
            what = "a block has submodules, and no nn.ModuleList or nn.Sequential holds one"
        else:
            what = "no module has such a name"
        raise SettingError(f"blocks={blocks!r}: {what}; {_containers(modules)}")
    chosen = {name: modules[name] for name in names}
    for name, module in chosen.items():
        twin = next(other for other, each in chosen.items() if each is module)
        if twin != name or names.count(name) > 1:
            raise SettingError(f"blocks={blocks!r}: {name} and {twin} are the same module")
        outer = next((other for other in chosen if name.startswith(f"{other}.")), None)
        if outer is not None:
            raise SettingError(f"blocks={blocks!r}: {name} lies within {outer}")
        if not any(parameter.requires_grad for parameter in module.parameters()):
            raise SettingError(
                f"blocks={blocks!r}: {name} has no trained parameter; name the others in blocks="
            )
    return chosen


def _children(modules: Mapping[str, nn.Module]) -> dict[str, type[nn.Module]]:
    """The composite modules in the usual containers, and their classes."""
    return {
        name: type(module)
        for name, module in modules.items()
        if isinstance(modules.get(name.rpartition(".")[0]), (nn.ModuleList, nn.Sequential))
        and name
        and any(True for _ in module.children())
    }


def _usual(modules: Mapping[str, nn.Module]) -> list[str]:
    children = _children(modules)
    counts = Counter(children.values()).most_common(1)
    return [name for name, kind in children.items() if counts and kind is counts[0][0]]


def _containers(modules: Mapping[str, nn.Module]) -> str:
    children = _children(modules)
    counts = Counter((name.rpartition(".")[0], kind.__name__) for name, kind in children.items())
    words = [f"{name or 'the model'} ({n} {kind})" for (name, kind), n in counts.items()]
    return f"containers: {', '.join(words) or 'none'}"


def check(model: nn.Module) -> None:
    """Raises Unwatchable for modules that run no hooks or do not hold whole tensors."""
    for name, module in model.named_modules():
        where = f"{name or 'the model'} ({type(module).__name__})"
        if hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None):
            raise Unwatchable(f"{where} is compiled, and compiled code runs no hooks")
        if type(module).__module__.startswith("torch.jit"):
            raise Unwatchable(f"{where} is a script, whose tensors no hook can replace")
        if SPLIT & {cls.__name__ for cls in type(module).__mro__}:
            raise Unwatchable(f"{where} trains on shards, and each process sees only its own")
    for name, parameter in model.named_parameters():
        if type(parameter).__name__ == "DTensor":
            raise Unwatchable(f"{name} is a shard (DTensor)")
        if isinstance(parameter, UninitializedParameter):
            raise Unwatchable(f"{name} has no shape yet (a lazy module): call the model first")
