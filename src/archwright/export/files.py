"""What writing any model has in common: formats, source that is run before it is kept, programs, weights."""

from __future__ import annotations

import tempfile
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import safetensors.torch
import torch
from torch import Tensor, nn

from archwright.errors import ArchwrightError, ConfigError, offered
from archwright.export.model_file import MARK, Source
from archwright.export.onnx_runtime import Feed, Session, int8, onnx_session
from archwright.export.program import Program, require_onnx, write_onnx, write_pt2
from archwright.export.tracing import ExportError
from archwright.files import inside, write

if TYPE_CHECKING:
    from archwright.architecture import Architecture

FORMATS = ("source", "pt2", "onnx", "int8")
NAMES = {"pt2": "model.pt2", "onnx": "model.onnx", "int8": "model.int8.onnx"}
TOLERANCE = 1e-5  # between the logits of a network and of what was written, where the logits are not above 1
QUANTISED = 0.5  # of the logits' deviation: by so much those of 8 bits may differ, root mean square
PROGRAMS: dict[str, Callable[[Program, Path], None]] = {"pt2": write_pt2, "onnx": write_onnx}
Calibration: TypeAlias = "Callable[[Session], Sequence[Feed]]"  # inputs from training data, for the float32 file


def checked_formats(formats: Sequence[str], folder: Path, calibration: Calibration | None = None) -> None:
    """`ConfigError` if a format is unknown or lacks what it needs, or `folder` has a `model.py` of somebody else's."""
    unknown = [form for form in formats if form not in FORMATS]
    if unknown or not formats:
        raise ConfigError(f"formats {tuple(formats)!r}: {offered(unknown[0] if unknown else '', FORMATS)}")
    if {"onnx", "int8"} & {*formats}:
        require_onnx("onnx", "onnxscript", "onnxruntime")
    if "int8" in formats and calibration is None:
        raise ConfigError("int8 is calibrated on training data; give the data too: export(folder, data=..., ...)")
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
    calibration: Calibration | None = None,
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
        wanted = {*formats, *(("onnx",) if "int8" in formats else ())}
        for form in (form for form in PROGRAMS if form in wanted):
            files[form] = Path(made, NAMES[form])
            try:
                PROGRAMS[form](program, files[form])
            except ArchwrightError:
                raise
            except Exception as error:  # torch's exporters raise all kinds
                raise ExportError(f"torch cannot write the network as {form}: {error}") from error
        if "pt2" in wanted:
            again = torch.export.load(files["pt2"]).module()
            compare("model.pt2", lambda: logits(again), expected)
        if "onnx" in wanted:
            session = onnx_session(files["onnx"])
            compare("model.onnx", lambda: logits(_on_tensors(session, program)), expected)
            if "int8" in formats and calibration is not None:
                files["int8"] = Path(made, NAMES["int8"])
                _quantise(session, files, calibration(session), program.recurrent)
        kept = [what for what in files if what in formats or what in sources]
        targets = {what: inside(folder, files[what].name) for what in kept}
        for what, target in targets.items():
            write(target, files[what].read_bytes())
        return targets


def _on_tensors(session: Session, program: Program) -> Callable[..., Any]:
    """Return what calls a session as a module is called."""

    def run(*given: Tensor) -> Any:
        arrays = {name: tensor.numpy() for name, tensor in zip(program.example, given, strict=True)}
        outputs = [torch.from_numpy(array) for array in session(arrays)]
        return outputs if len(outputs) > 1 else outputs[0]

    return run


def _quantise(session: Session, files: Mapping[str, Path], feeds: Sequence[Feed], recurrent: bool) -> None:
    """Write the 8-bit file; ExportError if its logits for these inputs are far from those of the float32 file."""
    int8(files["onnx"], files["int8"], feeds, products_only=recurrent)
    quantised = onnx_session(files["int8"])
    expected, made = (torch.cat([torch.from_numpy(run(feed)[0]) for feed in feeds]) for run in (session, quantised))
    spread = float((expected - expected.mean(0)).square().mean().sqrt())
    difference = float((made - expected).square().mean().sqrt())
    if not difference <= QUANTISED * spread:
        share = f"{difference:.3g}, and the network's own deviate by {spread:.3g}"
        raise ExportError(f"the logits of 8 bits differ by {share}: the network cannot be quantised; nothing was kept")
