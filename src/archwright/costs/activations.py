"""The memory that the results of a network's operations take at once."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_activation_bytes(network: nn.Module, *inputs: Tensor) -> int:
    """Run the network once and return the most bytes that its inputs and results took at one moment.

    Weights do not count, nor the working memory inside an operation.
    """
    with torch.no_grad(), _Watch(network, inputs) as watch:
        network(*inputs)
    return int(watch.peak)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the storages of results that are alive."""

    def __init__(self, network: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        own = (*network.parameters(), *network.buffers(), *inputs)
        self._own = {tensor.untyped_storage()._cdata for tensor in own}
        self._alive: dict[int, list[int]] = {}  # by storage: how many tensors look at it, and its bytes
        self.now = self.peak = sum(tensor.untyped_storage().nbytes() for tensor in inputs)

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._see(tensor)
        return result

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if (key := storage._cdata) in self._own:
            return
        if key not in self._alive:
            self._alive[key] = [0, storage.nbytes()]
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
        self._alive[key][0] += 1
        weakref.finalize(tensor, self._drop, key).atexit = False

    def _drop(self, key: int) -> None:
        self._alive[key][0] -= 1
        if not self._alive[key][0]:
            self.now -= self._alive.pop(key)[1]
