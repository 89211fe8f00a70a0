"""ONNX files on ONNX Runtime: run on the CPU, and quantised to 8 bits with calibration."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from archwright.export.program import quiet, require_onnx
from archwright.export.tracing import ExportError

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Feed: TypeAlias = Mapping[str, Array]

ERRORS = 3  # the severity from which ONNX Runtime says something
# What is quantised of a language model. Gates and states keep their precision: a state goes through them at every step.
PRODUCTS = ("Conv", "Gemm", "MatMul")


class Session:
    """An ONNX file on ONNX Runtime's CPU provider: `session(inputs)` gives its outputs, both arrays.

    `threads` are those of one operation; operations run one after the other.
    """

    def __init__(self, model: Path | bytes, *, threads: int = 1) -> None:
        require_onnx("onnxruntime")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = ERRORS
        # Threads that spin while they wait would take the time of whatever else the machine does.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        content = str(model) if isinstance(model, Path) else model
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def __call__(self, inputs: Feed) -> list[Array]:
        outputs: list[Array] = self._session.run(None, dict(inputs))
        return outputs

    def example(self, batch: int) -> dict[str, Array]:
        """Return inputs of the file's shapes and types, all zeros, for `batch` images or rows of text."""
        kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(uint8)": np.uint8}
        return {
            given.name: np.zeros([batch, *given.shape[1:]], dtype=kinds[given.type])
            for given in self._session.get_inputs()
        }


def onnx_session(model: Path | bytes, *, threads: int = 1) -> Session:
    """Open an ONNX file on the CPU.

    Raises:
        MissingExtra: if onnxruntime is not installed.
    """
    return Session(model, threads=threads)


def int8(path: Path, out: Path, calibration: Iterable[Feed], *, products_only: bool = False) -> None:
    """Write the 8-bit form of an ONNX file: weights by output channel, activations by the ranges of `calibration`.

    The file has QuantizeLinear and DequantizeLinear around each operation (QDQ), so any ONNX runtime reads it. What
    comes before the first product with weights, the normalisation of pixels, stays in float32. `products_only`
    quantises products with weights alone.

    Raises:
        MissingExtra: if onnx or onnxruntime is not installed.
        ExportError: if ONNX Runtime cannot quantise the network.
    """
    require_onnx("onnx", "onnxruntime")
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._feeds: Iterator[Feed] = iter(calibration)

        def get_next(self) -> dict[str, Array] | None:
            return next((dict(feed) for feed in self._feeds), None)

    with tempfile.TemporaryDirectory() as folder, quiet():
        prepared = Path(folder, "prepared.onnx")
        try:
            quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(out),
                Reader(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=list(PRODUCTS) if products_only else None,
                nodes_to_exclude=_before_products(onnx.load(prepared)),
                extra_options={"MatMulConstBOnly": True},
            )
        except (ValueError, RuntimeError, KeyError, AssertionError, TypeError) as error:
            raise ExportError(f"ONNX Runtime cannot quantise the network: {error}") from error
    made, about = onnx.load(out), onnx.load(path, load_external_data=False).metadata_props
    del made.metadata_props[:]
    made.metadata_props.extend(about)
    for node in made.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.save(made, out)


def _before_products(model: Any) -> list[str]:
    """Return the names of the nodes that read inputs and constants alone, before any product."""
    known = {given.name for given in (*model.graph.input, *model.graph.initializer)} | {""}
    names = []
    for node in model.graph.node:
        if node.op_type not in PRODUCTS and all(name in known for name in node.input):
            known.update(node.output)
            names.append(node.name)
    return names
