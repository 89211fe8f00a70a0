"""Sentences as trees: what two are compared by, and how one becomes another (sub-tree mutation and crossover).

A changed sentence is read by the space's own program, so it is within the limits, or it is not made.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

from archwright.architecture import Architecture
from archwright.errors import SpaceError, UnknownOption
from archwright.explore import Seed, draw_answer, generator, mutate
from archwright.sentences.fitting import after, measured
from archwright.sentences.library import parse
from archwright.sentences.operations import parts
from archwright.sentences.sentence import Sentence
from archwright.sentences.shapes import Cost, Shape
from archwright.spaces.grammar.composing import ENDS, SETTINGS, Composer, Place, answered

if TYPE_CHECKING:
    import numpy as np

Grammar: TypeAlias = Any  # `archwright.spaces.grammar.space.Grammar`, which imports this file
Path: TypeAlias = "tuple[int, ...]"  # which inner part, which inner part of that, ...
TRIES = 60  # of a variation; then the core's mutation of one decision
DEPTHS = (1, 2)  # of the sub-trees that are counted, beside single rules
SET = (*SETTINGS, *ENDS)  # what has settings
IDENTITY, TWICE, ADD = Sentence("identity"), Sentence("clone", (2,)), Sentence("add")


@dataclass(frozen=True)
class Node:
    """A sub-sentence: where it stands, and the shapes before and after it."""

    path: Path
    sentence: Sentence
    before: Shape
    after: Shape


def nodes(sentence: Sentence, shape: Shape, path: Path = ()) -> Iterator[Node]:
    """Yield every sub-sentence, each before its own."""
    yield Node(path, sentence, shape, after(sentence, shape))
    for number, (part, given, _) in enumerate(parts(sentence, shape)):
        yield from nodes(part, given, (*path, number))


def replaced(sentence: Sentence, path: Path, new: Sentence) -> Sentence:
    """Return the sentence with `new` in a place."""
    if not path:
        return new
    inner = list(sentence.inner)
    inner[path[0]] = replaced(inner[path[0]], path[1:], new)
    return sentence.with_inner(tuple(inner))


def tree_features(sentence: Sentence) -> dict[str, Counter[Any]]:
    """Return multisets: rules with their settings, rules that follow each other, and sub-trees to a depth.

    The label of a sub-sentence to depth d is its rule with the labels of its parts to depth d - 1 (Weisfeiler & Leman
    1968; Shervashidze et al. 2011).
    """
    counted = {name: Counter[Any]() for name in ("rules", "steps", *(f"sub-trees {depth}" for depth in DEPTHS))}

    def labels(one: Sentence) -> list[Any]:
        """Return a sub-sentence's labels to each depth from 0 up, and count it."""
        below = [labels(part) for part in one.parts]
        own: list[Any] = [one.rule]
        counted["rules"][one.rule, one.settings] += 1
        counted["steps"].update(pairwise(part.rule for part in one.parts))
        for depth in DEPTHS if below else ():
            own.append((one.rule, *(part[min(depth, len(part)) - 1] for part in below)))
            counted[f"sub-trees {depth}"][own[depth]] += 1
        return own

    labels(sentence)
    return counted


def magnitudes(sentence: Sentence, shape: Shape) -> dict[str, float]:
    """Return the logarithms of what a sentence costs."""
    return {name: math.log2(1 + value) for name, value in measured(sentence, shape)[1]._asdict().items()}


def varied(space: Grammar, architecture: Architecture, seed: Seed) -> Architecture:
    """Return a sentence that differs in one place: a sub-tree drawn anew, put in, or taken out, or a setting changed.

    What surrounds the place keeps its shapes, except around a changed setting.
    """
    rng, old = generator(seed), space.sentence(architecture)
    everything = list(nodes(old, space.input))
    within = [node for node in everything if node.sentence.inner]
    set_ = [node for node in everything if node.sentence.rule in SET]
    kinds = [(_redrawn, everything), (_grown, everything), (_shrunk, within), (_set, set_)]
    for _ in range(TRIES):
        kind, where = kinds[int(rng.integers(len(kinds)))]
        new = kind(space, old, where[int(rng.integers(len(where)))], rng) if where else None
        if new is not None and new != old:
            with suppress(SpaceError, UnknownOption):
                made: Architecture = space.architecture(new)
                return made
    return mutate(space, architecture, rng)


