"""Trained networks as files that need no archwright: PyTorch source with safetensors, a torch.export program, ONNX.

All of them take raw pixels, in the units of the training data, and normalise them inside.
"""

from __future__ import annotations

import tempfile
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from torch import Tensor, nn

from archwright.errors import ArchwrightError, ConfigError
from archwright.export.model_file import MARK, Source, check_images, evaluated, source
from archwright.export.program import notes, write_onnx, write_pt2
from archwright.export.tracing import ExportError

if TYPE_CHECKING:
    from archwright.architecture import Architecture
    from archwright.data.images import Preprocessing

__all__ = ["FORMATS", "ExportError", "Source", "export", "source"]

FORMATS = ("source", "pt2", "onnx")
TOLERANCE = 1e-5  # between the logits of a network and of what was written, where the logits are not above 1


def export(
    model: nn.Module,
    folder: Path,
    *,
    classes: Sequence[str],
    preprocessing: Preprocessing,
    architecture: Architecture | None,
    formats: Sequence[str] = ("source", "pt2"),
    name: str = "Model",
) -> dict[str, Path]:
    """Write a trained network into `folder` and return the files by what they are.

    "source" is `model.py` (`source` and `weights` in the result), which imports torch and the standard library alone;
    "pt2" is `model.pt2`, a torch.export program for the CPU; "onnx" is `model.onnx`. Each is run before it is kept:
    its logits must be those of the network in evaluation mode. `model` itself is not changed; it maps preprocessed
    images to logits, and may be on any device. `name` is the class's name in the source.

    Raises:
        ConfigError: if a format is unknown, or `folder` has a `model.py` that archwright did not write.
        MissingExtra: if ONNX is asked for and not installed.
        ExportError: if the network cannot be written, or what was written gives other logits.
    """
    unknown = [form for form in formats if form not in FORMATS]
    if unknown or not formats:
        raise ConfigError(f"formats {tuple(formats)!r}: choose from {', '.join(FORMATS)}")
    there = folder / "model.py"
    if "source" in formats and there.exists() and MARK not in there.read_text(encoding="utf-8", errors="replace"):
        raise ConfigError(f"{there} exists and is not archwright's; choose another folder or move it away")
    trained = evaluated(model)
    images = check_images(preprocessing)
    with torch.no_grad():
        expected = trained(preprocessing(images))
    written = source(trained, classes=classes, preprocessing=preprocessing, architecture=architecture, name=name)
    network = _run(written, name)
    _compare("the written source", network, images, expected)
    about = notes(classes, preprocessing, architecture)
    files: dict[str, Path] = {}
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as made:
        if "source" in formats:
            files["source"], files["weights"] = Path(made, "model.py"), Path(made, "model.safetensors")
            files["source"].write_text(written.text, encoding="utf-8")
            _write_weights(written.state, files["weights"], architecture)
        for form, write in PROGRAMS.items():
            if form in formats:
                files[form] = Path(made, f"model.{form}")
                try:
                    write(network, images, files[form], about)
                except ArchwrightError:
                    raise
                except Exception as error:  # torch's exporters raise all kinds
                    raise ExportError(f"torch cannot write the network as {form}: {error}") from error
        if "pt2" in formats:
            _compare("model.pt2", torch.export.load(files["pt2"]).module(), images, expected)
        return {what: path.replace(folder / path.name) for what, path in files.items()}


PROGRAMS: dict[str, Callable[[nn.Module, Tensor, Path, dict[str, Any]], None]] = {"pt2": write_pt2, "onnx": write_onnx}


def _run(written: Source, name: str) -> nn.Module:
    """The network that the written source makes of the weights."""
    module = types.ModuleType("model")
    module.__file__ = "model.py"
    exec(compile(written.text, "model.py", "exec"), module.__dict__)
    network: nn.Module = getattr(module, name)()
    network.load_state_dict(written.state)
    return network.eval()


def _compare(what: str, network: Callable[[Tensor], Tensor], images: Tensor, expected: Tensor) -> None:
    with torch.no_grad():
        difference = float((network(images) - expected).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):
        raise ExportError(f"{what} gives logits that differ by {difference:.1e} from the network's; nothing was kept")


def _write_weights(state: dict[str, Tensor], path: Path, architecture: Architecture | None) -> None:
    about = None if architecture is None else {"architecture": architecture.id}
    # Copies, because safetensors refuses tensors that share memory.
    tensors = {key: tensor.detach().clone(memory_format=torch.contiguous_format) for key, tensor in state.items()}
    path.write_bytes(safetensors.torch.save(tensors, metadata=about))  # its own files are closed to other users
