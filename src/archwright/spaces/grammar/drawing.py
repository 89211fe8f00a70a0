"""Sentences as graphs."""

from __future__ import annotations

from archwright.graph import Edge, Graph, Node
from archwright.sentences.sentence import Sentence
from archwright.sentences.shapes import Shape


def drawn(sentence: Sentence, shape: Shape) -> Graph:
    """Draw a sentence."""
    nodes = (Node("image", str(shape), "input"), Node("0", str(sentence)[:40], "output"))
    return Graph("network", nodes, (Edge("image", "0"),))
