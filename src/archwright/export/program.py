"""A network as a program for other runtimes: torch.export's `.pt2`, and ONNX."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from archwright.errors import MissingExtra

NOTES = "archwright.json"  # the file inside a .pt2 that says what the program is


@dataclass(frozen=True)
class Program:
    """A network for other runtimes: its inputs by name, [batch, ...] each, its outputs, and plain data `about` it."""

    network: nn.Module
    example: Mapping[str, Tensor]
    outputs: Sequence[str]
    about: dict[str, Any]

    @property
    def recurrent(self) -> bool:
        """Whether it is given the states of its last step."""
        return len(self.example) > 1

    @property
    def settings(self) -> dict[str, Any]:
        """What both of torch's exporters are given: the inputs, of any batch size."""
        batch = torch.export.Dim("batch", min=1, max=2**31 - 1)  # torch 2.6 refuses a size without an upper bound
        return {"args": tuple(self.example.values()), "dynamic_shapes": tuple({0: batch} for _ in self.example)}


def write_pt2(source: Program, path: Path) -> None:
    """Write a torch.export program of any batch size: `torch.export.load(path).module()(images)`.

    Images are uint8 or float32; outputs have no names there. `about` is inside as a JSON text, the extra file
    `archwright.json`.
    """
    program = torch.export.export(source.network, **source.settings, strict=False)
    with contextlib.suppress(ValueError):  # torch 2.6 insists on them
        program.example_inputs = None  # they would be stored as a pickle
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:  # these name files of this machine
                node.meta.pop("stack_trace", None)
    torch.export.save(program, path, extra_files={NOTES: json.dumps(source.about)})


def pt2_run(path: Path, batch: int) -> Callable[[], Any]:
    """Return what runs a torch.export program once, on zeros of its shapes for `batch` images or rows of text."""
    program = torch.export.load(path)
    names = program.graph_signature.user_inputs
    shapes = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    inputs = [torch.zeros(batch, *map(int, shape.shape[1:]), dtype=shape.dtype) for shape in shapes]
    network = program.module()

    def run() -> Any:
        with torch.inference_mode():
            return network(*inputs)

    return run


def require_onnx(*names: str) -> None:
    """Raise MissingExtra if one of these packages is not installed."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtra(f"ONNX needs {' and '.join(missing)}: pip install 'archwright[onnx]'")


def write_onnx(source: Program, path: Path) -> None:
    """Write ONNX of any batch size, inputs and outputs by their names; `about` is its metadata.

    Raises:
        MissingExtra: if a package that it takes is not installed.
    """
    require_onnx("onnx", "onnxscript")
    with quiet():
        program = torch.onnx.export(
            source.network,
            **source.settings,
            dynamo=True,
            input_names=list(source.example),
            output_names=list(source.outputs),
            verbose=False,
        )
    assert program is not None
    for node in program.model.graph.all_nodes():  # these name files of this machine
        node.metadata_props.clear()
    program.model.metadata_props.update({name: json.dumps(value) for name, value in source.about.items()})
    program.save(path)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop what exporters say about themselves: calls of their own that are deprecated, packages they could use."""
    disabled = logging.root.manager.disable
    logging.disable(max(disabled, logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
