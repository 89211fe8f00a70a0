"""The classes of the written code: one for each larger part of the network, or for several that differ in sizes."""

from __future__ import annotations

import keyword
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from archwright.export.expressions import Variable
from archwright.export.forward import Forward, Writer
from archwright.export.layers import Argument, LayerSource, held
from archwright.export.partition import Partition
from archwright.export.tracing import Call, Traced

WIDTHS = {"in_channels", "out_channels", "num_features", "num_channels", "groups", "in_features", "out_features"}
RESERVED = frozenset(dir(nn.Module)) | {"mean", "std", "F", "nn", "torch", "l", "O", "I"}


@dataclass(frozen=True)
class Class:
    """A class of the written code, for one part of the network or for several that differ in sizes.

    `settings` are its constructor's arguments, with the types of their values.
    """

    name: str
    parts: tuple[Call, ...]
    attributes: dict[str, LayerSource]
    forward: Forward
    settings: dict[str, str] = field(default_factory=dict)

    def skeleton(self) -> str:
        """Return a value that is equal for classes which differ in the values of constructor arguments alone."""
        return repr((self.name, [(name, layer.skeleton()) for name, layer in self.attributes.items()], self.forward))

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield what the first of the parts holds, by name in its state dict."""
        for name, layer in self.attributes.items():
            yield from layer.tensors(name)


def classes(traced: Traced, name: str, taken: Sequence[str]) -> tuple[list[Class], dict[str, Tensor]]:
    """Return the classes, the innermost first and the network (called `name`) last, and the network's state dict."""
    partition = Partition(traced)
    finished: list[Class] = []
    instances: dict[Call, LayerSource] = {}
    names = {name, *taken}
    for level in partition.levels:
        alike: dict[str, list[Class]] = defaultdict(list)
        for call in level:
            part = _part(partition, call, instances)
            alike[part.skeleton()].append(part)
        for parts in alike.values():
            if traced.network in parts[0].parts:
                return [*finished, replace(parts[0], name=name)], dict(parts[0].tensors())
            finished.append(_shared(parts, unique(identifier(parts[0].name), names), instances))
    raise AssertionError("a partition ends with the network")


def _part(partition: Partition, call: Call, instances: dict[Call, LayerSource]) -> Class:
    units = partition.units(call)
    called = {unit.path: unit.layer if unit.part is None else instances[unit.part] for unit in units}
    layers = {path: layer for path, layer in called.items() if layer is not None}
    inside = {node for unit in units if unit.layer is not None for node in unit.nodes if node.op != "call_module"}
    tensors = partition.traced.tensors
    for node in partition.traced.graph.nodes:
        if node.op == "get_attr" and any(partition.owner(user) is call and user not in inside for user in node.users):
            layers[node.target] = held(tensors[node.target])
    attributes = attribute_names(list(layers), call.path)
    written = Writer(partition, call, units, attributes).write()
    return Class(call.kind, (call,), {attributes[path]: layer for path, layer in layers.items()}, written)


def _shared(parts: list[Class], name: str, instances: dict[Call, LayerSource]) -> Class:
    """One class for parts that are alike: what differs between them becomes arguments of its constructor."""
    first = parts[0]
    rows = [[a.value for layer in part.attributes.values() for a in layer.values()] for part in parts]
    labels = [(attribute, a.name) for attribute, layer in first.attributes.items() for a in layer.values()]
    columns = [tuple(repr(value) for value in column) for column in zip(*rows, strict=True)]
    varying = dict.fromkeys(column for column in columns if len(set(column)) > 1)
    uses = {v: [label for label, column in zip(labels, columns, strict=True) if column == v] for v in varying}
    settings = _settings(uses)
    body = iter([Variable(settings[c]) if c in settings else v for c, v in zip(columns, rows[0], strict=True)])
    attributes = {attribute: layer.with_values(body) for attribute, layer in first.attributes.items()}
    positions = {setting: columns.index(column) for column, setting in settings.items()}
    for part, row in zip(parts, rows, strict=True):
        arguments = tuple(Argument(setting, row[position], named=True) for setting, position in positions.items())
        instances[part.parts[0]] = LayerSource(name, arguments, state=tuple(part.tensors()))
    types = {s: " | ".join(dict.fromkeys(_type(row[position]) for row in rows)) for s, position in positions.items()}
    return Class(name, tuple(part.parts[0] for part in parts), attributes, first.forward, types)


def _settings(uses: dict[tuple[str, ...], list[tuple[str, str]]]) -> dict[tuple[str, ...], str]:
    """Name each value by what it is used as, and where names clash also by where it is used first."""
    short = {}
    for value, where in uses.items():
        names = {name for _, name in where}
        short[value] = "channels" if len(names) > 1 and names <= WIDTHS else where[0][1]
    taken = {"self"}
    alone = Counter(short.values())
    return {v: unique(short[v] if alone[short[v]] == 1 else "_".join(uses[v][0]), taken) for v in uses}


def _type(value: Any) -> str:
    return "tuple[int, ...]" if isinstance(value, tuple) else "None" if value is None else type(value).__name__


def attribute_names(paths: list[str], base: str) -> dict[str, str]:
    """Give each path a short name of its own: the parts of the path that distinguish it from its neighbours."""
    inside = {path: path.startswith(f"{base}.") for path in paths}
    relative = {path: (path[len(base) + 1 :] if inside[path] else path.split(".", 1)[-1]).split(".") for path in paths}
    branches: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for parts in relative.values():
        for index, part in enumerate(parts):
            branches[tuple(parts[:index])].add(part)
        branches[tuple(parts)].add("")  # a path that ends here and another that goes on must differ
    taken: set[str] = set()
    names = {}
    for path, parts in relative.items():
        kept = [i for i in range(len(parts)) if len(branches[tuple(parts[:i])]) > 1] or [len(parts) - 1]
        start = kept[0]
        while start and parts[start].isdecimal():  # a number alone says nothing
            start -= 1
        names[path] = unique(identifier("_".join(parts[i] for i in dict.fromkeys([start, *kept]))), taken)
    return names


def identifier(text: str) -> str:
    """Make a Python name of `text`, which may be anything."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII).strip("_") or "layer"
    name = f"layer_{name}" if name[0].isdecimal() else name
    return f"{name}_" if keyword.iskeyword(name) or name in RESERVED else name


def unique(name: str, taken: set[str]) -> str:
    """`name`, numbered if it is taken; it is taken afterwards."""
    number, candidate = 2, name
    while candidate in taken:
        candidate, number = f"{name}_{number}" if name[-1].isdecimal() else f"{name}{number}", number + 1
    taken.add(candidate)
    return candidate
