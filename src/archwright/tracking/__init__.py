"""Trackers: what teams follow experiments with. Each is one file that gets the events of a run, as the display does."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from archwright.components import from_file, require_typed, typed
from archwright.errors import ConfigError, MissingExtra, offered

# By the name of the flag, which is that of the extra and of the package, too.
TRACKERS = {
    "mlflow": "archwright.tracking.mlflow:Mlflow",
    "tensorboard": "archwright.tracking.tensorboard:TensorBoard",
    "wandb": "archwright.tracking.wandb:Wandb",
    "trackio": "archwright.tracking.trackio:Trackio",
}


def trackers(names: str | None) -> dict[str, Any]:
    """Return new trackers by name, of names separated by commas; `file.py:Name` is one of the user's own.

    Raises: ConfigError for an unknown name, MissingExtra for a package that is not installed.
    """
    found: dict[str, Any] = {}
    if names and ".py:" in names:
        require_typed(names, "track")
        typed(*names.split(","))
    for name in filter(None, (part.strip() for part in (names or "").split(","))):
        if ".py:" in name:
            found[name] = from_file(name, "track")()
            continue
        if name not in TRACKERS:
            raise ConfigError(f"--track {name!r}; {offered(name, TRACKERS, 'file.py:Name')}")
        if find_spec(name) is None:
            raise MissingExtra(f"--track {name} needs the package {name}: pip install 'archwright[{name}]'")
        module, _, attribute = TRACKERS[name].partition(":")
        found[name] = getattr(import_module(module), attribute)()
    return found
