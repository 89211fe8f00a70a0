"""Where evaluations run: this process (`Inline`), others of this machine (`LocalProcesses`), a Ray cluster (`ray`)."""

from archwright.engines.processes import LocalProcesses
from archwright.loop import Inline

__all__ = ["Inline", "LocalProcesses"]
