"""The rules of the grammar, as data: what each needs of a shape, what it makes of it, and what that costs.

A new computation is one entry, `COMPUTATIONS["blur"] = Rule(after=lambda shape: ..., build=lambda shape, groups: ...)`,
and its name in `Grammar.rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from archwright.sentences.shapes import CALLING, MAP, SEQUENCE, TURNED, Cost, Shape

Setting: TypeAlias = "int | str"
# Widths relative to the features that come in: a sentence of these fits at any width.
FRACTIONS = {"same": (1, 1), "half": (1, 2), "quarter": (1, 4), "eighth": (1, 8), "double": (2, 1), "quadruple": (4, 1)}


@dataclass(frozen=True)
class Rule:
    """One rule that has no parts.

    Args:
        after: of a shape and the settings, the shape that it makes; None where it does not fit.
        cost: parameters and multiply-adds of one copy, from the shapes before and after.
        settings: how many numbers or words are written after its name.
        weight: how likely it is in a random sentence, relative to the others.
        build: of a shape and the number of groups, a module; `archwright.nets.grammar_layers.LAYERS` has ours.
    """

    after: Callable[..., Shape | None]
    cost: Callable[[Shape, Shape], Cost] = lambda before, after: Cost()
    settings: int = 0
    weight: float = 1.0
    build: Callable[[Shape, int], Any] | None = None


def resolved(shape: Shape, width: Setting) -> int | None:
    """Return the number that a width stands for; None where it is no whole number."""
    if isinstance(width, int):
        return width if width > 0 else None
    features = shape.features // (1 if shape.form == TURNED else shape.window)
    times, parts = FRACTIONS.get(width, (0, 1))
    return features * times // parts if times and features * times % parts == 0 else None


def _linear(shape: Shape, width: Setting) -> Shape | None:
    wide = resolved(shape, width)
    return None if wide is None else shape.with_features(wide)


def _normed(shape: Shape) -> Shape | None:
    # One number alone is always 0 after a norm.
    return shape if (shape.positions if shape.form == MAP else shape.features) > 1 else None


def _pooled(shape: Shape) -> Shape | None:
    if shape.form != MAP or shape.grid is None or min(shape.grid) < 2:
        return None
    return shape.with_grid((-(-shape.grid[0] // 2), -(-shape.grid[1] // 2)))


def _averaged(shape: Shape) -> Shape | None:
    if shape.positions == 1:
        return None
    if shape.form == MAP:
        return shape.with_grid((1, 1))
    return shape._replace(positions=1, grid=shape.grid if shape.form == TURNED else None)


def _always(shape: Shape) -> Shape | None:
    return shape


def _in_rows(shape: Shape) -> Shape | None:
    return None if shape.form == MAP else shape


COMPUTATIONS: dict[str, Rule] = {
    "identity": Rule(_always, weight=0.5),
    "linear": Rule(
        _linear,
        lambda before, after: Cost((before.features + 1) * after.features, before.size * after.features),
        settings=1,
        weight=3,
    ),
    "norm": Rule(_normed, lambda before, after: Cost(2 * before.features), weight=2),
    "relu": Rule(_always),
    "gelu": Rule(_always),
    "silu": Rule(_always, weight=0.5),
    "tanh": Rule(_always, weight=0.25),
    "sigmoid": Rule(_always, weight=0.25),
    "softmax": Rule(lambda shape: _in_rows(shape) if shape.features > 1 else None, weight=0.25),
    "position": Rule(_in_rows, lambda before, after: Cost(before.size), weight=0.5),
    "max": Rule(_pooled, weight=0.5),
    "average": Rule(_pooled, weight=0.5),
    "mean": Rule(_averaged, weight=0.25),
}
ACTIVATIONS = ("relu", "gelu", "silu", "tanh", "sigmoid")
POINTWISE = ("linear", *ACTIVATIONS)  # compute the same at each position, of a map as of a sequence


def computed(name: str, shape: Shape, settings: tuple[Setting, ...]) -> tuple[Shape, Cost] | None:
    """Return the shape that a computation makes, and what it costs; None where it does not fit."""
    made = COMPUTATIONS[name].after(shape, *settings)
    if made is None:
        return None
    written = 0 if name == "identity" else made.size + CALLING
    return made, COMPUTATIONS[name].cost(shape, made).and_(Cost(operations=1, written=written))


def _windows(shape: Shape, kernel: int, stride: int) -> Shape | None:
    if shape.form != MAP or shape.grid is None or not (kernel % 2 == 1 or kernel == stride) or min(kernel, stride) < 1:
        return None
    around = (kernel - 1) // 2 if kernel % 2 else 0
    smallest = min(shape.grid)
    if around >= smallest or kernel - around > smallest or stride > smallest:
        return None
    height, width = ((side + 2 * around - kernel) // stride + 1 for side in shape.grid)
    return Shape(SEQUENCE, shape.features * kernel**2, height * width, (height, width), kernel**2)


def _back_to_map(shape: Shape) -> Shape | None:
    if shape.form != SEQUENCE or shape.grid is None or shape.positions != shape.grid[0] * shape.grid[1]:
        return None
    return shape._replace(form=MAP, window=1)


def _exchanged(shape: Shape) -> Shape | None:
    if shape.form == MAP:
        return None
    form = TURNED if shape.form == SEQUENCE else SEQUENCE
    return Shape(form, shape.positions, shape.features, shape.grid, shape.window)


# How a routing begins and ends.
ROUTES: dict[str, Rule] = {
    "identity": COMPUTATIONS["identity"],
    "im2col": Rule(_windows, settings=2),
    "permute": Rule(_exchanged),
    "col2im": Rule(_back_to_map),
}
# What a routing may end with, by how it begins: what is turned is turned back.
LEAVES = {"identity": ("col2im",), "permute": ("permute",), "im2col": ("col2im", "identity")}


MOST_BRANCHES = 2**14


def split(name: str, branches: Setting, shape: Shape) -> tuple[int, Shape] | None:
    """Return the number of branches and the shape that each is given; None where it does not fit."""
    count = shape.features if branches == "channels" else branches
    if not isinstance(count, int) or not 1 <= count <= MOST_BRANCHES or (name == "group" and shape.features % count):
        return None
    return count, shape if name == "clone" else shape.with_features(shape.features // count)


SPLITS = {"clone": 1, "group": 1}  # and the number of their settings


def _alike(shapes: Sequence[Shape]) -> bool:
    """Return whether branches end in one form at the same positions; later ones may have a single one for all."""
    first = shapes[0]
    where = first.grid if first.form == MAP else first.positions
    return all(
        s.form == first.form and (where == (s.grid if s.form == MAP else s.positions) or s.positions == 1)
        for s in shapes
    )


def _elementwise(shapes: Sequence[Shape]) -> Shape | None:
    return shapes[0] if _alike(shapes) and len({shape.features for shape in shapes}) == 1 else None


def _concatenated(shapes: Sequence[Shape]) -> Shape | None:
    return shapes[0].with_features(sum(shape.features for shape in shapes)) if _alike(shapes) else None


def _multiplied(shapes: Sequence[Shape]) -> Shape | None:
    one, other, *more = shapes
    if more or MAP in (one.form, other.form) or one.form != other.form or one.features != other.positions:
        return None
    return one.with_features(other.features)


def _compared(shapes: Sequence[Shape]) -> Shape | None:
    one, other, *more = shapes
    if more or MAP in (one.form, other.form) or one.form != other.form or one.features != other.features:
        return None
    return one.with_features(other.positions)


# How branches become one; matmul and dot join two. dot is a b^T / sqrt(features), the scaled dot product.
JOINS: dict[str, Callable[[Sequence[Shape]], Shape | None]] = {
    **{"add": _elementwise, "multiply": _elementwise, "concat": _concatenated},
    **{"matmul": _multiplied, "dot": _compared},
}


def joined(name: str, shapes: tuple[Shape, ...], times: int = 1) -> tuple[Shape, Cost] | None:
    """Return the shape of joined branches, each so many `times`, and what joining costs; None where it does not fit."""
    if name in ("matmul", "dot") and len(shapes) * times != 2:
        return None
    made = JOINS[name](shapes * min(times, 2))
    if made is None:
        return None
    if name == "concat":
        made = made.with_features(times * sum(shape.features for shape in shapes))
    multiplied = shapes[0].size * made.features if name in ("matmul", "dot") else 0
    return made, Cost(multiply_adds=multiplied, written=made.size + CALLING)


# Rules with parts, and how many settings are written before them; how likely each is in a random sentence.
COMPOSED = {"sequential": 0, "branching": 0, "routing": 0, "repeat": 1, "recurrence": 1}
COMPOSED_WEIGHTS = {"sequential": 1.0, "branching": 1.0, "routing": 1.5, "repeat": 0.3, "recurrence": 0.2}
MOST_REPEATS = 64
