"""What the spaces of image networks share: the checks of their fields, and handing fields on to a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from archwright.space import Space


def settings(space: Space, *names: str) -> dict[str, Any]:
    """Return the values of the named fields, as keyword arguments."""
    return {name: getattr(space, name) for name in names}


def check_fields(space: Space, *, positive: Sequence[str], different: Sequence[str]) -> None:
    """Check fields of at least 1, fields of different names (which become tuples), and those that all networks have."""
    for name in different:
        values = tuple(getattr(space, name))
        object.__setattr__(space, name, values)
        space.require(name, bool(values) and len(set(values)) == len(values), "one or more different names")
    for name in positive:
        space.require(name, getattr(space, name) >= 1, "at least 1")
    for name, value in vars(space).items():
        if name == "stem_stride":
            space.require(name, value in (1, 2, 4), "1, 2 or 4")
        elif name == "dropout":
            space.require(name, 0 <= value < 1, "from 0 to below 1")
        elif name == "drop_path_keep":
            space.require(name, 0 < value <= 1, "above 0, and 1 at most")
