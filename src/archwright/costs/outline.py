"""Operations on tensors without numbers (device "meta"), as fast as Python allows.

PyTorch works out the shape of such a result in Python, which takes longer than computing a small one. Here it is
worked out once for the shapes that go in; what is written in place stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Made: TypeAlias = "tuple[tuple[int, ...], tuple[int, ...], torch.dtype]"  # size, strides and kind of numbers
MOST = 100_000  # results remembered

_results: dict[Any, Made | tuple[Made, ...]] = {}


class Outlining(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A block in which networks are built on "meta" without working out what their weights begin with."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return computed(func, args, kwargs or {})


def computed(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return what an operation makes, remembered where it is without numbers."""
    if func.is_view or (first := next(tensors(args), None)) is None or not first.is_meta:
        return func(*args, **kwargs)
    if func._schema.is_mutable:
        return args[0] if args[0] is first and func.__name__.partition(".")[0].endswith("_") else func(*args, **kwargs)
    try:
        key = func, _key(args), _key(tuple(kwargs.items()))
        known = _results.get(key)
    except TypeError:  # an argument that nothing can be remembered by
        return func(*args, **kwargs)
    if known is None:
        made = func(*args, **kwargs)
        if isinstance(made, Tensor):
            known = _described(made)
        elif isinstance(made, tuple) and all(isinstance(one, Tensor) for one in made):
            known = tuple(map(_described, made))
        else:
            return made
        if len(_results) > MOST:
            _results.clear()
        _results[key] = known
        return made
    return tuple(map(_empty, known)) if isinstance(known[0][0], tuple) else _empty(known)


def tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors among arguments or results."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from tensors(each)


def _key(value: Any) -> Any:
    if isinstance(value, Tensor):
        return _described(value), value.is_meta
    if isinstance(value, (tuple, list)):
        return tuple(map(_key, value))
    return type(value), value


def _described(tensor: Tensor) -> Made:
    return tuple(tensor.shape), tensor.stride(), tensor.dtype


def _empty(made: Made) -> Tensor:
    return torch.empty_strided(made[0], made[1], dtype=made[2], device="meta")
