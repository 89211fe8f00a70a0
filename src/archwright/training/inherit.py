"""Weights of another network: a child's training may begin with those of the same names, or of the same layers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn


def inherit(network: nn.Module, weights: Mapping[str, Tensor]) -> float:
    """Copy the weights whose name and shape are a parameter's; return the share of the parameters that they are."""
    copied = total = 0
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            total += parameter.numel()
            if name in weights and weights[name].shape == parameter.shape:
                parameter.copy_(weights[name])
                copied += parameter.numel()
    return copied / max(1, total)


# What a module holds: its parts with their names, in order; a tensor's part is its shape.
Held: TypeAlias = "tuple[tuple[str, Any], ...]"
Pair: TypeAlias = "tuple[str, str]"


def held_by(state: Mapping[str, Tensor]) -> Held:
    """Return the modules within modules of a network, and the shapes of its weights and statistics."""
    tree: dict[str, Any] = {}
    for key, value in state.items():
        *modules, name = key.split(".")
        at = tree
        for module in modules:
            at = at.setdefault(module, {})
        at[name] = value.shape
    held: Held = _frozen(tree)
    return held


def _frozen(tree: Any) -> Any:
    return tuple((name, _frozen(part)) for name, part in tree.items()) if isinstance(tree, dict) else tree


def alike(ours: Held, theirs: Held, here: str = "", there: str = "") -> list[Pair]:
    """Return the names of tensors of modules that are alike and in the same order: ours and theirs.

    Networks that differ in one place have all others in common, whatever these are called.
    """
    a, b = ([(f"{at}{name}", part) for name, part in held] for held, at in ((ours, here), (theirs, there)))
    found: list[Pair] = []
    for tag, i, j, m, n in _matcher(a, b).get_opcodes():
        if tag == "equal":
            found += _paired(a[i:j], b[m:n])
        elif tag == "replace":
            inside: list[Pair] = []
            if j - i == n - m:
                for (name, one), (their, other) in zip(a[i:j], b[m:n], strict=True):
                    if not (_is_layer(one) or _is_layer(other)):
                        inside += alike(one, other, f"{name}.", f"{their}.")
            # Where modules were put around others or taken away, what is alike is at another depth.
            one, other = [*_layers(a[i:j])], [*_layers(b[m:n])]
            blocks = _matcher(one, other).get_matching_blocks()
            flat = [pair for x, y, size in blocks for pair in _paired(one[x : x + size], other[y : y + size])]
            found += inside if len(inside) >= len(flat) else flat
    return found


def in_common(ours: Held, theirs: Held) -> float:
    """Return the share of our numbers that they have, too."""
    sizes = {name: math.prod(shape) for name, shape in _tensors("", ours)}
    return sum(sizes[name] for name, _ in alike(ours, theirs)) / max(1, sum(sizes.values()))


def inherit_alike(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy the weights and statistics that a network has in common with another."""
    state = network.state_dict()
    for name, theirs in alike(held_by(state), held_by(weights)):
        state[name].copy_(weights[theirs])


def _matcher(a: Sequence[tuple[str, Any]], b: Sequence[tuple[str, Any]]) -> SequenceMatcher[Any]:
    return SequenceMatcher(None, [part for _, part in a], [part for _, part in b], autojunk=False)


def _paired(a: Sequence[tuple[str, Any]], b: Sequence[tuple[str, Any]]) -> Iterator[Pair]:
    for (name, part), (their, other) in zip(a, b, strict=True):
        ours, theirs = _tensors(name, part), _tensors(their, other)
        yield from ((one, another) for (one, _), (another, _) in zip(ours, theirs, strict=True))


def _tensors(name: str, part: Any) -> Iterator[tuple[str, torch.Size]]:
    if isinstance(part, torch.Size):
        yield name, part
    else:
        for inner, held in part:
            yield from _tensors(f"{name}.{inner}" if name else inner, held)


def _is_layer(part: Any) -> bool:
    """Return whether a part has tensors of its own."""
    return isinstance(part, torch.Size) or any(isinstance(held, torch.Size) for _, held in part)


def _layers(parts: Sequence[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for name, part in parts:
        if _is_layer(part):
            yield name, part
        else:
            yield from _layers([(f"{name}.{inner}", held) for inner, held in part])
