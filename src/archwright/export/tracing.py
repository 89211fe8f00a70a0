"""A network as a graph: what it computes in evaluation, with the module that each step came from.

torch.fx runs the network on a stand-in for its input. Everything that Python decides (an architecture, a loop over
cells, dropout outside training) is decided then, so a child of any space becomes a plain list of layers and functions.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, fx, nn

from archwright.errors import ArchwrightError

IDLE = (nn.Identity, nn.modules.dropout._DropoutNd)
# What only rearranges numbers: of parameters, it can be done once, and the result trained as well as the parts.
REARRANGING = {torch.cat, torch.concat, torch.stack, torch.index_select, torch.narrow, operator.getitem}
REARRANGING_METHODS = frozenset(
    ("contiguous", "flatten", "index_select", "narrow", "permute", "reshape", "squeeze", "t", "transpose", "view")
)


class ExportError(ArchwrightError):
    """A network that cannot be written as plain PyTorch, or whose written form does not give the same outputs."""


@dataclass(eq=False)
class Call:
    """One call of a module whose `forward` was followed: where it is in the network, its class, and its caller."""

    path: str
    kind: str
    caller: Call | None = None

    def callers(self) -> Iterator[Call]:
        """Yield this call, its caller, and so on to the network's own."""
        yield self
        if self.caller is not None:
            yield from self.caller.callers()


@dataclass
class Traced:
    """`nodes` in the order computed; `modules` and `tensors` are what they refer to, by path in the network.

    `origins` tells of tensors that were made here what in the network they were made from.
    """

    graph: fx.Graph
    network: Call
    modules: dict[str, nn.Module] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    @property
    def nodes(self) -> list[fx.Node]:
        """The steps: no input, no output, no references to parameters."""
        return [node for node in self.graph.nodes if node.op in ("call_module", "call_function", "call_method")]


def call_of(node: fx.Node) -> Call:
    """Return the module call that a step belongs to."""
    call: Call = node.meta["call"]
    return call


def trace(network: nn.Module, example: Tensor) -> Traced:
    """Trace `network` (in evaluation mode) from its first argument, the others at their defaults.

    `example` tells shapes: each node whose value is a tensor has it as `node.meta["shape"]`.
    """
    entry, call = _Entry(network), Call("network", type(network).__name__)
    try:
        graph = _Tracer(call).trace(entry)
    except (fx.proxy.TraceError, TypeError, ValueError, RuntimeError) as error:
        raise ExportError(f"{type(network).__name__} cannot be written as plain PyTorch: {error}") from error
    traced = Traced(graph, call)
    for node in graph.nodes:
        if node.op == "call_module":
            traced.modules[node.target] = entry.get_submodule(node.target)
        elif node.op == "get_attr":
            traced.tensors[node.target] = attrgetter(node.target)(entry)
    _drop_idle(traced)
    _join_parameters(traced)
    graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
    result = next(node for node in graph.nodes if node.op == "output").args[0]
    if not isinstance(result, fx.Node) or result not in traced.nodes:
        raise ExportError(f"{type(network).__name__} returns {result!r}; only one computed tensor can be written")
    with torch.no_grad():
        _Shapes(entry, traced).run(example, enable_io_processing=False)
    return traced


class _Entry(nn.Module):
    """Calls the network with one argument: fx would make stand-ins of the optional ones too."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Any:
        return self.network(x)


class _Tracer(fx.Tracer):
    """Follows every module that is not one of torch.nn's own layers, and notes which call each node was made in."""

    def __init__(self, network: Call) -> None:
        super().__init__()
        self._calls = [network]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        kind = type(m)
        return kind is getattr(nn, kind.__name__, None) and not isinstance(m, nn.Sequential)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        path = self.path_of_module(m)
        if path == self._calls[0].path or self.is_leaf_module(m, path):
            return super().call_module(m, forward, args, kwargs)
        self._calls.append(Call(path, type(m).__name__, self._calls[-1]))
        try:
            return super().call_module(m, forward, args, kwargs)
        finally:
            self._calls.pop()

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        node.meta["call"] = self._calls[-1]
        return node


def _drop_idle(traced: Traced) -> None:
    """Take out what does nothing in evaluation."""
    for node in traced.nodes:
        idle = node.op == "call_module" and isinstance(traced.modules[str(node.target)], IDLE)
        if "dropout" in getattr(node.target, "__name__", ""):
            idle = node.kwargs.get("training") is False
        if idle:
            (source,) = node.all_input_nodes
            node.replace_all_uses_with(source)


def _join_parameters(traced: Traced) -> None:
    """Do what only rearranges parameters now: weights kept per input slot become the weight of one convolution."""
    for node in traced.nodes:
        parts = [source for source in node.all_input_nodes if source.op == "get_attr"]
        rearranges = node.target in REARRANGING or (node.op == "call_method" and node.target in REARRANGING_METHODS)
        if not rearranges or not parts or len(parts) < len(node.all_input_nodes):
            continue
        values = [traced.tensors[str(part.target)] for part in parts]
        trained = isinstance(values[0], nn.Parameter)
        if any(isinstance(value, nn.Parameter) != trained for value in values):
            continue
        joined = _computed(node, traced.tensors)
        if trained:
            joined = nn.Parameter(joined.clone(), requires_grad=any(value.requires_grad for value in values))
        targets = [traced.origins.get(str(part.target), str(part.target)) for part in parts]
        shared = common_path([target.split(".") for target in targets])
        path = f"{shared}.{node.name}"
        traced.tensors[path] = joined
        traced.origins[path] = shared if "." in shared else targets[0]
        with traced.graph.inserting_before(node):
            whole = traced.graph.create_node("get_attr", path)
        whole.meta["call"] = call_of(node)
        node.replace_all_uses_with(whole)


def _computed(node: fx.Node, tensors: dict[str, Tensor]) -> Tensor:
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda part: tensors[str(part.target)])
    function: Any = getattr(args[0], node.target) if isinstance(node.target, str) else node.target
    with torch.no_grad():
        value: Tensor = function(*(args[1:] if isinstance(node.target, str) else args), **kwargs)
    return value


def common_path(paths: list[list[str]]) -> str:
    """Return the longest path that all begin with."""
    alike = takewhile(lambda names: len(set(names)) == 1, zip(*paths, strict=False))
    return ".".join(names[0] for names in alike)


class _Shapes(fx.Interpreter):
    """Runs the graph and notes the shape of each value."""

    def __init__(self, entry: nn.Module, traced: Traced) -> None:
        super().__init__(entry, garbage_collect_values=True, graph=traced.graph)
        self._tensors = traced.tensors

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            n.meta["shape"] = tuple(value.shape)
        return value

    def fetch_attr(self, target: str) -> Any:
        return self._tensors[target] if target in self._tensors else super().fetch_attr(target)
