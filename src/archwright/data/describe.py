"""What was understood of a data set, as plain data and as lines of text."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from archwright.data.images import ImageData

IMBALANCE = 10.0  # the largest class over the smallest from where it is worth a warning
FEW_TEST_IMAGES = 100  # fewer give an accuracy with a 95 % interval wider than about 10 points either way
LISTED_CLASSES = 20


def describe(data: ImageData) -> dict[str, Any]:
    """Return plain data: name, split, task, type and range of images, mean, std, counts by class, notes, warnings."""
    numbers = {name: torch.bincount(part.y, minlength=len(data.classes)).tolist() for name, part in data.parts.items()}
    counts = {name: dict(zip(data.classes, found, strict=True)) for name, found in numbers.items()}
    every = [part.x for part in data.parts.values() if len(part)]
    return {
        "name": data.name,
        "fingerprint": data.fingerprint,
        "split": data.split,
        "task": asdict(data.task),
        "dtype": str(data.train.x.dtype).removeprefix("torch."),
        "range": [min(float(x.min()) for x in every), max(float(x.max()) for x in every)],
        "mean": list(data.preprocessing.mean),
        "std": list(data.preprocessing.std),
        "classes": list(data.classes),
        "parts": {name: {"images": len(part), "per_class": counts[name]} for name, part in data.parts.items()},
        "notes": list(data.notes),
        "warnings": _warnings(data, counts),
    }


def as_lines(description: Mapping[str, Any]) -> list[str]:
    """Return a description as lines of text; if there are many classes, only the rarest and the most frequent."""
    task, parts = description["task"], description["parts"]
    low, high = description["range"]
    size = f"{task['height']}x{task['width']} pixels"
    colours = {1: "grey", 3: "colour"}.get(task["channels"], f"{task['channels']} channels")
    lines = [
        f"data      {description['name']} (fingerprint {description['fingerprint']})",
        f"images    {size}, {colours}, {description['dtype']} from {low:g} to {high:g}",
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


def _warnings(data: ImageData, counts: dict[str, dict[str, int]]) -> list[str]:
    warnings = _duplicates(data)
    train = counts["train"]
    most, least = max(train, key=train.__getitem__), min(train, key=train.__getitem__)
    if train[most] >= IMBALANCE * train[least]:
        warnings.append(
            f"classes are uneven: {train[most]:,} training images of {most!r}, {train[least]:,} of {least!r}; "
            "accuracy favours the frequent ones"
        )
    for name in ("validation", "test"):
        if missing := [label for label, count in counts[name].items() if count == 0]:
            listed = ", ".join(map(repr, missing[:3])) + (" and others" if len(missing) > 3 else "")
            warnings.append(f"the {name} part has no image of {len(missing)} classes: {listed}")
    if len(data.test) < FEW_TEST_IMAGES:
        warnings.append(f"{len(data.test)} test images measure accuracy coarsely; {FEW_TEST_IMAGES} or more are better")
    if constant := [str(channel) for channel, std in enumerate(data.preprocessing.std) if std == 0]:
        warnings.append(f"channel {', '.join(constant)} is constant in the training part")
    return warnings


def _duplicates(data: ImageData) -> list[str]:
    """Warn of identical images in two parts, or with two labels within the training part."""
    labels: dict[bytes, set[int]] = {}
    for key, label in zip(_keys(data.train.x), data.train.y.tolist(), strict=True):
        labels.setdefault(key, set()).add(label)
    validation, test = set(_keys(data.validation.x)), list(_keys(data.test.x))
    both = "images are in the {} part too"
    found = (
        (sum(key in labels for key in test), f"test {both.format('training')}; test accuracy will be too high"),
        (sum(key in validation for key in test), f"test {both.format('validation')}"),
        (len(validation & labels.keys()), f"validation {both.format('training')}; rewards will be too high"),
        (sum(len(given) > 1 for given in labels.values()), "training images are there with two different labels"),
    )
    return [f"{count:,} {what}" for count, what in found if count]


def _keys(x: Tensor) -> list[bytes]:
    return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in x.contiguous().numpy()]
