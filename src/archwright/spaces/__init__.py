"""The spaces that come with archwright, one file each, and the registry of their names."""

from __future__ import annotations

from archwright.space import Space
from archwright.spaces.enas_micro import EnasMicro
from archwright.spaces.nas_conv import NasConv
from archwright.spaces.nas_recurrent import NasRecurrent

SPACES: dict[str, type[Space]] = {cls.name: cls for cls in (EnasMicro, NasConv, NasRecurrent)}

__all__ = ["SPACES", "EnasMicro", "NasConv", "NasRecurrent"]
