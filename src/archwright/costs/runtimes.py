"""Networks as callables of the runtime that will run them."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from archwright.costs.target import Target
from archwright.errors import ConfigError

if TYPE_CHECKING:
    from archwright.export.program import Program


@dataclass(frozen=True)
class Runnable:
    """One evaluation of a batch: `run`. `bytes` is the size of the file where there is one."""

    run: Callable[[], object]
    bytes: int | None = None


def require_runtime(target: Target) -> None:
    """Raise MissingExtra or ConfigError if the runtime of the target does not work here."""
    if target.runtime == "onnx":
        from archwright.export.program import require_onnx

        require_onnx("onnx", "onnxscript", "onnxruntime")
    if target.runtime == "compile":
        _require_compiler()


@cache
def _require_compiler() -> None:
    try:
        with _quiet_compiler(), torch.inference_mode():
            torch.compile(torch.exp)(torch.zeros(2))
    except Exception as error:  # its backends raise all kinds
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ConfigError(
            "--target.runtime compile: torch.compile does not work here; it needs a C++ compiler and Python's headers "
            f"(g++ and python3-dev), or use --target.runtime eager: {first[:200]}"
        ) from None


def _write(program: Program, path: Path) -> None:
    """Write ONNX of the example's batch size by torch's older exporter, whose files take as long to run.

    It takes a twentieth of the newer one's time, by which files that are kept are written, and which takes over where
    it fails.
    """
    from archwright.export.program import quiet, write_onnx

    names: dict[str, Any] = {"input_names": list(program.example), "output_names": list(program.outputs)}
    try:
        with quiet():
            torch.onnx.export(program.network, tuple(program.example.values()), path, dynamo=False, **names)
    except Exception:  # it raises all kinds
        write_onnx(program, path)


@contextmanager
def _quiet_compiler() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of its own parts
        yield


@contextmanager
def runnable(program: Program, target: Target) -> Iterator[Runnable]:
    """Prepare a program, whose example is a batch of `target.batch`, for the runtime of the target.

    Random inputs calibrate int8: they set scales, not how long a pass takes.

    Raises:
        MissingExtra: if the runtime is not installed.
        ConfigError: if it does not work here.
    """
    inputs = tuple(program.example.values())
    if target.runtime == "onnx":
        from archwright.export.onnx_runtime import int8, onnx_session

        require_runtime(target)
        feed = {name: value.numpy() for name, value in program.example.items()}
        with tempfile.TemporaryDirectory(prefix="archwright-") as folder:
            path = Path(folder) / "network.onnx"
            _write(program, path)
            if target.precision == "int8":
                plain, path = path, Path(folder) / "int8.onnx"
                int8(plain, path, [feed])
            session = onnx_session(path, threads=target.threads)
            yield Runnable(lambda: session(feed), path.stat().st_size)
        return
    network = program.network
    if target.runtime == "compile":
        with _quiet_compiler():
            torch.compiler.reset()  # or the ninth network of a class would run as it is
            network = torch.compile(network)  # type: ignore[assignment]
            with torch.inference_mode():
                network(*inputs)
    yield Runnable(lambda: network(*inputs))