def _redrawn(space: Grammar, old: Sentence, node: Node, rng: np.random.Generator) -> Sentence | None:
    new = drawn(space, node, rng)
    return None if new is None else replaced(old, node.path, new)


def _grown(space: Grammar, old: Sentence, node: Node, rng: np.random.Generator) -> Sentence | None:
    """Put something before or after a sub-sentence that keeps the shape there, or a way around it."""
    where = int(rng.integers(3))
    if where == 2:
        around = Sentence("branching", (), (TWICE, node.sentence, IDENTITY, ADD))
        return replaced(old, node.path, around) if node.before == node.after else None
    new = drawn(space, replace(node, before=node.after) if where else replace(node, after=node.before), rng)
    if new is None:
        return None
    own = node.sentence
    chain = own.parts if own.rule == "sequential" and len(own.parts) < space.most_parts else (own,)
    return replaced(old, node.path, Sentence("sequential", (), (*chain, new) if where else (new, *chain)))


def _shrunk(space: Grammar, old: Sentence, node: Node, rng: np.random.Generator) -> Sentence | None:
    """Leave out a part of a sequence, or put one of its parts in the place of a sub-sentence."""
    inner = node.sentence.inner
    at = int(rng.integers(len(inner)))
    new = inner[at]
    if node.sentence.rule == "sequential" and len(inner) > 2:
        new = node.sentence.with_inner((*inner[:at], *inner[at + 1 :]))
    return replaced(old, node.path, new)


def _set(space: Grammar, old: Sentence, node: Node, rng: np.random.Generator) -> Sentence | None:
    """Change a setting of a sub-sentence, or of all that are equal to it, as a network is made wider."""
    own, words = node.sentence, space.vocabularies
    names = ENDS.get(own.rule, ("repeats" if own.rule == "repeat" else "width",))
    at = int(rng.integers(len(names)))
    setting: Any = words[names[at]][int(rng.integers(len(words[names[at]])))]
    if own.rule in ENDS:
        end = parse(setting)
        return replaced(old, node.path, replace(own, parts=(*own.parts[:-1], end) if at else (end, *own.parts[1:])))
    new = replace(own, settings=(setting,))
    return _everywhere(old, own, new) if rng.random() < 0.5 else replaced(old, node.path, new)


def _everywhere(sentence: Sentence, old: Sentence, new: Sentence) -> Sentence:
    """Return a sentence with one sub-sentence's rule and settings changed wherever they are."""
    inner = tuple(_everywhere(part, old, new) for part in sentence.inner)
    changed = sentence.with_inner(inner) if inner else sentence
    same = (changed.rule, changed.settings) == (old.rule, old.settings)
    return replace(changed, settings=new.settings) if same else changed


def drawn(space: Grammar, node: Node, rng: np.random.Generator) -> Sentence | None:
    """Draw a sentence that makes the node's shape after of the one before; None if a single rule cannot."""
    composer = Composer(space)
    start = Place("0", node.before, lambda made: Cost() if made == node.after else None, len(node.path))
    if composer.closed(start) is None:
        return None
    answers = answered(composer.part(start), lambda question: draw_answer(question, rng))
    sentence: Sentence = space.sentence(Architecture(space.name, (), tuple(answers)))
    return sentence


def crossed(space: Grammar, one: Architecture, other: Architecture, seed: Seed) -> Architecture | None:
    """Return `one` with a sub-tree of `other` that sees the same shape and gives the same; None if there is none."""
    rng, into = generator(seed), space.sentence(one)
    theirs: dict[tuple[Shape, Shape], list[Sentence]] = {}
    for node in nodes(space.sentence(other), space.input):
        theirs.setdefault((node.before, node.after), []).append(node.sentence)
    ours = [node for node in nodes(into, space.input) if node.path and (node.before, node.after) in theirs]
    for number in rng.permutation(len(ours))[:TRIES]:
        node = ours[int(number)]
        given = theirs[node.before, node.after]
        new = given[int(rng.integers(len(given)))]
        if new != node.sentence:
            with suppress(SpaceError, UnknownOption):
                found: Architecture = space.architecture(replaced(into, node.path, new))
                if found.answers != other.answers:
                    return found
    return None
