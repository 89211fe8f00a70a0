"""What writing any model has in common: formats, source that is run before it is kept, programs, weights."""

from __future__ import annotations

import tempfile
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from torch import Tensor, nn

from archwright.errors import ArchwrightError, ConfigError, offered
from archwright.export.model_file import MARK, Source
from archwright.export.program import Program, write_onnx, write_pt2
from archwright.export.tracing import ExportError
from archwright.files import inside, write

if TYPE_CHECKING:
    from archwright.architecture import Architecture

FORMATS = ("source", "pt2", "onnx")
TOLERANCE = 1e-5  # between the logits of a network and of what was written, where the logits are not above 1
PROGRAMS: dict[str, Callable[[Program, Path], None]] = {"pt2": write_pt2, "onnx": write_onnx}


def checked_formats(formats: Sequence[str], folder: Path) -> None:
    """`ConfigError` if a format is unknown, or `folder` has a `model.py` that archwright did not write."""
    unknown = [form for form in formats if form not in FORMATS]
    if unknown or not formats:
        raise ConfigError(f"formats {tuple(formats)!r}: {offered(unknown[0] if unknown else '', FORMATS)}")
    there = inside(folder, "model.py")
    if "source" in formats and there.exists() and MARK not in there.read_text(encoding="utf-8", errors="replace"):
        raise ConfigError(f"{there} exists and is not archwright's; choose another folder or move it away")


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


def weights(state: dict[str, Tensor], architecture: Architecture | None) -> bytes:
    """Return the content of `model.safetensors`."""
    about = None if architecture is None else {"architecture": architecture.id}
    # Copies, because safetensors refuses tensors that share memory.
    tensors = {key: tensor.detach().clone(memory_format=torch.contiguous_format) for key, tensor in state.items()}
    content: bytes = safetensors.torch.save(tensors, metadata=about)
    return content


def write_files(
    folder: Path,
    formats: Sequence[str],
    sources: Mapping[str, tuple[str, bytes]],
    program: Program,
    logits: Callable[[Any], Tensor],
    expected: Tensor,
) -> dict[str, Path]:
    """Write the formats into `folder`, all of them or none, and return the files by what they are.

    `sources` has names and contents of the "source" files. `logits` runs a program that was read back.
    """
    files: dict[str, Path] = {}
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as made:
        for what, (name, content) in sources.items() if "source" in formats else ():
            files[what] = Path(made, name)
            files[what].write_bytes(content)
        for form in (form for form in PROGRAMS if form in formats):
            files[form] = Path(made, f"model.{form}")
            try:
                PROGRAMS[form](program, files[form])
            except ArchwrightError:
                raise
            except Exception as error:  # torch's exporters raise all kinds
                raise ExportError(f"torch cannot write the network as {form}: {error}") from error
        if "pt2" in formats:
            again = torch.export.load(files["pt2"]).module()
            compare("model.pt2", lambda: logits(again), expected)
        targets = {what: inside(folder, path.name) for what, path in files.items()}
        for what, path in files.items():
            write(targets[what], path.read_bytes())
        return targets
