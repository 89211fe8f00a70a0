"""What a plan for a Ray cluster settles beyond what the user set: how many children at a time, on what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archwright.components import require_typed
from archwright.engines.cluster import check_address, ray_module, room

CHILDREN = 8  # of a replica, where its controller does not say (Zoph & Le 2017, section 4.1)


def require_typed_address(engine: str) -> None:
    """Raise RunError for a cluster elsewhere that the user did not type in this call: its answers are unpickled."""
    if engine.partition(":")[2] not in ("", "auto"):
        require_typed(engine, "engine", engine)


def on_a_cluster(
    settings: Mapping[str, Any], controller: Mapping[str, Any], device: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of a plan and of its controller, completed. `device`: of the process that searches.

    An address at which there is no cluster is a ConfigError. A replica's children are its controller's minibatch.
    Children take a GPU each where that process would, and there are as many at a time as the cluster has room for.
    """
    ray_module()  # missing, it is missed at once
    settings, controller = dict(settings), dict(controller)
    kind, _, address = settings["engine"].partition(":")
    if kind != "ray":
        return settings, controller  # the plan refuses it
    if address:
        check_address(address)
    settings.setdefault("child_gpus", 1.0 if device.startswith("cuda") else 0.0)
    if settings.get("replicas", 0) > 0:
        children = settings.setdefault("children", controller.get("batch", CHILDREN))
        controller["batch"] = children
        settings["workers"] = settings["replicas"] * children
    elif "workers" not in settings:
        settings["workers"] = room(address or None, settings.get("child_cpus", 1.0), settings["child_gpus"])
    return settings, controller
