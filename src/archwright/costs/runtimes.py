"""Networks as callables of the runtime that will run them."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from archwright.costs.target import Target
from archwright.errors import MissingExtra

if TYPE_CHECKING:
    from archwright.export.program import Program


@dataclass(frozen=True)
class Runnable:
    """One evaluation of a batch: `run`. `bytes` is the size of the file where there is one."""

    run: Callable[[], object]
    bytes: int | None = None


@contextmanager
def runnable(program: Program, target: Target) -> Iterator[Runnable]:
    """Prepare a program, whose example is a batch of `target.batch`, for the runtime of the target.

    Random inputs calibrate int8: they set scales, not how long a pass takes.

    Raises:
        MissingExtra: if the runtime is not installed.
    """
    inputs = tuple(program.example.values())
    if target.runtime == "onnx":
        try:
            from archwright.export.onnx_runtime import int8, onnx_session  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            raise MissingExtra("--target.runtime onnx needs ONNX Runtime: pip install 'archwright[onnx]'") from None
        from archwright.export.program import write_onnx

        feed = {name: value.numpy() for name, value in program.example.items()}
        with tempfile.TemporaryDirectory(prefix="archwright-") as folder:
            path = Path(folder) / "network.onnx"
            write_onnx(program, path)
            if target.precision == "int8":
                plain, path = path, Path(folder) / "int8.onnx"
                int8(plain, path, [feed])
            session = onnx_session(path, threads=target.threads)
            yield Runnable(lambda: session(feed), path.stat().st_size)
        return
    network = program.network
    if target.runtime == "compile":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of its own parts
            network = torch.compile(network)  # type: ignore[assignment]
            with torch.inference_mode():
                network(*inputs)
    yield Runnable(lambda: network(*inputs))
