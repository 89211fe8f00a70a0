"""What the spaces share: the checks of their fields, handing fields on to a network, and reading number strings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from archwright.errors import SpaceError
from archwright.space import Architecture, Open, Space


def settings(space: Space, *names: str) -> dict[str, Any]:
    """Return the values of the named fields, as keyword arguments."""
    return {name: getattr(space, name) for name in names}


def check_fields(space: Space, *, positive: Sequence[str], different: Sequence[str] = ()) -> None:
    """Check fields of at least 1, fields of different values (which become tuples), and those that many networks have.

    A positive field may be None if that is its default.
    """
    for name in different:
        values = tuple(getattr(space, name))
        object.__setattr__(space, name, values)
        space.require(name, bool(values) and len(set(values)) == len(values), "one or more different values")
    for name in positive:
        value = getattr(space, name)
        space.require(name, value is None or value >= 1, "at least 1")
    for name, value in vars(space).items():
        if name == "stem_stride":
            space.require(name, value in (1, 2, 4), "1, 2 or 4")
        elif name.endswith("dropout"):
            space.require(name, 0 <= value < 1, "from 0 to below 1")
        elif name == "drop_path_keep":
            space.require(name, 0 < value <= 1, "above 0, and 1 at most")


def only(space: Space, open: Open) -> Architecture:
    """Return the only open architecture, for a space that shares no weights."""
    if open.architecture is None:
        raise SpaceError(f"{space.name} shares no weights: a network is built for one architecture")
    return open.architecture


def whole_numbers(text: str, length: int, what: str) -> list[int]:
    """Read `length` numbers from 0 up."""
    parts = text.split()
    if len(parts) != length or not all(part.isdecimal() for part in parts):
        raise SpaceError(f"{what} must have {length} numbers, whole numbers from 0 up, not {text!r}")
    return [int(part) for part in parts]


def fitting(names: Iterable[str], build: Callable[[str], Architecture]) -> dict[str, Architecture]:
    """Return what `build` makes of each name, without those of which the space lacks something."""
    found: dict[str, Architecture] = {}
    for name in names:
        with suppress(SpaceError):
            found[name] = build(name)
    return found


def nearest(options: Sequence[Any], value: float) -> Any:
    """Return the option nearest to the value."""
    return min(options, key=lambda option: abs(option - value))
