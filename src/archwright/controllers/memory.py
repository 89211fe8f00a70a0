"""Architectures in a controller's state."""

from __future__ import annotations

import json

from archwright.architecture import Architecture


def written(architecture: Architecture) -> str:
    """An architecture as text."""
    return json.dumps(architecture.to_json(), separators=(",", ":"))


def read(text: str) -> Architecture:
    """What `written` gave."""
    return Architecture.from_json(json.loads(text))
