from __future__ import annotations

import itertools
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import matplotlib as mpl
import numpy as np
import pytest
from example_graphs import ENAS_CELLS, graphs, recurrent_cell
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from PIL import Image

import archwright
from archwright.analysis import drawing
from archwright.errors import ConfigError, SpaceError
from archwright.graph import Edge, Graph, Node
from archwright.report.drawing import BY_KIND, COLOURS, OTHER_OPERATION, colours, draw
from archwright.report.picture import FAINT, INK
from archwright.space import Anchor, Architecture, Choice, Link, Program, Space, sample

ONE = Graph("one", (Node("x", "x", "input"), Node("1", "sep 3x3")), (Edge("x", "1"),))
SVG = "{http://www.w3.org/2000/svg}"


def texts(path: Path) -> list[str]:
    return [element.text or "" for element in ET.parse(path).iter(f"{SVG}text")]


@dataclass(frozen=True)
class Chain(Space):
    """Layers that each choose an operation and an earlier layer."""

    depth: int = 3
    name: ClassVar[str] = "chain"
    reads: ClassVar[tuple[str, ...]] = ("depth",)

    def decide(self) -> Program:
        yield Anchor("0", given=True)
        for layer in range(1, self.depth + 1):
            yield Link(f"{layer}/input", tuple(str(earlier) for earlier in range(layer)))
            yield Choice(f"{layer}/op", ("conv", "pool"), "op")
            yield Anchor(str(layer))

    @property
    def vocabularies(self) -> dict[str, tuple[str, ...]]:
        return {"op": ("conv", "pool")}

    def graphs(self, architecture: Architecture) -> tuple[Graph, ...]:
        layers = [str(layer) for layer in range(1, self.depth + 1)]
        nodes = (Node("0", "image", "input"), *(Node(layer, str(architecture[f"{layer}/op"])) for layer in layers))
        return (Graph("chain", nodes, tuple(Edge(str(architecture[f"{n}/input"]), n) for n in layers)),)


class Silent(Chain):
    name: ClassVar[str] = "silent"
    graphs = Space.graphs


def test_an_architecture_is_drawn_by_its_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "SPACES", {"chain": Chain, "silent": Silent})
    architecture = sample(Chain(depth=5), seed=1)
    path = archwright.draw(architecture, tmp_path / "chain.svg")
    assert path == tmp_path / "chain.svg"
    assert {"5", "image", "conv", "pool"} <= set(texts(path))
    with pytest.raises(SpaceError, match=r"'elsewhere' is not one of chain, silent"):
        archwright.draw(Architecture("elsewhere", (), ()), tmp_path / "x.svg")
    silent = sample(Silent(), seed=1)  # its decisions, one after the other
    shown = set(texts(archwright.draw(silent, tmp_path / "x.svg")))
    assert {name for name, _ in silent.answers} | {"input", "output"} <= shown


def test_a_png_is_fine_enough_to_read_and_has_even_margins(tmp_path: Path) -> None:
    for index, graph in enumerate((ENAS_CELLS, recurrent_cell())):
        with Image.open(draw(graph, tmp_path / f"{index}.PNG")) as image:
            assert min(image.info["dpi"]) >= 150
            ink = np.asarray(image.convert("L")) < 250
            per_inch = image.info["dpi"][0]
        across, down = np.flatnonzero(ink.any(axis=0)), np.flatnonzero(ink.any(axis=1))
        margins = [across[0], ink.shape[1] - 1 - across[-1], ink.shape[0] - 1 - down[-1], down[0]]
        assert min(margins) > 0.12 * per_inch
        assert max(margins) < 0.4 * per_inch


def test_svg_keeps_text_as_text(tmp_path: Path) -> None:
    shown = texts(draw(ENAS_CELLS, tmp_path / "cells.svg", title="Found by the search"))
    assert shown.count("add") == 10
    assert shown.count("concat") == 2
    assert {"Found by the search", "normal cell", "reduction cell", "h[i-2]", "sep 5x5", "6"} <= set(shown)
    assert not any("/" in text for text in shown)  # the names of parts


