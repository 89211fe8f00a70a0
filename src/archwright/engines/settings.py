"""Where children are trained: the settings that an engine, or a search by replicas, is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from archwright.errors import ConfigError


@dataclass(frozen=True)
class Cluster:
    """Workers and their limits.

    Args:
        engine: where children are trained (from-scratch only): "local", "ray", or "ray:ADDRESS" of a Ray cluster.
        workers: children trained at a time (from-scratch only); on Ray by default as many as there is room for.
        time_limit: seconds for one child (from-scratch only).
        memory_limit: gigabytes (1e9 bytes) of data for the process of one child; torch itself takes 0.25.
        child_cpus: CPUs that a child takes of a Ray cluster.
        child_gpus: GPUs, or a fraction of one, that a child takes of a Ray cluster.
        replicas: of the controller, on a Ray cluster, each with `children` at a time (NAS: 100 of 8); 0: none.
        children: of a replica; they are the minibatch of its controller.
        shards: of the parameter server that the replicas share (NAS: 20).
        accumulate: gradients from replicas to an update (NAS: 10 for recurrent cells).
    """

    engine: str = "local"
    workers: int = 1
    time_limit: float | None = None
    memory_limit: float | None = None
    child_cpus: float = 1.0
    child_gpus: float = 0.0
    replicas: int = 0
    children: int | None = None
    shards: int = 1
    accumulate: int = 1

    def __post_init__(self) -> None:
        for name in ("workers", "shards", "accumulate"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.engine != "local" and self.engine.partition(":")[0] != "ray":
            raise ConfigError(f"engine is {self.engine!r}; it must be local, ray, or ray:ADDRESS")
        if self.replicas < 0 or (self.replicas and self.engine == "local"):
            raise ConfigError(f"replicas is {self.replicas}; replicas need --engine ray")
        if not self.replicas and (self.children is not None or self.shards > 1 or self.accumulate > 1):
            raise ConfigError("children, shards and accumulate configure a search by replicas: give --replicas as well")
        for name in ("time_limit", "memory_limit"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be greater than zero")
        if not self.child_cpus >= 0 or not self.child_gpus >= 0 or not self.child_cpus + self.child_gpus > 0:
            raise ConfigError(
                f"child_cpus is {self.child_cpus} and child_gpus {self.child_gpus}; a child takes some of one of them"
            )

    @property
    def in_process(self) -> bool:
        """Whether children are trained in the process that searches."""
        limited = self.time_limit is not None or self.memory_limit is not None
        return self.engine == "local" and self.workers == 1 and not limited

    @property
    def ray_address(self) -> str | None:
        """The address of the cluster; None starts one."""
        return self.engine.partition(":")[2] or None

    @property
    def limits(self) -> dict[str, Any]:
        """The limits of a child in an engine's units: seconds and bytes."""
        memory = None if self.memory_limit is None else int(self.memory_limit * 1e9)
        return {"time_limit": self.time_limit, "memory_limit": memory}
