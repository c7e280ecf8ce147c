"""Layers that are classes with a forward and a backward method, as pairs of functions.

    class Dense:
        def __init__(self, inputs, outputs): ...    # self.W and self.b, or of arrays: Dense(W, b)
        def forward(self, x): ...                   # returns y
        def backward(self, dy): ...                 # returns dx; the others are in self.dW, self.db

Parameters and gradients may also lie in dictionaries or lists (``self.params``, ``self.grads``).
What is not returned is taken from attributes: y from ``self.output``, dx from ``self.dx``, or
``self.dinputs`` where forward takes ``inputs``. A backward pass that takes a learning rate may move
the parameters instead.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from ffn_train.nn.core import Floats

SIZES = (3, 5, 7, 11, 13)  # given to a constructor, and found again in the shapes of its arrays
RATE = re.compile("lr|eta|alpha|.*rate.*", re.IGNORECASE)  # names of a learning rate


@dataclass(frozen=True, eq=False)
class Held:
    """An array that a layer holds in its attributes, or in a dictionary or list among these."""

    holder: Any
    key: Any
    attribute: str

    @property
    def array(self) -> Floats:
        array: Floats = self.holder[self.key]
        return array

    @property
    def word(self) -> str:
        """Its name: an attribute's, a key's or, in a list, W0 or b0 by its dimensions and place."""
        if isinstance(self.key, int):
            return f"{'W' if self.array.ndim > 1 else 'b'}{self.key}"
        return re.sub(r"\W", "_", str(self.key)).strip("_")


def functions_of_class(cls: type[Any]) -> dict[str, Callable[..., Any]]:
    """``forward(x, *parameters)``, which returns y and the layer, and ``backward(dy, layer)``.

    Empty for a class without these methods, and for one that layers are derived from.
    """
    passes = all(callable(getattr(cls, name, None)) for name in ("forward", "backward"))
    if not passes or cls.__subclasses__():
        return {}
    takes, made = _required(cls), list[Held]()
    sizes = SIZES[: len(takes)]
    with suppress(Exception):  # as of a constructor that takes arrays
        made = _used(cls(*sizes), sizes)
    shapes = [held.array.shape for held in made]
    more = _required(cls.forward)[2:]  # behind the layer itself and x
    words = [*more, *([held.word for held in made] or takes)]

    def forward(x: Floats, *arrays: Floats) -> Any:
        beside, own = arrays[: len(more)], [array.copy() for array in arrays[len(more) :]]
        layer = cls(*([_size(size, shapes, own) for size in sizes] if made else own))
        places = {held.word: held for held in _parameters(layer)[0]}
        for held, array in zip(made, own, strict=False):
            places[held.word].holder[held.key] = array
        return _output(layer, x, *beside), (layer, x, arrays)

    def backward(dy: Floats, cache: tuple[Any, Floats, Sequence[Floats]]) -> Any:
        layer, x, arrays = cache
        names = _required(layer.backward)
        known: dict[str, Any] = {name: 1.0 for name in names if RATE.fullmatch(name)}
        if not names and inspect.signature(layer.backward).parameters:
            names, known = ["dy"], {"dy": dy}  # which has a default
        first = (_required(layer.forward) or ["x"])[0]
        known |= {first: x, **dict(zip(more, arrays, strict=False))}
        others = iter([dy, x] if np.ndim(dy) else [x, *arrays])  # of a loss
        dx = layer.backward(*(known[n] if n in known else next(others, None) for n in names))
        if dx is None:
            dx = vars(layer).get(f"d{first}", vars(layer).get("dinputs"))
        if isinstance(dx, Mapping):
            return dx
        returned = tuple(dx) if isinstance(dx, (tuple, list)) else (dx,)
        rest = slice(len(returned) - 1, None)  # the layer keeps their gradients
        return (*returned, *_gradients(layer, words[rest], arrays[rest]))

    kind = inspect.Parameter.POSITIONAL_ONLY
    arguments = [inspect.Parameter(name, kind) for name in ("x", *words)]
    forward.__signature__ = inspect.Signature(arguments)  # type: ignore[attr-defined]
    return {f"{cls.__name__}.forward": forward, f"{cls.__name__}.backward": backward}


def _required(function: Callable[..., Any]) -> list[str]:
    """The names of the arguments without a default."""
    parameters = inspect.signature(function).parameters.values()
    single = (p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
    return [p.name for p in single if p.default is p.empty]


def _size(size: int, shapes: Sequence[Sequence[int]], arrays: Sequence[Floats]) -> int:
    """What a constructor that made arrays of these shapes from ``size`` makes the given ones of."""
    for shape, array in zip(shapes, arrays, strict=True):
        if size in shape and array.ndim == len(shape):
            given: int = array.shape[shape.index(size)]
            return given
    return size


def _parameters(layer: Any) -> tuple[list[Held], list[Held]]:
    """The arrays that a layer holds, and those of gradients."""
    held = list[Held]()
    for name, value in vars(layer).items():
        keys: Iterable[Any] = value if isinstance(value, dict) else ()
        keys = range(len(value)) if isinstance(value, list) else keys
        held += [Held(value, key, name) for key in keys] or [Held(vars(layer), name, name)]
    arrays = [each for each in held if isinstance(each.holder[each.key], np.ndarray)]
    arrays = [each for each in arrays if each.array.ndim]
    words = {each.word for each in arrays}
    parts = list[Held](), list[Held]()
    for each in arrays:
        of_one = "grad" in each.attribute.lower() or _bare(each.word, words) != each.word
        parts[of_one].append(each)
    return parts


def _output(layer: Any, *given: Floats) -> Any:
    y = layer.forward(*given)
    return vars(layer).get("output") if y is None else y


def _used(layer: Any, sizes: Sequence[int]) -> list[Held]:
    """The parameters of a new layer: of its arrays those that its forward pass needs."""
    arrays, rng = _parameters(layer)[0], np.random.default_rng(0)
    for width in sizes or SIZES[:1]:
        for shape in ((4, width), (width, 4)):
            x, used = rng.normal(size=shape), list[Held]()
            with suppress(Exception):  # as of inputs of another width
                layer.forward(x)
                for held, array in [(held, held.array.copy()) for held in arrays]:
                    y = np.array(_output(layer, x))
                    held.holder[held.key] = array + rng.normal(size=array.shape)
                    if not np.array_equal(y, _output(layer, x)):
                        used.append(held)
                    held.holder[held.key] = array
                return used
    return arrays


def _gradients(
    layer: Any, words: Sequence[str], before: Sequence[Floats]
) -> Iterator[Floats | None]:
    """The gradient of each parameter or, with a learning rate of 1, by how much that moved."""
    parameters, gradients = _parameters(layer)
    after = {held.word: held.array for held in parameters}
    listed = dict(enumerate(words))  # as the gradients of a list, which have no names
    found = {listed.get(held.key, _bare(held.word, words)): held.array for held in gradients}
    for word, array in zip(words, before, strict=True):
        moved = array - after.get(word, array)
        yield found.get(word, moved if moved.any() else None)


def _bare(word: str, words: Collection[str]) -> str:
    """The parameter that a gradient's name names: W for dW, W_grad or grad_W."""
    bare = re.sub("_?grad(ient)?s?_?", "", word)
    named = bare.removeprefix("d").strip("_")
    return named if named in words else bare
