"""Joining a Ray cluster that runs already, or starting one of our own. Extra: `pip install 'archwright[ray]'`."""

from __future__ import annotations

import math
import os
import socket
from typing import Any

from archwright.errors import ConfigError, MissingExtra

OBJECT_STORE = 2**30  # bytes, in a cluster of our own; a larger evaluator goes to the disk
ANSWER_SECONDS = 10.0  # for a cluster to accept a connection, and to say something
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"  # of a client, with no settings (RFC 9113)

# Settings of a cluster of our own, unless the user has set them. Nobody looks at its dashboard: without the records for
# it a child costs the cluster's processes a quarter less. By default Ray starts one worker for each core at a time,
# though a starting worker mostly waits, and gives workers a niceness of 15, for a machine that does other things too.
_OWN = {"RAY_task_events_report_interval_ms": "0", "RAY_enable_metrics_collection": "0", "RAY_worker_niceness": "0"}
_STARTING = 4  # workers to a core


def ray_module() -> Any:
    """Import Ray; where it is missing the error says how to install it."""
    try:
        import ray
    except ImportError as error:
        raise MissingExtra(f"--engine ray needs Ray: pip install 'archwright[ray]' ({error})") from None
    return ray


def connect(address: str | None, *, cpus: float, object_store: int = OBJECT_STORE) -> bool:
    """Join the cluster at `address` ("auto": the one that runs on this machine), or start one with `cpus`, which ends
    with this process. Return False, and change nothing, if this process is in a cluster already."""
    ray = ray_module()
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    settings: dict[str, Any] = {"address": address or "local", "logging_level": "error", "log_to_driver": False}
    if address is not None:
        check_address(address)
    else:
        for name, value in {**_OWN, "RAY_worker_maximum_startup_concurrency": str(_STARTING * own_cpus())}.items():
            os.environ.setdefault(name, value)
        settings |= {"num_cpus": math.ceil(cpus), "include_dashboard": False, "object_store_memory": object_store}
    try:
        ray.init(**settings)
    except Exception as error:  # Ray raises a bare one when a node is too slow to start
        raise _unusable(address, error) from None
    # Otherwise Ray prints its warnings on standard output, where with --json only the result may be.
    ray._private.worker._worker_logs_enabled = False
    return True


def check_address(address: str) -> None:
    """Raise ConfigError if no cluster can be there. Ray itself would try for three minutes, without a reason."""
    if address.startswith(("ray://", "//")):
        raise ConfigError(
            f"--engine ray:{address.removeprefix('ray:')}: that is a client's address; start archwright on a node of "
            "the cluster, with --engine ray:auto"
        )
    resolve = getattr(ray_module()._private.services, "canonicalize_bootstrap_address", None)
    if resolve is None:  # a later Ray
        return
    try:
        found = str(resolve(address))
        host, port = found.rpartition(":")[0].strip("[]"), int(found.rpartition(":")[2])
    except (ConnectionError, ValueError) as error:
        raise _unusable(address, error) from None
    hint = "`ray start --head` prints the address of the cluster that it starts"
    try:
        speaks = _speaks(host, port)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"--engine ray:{address}: nothing answers at {found} ({reason}); {hint}") from None
    if not speaks:
        raise ConfigError(f"--engine ray:{address}: what answers at {found} is not Ray; {hint}")


def _speaks(host: str, port: int) -> bool:
    """Return whether HTTP/2 is spoken there, which Ray's gRPC begins with; with TLS that is not seen from outside."""
    with socket.create_connection((host, port), timeout=ANSWER_SECONDS) as peer:
        if os.environ.get("RAY_USE_TLS", "0") != "0":
            return True
        peer.sendall(_PREFACE)
        try:
            answer = peer.recv(9)
        except (TimeoutError, ConnectionError):
            return False
    return answer[3:4] == b"\4"  # its settings, which are always first


def _unusable(address: str | None, error: Exception) -> ConfigError:
    where = "--engine ray: a Ray cluster on this machine" if address is None else f"--engine ray:{address}: the cluster"
    hint = ""
    if address == "auto":
        hint = "; `ray start --head` starts one"
    elif isinstance(error, ConnectionError) and "RAY_AUTH_MODE" not in os.environ:  # Ray shows a token only if told to
        hint = "; if it is protected by a token, set RAY_AUTH_MODE=token"
    return ConfigError(f"{where} cannot be used: {first_line(error).rstrip('.')}{hint}")


def room(address: str | None, cpus: float, gpus: float) -> int:
    """Return how many children with that share fit into the cluster at once. ConfigError if none does."""
    if address is None and not gpus:
        return max(1, int(own_cpus() / cpus)) if cpus else own_cpus()
    joined = connect(address, cpus=own_cpus())
    nodes = [node["Resources"] for node in ray_module().nodes() if node["Alive"]]
    if joined:
        ray_module().shutdown()
    wanted = {name: amount for name, amount in (("CPU", cpus), ("GPU", gpus)) if amount}
    places = sum(int(min(node.get(name, 0.0) / amount for name, amount in wanted.items())) for node in nodes)
    if not places:
        share = " and ".join(f"{amount:g} {name}s" for name, amount in wanted.items())
        raise ConfigError(f"a child takes {share}, and no node of the Ray cluster has that")
    return places


def own_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def first_line(error: BaseException | None) -> str:
    """Return the first line of an error's message."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
