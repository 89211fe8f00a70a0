"""Where a network will run, and what it costs there, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from archwright.errors import ConfigError

Runtime = Literal["eager", "compile", "onnx"]
Precision = Literal["float32", "int8"]
# By name, with words and unit.
COSTS = {
    "parameters": "parameters",
    "multiply_adds": "multiply-adds of one evaluation",
    "bytes": "bytes of the file",
    "peak_activation_bytes": "bytes of activations at once",
    "latency_ms": "latency, ms",
    "latency": "latency, s",
}
OF_A_PASS = ("multiply_adds", "peak_activation_bytes", "latency_ms", "latency")  # they depend on how a network is run
WORDS = {"eager": "PyTorch", "compile": "torch.compile", "onnx": "ONNX Runtime"}


@dataclass(frozen=True)
class Target:
    """Where networks will run on this machine; their latency is measured there.

    Args:
        runtime: "eager" PyTorch, "compile" (torch.compile), or "onnx" (ONNX Runtime, the extra `onnx`).
        precision: "float32", or "int8" (ONNX Runtime only).
        threads: that one evaluation may use.
        batch: images, or texts, of one evaluation.
    """

    runtime: Runtime = "eager"
    precision: Precision = "float32"
    threads: int = 1
    batch: int = 1

    def __post_init__(self) -> None:
        for name, known in (("runtime", get_args(Runtime)), ("precision", get_args(Precision))):
            if getattr(self, name) not in known:
                raise ConfigError(f"target.{name} is {getattr(self, name)!r}; pick one of {', '.join(known)}")
        for name in ("threads", "batch"):
            if getattr(self, name) < 1:
                raise ConfigError(f"target.{name} is {getattr(self, name)}; it must be at least 1")
        if self.precision == "int8" and self.runtime != "onnx":
            raise ConfigError(
                f"target.precision int8 runs in ONNX Runtime; use --target.runtime onnx, not {self.runtime}"
            )

    def words(self) -> str:
        """Return the target as a person reads it."""
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return f"{WORDS[self.runtime]}, {self.precision}, {threads}, batch {self.batch}"
