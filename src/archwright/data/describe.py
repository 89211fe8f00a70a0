"""What was understood of a data set, as plain data and as lines of text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from archwright.data.images import ImageData

LISTED_CLASSES = 20


def describe(data: ImageData) -> dict[str, Any]:
    """Return plain data: name, split, task, type and range of images, mean, std, counts by class, notes, warnings."""
    counts = data.counts
    every = [part.x for part in data.parts.values() if len(part)]
    return {
        "name": data.name,
        "fingerprint": data.fingerprint,
        "split": data.split,
        "task": asdict(data.task),
        "dtype": str(data.train.x.dtype).removeprefix("torch."),
        "range": [min(float(x.min()) for x in every), max(float(x.max()) for x in every)],
        "pixels": pixels_of(data),
        "mean": list(data.preprocessing.mean),
        "std": list(data.preprocessing.std),
        "classes": list(data.classes),
        "parts": {name: {"images": len(part), "per_class": counts[name]} for name, part in data.parts.items()},
        "notes": list(data.notes),
        "warnings": list(data.warnings),
    }


def pixels_of(data: ImageData) -> str:
    """Return the range of pixels in words: what the model will take."""
    units = data.preprocessing.units
    return "of unknown range" if units is None else units.words()


def as_lines(description: Mapping[str, Any]) -> list[str]:
    """Return a description as lines of text; if there are many classes, only the rarest and the most frequent."""
    task, parts = description["task"], description["parts"]
    low, high = description["range"]
    size = f"{task['height']}x{task['width']} pixels"
    colours = {1: "grey", 3: "colour"}.get(task["channels"], f"{task['channels']} channels")
    lines = [
        f"data      {description['name']} (fingerprint {description['fingerprint']})",
        f"images    {size}, {colours}, {description['dtype']} from {low:g} to {high:g}",
        f"pixels    {description['pixels']}",
        f"mean      {'  '.join(f'{value:.4g}' for value in description['mean'])} per channel, of the training part",
        f"std       {'  '.join(f'{value:.4g}' for value in description['std'])}",
        f"split     {description['split']}",
    ]
    lines += [f"note      {note}" for note in description["notes"]]
    lines += [f"warning   {warning}" for warning in description["warnings"]]
    classes = sorted(description["classes"], key=lambda c: -parts["train"]["per_class"][c])  # stable: ties keep order
    half = LISTED_CLASSES // 2
    listed = description["classes"] if len(classes) <= LISTED_CLASSES else classes[:half] + classes[-half:]
    width = max(len("class"), len("all"), *(len(name) for name in listed))
    lines += ["", f"{'class':{width}}" + "".join(f"  {name:>10}" for name in parts)]
    for position, name in enumerate(listed):
        if len(listed) < len(classes) and position == len(listed) // 2:
            lines.append(f"... {len(classes) - len(listed)} classes between")
        lines.append(f"{name:{width}}" + "".join(f"  {part['per_class'][name]:>10,}" for part in parts.values()))
    lines.append(f"{'all':{width}}" + "".join(f"  {part['images']:>10,}" for part in parts.values()))
    return lines
