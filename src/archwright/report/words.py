"""Numbers in words."""

from __future__ import annotations


def counted(number: float, noun: str, plural: str = "") -> str:
    """Return the number with its noun, in the plural where it is not one: "1 epoch", "0.5 epochs", "2 children"."""
    return f"{number:g} {noun if number == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """Return seconds as "90 s", or in minutes from two of them on."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
