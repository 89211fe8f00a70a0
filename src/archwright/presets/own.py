"""Presets of a space that no paper describes: for images those of ENAS's cells, for text those of NAS and ENAS."""

from __future__ import annotations

from archwright.presets.enas import MICRO, small_text
from archwright.presets.nas import RECURRENT
from archwright.presets.values import SpacePresets

IMAGES = MICRO
TEXT = SpacePresets(RECURRENT.published, small_text)
