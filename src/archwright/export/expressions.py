"""Python source of values, function calls and operators, and the breaking of long lines."""

from __future__ import annotations

import ast
import inspect
import math
import operator
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import fx
from torch.nn import functional

from archwright.export.tracing import ExportError

WIDTH = 112  # of a line; below 120 with the trailing comma or comment that may follow
BINARY: dict[Any, str] = {
    operator.add: "+",
    operator.iadd: "+",
    operator.sub: "-",
    operator.isub: "-",
    operator.mul: "*",
    operator.imul: "*",
    operator.truediv: "/",
    operator.itruediv: "/",
    operator.floordiv: "//",
    operator.mod: "%",
    operator.pow: "**",
    operator.matmul: "@",
    operator.eq: "==",
    operator.ne: "!=",
    operator.lt: "<",
    operator.le: "<=",
    operator.gt: ">",
    operator.ge: ">=",
    operator.and_: "&",
    operator.or_: "|",
}
UNARY: dict[Any, str] = {operator.neg: "-", operator.invert: "~"}
HOMES = (
    ("F", functional),
    ("torch", torch),
    ("torch.special", torch.special),
    ("torch.linalg", torch.linalg),
    ("torch.fft", torch.fft),
)


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
    if isinstance(value, fx.Node) and name is not None:
        return name(value).source
    if isinstance(value, bool) or value is None or isinstance(value, (int, str)):
        return repr(value) if not isinstance(value, str) else text(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f'float("{value}")'
    if isinstance(value, tuple):
        inner = ", ".join(literal(item, name) for item in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, list):
        return f"[{', '.join(literal(item, name) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(k, name)}: {literal(v, name)}" for k, v in value.items()) + "}"
    if value is Ellipsis:
        return "..."
    if isinstance(value, (torch.dtype, torch.memory_format, torch.layout)):
        return str(value)
    if isinstance(value, torch.device):
        return f"torch.device({text(str(value))})"
    if isinstance(value, slice):
        return f"slice({literal(value.start, name)}, {literal(value.stop, name)}, {literal(value.step, name)})"
    raise ExportError(f"a value of type {type(value).__name__} ({value!r}) cannot be written as source")


def text(value: str) -> str:
    """Write a string literal, in double quotes where that needs no escapes; no content can end it."""
    quoted = repr(value)
    return f'"{quoted[1:-1]}"' if quoted[0] == "'" and '"' not in quoted and "\\" not in quoted else quoted


def expression(node: fx.Node, name: Name) -> Text:
    """Write a function, method or operator step."""
    depth = 1 + max((name(source).depth for source in node.all_input_nodes), default=0)
    args, target = node.args, node.target
    if target in BINARY and len(args) == 2:
        left, right = (_operand(arg, name) for arg in args)
        return Text(f"{left} {BINARY[target]} {right}", False, depth)
    if target in UNARY:
        return Text(f"{UNARY[target]}{_operand(args[0], name)}", False, depth)
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
    """How a function is called in the written code, and its defaults where Python knows them."""
    short = getattr(target, "__name__", "")
    for home, module in HOMES:
        if getattr(module, short, None) is target:
            short = _copying(short)
            function = getattr(module, short, None)
            described: Any = getattr(module, f"{short}_with_indices", function)  # pooling hides its signature
            if function is None:
                break
            try:
                parameters = inspect.signature(described).parameters
            except ValueError:  # built in
                return f"{home}.{short}", {}
            return f"{home}.{short}", {n: p.default for n, p in parameters.items() if p.default is not p.empty}
    raise ExportError(f"the network calls {target!r}, which is no public function of torch, so it cannot be written")


def fold(source: str, indent: int) -> str:
    """Indent the statement or argument `source`, and break it after brackets and commas where it is too long."""
    if indent + len(source) <= WIDTH:
        return " " * indent + source
    if _is_text(source):
        inner = "".join(f"{' ' * (indent + 4)}{piece}\n" for piece in _pieces(source, WIDTH - indent - 4))
        return f"{' ' * indent}(\n{inner}{' ' * indent})"
    opening, commas = _last_call(source)
    if opening is None:
        return " " * indent + source
    bounds = [opening, *commas, len(source) - 1]
    parts = [source[a + 1 : b].strip() for a, b in pairwise(bounds)]
    inner = "".join(fold(part, indent + 4) + ",\n" for part in parts if part)
    return f"{' ' * indent}{source[: opening + 1]}\n{inner}{' ' * indent}{source[-1]}"


def _last_call(source: str) -> tuple[int | None, list[int]]:
    """Where the bracket opens that the source ends with, if commas may follow its parts, and the commas inside it."""
    stack: list[int] = []
    commas: dict[int, list[int]] = {}
    quote, position = "", 0
    while position < len(source):
        character = source[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif character in "([{":
            stack.append(position)
            commas[position] = []
        elif character in ")]}":
            opening = stack.pop()
            if position == len(source) - 1 and not stack:
                before = source[opening - 1] if opening else " "
                called = before.isalnum() or before in "_)]"
                breakable = called if character == ")" else not called
                # A tuple is a call without a name: it has a comma of its own.
                breakable = breakable or (character == ")" and bool(commas[opening]))
                return (opening if breakable else None), commas[opening]
        elif character == "," and stack:
            commas[stack[-1]].append(position)
        position += 1
    return None, []


def _is_text(source: str) -> bool:
    end = source.find(source[0], 1) if source[0] in "'\"" else -1
    while end > 0 and (len(source[:end]) - len(source[:end].rstrip("\\"))) % 2:  # an escaped quote
        end = source.find(source[0], end + 1)
    return end == len(source) - 1


def _pieces(source: str, width: int) -> list[str]:
    """Split a long string literal into several, which Python joins."""
    pieces = [""]
    for character in ast.literal_eval(source):
        if len(text(pieces[-1] + character)) > width:
            pieces.append("")
        pieces[-1] += character
    return [text(piece) for piece in pieces]
