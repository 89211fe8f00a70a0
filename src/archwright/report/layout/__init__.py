"""The geometry of a layered drawing: `lay_out` places the boxes of a graph and routes its edges.

Four steps (Sugiyama, Tagawa & Toda 1981): which row each box stands in (`ranks`), few crossings (`crossings`), the
places from left to right (`positions`), the curves (`routes`). Nothing here knows matplotlib.
"""

from archwright.report.box import Box
from archwright.report.layout.routes import Curve, Layout, Point, Route, lay_out

__all__ = ["Box", "Curve", "Layout", "Point", "Route", "lay_out"]
