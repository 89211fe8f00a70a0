"""Layers as constructor calls, `nn.Conv2d(16, 32, 3, padding=1)`: with the arguments that differ from the defaults."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from archwright.export.expressions import literal
from archwright.export.tracing import ExportError

SQUARE = ("kernel_size", "stride", "padding", "dilation", "output_padding", "output_size")  # one number for all sides
RELU = ("relu", "relu_", functional.relu, functional.relu_, torch.relu, torch.relu_)
POOLING: dict[Any, Callable[..., nn.Module]] = {  # with the same arguments
    functional.max_pool2d: nn.MaxPool2d,
    functional.avg_pool2d: nn.AvgPool2d,
    functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
}


@dataclass(frozen=True)
class Argument:
    """An argument of a constructor; `named` ones are written with their name."""

    name: str
    value: Any
    named: bool


@dataclass(frozen=True)
class LayerSource:
    """A constructor call: of other layers, then arguments. `state` are the tensors that it holds itself, by name."""

    kind: str
    arguments: tuple[Argument, ...] = ()
    children: tuple[LayerSource, ...] = ()
    state: tuple[tuple[str, Tensor], ...] = ()
    buffer: bool = False  # a plain tensor: registered, not assigned

    def write(self) -> str:
        arguments = sorted(self.arguments, key=lambda argument: argument.named)
        parts = [child.write() for child in self.children]
        parts += [f"{a.name}={literal(a.value)}" if a.named else literal(a.value) for a in arguments]
        return f"{self.kind}({', '.join(parts)})"

    def skeleton(self) -> Any:
        """Return a value that is equal for layers which differ in the values of their arguments only."""
        return self.buffer, self.with_values(repeat(None)).write()

    def values(self) -> Iterator[Argument]:
        """Yield all arguments, those of the children too."""
        yield from self.arguments
        for child in self.children:
            yield from child.values()

    def with_values(self, values: Iterator[Any]) -> LayerSource:
        """Return the same call with other values for what `values` lists."""
        arguments = tuple(replace(argument, value=next(values)) for argument in self.arguments)
        return replace(self, arguments=arguments, children=tuple(child.with_values(values) for child in self.children))

    def tensors(self, prefix: str) -> Iterator[tuple[str, Tensor]]:
        """Yield every tensor with its name in the state dict, if the layer is the attribute `prefix`."""
        for name, tensor in self.state:
            yield f"{prefix}.{name}" if name else prefix, tensor
        for index, child in enumerate(self.children):
            yield from child.tensors(f"{prefix}.{index}" if self.kind == "nn.Sequential" else prefix)


def sequential(layers: Sequence[LayerSource]) -> LayerSource:
    """Join layers, one after the other; a single layer is itself."""
    return layers[0] if len(layers) == 1 else LayerSource("nn.Sequential", children=tuple(layers))


def held(tensor: Tensor) -> LayerSource:
    """Return a parameter or a buffer of this shape."""
    shape = tuple(Argument("size", size, named=False) for size in tensor.shape or ((),))
    if tensor.dtype != torch.float32:
        shape += (Argument("dtype", tensor.dtype, named=True),)
    state = (("", tensor.detach()),)
    zeros = LayerSource("torch.zeros", shape)
    if not isinstance(tensor, nn.Parameter):
        return replace(zeros, state=state, buffer=True)
    frozen = () if tensor.requires_grad else (Argument("requires_grad", False, named=True),)
    return LayerSource("nn.Parameter", frozen, (zeros,), state)


def from_module(module: nn.Module, path: str) -> LayerSource:
    """Return the constructor call of one of torch.nn's own layers, read off its attributes."""
    kind = type(module)
    recurrent = isinstance(module, nn.RNNBase)  # their constructors hide the arguments behind *args
    parameters = inspect.signature(nn.RNNBase if recurrent else kind).parameters
    arguments = []
    for name, parameter in parameters.items():
        if name in ("mode", "device", "dtype", "inplace", "args", "kwargs") or name.startswith("_"):
            continue  # inplace: the written code does not know who else reads what is overwritten
        if not hasattr(module, name):
            raise ExportError(f"{path}: nn.{kind.__name__} does not keep its argument {name!r}; it cannot be written")
        value = getattr(module, name)
        if name == "bias":
            if getattr(module, "affine", True) is False:
                continue  # an argument of newer torch alone, and there is no bias anyway
            value = value is not None and value is not False
        if name in SQUARE and isinstance(value, (tuple, list)) and len(set(value)) == 1:
            value = value[0]
        required = parameter.default is parameter.empty
        if name == "stride" and parameter.default is None and literal(value) == literal(module.kernel_size):
            continue  # pooling strides by its kernel unless told otherwise
        if required or value != parameter.default:
            arguments.append(Argument(name, value, named=not required))
    state = tuple((name, tensor.detach()) for name, tensor in module.state_dict().items())
    return LayerSource(f"nn.{kind.__name__}", tuple(arguments), state=state)


def from_function(node: fx.Node, tensor_of: Callable[[fx.Node], Tensor | None]) -> LayerSource | None:
    """Return the layer that does the same as a function of one tensor, and of parameters of its own, if any.

    `tensor_of` gives the tensor that a node stands for, or None where it is computed or used elsewhere too.
    """
    target: Any = node.target
    if target in RELU:
        return LayerSource("nn.ReLU")
    if target in (functional.conv2d, functional.linear):
        return _weighted(node, tensor_of)
    if target in POOLING and len(node.all_input_nodes) == 1:
        return from_module(POOLING[target](*node.args[1:], **node.kwargs), node.name)
    return None


def _weighted(node: fx.Node, tensor_of: Callable[[fx.Node], Tensor | None]) -> LayerSource | None:
    names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
    given: dict[str, Any] = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
    weight, bias = (tensor_of(given[n]) if isinstance(given.get(n), fx.Node) else None for n in ("weight", "bias"))
    settings = {name: given[name] for name in names[3:] if name in given}
    constant = not any(isinstance(value, fx.Node) for value in settings.values())
    if weight is None or (bias is None and given.get("bias") is not None) or not constant:
        return None
    with torch.device("meta"):
        if node.target is functional.linear:
            module: nn.Module = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
        else:
            inputs = weight.shape[1] * settings.get("groups", 1)
            height, width = weight.shape[2:]
            module = nn.Conv2d(inputs, weight.shape[0], (height, width), bias=bias is not None, **settings)
    state = (("weight", weight), *([("bias", bias)] if bias is not None else []))
    return replace(from_module(module, node.name), state=tuple((name, tensor.detach()) for name, tensor in state))
