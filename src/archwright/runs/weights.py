"""A model folder: `model.json`, which is data, and `weights.safetensors`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from archwright.errors import RunError
from archwright.files import write

FORMAT = 1


def write_model(folder: Path, described: dict[str, Any], network: nn.Module) -> None:
    """Write both files. A tensor that two parameters share is written once."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    state: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in network.state_dict().items():
        if value.data_ptr() not in seen or value.numel() == 0:
            state[name] = value.detach().cpu().contiguous()
        seen.add(value.data_ptr())
    write(folder / "weights.safetensors", save(state))
    write(folder / "model.json", json.dumps({"format": FORMAT, **described}, indent=1).encode())


def kind_of(folder: Path) -> str:
    """What kind of model a folder holds: "classifier", "language model"."""
    return str(_described(folder).get("kind", "classifier"))


def read_model(folder: Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Both files. Raises: RunError, if there is no such model or it cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    described = _described(folder)
    if described.get("kind", "classifier") != kind:
        raise RunError(f"{folder} holds a {described.get('kind', 'classifier')}, not a {kind}")
    try:
        return described, load((folder / "weights.safetensors").read_bytes())
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


def put_weights(folder: Path, network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load the weights; those that were not written share a tensor with one that was."""
    own = network.state_dict()
    places = {own[name].data_ptr() for name in weights if name in own}
    missing = [name for name, value in own.items() if name not in weights and value.data_ptr() not in places]
    wrong = [name for name in weights if name not in own or own[name].shape != weights[name].shape]
    if missing or wrong:
        named = f"{missing[0]} is missing" if missing else f"{wrong[0]} is not of this network"
        raise RunError(f"{folder}: the weights do not fit the architecture: {named}")
    network.load_state_dict(weights, strict=False)
