"""Objectives written as expressions of metrics: `accuracy * (latency_ms / 5) ** -0.07`."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from archwright.costs.target import COSTS
from archwright.errors import ChildFailure, ConfigError, offered

# Short names, for what a search measures on the validation part.
SHORT = {name: f"validation_{name}" for name in ("accuracy", "perplexity", "loss")}
FUNCTIONS: dict[str, Callable[..., float]] = {
    **{"min": min, "max": max, "abs": abs},
    **{"log": math.log, "exp": math.exp, "sqrt": math.sqrt},
}
OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    **{ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv},
    **{ast.Pow: operator.pow, ast.USub: operator.neg, ast.UAdd: operator.pos},
}
GRAMMAR = f"numbers, names of metrics, + - * / ** and {', '.join(FUNCTIONS)} are known"


def metric_name(name: str) -> str:
    """Return the whole name of a metric ("accuracy" is short for "validation_accuracy")."""
    return SHORT.get(name, name)


def larger_is_better(metric: str) -> bool:
    """Return whether a larger value of a metric is better: of accuracies, and of nothing else."""
    return "accuracy" in metric.split("_")


def written(text: str, named: Collection[str]) -> Expression:
    """Return the objective of a text that is none of the `named`; a metric of which smaller is better counts inversely.

    Raises:
        ConfigError: if it is no expression, or a word that is no metric.
    """
    found, word = Expression(text), metric_name(text.strip())
    if found.needs != (word,):
        return found
    if word not in (*COSTS, *SHORT.values()):
        known = offered(word, [*sorted(named), *SHORT, *COSTS], "an expression of metrics")
        raise ConfigError(f"objective is {text!r}; {known}")
    return found if larger_is_better(word) else Expression(f"1 / {text.strip()}")


@dataclass(frozen=True)
class Expression:
    """An objective in arithmetic; larger is better. MnasNet's soft constraint (Tan et al. 2019, 3.1) is above.

    It is parsed and walked, never executed.
    """

    text: str

    def __post_init__(self) -> None:
        self._check(self._tree)

    @property
    def _tree(self) -> ast.expr:
        try:
            return ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ConfigError(f"objective {self.text!r} is no expression: {GRAMMAR}") from None

    def _check(self, node: ast.expr) -> None:
        inside: list[ast.expr] = []
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            inside = [node.left, node.right]
        elif isinstance(node, ast.UnaryOp) and type(node.op) in OPERATORS:
            inside = [node.operand]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
            inside = node.args if node.args and not node.keywords else [node]
        elif not (isinstance(node, ast.Name) or (isinstance(node, ast.Constant) and type(node.value) in (int, float))):
            inside = [node]
        if node in inside:
            raise ConfigError(f"objective {self.text!r}: {ast.unparse(node)!r} is not allowed; {GRAMMAR}")
        for part in inside:
            self._check(part)

    @property
    def needs(self) -> tuple[str, ...]:
        """The metrics that it reads."""
        called = {id(node.func) for node in ast.walk(self._tree) if isinstance(node, ast.Call)}
        names = [n.id for n in ast.walk(self._tree) if isinstance(n, ast.Name) and id(n) not in called]
        return tuple(dict.fromkeys(map(metric_name, names)))

    def __call__(self, metrics: Mapping[str, float]) -> float:
        """Return the value; `ChildFailure` where it has none, as the logarithm of zero."""
        try:
            return float(_value(self._tree, metrics))
        except (ArithmeticError, ValueError, TypeError) as error:  # the last of a complex number
            raise ChildFailure(f"{self.text} has no value for {dict(metrics)}: {error}") from None


def _value(node: ast.expr, metrics: Mapping[str, float]) -> Any:
    if isinstance(node, ast.Name):
        return metrics[metric_name(node.id)]
    if isinstance(node, ast.Constant):
        return float(node.value)  # type: ignore[arg-type]  # checked
    if isinstance(node, ast.UnaryOp):
        return OPERATORS[type(node.op)](_value(node.operand, metrics))
    if isinstance(node, ast.BinOp):
        return OPERATORS[type(node.op)](_value(node.left, metrics), _value(node.right, metrics))
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Name)
    return FUNCTIONS[node.func.id](*(_value(part, metrics) for part in node.args))
