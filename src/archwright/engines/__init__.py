"""Where evaluations run: in this process (`Inline`), in others of this machine (`LocalProcesses`), or on a Ray cluster
(`archwright.engines.ray.RayTasks`)."""

from archwright.engines.processes import LocalProcesses
from archwright.loop import Inline

__all__ = ["Inline", "LocalProcesses"]
