"""A model folder: `model.json`, which is data, and `weights.safetensors`. Loading one runs no code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from archwright.components import space_from_json, space_to_json
from archwright.errors import RunError
from archwright.files import write
from archwright.nets.network import without_auxiliary
from archwright.space import Architecture, Open, Space

if TYPE_CHECKING:
    from archwright.modalities.protocol import TrainedNetwork

FORMAT = 1
Model = tuple[Any, Architecture, Space]  # a network in evaluation mode, and what it is of


def write_model(folder: Path, model: TrainedNetwork, described: dict[str, Any]) -> None:
    """Write both files; `described` is what only this kind of model has. A shared tensor is written once."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    state: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in model.network.state_dict().items():
        if value.data_ptr() not in seen or value.numel() == 0:
            state[name] = value.detach().cpu().contiguous()
        seen.add(value.data_ptr())
    about = {"kind": model.kind, "architecture": model.architecture.to_json(), "space": space_to_json(model.space)}
    write(folder / "weights.safetensors", save(state))
    write(folder / "model.json", json.dumps({"format": FORMAT, **about, **described}, indent=1).encode())


def kind_of(folder: Path) -> str:
    """Return the kind of model that a folder holds: "classifier", "language model"."""
    return str(_described(folder).get("kind", "classifier"))


def read_model(
    folder: str | Path,
    kind: str,
    parse: Callable[[dict[str, Any]], tuple[tuple[Any, ...], Any]],
    *,
    space: str | None,
    device: str,
) -> tuple[Model, tuple[Any, ...]]:
    """Read both files and build the network. `parse` takes the description to what only this kind has, and the task.

    Raises:
        RunError: if there is no such model or it cannot be read.
    """
    folder = Path(folder)
    if (found := kind_of(folder)) != kind:
        raise RunError(f"{folder} holds a {found}, not a {kind}")
    weights = _weights(folder)
    described = _described(folder)
    try:
        architecture = Architecture.from_json(described["architecture"])
        built = space_from_json(described["space"], space).for_architecture(architecture)
        own, task = parse(described)
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{folder / 'model.json'} is damaged: {error!r}") from None
    network: Any = without_auxiliary(built.network(Open.only(built, architecture), task))
    _put_weights(folder, network, weights)
    return (network.to(device).eval(), architecture, built), own


def _weights(folder: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        weights: dict[str, Tensor] = load((folder / "weights.safetensors").read_bytes())
        return weights
    except FileNotFoundError:
        raise RunError(f"{folder} holds no trained model: there is no weights.safetensors") from None
    except (ValueError, SafetensorError, OSError) as error:
        raise RunError(f"{folder}: the model cannot be read: {error}") from None


def _described(folder: Path) -> dict[str, Any]:
    try:
        described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{folder} holds no trained model: there is no model.json") from None
    except (ValueError, OSError) as error:
        raise RunError(f"{folder}: the model cannot be read: {error}") from None
    if not isinstance(described, dict) or "format" not in described:
        raise RunError(f"{folder / 'model.json'} is damaged: it says no format")
    if described["format"] != FORMAT:
        raise RunError(f"{folder}: model format {described['format']!r} is unknown; this version reads {FORMAT}")
    return described


def _put_weights(folder: Path, network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load the weights; those that were not written share a tensor with one that was."""
    own = network.state_dict()
    places = {own[name].data_ptr() for name in weights if name in own}
    missing = [name for name, value in own.items() if name not in weights and value.data_ptr() not in places]
    wrong = [name for name in weights if name not in own or own[name].shape != weights[name].shape]
    if missing or wrong:
        named = f"{missing[0]} is missing" if missing else f"{wrong[0]} is not of this network"
        raise RunError(f"{folder}: the weights do not fit the architecture: {named}")
    network.load_state_dict(weights, strict=False)
