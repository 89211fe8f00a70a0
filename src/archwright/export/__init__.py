"""Trained networks as files that need no archwright: PyTorch source with safetensors, a torch.export program, ONNX.

All of them take raw pixels, in the units of the training data, and normalise them inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from archwright.export.files import FORMATS, Calibration, checked_formats, compare, run_source, weights, write_files
from archwright.export.model_file import Source, check_images, evaluated, source
from archwright.export.program import Program
from archwright.export.tracing import ExportError

if TYPE_CHECKING:
    from archwright.architecture import Architecture
    from archwright.data.images import Preprocessing

__all__ = ["FORMATS", "ExportError", "Source", "export", "source"]


def export(
    model: nn.Module,
    folder: Path,
    *,
    classes: Sequence[str],
    preprocessing: Preprocessing,
    architecture: Architecture | None,
    formats: Sequence[str] = ("source", "pt2"),
    name: str = "Model",
    calibration: Calibration | None = None,
) -> dict[str, Path]:
    """Write a trained network into `folder` and return the files by what they are.

    "source" is `model.py` (`source` and `weights` in the result), which imports torch and the standard library alone;
    "pt2" is `model.pt2`, a torch.export program for the CPU; "onnx" is `model.onnx`; "int8" is `model.int8.onnx`, the
    same in 8 bits, for which `calibration` gives inputs from training data. Each is run before it is kept: its logits
    must be those of the network in evaluation mode, near them in 8 bits. `model` itself is not changed; it maps
    preprocessed images to logits, and may be on any device. `name` is the class's name in the source.

    Raises:
        ConfigError: if a format is unknown, or `folder` has a `model.py` that archwright did not write.
        MissingExtra: if ONNX is asked for and not installed.
        ExportError: if the network cannot be written, or what was written gives other logits.
    """
    checked_formats(formats, folder, calibration)
    trained = evaluated(model)
    images = check_images(preprocessing)
    with torch.no_grad():
        expected = trained(preprocessing(images))
    written = source(trained, classes=classes, preprocessing=preprocessing, architecture=architecture, name=name)
    network = run_source(written, name)
    compare("the written source", lambda: network(images), expected)
    about = {
        "classes": list(classes),
        "preprocessing": preprocessing.to_json(),
        "architecture": None if architecture is None else architecture.to_json(),
    }
    sources = {
        "source": ("model.py", written.text.encode()),
        "weights": ("model.safetensors", weights(written.state, architecture)),
    }
    program = Program(network, {"images": images}, ("logits",), about)
    # Of two images, and of one: a program is for any number.
    return write_files(
        folder,
        formats,
        sources,
        program,
        lambda again: torch.cat([again(images), again(images[:1])]),
        torch.cat([expected, expected[:1]]),
        calibration,
    )
