"""Python source of values, function calls and operators, and the breaking of long lines."""

from __future__ import annotations

import ast
import inspect
import math
import operator
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import fx
from torch.fx.graph import magic_methods
from torch.nn import functional

from archwright.export.tracing import ExportError

WIDTH = 112  # of a line; below 120 with the trailing comma or comment that may follow
OPERATORS = {  # with those that overwrite, written as those that do not
    getattr(operator, prefix + name): form
    for name, form in magic_methods.items()
    for prefix in ("", "i")
    if name != "getitem" and hasattr(operator, prefix + name)
}
HOMES = {"F": functional, "torch": torch, **{f"torch.{n}": getattr(torch, n) for n in ("special", "linalg", "fft")}}
STRING = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""


class Variable(str):
    """A name in the written code, where `str` would be a text."""


class Text(NamedTuple):
    """An expression. An `atom` needs no parentheses beside an operator; `depth` counts calls in calls."""

    source: str
    atom: bool
    depth: int


Name = Callable[[fx.Node], Text]


def literal(value: Any, name: Name | None = None) -> str:
    """Write a constant, or a structure of constants and steps (whose source `name` gives)."""
    if isinstance(value, Variable):
        return str(value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, fx.Node) and name is not None:
        return name(value).source
    if isinstance(value, tuple):
        return f"({', '.join(literal(item, name) for item in value)}{',' * (len(value) == 1)})"
    if isinstance(value, list):
        return f"[{', '.join(literal(item, name) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(k, name)}: {literal(v, name)}" for k, v in value.items()) + "}"
    if isinstance(value, slice):
        return f"slice{literal((value.start, value.stop, value.step), name)}"
    if isinstance(value, torch.device):
        return f"torch.device({text(str(value))})"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if value is Ellipsis:
        return "..."
    if value is None or isinstance(value, (int, float, torch.dtype, torch.memory_format, torch.layout)):
        return repr(value)
    raise ExportError(f"a value of type {type(value).__name__} ({value!r}) cannot be written as source")


def text(value: str) -> str:
    """Write a string literal, in double quotes where that needs no escapes; no content can end it."""
    quoted = repr(value)
    return f'"{quoted[1:-1]}"' if quoted[0] == "'" and '"' not in quoted and "\\" not in quoted else quoted


def expression(node: fx.Node, name: Name) -> Text:
    """Write a function, method or operator step."""
    depth = 1 + max((name(source).depth for source in node.all_input_nodes), default=0)
    args, target = node.args, node.target
    if target in OPERATORS:
        return Text(OPERATORS[target].format(*(_operand(arg, name) for arg in args)), False, depth)
    if target is operator.getitem:
        return Text(f"{_operand(args[0], name)}[{_index(args[1], name)}]", True, depth)
    if target is getattr:
        return Text(f"{_operand(args[0], name)}.{args[1]}", True, depth)
    if node.op == "call_method":
        given = arguments(args[1:], node.kwargs, name)
        return Text(f"{_operand(args[0], name)}.{_copying(str(target))}({given})", True, depth)
    function, defaults = _function(target)
    kwargs = {k: v for k, v in node.kwargs.items() if k != "inplace" and (k not in defaults or defaults[k] != v)}
    return Text(f"{function}({arguments(args, kwargs, name)})", True, depth)


def arguments(args: Any, kwargs: Any, name: Name) -> str:
    """Write a call's arguments."""
    return ", ".join([literal(arg, name) for arg in args] + [f"{k}={literal(v, name)}" for k, v in kwargs.items()])


def _operand(value: Any, name: Name) -> str:
    if isinstance(value, fx.Node):
        source = name(value)
        return source.source if source.atom else f"({source.source})"
    negative = isinstance(value, (int, float)) and value < 0
    return f"({literal(value, name)})" if negative else literal(value, name)


def _index(value: Any, name: Name) -> str:
    if isinstance(value, tuple) and value:
        return ", ".join(_index(item, name) for item in value) + ("," if len(value) == 1 else "")
    if isinstance(value, slice):
        start, stop, step = ("" if v is None else literal(v, name) for v in (value.start, value.stop, value.step))
        return f"{start}:{stop}" + (f":{step}" if step else "")
    return literal(value, name)


def _copying(name: str) -> str:
    """Return the function that does the same but overwrites nothing: the written code may need the value again."""
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name


def _function(target: Any) -> tuple[str, dict[str, Any]]:
    """Return how a function is called in the written code, and its defaults where Python knows them."""
    short = getattr(target, "__name__", "")
    copying = _copying(short)
    for home, module in HOMES.items():
        if getattr(module, short, None) is target and hasattr(module, copying):
            described: Any = getattr(module, f"{copying}_with_indices", getattr(module, copying))  # of pooling
            try:
                parameters = inspect.signature(described).parameters.items()
            except ValueError:  # built in
                return f"{home}.{copying}", {}
            return f"{home}.{copying}", {n: p.default for n, p in parameters if p.default is not p.empty}
    raise ExportError(f"the network calls {target!r}, which is no public function of torch, so it cannot be written")


def fold(source: str, indent: int) -> str:
    """Indent the statement or argument `source`, and break it after brackets and commas where it is too long."""
    if indent + len(source) <= WIDTH:
        return " " * indent + source
    if re.fullmatch(STRING, source):
        inner = "".join(f"{' ' * (indent + 4)}{piece}\n" for piece in _pieces(source, WIDTH - indent - 4))
        return f"{' ' * indent}(\n{inner}{' ' * indent})"
    breaks = _breaks(source)
    if not breaks:
        return " " * indent + source
    parts = [source[a + 1 : b].strip() for a, b in pairwise([*breaks, len(source) - 1])]
    inner = "".join(fold(part, indent + 4) + ",\n" for part in parts if part)
    return f"{' ' * indent}{source[: breaks[0] + 1]}\n{inner}{' ' * indent}{source[-1]}"


def _breaks(source: str) -> list[int]:
    """Where the bracket opens that the source ends with, and the commas in it; none if no comma may end its parts."""
    stack: list[list[int]] = []
    for match in re.finditer(rf"{STRING}|[][(){{}},]", source):
        if match[0] in "([{":
            stack.append([match.start()])
        elif match[0] in ")]}":
            opening, *commas = found = stack.pop()
            if match.end() == len(source) and not stack:
                before = source[opening - 1 : opening]
                called = before.isalnum() or before in ("_", ")", "]")
                # A tuple is a call without a name: it has a comma of its own.
                return found if (called or commas if match[0] == ")" else not called) else []
        elif match[0] == "," and stack:
            stack[-1].append(match.start())
    return []


def _pieces(source: str, width: int) -> list[str]:
    """Split a long string literal into several, which Python joins."""
    pieces = [""]
    for character in ast.literal_eval(source):
        if len(text(pieces[-1] + character)) > width:
            pieces.append("")
        pieces[-1] += character
    return [text(piece) for piece in pieces]
