"""The spaces that come with archwright, one file each, and the registry of their names."""

from __future__ import annotations

from archwright.space import Space
from archwright.spaces.enas_micro import EnasMicro

SPACES: dict[str, type[Space]] = {EnasMicro.name: EnasMicro}

__all__ = ["SPACES", "EnasMicro"]
