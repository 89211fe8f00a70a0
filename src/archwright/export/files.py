"""What writing any model has in common: formats, source that is run before it is kept, programs, weights."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from torch import Tensor, nn

from archwright.errors import ArchwrightError, ConfigError
from archwright.export.model_file import MARK, Source
from archwright.export.program import write_onnx, write_pt2
from archwright.export.tracing import ExportError

if TYPE_CHECKING:
    from archwright.architecture import Architecture

FORMATS = ("source", "pt2", "onnx")
TOLERANCE = 1e-5  # between the logits of a network and of what was written, where the logits are not above 1
PROGRAMS: dict[str, Callable[..., None]] = {"pt2": write_pt2, "onnx": write_onnx}


def checked_formats(formats: Sequence[str], folder: Path) -> None:
    """`ConfigError` if a format is unknown, or `folder` has a `model.py` that archwright did not write."""
    unknown = [form for form in formats if form not in FORMATS]
    if unknown or not formats:
        raise ConfigError(f"formats {tuple(formats)!r}: choose from {', '.join(FORMATS)}")
    there = folder / "model.py"
    if "source" in formats and there.exists() and MARK not in there.read_text(encoding="utf-8", errors="replace"):
        raise ConfigError(f"{there} exists and is not archwright's; choose another folder or move it away")


def write_program(
    form: str,
    network: nn.Module,
    example: Mapping[str, Tensor],
    outputs: Sequence[str],
    path: Path,
    about: dict[str, Any],
) -> None:
    """Write `network` as a program. `example`: its inputs by name, [batch, ...] each. `ExportError` if torch cannot."""
    try:
        PROGRAMS[form](network, example, outputs, path, about)
    except ArchwrightError:
        raise
    except Exception as error:  # torch's exporters raise all kinds
        raise ExportError(f"torch cannot write the network as {form}: {error}") from error


def run_source(written: Source, name: str) -> nn.Module:
    """Run the written source and load the weights into its network."""
    module = types.ModuleType("model")
    module.__file__ = "model.py"
    exec(compile(written.text, "model.py", "exec"), module.__dict__)
    network: nn.Module = getattr(module, name)()
    network.load_state_dict(written.state)
    return network.eval()


def compare(what: str, run: Callable[[], Tensor], expected: Tensor) -> None:
    """`ExportError` if the logits that `run` gives are not those expected."""
    with torch.no_grad():
        difference = float((run() - expected).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):
        raise ExportError(f"{what} gives logits that differ by {difference:.1e} from the network's; nothing was kept")


def write_weights(state: dict[str, Tensor], path: Path, architecture: Architecture | None) -> None:
    """Write `model.safetensors`."""
    about = None if architecture is None else {"architecture": architecture.id}
    # Copies, because safetensors refuses tensors that share memory.
    tensors = {key: tensor.detach().clone(memory_format=torch.contiguous_format) for key, tensor in state.items()}
    path.write_bytes(safetensors.torch.save(tensors, metadata=about))  # its own files are closed to other users
