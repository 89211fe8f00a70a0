"""Where evaluations run: in this process (`Inline`), or in other processes of this machine (`LocalProcesses`)."""

from archwright.engines.processes import LocalProcesses
from archwright.loop import Inline

__all__ = ["Inline", "LocalProcesses"]
