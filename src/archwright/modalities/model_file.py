"""Trained networks as folders: `model.json`, which is data, and `weights.safetensors`. Loading one runs no code."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from archwright.components import space_from_json, space_to_json
from archwright.errors import RunError
from archwright.files import write
from archwright.nets.network import without_auxiliary
from archwright.space import Architecture, Open, Space, check
from archwright.stored import load, reading

if TYPE_CHECKING:
    from typing_extensions import Self

    from archwright.export.onnx_runtime import Session

FORMAT = 1


@dataclass(frozen=True, eq=False)
class TrainedNetwork(ABC):
    """A trained network with what is needed to use it. `kind` is what `model.json` calls it."""

    kind: ClassVar[str]
    network: Any
    architecture: Architecture
    space: Space

    @property
    @abstractmethod
    def task(self) -> Any:
        """What the network takes and returns."""

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """Return the fields that only this kind has, as plain data."""

    @staticmethod
    @abstractmethod
    def parsed(described: dict[str, Any]) -> dict[str, Any]:
        """Return those fields from what `described` returned."""

    @abstractmethod
    def export(self, folder: Path, *, formats: Sequence[str] = ("source", "pt2"), data: Any = None) -> dict[str, Path]:
        """Write files that need no archwright. "int8" is calibrated on the training part of loaded `data`."""

    @abstractmethod
    def tested(self, session: Session, data: Any) -> dict[str, Any]:
        """Return the record of an ONNX file on the validation part of loaded data, as `Modality.test` returns it.

        Raises:
            ConfigError: if the model does not take such data.
        """

    @abstractmethod
    def answers(self, inputs: Sequence[Path], *, tokens: int, seed: int) -> Iterator[tuple[dict[str, Any], str]]:
        """Yield what the network makes of each input, as plain data and as a line of text."""

    def save(self, folder: Path) -> None:
        """Write `weights.safetensors` and `model.json`. A tensor that two parameters share is written once."""
        from safetensors.torch import save

        folder.mkdir(parents=True, exist_ok=True)
        tensors: dict[int | str, tuple[str, Tensor]] = {}  # by address, at which nothing empty is
        for name, value in self.network.state_dict().items():
            tensors.setdefault(value.data_ptr() if value.numel() else name, (name, value))
        state = {name: value.detach().cpu().contiguous() for name, value in tensors.values()}
        about = {"kind": self.kind, "architecture": self.architecture.to_json(), "space": space_to_json(self.space)}
        write(folder / "weights.safetensors", save(state))
        write(folder / "model.json", json.dumps({"format": FORMAT, **about, **self.described()}, indent=1).encode())

    @classmethod
    def load(cls, folder: str | Path, *, space: str | None = None, device: str = "cpu") -> Self:
        """Read what `save` wrote. `space` names the file of a space that does not come with archwright.

        Raises:
            RunError: if there is no such model or it cannot be read.
        """
        folder = Path(folder)
        if (found := kind_of(folder)) != cls.kind:
            raise RunError(f"{folder} holds a {found}, not a {cls.kind}")
        described, weights = _described(folder), _weights(folder)
        with reading(folder / "model.json"):
            architecture = Architecture.from_json(described["architecture"])
            own = space_from_json(described["space"], space).for_architecture(architecture)
            check(own, architecture)
            model = cls(None, architecture, own, **cls.parsed(described))
            _require_fitting(folder, _outline(own, architecture, model.task), weights)
            network: Any = without_auxiliary(own.network(Open.only(own, architecture), model.task))
        network.load_state_dict(weights, strict=False)
        return replace(model, network=network.to(device).eval())


def kind_of(folder: Path) -> str:
    """Return the kind of model that a folder holds: "classifier", "language model"."""
    return str(_described(folder).get("kind", "classifier"))


def _weights(folder: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load as parse

    if not (folder / "weights.safetensors").is_file():
        raise RunError(f"{folder} holds no trained model: there is no weights.safetensors")
    try:
        weights: dict[str, Tensor] = parse((folder / "weights.safetensors").read_bytes())
    except (ValueError, KeyError, SafetensorError, OSError) as error:
        raise RunError(f"{folder}: the model cannot be read: {error}") from None
    for name, value in weights.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise RunError(f"{folder}: the weights are damaged: {name} holds values that are not finite")
    return weights


def _described(folder: Path) -> dict[str, Any]:
    if not (folder / "model.json").is_file():
        raise RunError(f"{folder} holds no trained model: there is no model.json")
    described = load(folder / "model.json")
    if not isinstance(described, dict) or "format" not in described:
        raise RunError(f"{folder / 'model.json'} is damaged: it says no format")
    if described["format"] != FORMAT:
        raise RunError(f"{folder}: model format {described['format']!r} is unknown; this version reads {FORMAT}")
    return described


def _outline(space: Space, architecture: Architecture, task: Any) -> nn.Module:
    """Build the network without memory for its weights, whatever sizes it claims, where the space's code can."""
    opened = Open.only(space, architecture)
    try:
        with torch.device("meta"):
            return without_auxiliary(space.network(opened, task))  # type: ignore[no-any-return]
    except RuntimeError:  # it looks at values
        return without_auxiliary(space.network(opened, task))  # type: ignore[no-any-return]


def _require_fitting(folder: Path, network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Raise RunError if these are not all weights of the network; those not written share a tensor with one that is."""
    own = dict(network.state_dict(keep_vars=True))
    written = {id(own[name]) for name in weights if name in own}
    missing = [name for name, value in own.items() if name not in weights and id(value) not in written]
    wrong = [name for name, value in weights.items() if name not in own or not _alike(own[name], value)]
    if missing or wrong:
        named = f"{missing[0]} is missing" if missing else f"{wrong[0]} is not of this network"
        raise RunError(f"{folder}: the weights do not fit the architecture: {named}")


def _alike(own: Tensor, written: Tensor) -> bool:
    """Return whether a tensor has the shape and kind of numbers; a float may have another precision."""
    kinds = own.is_floating_point() and written.is_floating_point()
    return own.shape == written.shape and (kinds or own.dtype == written.dtype)
