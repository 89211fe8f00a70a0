"""Free competitors of shared weights: what an untrained network shows, by name, and how such scores are joined.

`PROXIES` is a registry: a function from an `Untrained` network to a number that is larger where better is expected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from archwright.modalities import modality_class
from archwright.proxies.az_nas import expressivity, progressivity, trainability
from archwright.proxies.sizes import layers, multiply_adds, parameters
from archwright.proxies.synflow import synflow
from archwright.proxies.untrained import Untrained, untrained

if TYPE_CHECKING:
    from archwright.space import Architecture, Space

Proxy: TypeAlias = Callable[[Untrained], float]

PROXIES: dict[str, Proxy] = {
    "parameters": parameters,
    "multiply_adds": multiply_adds,
    "layers": layers,
    "synflow": synflow,
    "expressivity": expressivity,
    "progressivity": progressivity,
    "trainability": trainability,
}


def proxies_of(
    space: Space, architecture: Architecture, task: Any = None, *, names: Sequence[str] = tuple(PROXIES), seed: int = 0
) -> dict[str, float]:
    """Return finite scores of an architecture's untrained network by name, a function of these arguments alone.

    `task` None: the usual one of the space's kind of data. Raises `SpaceError` where the space describes no network.
    """
    kind = modality_class(space.data)
    found = untrained(space, architecture, kind.task_like(task, image_size=None, channels=None, classes=None), seed)
    return {name: float(PROXIES[name](found)) for name in names}