SPECIAL = st.text(alphabet="$_^{}\\<>&%#~\"' aZ\u00e9\u03b1\u2192", min_size=1, max_size=12).filter(
    lambda t: t.strip() != ""
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SPECIAL, SPECIAL, SPECIAL)
def test_special_characters_are_only_characters(tmp_path: Path, title: str, label: str, on_edge: str) -> None:
    graph = Graph(title, (Node("x", label, "input"), Node("y", "$x_1$")), (Edge("x", "y", on_edge),))
    shown = texts(draw(graph, tmp_path / "special.svg", title="a $ b $ <&>"))
    assert {text.strip() for text in (title, label, on_edge, "$x_1$", "a $ b $ <&>")} <= {t.strip() for t in shown}


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graphs())
def test_any_graph_is_drawn(tmp_path: Path, graph: Graph) -> None:
    shown = texts(draw(graph, tmp_path / "any.svg"))
    assert all(node.name in shown for node in graph.nodes if node.label != node.name)
    assert shown.count("W1") == sum(edge.label == "W1" for edge in graph.edges)


def test_many_graphs_stand_in_lines_of_limited_width(tmp_path: Path) -> None:
    with Image.open(draw([ONE] * 16, tmp_path / "many.png")) as image:
        width, height = (size / image.info["dpi"][0] for size in image.size)
    assert width < 12
    assert height > 2


@pytest.mark.parametrize("name", ["cell.pdf", "cell", "cell.svg.gz"])
def test_other_formats_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"\.png or \.svg"):
        draw(ONE, tmp_path / name)


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no graph"):
        draw([], tmp_path / "x.svg")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file/x\.svg: the picture cannot be written"):
        draw(ONE, tmp_path / "file" / "x.svg")
    assert draw(ONE, tmp_path / "new" / "folder" / "x.svg").exists()


def test_drawing_changes_no_settings_and_ignores_the_users(tmp_path: Path) -> None:
    plain = draw(ONE, tmp_path / "plain.svg").read_bytes()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path", "lines.linewidth": 9}):
        before = dict(mpl.rcParams)
        assert draw(ONE, tmp_path / "styled.svg").read_bytes() == plain
        assert dict(mpl.rcParams) == before


def test_pictures_are_the_same_in_every_process_and_need_no_display(tmp_path: Path) -> None:
    code = (
        "import sys; from example_graphs import macro_network; from archwright.report.drawing import draw;"
        "draw(macro_network(), sys.argv[1]); print('matplotlib.pyplot' in sys.modules, 'torch' in sys.modules)"
    )
    for seed in ("1", "2"):
        paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths}
        command = [sys.executable, "-c", code, str(tmp_path / f"{seed}.svg")]
        loaded = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        assert loaded.split() == ["False", "False"]
    assert (tmp_path / "1.svg").read_bytes() == (tmp_path / "2.svg").read_bytes()


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.1)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_text_can_be_read_on_every_box_in_colour_and_in_grey() -> None:
    for fill, outline in (*COLOURS.values(), OTHER_OPERATION, *BY_KIND.values()):
        assert contrast(fill, INK) > 7  # WCAG 2.1 AAA; grey prints keep the luminance
        assert contrast(fill, FAINT) > 4.5
        assert contrast(outline, "#ffffff") > 3


def test_kinds_of_operation_have_their_own_colours() -> None:
    labels = ["sep 5x5", "dil conv 3x3", "avg 3x3", "max pool", "identity", "tanh", "conv 3x3", "something else"]
    found = [colours(Node("n", label)) for label in labels]
    assert all(a != b for a, b in itertools.combinations(found, 2))
    assert colours(Node("n", "skip connection")) == colours(Node("n", "Identity"))
    assert colours(Node("n", "5x5 conv")) == colours(Node("n", "conv 1x1"))
