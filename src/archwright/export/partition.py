"""Which parts of a traced network become classes, and which of their steps become one layer."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, fx, nn

from archwright.export.layers import LayerSource, from_function, from_module, sequential
from archwright.export.tracing import Call, Traced, call_of, common_path

SMALL = 4  # statements; what is shorter is written in its caller
LONG = 6  # layers; a chain as long as this, in several places, is worth a class


@dataclass(frozen=True, eq=False)
class Unit:
    """Steps that are written as one call: of a part of the network (`part`), layers (`layer`), or one function."""

    nodes: tuple[fx.Node, ...]
    path: str = ""  # of what is called, in the network
    layer: LayerSource | None = None
    part: Call | None = None


class Partition:
    """The steps of a network, divided among the calls that become classes: `network` and the larger calls in it.

    A part whose parameters are used elsewhere too, or that is called twice, is written in its caller instead.
    """

    def __init__(self, traced: Traced) -> None:
        self.traced = traced
        self.within: dict[Call, list[fx.Node]] = defaultdict(list)  # the steps made during each call
        for node in traced.nodes:
            for call in call_of(node).callers():
                self.within[call].append(node)
        self._layers = {node: layer for node in traced.nodes if (layer := self._as_layer(node)) is not None}

    @cached_property
    def levels(self) -> list[list[Call]]:
        """The calls that become classes: first those that contain no other, last the network."""
        heights: dict[Call, int] = {}
        for call in sorted(self._chosen, key=_depth, reverse=True):
            inner = [height for part, height in heights.items() if call in part.callers()]
            heights[call] = max(inner, default=-1) + 1
        ordered = [call for call in self.within if call in heights]
        return [[call for call in ordered if heights[call] == level] for level in range(max(heights.values()) + 1)]

    @cached_property
    def _chosen(self) -> set[Call]:
        entangled = self._entangled()
        chosen: set[Call] = set()
        inner: set[fx.Node] = set()  # the steps of chosen calls
        for call in sorted(self.within, key=_depth, reverse=True):
            if call not in entangled and self._worth_a_class(call, inner, chosen):
                chosen.add(call)
                inner.update(self.within[call])
        return chosen | {self.traced.network}

    def _worth_a_class(self, call: Call, inner: set[fx.Node], chosen: set[Call]) -> bool:
        """Whether a call is several statements (`chosen` calls in it being one each), or a long chain that recurs."""
        own = [node for node in self.within[call] if node not in inner]
        heads = sum((before := self._joined(node, call)) is None or before in inner for node in own)
        if heads + sum(call in part.callers() for part in chosen) >= SMALL:
            return True
        if len(own) < LONG or call.kind == "Sequential":
            return False
        return sum(other.kind == call.kind and len(nodes) == len(own) for other, nodes in self.within.items()) > 1

    @cached_property
    def uses(self) -> dict[str, list[fx.Node]]:
        """The steps that use each parameter, buffer or layer with parameters, by path."""
        users: dict[str, list[fx.Node]] = defaultdict(list)
        for node in self.traced.graph.nodes:
            if node.op == "get_attr":
                users[node.target] += list(node.users)
            elif node.op == "call_module" and self.traced.modules[node.target].state_dict():
                users[node.target].append(node)
        return users

    def _entangled(self) -> set[Call]:
        entangled = set()
        for users in self.uses.values():
            seen = Counter(call for user in users for call in call_of(user).callers())
            entangled |= {call for call, count in seen.items() if count < len(users)}
        called = Counter(call.path for call in self.within)
        return entangled | {call for call in self.within if called[call.path] > 1}

    def owner(self, node: fx.Node) -> Call:
        """Return the class that a step is written in."""
        return next(call for call in call_of(node).callers() if call in self._chosen)

    def units(self, owner: Call) -> list[Unit]:
        """Return the units of a class's forward method, in order."""
        parts: dict[Call, list[fx.Node]] = defaultdict(list)
        chains: dict[fx.Node, list[fx.Node]] = {}  # by last step
        for node in self.within[owner]:
            part = next((c for c in reversed(_below(node, owner)) if c in self._chosen), None)
            if part is not None:
                parts[part].append(node)
            elif (before := self._joined(node, owner)) is not None and before in chains:
                chains[node] = [*chains.pop(before), node]
            else:
                chains[node] = [node]
        last = {nodes[-1]: part for part, nodes in parts.items()}
        units: list[Unit] = []
        paths: dict[str, str] = {}
        for node in self.within[owner]:  # each is written where its last step is: its inputs are known by then
            if node in last:
                units.append(Unit(tuple(parts[last[node]]), last[node].path, part=last[node]))
            elif node in chains:
                units += self._written(chains[node], owner, paths)
        return units

    def _written(self, chain: list[fx.Node], owner: Call, paths: dict[str, str]) -> list[Unit]:
        anchors = [node for node in chain if self._anchor(node)]
        if not anchors:
            return [Unit((node,)) for node in chain]
        layers = [self._layers[node] for node in chain if node in self._layers]
        if not layers:  # a module of several arguments, or used twice
            layers = [from_module(self.traced.modules[str(chain[0].target)], str(chain[0].target))]
        steps = " ".join(str(node.target) for node in anchors)
        path = self._path(chain, anchors, owner)
        if paths.setdefault(path, steps) != steps:  # two chains of one module
            path = f"{path}.{anchors[0].name}"
        return [Unit(tuple(chain), path, sequential(layers))]

    def _path(self, chain: list[fx.Node], anchors: list[fx.Node], owner: Call) -> str:
        paths = []
        for node in anchors:
            if node.op == "call_module":
                paths.append(str(node.target))
            elif call_of(node) is not owner:
                paths.append(call_of(node).path)
            else:
                weight = next(str(n.target) for n in node.all_input_nodes if n.op == "get_attr")
                paths.append(self.traced.origins.get(weight, weight))
        shared = common_path([path.split(".") for path in paths])
        if len(shared) > len(owner.path):
            return shared
        first, final = paths[0].rsplit(".", 1)[-1], paths[-1].rsplit(".", 1)[-1]
        whole = len(chain) == len(self.within[owner])
        name = "layers" if whole or first.isdecimal() or final.isdecimal() else f"{first}_to_{final}"
        return f"{owner.path}.{name}"

    def _anchor(self, node: fx.Node) -> bool:
        """Return whether a step is worth an attribute: a layer that the network has, or a function of parameters."""
        if node.op == "call_module":
            return not isinstance(self.traced.modules[str(node.target)], nn.ReLU) or node not in self._layers
        return node in self._layers and bool(self._layers[node].state)

    def _joined(self, node: fx.Node, owner: Call) -> fx.Node | None:
        """Return the step before, if both can be in one `nn.Sequential` and nothing else reads what is between."""
        before, *others = [source for source in node.all_input_nodes if source.op != "get_attr"] or [node]
        if others or len(before.users) > 1 or not self._layers.keys() >= {node, before}:
            return None
        if owner not in call_of(before).callers():
            return None
        together = call_of(before) is call_of(node) or set(_below(before, owner)) & set(_below(node, owner))
        return before if together else None

    def _as_layer(self, node: fx.Node) -> LayerSource | None:
        if node.op == "call_module":
            path, alone = str(node.target), len(self.uses.get(str(node.target), [node])) == 1
            simple = len(node.args) == 1 and not node.kwargs and isinstance(node.args[0], fx.Node)
            return from_module(self.traced.modules[path], path) if alone and simple else None
        return from_function(node, self._own_tensor)

    def _own_tensor(self, node: fx.Node) -> Tensor | None:
        mine = node.op == "get_attr" and len(self.uses[str(node.target)]) == 1
        return self.traced.tensors[str(node.target)] if mine else None


def _depth(call: Call) -> int:
    return len(list(call.callers()))


def _below(node: fx.Node, owner: Call) -> list[Call]:
    """Return the calls between a class and a step in it, the innermost first."""
    calls = list(call_of(node).callers())
    return calls[: calls.index(owner)]
