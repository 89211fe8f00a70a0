"""The operations of one evaluation of a network, by kind and size: what its latency is a sum of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from archwright.costs.outline import computed, tensors


@dataclass(frozen=True)
class Operation:
    """What an operation of PyTorch does, whatever computes it: its `kind`, its multiply-adds, and how many numbers it
    reads and writes; `weights` are those that the network holds. `form` are its settings: kernel, stride, dilation.

    These sizes tell shapes apart: weights are read once, so multiply-adds over weights are the pixels of a convolution.
    """

    kind: str
    multiply_adds: int
    read: int
    written: int
    weights: int
    form: str = ""


Operations: TypeAlias = "Counter[Operation]"


def operations(network: nn.Module, *inputs: Tensor) -> Operations:
    """Run the network once and return what it computes. Networks and inputs on "meta" compute nothing and are fast.

    Views of a tensor count as nothing.
    """
    watch = _Watch(network)
    with torch.no_grad(), watch:
        network(*inputs)
    return watch.seen


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        own = (*network.parameters(), *network.buffers())
        self._own = {tensor.untyped_storage()._cdata for tensor in own}
        self.seen: Operations = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = computed(func, args, kwargs)
        made = None if func.is_view else next(tensors(result), None)  # others are by-products that devices differ in
        if made is not None and made.numel():
            held = read = 0
            inputs = list(tensors(args))
            for tensor in inputs:
                if tensor.untyped_storage()._cdata in self._own:
                    held += tensor.numel()
                else:
                    read += tensor.numel()
            count: Callable[..., int] | None = flop_registry.get(func.overloadpacket)
            work = 0 if count is None else int(count(*args, **kwargs, out_val=result)) // 2
            self.seen[Operation(_kind(func, args), work, read, made.numel(), held, _form(args))] += 1
        return result


def _form(args: tuple[Any, ...]) -> str:
    """Return the shape of a kernel, and all other settings that are lists of numbers."""
    kernels = [tuple(one.shape[2:]) for one in args if isinstance(one, Tensor) and one.dim() > 2][1:]
    return " ".join(str(one) for one in (*kernels, *(list(one) for one in args if _numbers(one))))


def _numbers(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and bool(value) and all(isinstance(one, int) for one in value)


def _kind(func: Any, args: tuple[Any, ...]) -> str:
    name = str(func.overloadpacket.__name__)
    if name == "convolution":
        read, weight, groups = args[0], args[1], args[8]
        name = {1: name, read.shape[1]: "depthwise convolution"}.get(groups, "convolution in groups")
        return name if weight[0, 0].numel() > 1 else f"{name} 1x1"
    return name
