"""What the parts of a network cost, as a drawing shows them node by node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from archwright.space import Task
from archwright.training.measure import image, inference, parameters


@dataclass
class Part:
    """What a node of a drawing costs for one image or token, in all cells together if the cell is repeated.

    `graph` is the first word of the graph's title; `shapes` are those of the node's output, cell by cell;
    `whole`: other nodes are inside of it.
    """

    graph: str
    node: str
    shapes: list[str] = field(default_factory=list)
    times: int = 0
    parameters: int = 0
    multiply_adds: int = 0
    whole: bool = False

    def add(self, parameters: int, multiply_adds: int, shape: str) -> None:
        """Count one more cell."""
        self.times += 1
        self.parameters += parameters
        self.multiply_adds += multiply_adds
        self.shapes.append(shape)


def parts_of_image(network: nn.Module, drawn: Iterable[tuple[str, str, Any]], task: Task) -> list[Part]:
    """Return what the drawn modules cost for one image, counted as `multiply_adds` and `parameters` count."""
    drawn = list(drawn)
    found: dict[tuple[str, str], Part] = {}
    modules = {part for _, _, part in drawn}
    hooks: list[Any] = []
    begun: dict[nn.Module, int] = {}

    def before(part: nn.Module, _inputs: Any) -> None:
        begun[part] = counter.get_total_flops()

    def watch(part: nn.Module, into: Part) -> None:
        def after(_module: nn.Module, _inputs: Any, output: Any) -> None:
            shape = getattr(output, "tensor", output).shape[1:]
            cost = (counter.get_total_flops() - begun[part]) // 2
            into.add(parameters(part), cost, "x".join(map(str, shape)))

        hooks.extend((part.register_forward_pre_hook(before), part.register_forward_hook(after)))

    with inference(network), FlopCounterMode(display=False) as counter:
        for graph, node, part in drawn:
            into = found.setdefault((graph, node), Part(graph, node))
            into.whole |= any(inside in modules for inside in part.modules() if inside is not part)
            watch(part, into)
        try:
            network(image(network, task))
        finally:
            for hook in hooks:
                hook.remove()
    return list(found.values())


def parts_of_token(drawn: Iterable[tuple[str, str, Any]]) -> list[Part]:
    """Return what the drawn modules, or numbers of weights, cost for one token: every matrix once."""
    found: dict[tuple[str, str], Part] = {}
    for graph, node, part in drawn:
        into = found.setdefault((graph, node), Part(graph, node))
        if isinstance(part, int):
            into.add(part, part, "")
            continue
        matrices = sum(p.numel() for p in part.parameters() if p.dim() == 2)
        looked_up = isinstance(part, nn.Embedding)
        into.add(parameters(part), 0 if looked_up else matrices, "")
    return list(found.values())
