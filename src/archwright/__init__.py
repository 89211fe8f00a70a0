"""archwright finds neural network architectures.

`archwright.search(data)` is the whole job in one call; `archwright.space` and `archwright.loop` are the parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from archwright.analysis.drawing import draw as draw
    from archwright.modalities.images.model import TrainedModel as TrainedModel
    from archwright.runs.front import Run as Run
    from archwright.runs.front import resume as resume
    from archwright.runs.front import search as search
    from archwright.spaces.enas_micro import EnasMicro as EnasMicro
    from archwright.spaces.nasnet import NasNet as NasNet

_LAZY = {
    "draw": "archwright.analysis.drawing",
    "search": "archwright.runs.front",
    "resume": "archwright.runs.front",
    "Run": "archwright.runs.front",
    "TrainedModel": "archwright.modalities.images.model",
    "EnasMicro": "archwright.spaces.enas_micro",
    "NasNet": "archwright.spaces.nasnet",
}

__all__ = ["EnasMicro", "NasNet", "Run", "TrainedModel", "__version__", "draw", "resume", "search"]


def __getattr__(name: str) -> Any:
    """Load what needs torch when it is first asked for."""
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'archwright' has no attribute {name!r}")
